"""ERASE and idle mailboxes, against every engine: all of it goes, nothing of another mailbox, and no trace answers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from server import disk
from server.conftest import no_fatal
from server.disk import CARD, LOOKUP, SPARE, Uptime, furnish, home, markers, queued, send
from server.talk import NOW, Box, Relay, ask
from troth_protocol.wire import Code, answers, requests, rights
from troth_server import commands
from troth_server.commands import Deposited, Done, Refused
from troth_server.limits import DAY, HOUR, Quotas
from troth_server.storage import OpenStore, Store


def asked_about(box: Box, now: int = NOW) -> list[commands.Command]:
    """Everything that can be asked about a mailbox, its card and its spare."""
    return [
        commands.LoadOwner(box.hash), commands.AddEpoch(box.hash, bytes(32), now + 9), commands.CountHeld(box.hash),
        commands.TakeBundle(LOOKUP, CARD, now), commands.TakeBundle(LOOKUP, SPARE, now),
        commands.Deposit(box.mailbox, disk.token(box, 3), disk.body(3), now),
        commands.Deposit(box.mailbox, disk.token(box, 4), disk.body(4), now),
        commands.DepositSpare(box.hash, SPARE, disk.nonce(1), disk.body(1), now),
        commands.DepositFirst(LOOKUP, CARD, disk.nonce(2), disk.body(2), now),
        commands.LoadQueue(box.hash, 0, 9, now), commands.ChangeSpares(box.hash, (SPARE,), ()),
        commands.PutLeaves(box.hash, disk.BATCH, (disk.leaf(9),)), commands.Forget(box.hash, (1,)),
        commands.PutBundle(box.hash, b"o" * 32, CARD, 1, disk.BATCH, disk.BUNDLE), commands.Erase(box.hash),
    ]  # fmt: skip


def test_an_erased_mailbox_answers_as_one_that_never_was(store: Store) -> None:
    """[R-11.7-5] [R-11.5-2]"""
    unknown = [ask(store, command) for command in asked_about(Box())]
    box, other = home(store), home(store)
    furnish(store, box)
    assert isinstance(send(store, other, 1), Deposited)
    assert ask(store, commands.Erase(box.hash)) == Done()
    assert [ask(store, command) for command in asked_about(box)] == unknown
    assert ask(store, commands.Erase(box.hash)) == Refused()
    assert queued(store, other) == [disk.body(1)]


def test_the_same_id_again_is_a_fresh_mailbox(store: Store) -> None:
    box = home(store)
    furnish(store, box)
    assert ask(store, commands.Erase(box.hash)) == Done()
    home(store, box)
    assert ask(store, commands.CountHeld(box.hash)) == commands.Held(0, 0)
    assert queued(store, box) == []
    outcome = send(store, box, 3)
    assert isinstance(outcome, Deposited)
    assert outcome.row is not None
    assert outcome.row.number == 1


def test_a_large_mailbox_goes_whole(tmp_path: Path, engine: OpenStore) -> None:
    """More envelopes and nonces than a portion, and not one of the neighbour's."""
    store = engine(tmp_path, Quotas(), no_fatal)
    box, other = home(store), home(store)
    disk.send_all(store, ((box, number) for number in range(700)))
    disk.send_all(store, ((other, 10_000 + number) for number in range(700)))
    assert ask(store, commands.Erase(box.hash)) == Done()
    assert ask(store, commands.Expire(NOW)) == Done()
    assert disk.found(tmp_path, {"hash": box.hash, "key": box.key, "nonce": disk.token(box, 5)[:16]}) == {}
    assert queued(store, other) == [disk.body(10_000 + number) for number in range(700)]
    store.close()


def test_nothing_of_an_erased_mailbox_is_in_any_file_after_a_sweep(tmp_path: Path, engine: OpenStore) -> None:
    """[R-11.7-5] [R-11.7-6]"""
    store = engine(tmp_path, Quotas(), no_fatal)
    box, other = home(store), home(store)
    send(store, other, 1_000)
    furnish(store, box)
    wanted = markers(box) | {"envelope": disk.body(1)[:19], "other": disk.body(2)[:19]}
    assert disk.found(tmp_path, wanted).keys() == wanted.keys()
    assert ask(store, commands.Erase(box.hash)) == Done()
    assert ask(store, commands.Expire(NOW)) == Done()
    assert disk.found(tmp_path, wanted) == {}
    store.close()
    assert disk.found(tmp_path, wanted) == {}


