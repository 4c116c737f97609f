"""The classical ratchet on its own: how it starts, steps, skips and forgets."""

from __future__ import annotations

from typing import Final, NamedTuple

import pytest

from simulator import NOW, Seeded, fresh_sessions
from troth_protocol import chain, primitives, ratchet
from troth_protocol.chain import HeaderKey, MessageKey
from troth_protocol.errors import BadKey, ChainExhausted, Duplicate, SessionError, TooManySkipped
from troth_protocol.ratchet import Due, Ratchet, Responder, Sending

SOURCE = Seeded("ratchet")
WEEK: Final = 7 * 86_400


class Head(NamedTuple):
    """What a message's header says to the ratchet."""

    header_key: HeaderKey
    dh: bytes
    pn: int
    n: int


def start() -> tuple[Ratchet, Ratchet]:
    """A's and B's ratchets right after a handshake."""
    a, b = fresh_sessions("ratchet")
    return a.ratchet, b.ratchet


def send(state: Ratchet) -> tuple[Ratchet, Head, MessageKey]:
    """One message sent."""
    stepped, sending = ratchet.ready_to_send(state, SOURCE)
    key, message = chain.classical_step(sending.key)
    head = Head(sending.header_key, sending.ours.public.raw, sending.previous_length, sending.n)
    return stepped._replace(sending=sending._replace(key=key, n=sending.n + 1)), head, message


def burst(state: Ratchet, count: int) -> tuple[Ratchet, list[tuple[Head, MessageKey]]]:
    """So many messages sent in a row."""
    out = []
    for _ in range(count):
        state, head, key = send(state)
        out.append((head, key))
    return state, out


def receive(state: Ratchet, head: Head, now: int = NOW) -> tuple[Ratchet, MessageKey]:
    """One message received."""
    return ratchet.take_key(state, *head, now)


def skipped_count(state: Ratchet) -> int:
    """How many keys are kept."""
    return sum(len(old.keys) for old in state.skipped)


def test_the_initiator_starts_from_the_signed_prekey_with_a_fresh_key() -> None:
    """[R-7.1-3]: a first step with SPK_B, under HK_A, from a key that is not EK_A."""
    a, b = start()
    assert isinstance(a.sending, Due)
    assert isinstance(b.sending, Responder)
    assert a.sending.theirs == b.sending.ours.public
    assert a.receiving is None
    stepped, head, key = send(a)
    assert isinstance(stepped.sending, Sending)
    assert head.header_key == a.next_send_header
    assert (head.pn, head.n) == (0, 0)
    fresh = stepped.sending.ours
    root, first, following = chain.root_step(a.root, fresh.exchange(a.sending.theirs))
    assert (stepped.root, stepped.next_send_header) == (root, following)
    assert chain.classical_step(first)[1] == key


def test_the_responder_steps_away_from_its_prekey_at_the_first_receipt() -> None:
    """[R-7.1-4]: and has nothing to send on before it."""
    a, b = start()
    with pytest.raises(SessionError, match="a responder cannot send"):
        ratchet.ready_to_send(b, SOURCE)
    _, head, key = send(a)
    moved, found = receive(b, head)
    assert found == key
    assert isinstance(moved.sending, Due)
    assert moved.sending.theirs.raw == head.dh
    assert moved.sending.previous_length == 0


def test_a_step_closes_the_old_chain_at_pn() -> None:
    """[R-7.1-5]"""
    a, b = start()
    a, first = burst(a, 5)
    b, _ = receive(b, first[1][0])
    b, answer, _ = send(b)
    a, _ = receive(a, answer)
    a, second = burst(a, 3)
    assert second[0][0].pn == 5
    b, found = receive(b, second[2][0])
    assert found == second[2][1]
    assert skipped_count(b) == 4 + 2
    for head, key in [first[4], second[0], first[0], first[2], second[1], first[3]]:
        b, found = receive(b, head)
        assert found == key
    assert b.skipped == ()
    for head, _ in (first[0], second[2]):
        with pytest.raises(Duplicate):
            receive(b, head)


def test_two_steps_without_ours_between_are_refused() -> None:
    """[R-7.1-5]"""
    a, b = start()
    a, head, _ = send(a)
    b, _ = receive(b, head)
    forged = Head(b.next_receive_header, SOURCE.draw(31) + b"\x00", 0, 0)
    with pytest.raises(SessionError, match="stepped twice"):
        receive(b, forged)


def test_a_step_to_a_bad_key_is_refused() -> None:
    """[R-3.1-2]"""
    a, b = start()
    _, head, _ = send(a)
    with pytest.raises(BadKey):
        receive(b, head._replace(dh=bytes(32)))


