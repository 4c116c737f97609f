"""Which of two sessions is in use: crossing, replacing, draining and the one return."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest

from simulator import NOW, TEXT, Seeded, fresh_sessions
from troth_protocol import pairing, session
from troth_protocol.errors import DecryptError, Duplicate, SessionError, UnknownHeader
from troth_protocol.pairing import Change, Pair
from troth_protocol.session import Session

SOURCE = Seeded("pairing")
DAY: Final = 86_400


def say(pair: Pair, text: bytes = b"x") -> tuple[Pair, bytes]:
    """A message under the active session."""
    active = pair.active
    assert active is not None
    moved, message = session.encrypt(active.session, TEXT, text, randomness=SOURCE)
    return replace(pair, active=replace(active, session=moved)), message


def sid(pair: Pair) -> tuple[bytes | None, bytes | None]:
    """Which session is active and which drains."""
    return (
        pair.active.session.sid if pair.active else None,
        pair.draining.session.sid if pair.draining else None,
    )


def hear_first(pair: Pair, fresh: Session, message: bytes, now: int = NOW) -> tuple[Pair, Change]:
    """What a client does with a valid first message."""
    read, _ = session.decrypt(fresh, message, now=now)
    return pairing.accept(pair, read, now)


def named(sessions: tuple[Session, Session], name: bytes) -> tuple[Session, Session]:
    """Both sides of a session under a SID of our choice."""
    return sessions[0]._replace(sid=name), sessions[1]._replace(sid=name)


def established(name: bytes = b"m") -> tuple[Pair, Pair]:
    """Alice's and Bob's pairs after one message each way, Alice the initiator."""
    a, b = named(fresh_sessions("pairing"), name)
    alice, message = say(pairing.initiate(Pair(), a, NOW))
    bob, change = hear_first(Pair(), b, message)
    assert change is Change.FIRST
    bob, answer = say(bob)
    return pairing.read(alice, answer, NOW)[0], bob


def crossed(alices: bytes, bobs: bytes) -> tuple[Pair, Pair]:
    """Both started at once and each has read the other's first message."""
    a, a_at_bob = named(fresh_sessions("from alice"), alices)
    b, b_at_alice = named(fresh_sessions("from bob", 1, ("bob", "alice")), bobs)
    alice, from_alice = say(pairing.initiate(Pair(), a, NOW))
    bob, from_bob = say(pairing.initiate(Pair(), b, NOW))
    alice, one = hear_first(alice, b_at_alice, from_bob)
    bob, other = hear_first(bob, a_at_bob, from_alice)
    assert (one, other) == (Change.CROSSED, Change.CROSSED)
    return alice, bob


def test_a_message_reads_under_the_active_then_the_draining_session() -> None:
    """[R-6.5-1]"""
    alice, bob = established()
    bob, late = say(bob, b"late")
    a, b = named(fresh_sessions("second"), b"n")
    alice, message = say(pairing.initiate(alice, a, NOW))
    assert sid(alice) == (b"n", b"m")
    bob, change = hear_first(bob, b, message)
    assert (change, sid(bob)) == (Change.REPLACED, (b"n", b"m"))
    alice, received = pairing.read(alice, late, NOW)
    assert received.content == b"late"
    assert sid(alice) == (b"n", b"m")  # no drained session comes back
    bob, fresh = say(bob, b"fresh")
    assert pairing.read(alice, fresh, NOW)[1].content == b"fresh"
    with pytest.raises(Duplicate):
        pairing.read(alice, late, NOW)
    with pytest.raises(UnknownHeader):
        pairing.read(Pair(), fresh, NOW)


@pytest.mark.parametrize(("alices", "bobs"), [(b"a", b"b"), (b"b", b"a")])
def test_when_both_start_the_smaller_sid_is_active_on_both_sides(alices: bytes, bobs: bytes) -> None:
    """[R-6.5-2]: and both first messages were read."""
    alice, bob = crossed(alices, bobs)
    assert sid(alice) == sid(bob) == (b"a", b"b")
    for _ in range(3):
        alice, message = say(alice)
        bob, _ = pairing.read(bob, message, NOW)
        bob, message = say(bob)
        alice, _ = pairing.read(alice, message, NOW)
    assert sid(alice) == sid(bob) == (b"a", b"b")


def test_after_a_day_of_hearing_only_theirs_theirs_becomes_active() -> None:
    """[R-6.5-2]"""
    alice, _ = crossed(b"a", b"b")
    assert alice.active is not None
    assert alice.active.own
    assert sid(pairing.tick(alice, NOW + DAY - 1)) == (b"a", b"b")
    ended = pairing.tick(alice, NOW + DAY)
    assert sid(ended) == (b"b", b"a")
    assert ended.active is not None
    assert ended.active.drains_until is None
    assert ended.draining is not None
    assert not ended.draining.revivable


