"""Blobs through crashes at every step between file and row, and on a raw disk: nothing acknowledged lost, nothing left.

The child process ends without warning at a step that the test names; the product has no hook (``crash``).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from server import crash, disk
from server.conftest import no_fatal
from server.crash import Patch, Say, after, at, before, statement
from server.talk import NOW, Box, ask
from server.test_blobs import BLOB, OTHER, chunk, contents, fill, put, read, until
from troth_protocol.wire import Code
from troth_server import commands
from troth_server.blob_commands import BlobAt, BlobChunk, RemoveBlob
from troth_server.commands import Done
from troth_server.erasure.proof import Finding, blobs_have_rows, place
from troth_server.limits import BlobQuotas, Quotas
from troth_server.storage import STORES, Store
from troth_server.storage.blob_files import RECORD, BlobFiles

POINTS: dict[str, Patch] = {
    "before a blob's row": statement("INSERT INTO blobs", before),
    "before a chunk is written": at(BlobFiles, "write", before),
    "between a chunk and its disk": at(os, "fdatasync", before),
    "between a chunk and its row": at(BlobFiles, "write", after),
    "before a chunk is counted": statement("UPDATE blobs", before),
    "between counting and the commit": statement("UPDATE blobs", after),
    "before a blob's row is deleted": statement("DELETE FROM blobs WHERE hash = ?", before),
    "between a row's end and wiping": at(BlobFiles, "wipe", before),
    "before a file is unlinked": at(os, "unlink", before),
    "after a file is unlinked": at(os, "unlink", after),
}


def opened(folder: Path) -> Store:
    return STORES["sqlite"](folder, Quotas(blobs=BlobQuotas(keep_free=0)), no_fatal)


def live(folder: Path, say: Say) -> None:
    """In the child: one blob put and kept, one put and deleted, one with its mailbox erased."""
    store = opened(folder)
    stays = disk.home(store, crash.BOX)
    goes = disk.home(store, crash.GONE)
    for index in range(4):
        for box, blob in ((stays, BLOB), (stays, OTHER), (goes, b"3" * 32)):
            if isinstance(put(store, box, index, blob=blob), BlobAt) and blob == BLOB:
                say("stored")
    if ask(store, RemoveBlob(stays.hash, OTHER)) == Done():
        say("deleted")
    if ask(store, commands.Erase(goes.hash)) == Done():
        say("erased")
    store.close()
    say("closed")


@pytest.mark.parametrize("skip", [0, 2])
@pytest.mark.parametrize("name", POINTS)
def test_a_crash_loses_no_chunk_and_leaves_no_file(tmp_path: Path, name: str, skip: int) -> None:
    """[R-11.9-2] [R-11.9-7]"""
    code, words = crash.run(tmp_path, skip, POINTS[name], live)
    assert code in {9, 0 if skip else 9}
    store = opened(tmp_path)
    state = put(store, crash.BOX, 0, b"")
    if isinstance(state, BlobAt):
        assert words.count("stored") <= state.stored <= words.count("stored") + 1
        for index in range(state.stored, 4):
            assert put(store, crash.BOX, index) == BlobAt(index + 1, 4, state.expires, added=True)
        assert [read(store, index) for index in range(4)] == [BlobChunk(4, index, chunk(index)) for index in range(4)]
    else:
        assert not words
    for word, blob in (("deleted", OTHER), ("erased", b"3" * 32)):
        if word in words:
            assert read(store, 0, blob) == commands.Refused()
    for box, blob in ((crash.BOX, OTHER), (crash.GONE, b"3" * 32)):
        ask(store, RemoveBlob(box.hash, blob))
    kept = [RECORD * 4] if isinstance(state, BlobAt) else []
    until(lambda: len(contents(tmp_path)) == len(kept))
    assert [path.stat().st_size for path in contents(tmp_path)] == kept
    store.close()


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    with disk.ext4(tmp_path, megabytes=48) as made:
        yield made


@pytest.mark.slow
def test_no_byte_of_the_raw_disk_keeps_what_was_deleted(mounted: tuple[Path, Path]) -> None:
    """[R-11.9-6]: 8 MB deleted, 4 MB half uploaded and erased; what stays is found by the same search."""
    image, folder = mounted
    store = opened(folder)
    stays, goes = disk.home(store), disk.home(store)
    for index in range(16):
        put(store, stays, index, (b"STAYS%d-" % index).ljust(64, b"s") * (RECORD // 64 - 1) + bytes(64), chunks=16)
    fill(store, goes, OTHER, 128)
    for index in range(64):
        put(store, goes, index, chunks=128, blob=b"3" * 32)
    os.sync()
    assert b"MARKED-CHUNK" in image.read_bytes()
    assert ask(store, RemoveBlob(goes.hash, OTHER)) == Done()
    assert ask(store, commands.Erase(goes.hash)) == Done()
    until(lambda: len(contents(folder)) == 1)
    ask(store, commands.Expire(NOW))
    os.sync()
    raw = image.read_bytes()
    assert raw.count(b"STAYS") >= 16
    assert b"MARKED-CHUNK" not in raw
    assert OTHER not in raw
    store.close()


@pytest.mark.slow
def test_a_disk_that_is_really_full_takes_messages_on(mounted: tuple[Path, Path]) -> None:
    """Blobs stop at the room that is kept free; with none kept, at the end of the disk, and are counted right."""
    _, folder = mounted
    store = STORES["sqlite"](folder, Quotas(blobs=BlobQuotas(keep_free=8 << 20)), no_fatal)
    box = disk.home(store)
    stored = 0
    while isinstance(answer := put(store, box, stored, chunks=2_048), BlobAt):
        stored = answer.stored
    assert answer == commands.Failed(Code.STORAGE_FULL)
    assert stored > 100
    assert all(isinstance(disk.send(store, box, number), commands.Deposited) for number in range(50))
    store.close()
    store = opened(folder)
    while isinstance(answer := put(store, box, stored, chunks=2_048), BlobAt):
        stored = answer.stored
    state = put(store, box, 0, b"", chunks=2_048)
    assert ask(store, RemoveBlob(box.hash, BLOB)) == Done()
    until(lambda: not contents(folder))
    time.sleep(1.1)
    assert isinstance(state, BlobAt | commands.Failed)
    assert isinstance(disk.send(store, Box(box.mailbox, box.secret, box.key), 99), commands.Deposited)
    assert isinstance(put(store, box, 0), BlobAt)
    store.close()


@pytest.mark.parametrize("running", [True, False])
def test_the_proof_of_erasure_finds_a_file_without_a_row(tmp_path: Path, running: bool) -> None:
    """[R-11.9-6]: beside a running relay it waits for what is being overwritten."""
    store = opened(tmp_path)
    box = disk.home(store, crash.BOX)
    fill(store, box)
    orphan, naps = tmp_path / "blobs" / ("cd" * 16), 0

    def sleep(_: float) -> None:
        nonlocal naps
        naps += 1
        if naps == 3:
            orphan.unlink()

    def look() -> Finding:
        with place(tmp_path, sleep) as there:
            return blobs_have_rows(there)

    assert look().holds
    if not running:
        store.close()
    orphan.write_bytes(b"left")
    found = look()
    assert found.holds is running
    assert found.numbers == {"files": 2 - running, "orphans": 1 - running, "seconds": 3 * running}
    if not running:
        assert "1 belong to none: start the relay once" in found.said
        store = opened(tmp_path)
        until(lambda: len(contents(tmp_path)) == 1)
        assert look().holds
    store.close()