def passing(store: Store, uptime: Uptime, start: int, days: int, fetch: Box | None = None) -> int:
    """Days of running with a sweep each; ``fetch`` comes every day."""
    for day in range(1, days + 1):
        uptime.seconds += DAY
        if fetch is not None:
            disk.page(store, fetch, start + day * DAY)
        assert ask(store, commands.Expire(start + day * DAY)) == Done()
    return start + days * DAY


def test_a_mailbox_that_nobody_fetches_expires_and_one_that_is_fetched_does_not(
    tmp_path: Path, engine: OpenStore
) -> None:
    """[R-11.7-7]"""
    uptime = Uptime()
    store = engine(tmp_path, Quotas(idle=30 * DAY), no_fatal, uptime)
    idle, active = home(store), home(store)
    furnish(store, idle)
    ask(store, commands.Expire(NOW))
    at = passing(store, uptime, NOW, 29, fetch=active)
    assert isinstance(ask(store, commands.CountHeld(idle.hash)), commands.Held)
    at = passing(store, uptime, at, 1, fetch=active)
    assert ask(store, commands.CountHeld(idle.hash)) == Refused()
    assert isinstance(ask(store, commands.CountHeld(active.hash)), commands.Held)
    assert disk.found(tmp_path, {"hash": idle.hash, "bundle": disk.BUNDLE[:40]}) == {}
    store.close()


def test_the_last_fetch_is_noted_once_a_day_and_to_the_hour(tmp_path: Path) -> None:
    """[R-11.7-7]"""
    from server.test_sqlite import opened

    store = opened(tmp_path)
    box = home(store)
    sql = store._writer._database.sql
    seen = []
    for later in (0, HOUR, DAY - HOUR, DAY, DAY + HOUR, 2 * DAY + HOUR):
        disk.page(store, box, NOW + later)
        (active,) = sql.execute("SELECT active FROM mailboxes").fetchone()
        assert active % HOUR == 0
        seen.append((active - NOW + NOW % HOUR) // HOUR)
    assert seen == [0, 0, 0, 24, 24, 49]
    store.close()


async def test_erase_over_the_wire_ends_every_other_connection_of_the_mailbox(relay: Relay) -> None:
    """[R-11.7-5]"""
    box, other = Box(), Box()
    one, two, three = await relay.owner(box), await relay.owner(box, create=False), await relay.owner(other)
    assert await one.deliver(box, 1) == answers.Ok()
    await two.send(requests.Fetch(64))
    assert isinstance(await two.push(), answers.Envelope)
    stranger = await relay.client()
    refused = await stranger.call(rights.Erase())
    assert isinstance(refused, answers.Error)
    assert refused.code == Code.AUTH_REQUIRED
    assert await one.call(rights.Erase()) == answers.Ok()
    await asyncio.wait_for(two.socket.wait_closed(), 5)
    assert (two.socket.close_code, two.socket.close_reason) == (4002, "ERASED")
    for request in (requests.Count(), requests.Fetch(64), rights.Erase()):
        answer = await one.call(request)
        assert isinstance(answer, answers.Error)
        if answer.code == Code.RATE_LIMITED:
            break
        assert answer.code == Code.AUTH_REQUIRED
    assert await three.call(requests.Count()) == answers.Counts(0, 0)
    newcomer = await relay.client()
    refused = await newcomer.prove(box)
    assert isinstance(refused, answers.Error)
    assert refused.code == Code.REFUSED
    fresh = await relay.owner(Box(box.mailbox))
    assert await fresh.call(requests.Count()) == answers.Counts(0, 0)
    for client in (stranger, three, newcomer, fresh):
        await client.close()


@pytest.mark.parametrize("idle", [29, 0])
def test_a_configuration_cannot_make_mailboxes_expire_at_once(tmp_path: Path, idle: int) -> None:
    from troth_protocol.errors import UserError
    from troth_server import config

    written = config.Config(tmp_path).toml().replace("idle_days = 180", f"idle_days = {idle}")
    (tmp_path / config.FILE).write_text(written)
    with pytest.raises(UserError, match="idle_days"):
        config.load(tmp_path)
