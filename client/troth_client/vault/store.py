"""The vault's tables, written in one transaction an event and read by page.

The library cannot bind a key, so the raw key stands in SQL text: statements are never traced, and what the library says
of an error is not passed on.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import apsw

from troth_protocol.errors import BadPassphrase, StorageError, VaultBusy, VaultExists
from troth_protocol.primitives import Randomness

from ..events import AddMessage, Change, Delete, EraseMessages, MarkMessage, MessageState, Put
from ..views import MessageView
from . import key as vault_key

SCHEMA_VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE record (kind TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID;
CREATE TABLE message (
  row INTEGER PRIMARY KEY AUTOINCREMENT, contact BLOB NOT NULL, side INTEGER NOT NULL, id BLOB NOT NULL,
  state INTEGER NOT NULL, sent INTEGER NOT NULL, stored INTEGER NOT NULL, text TEXT NOT NULL,
  UNIQUE (contact, side, id)
);
CREATE INDEX message_of ON message (contact, row);
CREATE TABLE seen (contact BLOB PRIMARY KEY, row INTEGER NOT NULL) WITHOUT ROWID;
PRAGMA user_version = 1;
"""
_OURS: Final = frozenset({MessageState.QUEUED, MessageState.AT_RELAY, MessageState.FAILED})


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """What the library raises, as a StorageError without its text."""
    try:
        yield
    except apsw.FullError:
        raise StorageError("the disk is full: nothing was changed") from None
    except apsw.Error as error:
        raise StorageError(f"the vault cannot be read or written ({type(error).__name__})") from None


