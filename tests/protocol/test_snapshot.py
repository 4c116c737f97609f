"""Snapshots: every state to bytes and back, and nothing but refusals for bytes that are no snapshot."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import NOW, TEXT, Seeded, fresh_sessions, one_time_batch
from troth_protocol import session, snapshot
from troth_protocol.errors import BadKey, DecodeError
from troth_protocol.pairing import Held, Pair
from troth_protocol.pq_exchange import HaveKey, Idle, ReceiveCiphertext, ReceiveKey, SendCiphertext, SendKey
from troth_protocol.ratchet import Due, Responder, Sending
from troth_protocol.session import Session

SOURCE = Seeded("snapshot")


def every_session() -> list[Session]:
    """Sessions in every state: fresh, stepping, with skipped keys in both maps and symbols half collected."""
    sides = list(fresh_sessions("snapshot"))
    seen = [*sides]
    late: list[bytes] = []
    for turn in range(40):
        side = turn % 2
        for length in (700, 20) if turn % 3 == 0 else (700,):
            sides[side], message = session.encrypt(sides[side], TEXT, bytes(length), randomness=SOURCE)
            if length == 700 and turn % 3 == 0:
                late.append(message)
                continue
            seen.append(sides[side])
            sides[1 - side], _ = session.decrypt(sides[1 - side], message, now=NOW)
            seen.append(sides[1 - side])
    return seen


SESSIONS = every_session()
PAIR = Pair(Held(SESSIONS[-1], own=True, first_received=NOW), Held(SESSIONS[5], own=False, drains_until=NOW + 9), NOW)
RAW = snapshot.encode_pair(PAIR)


def test_the_sessions_are_in_every_state() -> None:
    exchanges = {type(one.exchange.state) for one in SESSIONS}
    assert exchanges == {Idle, SendKey, ReceiveCiphertext, ReceiveKey, HaveKey, SendCiphertext}
    assert {type(one.ratchet.sending) for one in SESSIONS} == {Responder, Due, Sending}
    assert any(one.ratchet.skipped and one.chains.skipped for one in SESSIONS)
    assert any(one.chains.next_sending and one.chains.next_receiving for one in SESSIONS)
    assert any(isinstance(one.exchange.state, ReceiveKey) and one.exchange.state.have for one in SESSIONS)


def test_every_session_reads_back() -> None:
    for one in SESSIONS:
        pair = Pair(Held(one, own=one.initiator))
        assert snapshot.decode_pair(snapshot.encode_pair(pair)) == pair


@pytest.mark.parametrize(
    "pair",
    [
        Pair(), PAIR, Pair(replaced=0), Pair(draining=PAIR.draining),
        Pair(Held(SESSIONS[0], own=True, first_received=0, drains_until=0, revivable=True)),
    ],
)  # fmt: skip
def test_every_pair_reads_back(pair: Pair) -> None:
    assert snapshot.decode_pair(snapshot.encode_pair(pair)) == pair


def test_a_session_read_back_goes_on() -> None:
    alice, bob = SESSIONS[-2:] if SESSIONS[-2].initiator else SESSIONS[:-3:-1]
    for _ in range(8):
        restored = snapshot.decode_pair(snapshot.encode_pair(Pair(Held(alice, own=True), Held(bob, own=False))))
        assert restored.active is not None
        assert restored.draining is not None
        alice, message = session.encrypt(restored.active.session, TEXT, b"on", randomness=SOURCE)
        bob, received = session.decrypt(restored.draining.session, message, now=NOW)
        assert received.content == b"on"
        alice, bob = bob, alice


def test_private_prekeys_read_back_with_used_pairs_left_out() -> None:
    secrets, _, _ = one_time_batch()
    pairs = secrets.one_time
    used = replace(secrets, one_time=(None, *pairs[1:60], None, *pairs[61:]))
    raw = snapshot.encode_prekeys(used)
    assert snapshot.decode_prekeys(raw) == used
    assert snapshot.decode_prekeys(snapshot.encode_prekeys(secrets)) == secrets
    assert pairs[0] is not None
    assert pairs[0].kem_seed not in raw
    for wrong in (b"", raw[:-1], raw + b"\x00", b"\x02" + raw[1:], raw[:-1_000]):
        with pytest.raises(DecodeError):
            snapshot.decode_prekeys(wrong)


def test_cut_or_lengthened_snapshots_are_refused() -> None:
    for length in range(0, len(RAW), 7):
        with pytest.raises(DecodeError):
            snapshot.decode_pair(RAW[:length])
    with pytest.raises(DecodeError):
        snapshot.decode_pair(RAW + b"\x00")
    with pytest.raises(DecodeError):
        snapshot.decode_pair(b"\x02" + RAW[1:])


@settings(max_examples=400, deadline=None)
@given(st.integers(0, len(SESSIONS) - 1), st.lists(st.tuples(st.integers(0, 9_999), st.integers(1, 255)), max_size=3))
def test_corrupted_snapshots_raise_decode_errors_and_bad_keys_only(which: int, changes: list[tuple[int, int]]) -> None:
    raw = bytearray(snapshot.encode_pair(Pair(Held(SESSIONS[which], own=True))))
    for place, change in changes:
        raw[place % len(raw)] ^= change
    try:
        read = snapshot.decode_pair(bytes(raw))
    except (DecodeError, BadKey):
        return
    assert snapshot.decode_pair(snapshot.encode_pair(read)) == read


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_random_bytes_raise_decode_errors_and_bad_keys_only(raw: bytes) -> None:
    for decode in (snapshot.decode_pair, snapshot.decode_prekeys):
        try:
            decode(b"\x01" + raw)
        except (DecodeError, BadKey):
            continue
