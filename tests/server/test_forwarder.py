"""The forwarder at work: guests reach their relay, and strangers meet the web site and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from server.site import WebSite, connect, hear, key_pair, reset, web_site
from troth_client.routes.outer import Outer
from troth_protocol import ownership
from troth_protocol.address import RelayAddress
from troth_protocol.errors import NetworkError, PinMismatch, TrothError
from troth_server.forwarder import limits, settings
from troth_server.forwarder.counts import Seen
from troth_server.forwarder.front import Front, Room, Site, listening

SECRET = bytes(range(32))
RELAY = RelayAddress("relay.example", 7_443, b"r" * 32)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebSite]:
    with web_site(tmp_path_factory.mktemp("site"), patience=2) as site:
        yield site


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return key_pair(tmp_path_factory.mktemp("key"), ("www.example.org",), days=9)


def pin_of(key: tuple[Path, Path]) -> bytes:
    return ownership.tls_key_hash(ssl.PEM_cert_to_DER_cert(key[0].read_text()))


@contextlib.asynccontextmanager
async def front(key: tuple[Path, Path], site: Site, **options: object) -> AsyncIterator[tuple[Front, int]]:
    context = settings.server_context(*key, ssl.TLSVersion.TLSv1_3)
    sock = listening("127.0.0.1", 0)
    port: int = sock.getsockname()[1]
    room = options.pop("room", Room())
    options.setdefault("private_allowed", True)
    assert isinstance(room, Room)
    async with Front(sock, SECRET, context, site, room, **options) as opened:  # type: ignore[arg-type]
        yield opened, port


class Echo:
    """What stands for a relay: says back what it hears, and remembers it."""

    def __init__(self) -> None:
        self.heard = b""
        self.peers: list[str] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            self.heard += data
            writer.write(data)
            with contextlib.suppress(OSError):
                await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def echo() -> AsyncIterator[tuple[Echo, tuple[str, int]]]:
    relay = Echo()
    async with await asyncio.start_server(relay, "127.0.0.1", 0) as server:
        yield relay, server.sockets[0].getsockname()[:2]


class Visitor:
    """A guest with the client's own outer TLS."""

    def __init__(self, port: int, pin: bytes, *, secret: bytes = SECRET, relay: RelayAddress = RELAY) -> None:
        self.port = port
        self.outer = Outer(secret, pin, "www.example.org", relay, now=int(time.time()), draw=os.urandom)
        self.first = b""

    async def come(self, cut: int = 0) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.first = self.outer.hello()
        if cut:
            self.writer.write(self.first[:cut])
            await asyncio.sleep(0.01)
        self.writer.write(self.first[cut:])
        while not self.outer.ready:
            self.outer.receive(await asyncio.wait_for(self.reader.read(65_536), 10))

    def say(self, data: bytes) -> None:
        self.writer.write(self.outer.send(data))

    async def listen(self, count: int) -> bytes:
        heard = b""
        while len(heard) < count and not self.outer.ended:
            heard += self.outer.receive(await asyncio.wait_for(self.reader.read(65_536), 10))
        return heard

    def leave(self) -> None:
        self.writer.write(self.outer.close())
        self.writer.close()


async def test_a_guest_reaches_the_relay(key: tuple[Path, Path], site: WebSite) -> None:
    """Bytes go through as they are, a lot of them, and the relay hears nothing else. [R-19.4-3] [R-19.4-4]"""
    async with front(key, Site(("127.0.0.1", site.tls), None, b"")) as (opened, port), echo() as (relay, address):
        opened.allow({RELAY.fingerprint: (address,)})
        guest = Visitor(port, pin_of(key))
        await guest.come()
        guest.say(b"inner hello")
        assert await guest.listen(11) == b"inner hello"
        much = os.urandom(2_000_000)
        guest.say(much)
        assert await guest.listen(len(much)) == much
        assert relay.heard == b"inner hello" + much
        assert opened.counts.exact(Seen.FORWARDED) == opened.counts.exact(Seen.GUESTS) == 1
        assert opened.counts.exact(Seen.STRANGERS) == 0
        guest.leave()
        await until(lambda: not opened.doors)
        assert opened.places.taken == 0


