"""The open SQLite file: one connection, one process; how it starts, how deleted bytes leave it, how it stops.

``generation`` says which run wrote last: the database and the key slots are given the next one at each start and each
clean stop, so that an older database that is put back is known. SPEC.md section 11.7.
"""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from troth_protocol.errors import StorageError
from troth_server.limits import BLOBS_CLOSE_SECONDS, Quotas
from troth_server.shred import Slots

from . import log, startup
from .clock import UNKNOWN
from .migrations import MIGRATIONS
from .reserve import Reserve
from .schema import APPLICATION_ID, SCHEMA_VERSION
from .seals import Seals
from .startup import Files
from .transaction import Transaction

_LEAST_SQLITE: Final = (3, 38, 0)
"""STRICT tables came with 3.37, json_each as a matter of course with 3.38."""
_MOST_PAGES: Final = 2**24 - 1
"""64 GiB; with more, a page that begins with a page number could look like a tree's (``log.gap``)."""
_PAGE: Final = 4_096
_BUSY_SECONDS: Final = 1
"""For a backup that reads to get out of the way; it takes a lock for moments only."""
_LOCK_SECONDS: Final = 1 + BLOBS_CLOSE_SECONDS
"""For the store of a relay that was killed, which finishes in a process of its own (``apart``)."""
_FRAMES_AT: Final = 16
"""Where the log's index says how many frames the log has. https://www.sqlite.org/walformat.html#the_wal_index_header"""
_ZEROS: Final = bytes(1_048_576)