def test_a_thousand_keys_may_be_skipped_and_no_more() -> None:
    """[R-7.5-1]: in one chain, and at a step in either."""
    a, b = start()
    a, sent = burst(a, 1_002)
    with pytest.raises(TooManySkipped, match="1001 keys would be skipped; the limit is 1000"):
        receive(b, sent[1_001][0])
    at_step, found = receive(b, sent[1_000][0])
    assert found == sent[1_000][1]
    assert skipped_count(at_step) == 1_000
    b, _ = receive(b, sent[0][0])
    assert receive(b, sent[1_001][0])[1] == sent[1_001][1]
    b, answer, _ = send(b)
    a, _ = receive(a, answer)
    a, head, key = send(a)
    with pytest.raises(TooManySkipped):
        receive(b, head)  # pn: 1,001 of the old chain are missing
    b, _ = receive(b, sent[1][0])
    assert receive(b, head)[1] == key


def test_two_thousand_skipped_keys_are_kept_and_the_oldest_go_first() -> None:
    """[R-7.5-2]"""
    a, b = start()
    a, sent = burst(a, 2_403)
    for at in (800, 1_601, 2_402):
        b, _ = receive(b, sent[at][0])
    assert skipped_count(b) == ratchet.MAX_SKIPPED == 2_000
    for lost in (0, 399):
        with pytest.raises(Duplicate, match="read or forgotten"):
            receive(b, sent[lost][0])
    for kept in (400, 799, 1_000, 2_401):
        assert receive(b, sent[kept][0])[1] == sent[kept][1]


def test_a_skipped_key_is_kept_seven_days() -> None:
    """[R-7.5-2]"""
    a, b = start()
    a, sent = burst(a, 4)
    b, _ = receive(b, sent[1][0], NOW)
    kept = b._replace(skipped=ratchet.prune(b.skipped, NOW + WEEK - 1))
    assert receive(kept, sent[0][0], NOW + WEEK - 1)[1] == sent[0][1]
    assert ratchet.prune(b.skipped, NOW + WEEK) == ()
    later, _ = receive(b, sent[3][0], NOW + WEEK)
    with pytest.raises(Duplicate):
        receive(later, sent[0][0], NOW + WEEK)
    assert receive(later, sent[2][0], NOW + WEEK)[1] == sent[2][1]


def test_sixty_four_old_header_keys_are_kept_newest_first() -> None:
    """[R-7.5-3]: and only of chains with skipped keys left; forgetting them costs nothing else."""
    a, b = start()
    first: list[tuple[Head, MessageKey]] = []
    for _ in range(70):
        a, two = burst(a, 2)
        first.append(two[0])
        b, _ = receive(b, two[1][0])
        b, answer, _ = send(b)
        a, _ = receive(a, answer)
    assert len(b.skipped) == ratchet.MAX_OLD_HEADERS == 64
    assert [old.header_key for old in b.skipped] == [head.header_key for head, _ in first[-64:]]
    assert receive(b, first[6][0])[1] == first[6][1]
    with pytest.raises(Duplicate):
        receive(b, first[5][0])
    emptied, _ = receive(b, first[40][0])
    assert first[40][0].header_key not in {old.header_key for old in emptied.skipped}


def test_forgetting_old_chains_does_not_count_their_keys_twice() -> None:
    """[R-7.5-2] [R-7.5-3]: keys that go with a 65th chain make room; no other key goes for them."""
    kept = (MessageKey(bytes(32)), NOW)
    chains = tuple(
        ratchet.SkippedChain(HeaderKey(bytes([number]) * 32), dict.fromkeys(range(31), kept)) for number in range(65)
    )
    assert ratchet.prune(chains, NOW) == chains[1:]


def test_a_chain_ends_at_2_to_the_16() -> None:
    """[R-7.5-4]: sending is refused until the peer's answer makes a step possible."""
    a, b = start()
    a, head, _ = send(a)
    assert isinstance(a.sending, Sending)
    last = a._replace(sending=a.sending._replace(n=2**16 - 1))
    last, final, _ = send(last)
    assert final.n == 2**16 - 1
    with pytest.raises(ChainExhausted):
        ratchet.ready_to_send(last, SOURCE)
    b, _ = receive(b, head)
    _, answer, _ = send(b)
    last, _ = receive(last, answer)
    assert send(last)[1].pn == 2**16


def test_headers_open_under_this_chain_the_next_and_old_ones() -> None:
    """[R-7.5-3]"""
    a, b = start()
    transcript = b"t" * 32

    def sealed(head: Head) -> bytes:
        return bytes(12) + primitives.aead_seal(head.header_key, bytes(12), bytes(54), transcript)

    a, first = burst(a, 2)
    assert ratchet.open_header(b, sealed(first[1][0]), transcript) == (bytes(54), first[1][0].header_key)
    b, _ = receive(b, first[1][0])
    b, answer, _ = send(b)
    a, _ = receive(a, answer)
    a, following, _ = send(a)
    b, _ = receive(b, following)
    for head in (first[0][0], following):
        assert ratchet.open_header(b, sealed(head), transcript) == (bytes(54), head.header_key)
    assert ratchet.open_header(b, sealed(following), b"u" * 32) is None
    b, _ = receive(b, first[0][0])
    assert ratchet.open_header(b, sealed(first[0][0]), transcript) is None