def test_an_own_session_that_was_heard_is_not_given_up() -> None:
    """[R-6.5-2]"""
    alice, bob = crossed(b"a", b"b")
    bob, message = say(bob)
    alice, _ = pairing.read(alice, message, NOW + 5)
    assert sid(pairing.tick(alice, NOW + DAY)) == (b"a", b"b")


def test_a_peer_may_replace_a_session_once_a_day() -> None:
    """[R-6.5-3]"""
    _, bob = established()
    for name, at, allowed in ((b"n", 10, True), (b"o", 20, False), (b"o", DAY + 9, False), (b"p", DAY + 10, True)):
        a, b = named(fresh_sessions(f"replace {name!r} {at}"), name)
        _, message = say(pairing.initiate(Pair(), a, NOW))
        if allowed:
            before = bob
            bob, change = hear_first(bob, b, message, NOW + at)
            assert change is Change.REPLACED
            assert sid(bob) == (name, sid(before)[0])
        else:
            with pytest.raises(SessionError, match="less than a day ago"):
                hear_first(bob, b, message, NOW + at)


def test_crossing_does_not_count_as_replacing() -> None:
    """[R-6.5-3]"""
    alice, _ = crossed(b"b", b"a")
    assert alice.replaced is None


def test_a_replaced_session_drains_for_a_day_after_the_new_one_is_heard() -> None:
    """[R-6.5-4]"""
    alice, bob = established()
    bob, late = say(bob, b"late")
    a, b = named(fresh_sessions("drain"), b"n")
    alice, message = say(pairing.initiate(alice, a, NOW))
    bob, _ = hear_first(bob, b, message, NOW + 100)
    assert bob.draining is not None
    assert bob.draining.drains_until == NOW + 100 + DAY
    assert alice.draining is not None
    assert alice.draining.drains_until == NOW + 14 * DAY
    _, answer = say(bob)
    alice, _ = pairing.read(alice, answer, NOW + 200)
    assert alice.draining is not None
    assert alice.draining.drains_until == NOW + 200 + DAY
    assert pairing.read(alice, late, NOW + 200 + DAY - 1)[1].content == b"late"
    with pytest.raises(DecryptError):
        pairing.read(alice, late, NOW + 200 + DAY)
    assert pairing.tick(alice, NOW + 200 + DAY - 1) == alice
    assert pairing.tick(alice, NOW + 200 + DAY).draining is None


def test_a_session_drains_for_fourteen_days_at_most() -> None:
    """[R-6.5-4]"""
    alice, _ = established()
    alice = pairing.initiate(alice, named(fresh_sessions("fourteen"), b"n")[0], NOW)
    assert pairing.tick(alice, NOW + 14 * DAY - 1).draining is not None
    assert pairing.tick(alice, NOW + 14 * DAY).draining is None


def test_a_session_set_aside_by_sid_alone_comes_back_once() -> None:
    """[R-6.5-5]: the peer never got our view of the crossing, and goes on with the session we started."""
    alice, bob = crossed(b"b", b"a")
    assert sid(alice) == (b"a", b"b")
    assert alice.draining is not None
    assert alice.draining.revivable
    assert alice.draining.drains_until == NOW + 14 * DAY
    assert bob.draining is not None
    kept = bob.draining.session
    kept, one = session.encrypt(kept, TEXT, b"one", randomness=SOURCE)
    kept, two = session.encrypt(kept, TEXT, b"two", randomness=SOURCE)
    alice, received = pairing.read(alice, one, NOW + DAY)
    assert received.content == b"one"
    assert sid(alice) == (b"b", b"a")
    assert alice.active is not None
    assert (alice.active.drains_until, alice.active.revivable) == (None, False)
    assert alice.draining is not None
    assert not alice.draining.revivable
    bob, old = say(bob)
    alice, _ = pairing.read(alice, old, NOW + DAY)
    assert sid(alice) == (b"b", b"a")  # only once, and never the other
    assert sid(pairing.read(alice, two, NOW + DAY)[0]) == (b"b", b"a")


def test_a_first_message_to_a_pair_without_sessions() -> None:
    """[R-6.5-1]"""
    alice, bob = established()
    assert sid(alice) == sid(bob) == (b"m", None)
    assert pairing.tick(bob, NOW + 99 * DAY) == bob


def test_a_crossing_happens_once_a_day() -> None:
    """[R-6.5-3] further first messages while ours is unanswered do not push one session out with another."""
    ours, _ = named(fresh_sessions("from alice"), b"a")
    pair = pairing.initiate(Pair(), ours, NOW)
    first, _ = named(fresh_sessions("bob once", 1, ("bob", "alice")), b"b")
    second, _ = named(fresh_sessions("bob twice", 2, ("bob", "alice")), b"c")
    pair, change = pairing.accept(pair, first, NOW)
    assert change is Change.CROSSED
    with pytest.raises(SessionError):
        pairing.accept(pair, second, NOW + DAY - 1)
    assert sid(pairing.accept(pair, second, NOW + DAY)[0]) == (b"a", b"c")
