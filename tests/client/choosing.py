"""A chooser with books in memory, and proxies of our own that go silent, refuse, and come back."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

from client import proxies
from client.proxies import EchoRelay
from troth_client import route_book
from troth_client.route_records import Rest, RouteSettings, Routing
from troth_client.routes.chooser import Chooser
from troth_client.routes.pluggable import Program
from troth_client.routes.route import Wire
from troth_protocol.route_link import RouteSpec


class Desk:
    """The books of a chooser, in memory."""

    def __init__(self, *specs: RouteSpec, proxies_only: bool = False) -> None:
        settings = RouteSettings((), Routing(), {})
        for spec in specs:
            settings, _ = route_book.add(settings, spec, proxies.FINGERPRINT, b"s" * 16)
        if proxies_only:
            settings, _ = route_book.set_proxies_only(settings, b"s" * 16, on=True)
        self.settings = settings
        self.told: list[tuple[str, str]] = []
        self.noted: list[bytes] = []

    def route_settings(self) -> RouteSettings:
        return self.settings

    def route_held(self, name: bytes) -> None:
        self.noted.append(name)

    def route_rests(self, name: bytes, rest: Rest) -> None:
        self.settings, _ = route_book.note_rest(self.settings, name, rest)

    def route_changed(self, line: str, code: str) -> None:
        self.told.append((line, code))

    def switch(self, *, on: bool) -> None:
        self.settings, _ = route_book.set_proxies_only(self.settings, b"s" * 16, on=on)


@contextlib.asynccontextmanager
async def choosing(folder: Path, desk: Desk, **options: ssl.SSLContext) -> AsyncIterator[Chooser]:
    trusting = options.get("trusting") or ssl.create_default_context()
    one = Chooser(desk, Program(folder / "transport"), network=lambda _: b"network.", authorities=lambda: trusting)
    try:
        yield one
    finally:
        await one.close()


@contextlib.asynccontextmanager
async def swallowing() -> AsyncIterator[int]:
    """A port where a connection opens and nothing ever comes."""

    async def nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read(-1)

    async with proxies.server(nothing) as port:
        yield port


class Switched:
    """A plain SOCKS proxy of our own in front of the relay, which can go silent, refuse, or come back."""

    def __init__(self, relay: EchoRelay) -> None:
        self._relay = relay
        self.silent = asyncio.Event()
        self.refuses = False
        self.served = 0
        self.writers: list[asyncio.StreamWriter] = []

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(3)
        writer.write(b"\x05\x00")
        head = await reader.readexactly(4)
        await reader.readexactly(6 if head[3] == 1 else (await reader.readexactly(1))[0] + 2)
        if self.refuses:
            writer.write(b"\x05\x04\x00\x01" + bytes(6))
            return
        self.served += 1
        writer.write(b"\x05\x00\x00\x01" + bytes(6))
        inner, outer = await asyncio.open_connection("127.0.0.1", self._relay.port)
        self.writers.append(outer)

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                while piece := await source.read(65_536):
                    if not self.silent.is_set():
                        sink.write(piece)
                        await sink.drain()
                sink.close()

        await asyncio.gather(pump(reader, outer), pump(inner, writer))


async def hello(wire: Wire) -> None:
    await wire.send(b"hello")
    assert await asyncio.wait_for(wire.receive(), 5) == b"hello"


def codes(one: Chooser) -> list[str]:
    return [view.code for view in one.status().routes]
