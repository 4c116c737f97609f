"""A clock that jumps: what is dropped, what is kept too long, and which rights it makes wrong. [R-11.7-8]"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server import disk
from server.conftest import no_fatal
from server.disk import SPARE, Uptime, furnish, home, queued, send
from server.talk import NOW, Box, ask
from troth_server import commands
from troth_server.commands import Deposited, Done, Refused
from troth_server.limits import DAY, HOUR, Quotas
from troth_server.storage import OpenStore, Store
from troth_server.storage.clock import FAST, STANDSTILL, Reckoning

YEAR = 365 * DAY


class Stand:
    """A store, a mailbox with one envelope in it, a clock and an uptime that the test moves."""

    def __init__(self, folder: Path, engine: OpenStore) -> None:
        self.folder, self.engine, self.uptime = folder, engine, Uptime()
        self.now = NOW
        self.store = self.open()
        self.box = home(self.store)
        assert isinstance(send(self.store, self.box, 1), Deposited)
        self.sweep()

    def open(self) -> Store:
        return self.engine(self.folder, Quotas(), no_fatal, self.uptime)

    def restart(self) -> None:
        self.store.close()
        self.store = self.open()
        self.sweep()

    def sweep(self) -> None:
        assert ask(self.store, commands.Expire(self.now)) == Done()

    def run(self, hours: float) -> None:
        """An hour and a sweep at a time; clock and uptime agree."""
        while hours > 0:
            step = min(hours, 1)
            self.uptime.seconds += HOUR * step
            self.now += int(HOUR * step)
            self.sweep()
            hours -= step

    def left(self) -> int:
        """How many envelopes the relay still has."""
        return sum(view.queued for view in self.store.view(10))


@pytest.fixture
def stand(tmp_path: Path, engine: OpenStore) -> Stand:
    return Stand(tmp_path, engine)


def test_a_jump_of_years_drops_nothing_at_once(stand: Stand) -> None:
    stand.now += 10 * YEAR
    stand.sweep()
    stand.run(13)
    assert stand.left() == 1
    stand.now -= 10 * YEAR  # noticed and mended
    stand.run(1)
    assert queued(stand.store, stand.box, stand.now) == [disk.body(1)]
    stand.store.close()


def test_a_clock_that_is_right_after_a_jump_is_caught_up_with(stand: Stand) -> None:
    """The machine stood still for 15 days: what is too old goes within 16 hours, not in a year."""
    stand.now += 15 * DAY
    stand.run(10)
    assert stand.left() == 1
    stand.run(6)
    assert stand.left() == 0
    stand.store.close()


def test_a_restart_takes_the_clock_at_its_word(stand: Stand) -> None:
    stand.now += 15 * DAY
    stand.restart()
    assert stand.left() == 0
    stand.store.close()


def test_time_that_was_run_through_needs_no_catching_up(stand: Stand) -> None:
    """[R-11.4-5]"""
    stand.run(14 * 24 - 1)
    assert stand.left() == 1
    stand.run(1)
    assert stand.left() == 0
    stand.store.close()


def test_a_jump_makes_no_token_and_no_spare_look_expired(stand: Stand) -> None:
    furnish(stand.store, stand.box, stand.now)
    stand.now += YEAR
    stand.sweep()
    assert isinstance(send(stand.store, stand.box, 9, stand.now), Deposited)
    spare = commands.DepositSpare(stand.box.hash, SPARE, disk.nonce(8), disk.body(8), stand.now)
    assert ask(stand.store, spare) == Refused()  # 24 hours have not passed
    stand.store.close()


def test_a_clock_that_goes_back_keeps_nothing_for_ever(stand: Stand) -> None:
    """What came while the clock was a year ahead is dropped 14 days after it is right again."""
    stand.now += YEAR
    assert isinstance(send(stand.store, stand.box, 2, stand.now), Deposited)
    stand.sweep()
    stand.now -= YEAR
    stand.run(15 * 24)
    assert stand.left() == 0
    stand.store.close()


def test_nothing_expires_because_a_clock_was_behind(stand: Stand) -> None:
    """A machine that begins in 1970 and is set right a minute later."""
    right = stand.now
    stand.now = 60
    stand.restart()
    stand.uptime.seconds += 60
    stand.sweep()
    stand.now = right
    stand.sweep()
    assert queued(stand.store, stand.box, stand.now) == [disk.body(1)]
    stand.store.close()


def test_a_clock_that_goes_back_blocks_no_spare(stand: Stand) -> None:
    """[R-10.3-2]"""
    ask(stand.store, commands.ChangeSpares(stand.box.hash, (SPARE,), ()))

    def use(number: int, now: int) -> commands.Outcome:
        command = commands.DepositSpare(stand.box.hash, SPARE, disk.nonce(number), disk.body(number), now)
        return ask(stand.store, command)

    assert isinstance(use(1, stand.now), Deposited)
    assert use(2, stand.now - DAY + HOUR) == Refused()
    assert isinstance(use(2, stand.now - YEAR), Deposited)
    stand.store.close()


def test_no_mailbox_is_idle_because_the_clock_or_the_relay_stood_elsewhere(stand: Stand) -> None:
    """[R-11.7-7]"""
    stand.now += YEAR
    stand.restart()
    assert ask(stand.store, commands.CountHeld(stand.box.hash)) == commands.Held(0, 0)
    stand.store.close()


def test_a_forged_idle_time_erases_nothing(stand: Stand) -> None:
    """[R-11.7-3]: a damaged row is not taken for an idle one."""
    import sqlite3

    stand.run(1)
    stand.store.close()
    sql = sqlite3.connect(stand.folder / "relay.db")
    sql.execute("UPDATE mailboxes SET active = 0")
    sql.execute("UPDATE relay SET awake = 0")
    sql.commit()
    sql.close()
    stand.store = stand.open()
    stand.sweep()
    sql = sqlite3.connect(stand.folder / "relay.db")
    assert sql.execute("SELECT count(*) FROM mailboxes").fetchone() == (1,)
    sql.close()
    stand.store.close()


@given(
    st.lists(st.tuples(st.integers(0, 3 * HOUR), st.integers(-20 * YEAR, 20 * YEAR)), max_size=30),
    st.integers(1, 40 * YEAR),
)
def test_time_never_runs_faster_than_its_bound(steps: list[tuple[int, int]], start: int) -> None:
    reckoning = Reckoning(0, 0).follow(start, None)
    ran = 0
    for elapsed, offset in steps:
        ran += elapsed
        now = max(1, start + ran + offset)
        reckoning = reckoning.follow(now, elapsed)
        assert reckoning.due(now) <= min(now, start + FAST * ran)
        assert reckoning.awake <= reckoning.acted
        assert reckoning.latest(now) >= now
    if steps and not any(offset for _, offset in steps):
        assert reckoning.acted == start + ran
    assert STANDSTILL > DAY


def test_an_epoch_ends_when_its_time_is_believed(stand: Stand) -> None:
    """[R-10.2-2]"""
    box = Box()
    command = commands.CreateMailbox(box.hash, bytes(32), box.key, stand.now + 3 * DAY, stand.now)
    assert ask(stand.store, command) == Done()
    assert isinstance(send(stand.store, box, 1, stand.now), Deposited)
    stand.run(72)
    assert send(stand.store, box, 2, stand.now) == Refused()
    stand.store.close()
