"""[R-13.4-2]: a clock that jumps while a client runs erases no more than a day for each hour that passes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from client.world import Template, settle
from troth_client.driver import Driver
from troth_client.events import AddMessage, MessageState, Put, Tick
from troth_client.routes.dial import ANYWHERE
from troth_client.routes.direct import Direct
from troth_client.steady import Steady, elapsed
from troth_client.vault.store import Vault
from troth_protocol.manifest import DAY
from troth_protocol.primitives import SystemRandomness
from troth_protocol.writing import MOST_TIMER

YEAR = 365 * DAY


class Clocks:
    """A wall clock that anybody may set, and the time that really passes."""

    def __init__(self, wall: float) -> None:
        self.wall = wall
        self.real = 0.0

    def pass_(self, seconds: float) -> None:
        self.wall += seconds
        self.real += seconds

    def steady(self) -> Steady:
        return Steady(lambda: self.wall, lambda: self.real)


def test_a_day_for_each_hour_and_no_more() -> None:
    clocks = Clocks(1_000_000)
    steady = clocks.steady()
    clocks.pass_(10)
    assert steady.due() == 1_000_010
    clocks.wall += 10 * YEAR
    assert steady.due() == 1_000_010
    clocks.pass_(3_600)
    assert steady.due() == 1_000_010 + DAY
    clocks.wall = 1_003_700  # set right again: nothing of the jump is left
    assert steady.due() == 1_003_700
    clocks.pass_(DAY)  # a machine that slept for a day: real time
    assert steady.due() == 1_003_700 + DAY
    clocks.wall -= YEAR
    assert steady.due() == 1_003_700 + DAY - YEAR
    assert Clocks(5 * YEAR).steady().due() == 5 * YEAR, "a start takes the clock at its word"
    assert elapsed() > 0


@pytest.fixture
def shell(template: Template, tmp_path: Path) -> tuple[Vault, Clocks, Callable[[], Driver], bytes]:
    vault = Vault.create(tmp_path / "vault", "pass", SystemRandomness(), operations=1, memory=64 * 1024)
    rows, contact = template.disks[0].rows, next(iter(template.disks[0].rows["contact"]))
    vault.apply(tuple(Put(kind, key, raw) for kind, records in rows.items() for key, raw in records.items()))
    clocks = Clocks(float(template.now))

    def start() -> Driver:
        driver = Driver(vault, SystemRandomness(), Direct(ANYWHERE), clock=lambda: clocks.wall)
        driver._steady = clocks.steady()
        return driver

    return vault, clocks, start, contact


def test_an_open_vault_is_not_emptied(shell: tuple[Vault, Clocks, Callable[[], Driver], bytes]) -> None:
    """Neither of what disappears nor of what lets contacts write; a right clock is obeyed."""
    vault, clocks, start, contact = shell
    now = int(clocks.wall)
    vault.apply((AddMessage(contact, b"i" * 16, MessageState.RECEIVED, now, now, "for a week", 7 * DAY),))
    driver = start()
    driver.mark_read(contact)
    before = {kind: set(vault.records(kind)) for kind in ("nonce", "token", "generation", "peer")}
    clocks.wall += 10 * YEAR
    clocks.pass_(3_600)
    driver.handle(Tick(driver._steady.due()))
    driver.fade()
    assert [line.text for line in driver.history(contact)] == ["for a week"]
    assert all(before[kind] <= set(vault.records(kind)) for kind in before)
    assert len(before["nonce"]) > 60
    clocks.wall = now + 7 * DAY + 1
    clocks.real += 7 * 3_600
    driver.fade()
    assert driver.history(contact) == []
    vault.close()


def test_what_was_read_under_a_wrong_clock_does_not_stay_for_years(
    shell: tuple[Vault, Clocks, Callable[[], Driver], bytes],
) -> None:
    """[R-13.4-1]: nothing disappears later than its whole time from now."""
    vault, clocks, start, contact = shell
    now = int(clocks.wall)
    vault.apply((AddMessage(contact, b"i" * 16, MessageState.RECEIVED, now, now, "for an hour", 3_600),))
    driver = start()
    clocks.wall += 10 * YEAR
    driver.mark_read(contact)
    clocks.wall = now
    driver.fade()
    (line,) = driver.history(contact)
    assert line.expires <= now + MOST_TIMER
    assert line.expires == now + 3_600
    vault.close()


def test_the_messenger_goes_by_the_last_tick(template: Template, tmp_path: Path) -> None:
    """A connection made while the clock is wrong tidies no more than the tick before it allowed."""
    _, one, other = template.begin(tmp_path)
    settle(one, other)
    one.handle(Tick(one.now))
    tokens = dict(one.disk.rows["token"])
    right = one.now
    one.now += 10 * YEAR
    one.handle(Tick(right + 1))
    one.connect()
    assert one.disk.rows["token"] == tokens
    one.handle(Tick())
    one.now += 3_601
    one.handle(Tick())
    assert not one.disk.rows["token"]
