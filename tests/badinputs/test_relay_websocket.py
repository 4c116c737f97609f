"""B019 to B034: what a WebSocket can do to the relay: frames no library sends, floods of small ones, slow readers."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterable
from pathlib import Path

import pytest

from badinputs.raw import BINARY, CLOSE, CONT, MEBIBYTE, PING, PONG, TEXT, Raw, frame, head
from server.conftest import serving
from server.talk import Box, Relay, envelope
from server.test_listener import memory
from troth_protocol.wire import MAX_FRAME, Code, answers, requests
from troth_server import limits
from troth_server.config import Config
from troth_server.ledger_file import LedgerFile
from troth_server.metrics import Count

Founded = tuple[Config, LedgerFile]
LEDGER = requests.encode(7, requests.Ledger(9))


async def end(relay: Relay, pieces: Iterable[bytes]) -> tuple[int, str]:
    """How the relay closes a connection that says this after HELLO."""
    raw = await Raw.upgraded(relay.listener.port)
    for piece in pieces:
        raw.send(piece)
    got = await raw.closed()
    await raw.close()
    return got


@pytest.mark.parametrize(
    "pieces",
    [
        [frame(BINARY, LEDGER, masked=False)],
        [frame(3, LEDGER)],
        [frame(11, LEDGER)],
        [frame(BINARY, LEDGER, rsv=1)],
        [frame(BINARY, LEDGER, rsv=2)],
        [frame(BINARY, LEDGER, rsv=4)],
        [frame(PING, b"", rsv=4)],
        [frame(CONT, LEDGER)],
        [frame(BINARY, LEDGER, fin=False), frame(BINARY, LEDGER)],
        [frame(BINARY, b"", fin=False), frame(TEXT, b"x")],
        [frame(PING, b"x", fin=False)],
        [frame(CLOSE, b"\x03\xe8", fin=False)],
        [frame(PING, bytes(126))],
        [frame(CLOSE, b"\x03")],
        [frame(CLOSE, b"\x00\x01")],
        [frame(BINARY, LEDGER, fin=False), frame(CLOSE, b"\x03\xe8")],
    ],
    ids=[
        "B019 unmasked", "B020 opcode 3", "B020 opcode 11", "B020 RSV3", "B020 RSV2", "B020 RSV1", "B020 on a ping",
        "B026 continuation first", "B026 data inside a message", "B026 text inside a message",
        "B026 ping in pieces", "B026 close in pieces", "ping of 126 bytes", "close of one byte", "close with code 1",
        "close inside a message",
    ],
)  # fmt: skip
async def test_b019_frames_that_break_the_protocol(relay: Relay, pieces: list[bytes]) -> None:
    """B019, B020, B026: 1002."""
    assert (await end(relay, pieces))[0] == 1002


@pytest.mark.parametrize("size", [2**62, 2**63 - 1, 2**32, MAX_FRAME + 1, 10 * MAX_FRAME])
async def test_b021_declared_lengths_are_refused_before_a_byte_of_them(relay: Relay, size: int) -> None:
    """B021, B023: 1009 at once, and no memory is taken for what was announced. [R-11.2-2]"""
    gc.collect()
    before = memory()
    assert (await end(relay, [frame(BINARY, b"x", length=size)]))[0] == 1009
    assert memory() - before < 5 * MEBIBYTE
    # The limit is the message's, in however many pieces.
    assert (await end(relay, [frame(BINARY, bytes(40_000), fin=False), frame(CONT, bytes(30_001))]))[0] == 1009


async def test_b021_a_length_of_64_bits(relay: Relay) -> None:
    """B021: 2^64 - 1 has its highest bit set, which RFC 6455 forbids."""
    assert (await end(relay, [frame(BINARY, b"x", length=2**64 - 1)]))[0] in {1002, 1009}


@pytest.mark.parametrize("payload", [b"x", b""])
async def test_b024_fragments_without_end(relay: Relay, payload: bytes) -> None:
    """B024: FRAGMENT_FLOOD at the 65th; pieces without content count too. [R-11.6-5]"""
    gc.collect()
    before = memory()
    flood = frame(CONT, payload, fin=False) * 100_000
    assert await end(relay, [frame(BINARY, payload, fin=False), flood]) == (1008, "FRAGMENT_FLOOD")
    assert memory() - before < 5 * MEBIBYTE
    assert relay.listener.metrics.exact(Count.FLOODED) == 1
    good = [LEDGER[n : n + 1] for n in range(len(LEDGER))]
    raw = await Raw.upgraded(relay.listener.port)
    raw.send(frame(BINARY, good[0], fin=False) + b"".join(frame(CONT, each, fin=False) for each in good[1:]))
    raw.send(frame(PING) + frame(CONT, b""))
    assert await raw.message() == (PONG, b"")
    assert isinstance(await raw.answer(), answers.LedgerPage)
    await raw.close()


async def test_b024_a_message_that_never_ends(
    founded: Founded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B024: ten seconds for a message, whether more pieces come or none."""
    assert limits.ASSEMBLY_SECONDS == 10
    monkeypatch.setattr("troth_server.guard.ASSEMBLY_SECONDS", 0.2)
    monkeypatch.setattr("troth_server.listener.PATROL_SECONDS", 0.1)
    async with serving(*founded, tmp_path) as relay:
        assert await end(relay, [frame(BINARY, b"x", fin=False)]) == (1008, "FRAGMENT_FLOOD")
        raw = await Raw.upgraded(relay.listener.port)
        raw.send(frame(BINARY, b"x", fin=False))
        for _ in range(20):
            await asyncio.sleep(0.04)
            raw.send(frame(CONT, b"y", fin=False))
        assert await raw.closed() == (1008, "FRAGMENT_FLOOD")
        await raw.close()


