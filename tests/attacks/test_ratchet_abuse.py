"""Attacks on the ratchets: floods, replays, reordering, pollution, and two sessions at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import NOW, TEXT, Seeded, craft, fresh_sessions, open_sessions, ping_pong
from troth_protocol import chain, frame, pairing, primitives, session, snapshot
from troth_protocol.errors import DecryptError, Duplicate, SessionError, Tampered, TooManySkipped, UnknownHeader
from troth_protocol.frame import Frame
from troth_protocol.pairing import Change, Held, Pair
from troth_protocol.session import Session

SOURCE = Seeded("abuse")
PADDED = frame.encode(Frame(TEXT, b"crafted"))


def frozen(state: Session) -> bytes:
    """A session, byte for byte."""
    return snapshot.encode_pair(Pair(Held(state, own=True)))


def count_derivations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of every derivation from now on."""
    made: list[str] = []

    def watch(name: str, function: Callable[..., Any]) -> None:
        def counted(*arguments: Any) -> Any:
            made.append(name)
            return function(*arguments)

        monkeypatch.setattr(chain, name, counted)

    for name in ("root_step", "classical_step", "quantum_step", "message_key", "quantum_epoch"):
        watch(name, getattr(chain, name))
    return made


@pytest.mark.parametrize("field", ["n", "i"])
@pytest.mark.parametrize("value", [1_005, 25_000, 2**31, 2**32 - 1])
def test_a21_skip_flood(field: str, value: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A-21: an authentic header that asks for too much costs one decryption of 54 bytes. [R-7.5-1]"""
    alice, bob = open_sessions("flood")
    header: dict[str, Any] = {field: value}
    message = craft(alice, SOURCE, PADDED, **header)
    before, made = frozen(bob), count_derivations(monkeypatch)
    with pytest.raises(TooManySkipped):
        session.decrypt(bob, message, now=NOW)
    assert made == []
    assert frozen(bob) == before


@pytest.mark.parametrize("field", ["pn", "n", "ppn", "i"])
@pytest.mark.parametrize("value", [1_100, 2**32 - 1])
def test_a21_skip_flood_at_a_step(field: str, value: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A-21: the same where a message steps both ratchets. [R-7.5-1]"""
    alice, bob = open_sessions("flood at a step")
    sides = [alice, bob]
    for turn in range(1, 30):
        sender, receiver = sides[turn % 2], sides[1 - turn % 2]
        new_chain = sender.chains.sending.number > receiver.chains.receiving.number
        if new_chain or (sender.exchange.state.epoch > sender.chains.sending.number + 1):
            break
        sides[turn % 2], message = session.encrypt(sender, TEXT, bytes(20), randomness=SOURCE)
        sides[1 - turn % 2], _ = session.decrypt(receiver, message, now=NOW)
    assert sender.chains.sending.number == receiver.chains.receiving.number + 1
    header: dict[str, Any] = {field: value}
    message = craft(sender, SOURCE, PADDED, **header)
    before, made = frozen(receiver), count_derivations(monkeypatch)
    with pytest.raises(TooManySkipped):
        session.decrypt(receiver, message, now=NOW)
    assert made == []
    assert frozen(receiver) == before


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 11), min_size=1, max_size=40), st.integers(0, 2**32))
def test_a23_replay_and_duplicate(order: list[int], seed: int) -> None:
    """A-23: each ciphertext reads once, in whatever order and however often it comes. [R-7.4-4] [R-7.5-1]"""
    alice, bob = open_sessions(seed)
    sent = []
    for number in range(12):
        alice, message = session.encrypt(alice, TEXT, b"%d" % number, randomness=SOURCE)
        sent.append(message)
    seen: set[int] = set()
    for number in order:
        before = bob
        if number in seen:
            with pytest.raises(Duplicate):
                session.decrypt(bob, sent[number], now=NOW)
            assert bob == before
            continue
        bob, received = session.decrypt(bob, sent[number], now=NOW)
        assert received.content == b"%d" % number
        seen.add(number)


@pytest.mark.parametrize("rounds", [2, 6, 14, 40])
def test_a24_a_message_two_epochs_late(rounds: int) -> None:
    """A-24: reads across steps of both ratchets while its keys are kept, once; else it fails cleanly. [R-7.5-2]"""
    alice, bob = ping_pong(open_sessions("late"), 10, SOURCE)
    start = bob.epoch
    alice, late = session.encrypt(alice, TEXT, b"late", randomness=SOURCE)
    alice, lost = session.encrypt(alice, TEXT, b"lost", randomness=SOURCE)
    alice, bob = ping_pong((alice, bob), rounds, SOURCE)
    if rounds >= 14:
        assert bob.epoch >= start + 2
    bob, received = session.decrypt(bob, late, now=NOW)
    assert received.content == b"late"
    with pytest.raises(DecryptError):
        session.decrypt(bob, late, now=NOW)
    forgetful = session.forget(bob, NOW + 7 * 86_400)
    with pytest.raises(DecryptError):
        session.decrypt(forgetful, lost, now=NOW + 7 * 86_400)
    assert session.decrypt(bob, lost, now=NOW)[1].content == b"lost"


