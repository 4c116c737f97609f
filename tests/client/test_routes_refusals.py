"""What misbehaves on the way: BAD-INPUTS B087, B088. One typed line each, in time, and nothing changed."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from client import proxies
from troth_client import routes
from troth_client.routes import pluggable
from troth_client.routes.dial import ANYWHERE, Dialer
from troth_client.routes.greeting import MAX_HEAD
from troth_client.routes.managed import MAX_LINES, Greeting
from troth_client.routes.pluggable import Program
from troth_protocol.address import RelayAddress
from troth_protocol.errors import (
    ConnectionRefused,
    NetworkError,
    ProxyError,
    TransportFailed,
)
from troth_protocol.route_link import Connect, Obfs4, RouteSpec, Socks, Tunnel

RELAY = RelayAddress("relay.example", 443, proxies.FINGERPRINT)

SOCKS_ANSWERS = {
    "another protocol": (b"HTTP/1.1 400 Bad Request\r\n\r\n", "not a SOCKS5 proxy"),
    "version 4": (b"\x04\x5b", "not a SOCKS5 proxy"),
    "no way to log in": (b"\x05\xff", "wants a user name"),
    "a way not offered": (b"\x05\x02", "not offered"),
    "half an answer": (b"\x05", "middle of its answer"),
    "nothing": (b"", "middle of its answer"),
    **{f"reply {code}": (b"\x05\x00" + bytes((5, code, 0, 1)) + bytes(6), rf"could not connect.*\({code}\)")
       for code in (*range(1, 9), 77)},
    "version 4 later": (b"\x05\x00\x04\x00\x00\x01" + bytes(6), "not SOCKS5"),
    "an address of kind 9": (b"\x05\x00\x05\x00\x00\x09", "unknown kind"),
    "half an address": (b"\x05\x00\x05\x00\x00\x04\x00\x00", "middle of its answer"),
}  # fmt: skip
CONNECT_ANSWERS = {
    "garbage": (os.urandom(300).replace(b"H", b"h"), "not an HTTP proxy"),
    "nothing": (b"", "middle of its answer"),
    "half a head": (b"HTTP/1.1 200 OK\r\nX: y\r\n", "middle of its answer"),
    "no status": (b"HTTP/1.1\r\n\r\n", "not an HTTP proxy"),
    "a long status": (b"HTTP/1.1 2000 OK\r\n\r\n", "not an HTTP proxy"),
    "HTTP/2": (b"HTTP/2 200 OK\r\n\r\n", "not an HTTP proxy"),
    "407": (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "wants a user name"),
    "403": (b"HTTP/1.0 403 Forbidden\r\n\r\n", r"\(HTTP 403\)"),
    "302": (b"HTTP/1.1 302 Found\r\nLocation: http://portal.example/\r\n\r\n", r"\(HTTP 302\)"),
    "a head without end": (b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * MAX_HEAD, "longer than"),
}


@pytest.mark.parametrize("slow", [False, True], ids=["at once", "byte by byte"])
@pytest.mark.parametrize("case", SOCKS_ANSWERS)
async def test_socks_proxies_that_refuse_or_are_none(case: str, slow: bool, tmp_path: Path) -> None:
    """B087: each has its line, without an address in it."""
    answer, line = SOCKS_ANSWERS[case]
    await _proxy_says(answer, line, "socks", slow, tmp_path)


@pytest.mark.parametrize("case", CONNECT_ANSWERS)
async def test_http_proxies_that_refuse_or_are_none(case: str, tmp_path: Path) -> None:
    """B087: bounded in bytes, and each has its line."""
    answer, line = CONNECT_ANSWERS[case]
    await _proxy_says(answer, line, "connect", case in {"407", "403", "no status"}, tmp_path)


async def _proxy_says(answer: bytes, line: str, kind: str, slow: bool, folder: Path) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        if slow:
            await proxies.slowly(writer, answer)
        else:
            writer.write(answer)

    async with proxies.server(talk) as port:
        spec = Socks("127.0.0.1", port) if kind == "socks" else Connect("127.0.0.1", port)
        with pytest.raises(ProxyError, match=line) as caught:
            await routes.make(spec, ANYWHERE, Program(folder)).open(RELAY)
    assert "127.0.0.1" not in str(caught.value)
    assert "relay.example" not in str(caught.value)


@pytest.mark.parametrize("kind", ["socks", "connect", "tunnel"])
async def test_a_proxy_that_resets(kind: str, tmp_path: Path) -> None:
    """Not an error of the operating system, which nobody above would expect."""

    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.transport.abort()

    async with proxies.server(reset) as port:
        specs: dict[str, RouteSpec] = {
            "socks": Socks("127.0.0.1", port), "connect": Connect("127.0.0.1", port),
            "tunnel": Tunnel("127.0.0.1", port, "", b"s" * 32, b"p" * 32),
        }  # fmt: skip
        with pytest.raises(NetworkError):
            await routes.make(specs[kind], ANYWHERE, Program(tmp_path)).open(RELAY)


async def test_nobody_listens(tmp_path: Path) -> None:
    way = routes.make(Socks("127.0.0.1", proxies.free_port()), ANYWHERE, Program(tmp_path))
    with pytest.raises(ConnectionRefused):
        await way.open(RELAY)


MANAGED = {
    "no version": b"CMETHOD obfs4 socks5 127.0.0.1:99\nCMETHODS DONE\n",
    "another version": b"VERSION 2\n",
    "VERSION-ERROR": b"VERSION-ERROR no-version\n",
    "ENV-ERROR": b"ENV-ERROR no state\n",
    "CMETHOD-ERROR": b"VERSION 1\nCMETHOD-ERROR obfs4 no\n",
    "nothing offered": b"VERSION 1\nCMETHODS DONE\n",
    "another transport": b"VERSION 1\nCMETHOD meek socks5 127.0.0.1:99\nCMETHODS DONE\n",
    "a proxy elsewhere": b"VERSION 1\nCMETHOD obfs4 socks5 192.0.2.1:99\n",
    "socks4": b"VERSION 1\nCMETHOD obfs4 socks4 127.0.0.1:99\n",
    "port 0": b"VERSION 1\nCMETHOD obfs4 socks5 127.0.0.1:0\n",
    "port 99999": b"VERSION 1\nCMETHOD obfs4 socks5 127.0.0.1:99999\n",
    "garbage": b"\x00\xff\xfe\x01\n",
    "a long line": b"VERSION " + b"1" * 70_000 + b"\n",
    "a flood": b"LOG x\n" * (MAX_LINES + 1),
    "an end": b"VERSION 1\n",
}


@pytest.mark.parametrize("case", MANAGED)
async def test_a_transport_that_does_not_speak_its_protocol(case: str, tmp_path: Path) -> None:
    """B088: PT_FAILED with a line, and the child is gone."""
    await _transport(tmp_path, f"import sys; sys.stdout.buffer.write({MANAGED[case]!r})", "transport's program")


async def test_a_transport_that_never_says_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """B088: ended by our timer, by its process id, even if it does not heed its standard input."""
    monkeypatch.setattr(pluggable, "START_SECONDS", 0.5)
    monkeypatch.setattr(pluggable, "STOP_SECONDS", 0.2)
    await _transport(tmp_path, "import time; print('VERSION 1', flush=True); time.sleep(60)", "not ready within")


async def test_a_transport_that_is_not_installed(tmp_path: Path) -> None:
    way = pluggable.Obfs4Way(Obfs4("127.0.0.1", 9, "A" * 70), ANYWHERE, Program(tmp_path, "no-such-program"))
    with pytest.raises(TransportFailed, match="apt install obfs4proxy"):
        await way.open(RELAY)


async def _transport(folder: Path, script: str, line: str) -> None:
    executable = folder / "transport.py"
    executable.write_text(
        f"#!/usr/bin/env python3\nimport os\nopen({str(folder / 'pid')!r}, 'w').write(str(os.getpid()))\n{script}\n"
    )
    executable.chmod(0o755)
    transport = Program(folder / "state", str(executable))
    way = pluggable.Obfs4Way(Obfs4("127.0.0.1", 9, "A" * 70), ANYWHERE, transport)
    try:
        with pytest.raises(TransportFailed, match=line):
            await way.open(RELAY)
        with pytest.raises(ProcessLookupError):
            os.kill(int((folder / "pid").read_text()), 0)
    finally:
        await transport.close()


async def test_a_transport_that_chatters_once_it_is_ready_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pluggable, "MAX_CHATTER", 10_000)
    executable = tmp_path / "transport.py"
    executable.write_text(
        "#!/usr/bin/env python3\nprint('VERSION 1\\nCMETHOD obfs4 socks5 127.0.0.1:9\\nCMETHODS DONE', flush=True)\n"
        "while True: print('x' * 1000, flush=True)\n"
    )
    executable.chmod(0o755)
    transport = Program(tmp_path / "state", str(executable))
    assert await transport.port() == 9
    process = transport._process
    assert process is not None
    assert await asyncio.wait_for(process.wait(), 5) == -9
    await transport.close()


def test_the_greeting_of_the_real_program_is_understood() -> None:
    greeting = Greeting("obfs4")
    for line in (b"VERSION 1\n", b"STATUS TRANSPORT=obfs4\n", b"CMETHOD meek socks5 127.0.0.1:1\n",
                 b"CMETHOD obfs4 socks5 127.0.0.1:40123\n"):  # fmt: skip
        greeting.feed(line)
        assert greeting.port is None
    greeting.feed(b"CMETHODS DONE\n")
    assert greeting.port == 40_123


async def test_dead_addresses_of_one_family_hide_none_of_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name may have more IPv6 addresses than are tried, on a network where IPv6 goes nowhere."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        six = [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 1, 0, 0))] * 9
        four = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

        async def answers(*_: object, **__: object) -> list[object]:
            return [*six, *four]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", answers)
        (await ANYWHERE.open("relay.example", port)).close()


async def test_a_transport_that_dies_at_once_is_named(tmp_path: Path) -> None:
    """It says where it listens and is gone: the bridge is not reached past it. [R-19.1-2]"""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        program = tmp_path / "obfs4proxy"
        greeting = f"VERSION 1\nCMETHOD obfs4 socks5 127.0.0.1:{unused.getsockname()[1]}\nCMETHODS DONE"
        program.write_text(f"#!/bin/sh\necho '{greeting}'\nexit 3\n")
        program.chmod(0o700)
        transport = Program(tmp_path / "transport", str(program))
        spec = Obfs4("192.0.2.1", 443, "A" * 70, 0)
        way = routes.make(spec, Dialer(frozenset({("192.0.2.1", 443)})), transport)
        for _ in range(2):
            with pytest.raises(TransportFailed, match="may have died"):
                await way.open(RelayAddress("relay.example", 7_443, bytes(32)))
        await transport.close()
