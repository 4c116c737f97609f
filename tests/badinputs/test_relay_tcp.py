"""B001 to B008 and B037: what a socket can do to the relay before and under HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import resource
import socket
import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from badinputs.raw import Raw, refused_socket
from server.conftest import serving
from server.talk import Box, Client, unverified
from troth_protocol.wire import answers, requests
from troth_server import acceptor, limits
from troth_server.config import Config
from troth_server.ledger_file import LedgerFile
from troth_server.metrics import Count
from troth_server.peer import Peer

Founded = tuple[Config, LedgerFile]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> float:
    """The deadline for TLS and HTTP, shortened; that it is 10 s is the constant's."""
    assert limits.OPEN_SECONDS == limits.HELLO_SECONDS == 10
    monkeypatch.setattr("troth_server.listener.OPEN_SECONDS", 0.6)
    monkeypatch.setattr("troth_server.acceptor.OPEN_SECONDS", 0.6)
    return 0.6


async def test_b001_silence_is_hung_up_on(founded: Founded, tmp_path: Path, impatient: float) -> None:
    """B001, B008: nothing, half a TLS handshake, TLS and nothing; each is counted, and leaves nothing behind."""
    async with serving(*founded, tmp_path) as relay:
        box = Box()
        owner = await relay.owner(box)
        started = asyncio.get_running_loop().time()
        silent = [await Raw.plain(relay.listener.port) for _ in range(2)]
        silent[1].send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(20))
        silent.append(await Raw.open(relay.listener.port))
        assert all([await each.gone(5) for each in silent])
        assert asyncio.get_running_loop().time() - started < 4
        for _ in range(50):
            await asyncio.sleep(0.05)
            if relay.listener.metrics.exact(Count.HANDSHAKE_FAILED) == 3:
                break
        assert relay.listener.metrics.exact(Count.HANDSHAKE_FAILED) == 3
        assert relay.listener.connections == 1
        assert isinstance(await owner.call(requests.Count()), answers.Counts)
        await owner.close()


async def test_b002_a_head_that_drips_is_hung_up_on(founded: Founded, tmp_path: Path, impatient: float) -> None:
    """B002: the deadline is for all of it, and no byte moves it."""
    async with serving(*founded, tmp_path) as relay:
        raw = await Raw.open(relay.listener.port)
        loop = asyncio.get_running_loop()
        started = loop.time()
        with contextlib.suppress(OSError):
            for byte in b"GET /troth HTTP/1.1\r\nHost: relay\r\n" + b"X: y\r\n" * 1_000:
                raw.send(bytes([byte]))
                await asyncio.sleep(0.05)
                if raw.reader.at_eof() or raw.writer.is_closing():
                    break
        assert impatient / 2 < loop.time() - started < 4
        await raw.close()


async def test_b005_other_protocols_are_hung_up_on(founded: Founded, tmp_path: Path) -> None:
    """B005: plain HTTP on the TLS port, noise, and TLS on a plain port."""
    async with serving(*founded, tmp_path) as relay:
        for noise in (b"GET / HTTP/1.1\r\nHost: relay\r\n\r\n", os.urandom(500), b"SSH-2.0-x\r\n", bytes(500)):
            raw = await Raw.plain(relay.listener.port)
            raw.send(noise)
            raw.writer.write_eof()
            assert await raw.gone(5)
        await (await Client.open(relay.listener.port)).close()
    (tmp_path / "plain").mkdir()
    async with serving(*founded, tmp_path / "plain", plain=True) as relay:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await Raw.open(relay.listener.port)
        await asyncio.sleep(0.1)
        assert relay.listener.connections == 0


@pytest.mark.parametrize(
    ("version", "ciphers"),
    [(ssl.TLSVersion.TLSv1, "ALL"), (ssl.TLSVersion.TLSv1_1, "ALL"), (ssl.TLSVersion.TLSv1_2, "eNULL:aNULL")],
)
async def test_b006_old_tls_and_no_ciphers(
    founded: Founded, tmp_path: Path, version: ssl.TLSVersion, ciphers: str
) -> None:
    """B006: an alert, no connection. [R-11.1-3]"""
    context = unverified()
    with (
        pytest.warns(DeprecationWarning, match="TLSv1")
        if version < ssl.TLSVersion.TLSv1_2
        else contextlib.nullcontext()
    ):
        context.minimum_version = context.maximum_version = version
    context.set_ciphers(f"{ciphers}:@SECLEVEL=0")
    async with serving(*founded, tmp_path) as relay:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await Raw.open(relay.listener.port, context)


async def test_b006_no_renegotiation_no_tickets(founded: Founded, tmp_path: Path) -> None:
    """B006: without tickets nothing can be resumed, and so no early data be replayed."""
    async with serving(*founded, tmp_path) as relay:
        context = unverified()
        raw = await Raw.upgraded(relay.listener.port)
        tls = raw.writer.get_extra_info("ssl_object")
        assert tls.version() == "TLSv1.3"
        assert tls.session is None or not tls.session.has_ticket
        await raw.close()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        older = await Raw.open(relay.listener.port, context)
        assert not older.writer.get_extra_info("ssl_object").session.has_ticket
        await older.close()
    options = relay.listener._tls
    assert options is not None
    assert options.context is not None
    assert options.context.options & (ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION)


# Who comes too often.


