"""What routes meet in the tests: an echoing relay, real proxies from Debian's packages, and servers that misbehave.

Every program is started here, listens on 127.0.0.1 on a free port, and is ended by its process id.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve

from troth_protocol import ownership, primitives
from troth_protocol.address import RelayAddress
from troth_protocol.route_link import Tunnel
from troth_server.forwarder import settings
from troth_server.forwarder.front import Front, Room, Site, listening

FINGERPRINT = b"f" * 32
SECRET = b"s" * 32


def needs(program: str, package: str) -> str:
    """The program's path, or skip."""
    found = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin")
    if found is None:
        pytest.skip(f"needs {program}: apt install {package}")
    return found


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def certificate(folder: Path, *hosts: str) -> tuple[ssl.SSLContext, bytes]:
    """A server's context with a fresh key, and the key's hash."""
    pem, key = primitives.self_signed_certificate(hosts or ("127.0.0.1",), 1_700_000_000, 36_500)
    (folder / "cert.pem").write_bytes(pem)
    (folder / "key.pem").write_bytes(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context, ownership.tls_key_hash(ssl.PEM_cert_to_DER_cert(pem.decode("ascii")))


@dataclass
class EchoRelay:
    """A WebSocket over TLS that gives back what it gets."""

    port: int
    pin: bytes
    requests: list[str] = field(default_factory=list)
    connections: list[ServerConnection] = field(default_factory=list)

    @property
    def address(self) -> RelayAddress:
        """Where it is."""
        return RelayAddress("127.0.0.1", self.port, FINGERPRINT)

    def named(self, host: str) -> RelayAddress:
        """The same under another host name."""
        return RelayAddress(host, self.port, FINGERPRINT)


@contextlib.asynccontextmanager
async def echo_relay(folder: Path) -> AsyncIterator[EchoRelay]:
    """A relay for routes to reach."""
    context, pin = certificate(folder)
    relay = EchoRelay(0, pin)

    async def echo(connection: ServerConnection) -> None:
        relay.connections.append(connection)
        assert connection.request is not None
        relay.requests.append(connection.request.path)
        async for frame in connection:
            await connection.send(frame)

    async with serve(echo, "127.0.0.1", 0, ssl=context, compression=None, max_size=70_000, close_timeout=0.2) as server:
        relay.port = next(iter(server.sockets)).getsockname()[1]
        yield relay


@contextlib.asynccontextmanager
async def program(*command: str, port: int, env: dict[str, str] | None = None) -> AsyncIterator[None]:
    """A program that is ready when it listens."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL, env=env,
    )  # fmt: skip
    try:
        for _ in range(100):
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                break
            await asyncio.sleep(0.05)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@contextlib.asynccontextmanager
async def microsocks(user: str = "", password: str = "") -> AsyncIterator[int]:
    """A plain SOCKS5 server's port."""
    found, port = needs("microsocks", "microsocks"), free_port()
    login = ["-u", user, "-P", password] if user else []
    async with program(found, "-i", "127.0.0.1", "-p", str(port), *login, port=port):
        yield port


@contextlib.asynccontextmanager
async def tinyproxy(folder: Path, user: str = "", password: str = "") -> AsyncIterator[int]:
    """An HTTP proxy's port, which lets CONNECT go anywhere."""
    found, port = needs("tinyproxy", "tinyproxy-bin"), free_port()
    settings = f'Port {port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 20\nLogLevel Critical\nPidFile "{folder}/pid"\n'
    settings += f"BasicAuth {user} {password}\n" if user else ""
    (folder / "tinyproxy.conf").write_text(settings)
    async with program(found, "-d", "-c", str(folder / "tinyproxy.conf"), port=port):
        yield port


@contextlib.asynccontextmanager
async def obfs4_bridge(folder: Path, to: int) -> AsyncIterator[tuple[int, str]]:
    """An obfs4 bridge that leads to a port of this machine: its own port and its cert."""
    found, port = needs("obfs4proxy", "obfs4proxy"), free_port()
    process = await asyncio.create_subprocess_exec(
        found,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={
            "TOR_PT_MANAGED_TRANSPORT_VER": "1", "TOR_PT_STATE_LOCATION": str(folder / "bridge"),
            "TOR_PT_EXIT_ON_STDIN_CLOSE": "1", "TOR_PT_SERVER_TRANSPORTS": "obfs4",
            "TOR_PT_SERVER_BINDADDR": f"obfs4-127.0.0.1:{port}", "TOR_PT_ORPORT": f"127.0.0.1:{to}",
        },
    )  # fmt: skip
    assert process.stdout is not None
    try:
        cert = ""
        async with asyncio.timeout(20):
            while not (line := await process.stdout.readline()).startswith(b"SMETHODS DONE"):
                found_cert = re.search(rb"cert=([^,\s]+)", line)
                cert = found_cert[1].decode("ascii") if found_cert else cert
                assert line, "obfs4proxy ended"
        yield port, cert
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@contextlib.asynccontextmanager
async def forwarder(folder: Path, relay: EchoRelay) -> AsyncIterator[Tunnel]:
    """A forwarder of ours that leads to the echoing relay, beside a site that is down."""
    (folder / "forwarder").mkdir()
    _, pin = certificate(folder / "forwarder", "www.example.org")
    files = folder / "forwarder" / "cert.pem", folder / "forwarder" / "key.pem"
    context = settings.server_context(*files, ssl.TLSVersion.TLSv1_3)
    sock = listening("127.0.0.1", 0)
    site = Site(("127.0.0.1", free_port()), None, b"")
    async with Front(sock, SECRET, context, site, Room(), private_allowed=True) as front:
        front.allow({FINGERPRINT: (("127.0.0.1", relay.port),)})
        yield Tunnel("127.0.0.1", sock.getsockname()[1], "www.example.org", SECRET, pin)


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def server(talk: Talk, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server of our own making; its port."""
    writers: list[asyncio.StreamWriter] = []

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await talk(reader, writer)
            await writer.drain()
        writer.close()

    listening = await asyncio.start_server(serve_one, "127.0.0.1", 0, ssl=context)
    try:
        yield int(listening.sockets[0].getsockname()[1])
    finally:
        listening.close()
        for writer in writers:
            writer.transport.abort()


async def slowly(writer: asyncio.StreamWriter, answer: bytes) -> None:
    """One byte at a time."""
    for place in range(len(answer)):
        writer.write(answer[place : place + 1])
        await writer.drain()
        await asyncio.sleep(0.001)


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    """Hand a stream on to a port of this machine."""
    inner, outer = await asyncio.open_connection("127.0.0.1", port)

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await source.read(65_536):
                sink.write(piece)
                await sink.drain()
            sink.close()

    await asyncio.gather(pump(reader, outer), pump(inner, writer))
