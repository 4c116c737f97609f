"""Routes on disk, the driver that goes by them, and a clock that is wrong."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from client import proxies
from troth_client import demo
from troth_client.events import Change, Delete, Notify, Put, SendText, What
from troth_client.route_desk import RouteDesk
from troth_client.route_records import Rest
from troth_client.routes.dial import ANYWHERE
from troth_client.routes.direct import Direct
from troth_protocol.errors import BadLink, ClockSkew, StorageError, UserError
from troth_protocol.primitives import SystemRandomness

OWN = b"o" * 32
LINK = "socks5h://127.0.0.1:9050"


class Disk:
    """A vault's records, which can refuse."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[bytes, bytes]] = {}
        self.full = False

    def records(self, kind: str) -> dict[bytes, bytes]:
        return self.rows.get(kind, {})

    def apply(self, changes: tuple[Change, ...]) -> None:
        if self.full:
            raise StorageError("no room")
        for change in changes:
            if isinstance(change, Put):
                self.rows.setdefault(change.kind, {})[change.key] = change.value
            elif isinstance(change, Delete):
                self.rows.get(change.kind, {}).pop(change.key, None)


def desk(disk: Disk, folder: Path) -> RouteDesk:
    return RouteDesk(disk, folder, SystemRandomness())


async def test_what_the_disk_refuses_has_not_happened(tmp_path: Path) -> None:
    """Also proxies-only: it is on when that is on disk, and a restart finds everything as it was left."""
    disk, told = Disk(), list[Notify]()
    one = desk(disk, tmp_path)
    one.tell = told.append
    assert one.add(LINK, OWN) == 1
    one.set_proxies_only(on=True)
    assert {note.what for note in told} == {What.ROUTE}
    disk.full = True
    for refused in (
        lambda: one.add("socks5h://127.0.0.1:9051", OWN), lambda: one.remove(1), lambda: one.set_proxies_only(on=False),
    ):  # fmt: skip
        with pytest.raises(StorageError):
            refused()
    one.route_held(one.route_settings().routes[0].key + bytes(8))
    again = desk(disk, tmp_path)
    assert again.route_settings() == one.route_settings()
    assert [view.kind for view in again.status().routes] == ["socks"]
    assert again.status().proxies_only


async def test_the_list_says_what_an_earlier_command_found(tmp_path: Path) -> None:
    """A route that opened and died is not called one that worked, while it rests. [R-19.3-2]"""
    disk = Disk()
    one = desk(disk, tmp_path)
    one.add(LINK, OWN)
    name = one.route_settings().routes[0].key + bytes(8)
    one.route_held(name)
    assert desk(disk, tmp_path).status().routes[1].result == "worked before"
    retry = int(time.time()) + 500
    one.route_rests(name, Rest(1, retry))
    view = desk(disk, tmp_path).status().routes[1]
    assert (view.result, view.retry, view.code) == ("opened and died the last time", retry, "")


async def test_with_proxies_only_a_name_is_no_proxy(tmp_path: Path) -> None:
    """[R-19.1-2]"""
    one = desk(Disk(), tmp_path)
    one.add("socks5h://proxy.example:1080", OWN)
    with pytest.raises(UserError, match="by its address"):
        one.set_proxies_only(on=True)
    one.add(LINK, OWN)
    one.set_proxies_only(on=True)
    assert [(view.number, view.code) for view in one.status().routes] == [(1, "DIRECT_FORBIDDEN"), (2, "")]
    with pytest.raises(UserError, match="no name"):
        one.add("socks5h://other.example:1080", OWN)
    with pytest.raises(BadLink):
        one.add("socks5://127.0.0.1:1080", OWN)


async def test_a_clock_that_is_years_ahead_is_named(tmp_path: Path) -> None:
    """The descriptor is out of date by our clock, and the relay shows a key of that descriptor and another day."""
    async with demo.stage() as set_up:
        driver = demo._account([], tmp_path, "Late", set_up.relay, Direct(ANYWHERE))
        doors = driver._doors
        doors._clock = lambda: time.time() + 20 * 365 * 86_400
        with pytest.raises(ClockSkew, match="7300 days ahead of the relay's"):
            await driver.fetch()
        await driver.close()


async def test_messages_go_on_by_a_route_that_is_added_while_the_first_is_gone(tmp_path: Path) -> None:
    """[R-19.1-1]: a driver by a proxy; the proxy dies, another is added, and what was queued arrives, once."""
    async with demo.stage() as set_up:
        made = demo._account([], tmp_path, "Pat", set_up.relay, Direct(ANYWHERE))
        routes = RouteDesk(made._vault, tmp_path, SystemRandomness())
        made.routes, made._doors._route, routes.tell = routes, routes.chooser, made._tell
        async with proxies.microsocks() as first:
            routes.add(f"socks5h://127.0.0.1:{first}", made.own_relay.fingerprint)
            routes.set_proxies_only(on=True)
            running = asyncio.create_task(made.run())
            await demo.wait_until(lambda: made.online, made)
            await demo.introduce(demo.Stage(set_up.relay, set_up.data, set_up.eyes, set_up.you, made, (running,)))
            assert [view.in_use for view in routes.status().routes] == [True]
        await demo.wait_until(lambda: not made.online, made)
        await made.do(SendText(set_up.you.own_fingerprint, "in the dark"))
        async with proxies.microsocks() as second:
            routes.add(f"socks5h://127.0.0.1:{second}", made.own_relay.fingerprint)
            await demo.wait_until(
                lambda: any(line.text == "in the dark" for line in set_up.you.history(made.own_fingerprint)),
                set_up.you, seconds=20,
            )  # fmt: skip
            assert [view.code for view in routes.status().routes][1] == "OK"
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
