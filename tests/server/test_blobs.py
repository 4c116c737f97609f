"""Blobs at the store, against every engine: chunk by chunk, resumed, within quotas, one's own, gone when they go."""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from server import disk
from server.conftest import no_fatal
from server.disk import Uptime
from server.talk import NOW, Box, ask
from troth_protocol.wire import Code
from troth_protocol.wire.blobs import CHUNK
from troth_server import commands
from troth_server.blob_commands import BlobAt, BlobChunk, Oversize, PutBlob, ReadBlob, RemoveBlob
from troth_server.commands import Done, Failed, Full, Outcome, Refused
from troth_server.limits import BLOBS_WAITING, DAY, HOUR, BlobQuotas, Quotas
from troth_server.storage import OpenStore, Store
from troth_server.storage.blob_files import RECORD, BlobFiles

BLOB, OTHER = b"MARKED-BLOB-HASH".ljust(32, b"h"), b"OTHER-BLOB-HASH".ljust(32, b"h")
SMALL = BlobQuotas(chunks=8, mailbox_blobs=3, mailbox_chunks=10, relay_chunks=1_000, keep_free=0)
TILL = NOW + 3 * DAY


def chunk(index: int) -> bytes:
    return (b"MARKED-CHUNK" + index.to_bytes(4, "big")).ljust(CHUNK, b"C")


def put(
    store: Store, box: Box, index: int, body: bytes | None = None, *, blob: bytes = BLOB, chunks: int = 4,
    expires: int = TILL, now: int = NOW,
) -> Outcome:  # fmt: skip
    return ask(store, PutBlob(box.hash, blob, chunks, expires, index, chunk(index) if body is None else body, now))


def fill(store: Store, box: Box, blob: bytes = BLOB, chunks: int = 4, now: int = NOW) -> None:
    for index in range(chunks):
        answer = put(store, box, index, blob=blob, chunks=chunks, now=now, expires=now + DAY)
        assert isinstance(answer, BlobAt)
        assert (answer.stored, answer.chunks, answer.added) == (index + 1, chunks, True)


def read(store: Store, index: int, blob: bytes = BLOB, now: int = NOW) -> Outcome:
    return ask(store, ReadBlob(blob, index, now))


def at(stored: int, *, added: bool, chunks: int = 4, expires: int = TILL) -> BlobAt:
    return BlobAt(stored, chunks, expires + -expires % HOUR, added)


def contents(folder: Path) -> list[Path]:
    return sorted((folder / "blobs").iterdir())


