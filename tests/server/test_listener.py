"""The shell on loopback with real TLS: what sockets, time and slow peers can do to it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import resource
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from server.conftest import no_fatal, serving
from server.talk import Box, Client, Relay, envelope, unverified
from troth_protocol.errors import NetworkError, UserError
from troth_protocol.token import capability_hash
from troth_protocol.wire import BUNDLE_SIZE, MAX_FRAME, PATH, VERSION, Code, Type, Via, answers, requests
from troth_server import limits, listener, session, tls
from troth_server.config import Config
from troth_server.effects import CloseCode
from troth_server.ledger_file import LedgerFile
from troth_server.listener import Listener, listening_socket
from troth_server.observer import SeenEvent
from troth_server.peer import Peer
from troth_server.storage import STORES

OK = answers.Ok()
REFUSED = answers.Error(Code.REFUSED)


async def closed(client: Client) -> tuple[int, str]:
    """How the relay closes this connection."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            await asyncio.wait_for(client.socket.recv(), 10)
    return client.socket.close_code or 0, client.socket.close_reason or ""


async def test_a_message_goes_from_hand_to_hand(relay: Relay) -> None:
    box = Box()
    owner = await relay.owner(box)
    sender = await relay.client()
    assert [await sender.deliver(box, number) for number in (1, 2, 2)] == [OK, OK, OK]
    assert await sender.call(requests.Deliver(box.mailbox, box.token(1), envelope(9))) == REFUSED
    got = await owner.fetch_all()
    assert [(each.sequence, each.via, each.envelope) for each in got] == [
        (1, Via.TOKEN, envelope(1)), (2, Via.TOKEN, envelope(2)),
    ]  # fmt: skip
    assert await owner.call(requests.Count()) == answers.Counts(0, 0)
    assert await sender.deliver(box, 3) == OK
    live = await owner.push()
    assert isinstance(live, answers.Envelope)
    assert live.envelope == envelope(3)
    await owner.close()
    await sender.close()


async def test_a_stranger_meets_somebody_by_card(relay: Relay) -> None:
    box, lookup, capability = Box(), b"l" * 32, b"c" * 32
    owner = await relay.owner(box)
    bundle = b"b" * BUNDLE_SIZE
    assert await owner.call(requests.Publish(lookup, capability_hash(capability), 1, b"b" * 16, bundle)) == OK
    leaf = bytes([5]).ljust(1_441, b"l")
    assert await owner.call(requests.AddLeaves(b"b" * 16, (leaf,))) == OK
    assert await owner.call(requests.Count()) == answers.Counts(1, 0)
    stranger = await relay.client()
    assert await stranger.call(requests.FetchBundle(lookup, b"x" * 32)) == REFUSED
    assert await stranger.call(requests.FetchBundle(lookup, capability)) == answers.Bundle(bundle, (leaf,))
    assert await stranger.call(requests.FetchBundle(lookup, capability)) == answers.Bundle(bundle, (None,))
    for _ in range(2):
        assert await stranger.call(requests.DeliverFirst(lookup, capability, 0, b"n" * 16, envelope(1))) == OK
    spare = b"s" * 32
    assert await owner.call(requests.Spares((capability_hash(spare),))) == OK
    assert await stranger.call(requests.DeliverSpare(box.mailbox, spare, b"m" * 16, envelope(2))) == OK
    assert await stranger.call(requests.DeliverSpare(box.mailbox, spare, b"M" * 16, envelope(3))) == REFUSED
    assert [each.via for each in await owner.fetch_all()] == [Via.INTRO, Via.SPARE]
    assert await owner.call(requests.Unpublish(lookup)) == OK
    assert await stranger.call(requests.FetchBundle(lookup, capability)) == REFUSED
    await owner.close()
    await stranger.close()


async def test_the_ledger_is_served_as_it_is_on_disk(relay: Relay) -> None:
    client = await relay.client()
    assert client.welcome.relay == relay.ledger.fingerprint
    page = await client.call(requests.Ledger(0))
    assert page == answers.LedgerPage(relay.ledger.operator, 1, relay.ledger.entries)
    await client.close()


