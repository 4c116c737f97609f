"""Takes a backup beside a relay that may be serving: a reader of its own, a mailbox at a time. SPEC.md section 11.8.

Each mailbox is read in a short transaction, so that the relay's sweep of its log never waits long. A mailbox is sealed
only if its slot held the same key before and after its rows were read: one that was erased meanwhile is not sealed
under the key of the next mailbox with its number. The file is there whole or not at all.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import quote

from troth_protocol.errors import StorageError, UserError
from troth_server.files import sync_folder
from troth_server.shred import FILE, SlotFile
from troth_server.storage.schema import APPLICATION_ID, SCHEMA_VERSION
from troth_server.storage.seals import Seals

from .kept import MAILBOX
from .rows import Row, Source
from .sealed import MAGIC, BackupWriter, Header

_LISTED: Final = 512
"""Mailbox numbers read at once."""
_PATIENCE: Final = 20
_PAUSE: Final = 0.05
"""Seconds between looks at a mailbox that is being made or erased: 1 s in all."""
_BUSY: Final = 10
"""Seconds to wait for SQLite's locks."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a backup holds, and what it does not: mailboxes without a sound key slot or too large, damaged rows."""

    records: int
    unsealed: int
    damaged: int
    size: int


def take(data: Path, target: Path, relay: bytes, now: int, draw: Callable[[int], bytes], *, replace: bool) -> Taken:
    """Back up the relay in ``data`` to ``target``; UserError, StorageError, and then ``target`` is as it was."""
    _may_write(target, replace=replace)
    slots = SlotFile(data / FILE)
    try:
        with contextlib.closing(reading(data / "relay.db")) as sql:
            header = Header(relay, slots.header.identity, draw(16), now, slots.header.generation)
            return _whole(target, lambda file: _write(file, header, sql, slots, draw), replace=replace)
    except sqlite3.Error as error:
        raise StorageError(f"the database cannot be read: {error}") from None
    finally:
        slots.close()


def _may_write(target: Path, *, replace: bool) -> None:
    """Nothing that exists is replaced unasked, and nothing but a backup at all; UserError."""
    if not target.exists():
        return
    if not replace:
        raise UserError("the backup file exists; --force replaces it")
    try:
        with target.open("rb") as file:
            ours = file.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise StorageError(f"the backup cannot be written: {error.strerror}") from None
    if not ours:
        raise UserError("the file that is there is no backup, and is not replaced")


def reading(path: Path) -> sqlite3.Connection:
    """The database, for reading only, beside a relay that may be writing; StorageError."""
    if not path.exists():
        raise StorageError("there is no database")
    try:
        sql = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None, timeout=_BUSY)
        marks = [sql.execute(f"PRAGMA {mark}").fetchone()[0] for mark in ("application_id", "user_version")]
    except sqlite3.Error as error:
        raise StorageError(f"the database cannot be read: {error}") from None
    if marks != [APPLICATION_ID, SCHEMA_VERSION]:
        sql.close()
        raise StorageError("the database is not this version's: start the relay once, which brings it forward")
    return sql


def numbers(sql: sqlite3.Connection) -> Iterator[int]:
    """Every mailbox's number, in short transactions."""
    last = 0
    statement = "SELECT number FROM mailboxes WHERE number > ? ORDER BY number LIMIT ?"
    while found := sql.execute(statement, (last, _LISTED)).fetchall():
        yield from (number for (number,) in found)
        last = found[-1][0]


def _write(
    file: BinaryIO, header: Header, sql: sqlite3.Connection, slots: SlotFile, draw: Callable[[int], bytes]
) -> Taken:
    writer = BackupWriter(file, header, slots.header.backup_key)
    source = Source(sql, Seals(slots.header.check_key))
    records = unsealed = 0
    for number in numbers(sql):
        found = _mailbox(source, slots, number)
        if isinstance(found, tuple):
            row, key = found
            found = writer.add(number, row, key, draw(12))
            records += found
        unsealed += found is False
    writer.end()
    return Taken(records, unsealed, source.damaged, file.tell())


def _mailbox(source: Source, slots: SlotFile, number: int) -> tuple[Row, bytes] | bool:
    """A mailbox's rows and key; True if it is gone or damaged, False if it has no sound key."""
    for _ in range(_PATIENCE):
        before = _key(slots, number)
        source.sql.execute("BEGIN")
        try:
            row = source.mailbox(MAILBOX, number)
        finally:
            source.sql.execute("COMMIT")
        if row is None:
            return True
        if before is not None and before == _key(slots, number):
            return row, before
        time.sleep(_PAUSE)
    return False


def _key(slots: SlotFile, number: int) -> bytes | None:
    try:
        return slots.find(number)
    except StorageError:
        return None


def _whole(target: Path, write: Callable[[BinaryIO], Taken], *, replace: bool) -> Taken:
    """Write beside the target, sync, and only then give it its name."""
    new = target.with_name(target.name + ".new")
    try:
        new.unlink(missing_ok=True)
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            taken = write(file)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            new.replace(target)
        else:
            os.link(new, target)
            new.unlink()
        sync_folder(target.parent)
    except FileExistsError:
        raise UserError("the backup file exists; --force replaces it") from None
    except OSError as error:
        raise StorageError(f"the backup cannot be written: {error.strerror}") from None
    finally:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
    return taken