async def until(what: Callable[[], bool], seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not what():  # noqa: ASYNC110 (what is waited for is not ours)
            await asyncio.sleep(0.02)


async def test_the_answer_to_a_guest_looks_like_a_sites(key: tuple[Path, Path], site: WebSite) -> None:
    """ServerHello with the session id sent back, then the dummy record, as the site's own TLS does. [R-19.4-3]"""
    async with front(key, Site(("127.0.0.1", site.tls), None, b"")) as (_, port):
        answers = []
        for where in (port, site.tls):
            reader, writer = await asyncio.open_connection("127.0.0.1", where)
            hello = Outer(SECRET, b"", "www.example.org", RELAY, now=int(time.time()), draw=os.urandom).hello()
            writer.write(hello)
            answer = await asyncio.wait_for(reader.readexactly(133), 5)
            writer.close()
            assert answer[44:76] == hello[44:76]
            answers.append(answer[:11] + answer[43:44] + answer[76:90] + answer[127:])
        assert answers[0] == answers[1]


@pytest.mark.parametrize("cut", [1, 5, 6, 43, 60, 300, 516])
async def test_a_hello_in_pieces_is_a_guests(key: tuple[Path, Path], site: WebSite, cut: int) -> None:
    """[R-19.4-2]"""
    async with front(key, Site(("127.0.0.1", site.tls), None, b"")) as (opened, port), echo() as (_, address):
        opened.allow({RELAY.fingerprint: (address,)})
        guest = Visitor(port, pin_of(key))
        await guest.come(cut)
        guest.say(b"x")
        assert await guest.listen(1) == b"x"
        guest.leave()


async def test_a_replayed_first_flight_is_a_strangers(key: tuple[Path, Path], site: WebSite) -> None:
    """The same bytes again get the site's TLS, whose answer is as long as when it is asked itself. [R-19.4-2]"""
    async with front(key, Site(("127.0.0.1", site.tls), None, b"")) as (opened, port):
        guest = Visitor(port, pin_of(key))
        await guest.come()

        def replay(where: int) -> tuple[int, str]:
            with connect(where, tls=False) as sock:
                sock.sendall(guest.first)
                heard, how = hear(sock, 1)
                return len(heard), how

        shown, direct = await asyncio.to_thread(replay, port), await asyncio.to_thread(replay, site.tls)
        assert abs(shown[0] - direct[0]) <= 4  # an ECDSA signature has 70 to 72 bytes
        assert shown[1] == direct[1]
        assert (opened.counts.exact(Seen.GUESTS), opened.counts.exact(Seen.STRANGERS)) == (1, 1)
        guest.writer.close()


async def test_who_has_another_secret_or_another_pin_is_told(key: tuple[Path, Path], site: WebSite) -> None:
    """And sends nothing more. [R-19.4-6]"""
    async with front(key, Site(("127.0.0.1", site.tls), None, b"")) as (opened, port):
        stranger = Visitor(port, pin_of(key), secret=bytes(32))
        with pytest.raises(NetworkError, match="did not know us"):
            await stranger.come()
        stranger.writer.close()
        other = Visitor(port, bytes(32))
        with pytest.raises(PinMismatch):
            await other.come()
        other.writer.close()
        assert opened.counts.exact(Seen.STRANGERS) == 1


async def test_a_guest_gets_nowhere_but_to_an_allowed_relay(key: tuple[Path, Path], site: WebSite) -> None:
    """Unknown, no address, or an address of this machine or a private network: the end, and no packet. [R-19.4-5]"""
    async with echo() as (relay, address):
        for table, private_allowed in (
            ({}, True), ({b"x" * 32: (address,)}, True), ({RELAY.fingerprint: ()}, True),
            ({RELAY.fingerprint: (address, ("::1", address[1]), ("169.254.169.254", 80))}, False),
        ):  # fmt: skip
            where = Site(("127.0.0.1", site.tls), None, b"")
            async with front(key, where, private_allowed=private_allowed) as (opened, port):
                opened.allow(table)
                guest = Visitor(port, pin_of(key))
                await guest.come()
                guest.say(b"let me in")
                assert await guest.listen(1) == b""
                guest.writer.close()
        assert relay.heard == b""


async def test_a_wish_that_is_none_ends_the_connection(key: tuple[Path, Path], site: WebSite) -> None:
    """[R-19.4-4]"""
    async with front(key, Site(("127.0.0.1", site.tls), None, b"")) as (opened, port):
        guest = Visitor(port, pin_of(key))
        guest.outer._first = b"CONNECT 127.0.0.1:22 HTTP/1.1\r\n\r\n"
        await guest.come()
        guest.say(b"")
        assert await guest.listen(1) == b""
        guest.writer.close()
        await until(lambda: not opened.doors)


async def test_a_guest_who_says_nothing_is_let_go(
    key: tuple[Path, Path], site: WebSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "GUEST_SECONDS", 0.2)
    monkeypatch.setattr(limits, "PATROL_SECONDS", 0.05)
    async with front(key, Site(("127.0.0.1", site.tls), None, b"")) as (opened, port):
        guest = Visitor(port, pin_of(key))
        await guest.come()
        assert opened.doors
        await until(lambda: not opened.doors)
        guest.writer.close()


async def test_idle_and_half_open_guests_are_let_go(
    key: tuple[Path, Path], site: WebSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("GUEST_IDLE", 0.3), ("PATROL_SECONDS", 0.05)):
        monkeypatch.setattr(limits, name, value)
    async with front(key, Site(("127.0.0.1", site.tls), None, b"")) as (opened, port), echo() as (_, address):
        opened.allow({RELAY.fingerprint: (address,)})
        guest = Visitor(port, pin_of(key))
        await guest.come()
        guest.say(b"x")
        assert await guest.listen(1) == b"x"
        await until(lambda: not opened.doors)
        assert await guest.listen(1) == b""
        guest.writer.close()


async def test_a_guest_who_does_not_read_is_not_read_for(
    key: tuple[Path, Path], site: WebSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Buffers are bounded on the way, and whoever takes nothing is cut off."""
    monkeypatch.setattr(limits, "STUCK_SECONDS", 1)
    monkeypatch.setattr(limits, "PATROL_SECONDS", 0.1)
    sent = 0

    async def pour(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        with contextlib.suppress(OSError):
            while True:
                writer.write(bytes(65_536))
                await writer.drain()
                sent += 65_536

    async with (
        front(key, Site(("127.0.0.1", site.tls), None, b"")) as (opened, port),
        await asyncio.start_server(pour, "127.0.0.1", 0) as server,
    ):
        opened.allow({RELAY.fingerprint: (server.sockets[0].getsockname()[:2],)})
        guest = Visitor(port, pin_of(key))
        await guest.come()
        guest.writer.transport.pause_reading()  # type: ignore[attr-defined]
        guest.say(b"x")
        await until(lambda: sent > 0)
        held = []
        while opened.doors:
            held += [door._transport.get_write_buffer_size() for door in opened.doors]
            await asyncio.sleep(0.01)
        assert 0 < max(held) < 4 * limits.WRITE_HIGH
        guest.writer.transport.abort()


async def test_there_is_room_for_so_many_from_one_address(key: tuple[Path, Path], site: WebSite) -> None:
    room = Room(connections=10, from_address=3)
    async with front(key, Site(("127.0.0.1", site.tls), None, b""), room=room) as (opened, port):
        socks = [await asyncio.to_thread(connect, port, tls=False) for _ in range(3)]
        await until(lambda: len(opened.doors) == 3)
        with await asyncio.to_thread(connect, port, tls=False) as late:
            assert (await asyncio.to_thread(hear, late, 2))[0] == b""
        for sock in socks:
            sock.close()
        await until(lambda: not opened.doors)
        with await asyncio.to_thread(connect, port, tls=True) as again:
            again.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert (await asyncio.to_thread(hear, again, 2))[0].startswith(b"HTTP/1.1 200")


async def test_the_relay_going_away_ends_the_guests_connection(key: tuple[Path, Path], site: WebSite) -> None:
    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(9)
        writer.write(b"bye")
        writer.close()

    async with (
        front(key, Site(("127.0.0.1", site.tls), None, b"")) as (opened, port),
        await asyncio.start_server(leave, "127.0.0.1", 0) as server,
    ):
        opened.allow({RELAY.fingerprint: (server.sockets[0].getsockname()[:2],)})
        guest = Visitor(port, pin_of(key))
        await guest.come()
        guest.say(b"x")
        assert await guest.listen(9) == b"bye"
        guest.writer.close()
        await until(lambda: not opened.doors)


async def test_no_relay_address_answers(key: tuple[Path, Path], site: WebSite) -> None:
    missed: list[bytes] = []
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        async with front(key, Site(("127.0.0.1", site.tls), None, b"")) as (opened, port):
            opened.missed = missed.append
            opened.allow({RELAY.fingerprint: (nobody.getsockname()[:2],)})
            guest = Visitor(port, pin_of(key))
            await guest.come()
            guest.say(b"x")
            assert await guest.listen(1) == b""
            assert missed == [RELAY.fingerprint]
            guest.writer.close()


# The built-in site.


async def test_the_built_in_site_is_a_site(key: tuple[Path, Path]) -> None:
    """A guest still gets in beside it; a stranger's TLS ends here."""
    context = settings.server_context(*key, ssl.TLSVersion.TLSv1_2)
    async with front(key, Site(None, context, b"<p>hello</p>")) as (opened, port), echo() as (_, address):
        opened.allow({RELAY.fingerprint: (address,)})
        heard = await asyncio.to_thread(visit, port, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert heard.startswith(b"HTTP/1.1 200 OK")
        assert heard.endswith(b"<p>hello</p>")
        with await asyncio.to_thread(connect, port, tls=False) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
            noise, how = await asyncio.to_thread(hear, sock, 2)
            assert how == "end"
            assert noise[:1] in (b"", b"\x15")
        guest = Visitor(port, pin_of(key))
        await guest.come()
        guest.say(b"x")
        assert await guest.listen(1) == b"x"
        guest.leave()


def visit(port: int, request: bytes) -> bytes:
    with contextlib.suppress(OSError), connect(port, tls=True) as sock:
        sock.sendall(request)
        return hear(sock, 2)[0]
    return b"refused"


async def test_a_site_without_tls_gets_it_here(key: tuple[Path, Path], site: WebSite) -> None:
    context = settings.server_context(*key, ssl.TLSVersion.TLSv1_2)
    async with front(key, Site(("127.0.0.1", site.plain), context, b"")) as (_, port):
        for path in (b"/", b"/none"):
            request = b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            ours, theirs = (
                await asyncio.to_thread(visit, port, request),
                await asyncio.to_thread(visit, site.tls, request),
            )
            assert undated(ours) == undated(theirs)
            assert ours.startswith(b"HTTP/1.1 ")


def undated(answer: bytes) -> bytes:
    return re.sub(rb"\r\nDate: [^\r]*", b"", answer)


async def test_a_site_that_is_down_ends_the_connection(key: tuple[Path, Path]) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        async with front(key, Site(nobody.getsockname()[:2], None, b"")) as (opened, port):
            with await asyncio.to_thread(connect, port, tls=False) as sock:
                sock.sendall(b"hello")
                assert (await asyncio.to_thread(hear, sock, 5))[0] == b""
            await until(lambda: opened.counts.exact(Seen.SITE_UNREACHABLE) == 1)
            await until(lambda: not opened.doors)


async def test_a_reset_of_the_sites_is_a_reset(key: tuple[Path, Path]) -> None:
    """[R-19.4-2]"""

    async def slam(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(9)
        reset(writer.get_extra_info("socket").dup())
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        writer.transport.abort()

    async with (
        await asyncio.start_server(slam, "127.0.0.1", 0) as server,
        front(key, Site(server.sockets[0].getsockname()[:2], None, b"")) as (_, port),
    ):
        with await asyncio.to_thread(connect, port, tls=False) as sock:
            sock.sendall(b"hello")
            assert await asyncio.to_thread(hear, sock, 5) == (b"", "ConnectionResetError")


async def test_a_stop_closes_what_is_open(key: tuple[Path, Path], site: WebSite) -> None:
    async with echo() as (_, address):
        async with front(key, Site(("127.0.0.1", site.tls), None, b"")) as (opened, port):
            opened.allow({RELAY.fingerprint: (address,)})
            guest = Visitor(port, pin_of(key))
            await guest.come()
            guest.say(b"x")
            assert await guest.listen(1) == b"x"
        assert await guest.listen(1) == b""
        assert guest.outer.ended
        guest.writer.close()
        with pytest.raises((TrothError, OSError)):
            await Visitor(port, pin_of(key)).come()
