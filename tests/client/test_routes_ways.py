"""Each route with its real counterpart: bytes both ways, the pin before HTTP, names resolved at the far end."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from client import proxies
from client.proxies import EchoRelay
from troth_client import routes
from troth_client.routes.dial import ANYWHERE, Dialer
from troth_client.routes.pluggable import PROGRAM, Program
from troth_client.routes.route import KeyCheck
from troth_client.routes.wire import secure
from troth_protocol.address import RelayAddress
from troth_protocol.errors import (
    ConnectionReset,
    DirectForbidden,
    HostUnknown,
    NetworkError,
    PinMismatch,
    ProxyError,
    TransportFailed,
)
from troth_protocol.route_link import Connect, Obfs4, RouteSpec, Socks

CREDENTIALS = ("anna", "p@ss:w/rd")


@contextlib.asynccontextmanager
async def direct(_: Path, __: EchoRelay) -> AsyncIterator[RouteSpec | None]:
    yield None


@contextlib.asynccontextmanager
async def socks(_: Path, __: EchoRelay) -> AsyncIterator[RouteSpec | None]:
    async with proxies.microsocks() as port:
        yield Socks("127.0.0.1", port)


@contextlib.asynccontextmanager
async def socks_with_a_password(_: Path, __: EchoRelay) -> AsyncIterator[RouteSpec | None]:
    async with proxies.microsocks(*CREDENTIALS) as port:
        yield Socks("127.0.0.1", port, *CREDENTIALS)


@contextlib.asynccontextmanager
async def connect(folder: Path, _: EchoRelay) -> AsyncIterator[RouteSpec | None]:
    async with proxies.tinyproxy(folder) as port:
        yield Connect("127.0.0.1", port)


@contextlib.asynccontextmanager
async def connect_with_a_password(folder: Path, _: EchoRelay) -> AsyncIterator[RouteSpec | None]:
    async with proxies.tinyproxy(folder, "anna", "secret") as port:
        yield Connect("127.0.0.1", port, "anna", "secret")


@contextlib.asynccontextmanager
async def obfs4(folder: Path, relay: EchoRelay) -> AsyncIterator[RouteSpec | None]:
    async with proxies.obfs4_bridge(folder, relay.port) as (port, cert):
        yield Obfs4("127.0.0.1", port, cert)


@contextlib.asynccontextmanager
async def tunnel(folder: Path, relay: EchoRelay) -> AsyncIterator[RouteSpec | None]:
    async with proxies.forwarder(folder, relay) as spec:
        yield spec


Counterpart = Callable[[Path, EchoRelay], contextlib.AbstractAsyncContextManager[RouteSpec | None]]
COUNTERPARTS: tuple[Counterpart, ...] = (
    direct, socks, socks_with_a_password, connect, connect_with_a_password, tunnel, obfs4,
)  # fmt: skip


@pytest.mark.parametrize("counterpart", COUNTERPARTS, ids=lambda each: each.__name__)
async def test_every_route_carries_bytes_and_compares_the_key_first(counterpart: Counterpart, tmp_path: Path) -> None:
    """[R-19.1-1] [R-12.3-2]: one contract for all of them."""
    transport = Program(tmp_path / "transport")
    async with proxies.echo_relay(tmp_path) as relay, counterpart(tmp_path, relay) as spec:
        try:
            way = routes.make(spec, ANYWHERE, transport)
            check = KeyCheck(frozenset({relay.pin}))
            wire = await secure(await way.open(relay.address), relay.address, check)
            assert wire.tls_key == relay.pin
            frames = [os.urandom(size) for size in (1, 1_200, 65_666)] + [os.urandom(16_000)] * 20
            sending = asyncio.create_task(_send_all(wire.send, frames))
            assert [await wire.receive() for _ in frames] == frames
            await sending
            await wire.close()
            # Another key: refused, and not one byte of HTTP has come to the relay.
            asked = len(relay.requests)
            with pytest.raises(PinMismatch):
                await secure(await way.open(relay.address), relay.address, KeyCheck(frozenset({b"x" * 32})))
            await asyncio.sleep(0.1)
            assert len(relay.requests) == asked == 1
        finally:
            await transport.close()


async def _send_all(send: Callable[[bytes], object], frames: list[bytes]) -> None:
    for frame in frames:
        sent = send(frame)
        assert asyncio.iscoroutine(sent)
        await sent


@pytest.mark.parametrize("kind", ["socks", "connect"])
async def test_a_wrong_password_is_named(kind: str, tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        relay = await stack.enter_async_context(proxies.echo_relay(tmp_path))
        spec: RouteSpec
        if kind == "socks":
            spec = Socks(
                "127.0.0.1", await stack.enter_async_context(proxies.microsocks("anna", "right")), "anna", "wrong"
            )
        else:
            port = await stack.enter_async_context(proxies.tinyproxy(tmp_path, "anna", "right"))
            spec = Connect("127.0.0.1", port, "anna", "wrong")
        way = routes.make(spec, ANYWHERE, Program(tmp_path / "transport"))
        with pytest.raises(ProxyError, match="password"):
            await way.open(relay.address)


async def test_a_proxy_is_told_the_name_and_this_machine_asks_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[R-19.1-3]: SOCKS gets the name as a name, CONNECT as text; nothing but numbers reaches the resolver."""
    asked: list[str] = []
    loop = asyncio.get_running_loop()
    resolve = loop.getaddrinfo

    async def noted(host: str, *arguments: object, **options: object) -> object:
        asked.append(host)
        return await resolve(host, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "getaddrinfo", noted)
    told: list[bytes] = []

    async with proxies.echo_relay(tmp_path) as relay:

        async def as_socks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readexactly(3)
            writer.write(b"\x05\x00")
            head = await reader.readexactly(5)
            assert head[3] == 3
            told.append(await reader.readexactly(head[4]))
            await reader.readexactly(2)
            await proxies.slowly(writer, b"\x05\x00\x00\x03\x04name\x00\x50")
            await proxies.carry(reader, writer, relay.port)

        async def as_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            told.append(await reader.readuntil(b"\r\n\r\n"))
            await proxies.slowly(writer, b"HTTP/1.1 200 Connection established\r\nVia: 1.1 x\r\n\r\n")
            await proxies.carry(reader, writer, relay.port)

        async with proxies.server(as_socks) as socks_port, proxies.server(as_http) as http_port:
            address = relay.named("relay.invalid")
            for spec in (Socks("127.0.0.1", socks_port), Connect("127.0.0.1", http_port, "anna", "secret")):
                way = routes.make(spec, ANYWHERE, Program(tmp_path / "transport"))
                wire = await secure(await way.open(address), address, KeyCheck(frozenset({relay.pin})))
                await wire.send(b"hello")
                assert await wire.receive() == b"hello"
                await wire.close()
            with pytest.raises(HostUnknown):
                await routes.make(None, ANYWHERE, Program(tmp_path / "transport")).open(address)
    assert told[0] == b"relay.invalid"
    assert told[1].startswith(
        f"CONNECT relay.invalid:{relay.port} HTTP/1.1\r\nHost: relay.invalid:{relay.port}\r\n".encode()
    )
    assert b"Proxy-Authorization: Basic YW5uYTpzZWNyZXQ=\r\n" in told[1]
    assert b"agent" not in told[1].lower()
    assert set(asked[:-1]) == {"127.0.0.1"}
    assert asked[-1] == "relay.invalid"


