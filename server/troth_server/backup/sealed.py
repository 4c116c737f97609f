"""The backup file: a header, a sealed record for each mailbox, a tag over all of it. SPEC.md section 11.8.

::

    file    = "trthback" || version u16 || LP(header) || record * || 0x02 || tag 32
    header  = relay fingerprint 32 || slots identity 16 || backup id 16 || time u64 || generation u64 || tree
    record  = 0x01 || slot u64 || nonce 12 || LP(sealed)
    sealed  = AEAD(slot key, nonce, LP(rows) || zeros, magic..header || number of the record u64 || slot u64)
    tag     = HMAC(backup key, "troth/1 backup" || SHA-256 of everything before it)

A record is padded to a power of two, 4,096 at least, so its size says little; no id stands outside of the sealed part.
The slot key seals one record in each backup, under a random nonce: 2^32 backups are far from a repetition. The tag says
that no record is missing, added or moved. [R-11.8-2] [R-11.8-4]
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from troth_protocol import labels
from troth_protocol.encoding import Reader, lp, u8, u16, u64
from troth_protocol.errors import DecodeError, StorageError, UserError
from troth_protocol.primitives import AEAD_TAG_SIZE, aead_open, aead_seal, equal, hmac_sha256

from .kept import MAILBOX
from .rows import MAX_FIELD, Row, Table, decode, encode, layout

MAGIC: Final = b"trthback"
VERSION: Final = 1
_MAX_HEADER: Final = 16_384
_LEAST: Final = 4_096
_RECORD: Final = 1
_END: Final = 2
_NONCE: Final = 12
_TAG: Final = 32
_CHUNK: Final = 1_048_576


@dataclass(frozen=True, slots=True)
class Header:
    """Whose backup, from when, sealed under which slots."""

    relay: bytes = field(repr=False)
    slots: bytes = field(repr=False)
    backup: bytes = field(repr=False)
    time: int
    generation: int
    tree: Table = MAILBOX

    def encode(self) -> bytes:
        """The beginning of the file."""
        said = self.relay + self.slots + self.backup + u64(self.time) + u64(self.generation) + self.tree.encode()
        return MAGIC + u16(VERSION) + lp(said)


class BackupWriter:
    """Writes a file from front to back."""

    __slots__ = ("_backup_key", "_count", "_file", "_hash", "_header")

    def __init__(self, file: BinaryIO, header: Header, backup_key: bytes) -> None:
        self._file = file
        self._backup_key = backup_key
        self._header = header.encode()
        self._count = 0
        self._hash = hashlib.sha256()
        self._put(self._header)

    def add(self, slot: int, row: Row, key: bytes, nonce: bytes) -> bool:
        """Seal a mailbox's rows; False if they are more than a record can hold, and then nothing is written."""
        rows = lp(encode(MAILBOX, (row,)))
        if len(rows) > MAX_FIELD:
            return False
        size = max(_LEAST, 1 << (len(rows) - 1).bit_length())
        associated = self._header + u64(self._count) + u64(slot)
        sealed = aead_seal(key, nonce, rows.ljust(size, b"\0"), associated)
        self._put(u8(_RECORD) + u64(slot) + nonce + lp(sealed))
        self._count += 1
        return True

    def end(self) -> None:
        """The tag, without which nobody takes the file for whole."""
        self._put(u8(_END))
        self._file.write(hmac_sha256(self._backup_key, labels.BACKUP + self._hash.digest()))

    def _put(self, content: bytes) -> None:
        self._hash.update(content)
        self._file.write(content)


@dataclass(frozen=True, slots=True)
class Record:
    """One record: its slot, and the mailbox's row if a key that exists opens it."""

    slot: int
    row: Row | None = field(repr=False)


class BackupFile:
    """A backup as it is read. Nothing in it is believed before ``check``."""

    __slots__ = ("_file", "_raw_header", "_tree", "header")

    def __init__(self, path: Path) -> None:
        """Open it; StorageError, UserError if it is none or a newer relay's."""
        try:
            self._file: BinaryIO = path.open("rb")
        except OSError as error:
            raise StorageError(f"the backup cannot be opened: {error.strerror}") from None
        try:
            self._raw_header, self.header = _read_header(self._file)
        except DecodeError:
            self.close()
            raise StorageError("the backup is damaged: its header") from None
        except (StorageError, UserError):
            self.close()
            raise

    def check(self, relay: bytes | None, slots: bytes, backup_key: bytes) -> None:
        """Is it of this relay, sealed with these slots, and whole? UserError, StorageError."""
        if relay is not None and self.header.relay != relay:
            raise UserError("the backup is of another relay")
        if self.header.slots != slots:
            raise UserError("the backup was not sealed with these key slots")
        end = self._file.seek(0, 2) - _TAG
        self._file.seek(0)
        told = hashlib.sha256()
        while (left := end - self._file.tell()) > 0:
            told.update(self._file.read(min(left, _CHUNK)))
        if end < 0 or not equal(self._file.read(), hmac_sha256(backup_key, labels.BACKUP + told.digest())):
            raise StorageError("the backup is damaged: cut short or changed")

    def records(self, key_of: Callable[[int], bytes | None]) -> Iterator[Record]:
        """Each record, opened if ``key_of`` knows its slot's key; StorageError."""
        self._file.seek(len(self._raw_header))
        number = 0
        while (kind := self._take(1)) == u8(_RECORD):
            slot, nonce = int.from_bytes(self._take(8), "big"), self._take(_NONCE)
            size = int.from_bytes(self._take(4), "big")
            if size > 2 * MAX_FIELD + AEAD_TAG_SIZE:
                raise StorageError("the backup is damaged: a record")
            sealed, key = self._take(size), key_of(slot)
            associated = self._raw_header + u64(number) + u64(slot)
            opened = None if key is None else aead_open(key, nonce, sealed, associated)
            yield Record(slot, None if opened is None else self._row(opened))
            number += 1
        if kind != u8(_END):
            raise StorageError("the backup is damaged: a record")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _take(self, size: int) -> bytes:
        taken = self._file.read(size)
        if len(taken) != size:
            raise StorageError("the backup is damaged: cut short")
        return taken

    def _row(self, opened: bytes) -> Row:
        reader = Reader(opened)
        try:
            inner = Reader(reader.lp("rows", MAX_FIELD))
            (row,) = decode(self.header.tree, inner)
            inner.end()
            reader.zeros("padding", reader.left)
        except (DecodeError, ValueError):
            raise StorageError("the backup is damaged: the inside of a record") from None
        return row


def _read_header(file: BinaryIO) -> tuple[bytes, Header]:
    start = file.read(len(MAGIC) + 6)
    reader = Reader(start)
    if reader.fixed("magic", len(MAGIC)) != MAGIC:
        raise UserError("the file is not a relay's backup")
    version = reader.u16("version")
    if version != VERSION:
        raise UserError(f"the backup has format {version}; this relay knows {VERSION}")
    length = reader.u32("header length", _MAX_HEADER)
    said = file.read(length)
    reader = Reader(said)
    relay, slots, backup = reader.fixed("relay", 32), reader.fixed("slots", 16), reader.fixed("backup", 16)
    header = Header(relay, slots, backup, reader.u64("time"), reader.u64("generation"), layout(reader, MAILBOX))
    reader.end()
    if len(said) != length:
        raise StorageError("the backup is damaged: cut short")
    return start + said, header