class Database:
    """An open relay database and its key slots."""

    __slots__ = ("_again", "_file", "_files", "_index", "_log", "_opened", "_reserve", "seals", "slots", "sql")

    def __init__(self, path: Path, *, accept_loss: bool = False) -> None:
        """Open or create ``path``; StorageError, StorageUntrusted or UserError with one clear line."""
        if sqlite3.sqlite_version_info < _LEAST_SQLITE:
            raise StorageError(f"SQLite {sqlite3.sqlite_version} is too old; 3.38 is needed")
        files = self._files = Files(path)
        with ExitStack() as opened:
            try:
                _lock(files, opened)
                startup.own(files)
                self._open(files, startup.check(files, accept_loss=accept_loss), opened)
            except sqlite3.Error as error:
                raise startup.failure(error) from None
            except OSError as error:
                raise StorageError(f"the database cannot be opened: {error.strerror}") from None
            self._opened = opened.pop_all()

    def _open(self, files: Files, version: int, opened: ExitStack) -> None:
        # Closed after SQLite's own: to close any descriptor of a file drops SQLite's locks on it.
        self._file = _handle(files.database, os.O_RDWR | os.O_CREAT, opened)
        self._reserve = Reserve(files.reserve)
        opened.callback(self._reserve.close)
        self.slots = Slots(files.slots, os.urandom)
        opened.callback(self.slots.close)
        self.seals = Seals(self.slots.check_key)
        self.sql = sqlite3.connect(
            files.database, isolation_level=None, check_same_thread=False, cached_statements=256, timeout=_BUSY_SECONDS
        )
        opened.callback(self._end)
        self._begin(version)
        self._log = _handle(files.log, os.O_RDWR, opened)
        self._index = _handle(files.index, os.O_RDONLY, opened)
        opened.callback(self.sql.close)
        self.scrub()
        self._reserve.choose()
        self._again = self._reserve.log_pages

    def _begin(self, version: int) -> None:
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",  # an acknowledgement means fsynced
            "secure_delete=ON",  # deleted rows are overwritten with zeros
            "temp_store=MEMORY",
            "trusted_schema=OFF",
            f"max_page_count={_MOST_PAGES}",
            "wal_autocheckpoint=0",  # ``tidy`` does it, and blanks what SQLite leaves
            "legacy_alter_table=ON",  # a migration renames old tables out of the way
        ):
            self.sql.execute(f"PRAGMA {pragma}")
        while version < SCHEMA_VERSION:
            version = self._migrate(version)
        self.sql.execute("PRAGMA foreign_keys=ON")
        self._step()
        numbers = {row[0] for row in self.sql.execute("SELECT number FROM mailboxes")}
        orphans = sorted(set(self.slots.used()) - numbers)
        if orphans:  # the crash came between an erasure's commit and the overwriting
            self.slots.erase(orphans)
        self.slots.mark(running=True)

    def _migrate(self, version: int) -> int:
        after, step = MIGRATIONS[version]
        t = Transaction(self.sql, self.seals, Quotas(), UNKNOWN)
        self.sql.execute("BEGIN IMMEDIATE")
        try:
            step(t)
            self.sql.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            self.sql.execute(f"PRAGMA user_version = {after}")
            self.slots.fill(t.new)
            self.sql.execute("COMMIT")
        except BaseException:
            if self.sql.in_transaction:
                self.sql.execute("ROLLBACK")
            raise
        return after

    def _step(self) -> None:
        """Give database and slots the next generation; whatever is cut short, the database is not behind."""
        self.sql.execute("UPDATE relay SET generation = ?", (self.slots.generation + 2,))
        self.slots.advance()
        self.sql.execute("UPDATE relay SET generation = ?", (self.slots.generation,))

    def tidy(self) -> None:
        """After a commit: keep the log below the reserve, or a full disk could not take it into the database."""
        frames = int.from_bytes(os.pread(self._index, 4, _FRAMES_AT), sys.byteorder)
        if frames >= self._again:
            whole = self._checkpoint("PASSIVE")
            self._again = self._reserve.log_pages if whole else frames + self._reserve.log_pages
        elif frames < self._reserve.log_pages:
            self._again = self._reserve.log_pages

    def scrub(self) -> None:
        """Leave no deleted row in the log: wipe what was checkpointed, then truncate. [R-11.4-6]

        After a complete checkpoint the log holds nothing that the database file has not. Its header goes first: a crash
        in the middle leaves a log that says of itself that it is empty.
        """
        self._wipe()
        if self._reserve.size and not self._reserve.held:
            self._reserve.take()

    def _wipe(self) -> None:
        left = os.fstat(self._log).st_size
        if not left or not self._checkpoint("RESTART"):
            return  # somebody reads an older state; the next sweep comes in 30 s
        os.pwrite(self._log, log.WIPED, 0)
        os.fsync(self._log)
        at = log.HEADER
        while at < left:
            at += os.pwrite(self._log, _ZEROS[: left - at], at)
        os.fsync(self._log)
        self.sql.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _checkpoint(self, mode: str) -> bool:
        """Move the log into the database, and blank what no row owns; whether that was all of it. [R-11.7-6]

        While the log still holds the pages, a crash in the middle of blanking is mended by reading the log again.
        """
        busy, frames, moved = self.sql.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        if busy or frames != moved:
            return False
        newest, step = {}, log.FRAME + _PAGE
        for at in range(log.HEADER, log.HEADER + frames * step, step):
            newest[int.from_bytes(os.pread(self._log, 4, at), "big")] = at + log.FRAME
        blanked = False
        for number, at in newest.items():
            found = log.gap(os.pread(self._log, _PAGE, at), number)
            if found is not None:
                os.pwrite(self._file, _ZEROS[: found[1] - found[0]], (number - 1) * _PAGE + found[0])
                blanked = True
        if blanked:
            os.fdatasync(self._file)
        return True

    def make_room(self) -> None:
        """The disk is full: give the reserve back, and move the log into the database, which shortens it."""
        self._reserve.release()
        self._wipe()

    def has_room(self) -> bool:
        """Whether the disk has room for the reserve, or the database for a whole log: then it need not grow."""
        free: int = self.sql.execute("PRAGMA freelist_count").fetchone()[0]
        return self._reserve.take() or free >= self._reserve.log_pages

    def close(self, *, clean: bool = True) -> None:
        """Close the files and let go of the lock; not ``clean`` after an error of the disk, so that a start looks."""
        if clean:
            try:
                self._step()
                self.scrub()
                self.slots.mark(running=False)
            except (OSError, sqlite3.Error) as error:  # the next start will look
                logging.getLogger("troth.relay").warning("the store did not close cleanly: %s", type(error).__name__)
        self._opened.close()

    def _end(self) -> None:
        self.sql.close()
        if self.slots.running:  # SQLite has removed the log, after moving all of it: it is not missing
            os.close(os.open(self._files.log, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _handle(path: Path, flags: int, opened: ExitStack) -> int:
    handle = os.open(path, flags | os.O_CLOEXEC, 0o600)
    opened.callback(os.close, handle)
    return handle


def _lock(files: Files, opened: ExitStack) -> None:
    """Lock the file beside the database; StorageError if somebody keeps it."""
    files.database.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = _handle(files.lock, os.O_RDWR | os.O_CREAT, opened)
    late = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > late:
                raise StorageError("another relay has this database open") from None
        time.sleep(_LOCK_SECONDS / 100)
