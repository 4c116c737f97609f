"""The key slots: one random key for each mailbox, in fixed places of one file, overwritten where they lie. [R-11.8-1]

A mailbox's record in every backup opens under the key in its slot and under nothing else; the slot is in no backup. So
to overwrite 64 bytes erases the mailbox from every backup ever made. Hence the law of this file: it is never renamed
over, never rewritten, never copied by the relay; a slot keeps its blocks, which are allocated before they hold a key.

::

    file   = header 4,096 || header 4,096 || slot 64 * n          a slot's number is ``mailboxes.number``; 0 is not used
    header = magic 8 || version u16 || kind u8 || identity 16 || check key 32 || backup key 32 || generation u64
             || running u8 || counter u64 || CRC-32 of these || zeros
    slot   = key 32 || CRC-32 of number u64 and key || zeros      64 zeros: empty. None crosses a disk sector.

A header is written over the older of the two, so a torn write leaves the newer one. The checksums are against torn
writes and failing disks; whoever can write this file owns the relay.

A relay that finds slots in use and no database must not start: every slot would be erased as nobody's.
"""

from __future__ import annotations

import binascii
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TypeAlias

from troth_protocol.encoding import Reader, u8, u16, u32, u64
from troth_protocol.errors import DecodeError, StorageError

from .files import sync_folder

FILE: Final = "slots.bin"
"""Its name in the relay's folder."""
KEY_SIZE: Final = 32
SLOT: Final = 64
BLOCK: Final = 4_096
SLOTS_AT: Final = 2 * BLOCK
_CHUNK: Final = 65_536
"""The file grows by so much, zeros written and synced first: 1,024 mailboxes."""
_MOST: Final = 2**26
"""Slots at most, 4 GiB: a number above it is a damaged database, not a mailbox."""
_MAGIC: Final = b"trthslot"
_VERSION: Final = 1
ORIGINAL: Final = 1
COPY: Final = 2
"""The copy that ``backup --keys`` keeps; without a check key, so that no relay can run on it."""

Draw: TypeAlias = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Header:
    """What the file says of itself."""

    kind: int
    identity: bytes = field(repr=False)
    """16 random bytes that bind a backup to the slots it was sealed with."""
    check_key: bytes = field(repr=False)
    backup_key: bytes = field(repr=False)
    generation: int
    running: bool
    counter: int

    def encode(self) -> bytes:
        """One header block."""
        said = _MAGIC + u16(_VERSION) + u8(self.kind) + self.identity + self.check_key + self.backup_key
        said += u64(self.generation) + u8(self.running) + u64(self.counter)
        return (said + u32(binascii.crc32(said))).ljust(BLOCK, b"\0")

    @classmethod
    def decode(cls, block: bytes) -> Header | None:
        """The header in a block, or None if it is torn or damaged; StorageError if it is from a newer relay."""
        reader = Reader(block)
        try:
            magic, version = reader.fixed("magic", 8), reader.u16("version")
            if magic == _MAGIC and version > _VERSION:
                raise StorageError(f"the key slots have format {version}; this relay knows {_VERSION}: use a newer one")
            kind, identity = reader.u8("kind", COPY, ORIGINAL), reader.fixed("identity", 16)
            check_key, backup_key = reader.fixed("check key", KEY_SIZE), reader.fixed("backup key", KEY_SIZE)
            generation, running = reader.u64("generation"), reader.u8("running", 1)
            counter, said = reader.u64("counter"), block[: reader.offset]
            checksum = reader.fixed("checksum", 4)
        except DecodeError:
            return None
        header = cls(kind, identity, check_key, backup_key, generation, bool(running), counter)
        return header if magic == _MAGIC and version == _VERSION and checksum == u32(binascii.crc32(said)) else None

    @classmethod
    def fresh(cls, draw: Draw) -> Header:
        """The first header of a new file."""
        return cls(ORIGINAL, draw(16), draw(KEY_SIZE), draw(KEY_SIZE), generation=0, running=False, counter=0)


class SlotFile:
    """The file as it is read, by the relay and by the processes that back it up or look at it."""

    __slots__ = ("handle", "header", "torn")

    def __init__(self, path: Path, *, write: bool = False) -> None:
        """Open a file that is there; StorageError, and the file is as it was."""
        try:
            self.handle = os.open(path, (os.O_RDWR if write else os.O_RDONLY) | os.O_CLOEXEC)
        except FileNotFoundError:
            raise StorageError("the key slots are missing") from None
        except OSError as error:
            raise StorageError(f"the key slots cannot be opened: {error.strerror}") from None
        try:
            blocks = [os.pread(self.handle, BLOCK, at) for at in (0, BLOCK)]
            headers = [header for block in blocks if (header := Header.decode(block)) is not None]
            if not headers:
                foreign = not any(block.startswith(_MAGIC) for block in blocks)
                raise StorageError("the file is not a relay's key slots" if foreign else "the key slots are damaged")
            if len({(header.kind, header.identity, header.check_key) for header in headers}) > 1:
                raise StorageError("the key slots are damaged")
        except (OSError, StorageError):
            self.close()
            raise
        self.header = max(headers, key=lambda header: header.counter)
        self.torn = len(headers) < len(blocks)

    def find(self, slot: int) -> bytes | None:
        """The key in a slot, or None if it is empty; StorageError if it is damaged."""
        raw = os.pread(self.handle, SLOT, place(slot)).ljust(SLOT, b"\0")
        if not any(raw):
            return None
        if raw != filled(slot, raw[:KEY_SIZE]):
            raise StorageError("a key slot is damaged")
        return raw[:KEY_SIZE]

    def used(self) -> Iterator[int]:
        """The numbers of all slots that are not empty, damaged ones too."""
        at = SLOTS_AT
        while chunk := os.pread(self.handle, _CHUNK, at):
            if any(chunk):
                for start in range(0, len(chunk), SLOT):
                    if any(chunk[start : start + SLOT]):
                        yield (at + start - SLOTS_AT) // SLOT
            at += len(chunk)

    def close(self) -> None:
        """Close the file."""
        os.close(self.handle)


