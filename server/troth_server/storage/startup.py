"""Whether the files are what the last run left: said in one line before anything is written, or the relay starts.

Each check reads; a database that is refused is byte for byte what it was. StorageUntrusted (exit 70) means that the
files contradict themselves or each other and something that was promised may be missing; StorageError (3) that the
machine refuses; UserError (1) that the wrong file was given. SPEC.md section 11.7. [R-11.7-2]
"""

from __future__ import annotations

import os
import sqlite3
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from troth_protocol.errors import StorageError, StorageUntrusted, UserError
from troth_server import shred

from . import log
from .schema import APPLICATION_ID, SCHEMA_VERSION
from .seals import Seals

_MAGIC: Final = b"SQLite format 3\0"
_RESTORE: Final = "put the newest files back, or use: troth-relay restore"
_LOST: Final = (
    "what was acknowledged last may be lost; put it back, or go on without it: troth-relay serve --accept-loss"
)


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a store, all in one folder."""

    database: Path

    @property
    def log(self) -> Path:
        """The write-ahead log."""
        return self._beside("-wal")

    @property
    def index(self) -> Path:
        """The index of the log, which SQLite makes anew after a crash."""
        return self._beside("-shm")

    @property
    def lock(self) -> Path:
        """Locked by the one process that may write."""
        return self._beside("-lock")

    @property
    def reserve(self) -> Path:
        """Room for the day the disk is full."""
        return self._beside("-reserve")

    @property
    def slots(self) -> Path:
        """The key slots."""
        return self.database.with_name(shred.FILE)

    def _beside(self, ending: str) -> Path:
        return self.database.with_name(self.database.name + ending)


def own(files: Files) -> None:
    """Only this user may read them; what others could read is closed to them. StorageError."""
    for path in (files.database, files.log, files.index, files.reserve, files.slots):
        try:
            found = path.lstat()
        except FileNotFoundError:
            continue
        if not stat.S_ISREG(found.st_mode):
            raise StorageError(f"{path.name} is not a file")
        if found.st_uid != os.geteuid():
            raise StorageError(f"{path.name} belongs to another user; run the relay as its owner")
        if found.st_mode & 0o077:
            path.chmod(0o600)


def check(files: Files, *, accept_loss: bool) -> int:
    """The schema version of what is there, 0 if there is nothing; StorageError, StorageUntrusted, UserError."""
    held = log.survey(files.log)
    start = _start(files.database)
    header = held.first_page or start
    if held.first_page and not start:
        raise StorageUntrusted(f"the database is empty and its log is not; {_RESTORE}")
    if not header or _is_blank(header):
        if files.slots.exists() and any(True for _ in _slot_numbers(files)):
            raise StorageUntrusted(f"the database is empty or missing, and mailboxes have keys; {_RESTORE}")
        return 0
    if not header.startswith(_MAGIC) or len(header) < 100:
        raise StorageUntrusted(f"the database cannot be used: it is damaged, or no database; {_RESTORE}")
    version, owner = int.from_bytes(header[60:64], "big"), int.from_bytes(header[68:72], "big")
    if owner != APPLICATION_ID:
        raise UserError("the database file is not a relay's")
    if version > SCHEMA_VERSION:
        raise UserError(f"the database has schema {version}; this relay knows {SCHEMA_VERSION}: use a newer one")
    if held.damaged and not accept_loss:
        raise StorageUntrusted(f"the database's log is damaged: {_LOST}")
    if not held.present and not accept_loss and files.slots.exists() and _running(files):
        raise StorageUntrusted(f"the database's log is missing and the relay did not stop cleanly: {_LOST}")
    _read(files, version)
    return version


def _is_blank(header: bytes) -> bool:
    """Whether the database has no table yet: the crash came before its first commit."""
    return header.startswith(_MAGIC) and not any((*header[60:64], *header[68:72], *header[103:105]))


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as database:
            return database.read(4_096)
    except FileNotFoundError:
        return b""


def _running(files: Files) -> bool:
    slots = shred.SlotFile(files.slots)
    slots.close()
    return slots.header.running


def _slot_numbers(files: Files) -> list[int]:
    slots = shred.SlotFile(files.slots)
    numbers = list(slots.used())
    slots.close()
    return numbers


def _read(files: Files, version: int) -> None:
    """Look into the database without writing to it: is every page whole, and do the slots belong to it?"""
    made = [path for path in (files.log, files.index) if not path.exists()]
    sql = sqlite3.connect(f"file:{quote(str(files.database))}?mode=ro", uri=True, isolation_level=None, timeout=1)
    try:
        said = sql.execute("PRAGMA quick_check(1)").fetchone()[0]
        if said != "ok":
            raise StorageUntrusted(f"the database is damaged: {_line(said)}; {_RESTORE}")
        if version >= 2:  # from then on the slots are there, and the database says whose they are
            _slots(files, sql)
    except (sqlite3.Error, StorageError, UnicodeDecodeError) as error:
        sql.close()
        for path in made:  # nothing but the files that were there is left behind
            path.unlink(missing_ok=True)
        if isinstance(error, UnicodeDecodeError):  # SQLite names what is damaged, by a damaged name
            raise StorageUntrusted(f"the database is damaged: a name in it is no text; {_RESTORE}") from None
        raise failure(error) if isinstance(error, sqlite3.Error) else error from None
    sql.close()


def _slots(files: Files, sql: sqlite3.Connection) -> None:
    verifier, generation = sql.execute("SELECT verifier, generation FROM relay").fetchone() or (b"", 0)
    numbers = [row[0] for row in sql.execute("SELECT number FROM mailboxes")]
    if not files.slots.exists():
        raise StorageUntrusted(f"the key slots are missing; {_RESTORE}")
    slots = shred.SlotFile(files.slots)
    try:
        if not Seals(slots.header.check_key).fits(verifier, "relay", ()):
            raise StorageUntrusted(f"the key slots are another relay's, or the database is; {_RESTORE}")
        if generation < slots.header.generation:
            raise StorageUntrusted(
                "the database is older than the key slots: an old file was put back, which would bring back what was"
                " erased and lose what came since; use: troth-relay restore"
            )
        if generation > slots.header.generation + 2 or not set(numbers) <= set(slots.used()):
            raise StorageUntrusted("the key slots are older than the database; put the newest slots.bin back")
    finally:
        slots.close()


def failure(error: sqlite3.Error) -> StorageError:
    """What SQLite could not do when the database was opened."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StorageUntrusted(f"the database is damaged: {_line(str(error))}; {_RESTORE}")
    if code == sqlite3.SQLITE_BUSY:
        return StorageError("another process has the database locked")
    return StorageError(f"the database cannot be used: {_line(str(error))}")


def _line(said: str) -> str:
    """One line of what SQLite says: it names pages and tables."""
    return " ".join(said.split())[:200]
