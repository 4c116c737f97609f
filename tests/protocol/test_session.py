"""One message made of both ratchets: its sizes and bytes, and the order in which it is doubted."""

from __future__ import annotations

import itertools

import pytest

from simulator import HEADER, NOW, TEXT, Seeded, craft, fresh_sessions, open_sessions, ping_pong
from troth_protocol import chain, frame, pq_chains, primitives, ratchet, session
from troth_protocol.errors import (
    DecodeError,
    Duplicate,
    PeerError,
    SessionError,
    Tampered,
    TextTooLong,
    TooManySkipped,
    UnknownHeader,
)
from troth_protocol.frame import Frame, Kind, Symbols, Tokens

SOURCE = Seeded("session")
PADDED = frame.encode(Frame(TEXT, b"crafted"))


@pytest.mark.parametrize(
    ("length", "size"),
    [
        (0, 1_154), (844, 1_154), (845, 4_226), (3_916, 4_226), (3_917, 16_514), (16_204, 16_514),
        (16_205, 65_666), (65_356, 65_666),
    ],
)  # fmt: skip
def test_a_message_has_one_of_four_sizes(length: int, size: int) -> None:
    """[R-9.2-2]"""
    alice, bob = open_sessions("sizes")
    _, message = session.encrypt(alice, TEXT, bytes(length), randomness=SOURCE)
    assert len(message) == size
    assert session.decrypt(bob, message, now=NOW)[1].content == bytes(length)


def test_any_other_size_is_refused() -> None:
    """[R-9.2-2]"""
    alice, bob = open_sessions("size")
    _, message = session.encrypt(alice, TEXT, b"x", randomness=SOURCE)
    for wrong in (b"", message[:-1], message + b"\x00", message[:82], message[:114]):
        with pytest.raises(DecodeError, match="is not a message's size"):
            session.decrypt(bob, wrong, now=NOW)
    with pytest.raises(TextTooLong):
        session.encrypt(alice, TEXT, bytes(65_357), randomness=SOURCE)


def test_the_bytes_of_a_message() -> None:
    """[R-7.3-1] [R-7.3-2] [R-7.4-1] [R-7.4-2]: header, commitment and body, each from its own key."""
    alice, bob = open_sessions("bytes")
    after, message = session.encrypt(alice, TEXT, b"words", randomness=SOURCE)
    encrypted, commitment, body = message[:82], message[82:114], message[114:]
    stepped, sending = ratchet.ready_to_send(alice.ratchet, SOURCE)
    assert stepped == alice.ratchet
    header = primitives.aead_open(sending.header_key, encrypted[:12], encrypted[12:], alice.transcript)
    assert header is not None
    assert HEADER.unpack(header) == (1, 0, sending.ours.public.raw, 0, 1, 1, 1, 0)
    _, mk_dr = chain.classical_step(sending.key)
    _, mk_pq = pq_chains.send_key(alice.chains)
    key, expected = chain.message_key(mk_pq, mk_dr, alice.transcript, encrypted)
    assert commitment == expected
    padded = primitives.aead_open(key, bytes(12), body, encrypted)
    assert padded is not None
    assert frame.decode(padded) == session.decrypt(bob, message, now=NOW)[1]
    assert (after.sid, after.transcript, after.initiator) == (bob.sid, bob.transcript, True)


def test_the_header_is_encrypted_under_a_random_nonce() -> None:
    """[R-7.3-1] [R-7.4-1]: so what one state sends twice has two keys."""
    alice, _ = open_sessions("nonce")
    one, other = (session.encrypt(alice, TEXT, b"same", randomness=SOURCE)[1] for _ in range(2))
    assert one[:12] != other[:12]
    assert one[82:] != other[82:]


def test_state_and_bytes_come_together_and_the_old_state_stays() -> None:
    """[R-13.1-1] [R-7.4-4]: what the caller stores in one transaction; a second message from the old state is lost."""
    alice, bob = open_sessions("transaction")
    kept = alice
    after, message = session.encrypt(alice, TEXT, b"one", randomness=SOURCE)
    assert alice == kept != after
    bob, _ = session.decrypt(bob, message, now=NOW)
    _, from_old_state = session.encrypt(alice, TEXT, b"two", randomness=SOURCE)
    with pytest.raises(Duplicate):
        session.decrypt(bob, from_old_state, now=NOW)
    with pytest.raises(Duplicate):  # a retry of the stored bytes does no harm
        session.decrypt(bob, message, now=NOW)
    _, following = session.encrypt(after, TEXT, b"two", randomness=SOURCE)
    assert session.decrypt(bob, following, now=NOW)[1].content == b"two"


@pytest.mark.parametrize(("version", "flags"), [(0, 0), (2, 0), (255, 0), (1, 1), (1, 128)])
def test_another_version_or_flag_is_a_session_error(version: int, flags: int) -> None:
    """[R-7.3-2]"""
    alice, bob = open_sessions("version")
    with pytest.raises(SessionError, match="header version"):
        session.decrypt(bob, craft(alice, SOURCE, PADDED, version=version, flags=flags), now=NOW)


