"""The SQLite file: every table and column the relay keeps, how the file is opened, and how deleted bytes leave it.

Ids are hashes (``token.mailbox_hash``); times are rounded to the hour, except when a queued envelope expires.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from pathlib import Path
from typing import Final

from troth_protocol.errors import StorageError

from .reserve import Reserve

SCHEMA_VERSION: Final = 1
APPLICATION_ID: Final = 0x74_72_74_68
"""``trth``: says whose file it is (PRAGMA application_id)."""
_LEAST_SQLITE: Final = (3, 38, 0)
"""STRICT tables came with 3.37, json_each as a matter of course with 3.38."""

TABLES: Final = """
CREATE TABLE mailboxes (
  number INTEGER PRIMARY KEY,
  hash BLOB NOT NULL UNIQUE,
  stored BLOB NOT NULL,
  created INTEGER NOT NULL,
  queued INTEGER NOT NULL DEFAULT 0,
  queued_bytes INTEGER NOT NULL DEFAULT 0,
  last INTEGER NOT NULL DEFAULT 0,
  batch BLOB NOT NULL DEFAULT x''
) STRICT;
CREATE TABLE epochs (
  number INTEGER PRIMARY KEY,
  mailbox INTEGER NOT NULL REFERENCES mailboxes ON DELETE CASCADE,
  key BLOB NOT NULL,
  expires INTEGER NOT NULL,
  spent INTEGER NOT NULL DEFAULT 0,
  UNIQUE (mailbox, key)
) STRICT;
CREATE INDEX epochs_expiry ON epochs (expires);
CREATE TABLE spent (
  epoch INTEGER NOT NULL REFERENCES epochs ON DELETE CASCADE,
  nonce BLOB NOT NULL,
  envelope BLOB NOT NULL,
  PRIMARY KEY (epoch, nonce)
) STRICT, WITHOUT ROWID;
CREATE TABLE lookups (
  number INTEGER PRIMARY KEY,
  hash BLOB NOT NULL UNIQUE,
  mailbox INTEGER NOT NULL REFERENCES mailboxes ON DELETE CASCADE,
  capability BLOB NOT NULL,
  leaves_left INTEGER NOT NULL,
  envelopes_left INTEGER NOT NULL,
  fetches_left INTEGER NOT NULL,
  batch BLOB NOT NULL,
  bundle BLOB NOT NULL
) STRICT;
CREATE INDEX lookups_mailbox ON lookups (mailbox);
CREATE TABLE firsts (
  lookup INTEGER NOT NULL REFERENCES lookups ON DELETE CASCADE,
  nonce BLOB NOT NULL,
  envelope BLOB NOT NULL,
  PRIMARY KEY (lookup, nonce)
) STRICT, WITHOUT ROWID;
CREATE TABLE leaves (
  mailbox INTEGER NOT NULL REFERENCES mailboxes ON DELETE CASCADE,
  position INTEGER NOT NULL,
  leaf BLOB,
  PRIMARY KEY (mailbox, position)
) STRICT;
CREATE TABLE spares (
  mailbox INTEGER NOT NULL REFERENCES mailboxes ON DELETE CASCADE,
  hash BLOB NOT NULL,
  used INTEGER NOT NULL DEFAULT 0,
  nonce BLOB NOT NULL DEFAULT x'',
  envelope BLOB NOT NULL DEFAULT x'',
  fetched INTEGER NOT NULL DEFAULT 0,
  fetches INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (mailbox, hash)
) STRICT, WITHOUT ROWID;
CREATE TABLE envelopes (
  row INTEGER PRIMARY KEY,
  mailbox INTEGER NOT NULL REFERENCES mailboxes ON DELETE CASCADE,
  number INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  via INTEGER NOT NULL,
  mark BLOB NOT NULL,
  envelope BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX envelopes_queue ON envelopes (mailbox, number);
CREATE INDEX envelopes_expiry ON envelopes (expires);
"""


class Database:
    """An open relay database: one connection, one process (a lock beside the file says so)."""

    __slots__ = ("_lock", "_reserve", "_wal", "sql")

    def __init__(self, path: Path) -> None:
        """Open or create ``path``; StorageError with one clear line."""
        if sqlite3.sqlite_version_info < _LEAST_SQLITE:
            raise StorageError(f"SQLite {sqlite3.sqlite_version} is too old; 3.38 is needed")
        self._wal = path.with_name(path.name + "-wal")
        self._lock = -1
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(path.with_name(path.name + "-lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # SQLite would let the umask decide
            self._reserve = Reserve(path.with_name(path.name + "-reserve"))
        except BlockingIOError:
            os.close(self._lock)
            raise StorageError("another relay has this database open") from None
        except OSError as error:
            raise StorageError(f"the database cannot be opened: {error.strerror}") from None
        self.sql = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
        try:
            self._prepare()
        except sqlite3.Error as error:
            self.close()
            raise StorageError(f"the database cannot be used: {error}") from None
        except StorageError:
            self.close()
            raise

    def _prepare(self) -> None:
        version: int = self.sql.execute("PRAGMA user_version").fetchone()[0]
        owner: int = self.sql.execute("PRAGMA application_id").fetchone()[0]
        tables: int = self.sql.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if tables and owner != APPLICATION_ID:
            raise StorageError("the database file is not a relay's")
        if version > SCHEMA_VERSION:
            raise StorageError(f"the database has schema {version}; this relay knows {SCHEMA_VERSION}: use a newer one")
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",  # an acknowledgement means fsynced
            "secure_delete=ON",  # deleted rows are overwritten with zeros
            "foreign_keys=ON",
            "temp_store=MEMORY",
            "trusted_schema=OFF",
            f"wal_autocheckpoint={self._reserve.log_pages}",
        ):
            self.sql.execute(f"PRAGMA {pragma}")
        if not tables:
            marks = f"PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={SCHEMA_VERSION};"
            self.sql.executescript(f"BEGIN; {TABLES} {marks} COMMIT;")

    def scrub(self) -> None:
        """Leave no deleted row in the write-ahead log: zero what was checkpointed, then truncate. [R-11.4-6]

        After a complete RESTART checkpoint the log holds nothing that the database file has not; a crash while it is
        being overwritten leaves a log without a valid header, which SQLite reads as an empty one.
        """
        busy, frames, moved = self.sql.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
        if busy or frames != moved:
            return  # somebody reads an older state; the next sweep comes in 30 s
        with self._wal.open("r+b") as log:
            left = os.fstat(log.fileno()).st_size
            while left > 0:
                left -= log.write(bytes(min(left, 1_048_576)))
            log.flush()
            os.fsync(log.fileno())
        self.sql.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def make_room(self) -> None:
        """The disk is full: give the reserve back, and move the log into the database, which shortens it."""
        self._reserve.release()
        self.scrub()

    def has_room(self) -> bool:
        """Take the reserve again; whether the disk has that much room."""
        return self._reserve.take()

    def close(self) -> None:
        """Close the files and let go of the lock."""
        self.sql.close()
        self._reserve.close()
        os.close(self._lock)
