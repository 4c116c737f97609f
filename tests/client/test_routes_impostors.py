"""What answers instead of the relay, and open connections that die: BAD-INPUTS B009 and B089, and a censor's freeze."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from client import proxies
from troth_client.routes import portals
from troth_client.routes.dial import ANYWHERE
from troth_client.routes.direct import Direct
from troth_client.routes.portals import explain
from troth_client.routes.route import KeyCheck, Patience
from troth_client.routes.wire import secure
from troth_protocol.address import RelayAddress
from troth_protocol.errors import (
    CaptivePortal,
    ConnectionReset,
    Intercepted,
    NoTls,
    PathSilent,
    PinMismatch,
    RelayBusy,
    TrothError,
    UpgradeStripped,
)

ANY = KeyCheck(None)


async def _direct(port: int, check: KeyCheck = ANY, context: ssl.SSLContext | None = None) -> TrothError:
    """The failure of a direct connection, explained as the chooser does."""
    relay, way = RelayAddress("127.0.0.1", port, proxies.FINGERPRINT), Direct(ANYWHERE)
    try:
        wire = await secure(await way.open(relay), relay, check)
    except TrothError as error:
        if not isinstance(error, NoTls | PinMismatch):
            return error
        return await explain(error, way, relay, lambda: context or ssl.create_default_context())
    await wire.close()
    raise AssertionError("it was opened")


PAGE = b"HTTP/1.1 302 Found\r\nLocation: http://portal.example/login\r\nContent-Length: 0\r\n\r\n"


async def test_http_where_tls_belongs_is_a_portal() -> None:
    """B089: a portal that answers every port with its page; the outcome is its name, and no name of ours went out."""
    heard: list[bytes] = []

    async def portal(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(4_096))
        writer.write(PAGE)

    async with proxies.server(portal) as port:
        assert isinstance(await _direct(port), CaptivePortal)
    assert heard[1] == b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


async def test_something_else_where_tls_belongs_is_not_called_a_portal() -> None:
    async def ssh(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n" + await reader.read(100))

    async with proxies.server(ssh) as port:
        error = await _direct(port)
    assert isinstance(error, NoTls)


async def test_a_portal_with_tls_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """B089, B009: another key, and plain HTTP is sent elsewhere; without the redirection it is a wrong key."""
    context, _ = proxies.certificate(tmp_path)
    pages = [PAGE, b"HTTP/1.1 301 Moved\r\nLocation: https://127.0.0.1/\r\n\r\n", b""]
    heard: list[bytes] = []

    async def portal(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(4_096))

    async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4_096)
        writer.write(pages[0])

    check = KeyCheck(frozenset({b"x" * 32}))
    async with proxies.server(portal, context) as port, proxies.server(page) as http:
        monkeypatch.setattr(portals, "HTTP_PORT", http)
        assert isinstance(await _direct(port, check), CaptivePortal)
        for _ in range(2):
            pages.pop(0)
            error = await _direct(port, check)
            assert type(error) is PinMismatch
    assert set(heard) <= {b""}, "not a byte of HTTP went to the wrong key"


async def test_a_key_that_the_system_trusts_is_interception(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """B009: trusted but unpinned is named as what it is, with both fingerprints, and hears no HTTP."""
    monkeypatch.setattr(portals, "HTTP_PORT", proxies.free_port())
    context, pin = proxies.certificate(tmp_path)
    heard: list[bytes] = []

    async def middle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(4_096))

    trusting = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
    async with proxies.server(middle, context) as port:
        error = await _direct(port, KeyCheck(frozenset({b"x" * 32})), trusting)
    assert isinstance(error, Intercepted)
    assert error.code == "TLS_INTERCEPTED"
    assert pin.hex()[:16] in str(error)
    assert (b"x" * 32).hex()[:16] in str(error)
    assert set(heard) <= {b""}


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", UpgradeStripped),
        (b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n", UpgradeStripped),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", UpgradeStripped),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", UpgradeStripped),
        (b"SSH-2.0-OpenSSH\r\n\r\n", UpgradeStripped),
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", RelayBusy),
        (b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", RelayBusy),
        (b"HTTP/1.1 511 Network Authentication Required\r\nContent-Length: 0\r\n\r\n", CaptivePortal),
        (PAGE, CaptivePortal),
        (b"", ConnectionReset),
    ],
    ids=["200", "426", "404", "101 without an upgrade", "no HTTP", "503", "429", "511", "302", "nothing"],
)
async def test_answers_to_the_upgrade(answer: bytes, kind: type[TrothError], tmp_path: Path) -> None:
    """A stripped upgrade, a portal behind TLS, a relay without room, a cut."""
    context, _ = proxies.certificate(tmp_path)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)

    async with proxies.server(talk, context) as port:
        assert type(await _direct(port)) is kind


async def test_a_reset_in_the_middle_of_the_hello() -> None:
    """What a censor that reads server names does."""

    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.transport.abort()

    async with proxies.server(reset) as port:
        assert isinstance(await _direct(port), ConnectionReset)


@pytest.mark.parametrize("cut", ["freeze", "reset"])
async def test_an_open_connection_that_dies(cut: str, tmp_path: Path) -> None:
    """[R-19.3-3]: a path that swallows everything is noticed by an unanswered ping; a reset says after how much."""
    frozen = asyncio.Event()

    async with proxies.echo_relay(tmp_path) as relay:

        async def censor(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            inner, outer = await asyncio.open_connection("127.0.0.1", relay.port)

            async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
                while piece := await source.read(65_536):
                    if frozen.is_set() and cut == "reset":
                        writer.transport.abort()
                        return
                    if not frozen.is_set():
                        sink.write(piece)
                        await sink.drain()

            await asyncio.gather(pump(reader, outer), pump(inner, writer))

        async with proxies.server(censor) as port:
            address = RelayAddress("127.0.0.1", port, proxies.FINGERPRINT)
            wire = await secure(
                await Direct(ANYWHERE).open(address), address, KeyCheck(frozenset({relay.pin})), Patience(0.2, 0.6)
            )
            await wire.send(b"hello")
            assert await wire.receive() == b"hello"
            await asyncio.sleep(1)  # quiet, but alive: the pings are answered
            await wire.send(b"still here")
            assert await wire.receive() == b"still here"
            frozen.set()
            await wire.send(b"lost")
            with pytest.raises(PathSilent if cut == "freeze" else ConnectionReset) as caught:
                await asyncio.wait_for(wire.receive(), 5)
            if cut == "reset":
                assert int(str(caught.value).split("after ")[1].split(" ")[0]) > 100
            await wire.close()