async def test_a_proof_made_for_another_tls_key_opens_nothing(relay: Relay) -> None:
    """[R-10.1-4]"""
    box = Box()
    client = await relay.client()
    await client.create(box, relay.listener.now())
    client.key_hash = bytes(32)
    assert await client.prove(box) == REFUSED
    await client.close()


async def test_the_window_holds_until_acknowledged(relay: Relay) -> None:
    """[R-11.4-3]"""
    box = Box()
    owner, sender = await relay.owner(box), await relay.client()
    for number in range(5):
        await sender.deliver(box, number)
    await owner.send(requests.Fetch(2))
    first = [await owner.push() for _ in range(2)]
    assert [each.sequence for each in first if isinstance(each, answers.Envelope)] == [1, 2]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(owner.socket.recv(), 0.2)
    assert await owner.call(requests.Acknowledge((9,))) == answers.Error(Code.ACK_UNKNOWN)
    for sequence in range(1, 6):
        for _ in range(2):
            assert await owner.call(requests.Acknowledge((sequence,))) == OK
    rest = [await owner.push() for _ in range(4)]
    assert [each.sequence for each in rest[:3] if isinstance(each, answers.Envelope)] == [3, 4, 5]
    assert rest[3] == answers.Drained()
    await owner.close()
    await sender.close()


async def test_a_newer_fetch_takes_over_and_unacknowledged_envelopes_come_again(relay: Relay) -> None:
    """[R-11.4-7]"""
    box = Box()
    old, sender = await relay.owner(box), await relay.client()
    for number in (1, 2, 3):
        await sender.deliver(box, number)
    await old.send(requests.Fetch(64))
    assert [(await old.push()) is not None for _ in range(3)]
    assert await old.call(requests.Acknowledge((1,))) == OK
    new = await relay.owner(box, create=False)
    again = await new.fetch_all()
    assert [each.envelope for each in again] == [envelope(2), envelope(3)]
    assert await closed(old) == (CloseCode.TAKEN_OVER, "TAKEN_OVER")
    assert await sender.deliver(box, 4) == OK
    live = await new.push()
    assert isinstance(live, answers.Envelope)
    assert live.sequence == 4
    await new.close()
    await sender.close()


async def test_two_owners_may_be_connected_as_long_as_one_fetches(relay: Relay) -> None:
    box = Box()
    fetching, counting = await relay.owner(box), await relay.owner(box, create=False)
    assert await fetching.fetch_all() == []
    assert await counting.call(requests.Count()) == answers.Counts(0, 0)
    await fetching.close()
    await counting.close()


# What is not a troth client.


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [("/", {}, 404), (PATH + "x", {}, 404), (PATH + "?a", {}, 404), (PATH, {"Origin": "https://evil.example"}, 403)],
)
async def test_other_paths_and_browsers_are_turned_away(
    relay: Relay, path: str, headers: dict[str, str], status: int
) -> None:
    """[R-11.1-2]"""
    with pytest.raises(InvalidStatus) as refused:
        await connect(
            f"wss://127.0.0.1:{relay.listener.port}{path}", ssl=unverified(), proxy=None, additional_headers=headers
        )
    assert refused.value.response.status_code == status
    assert "Server" not in refused.value.response.headers


async def test_compression_is_not_negotiated_and_no_version_is_told(relay: Relay) -> None:
    """[R-11.1-1]"""
    async with connect(
        f"wss://127.0.0.1:{relay.listener.port}{PATH}", ssl=unverified(), proxy=None, compression="deflate"
    ) as socket:
        assert socket.response is not None
        assert not {"Sec-WebSocket-Extensions", "Server"} & set(socket.response.headers)


async def test_text_is_refused(relay: Relay) -> None:
    client = await relay.client(hello=False)
    await client.socket.send("hello")
    assert (await closed(client))[0] == CloseCode.NOT_BINARY


@pytest.mark.parametrize(("size", "code"), [(MAX_FRAME + 1, 1009), (10 * MAX_FRAME, 1009)])
async def test_an_oversized_message_closes_the_connection(relay: Relay, size: int, code: int) -> None:
    """[R-11.2-2]"""
    client = await relay.client()
    await client.socket.send(bytes(size))
    assert (await closed(client))[0] == code


