"""Is what was to be erased erased? Each check says what was looked at; all must hold. SPEC.md section 11.8. [R-11.8-7]

Beside a running relay nothing is written and no lock of its is taken; a reader holds the database still while its bytes
are looked at, for which the relay's sweep waits (about 40 s for each GB).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote

from troth_protocol.errors import StorageError
from troth_server.backup.leavings import leavings
from troth_server.backup.sealed import BackupFile
from troth_server.shred import SlotFile, beside
from troth_server.storage.blob_files import FOLDER, named
from troth_server.storage.startup import Files

from .log import frames
from .sqlite_pages import Found, PageFile

SWEEP: Final = 60
"""Seconds within which a running relay's sweep must have taken away what its log holds now."""
_ROUNDS: Final = 3
_LOOKS: Final = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: whether it holds, in words, and its numbers."""

    name: str
    holds: bool
    said: str
    numbers: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Place:
    """The relay's files, whether it runs, and how to wait."""

    files: Files
    running: bool
    sleep: Callable[[float], None]


@contextlib.contextmanager
def place(data: Path, sleep: Callable[[float], None]) -> Iterator[Place]:
    """The relay in ``data``: if it is stopped, it stays so; StorageError if there is none."""
    files = Files(data / "relay.db")
    if not files.database.exists():
        raise StorageError("there is no database")
    handle, running = -1, False
    with contextlib.suppress(FileNotFoundError):  # never made: no relay has run here
        handle = os.open(files.lock, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if handle >= 0:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        running = True
    try:
        yield Place(files, running, sleep)
    finally:
        if handle >= 0:
            os.close(handle)


def prove(at: Place, backup: Path | None, keys: Path | None, relay: bytes | None) -> Iterator[Finding]:
    """Every check in turn; StorageError, UserError if something cannot be looked at."""
    yield log_is_swept(at)
    yield pages_are_blank(at)
    yield nothing_is_left_over(at)
    yield blobs_have_rows(at)
    slots = SlotFile(at.files.slots)
    try:
        yield slots_fit(at, slots)
        if keys is not None:
            yield copy_fits(slots, keys)
        if backup is not None:
            yield backup_is_dead(at, slots, backup, relay)
    finally:
        slots.close()


def log_is_swept(at: Place) -> Finding:
    """The log of a stopped relay holds nothing; a running one's nothing from before its last sweep."""
    first = now = frames(at.files.log)
    waited = 0
    while at.running and first.salts & now.salts and waited < SWEEP:
        at.sleep(1)
        waited += 1
        now = frames(at.files.log)
    numbers = {"bytes": first.size, "frames": first.frames, "seconds": waited}
    if not at.running:
        said = "is empty" if not first.frames else f"holds {first.frames} pages: start and stop the relay once"
        return Finding("log", not first.frames, f"the write-ahead log {said}", numbers)
    if first.salts & now.salts:
        return Finding("log", False, f"the write-ahead log was not swept within {SWEEP} s", numbers)
    said = f"held {first.frames} pages, all gone after {waited} s" if first.frames else "is empty"
    return Finding("log", True, f"the write-ahead log {said}", numbers)


def pages_are_blank(at: Place) -> Finding:
    """Every byte of the database that holds no row is zero."""
    found = _look(at)
    for _ in range(_ROUNDS - 1):
        if not (at.running and found.left):
            break
        log_is_swept(at)  # what a checkpoint moved, the end of the sweep blanks
        found = _look(at)
    said = f"{found.size} bytes in {found.pages} pages of the database read: {found.free} hold no row, "
    said += f"{found.left} of these are not zero" if found.left else "all of these are zero"
    said += f" ({found.numbers} bytes are SQLite's bookkeeping)" if found.numbers else ""
    numbers = {"bytes": found.size, "free": found.free, "left": found.left, "bookkeeping": found.numbers}
    return Finding("pages", not found.left, said, numbers)


def _look(at: Place) -> Found:
    """Read the file while a reader keeps checkpoints from changing it; one that came before it makes us begin again."""
    handle = os.open(at.files.database, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with contextlib.closing(_open(at)) as sql:
            sql.execute("BEGIN")
            sql.execute("SELECT count(*) FROM sqlite_master").fetchone()
            for look in range(_LOOKS):
                before = os.fstat(handle)
                try:
                    found = PageFile(handle).examine()
                except StorageError:
                    if look == _LOOKS - 1 or os.fstat(handle).st_mtime_ns == before.st_mtime_ns:
                        raise
                    continue
                if os.fstat(handle).st_mtime_ns == before.st_mtime_ns:
                    return found
    finally:
        os.close(handle)
    raise StorageError("the database changes too fast to be looked at; stop the relay and try again")


def nothing_is_left_over(at: Place) -> Finding:
    """No file that an interrupted restore, or another way of keeping SQLite, leaves behind."""
    files = (*leavings(at.files), beside(at.files.slots), at.files.database.with_name("relay.db-journal"))
    names = [path.name for path in files if path.exists()]
    said = f"left behind: {', '.join(names)}; the next restore clears what a restore left" if names else "no other copy"
    return Finding("files", not names, f"{said} in the relay's folder", {"files": len(names)})


def blobs_have_rows(at: Place) -> Finding:
    """Every file of a blob belongs to a row. What was unlinked was overwritten first: that cannot be seen here."""
    files, orphans, waited = 0, 0, 0
    while True:
        names = _blob_files(at.files.database.with_name(FOLDER))
        with contextlib.closing(_open(at)) as sql:
            rows = {file.hex() for (file,) in sql.execute("SELECT file FROM blobs")}
        files, orphans = len(names), len(names - rows)
        if not orphans or not at.running or waited >= SWEEP:
            break
        at.sleep(1)
        waited += 1
    said = f"{orphans} belong to none: start the relay once" if orphans else "each belongs to one"
    numbers = {"files": files, "orphans": orphans, "seconds": waited}
    return Finding("blobs", not orphans, f"{files} files of attachments, {said}", numbers)


def _blob_files(folder: Path) -> set[str]:
    try:
        return {name for name in os.listdir(folder) if named(name)}
    except FileNotFoundError:
        return set()


def slots_fit(at: Place, slots: SlotFile) -> Finding:
    """Every mailbox has a key and every key a mailbox."""
    boxes, used = _numbers(at), set(slots.used())
    for _ in range(_LOOKS if at.running else 0):
        if boxes.keys() == used:
            break
        at.sleep(1)
        boxes, used = _numbers(at), set(slots.used())
    orphans, bare = len(used - boxes.keys()), len(boxes.keys() - used)
    said = f"{len(boxes)} mailboxes, {len(used)} key slots in use"
    said += f"; {orphans} keys belong to no mailbox" if orphans else ""
    said += f"; {bare} mailboxes have no key" if bare else ""
    numbers = {"mailboxes": len(boxes), "used": len(used), "orphans": orphans, "bare": bare}
    return Finding("slots", not orphans and not bare, said, numbers)


def copy_fits(slots: SlotFile, keys: Path) -> Finding:
    """The copy of the key slots holds no key that the relay has erased."""
    copy = SlotFile(keys)
    try:
        if copy.header.identity != slots.header.identity:
            raise StorageError("the keys file is the copy of another relay's slots")
        held = {slot: _key(copy, slot) for slot in copy.used()}
    finally:
        copy.close()
    used = set(slots.used())
    stale = sum(slot not in used or key != (_key(slots, slot) or key) for slot, key in held.items())
    said = f"the copy of the key slots holds {len(held)} keys"
    said += (
        f", {stale} of them erased here: refresh it with troth-relay backup --keys" if stale else ", none erased here"
    )
    return Finding("copy", not stale, said, {"keys": len(held), "stale": stale})


def backup_is_dead(at: Place, slots: SlotFile, backup: Path, relay: bytes | None) -> Finding:
    """What opens in a backup is a mailbox that is there; what does not is dead."""
    sealed = BackupFile(backup)
    opened = dead = revived = 0
    try:
        sealed.check(relay, slots.header.identity, slots.header.backup_key)
        boxes = _numbers(at)
        for record in sealed.records(lambda slot: _key(slots, slot)):
            dead += record.row is None
            opened += record.row is not None
            revived += record.row is not None and record.row.values["hash"] != boxes.get(record.slot)
    finally:
        sealed.close()
    said = f"{opened + dead} records in the backup: {opened} open, {dead} open under no key that exists"
    said += f"; {revived} open for a mailbox that is not in the database" if revived else ""
    numbers = {"records": opened + dead, "open": opened, "dead": dead, "revived": revived}
    return Finding("backup", not revived, said, numbers)


def _open(at: Place) -> sqlite3.Connection:
    """The database to read; of a stopped relay without making a log for it. StorageError."""
    how = "mode=ro" if at.running or at.files.log.exists() else "mode=ro&immutable=1"
    return sqlite3.connect(f"file:{quote(str(at.files.database))}?{how}", uri=True, isolation_level=None, timeout=10)


def _numbers(at: Place) -> dict[int, bytes]:
    """Every mailbox's number, with its hash."""
    with contextlib.closing(_open(at)) as sql:
        return dict(sql.execute("SELECT number, hash FROM mailboxes").fetchall())


def _key(slots: SlotFile, slot: int) -> bytes | None:
    try:
        return slots.find(slot)
    except StorageError:
        return None
