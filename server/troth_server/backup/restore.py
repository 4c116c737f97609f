"""Puts a backup back: a new database is built beside the old one and takes its name in one step. SPEC.md section 11.8.

What is refused changes nothing; a crash leaves the old state or the new one. No right is worth more afterwards than it
can have been: sequence numbers go on far above any that was given out, no one-time leaf comes back, a spare counts as
used now, a card's last use as used. [R-11.8-6]
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import quote

from troth_protocol.errors import StorageError, UserError
from troth_protocol.prekeys import BATCH
from troth_protocol.wire import ENVELOPES_PER_USE
from troth_server import shred
from troth_server.limits import Quotas, hour
from troth_server.shred import Header, SlotFile, Slots
from troth_server.storage import log
from troth_server.storage.clock import UNKNOWN
from troth_server.storage.migrations import tables
from troth_server.storage.schema import APPLICATION_ID, SCHEMA_VERSION
from troth_server.storage.seals import Seals
from troth_server.storage.startup import Files
from troth_server.storage.transaction import Transaction

from .kept import MAILBOX
from .leavings import clear, drop_log, give, leavings, place_new
from .rows import Row, Table, Value
from .sealed import BackupFile

PAGE: Final = 4_096
JUMP: Final = 2**40
"""Sequence numbers passed over: more envelopes than a mailbox can get between a backup and the loss of the disk."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What came back, and what did not."""

    mailboxes: int
    dead: int
    """Records that no key opens: mailboxes erased since, or a number that has another mailbox now."""
    unknown: int
    """Keys without a record in this backup: mailboxes made after it."""
    time: int
    """When the backup was made."""


def restore(
    data: Path, backup: Path, keys: Path | None, relay: bytes | None, now: int, draw: Callable[[int], bytes],
    *, replace_database: bool,
) -> Restored:  # fmt: skip
    """Make the relay's database from a backup; UserError, StorageError, and then everything is as it was.

    ``keys`` is the copy of the key slots, for a folder whose own are lost; ``relay`` the fingerprint, if it is known.
    """
    files = Files(data / "relay.db")
    with contextlib.ExitStack() as stack:
        stack.enter_context(_locked(files.lock))
        clear(files)
        slots = stack.enter_context(contextlib.closing(_slots(files.slots, keys)))
        sealed = stack.enter_context(contextlib.closing(BackupFile(backup)))
        sealed.check(relay, slots.header.identity, slots.header.backup_key)
        _agree(files, replace_database=replace_database)
        header = slots.header
        if keys is not None:
            generation = max(header.generation, sealed.header.generation) + 1
            header = replace(header, kind=shred.ORIGINAL, check_key=draw(shred.KEY_SIZE), generation=generation)
        new, _ = leavings(files)
        try:
            restored = _build(new, sealed, slots, header, now)
            _put_in_place(files, new, header, slots, draw, made=keys is not None)
        except BaseException as error:
            with contextlib.suppress(OSError):
                clear(files)
            if isinstance(error, sqlite3.Error | OSError):
                said = error.strerror if isinstance(error, OSError) else error
                raise StorageError(f"the database cannot be made: {said}") from None
            raise
    return restored


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the relay's lock; UserError while it runs."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        give(path)
    except OSError as error:
        raise StorageError(f"the relay's folder cannot be used: {error.strerror}") from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError("the relay is running; stop it first") from None
        yield
    finally:
        os.close(handle)


def _slots(own: Path, keys: Path | None) -> SlotFile:
    """The relay's slots, or the copy if they are lost."""
    if not os.path.lexists(own):
        if keys is None:
            raise UserError("the key slots are missing; give their copy with --keys")
        return SlotFile(keys)
    if keys is not None:
        raise UserError("the key slots are here; their copy could bring back what was erased, and is not used")
    slots = SlotFile(own)
    if slots.header.kind != shred.ORIGINAL:
        slots.close()
        raise UserError("slots.bin is a copy; move it away and give it with --keys")
    return slots


def _agree(files: Files, *, replace_database: bool) -> None:
    """A database that holds something is replaced only on demand; UserError."""
    held = [path for path in (files.database, files.log) if path.exists() and path.stat().st_size]
    if not held or replace_database:
        return
    empty = False
    if files.log not in held:
        where = f"file:{quote(str(files.database))}?mode=ro&immutable=1"  # nobody else has it: the lock is ours
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(where, uri=True)) as sql:
            empty = sql.execute("SELECT count(*) FROM mailboxes").fetchone()[0] == 0
    if not empty:
        raise UserError("there is a database; --replace puts the backup in its place, and what is queued in it is lost")