def test_the_order_of_checks() -> None:
    """[R-7.4-3]: each message below is wrong from one check on, and that check is the one that answers."""
    alice, bob = open_sessions("order")
    far, bad = 2**32 - 1, bytes(32)
    good = craft(alice, SOURCE, PADDED)
    garbage = craft(alice, SOURCE, b"\x01" * 1_024)
    cases: list[tuple[bytes, type[PeerError], str]] = [
        (bytes(1_154), UnknownHeader, "opens under no key"),
        (craft(alice, SOURCE, PADDED, version=2, tag=9, n=far, com=bad), SessionError, "version"),
        (craft(alice, SOURCE, PADDED, tag=9, n=far, com=bad), SessionError, "ahead of ours"),
        (craft(alice, SOURCE, PADDED, n=far, com=bad), TooManySkipped, "skipped"),
        (craft(alice, SOURCE, PADDED, i=far, com=bad), TooManySkipped, "skipped"),
        (craft(alice, SOURCE, PADDED, com=bad)[:-1] + b"\x00", Tampered, "commitment"),
        (good[:-1] + bytes([good[-1] ^ 1]), Tampered, "tag"),
        (garbage, DecodeError, "frame"),
    ]
    for message, error, words in cases:
        with pytest.raises(error, match=words):
            session.decrypt(bob, message, now=NOW)
    assert session.decrypt(bob, good, now=NOW)[1].content == b"crafted"


def test_a_bad_exchange_is_judged_last() -> None:
    """[R-7.4-3] [R-8.2-4]"""
    alice, bob = open_sessions("exchange last")
    forged = frame.encode(Frame(TEXT, bytes(900), Symbols(Kind.CIPHERTEXT, 0, bytes(35 * 32))))
    message, before = craft(bob, SOURCE, forged), alice
    assert session.decrypt(bob, craft(alice, SOURCE, forged), now=NOW)[1].type == TEXT
    with pytest.raises(Tampered):
        session.decrypt(alice, message[:-1] + bytes([message[-1] ^ 1]), now=NOW)
    with pytest.raises(SessionError, match="ciphertext of epoch 1 is not authentic"):
        session.decrypt(alice, message, now=NOW)
    assert alice == before


def test_a_failure_leaves_the_state_and_the_next_message_reads() -> None:
    """[R-7.4-4]"""
    alice, bob = open_sessions("failure")
    alice, message = session.encrypt(alice, TEXT, b"good", randomness=SOURCE)
    for place in (0, 82, 114, 1_153):
        with pytest.raises(PeerError):
            session.decrypt(bob, message[:place] + bytes([message[place] ^ 1]) + message[place + 1 :], now=NOW)
    assert session.decrypt(bob, message, now=NOW)[1].content == b"good"


def test_the_peer_is_confirmed_when_epoch_one_is_complete() -> None:
    """[R-8.3-5]"""
    alice, bob = fresh_sessions("confirmed")
    seen = []
    sides = [alice, bob]
    for turn in range(6):
        sides[turn % 2], message = session.encrypt(sides[turn % 2], TEXT, b"x", randomness=SOURCE)
        sides[1 - turn % 2], _ = session.decrypt(sides[1 - turn % 2], message, now=NOW)
        seen.append((sides[0].confirmed, sides[1].confirmed))
    assert seen[0] == (False, False)
    assert seen[-1] == (True, True)
    assert all(later >= earlier for earlier, later in itertools.pairwise(seen))
    assert [side.epoch >= 2 for side in sides] == [True, True]


def test_tokens_and_stock_ride_along() -> None:
    alice, bob = open_sessions("tokens")
    tokens = Tokens(NOW + 5, (b"t" * 32, b"u" * 32))
    _, message = session.encrypt(alice, TEXT, b"x", randomness=SOURCE, tokens=tokens, stock=7)
    received = session.decrypt(bob, message, now=NOW)[1]
    assert (received.tokens, received.stock) == (tokens, 7)


def test_sessions_forget_skipped_keys_by_time() -> None:
    """[R-7.5-2]"""
    alice, bob = ping_pong(open_sessions("forget"), 10, SOURCE)
    alice, lost = session.encrypt(alice, TEXT, b"late", randomness=SOURCE)
    alice, message = session.encrypt(alice, TEXT, b"x", randomness=SOURCE)
    bob, _ = session.decrypt(bob, message, now=NOW)
    week = 7 * 86_400
    assert session.forget(bob, NOW + week - 1) == bob
    forgetful = session.forget(bob, NOW + week)
    assert forgetful.ratchet.skipped == ()
    assert forgetful.chains.skipped == {}
    with pytest.raises(Duplicate):
        session.decrypt(forgetful, lost, now=NOW + week)
    assert session.decrypt(bob, lost, now=NOW)[1].content == b"late"
