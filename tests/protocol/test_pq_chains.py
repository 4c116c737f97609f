"""The post-quantum chains on their own: switching, skipping, forgetting."""

from __future__ import annotations

from typing import Final

import pytest

from simulator import NOW
from troth_protocol import chain, pq_chains
from troth_protocol.chain import ChainKey, MessageKey
from troth_protocol.errors import ChainExhausted, Duplicate, SessionError, TooManySkipped
from troth_protocol.pq_chains import QuantumChains

ONE, OTHER = ChainKey(b"1" * 32), ChainKey(b"2" * 32)
THREE, FOUR = ChainKey(b"3" * 32), ChainKey(b"4" * 32)
WEEK: Final = 7 * 86_400


def start() -> tuple[QuantumChains, QuantumChains]:
    """Both sides of chain 0."""
    return pq_chains.start(ONE, OTHER), pq_chains.start(OTHER, ONE)


def key_at(first: ChainKey, index: int) -> MessageKey:
    """Key ``index`` of a chain, by counting."""
    for _ in range(index):
        first, _ = chain.quantum_step(first)
    return chain.quantum_step(first)[1]


def take(state: QuantumChains, tag: int, i: int, ppn: int = 0, now: int = NOW) -> tuple[QuantumChains, MessageKey]:
    """What a session does: limits first, then the key."""
    pq_chains.check_limits(state, tag, i, ppn)
    return pq_chains.take_key(state, tag, i, ppn, now)


def test_a_message_tagged_e_uses_chain_e_minus_1() -> None:
    """[R-7.2-1]"""
    a, b = start()
    a, sent = pq_chains.send_key(a)
    b, found = take(b, 1, 0)
    assert sent == found == key_at(ONE, 0)
    assert (a.sending.i, b.receiving.i) == (1, 1)


def test_keys_come_in_any_order_and_once() -> None:
    """[R-7.5-1]"""
    _, b = start()
    for i in (3, 0, 2, 1, 4):
        b, found = take(b, 1, i)
        assert found == key_at(ONE, i)
    assert b.skipped == {}
    for i in range(5):
        with pytest.raises(Duplicate):
            take(b, 1, i)


def test_switching_erases_the_chain_before_and_says_how_long_it_was() -> None:
    """[R-7.2-4]"""
    a, _ = start()
    with pytest.raises(SessionError, match="no post-quantum chain has been agreed"):
        pq_chains.switch_sending(a)
    for _ in range(3):
        a, _ = pq_chains.send_key(a)
    old = a.sending.key
    agreed = pq_chains.agree(a, THREE, FOUR)
    assert agreed.sending.key == old  # still sent on, until the exchange says otherwise
    switched = pq_chains.switch_sending(agreed)
    assert (switched.sending.number, switched.sending.i, switched.sending.previous_length) == (1, 0, 3)
    assert switched.sending.key == THREE
    assert switched.next_sending is None
    assert switched.next_receiving == FOUR


def test_the_first_tag_of_a_new_chain_closes_the_old_one_at_ppn() -> None:
    """[R-7.2-4]"""
    _, b = start()
    b, _ = take(b, 1, 1)
    b = pq_chains.agree(b, FOUR, THREE)
    b, found = take(b, 2, 2, ppn=5)
    assert found == key_at(THREE, 2)
    assert (b.receiving.number, b.receiving.i, b.next_receiving) == (1, 3, None)
    assert set(b.skipped) == {(0, 0), (0, 2), (0, 3), (0, 4), (1, 0), (1, 1)}
    assert key_at(ONE, 5) not in {key for key, _ in b.skipped.values()}
    b, found = take(b, 1, 4)
    assert found == key_at(ONE, 4)
    for tag, i in ((1, 4), (1, 5), (1, 1), (2, 2)):
        with pytest.raises(Duplicate):
            take(b, tag, i)


def test_a_chain_that_was_not_agreed_is_refused() -> None:
    _, b = start()
    for tag in (2, 3):
        with pytest.raises(SessionError, match="has not been agreed"):
            take(b, tag, 0)


def test_a_thousand_keys_may_be_skipped_and_no_more() -> None:
    """[R-7.5-1]: by i in the present chain, and by i and ppn at a new one."""
    _, b = start()
    assert len(take(b, 1, 1_000)[0].skipped) == 1_000
    agreed = pq_chains.agree(b, FOUR, THREE)
    assert len(take(agreed, 2, 1_000, ppn=1_000)[0].skipped) == 2_000
    for state, tag, i, ppn in ((b, 1, 1_001, 0), (agreed, 2, 1_001, 0), (agreed, 2, 0, 1_001), (b, 1, 2**32 - 1, 0)):
        with pytest.raises(TooManySkipped):
            take(state, tag, i, ppn)


def test_two_thousand_are_kept_for_seven_days_and_the_oldest_go_first() -> None:
    """[R-7.5-2]"""
    _, b = start()
    for i in (900, 1_801, 2_702):
        b, _ = take(b, 1, i)
    assert len(b.skipped) == 2_000
    assert next(iter(b.skipped)) == (0, 700)
    with pytest.raises(Duplicate):
        take(b, 1, 699)
    assert take(b, 1, 700)[1] == key_at(ONE, 700)
    assert len(pq_chains.prune(b.skipped, NOW + WEEK - 1)) == 2_000
    assert pq_chains.prune(b.skipped, NOW + WEEK) == {}


def test_a_chain_ends_at_2_to_the_16() -> None:
    """[R-7.5-4]"""
    a, _ = start()
    last = a._replace(sending=a.sending._replace(i=2**16 - 1))
    last, _ = pq_chains.send_key(last)
    with pytest.raises(ChainExhausted):
        pq_chains.send_key(last)
    moved = pq_chains.switch_sending(pq_chains.agree(last, THREE, FOUR))
    assert pq_chains.send_key(moved)[0].sending.previous_length == 2**16