async def test_b028_text_is_refused(relay: Relay) -> None:
    """B028: 1003 for text, 1007 for what is not even that."""
    assert (await end(relay, [frame(TEXT, b"hello")]))[0] == 1003
    assert (await end(relay, [frame(TEXT, b"\xff\xfe")]))[0] == 1007


@pytest.mark.parametrize("opcode", [PING, PONG])
async def test_b029_control_frames_without_end(relay: Relay, opcode: int) -> None:
    """B029: PING_FLOOD after the burst, also for pongs that answer nothing; memory stays. [R-11.6-5]"""
    gc.collect()
    before = memory()
    raw = await Raw.upgraded(relay.listener.port)
    raw.send(frame(opcode, bytes(125)) * 40_000)
    assert await raw.closed() == (1008, "PING_FLOOD")
    raw.writer.transport.abort()
    assert memory() - before < 5 * MEBIBYTE + 3 * 5_240_000  # what the test itself holds to send, TLS and all
    raw = await Raw.upgraded(relay.listener.port)
    raw.send(frame(PING, b"x") * limits.CONTROLS)
    assert [await raw.message() for _ in range(limits.CONTROLS)] == [(PONG, b"x")] * limits.CONTROLS
    raw.send(frame(PING, b"x") * limits.CONTROLS)
    assert await raw.closed() == (1008, "PING_FLOOD")
    await raw.close()


async def test_b030_compression_is_not_negotiated(relay: Relay) -> None:
    """B030: nor is anything else. [R-11.1-1]"""
    raw = await Raw.open(relay.listener.port)
    raw.send(head("/troth", "Sec-WebSocket-Extensions: permessage-deflate, x", "Sec-WebSocket-Protocol: y"))
    status, headers = await raw.response()
    assert status == 101
    assert not {"sec-websocket-extensions", "sec-websocket-protocol"} & set(headers)
    raw.send(frame(BINARY, LEDGER, rsv=4))
    assert (await raw.closed())[0] == 1002
    await raw.close()