def _build(new: Path, sealed: BackupFile, slots: SlotFile, header: Header, now: int) -> Restored:
    """The whole new database in one file, on disk when this returns. [R-11.7-6]"""
    os.close(os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    give(new)
    with contextlib.closing(sqlite3.connect(new, isolation_level=None)) as sql:
        for pragma in (
            "journal_mode=OFF",
            "synchronous=OFF",
            "secure_delete=ON",
            f"page_size={PAGE}",
            "temp_store=MEMORY",
        ):
            sql.execute(f"PRAGMA {pragma}")
        sql.execute("BEGIN")
        t = Transaction(sql, Seals(header.check_key), Quotas(), UNKNOWN)
        tables(t)
        # Two above, so that it fits both before and after the slots have advanced.
        sql.execute("UPDATE relay SET generation = ?", (header.generation + 2,))
        restored: set[int] = set()
        dead = 0
        for record in sealed.records(slots.find):
            if record.row is None or record.slot in restored:
                dead += 1
            elif _insert(t, MAILBOX, record.row, record.slot, b"", now) is not None:
                restored.add(record.slot)
        sql.execute(f"PRAGMA application_id={APPLICATION_ID}")
        sql.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        sql.execute("COMMIT")
    _blank(new)
    return Restored(len(restored), dead, len(set(slots.used()) - restored), sealed.header.time)


def _blank(path: Path) -> None:
    """Zero what SQLite left of rows that it moved while building, as the relay does at a checkpoint; then sync."""
    with path.open("r+b") as file:
        for number in range(1, os.fstat(file.fileno()).st_size // PAGE + 1):
            found = log.gap(os.pread(file.fileno(), PAGE, (number - 1) * PAGE), number)
            if found is not None:
                os.pwrite(file.fileno(), bytes(found[1] - found[0]), (number - 1) * PAGE + found[0])
        os.fsync(file.fileno())


def _insert(t: Transaction, table: Table, row: Row, above: int, mailbox: bytes, now: int) -> int | None:
    """A row and those below it; its number, or None if it is there already, under another mailbox."""
    values = dict(_settled(table, row.values, now))
    place = table.above or table.own
    home = mailbox or _bytes(values["hash"])
    seals = {seal.column: seal.make(t.seals, home, {**values, place: above}) for seal in table.seals}
    columns = {place: above, **values, **seals}
    done = t.sql.execute(
        f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608
        " ON CONFLICT DO NOTHING",
        tuple(columns.values()),
    )
    if not done.rowcount:
        return None
    number = done.lastrowid or 0
    if table is MAILBOX and values["batch"]:
        _used_up(t, above)
    for hung in row.below:
        _insert(t, next(below for below in table.below if below.name == hung.table), hung, number, home, now)
    return number


def _settled(table: Table, values: Mapping[str, Value], now: int) -> Mapping[str, Value]:
    """What a row says after a restore: never more than it can have been worth when the disk was lost."""
    match table.name:
        case "mailboxes":
            return {**values, "last": _int(values["last"]) + JUMP, "active": hour(now)}
        case "spares":
            return {**values, "used": hour(now), "fetched": hour(now), "fetches": max(1, _int(values["fetches"]))}
        case "lookups" if _int(values["envelopes_left"]) <= ENVELOPES_PER_USE:
            return {**values, "envelopes_left": 0, "leaves_left": 0}
        case _:
            return values


def _used_up(t: Transaction, box: int) -> None:
    """Every leaf of the batch counts as handed out, so that none is put back; the owner makes a new batch."""
    t.sql.executemany(
        "INSERT INTO leaves (mailbox, position, seal) VALUES (?, ?, x'')", [(box, place) for place in range(BATCH)]
    )


def _put_in_place(
    files: Files, new: Path, header: Header, slots: SlotFile, draw: Callable[[int], bytes], *, made: bool
) -> None:
    """Everything up to here was beside; each step from here leaves files that fit each other."""
    drop_log(files)
    if made:
        pairs = ((slot, slots.find(slot)) for slot in slots.used())
        shred.create(files.slots, header, [(slot, key) for slot, key in pairs if key is not None])
        give(files.slots)
    own = Slots(files.slots, draw)
    try:
        own.mark(False)
        place_new(files, new)
        own.advance()
    finally:
        own.close()
    clear(files)


def _int(value: Value) -> int:
    if not isinstance(value, int):
        raise StorageError("the backup is damaged: the inside of a record")
    return value


def _bytes(value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise StorageError("the backup is damaged: the inside of a record")
    return value