async def test_b037_churn_is_told_and_then_shut_out(founded: Founded, tmp_path: Path) -> None:
    """B037: 429 with Retry-After for a while, then closed before TLS; another address is served. [R-11.6-1]"""
    rates = replace(founded[0].rates, network_connects_at_once=10, network_connects_per_second=1)
    async with serving(replace(founded[0], rates=rates), founded[1], tmp_path) as relay:
        port = relay.listener.port
        good = await relay.client()
        statuses = []
        for _ in range(30):
            try:
                raw = await Raw.open(port)
            except OSError:  # closed before TLS
                statuses.append(0)
                continue
            raw.send(b"GET /troth HTTP/1.1\r\nHost: relay\r\n\r\n")
            status, headers = await raw.response()
            statuses.append(status)
            assert status != 429 or int(headers["retry-after"]) >= 1
            await raw.close()
        assert 404 in statuses[:9]
        assert 429 in statuses
        assert statuses[-1] == 0
        assert relay.listener.metrics.exact(Count.TURNED_AWAY_RATE) >= 10
        other = await Raw.upgraded(port, source="127.0.0.2")
        assert isinstance(await good.call(requests.Ledger(0)), answers.LedgerPage)
        await other.close()
        await good.close()


async def test_b037_half_open_handshakes_of_one_network_leave_room_for_others(
    founded: Founded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B008, B037: its own newcomers wait for the slow ones to be hurried along; nobody else notices."""
    monkeypatch.setattr(acceptor, "HURRY_SECONDS", 0.5)
    rates = replace(founded[0].rates, network_handshakes=5)
    async with serving(replace(founded[0], rates=rates), founded[1], tmp_path) as relay:
        port = relay.listener.port
        halves = [await Raw.plain(port) for _ in range(5)]
        await asyncio.sleep(0.1)
        assert await asyncio.to_thread(refused_socket, port, "127.0.0.1")
        await (await Raw.upgraded(port, source="127.0.0.2")).close()
        await asyncio.sleep(0.6)
        await (await Raw.upgraded(port)).close()
        assert await halves[0].gone(1)
        for half in halves[1:]:
            await half.close()


async def test_b037_all_handshakes_taken_the_oldest_makes_room(
    founded: Founded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B008: half-open connections from everywhere do not lock anybody out for longer than they may dawdle."""
    monkeypatch.setattr(acceptor, "HURRY_SECONDS", 0.3)
    monkeypatch.setattr(acceptor, "PENDING", 4)
    async with serving(*founded, tmp_path) as relay:
        halves = [await Raw.plain(relay.listener.port, f"127.0.0.{n}") for n in range(3, 7)]
        await asyncio.sleep(0.4)
        await (await Raw.upgraded(relay.listener.port)).close()
        assert await halves[0].gone(1)
        for half in halves[1:]:
            await half.close()


async def test_b003_room_is_given_back(founded: Founded, tmp_path: Path) -> None:
    """B003: connections opened and dropped, again and again; none is forgotten. The memory is ``test_floods``'s."""
    async with serving(*founded, tmp_path) as relay:
        for _ in range(3):
            raws = [await Raw.plain(relay.listener.port) for _ in range(30)]
            raws += [await Raw.upgraded(relay.listener.port) for _ in range(10)]
            for raw in raws:
                raw.writer.transport.abort()
            for _ in range(100):
                await asyncio.sleep(0.02)
                if relay.listener.connections == 0:
                    break
        assert relay.listener.connections == 0
        assert not relay.listener._acceptor._pending
        assert not relay.listener._gate._narrow.open
        assert not relay.listener._gate._narrow.handshakes


async def test_b003_what_a_connection_took_is_freed_at_its_end(founded: Founded, tmp_path: Path) -> None:
    """B003: without waiting for the search for cycles, which counts objects and does not see what TLS holds."""
    async with serving(*founded, tmp_path) as relay:
        gc.collect()
        gc.disable()
        try:
            raws = [await Raw.upgraded(relay.listener.port) for _ in range(10)]
            while raws:
                raws.pop().writer.transport.abort()
            await asyncio.sleep(0.5)
            assert relay.listener.connections == 0
            assert sum(type(each) is Peer for each in gc.get_objects()) == 0
        finally:
            gc.enable()


async def test_out_of_descriptors_the_connected_go_on_and_the_others_wait(
    founded: Founded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EMFILE: nobody who is connected notices, and when there are descriptors again, who waited gets in."""
    monkeypatch.setattr(acceptor, "BREATH_SECONDS", 0.05)
    async with serving(*founded, tmp_path) as relay:
        box = Box()
        owner, sender = await relay.owner(box), await relay.client()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        waiting = socket.socket()
        waiting.setblocking(False)
        try:
            used = len(os.listdir("/proc/self/fd"))
            resource.setrlimit(resource.RLIMIT_NOFILE, (used - 1, hard))  # the descriptor of the listing is gone
            with contextlib.suppress(BlockingIOError):
                waiting.connect(("127.0.0.1", relay.listener.port))
            await asyncio.sleep(0.2)
            assert relay.listener.metrics.exact(Count.ACCEPT_FAILED) >= 1
            assert await sender.deliver(box, 1) == answers.Ok()
            assert len(await owner.fetch_all()) == 1
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        await asyncio.sleep(0.2)
        assert relay.listener.connections == 3
        waiting.close()
        await (await relay.client()).close()
        await owner.close()
        await sender.close()


def test_there_are_descriptors_for_whom_we_let_in() -> None:
    """The limit of open files bounds the connections, and is raised as far as it may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (600, hard))
        assert acceptor.room(1_000) == 1_000 if hard >= 1_128 else hard - 128
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 600
        assert acceptor.room(10**9) == resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 128
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
