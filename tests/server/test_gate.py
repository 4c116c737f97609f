"""The gate and the buckets: who may come in, what a network may spend, and that no table grows or is flushed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from troth_server.gate import Gate, Refusal, Shut, Visit
from troth_server.limits import ROWS, SAMPLE, SOFT_AT_ONCE, SOFT_EACH, WIDE, Bucket, Buckets, Rates

RATES = Rates(
    network_connections=4, network_connects_at_once=6, network_connects_per_second=1, network_handshakes=3,
    network_creations_at_once=2, network_creations_per_minute=60, network_failures_at_once=2,
    network_failures_per_minute=60,
)  # fmt: skip
HERE, THERE = "192.0.2.1", "192.0.2.2"


def gate(most: int = 1_000, rates: Rates = RATES) -> Gate:
    return Gate(rates, most, b"s" * 32)


def come(door: Gate, address: str | None, now: float = 0) -> Visit:
    """In and done with the handshake."""
    visit = door.enter(address, now)
    assert isinstance(visit, Visit), visit
    visit.settled()
    return visit


def refusal(door: Gate, address: str, now: float = 0) -> Refusal | None:
    return come(door, address, now).refusal


def test_a_network_may_open_so_many_connections() -> None:
    """[R-11.6-1]"""
    door = gate()
    visits = [come(door, HERE) for _ in range(4)]
    assert [each.refusal for each in visits] == [None] * 4
    refused = refusal(door, HERE)
    assert refused is not None
    assert refused.status == 429
    assert refused.retry_after > 0
    assert refusal(door, THERE) is None
    visits[0].left()
    visits[0].left()  # twice is once
    assert door.total == 5
    assert refusal(door, HERE) is not None  # the refused one is still there
    door = gate()
    visits = [come(door, HERE) for _ in range(4)]
    visits[0].left()
    assert refusal(door, HERE) is None


def test_a_network_may_connect_so_fast_and_is_told_for_a_while_then_shut_out() -> None:
    """[R-11.6-1]"""
    door = gate(rates=replace(RATES, network_connections=100))
    seen = []
    for _ in range(40):
        visit = door.enter(HERE, 0)
        if isinstance(visit, Visit):
            visit.left()
        seen.append("shut" if isinstance(visit, Shut) else visit.refusal)
    assert seen[:6] == [None] * 6
    assert seen[6 : 6 + SOFT_EACH] == [Refusal(429, 1)] * SOFT_EACH
    assert seen[6 + SOFT_EACH :] == ["shut"] * (34 - SOFT_EACH)
    assert refusal(door, THERE) is None
    assert refusal(door, HERE, 2) is None


def test_the_budget_for_telling_is_bounded_for_all() -> None:
    door = gate(most=0)
    told = [door.enter(f"198.51.100.{n}", 0) for n in range(2 * SOFT_AT_ONCE)]
    assert [type(each) for each in told] == [Visit] * SOFT_AT_ONCE + [Shut] * SOFT_AT_ONCE
    assert all(each.refusal == Refusal(503, 30) for each in told if isinstance(each, Visit))


def test_handshakes_under_way_are_counted_until_they_are_done() -> None:
    door = gate()
    visits = [door.enter(HERE, 0) for _ in range(3)]
    assert door.enter(HERE, 0) is Shut.HANDSHAKES
    assert isinstance(door.enter(THERE, 0), Visit)
    first = visits[0]
    assert isinstance(first, Visit)
    first.settled()
    assert isinstance(door.enter(HERE, 0), Visit)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("0.0.0.1", "::1", False),
    ],
)
def test_a_network_is_an_ipv4_address_or_an_ipv6_64(one: str, other: str, same: bool) -> None:
    """[R-11.6-1]"""
    door = gate()
    for _ in range(4):
        come(door, one)
    assert (refusal(door, other) is not None) == same


def test_a_48_has_a_few_times_the_room_of_a_64() -> None:
    """B052: a thousand addresses, and 65,536 networks of one site, are no thousand limits."""
    door = gate(rates=replace(RATES, network_connects_at_once=4, network_connections=100))
    free = sum(refusal(door, f"2001:db8:1:{n:x}::{n:x}") is None for n in range(40))
    assert free == 4 * WIDE
    assert refusal(door, "2001:db8:2::1") is None


def test_failures_shut_out_newcomers_only() -> None:
    """[R-11.6-4]"""
    door = gate()
    good, bad = come(door, HERE), come(door, HERE)
    assert [bad.failed(0) for _ in range(3)] == [False, False, True]
    assert refusal(door, HERE) is not None
    assert good.create(0) == 0
    assert refusal(door, THERE) is None
    assert refusal(door, HERE, 5) is None


def test_mailboxes_are_rationed_by_network() -> None:
    door = gate()
    visits = [come(door, HERE) for _ in range(3)]
    assert [each.create(0) for each in visits] == [0, 0, 1]
    assert come(door, THERE).create(0) == 0
    assert visits[2].create(1) == 0


def test_uploads_are_rationed_by_network() -> None:
    """Many mailboxes of one network do not fill the relay's room for blobs. [R-11.6-3]"""
    door = gate(rates=replace(RATES, network_uploads_at_once=2, network_uploads_per_minute=60))
    visits = [come(door, HERE) for _ in range(3)]
    assert [each.upload(0) for each in visits] == [0, 0, 1]
    assert come(door, THERE).upload(0) == 0
    assert visits[2].upload(1) == 0
    assert come(door, None).upload(0) == 0


