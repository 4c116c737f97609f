"""Blobs over the wire: what a connection may ask, and uploads and downloads that are cut again and again."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import random
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from badinputs.good import Good, resident
from server.conftest import serving
from server.served import Served
from server.talk import Box, Client, Relay
from troth_protocol.wire import Code, answers, requests, rights
from troth_protocol.wire.blobs import CHUNK, MAX_CHUNKS, BlobDelete, BlobGet, BlobPart, BlobPut, BlobState
from troth_server.config import Config
from troth_server.ledger_file import LedgerFile
from troth_server.limits import BlobQuotas, Quotas, Rates

_CUT = (ConnectionClosed, OSError, TimeoutError, EOFError)
"""How a client notices that it was cut off, or that the relay is not there."""


class Content:
    """A blob's bytes, made from its index, so that 100 MB of them need no memory."""

    def __init__(self, chunks: int, blob: bytes = b"") -> None:
        self.chunks = chunks
        self.blob = blob or os.urandom(32)
        self.expires = int(time.time()) + 86_400

    def __getitem__(self, index: int) -> bytes:
        return hashlib.shake_256(self.blob + index.to_bytes(4, "big")).digest(64) * (CHUNK // 64) + bytes(16)

    def put(self, index: int, *, empty: bool = False) -> BlobPut:
        return BlobPut(self.blob, self.chunks, self.expires, index, b"" if empty else self[index])


async def state(client: Client, request: BlobPut) -> BlobState:
    answer = await client.call(request)
    assert isinstance(answer, BlobState), answer
    return answer


async def upload(client: Client, content: Content, most: int | None = None) -> int:
    """Ask how far it is and go on, for at most so many chunks; what the relay has said that it has."""
    stored = (await state(client, content.put(0, empty=True))).stored
    last = content.chunks if most is None else min(content.chunks, stored + most)
    while stored < last:
        stored = (await state(client, content.put(stored))).stored
    return stored


async def part(client: Client, content: Content, index: int) -> bytes:
    while True:
        answer = await client.call(BlobGet(content.blob, index))
        if isinstance(answer, BlobPart):
            assert (answer.chunks, answer.index) == (content.chunks, index)
            return answer.chunk
        assert isinstance(answer, answers.Error)
        assert answer.code == Code.RATE_LIMITED, answer
        await asyncio.sleep(answer.retry_after)


async def refused(client: Client, request: requests.Request) -> Code:
    answer = await client.call(request)
    assert isinstance(answer, answers.Error), answer
    return Code(answer.code)


@contextlib.asynccontextmanager
async def small(founded: tuple[Config, LedgerFile], folder: Path, **changed: int) -> AsyncIterator[Relay]:
    quotas = Quotas(blobs=BlobQuotas(chunks=8, mailbox_chunks=10, keep_free=0))
    config = replace(founded[0], quotas=quotas, rates=replace(Rates(), **changed))
    async with serving(config, founded[1], folder) as relay:
        yield relay


async def test_an_owner_puts_and_anybody_who_knows_the_id_gets(relay: Relay) -> None:
    owner, other, anybody = await relay.owner(Box()), await relay.owner(Box()), await relay.client()
    content = Content(4)
    assert await upload(owner, content) == 4
    assert [await part(anybody, content, index) for index in (3, 0, 1)] == [content[index] for index in (3, 0, 1)]
    assert await refused(anybody, content.put(0, empty=True)) is Code.AUTH_REQUIRED
    assert await refused(other, content.put(0, empty=True)) is Code.REFUSED
    assert await other.call(BlobDelete(content.blob)) == answers.Ok()
    for index, blob in ((4, content.blob), (0, bytes(32))):
        answer = await anybody.call(BlobGet(blob, index))
        assert answer == answers.Error(Code.REFUSED)
    assert await part(anybody, content, 2) == content[2]
    assert await owner.call(BlobDelete(content.blob)) == answers.Ok()
    assert await refused(anybody, BlobGet(content.blob, 2)) is Code.REFUSED
    assert await owner.call(BlobDelete(content.blob)) == answers.Ok()


async def test_several_chunks_may_be_under_way_and_a_deletion_behind_them_is_the_end(relay: Relay) -> None:
    owner, content = await relay.owner(Box()), Content(8)
    asked = [await owner.send(content.put(index)) for index in range(8)]
    asked.append(await owner.send(BlobDelete(content.blob)))
    got = dict([await owner.read() for _ in asked])
    assert [got[number] for number in asked[:-1]] == [
        BlobState(index + 1, 8, content.expires + -content.expires % 3_600) for index in range(8)
    ]
    assert got[asked[-1]] == answers.Ok()
    assert (await state(owner, content.put(0, empty=True))).stored == 0


async def test_what_is_too_much_is_said(founded: tuple[Config, LedgerFile], tmp_path: Path) -> None:
    """[R-11.9-4]: too large here, more than a mailbox may have, a deadline that is past."""
    async with small(founded, tmp_path) as relay:
        owner = await relay.owner(Box())
        assert await owner.call(Content(16).put(0)) == answers.Error(Code.TOO_LARGE, limit=8 * CHUNK)
        for _ in range(100):
            answer = await owner.call(Content(8).put(0, empty=True))
        assert answer == answers.Error(Code.QUOTA)
        past = BlobPut(os.urandom(32), 1, int(time.time()) - 1, 0)
        assert await owner.call(past) == answers.Error(Code.BAD_FRAME, "expires")


async def test_a_blob_cannot_be_used_to_drain_the_relay(founded: tuple[Config, LedgerFile], tmp_path: Path) -> None:
    """Downloads are counted for the connection and for the id, whether it exists or not. [R-11.6-3]"""
    few = {"downloads_at_once": 6, "downloads_per_minute": 1, "blob_downloads_at_once": 9, "uploads_at_once": 12,
           "blob_downloads_per_minute": 1, "uploads_per_minute": 1}  # fmt: skip
    async with small(founded, tmp_path, **few) as relay:
        owner, content = await relay.owner(Box()), Content(4)
        await upload(owner, content)
        said = []
        for _ in range(2):
            client = await relay.client()
            said.append([await client.call(BlobGet(content.blob, 0)) for _ in range(7)])
        assert [sum(isinstance(answer, BlobPart) for answer in each) for each in said] == [6, 3]
        unknown = []
        for _ in range(2):
            client = await relay.client()
            unknown += [await client.call(BlobGet(b"u" * 32, 0)) for _ in range(6)]
        refused_, limited = answers.Error(Code.REFUSED), Code.RATE_LIMITED
        assert unknown[:9] == [refused_] * 9
        assert all(isinstance(each, answers.Error) and each.code == limited for each in unknown[9:])
        for _ in range(7):
            assert (await state(owner, content.put(0))).stored == 4  # nothing is added, and still it was read
        assert await refused(owner, content.put(0)) is Code.RATE_LIMITED


async def test_deleted_while_it_is_downloaded(relay: Relay) -> None:
    owner, anybody, content = await relay.owner(Box()), await relay.client(), Content(16)
    await upload(owner, content)
    assert await part(anybody, content, 0) == content[0]
    asked = [await anybody.send(BlobGet(content.blob, index)) for index in range(1, 16)]
    assert await owner.call(BlobDelete(content.blob)) == answers.Ok()
    got = dict([await anybody.read() for _ in asked])
    whole = [got[number] == BlobPart(16, index, content[index]) for index, number in enumerate(asked, 1)]
    assert all(good or got[number] == answers.Error(Code.REFUSED) for good, number in zip(whole, asked, strict=True))
    assert whole == sorted(whole, reverse=True)
    assert await refused(anybody, BlobGet(content.blob, 0)) is Code.REFUSED


async def test_erasing_the_mailbox_takes_its_blobs(relay: Relay, tmp_path: Path) -> None:
    owner, anybody, content = await relay.owner(Box()), await relay.client(), Content(2)
    await upload(owner, content)
    assert await owner.call(rights.Erase()) == answers.Ok()
    assert await refused(anybody, BlobGet(content.blob, 0)) is Code.REFUSED
    for _ in range(500):
        if not any((tmp_path / "blobs").iterdir()):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the file is still there")


async def cut_again_and_again(served: Served, chunks: int, cuts: int) -> Content:
    """Upload with the client cut off and the relay killed by turns, in the middle of whatever it does."""
    served.start()
    box, content = Box(), Content(chunks)
    client = await Client.open(served.port)
    assert await client.create(box, int(time.time())) == answers.Ok()
    said = 0
    for cut in range(cuts + 1):
        client = await Client.open(served.port)
        assert await client.prove(box) == answers.Ok()
        stored = (await state(client, content.put(0, empty=True))).stored
        assert stored >= said, "what was acknowledged is lost"
        if cut == cuts:
            assert await upload(client, content) == chunks
            break
        said = await upload(client, content, chunks // (cuts + 1) - 1)
        flood = asyncio.create_task(upload(client, content))
        await asyncio.sleep(random.random() / 50)
        if cut % 2:
            await asyncio.to_thread(served.stop, signal.SIGKILL)
            served.start()
        client.socket.transport.abort()
        with contextlib.suppress(*_CUT):
            await flood
    return content


async def download_with_cuts(served: Served, content: Content, cuts: int) -> None:
    """Byte for byte, from where it was cut off; connections that prove nothing."""
    index, share = 0, content.chunks // (cuts + 1) + 1
    while index < content.chunks:
        client = await Client.open(served.port)
        until = min(content.chunks, index + share)
        while index < until:
            assert await part(client, content, index) == content[index]
            index += 1
        client.socket.transport.abort()
        if index < content.chunks and index // share % 2:
            await asyncio.to_thread(served.stop, signal.SIGKILL)
            served.start()


async def test_an_upload_survives_cuts(served: Served) -> None:
    """4 MB, the relay killed twice: nothing acknowledged is lost, and every byte comes back. [R-11.9-2]"""
    content = await cut_again_and_again(served, 64, 4)
    await download_with_cuts(served, content, 3)


@pytest.mark.slow
async def test_a_hundred_megabytes_survive_cuts(served: Served) -> None:
    """The largest blob, 2,048 chunks: 12 cuts of either kind on the way up, 5 on the way down. [R-11.9-2]"""
    content = await cut_again_and_again(served, MAX_CHUNKS, 12)
    await download_with_cuts(served, content, 5)
    assert (served.data / "blobs").exists()


@pytest.mark.slow
async def test_messages_do_not_wait_for_blobs_and_memory_stays(served: Served) -> None:
    """20 uploads at a time and a large one erased: deliveries go on, and what is resident is bounded. [R-11.1-4]"""
    served.start()
    assert served.process is not None
    pid = served.process.pid
    boxes = [Box() for _ in range(20)]
    owners = [await Client.open(served.port) for _ in boxes]
    for owner, box in zip(owners, boxes, strict=True):
        assert await owner.create(box, int(time.time())) == answers.Ok()
        assert await owner.prove(box) == answers.Ok()
    large = Content(512)
    await upload(owners[0], large)
    good = await Good.make(served.port)
    receiving = asyncio.create_task(good.receive())
    await good.write(0.01, time.monotonic() + 5)
    alone, before = sorted(good.times), resident(pid)
    good.times.clear()
    uploads = [asyncio.create_task(upload(owner, Content(128))) for owner in owners]
    again = await Client.open(served.port)
    assert await again.prove(boxes[0]) == answers.Ok()
    assert await again.call(BlobDelete(large.blob)) == answers.Ok()
    highest = 0
    until = time.monotonic() + 20
    while not all(task.done() for task in uploads) and time.monotonic() < until:
        await good.write(0.01, time.monotonic() + 0.5)
        highest = max(highest, resident(pid))
    await asyncio.gather(*uploads)
    receiving.cancel()
    beside = sorted(good.times)

    def shown(times: list[float]) -> str:
        return f"p50 {times[len(times) // 2] * 1e3:.1f} ms, p99 {times[len(times) * 99 // 100] * 1e3:.1f} ms"

    print(f"alone {shown(alone)}; beside uploads {shown(beside)}; {(highest - before) >> 20} MiB more resident")
    assert beside[len(beside) * 99 // 100] < 1
    assert highest - before < 64 << 20