def test_a26_a_forged_message_does_not_move_the_root() -> None:
    """A-26: with a fresh DH key and an authentic header but a body that fails, nothing is committed. [R-7.4-4]"""
    alice, bob = ping_pong(open_sessions("pollution"), 6, SOURCE)
    bob, answer = session.encrypt(bob, TEXT, b"x", randomness=SOURCE)
    alice, _ = session.decrypt(alice, answer, now=NOW)
    for _ in range(6):
        mallory_key = primitives.x25519_public(SOURCE.draw(32))
        alice, good = session.encrypt(alice, TEXT, b"good", randomness=SOURCE)
        before = frozen(bob)
        bad_body = good[:-1] + bytes([good[-1] ^ 1])
        for forged, error in (
            (bad_body, Tampered),
            (good[:82] + bytes(1_072), Tampered),
            (bytes(82) + good[82:], UnknownHeader),
        ):
            with pytest.raises(error):
                session.decrypt(bob, forged, now=NOW)
            assert frozen(bob) == before
        stepping = craft(alice, SOURCE, PADDED, dh=mallory_key, com=bytes(32))
        with pytest.raises(Tampered):
            session.decrypt(bob, stepping, now=NOW)
        assert frozen(bob) == before
        bob, received = session.decrypt(bob, good, now=NOW)
        assert received.content == b"good"
        alice, bob = ping_pong((alice, bob), 2, SOURCE)


def starts(name: bytes, seed: str, names: tuple[str, str]) -> tuple[Session, Session, bytes]:
    """A session under a SID of our choice: its starter's side, the other's after one message, and that message."""
    one, other = (state._replace(sid=name) for state in fresh_sessions(seed, 0, names))
    one, message = session.encrypt(one, TEXT, b"first", randomness=SOURCE)
    return one, session.decrypt(other, message, now=NOW)[0], message


def test_a20_both_start_at_once() -> None:
    """A-20: both first messages read, and both sides settle on the same session. [R-6.5-2]"""
    a, a_at_bob, _ = starts(b"1", "alice starts", ("alice", "bob"))
    b, b_at_alice, _ = starts(b"2", "bob starts", ("bob", "alice"))
    alice, one = pairing.accept(pairing.initiate(Pair(), a, NOW), b_at_alice, NOW)
    bob, other = pairing.accept(pairing.initiate(Pair(), b, NOW), a_at_bob, NOW)
    assert one is other is Change.CROSSED
    assert alice.active is not None
    assert bob.active is not None
    assert alice.active.session.sid == bob.active.session.sid == b"1"


def test_a32_an_archived_session_is_not_revived() -> None:
    """A-32 (Sesame): messages on a replaced session are read while it drains and never make it active. [R-6.5-5]"""
    a, a_at_bob, _ = starts(b"1", "old", ("alice", "bob"))
    _, newer, _ = starts(b"2", "new", ("alice", "bob"))
    bob, _ = pairing.accept(Pair(), a_at_bob, NOW)
    bob, change = pairing.accept(bob, newer, NOW)
    assert change is Change.REPLACED
    for _ in range(3):
        a, message = session.encrypt(a, TEXT, b"revive me", randomness=SOURCE)
        bob, _ = pairing.read(bob, message, NOW)
        assert bob.active is not None
        assert bob.active.session.sid == b"2"
    a, message = session.encrypt(a, TEXT, b"too late", randomness=SOURCE)
    with pytest.raises(UnknownHeader):
        pairing.read(pairing.tick(bob, NOW + 86_400), message, NOW + 86_400)


def test_a78_a_session_reset_loop() -> None:
    """A-78: a peer replaces a session once a day; a second first message is refused. [R-6.5-3]"""
    bob, _ = pairing.accept(Pair(), starts(b"1", "one", ("alice", "bob"))[1], NOW)
    bob, _ = pairing.accept(bob, starts(b"2", "two", ("alice", "bob"))[1], NOW)
    for later in (0, 3_600, 86_399):
        with pytest.raises(SessionError):
            pairing.accept(bob, starts(b"3", "three", ("alice", "bob"))[1], NOW + later)
    assert pairing.accept(bob, starts(b"3", "three", ("alice", "bob"))[1], NOW + 86_400)[1] is Change.REPLACED
    assert replace(bob, replaced=None) != bob


def test_a23_a_late_message_takes_both_its_keys() -> None:
    """A-23: each ratchet alone refuses the second copy: the late message's keys are gone from both maps. [R-7.5-2]"""
    alice, bob = fresh_sessions("late keys")
    sent = []
    for _ in range(4):
        alice, message = session.encrypt(alice, TEXT, b"x", randomness=SOURCE)
        sent.append(message)
    for number, left in ((3, 3), (1, 2), (0, 1), (2, 0)):
        bob, _ = session.decrypt(bob, sent[number], now=NOW)
        assert sum(len(old.keys) for old in bob.ratchet.skipped) == len(bob.chains.skipped) == bob.missing == left