class Vault:
    """An open vault; ``close`` it, or leave it to the end of the process."""

    def __init__(self, connection: apsw.Connection, lock: int) -> None:
        self._db = connection
        self._lock = lock

    @classmethod
    def create(
        cls,
        directory: Path,
        passphrase: str,
        randomness: Randomness,
        *,
        operations: int = vault_key.OPERATIONS,
        memory: int = vault_key.MEMORY,
    ) -> Vault:
        """A new vault in ``directory``; VaultExists, VaultBusy, BadPassphrase (empty) or StorageError."""
        if not passphrase:
            raise BadPassphrase("a vault needs a passphrase")
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = _lock(directory)
        except OSError as error:
            raise StorageError(f"the profile directory cannot be written: {error.strerror}") from None
        if (directory / "vault.key").exists():
            os.close(lock)
            raise VaultExists("there is a profile here already")
        key_file, page_key = vault_key.make(passphrase, randomness, operations, memory)
        for stale in ("vault.db", "vault.db-wal", "vault.db-shm"):  # an init that was cut off before its last step
            (directory / stale).unlink(missing_ok=True)
        vault = cls(_connect(directory / "vault.db", page_key), lock)
        with _refusals():
            vault._db.execute(_SCHEMA)
        _write_durably(directory / "vault.key", key_file.encode())
        return vault

    @classmethod
    def open(cls, directory: Path, passphrase: str) -> Vault:
        """An existing vault; VaultExists (there is none), VaultBusy, BadPassphrase or StorageError."""
        try:
            raw = (directory / "vault.key").read_bytes()
        except FileNotFoundError:
            raise VaultExists("there is no profile here: make one with  troth init") from None
        except OSError as error:
            raise StorageError(f"vault.key cannot be read: {error.strerror}") from None
        key_file = vault_key.KeyFile.decode(raw)
        lock = _lock(directory)
        try:
            page_key = vault_key.unlock(passphrase, key_file)
            vault = cls(_connect(directory / "vault.db", page_key), lock)
            with _refusals():
                version = vault._db.pragma("user_version")
            if version != SCHEMA_VERSION:
                raise StorageError(f"the vault has schema {version}; this troth knows {SCHEMA_VERSION}")
        except BaseException:
            os.close(lock)
            raise
        return vault

    def close(self) -> None:
        """Let go of the file and the lock."""
        self._db.close()
        os.close(self._lock)

    def load(self) -> dict[str, dict[bytes, bytes]]:
        """Every record by kind and key."""
        rows: dict[str, dict[bytes, bytes]] = {}
        with _refusals():
            for kind, key, value in self._db.execute("SELECT kind, key, value FROM record"):
                rows.setdefault(kind, {})[key] = value
        return rows

    def apply(self, changes: tuple[Change, ...]) -> None:
        """Write all changes in one transaction, on disk when this returns; StorageError if none was written."""
        with _refusals(), self._db:
            for change in changes:
                self._apply(change)

    def _apply(self, change: Change) -> None:
        run = self._db.execute
        match change:
            case Put(kind, key, value):
                run("INSERT OR REPLACE INTO record VALUES (?, ?, ?)", (kind, key, value))
            case Delete(kind, key):
                run("DELETE FROM record WHERE kind = ? AND key = ?", (kind, key))
            case AddMessage(contact, message_id, state, sent, stored, text):
                run(
                    "INSERT OR IGNORE INTO message (contact, side, id, state, sent, stored, text) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (contact, state in _OURS, message_id, int(state), sent, stored, text),
                )
            case MarkMessage(contact, message_id, state):
                run(
                    "UPDATE message SET state = ? WHERE contact = ? AND side = 1 AND id = ?",
                    (int(state), contact, message_id),
                )
            case EraseMessages(contact):
                run("DELETE FROM message WHERE contact = ?", (contact,))
                run("DELETE FROM seen WHERE contact = ?", (contact,))

    def history(self, contact: bytes, before: int | None, limit: int) -> list[MessageView]:
        """Up to ``limit`` lines before row ``before``, oldest first."""
        with _refusals():
            rows = list(
                self._db.execute(
                    "SELECT row, id, state, sent, stored, text FROM message WHERE contact = ? AND row < ? "
                    "ORDER BY row DESC LIMIT ?",
                    (contact, 2**62 if before is None else before, limit),
                )
            )
        return [_view(*row) for row in reversed(rows)]

    def unread(self, contact: bytes) -> list[MessageView]:
        """What came since ``mark_read``, oldest first."""
        with _refusals():
            return [
                _view(*row)
                for row in self._db.execute(
                    "SELECT row, id, state, sent, stored, text FROM message WHERE contact = ?1 AND side = 0 AND row > "
                    "coalesce((SELECT seen.row FROM seen WHERE seen.contact = ?1), 0) ORDER BY row",
                    (contact,),
                )
            ]

    def counts(self, contact: bytes) -> tuple[int, int, int]:
        """Lines in a conversation, unread ones among them, and when the newest was stored."""
        with _refusals():
            row = self._db.execute(
                "SELECT count(*), coalesce(sum(side = 0 AND row > coalesce("
                "(SELECT seen.row FROM seen WHERE seen.contact = message.contact), 0)), 0), coalesce(max(stored), 0) "
                "FROM message WHERE contact = ?",
                (contact,),
            ).get
        total, unread, newest = row
        return int(total), int(unread), int(newest)

    def mark_read(self, contact: bytes) -> None:
        """Everything stored so far in a conversation has been seen."""
        with _refusals():
            self._db.execute(
                "INSERT OR REPLACE INTO seen SELECT contact, max(row) FROM message WHERE contact = ? GROUP BY contact",
                (contact,),
            )


def _view(row: int, message_id: bytes, state: int, sent: int, stored: int, text: str) -> MessageView:
    return MessageView(row, message_id, MessageState(state), sent, stored, text)


def _lock(directory: Path) -> int:
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise VaultBusy("another troth has this profile open") from None
    return descriptor


def _connect(path: Path, page_key: bytes) -> apsw.Connection:
    with _refusals():
        previous = os.umask(0o077)
        try:
            db = apsw.Connection(str(path))
        finally:
            os.umask(previous)
        db.pragma("cipher", "chacha20")
        db.execute(f'PRAGMA key = "raw:{page_key.hex()}"')
        db.pragma("secure_delete", True)
        db.pragma("journal_mode", "WAL")
        db.pragma("synchronous", "FULL")
        return db


def _write_durably(path: Path, content: bytes) -> None:
    """The vault exists from the moment this file does, so it is written whole or not at all."""
    fresh = path.with_suffix(".new")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
    except OSError as error:
        raise StorageError(f"vault.key cannot be written: {error.strerror}") from None