async def test_many_small_frames_are_not_many_objects(relay: Relay) -> None:
    """Empty messages, 40,000 in one write: parsed a few at a time, the fifth is the last."""
    gc.collect()
    before = memory()
    assert await end(relay, [frame(BINARY) * 40_000]) == (1008, "BAD_FRAME")
    assert memory() - before < 5 * MEBIBYTE
    # And of good ones each is answered, in order.
    raw = await Raw.upgraded(relay.listener.port)
    raw.send(b"".join(frame(BINARY, requests.encode(n, requests.Ledger(9))) for n in range(150)))
    numbers = [answers.decode((await raw.message())[1])[0] for _ in range(150)]
    assert numbers == list(range(150))
    await raw.close()


async def test_b032_who_never_reads_costs_little(relay: Relay) -> None:
    """B032: less than 300 kB for each, and what is queued stays queued. [R-11.1-4] [R-11.6-6]"""
    box = Box()
    sender, owner = await relay.client(), await relay.owner(box)
    for number in range(150):
        assert await sender.deliver(box, number, 65_666) == answers.Ok()
    owner.socket.transport.pause_reading()
    await owner.send(requests.Fetch(64))
    for number in range(150, 200):
        assert await sender.deliver(box, number, 65_666) == answers.Ok()
    (slow,) = [each for each in relay.listener._peers() if each.paused]
    assert slow.transport.get_write_buffer_size() < 300_000
    owner.socket.transport.abort()
    again = await relay.owner(box, create=False)
    assert [each.envelope for each in await again.fetch_all()] == [envelope(n, 65_666) for n in range(200)]
    await again.close()
    await sender.close()


async def test_b032_of_too_many_slow_readers_the_slowest_goes(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    """B032: they are bounded together too; who is cut off finds everything later. [R-11.6-6]"""
    monkeypatch.setattr("troth_server.peer.SLOW_READERS", 3)
    boxes = [Box() for _ in range(5)]
    sender, owners = await relay.client(), []
    for box in boxes:
        owner = await relay.owner(box)
        for number in range(150):
            assert await sender.deliver(box, number, 65_666) == answers.Ok()
        owner.socket.transport.pause_reading()
        await owner.send(requests.Fetch(64))
        owners.append(owner)
        await asyncio.sleep(0.2)
    assert relay.listener.connections == 1 + 3
    assert relay.listener.metrics.exact(Count.STUCK) == 2
    for owner in owners:
        owner.socket.transport.abort()
    again = await relay.owner(boxes[0], create=False)
    assert len(await again.fetch_all()) == 150
    await again.close()
    await sender.close()


async def test_b034_who_never_acknowledges_gets_a_window_and_no_more(relay: Relay) -> None:
    """B034: delivery pauses, the queue stays, and when it is full senders are told. [R-11.4-3]"""
    box = Box()
    sender, owner = await relay.client(), await relay.owner(box)
    for number in range(80):
        assert await sender.deliver(box, number) == answers.Ok()
    await owner.send(requests.Fetch(8))
    assert [type(await owner.push()) for _ in range(8)] == [answers.Envelope] * 8
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(owner.socket.recv(), 0.3)
    assert await owner.call(requests.Count()) == answers.Counts(0, 80)
    assert await owner.call(requests.Acknowledge((9,))) == answers.Error(Code.ACK_UNKNOWN)
    await owner.close()
    await sender.close()


async def test_who_proves_nothing_and_asks_nothing_is_closed(
    founded: Founded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Idle connections of nobody in particular end, those of owners stay; pings are no sign of use. [R-11.6-6]"""
    assert limits.IDLE_SECONDS == 600
    monkeypatch.setattr("troth_server.peer.IDLE_SECONDS", 0.3)
    monkeypatch.setattr("troth_server.listener.PATROL_SECONDS", 0.1)
    async with serving(*founded, tmp_path) as relay:
        box = Box()
        owner = await relay.owner(box)
        raw = await Raw.upgraded(relay.listener.port)
        for _ in range(4):
            raw.send(frame(PING))
            await asyncio.sleep(0.1)
        assert await raw.closed() == (1001, "IDLE")
        assert isinstance(await owner.call(requests.Count()), answers.Counts)
        await owner.close()