async def test_a_message_of_exactly_the_limit_is_read(relay: Relay) -> None:
    client = await relay.client()
    await client.socket.send(bytes(4) + bytes([Type.COUNT]) + bytes(MAX_FRAME - 5))
    assert (await client.read())[1] == answers.Error(Code.BAD_FRAME, "end", 5)
    await client.close()


async def test_a_flood_of_fragments_is_cut_off(relay: Relay) -> None:
    client = await relay.client()

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(10_000):
            yield b"x"

    with contextlib.suppress(ConnectionClosed):
        await client.socket.send(pieces())
    assert await closed(client) == (CloseCode.POLICY, "FRAGMENT_FLOOD")
    # A message in pieces of a reasonable size is a message.
    client = await relay.client()
    frame = requests.encode(3, requests.Ledger(5))
    await client.socket.send([frame[i : i + 2] for i in range(0, len(frame), 2)])
    assert isinstance((await client.read())[1], answers.LedgerPage)
    await client.close()


async def test_five_bad_frames_and_three_unproved_requests_close(relay: Relay) -> None:
    client = await relay.client()
    for _ in range(5):
        await client.socket.send(b"?")
    assert await closed(client) == (CloseCode.POLICY, "BAD_FRAME")
    client = await relay.client()
    for _ in range(3):
        await client.send(requests.Count())
    assert await closed(client) == (CloseCode.POLICY, "AUTH_REQUIRED")


async def test_silence_before_hello_ends(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "HELLO_SECONDS", 0.2)
    client = await relay.client(hello=False)
    assert await closed(client) == (CloseCode.POLICY, "HELLO_TIMEOUT")
    # The deadline is absolute: frames that are not Hello do not move it.
    client = await relay.client(hello=False)
    await asyncio.sleep(0.15)
    await client.send(requests.Ledger(0))
    assert await closed(client) == (CloseCode.POLICY, "HELLO_TIMEOUT")