def test_without_addresses_only_the_whole_is_counted() -> None:
    door = gate(most=50)
    visits = [come(door, None) for _ in range(51)]
    assert [each.refusal for each in visits] == [None] * 50 + [Refusal(503, 30)]
    assert not any(visits[0].failed(0) for _ in range(1_000))
    assert all(each.create(0) == 0 for each in visits)
    for each in visits:
        each.left()
    assert door.total == 0


def test_a_new_salt_keeps_who_is_here_and_forgets_who_was() -> None:
    """[R-11.6-2]"""
    door = gate(rates=replace(RATES, network_connections=3))
    here = [come(door, HERE) for _ in range(3)]
    gone = [come(door, THERE) for _ in range(3)]
    assert [here[0].failed(0) for _ in range(3)][-1]
    assert [gone[0].failed(0) for _ in range(3)][-1]
    before = door.row(HERE)
    for each in gone:
        each.left()
    door.turn(b"t" * 32, [(HERE, each) for each in here])
    assert door.row(HERE) != before
    assert refusal(door, HERE) is not None  # still three open, and still in debt
    assert refusal(door, THERE) is None
    for each in here:
        each.left()
    assert refusal(door, HERE, 5) is None
    assert door._narrow.open.keys() == {door.row(HERE), door.row(THERE)}


def test_nothing_of_an_address_is_kept() -> None:
    """[R-11.6-2]"""
    door = gate()
    visit = come(door, HERE)
    held = repr([vars_of(door._narrow), visit._places, visit.refusal])
    assert HERE not in held
    assert bytes([192, 0, 2, 1]).hex() not in b"".join(door._narrow.open).hex()


def vars_of(thing: object) -> list[object]:
    return [getattr(thing, name) for name in getattr(type(thing), "__slots__", ())]


def test_a_flood_of_networks_neither_grows_the_tables_nor_locks_anybody_out() -> None:
    """B052: limiter memory is bounded, and a newcomer finds a place."""
    door = gate(most=10**9)
    for number in range(ROWS + 2_000):
        address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        come(door, address, number / 1_000).left()
    assert len(door._narrow.connects) == ROWS
    assert not door._narrow.open
    assert not door._narrow.handshakes
    assert refusal(door, "172.16.0.1", 20) is None


# Buckets.


def test_ones_own_debt_is_not_flushed_by_others_that_owe_nothing() -> None:
    table = Buckets(100, 2, 0.001)
    assert [table.take(b"debtor", 0) for _ in range(3)][:2] == [0, 0]
    for number in range(10_000):
        table.take(number.to_bytes(4, "big"), number / 1_000)
        assert len(table) <= 100
    assert table.wait(b"debtor", 10) > 0


def test_among_debtors_the_one_that_owes_least_is_forgotten() -> None:
    table = Buckets(SAMPLE, 10, 0.000_001)
    for number in range(SAMPLE):
        for _ in range(number + 1):
            table.take(bytes([number]), 0)
    table.take(b"new", 0)
    assert len(table) == SAMPLE
    for _ in range(9):
        assert table.take(b"\x00", 0) == 0  # forgotten: full again
    assert [table.take(bytes([SAMPLE - 1]), 0) for _ in range(3)] == [0, 0, pytest.approx(10**6, rel=0.01)]


def test_a_bucket_of_fractions_and_amounts() -> None:
    bucket = Bucket(10, 5)
    assert bucket.take(0, 8) == 0
    assert bucket.take(0.0, 4) == 1
    assert bucket.take(0.5, 4) == 0
    assert bucket.owed(0.5) == pytest.approx(0.95)
    assert bucket.take(-100) == 1  # a clock that goes back refills nothing
    assert bucket.take(-99) == 0  # and goes on from there


def test_the_defaults_let_two_hundred_clients_in_at_once() -> None:
    door = Gate(Rates(), 10_000, b"s" * 32)
    visits = [door.enter(HERE, 0) for _ in range(200)]
    assert all(isinstance(each, Visit) and each.refusal is None for each in visits)
    for each in visits:
        assert isinstance(each, Visit)
        each.settled()
        assert each.create(0) == 0
    assert all(refusal(door, HERE) is None for _ in range(200))