async def test_a_forwarder_with_another_key_or_another_secret_is_no_route(tmp_path: Path) -> None:
    """Its key is compared before anything is said; who does not know our secret is somebody else's site."""
    async with proxies.echo_relay(tmp_path) as relay, proxies.forwarder(tmp_path, relay) as spec:
        other_key = routes.make(replace(spec, pin=b"x" * 32), ANYWHERE, Program(tmp_path / "transport"))
        with pytest.raises(ProxyError, match="not the one in its link"):
            await other_key.open(relay.address)
        other_secret = routes.make(replace(spec, secret=b"x" * 32), ANYWHERE, Program(tmp_path / "transport"))
        with pytest.raises(NetworkError):
            await other_secret.open(relay.address)
        # A relay that the forwarder does not serve: the stream ends, and that has a name.
        served = routes.make(spec, ANYWHERE, Program(tmp_path / "transport"))
        elsewhere = RelayAddress("127.0.0.1", relay.port, b"n" * 32)
        with pytest.raises(ConnectionReset):
            await secure(await served.open(elsewhere), elsewhere, KeyCheck(None))


async def test_with_proxies_only_no_direct_way_can_be_made_and_no_door_opens(tmp_path: Path) -> None:
    """[R-19.1-2]: not by the table, not by hand, not by a way that goes elsewhere than its proxy."""
    narrow = Dialer(frozenset({("127.0.0.1", 9), ("proxy.example", 9)}))
    with pytest.raises(DirectForbidden):
        routes.make(None, narrow, Program(tmp_path))
    for host, port in (("127.0.0.1", 10), ("127.0.0.2", 9), ("relay.example", 443), ("proxy.example", 9)):
        with pytest.raises(DirectForbidden):
            await narrow.open(host, port)
    bridge = routes.make(Obfs4("127.0.0.2", 9, "A" * 70), narrow, Program(tmp_path))
    with pytest.raises(DirectForbidden):
        await bridge.open(EchoRelay(9, b"").address)


async def test_the_transport_dies_with_us_and_is_started_again(tmp_path: Path) -> None:
    """A dead child is replaced; its folder is ours alone; it ends when its standard input does."""
    proxies.needs(PROGRAM, "obfs4proxy")
    transport = Program(tmp_path / "transport")
    async with proxies.echo_relay(tmp_path) as relay, proxies.obfs4_bridge(tmp_path, relay.port) as (port, cert):
        way = routes.make(Obfs4("127.0.0.1", port, cert), ANYWHERE, transport)
        try:
            (await way.open(relay.address)).close()
            assert (tmp_path / "transport").stat().st_mode & 0o777 == 0o700
            process = transport._process
            assert process is not None
            os.kill(process.pid, 9)
            await process.wait()
            (await way.open(relay.address)).close()
            again = transport._process
            assert again is not None
            assert again.pid != process.pid
        finally:
            await transport.close()
        assert again.returncode == 0, "it ended by its standard input, not by a signal"


async def test_a_wrong_bridge_key_does_not_hang_longer_than_an_attempt(tmp_path: Path) -> None:
    """[R-19.1-4]: obfs4proxy itself waits up to 60 s; our own timer is what ends it."""
    transport = Program(tmp_path / "transport")
    async with proxies.echo_relay(tmp_path) as relay, proxies.obfs4_bridge(tmp_path, relay.port) as (port, cert):
        wrong = cert[:-5] + ("AAAAA" if not cert.endswith("AAAAA") else "BBBBB")
        way = routes.make(Obfs4("127.0.0.1", port, wrong), ANYWHERE, transport)
        try:
            with pytest.raises((TimeoutError, TransportFailed)):
                async with asyncio.timeout(1):
                    await way.open(relay.address)
        finally:
            await transport.close()