async def test_a_half_made_connection_ends(
    founded: tuple[Config, LedgerFile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "OPEN_SECONDS", 0.3)
    config, ledger = founded
    store = STORES["sqlite"](tmp_path, config.quotas, no_fatal)
    served = tls.load(config.certificate, config.certificate_key)
    async with Listener(config, store, ledger, served, sock=listening_socket("127.0.0.1", 0)) as relay:
        for context, first in ((None, b""), (None, b"GET / HTTP/1.1\r\n\r\n"), (unverified(), b"GET /troth HT")):
            reader, writer = await asyncio.open_connection("127.0.0.1", relay.port, ssl=context)
            writer.write(first)
            with contextlib.suppress(OSError):
                await asyncio.wait_for(reader.read(), 5)
            writer.close()
    store.close()


async def test_old_tls_is_refused(relay: Relay) -> None:
    """[R-11.1-3]"""
    context = unverified()
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection("127.0.0.1", relay.listener.port, ssl=context)


async def test_more_connections_than_configured_are_told_busy(
    founded: tuple[Config, LedgerFile], tmp_path: Path
) -> None:
    config = Config(founded[0].data, port=0, max_connections=2)
    store = STORES["sqlite"](tmp_path, config.quotas, no_fatal)
    served = tls.load(config.certificate, config.certificate_key)
    async with Listener(config, store, founded[1], served) as relay:
        clients = [await Client.open(relay.port) for _ in range(2)]
        with pytest.raises(InvalidStatus, match="503"):
            await Client.open(relay.port)
        for client in clients:
            await client.close()
        await asyncio.sleep(0.1)
        await (await Client.open(relay.port)).close()
    store.close()


async def test_plain_is_for_loopback_only(founded: tuple[Config, LedgerFile], tmp_path: Path) -> None:
    """[R-11.1-3]"""
    config, ledger = founded
    store = STORES["sqlite"](tmp_path, config.quotas, no_fatal)
    with pytest.raises(UserError, match="loopback"):
        Listener(Config(config.data, bind="0.0.0.0"), store, ledger, None)  # noqa: S104
    async with (
        Listener(Config(config.data, port=0), store, ledger, None) as relay,
        connect(f"ws://127.0.0.1:{relay.port}{PATH}", proxy=None) as socket,
    ):
        await socket.send(requests.encode(1, requests.Hello(VERSION)))
        assert isinstance(answers.decode(await socket.recv(decode=False))[1], answers.Welcome)
    store.close()


async def test_a_taken_port_is_one_clear_error(relay: Relay) -> None:
    with pytest.raises(NetworkError, match=r"cannot listen on 127\.0\.0\.1 port"):
        listening_socket("127.0.0.1", relay.listener.port)


# Peers that do not keep up.


def peers(relay: Relay) -> list[Peer]:
    """Connections the relay has at the moment."""
    return relay.listener._peers()


def memory() -> int:
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


async def test_a_slow_reader_costs_little_and_loses_nothing(relay: Relay) -> None:
    """[R-11.1-4]"""
    box = Box()
    sender = await relay.client()
    owner = await relay.owner(box)
    for number in range(200):
        assert await sender.deliver(box, number, 65_666) == OK
    gc.collect()
    before = memory()
    owner.socket.transport.pause_reading()
    await owner.send(requests.Fetch(64))
    await asyncio.sleep(0.5)
    (slow,) = [each for each in peers(relay) if each.paused]
    buffered = slow.transport.get_write_buffer_size()
    assert buffered < limits.PAGE_BYTES + limits.WRITE_HIGH + 70_000
    assert memory() - before < 5_000_000
    for number in range(200, 260):
        assert await sender.deliver(box, number, 65_666) == OK
    assert slow.transport.get_write_buffer_size() <= buffered
    owner.socket.transport.resume_reading()
    got: list[bytes] = []
    while True:
        answer = await owner.push()
        if isinstance(answer, answers.Drained):
            break
        assert isinstance(answer, answers.Envelope)
        got.append(answer.envelope)
        assert await owner.call(requests.Acknowledge((answer.sequence,))) == OK
    assert got == [envelope(number, 65_666) for number in range(len(got))]
    assert len(got) >= 200
    await owner.close()
    await sender.close()


async def test_live_envelopes_do_not_pile_up_for_a_slow_reader(relay: Relay) -> None:
    box = Box()
    sender, owner = await relay.client(), await relay.owner(box)
    assert await owner.fetch_all() == []
    owner.socket.transport.pause_reading()
    for number in range(60):
        assert await sender.deliver(box, number, 65_666) == OK
    (slow,) = [each for each in peers(relay) if each.paused]
    assert slow.transport.get_write_buffer_size() < limits.PAGE_BYTES + limits.WRITE_HIGH + 140_000
    owner.socket.transport.resume_reading()
    for number in range(60):
        live = await owner.push()
        assert isinstance(live, answers.Envelope)
        assert live.envelope == envelope(number, 65_666)
    await owner.close()
    await sender.close()


async def test_a_client_that_asks_without_reading_is_not_read_either(relay: Relay) -> None:
    client = await relay.client()
    client.socket.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    client.socket.transport.pause_reading()
    ids = [await client.send(requests.Ledger(0)) for _ in range(190)]
    await asyncio.sleep(0.3)
    (peer,) = peers(relay)
    assert peer.paused
    assert peer.transport.get_write_buffer_size() < 2 * limits.WRITE_HIGH
    client.socket.transport.resume_reading()
    assert [(await client.read())[0] for _ in ids] == ids
    await client.close()


async def test_a_peer_that_is_gone_without_a_word_is_noticed(
    founded: tuple[Config, LedgerFile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in {"PING_SECONDS": 0.2, "SILENCE_SECONDS": 0.6}.items():
        monkeypatch.setattr(f"troth_server.peer.{name}", seconds)
    monkeypatch.setattr("troth_server.listener.PATROL_SECONDS", 0.05)
    assert limits.PING_SECONDS < limits.SILENCE_SECONDS
    assert limits.SILENCE_SECONDS + limits.PATROL_SECONDS <= 45
    async with serving(*founded, tmp_path) as relay:
        alive, gone = await relay.client(), await relay.client()
        gone.socket.transport.pause_reading()  # reads no ping, sends no pong
        await asyncio.sleep(1)
        assert len(peers(relay)) == 1
        assert isinstance(await alive.call(requests.Ledger(0)), answers.LedgerPage)
        gone.socket.transport.abort()
        await alive.close()


async def test_a_reader_that_never_reads_is_cut_off_and_finds_all_later(
    founded: tuple[Config, LedgerFile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[R-11.1-4]"""
    monkeypatch.setattr("troth_server.peer.SEND_SECONDS", 0.3)
    monkeypatch.setattr("troth_server.listener.PATROL_SECONDS", 0.05)
    box = Box()
    async with serving(*founded, tmp_path) as relay:
        sender, owner = await relay.client(), await relay.owner(box)
        for number in range(100):
            await sender.deliver(box, number, 65_666)
        owner.socket.transport.pause_reading()
        await owner.send(requests.Fetch(64))
        for _ in range(50):
            await asyncio.sleep(0.1)
            if len(peers(relay)) == 1:
                break
        assert len(peers(relay)) == 1
        owner.socket.transport.abort()
        again = await relay.owner(box, create=False)
        assert [each.envelope for each in await again.fetch_all()] == [envelope(n, 65_666) for n in range(100)]
        await again.close()
        await sender.close()


async def test_pings_whose_answers_nobody_reads_are_cut_off(relay: Relay) -> None:
    client = await relay.client()
    client.socket.transport.pause_reading()
    gc.collect()
    before = memory()
    mask = b"\x00" * 4
    ping = struct.pack("!BB", 0x89, 0x80 | 125) + mask + bytes(125)
    for _ in range(400):
        client.socket.transport.write(ping * 1_000)
        await asyncio.sleep(0)
        if client.socket.transport.is_closing() or not peers(relay):
            break
        for _ in range(400):
            if client.socket.transport.get_write_buffer_size() < 1_000_000 or not peers(relay):
                break
            await asyncio.sleep(0.005)
    for _ in range(50):
        await asyncio.sleep(0.02)
        if not peers(relay):
            break
    assert not peers(relay)
    client.socket.transport.abort()
    assert memory() - before < 8_000_000


async def test_a_sender_that_does_not_wait_for_answers_is_served_in_order(relay: Relay) -> None:
    box = Box()
    owner, sender = await relay.owner(box), await relay.client()
    ids = [await sender.send(requests.Deliver(box.mailbox, box.token(n), envelope(n))) for n in range(500)]
    assert [await sender.read() for _ in ids] == [(each, OK) for each in ids]
    assert [each.envelope for each in await owner.fetch_all()] == [envelope(n) for n in range(500)]
    await owner.close()
    await sender.close()


async def test_connections_that_come_and_go_leave_nothing_behind(relay: Relay) -> None:
    box = Box()
    await (await relay.owner(box)).close()
    for _ in range(20):
        clients = [await relay.client() for _ in range(5)]
        owner = await relay.owner(box, create=False)
        await owner.send(requests.Fetch(4))
        for client in clients:
            client.socket.transport.abort()
        await owner.socket.send(b"") if _ % 2 else owner.socket.transport.abort()
        await owner.close()
    for _ in range(50):
        await asyncio.sleep(0.02)
        if not peers(relay):
            break
    assert not peers(relay)
    assert relay.listener._subscribers == {}
    assert not relay.listener._tasks


async def test_the_observer_sees_what_the_relay_sees(relay: Relay) -> None:
    box = Box()
    owner, sender = await relay.owner(box), await relay.client()
    await sender.deliver(box, 1)
    await owner.fetch_all()
    await owner.socket.send(b"\xff")
    seen = [event for event in relay.events if isinstance(event, SeenEvent)]
    kinds = [(event.kind, event.subject) for event in seen]
    assert kinds == [
        (Type.HELLO, None), (Type.CREATE, box.hash), (Type.PROVE, box.hash), (Type.HELLO, None),
        (Type.DELIVER, box.hash), (Type.FETCH, box.hash), (Type.ACKNOWLEDGE, box.hash),
    ]  # fmt: skip
    assert all(abs(event.time - relay.listener.now()) < 60 for event in seen)
    shown = repr(relay.events) + repr(relay.store.view(5))
    assert repr(box.mailbox)[2:-1] not in shown
    await owner.close()
    await sender.close()