class Slots:
    """The relay's own file, which it alone may write: the lock beside the database says so.

    An OSError of the disk goes through as it is: after one, what the disk holds is not known.
    """

    __slots__ = ("_draw", "_file", "_header")

    def __init__(self, path: Path, draw: Draw) -> None:
        """Open or create ``path``; StorageError. ``draw`` gives so many random bytes."""
        self._draw = draw
        clear(path)
        if not os.path.lexists(path):
            create(path, Header.fresh(draw))
        self._file = SlotFile(path, write=True)
        if self._file.header.kind != ORIGINAL:
            self._file.close()
            raise StorageError("the key slots are a copy: troth-relay restore --keys makes the relay's own from it")
        self._header = self._file.header

    @property
    def check_key(self) -> bytes:
        """32 bytes, made with the file; they key the checks of the database's rows and are in no backup and no copy."""
        return self._header.check_key

    @property
    def generation(self) -> int:
        """How often the relay has started on this file."""
        return self._header.generation

    @property
    def running(self) -> bool:
        """Whether the relay was running when this was last marked: True after opening means that it did not stop."""
        return self._header.running

    def advance(self) -> None:
        """The next generation, on disk. A number that a torn header may have held is passed over."""
        step = 2 if self._file.torn else 1
        self._write(replace(self._header, generation=self._header.generation + step))

    def mark(self, running: bool) -> None:
        """Note that the relay runs, or that it has stopped cleanly, on disk."""
        self._write(replace(self._header, running=running))

    def fill(self, slots: Sequence[int]) -> None:
        """A fresh random key in each slot, whatever was there, all on disk."""
        if not slots:
            return
        grow(self._file.handle, place(max(slots)) + SLOT)
        for slot in slots:
            put(self._file.handle, filled(slot, self._draw(KEY_SIZE)), place(slot))
        os.fdatasync(self._file.handle)

    def erase(self, slots: Sequence[int]) -> None:
        """Zeros over each slot, all on disk: what was sealed under these keys is unreadable from here on. [R-11.8-1]"""
        size = os.fstat(self._file.handle).st_size
        for slot in slots:
            if place(slot) < size:
                put(self._file.handle, bytes(SLOT), place(slot))
        os.fdatasync(self._file.handle)

    def key(self, slot: int) -> bytes:
        """The key in a slot, 32 bytes; StorageError if it is empty or damaged."""
        key = self._file.find(slot)
        if key is None:
            raise StorageError("a key slot is empty")
        return key

    def used(self) -> Iterator[int]:
        """The numbers of all slots that are not empty."""
        return self._file.used()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, header: Header) -> None:
        header = replace(header, counter=header.counter + 1)
        put(self._file.handle, header.encode(), header.counter % 2 * BLOCK)
        os.fdatasync(self._file.handle)
        self._header = header
        self._file.torn = False


def place(slot: int) -> int:
    """Where a slot lies in the file; StorageError for a number that is no mailbox's."""
    if not 0 < slot < _MOST:
        raise StorageError("a mailbox has a number that no key slot can have")
    return SLOTS_AT + slot * SLOT


def filled(slot: int, key: bytes) -> bytes:
    """The 64 bytes of a slot that holds a key."""
    return (key + u32(binascii.crc32(u64(slot) + key))).ljust(SLOT, b"\0")


def put(handle: int, content: bytes, at: int) -> None:
    """Write all of ``content``; OSError."""
    while content:
        written = os.pwrite(handle, content, at)
        content, at = content[written:], at + written


def grow(handle: int, end: int) -> None:
    """Let the file hold ``end`` bytes at least: zeros, in whole chunks, on disk before anything lies there; OSError."""
    size = os.fstat(handle).st_size
    if size < end:
        end = -(-(end - SLOTS_AT) // _CHUNK) * _CHUNK + SLOTS_AT
        for at in range(size, end, _CHUNK):
            put(handle, bytes(min(_CHUNK, end - at)), at)
        os.fsync(handle)


def beside(path: Path) -> Path:
    """The name that a file has while it is being made."""
    return path.with_name(path.name + ".new")


def clear(path: Path) -> None:
    """Overwrite and unlink what a crash left of a file that was being made: it may hold keys; OSError."""
    new = beside(path)
    if new.exists():
        if not (path.exists() and new.samefile(path)):
            with new.open("r+b") as file:
                file.write(bytes(os.fstat(file.fileno()).st_size))
                file.flush()
                os.fsync(file.fileno())
        new.unlink()


def create(path: Path, header: Header, keys: Sequence[tuple[int, bytes]] = ()) -> None:
    """Make the file, whole or not at all, on disk when this returns; StorageError. One that is there stays as it is."""
    new = beside(path)
    try:
        clear(path)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(handle, 0o600)
            grow(handle, place(max((slot for slot, _ in keys), default=1)) + SLOT)
            for copy in (0, 1):
                put(handle, replace(header, counter=copy).encode(), copy * BLOCK)
            for slot, key in keys:
                put(handle, filled(slot, key), place(slot))
            os.fsync(handle)
        finally:
            os.close(handle)
        os.link(new, path)
        new.unlink()
        sync_folder(path.parent)
    except OSError as error:
        raise StorageError(f"the key slots cannot be made: {error.strerror}") from None
