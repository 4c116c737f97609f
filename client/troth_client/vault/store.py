"""The vault's file: opened by one process, written in one transaction an event, gone when it is erased.

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

from ..events import Change, Delete, DeleteMessage, EditMessage, EraseMessage, EraseMessages, MessageKey, Put
from ..views import ChatCounts, Hit, MessageView
from . import key as vault_key
from . import schema, search
from .messages import Messages

_ERASING: Final = (DeleteMessage, EditMessage, EraseMessage, EraseMessages)


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
        self._messages = Messages(connection)
        self._erased = True  # a process that died may have left words in the log of writes

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
            held = lock(directory)
        except OSError as error:
            raise StorageError(f"the profile directory cannot be written: {error.strerror}") from None
        if (directory / "vault.key").exists():
            os.close(held)
            raise VaultExists("there is a profile here already")
        key_file, page_key = vault_key.make(passphrase, randomness, operations, memory)
        for stale in ("vault.db", "vault.db-wal", "vault.db-shm"):  # an init that was cut off before its last step
            (directory / stale).unlink(missing_ok=True)
        vault = cls(_connect(directory / "vault.db", page_key), held)
        with _refusals():
            schema.create(vault._db)
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
        if not (directory / "vault.db").exists():  # SQLite would make an empty one
            raise StorageError("vault.db is missing: put it back, or erase the rest with  troth profile erase")
        held = lock(directory)
        try:
            page_key = vault_key.unlock(passphrase, key_file)
            vault = cls(_connect(directory / "vault.db", page_key), held)
            with _refusals():
                known = schema.migrate(vault._db)
            if not known:
                raise StorageError(f"the vault was written by a newer troth; this one knows version {schema.VERSION}")
        except BaseException:
            os.close(held)
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

    def records(self, kind: str) -> dict[bytes, bytes]:
        """The records of one kind by key."""
        with _refusals():
            return dict(self._db.execute("SELECT key, value FROM record WHERE kind = ?", (kind,)))

    def apply(self, changes: tuple[Change, ...]) -> None:
        """Write all changes in one transaction, on disk when this returns; StorageError if none was written."""
        records: dict[tuple[str, bytes], Put | Delete] = {}
        with _refusals(), self._db:
            for change in changes:
                if isinstance(change, Put | Delete):
                    records[change.kind, change.key] = change  # of many in a batch, the last one counts
                else:
                    self._erased = self._erased or isinstance(change, _ERASING)
                    self._messages.apply(change)
            puts = [(each.kind, each.key, each.value) for each in records.values() if isinstance(each, Put)]
            gone = [name for name, each in records.items() if isinstance(each, Delete)]
            self._db.executemany("INSERT OR REPLACE INTO record VALUES (?, ?, ?)", puts)
            self._db.executemany("DELETE FROM record WHERE kind = ? AND key = ?", gone)

    def tidy(self) -> None:
        """After words were erased: leave no copy of them in the log of writes either. [R-13.4-1]"""
        if self._erased:
            with _refusals():
                self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            self._erased = False

    def history(self, contact: bytes, before: int | None, limit: int, *, after: int | None = None) -> list[MessageView]:
        """Up to ``limit`` lines, oldest first: the newest before row ``before``, or the oldest after row ``after``."""
        with _refusals():
            if after is not None:
                return self._messages.read(contact, "m.row > ?2", (after,), down=False, limit=limit)
            last = 2**62 if before is None else before
            return self._messages.read(contact, "m.row < ?2", (last,), down=True, limit=limit)

    def unread(self, contact: bytes) -> list[MessageView]:
        """What came since ``mark_read``, oldest first."""
        with _refusals():
            condition = "m.row > (SELECT seen FROM chat WHERE number = ?1) AND m.sender > 1"
            return self._messages.read(contact, condition, (), down=False, limit=-1)

    def message(self, contact: bytes, key: MessageKey) -> MessageView | None:
        """One message, or None."""
        with _refusals():
            return self._messages.one(contact, key)

    def find(self, contact: bytes, start: str, *, ours: bool | None) -> list[MessageView]:
        """The two newest messages whose id starts so in hexadecimal, of one side if it matters."""
        with _refusals():
            return self._messages.find(contact, start, ours)

    def search(self, words: str, contact: bytes | None, before: int | None, limit: int) -> list[Hit]:
        """Messages with all these words, newest first."""
        with _refusals():
            return search.search(self._db, self._messages, words, contact, before, limit)

    def counts(self, contact: bytes) -> ChatCounts:
        """What is known of a conversation without reading it."""
        with _refusals():
            return self._messages.counts(contact)

    def mark_read(self, contact: bytes, now: int, up_to: int | None = None) -> None:
        """What stands in a conversation, up to a row if one is given, has been seen."""
        with _refusals(), self._db:
            self._messages.mark_read(contact, up_to, now)

    def save_draft(self, contact: bytes, text: str) -> None:
        """Keep what is being written; an empty one is forgotten."""
        clean = text.encode("utf-8", "replace").decode("utf-8")  # half a surrogate pair cannot be kept
        with _refusals(), self._db:
            self._messages.save_draft(contact, clean)
        self._erased = self._erased or not text

    def fade(self, now: int) -> list[bytes]:
        """Erase what has had its time; the conversations it was in."""
        with _refusals(), self._db:
            touched = self._messages.fade(now)
        self._erased = self._erased or bool(touched)
        return touched


def lock(directory: Path) -> int:
    """Hold a profile until the descriptor is closed; VaultBusy."""
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