def until(what: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def blobs(engine: OpenStore, tmp_path: Path) -> Iterator[Store]:
    """Each engine, with small quotas."""
    opened = engine(tmp_path, Quotas(blobs=SMALL), no_fatal)
    yield opened
    opened.close()


def test_a_blob_is_put_in_order_and_read_in_any(blobs: Store) -> None:
    """[R-11.9-2]: what is not the next chunk changes nothing and says how far the blob is."""
    box = disk.home(blobs)
    assert put(blobs, box, 0, b"") == at(0, added=False)
    assert read(blobs, 0) == Refused()
    assert put(blobs, box, 0) == at(1, added=True)
    for index in (0, 2, 3):
        assert put(blobs, box, index, b"x" * CHUNK) == at(1, added=False)
    assert read(blobs, 0) == Refused()
    for index in (1, 2, 3):
        assert put(blobs, box, index) == at(index + 1, added=True)
    for index in (3, 0, 2, 1, 0):
        assert read(blobs, index) == BlobChunk(4, index, chunk(index))
    assert put(blobs, box, 3, b"x" * CHUNK) == at(4, added=False)
    assert put(blobs, box, 4, b"") == at(4, added=False)
    assert read(blobs, 3) == BlobChunk(4, 3, chunk(3))


def test_what_cannot_be_read_is_refused_in_one_way(blobs: Store) -> None:
    """[R-11.9-5]: unknown, incomplete, beyond the end, expired, deleted."""
    box = disk.home(blobs)
    put(blobs, box, 0)
    fill(blobs, box, OTHER, 2)
    assert {read(blobs, 0), read(blobs, 2, OTHER), read(blobs, 0, b"u" * 32)} == {Refused()}
    assert read(blobs, 0, OTHER, NOW + DAY + HOUR) == Refused()
    assert read(blobs, 0, OTHER) == BlobChunk(2, 0, chunk(0))
    assert ask(blobs, RemoveBlob(box.hash, OTHER)) == Done()
    assert read(blobs, 0, OTHER) == Refused()


def test_only_the_mailbox_that_began_a_blob_adds_to_it_and_deletes_it(blobs: Store) -> None:
    """[R-11.9-3]"""
    mine, theirs = disk.home(blobs), disk.home(blobs)
    fill(blobs, mine, chunks=2)
    put(blobs, mine, 0, blob=OTHER)
    for blob in (BLOB, OTHER):
        assert put(blobs, theirs, 1, b"x" * CHUNK, blob=blob) == Refused()
        assert put(blobs, theirs, 0, b"", blob=blob) == Refused()
        assert ask(blobs, RemoveBlob(theirs.hash, blob)) == Done()
    assert put(blobs, mine, 0, b"", chunks=8) == Refused()
    assert read(blobs, 1) == BlobChunk(2, 1, chunk(1))
    assert put(blobs, mine, 1, blob=OTHER) == at(2, added=True)
    assert put(blobs, Box(), 0, blob=b"n" * 32) == Refused()


def test_the_declared_size_counts_at_once(blobs: Store) -> None:
    """[R-11.9-4]: too many, too much of one mailbox, too much of all; nothing is kept of what is refused."""
    one, two = disk.home(blobs), disk.home(blobs)
    assert put(blobs, one, 0, b"", chunks=16) == Oversize(8)
    assert put(blobs, one, 0, b"", chunks=8) == at(0, chunks=8, added=False)
    for number in range(100):
        assert put(blobs, one, 0, blob=number.to_bytes(32, "big")) == Full()
    assert put(blobs, one, 0, blob=OTHER, chunks=1) == at(1, chunks=1, added=True)
    assert put(blobs, one, 0, blob=b"3" * 32, chunks=1) == at(1, chunks=1, added=True)
    assert put(blobs, one, 0, blob=b"4" * 32, chunks=1) == Full()
    assert put(blobs, two, 0, b"", blob=b"5" * 32, chunks=8) == at(0, chunks=8, added=False)
    assert ask(blobs, RemoveBlob(one.hash, BLOB)) == Done()
    assert put(blobs, one, 0, b"", blob=b"4" * 32, chunks=8) == at(0, chunks=8, added=False)


def test_promises_take_nobodys_room_and_what_is_on_disk_is_bounded(engine: OpenStore, tmp_path: Path) -> None:
    """[R-11.9-4]: of all together, the chunks on disk; over a restart, and again after files are gone."""
    quotas = Quotas(blobs=replace(SMALL, relay_chunks=3))
    store = engine(tmp_path, quotas, no_fatal)
    greedy, box = disk.home(store), disk.home(store)
    assert put(store, greedy, 0, b"", chunks=8) == at(0, chunks=8, added=False)
    for index in range(3):
        assert put(store, box, index, blob=OTHER) == at(index + 1, added=True)
    assert put(store, box, 3, blob=OTHER) == Failed(Code.STORAGE_FULL)
    store.close()
    store = engine(tmp_path, quotas, no_fatal)
    assert put(store, greedy, 0, chunks=8) == Failed(Code.STORAGE_FULL)
    assert ask(store, RemoveBlob(box.hash, OTHER)) == Done()
    until(lambda: not contents(tmp_path))
    for index in range(3):
        assert put(store, greedy, index, chunks=8) == at(index + 1, chunks=8, added=True)
    assert put(store, greedy, 3, chunks=8) == Failed(Code.STORAGE_FULL)
    assert put(store, greedy, 0, b"", chunks=8) == at(3, chunks=8, added=False)
    store.close()


def test_the_deadline_is_whole_hours_and_at_most_the_retention(blobs: Store) -> None:
    """[R-11.9-6]"""
    box = disk.home(blobs)
    soon = put(blobs, box, 0, b"", expires=NOW + 10)
    assert isinstance(soon, BlobAt)
    assert NOW + 10 <= soon.expires < NOW + 10 + HOUR
    assert soon.expires % HOUR == 0
    late = put(blobs, box, 0, b"", blob=OTHER, expires=2**64 - 1)
    assert isinstance(late, BlobAt)
    assert NOW + 14 * DAY - HOUR < late.expires <= NOW + 14 * DAY
    again = put(blobs, box, 0, b"", blob=OTHER, expires=NOW + 99)
    assert again == late


def test_what_is_past_its_time_or_given_up_is_dropped(engine: OpenStore, tmp_path: Path) -> None:
    """[R-11.9-6]: an upload without progress for a day, a blob past its deadline; what goes on stays."""
    uptime = Uptime()
    store = engine(tmp_path, Quotas(blobs=SMALL), no_fatal, uptime)
    box = disk.home(store)
    assert ask(store, commands.Expire(NOW)) == Done()
    put(store, box, 0, chunks=2)
    fill(store, box, OTHER, 2)
    put(store, box, 0, blob=b"3" * 32, chunks=2)
    for hours in range(1, 24):
        uptime.seconds += HOUR
        assert ask(store, commands.Expire(NOW + hours * HOUR)) == Done()
    assert len(contents(tmp_path)) == 3
    assert put(store, box, 1, blob=b"3" * 32, chunks=2, now=NOW + 23 * HOUR) == at(2, chunks=2, added=True)
    uptime.seconds += 3 * HOUR
    assert ask(store, commands.Expire(NOW + 26 * HOUR)) == Done()
    until(lambda: len(contents(tmp_path)) == 1)
    assert read(store, 1, b"3" * 32, NOW + 26 * HOUR) == BlobChunk(2, 1, chunk(1))
    assert put(store, box, 1, b"", chunks=2, now=NOW + 26 * HOUR) == at(0, chunks=2, added=False)
    store.close()


def test_a_clock_that_went_back_keeps_nothing_longer(engine: OpenStore, tmp_path: Path) -> None:
    store = engine(tmp_path, Quotas(blobs=SMALL), no_fatal)
    box = disk.home(store, now=NOW + 400 * DAY)
    fill(store, box, now=NOW + 400 * DAY)
    store.close()
    store = engine(tmp_path, Quotas(blobs=SMALL, retention=DAY), no_fatal)
    assert ask(store, commands.Expire(NOW)) == Done()
    assert isinstance(read(store, 0), BlobChunk)
    store.close()
    store = engine(tmp_path, Quotas(blobs=SMALL, retention=DAY), no_fatal)
    assert ask(store, commands.Expire(NOW + DAY)) == Done()
    assert read(store, 0, now=NOW + DAY) == Refused()
    store.close()


@pytest.mark.parametrize("how", ["deleted", "erased", "idle"])
def test_what_goes_is_unreadable_at_once_and_in_no_file_soon(engine: OpenStore, tmp_path: Path, how: str) -> None:
    """[R-11.9-6]: row, contents and name; another mailbox's blob stays."""
    uptime = Uptime()
    store = engine(tmp_path, Quotas(blobs=SMALL, idle=30 * DAY), no_fatal, uptime)
    gone, stays = disk.home(store), disk.home(store, now=NOW + 29 * DAY)
    now = NOW
    if how == "idle":
        ask(store, commands.Expire(NOW))
        for hours in range(0, 30 * DAY // HOUR, 24):
            uptime.seconds += DAY
            ask(store, commands.Expire(NOW + hours * HOUR))
        now = NOW + 29 * DAY + 23 * HOUR
    fill(store, gone, chunks=2, now=now)
    for index in range(2):
        put(store, stays, index, b"s" * CHUNK, blob=OTHER, chunks=2, now=now, expires=now + 9 * DAY)
    if how == "deleted":
        assert ask(store, RemoveBlob(gone.hash, BLOB)) == Done()
    elif how == "erased":
        assert ask(store, commands.Erase(gone.hash)) == Done()
    else:
        uptime.seconds += 2 * HOUR
        now = NOW + 30 * DAY + HOUR
        assert ask(store, commands.Expire(now)) == Done()
    assert read(store, 0, now=now) == Refused()
    until(lambda: len(contents(tmp_path)) == 1)
    ask(store, commands.Expire(now))
    marks = {"chunk": b"MARKED-CHUNK", "hash": BLOB, "other": OTHER}
    assert set(disk.found(tmp_path, marks)) == {"other"}
    assert read(store, 1, OTHER, now) == BlobChunk(2, 1, b"s" * CHUNK)
    store.close()


def test_contents_are_overwritten_before_they_are_unlinked(
    engine: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[R-11.9-6]: seen through a descriptor that outlives the name."""
    store = engine(tmp_path, Quotas(blobs=replace(SMALL, chunks=32, mailbox_chunks=32, relay_chunks=32)), no_fatal)
    box = disk.home(store)
    fill(store, box, chunks=32)
    with contents(tmp_path)[0].open("rb") as file:
        assert b"MARKED-CHUNK" in file.read()
        assert ask(store, RemoveBlob(box.hash, BLOB)) == Done()
        until(lambda: not contents(tmp_path))
        file.seek(0)
        assert not any(file.read())
        assert file.tell() == 32 * RECORD
    store.close()


def test_names_and_modes_tell_nothing(blobs: Store, tmp_path: Path) -> None:
    fill(blobs, disk.home(blobs))
    (path,) = contents(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "blobs").stat().st_mode) == 0o700
    assert bytes.fromhex(path.name) not in BLOB
    assert len(path.name) == 32


@pytest.mark.parametrize("place", [0, 100, CHUNK, RECORD + 5, 2 * RECORD - 1])
def test_an_altered_byte_is_never_served(blobs: Store, tmp_path: Path, place: int) -> None:
    """[R-11.9-7]; nor a chunk in another's place, nor a file that is short."""
    fill(blobs, disk.home(blobs), chunks=2)
    (path,) = contents(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    assert read(blobs, place // RECORD) == Refused()
    assert isinstance(read(blobs, 1 - place // RECORD), BlobChunk)
    path.write_bytes(whole[RECORD:] + whole[:RECORD])
    assert (read(blobs, 0), read(blobs, 1)) == (Refused(), Refused())
    path.write_bytes(whole[:-1])
    assert read(blobs, 1) == Refused()
    path.write_bytes(whole)
    assert read(blobs, 1) == BlobChunk(2, 1, chunk(1))


def test_a_start_takes_away_what_no_row_counts(engine: OpenStore, tmp_path: Path) -> None:
    """[R-11.9-7]: files without rows, bytes behind the last chunk, rows without files; other names are left alone."""
    store = engine(tmp_path, Quotas(blobs=SMALL), no_fatal)
    box = disk.home(store)
    put(store, box, 0)
    (half,) = contents(tmp_path)
    fill(store, box, OTHER, 2)
    lost = next(path for path in contents(tmp_path) if path != half)
    store.close()
    lost.unlink()
    with half.open("ab") as file:
        file.write(b"MARKED-BEHIND" * 1_000)
    (tmp_path / "blobs" / ("ab" * 16)).write_bytes(b"MARKED-ORPHAN")
    (tmp_path / "blobs" / "notes.txt").write_bytes(b"an operator's")
    store = engine(tmp_path, Quotas(blobs=SMALL), no_fatal)
    until(lambda: [path.name for path in contents(tmp_path)] == sorted([half.name, "notes.txt"]))
    assert half.stat().st_size == RECORD
    assert put(store, box, 1) == at(2, added=True)
    assert read(store, 0, OTHER) == Refused()
    assert put(store, box, 0, b"", blob=OTHER, chunks=2) == at(0, chunks=2, added=False)
    store.close()


def test_a_folder_that_is_none_stops_the_start(engine: OpenStore, tmp_path: Path) -> None:
    (tmp_path / "blobs").symlink_to(tmp_path)
    with pytest.raises(Exception, match="folder of blobs"):
        engine(tmp_path, Quotas(), no_fatal)
    (tmp_path / "blobs").unlink()
    engine(tmp_path, Quotas(), no_fatal).close()


@pytest.mark.parametrize(
    ("number", "code"), [(28, Code.STORAGE_FULL), (122, Code.STORAGE_FULL), (24, Code.UNAVAILABLE)]
)
def test_a_disk_that_refuses_for_now_changes_nothing(
    blobs: Store, monkeypatch: pytest.MonkeyPatch, number: int, code: Code
) -> None:
    box = disk.home(blobs)
    put(blobs, box, 0)
    with monkeypatch.context() as patched:

        def refuse(*_: object) -> None:
            raise OSError(number, "for now")

        patched.setattr(os, "fdatasync", refuse)
        assert put(blobs, box, 1) == Failed(code)
        assert isinstance(disk.send(blobs, box, 1), commands.Deposited)
    assert put(blobs, box, 1, b"") == at(1, added=False)
    for index in (1, 2, 3):
        assert put(blobs, box, index) == at(index + 1, added=True)
    assert read(blobs, 1) == BlobChunk(4, 1, chunk(1))


def test_messages_keep_their_room(engine: OpenStore, tmp_path: Path) -> None:
    store = engine(tmp_path, Quotas(blobs=replace(SMALL, keep_free=2**60)), no_fatal)
    box = disk.home(store)
    assert put(store, box, 0) == Failed(Code.STORAGE_FULL)
    assert isinstance(disk.send(store, box, 1), commands.Deposited)
    store.close()


@pytest.mark.parametrize("where", ["writing", "wiping"])
def test_an_error_of_the_disk_ends_all(
    engine: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    said: list[str] = []
    store = engine(tmp_path, Quotas(blobs=SMALL), said.append)
    box = disk.home(store)
    put(store, box, 0)

    def fail(*_: object) -> None:
        raise OSError(5, "the disk")

    monkeypatch.setattr(BlobFiles, "write" if where == "writing" else "wipe", fail)
    if where == "writing":
        assert put(store, box, 1) == Failed(Code.UNAVAILABLE)
    else:
        assert ask(store, RemoveBlob(box.hash, BLOB)) == Done()
    until(lambda: said == ["file error 5"])
    assert disk.send(store, box, 1) == Failed(Code.UNAVAILABLE)
    assert put(store, box, 1) == Failed(Code.UNAVAILABLE)
    assert said == ["file error 5"]
    store.close()


def test_no_message_waits_for_a_blob(engine: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no more chunks wait than there is memory for."""
    store = engine(tmp_path, Quotas(blobs=SMALL), no_fatal)
    box = disk.home(store)
    go, original = threading.Event(), BlobFiles.write

    def slow(self: BlobFiles, name: bytes, index: int, body: bytes) -> None:
        assert go.wait(20)
        original(self, name, index, body)

    monkeypatch.setattr(BlobFiles, "write", slow)
    answers: list[Outcome] = []
    for _ in range(BLOBS_WAITING + 2):
        store.submit(PutBlob(box.hash, BLOB, 4, TILL, 0, chunk(0), NOW), answers.append)
    assert set(answers) == {Failed(Code.UNAVAILABLE)}
    refused = len(answers)
    assert 1 <= refused <= 2
    assert isinstance(disk.send(store, box, 1), commands.Deposited)
    go.set()
    until(lambda: len(answers) == BLOBS_WAITING + 2)
    assert answers.count(at(1, added=True)) == 1
    store.close()


def test_blobs_of_many_at_once(engine: OpenStore, tmp_path: Path) -> None:
    """Twenty uploads that take turns stay apart."""
    store = engine(tmp_path, Quotas(blobs=replace(SMALL, relay_chunks=10**6)), no_fatal)
    boxes = [disk.home(store) for _ in range(20)]
    for index in range(4):
        for number, box in enumerate(boxes):
            body = bytes([number, index]) * (CHUNK // 2)
            assert put(store, box, index, body, blob=bytes([number]) * 32) == at(index + 1, added=True)
    for number in range(20):
        assert read(store, 3, bytes([number]) * 32) == BlobChunk(4, 3, bytes([number, 3]) * (CHUNK // 2))
    store.close()
