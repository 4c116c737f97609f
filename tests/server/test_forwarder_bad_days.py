"""The forwarder when something else fails: a site that is down turns no guest away, under either event loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from server.site import key_pair
from server.test_forwarder import RELAY, Visitor, echo, front, pin_of
from troth_server.forwarder import limits
from troth_server.forwarder.counts import Seen
from troth_server.forwarder.front import Front, Site


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return key_pair(tmp_path_factory.mktemp("key"), ("www.example.org",), days=9)


def nobody() -> Site:
    """A site that is down."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return Site(free.getsockname()[:2], None, b"")


async def refused(opened: Front, times: int = 1) -> None:
    """Wait until the site has refused so many connections."""
    async with asyncio.timeout(10):
        while opened.counts.exact(Seen.SITE_UNREACHABLE) < times:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_site_that_is_down_turns_no_guest_away(
    key: tuple[Path, Path], loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """The refusal comes before the hello, then between its halves, then after it. [R-19.4-3]"""

    async def visits() -> None:
        async with front(key, nobody()) as (opened, port), echo() as (_, address):
            opened.allow({RELAY.fingerprint: (address,)})
            for number, cut in enumerate((0, 100), 1):
                guest = Visitor(port, pin_of(key))
                guest.reader, guest.writer = await asyncio.open_connection("127.0.0.1", port)
                first = guest.outer.hello()
                guest.writer.write(first[:cut])
                await refused(opened, number)
                guest.writer.write(first[cut:])
                while not guest.outer.ready:
                    guest.outer.receive(await asyncio.wait_for(guest.reader.read(65_536), 10))
                guest.say(b"hello")
                assert await guest.listen(5) == b"hello"
                guest.leave()
            guest = Visitor(port, pin_of(key))
            await guest.come()
            guest.say(b"once more")
            assert await guest.listen(9) == b"once more"
            guest.leave()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(visits())


async def test_a_stranger_to_a_site_that_is_down_gets_nothing(
    key: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever shows to be one is let go at once, whoever is silent when no guest would still be heard."""
    monkeypatch.setattr(limits, "PATROL_SECONDS", 0.05)
    monkeypatch.setattr(limits, "HELLO_SECONDS", 0.5)
    async with front(key, nobody()) as (opened, port):
        for number, said in enumerate((b"GET / HTTP/1.1\r\n\r\n", b""), 1):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            await refused(opened, number)
            writer.write(said)
            assert await asyncio.wait_for(reader.read(), 10) == b""
            writer.close()
        assert opened.places.taken == 0
