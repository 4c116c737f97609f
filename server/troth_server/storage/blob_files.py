"""The folder of blobs' contents: each in a file of its own under a random name, chunk after chunk, each with its seal.

file = (chunk 65,552 || seal 16) *          seal over the file's name, the chunk's place and the chunk (``seals``)

A chunk is on disk when ``write`` returns. A file goes by being overwritten with zeros in place, a portion at a time,
and only then unlinked. Names are opened in the folder's own descriptor and never followed. SPEC.md section 11.9.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import Final

from troth_protocol.errors import StorageError
from troth_protocol.wire.blobs import CHUNK
from troth_server.limits import BlobQuotas

from .seals import SEAL_SIZE, Seals

FOLDER: Final = "blobs"
"""Beside the database."""
RECORD: Final = CHUNK + SEAL_SIZE
NAME_SIZE: Final = 16
PORTION: Final = 1_048_576
"""Bytes overwritten at a time: a few milliseconds of the disk, so that no commit waits long behind it."""
_ZEROS: Final = bytes(PORTION)


class BlobFiles:
    """The open folder; every method raises OSError."""

    __slots__ = ("_folder", "_quotas", "_seals", "_used")

    def __init__(self, folder: Path, seals: Seals, quotas: BlobQuotas) -> None:
        """Open or make the folder, for this user alone; StorageError."""
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise StorageError(f"the folder of blobs cannot be opened: {error.strerror}") from None
        found = os.fstat(self._folder)
        if found.st_uid != os.geteuid():
            os.close(self._folder)
            raise StorageError("the folder of blobs belongs to another user; run the relay as its owner")
        if stat.S_IMODE(found.st_mode) & 0o077:
            os.fchmod(self._folder, 0o700)
        self._seals = seals
        self._quotas = quotas
        self._used = 0

    def sizes(self) -> dict[bytes, int]:
        """Every file's name and length, at the start; what is not named as a blob's file is left alone."""
        with os.scandir(self._folder) as entries:
            found = {
                name: entry.stat(follow_symlinks=False).st_size
                for entry in entries
                if entry.is_file(follow_symlinks=False) and (name := named(entry.name))
            }
        self._used = sum(found.values())
        return found

    def write(self, name: bytes, index: int, chunk: bytes) -> None:
        """Put a chunk in its place and wait for the disk; what a failure leaves is cut or written over."""
        room, quotas = os.statvfs(self._folder), self._quotas
        if self._used + RECORD > quotas.relay_chunks * RECORD or room.f_bavail * room.f_frsize < quotas.keep_free:
            raise OSError(errno.ENOSPC, "no room for blobs")
        handle = self._open(name, os.O_RDWR | os.O_CREAT)
        before = os.fstat(handle).st_size
        try:
            data = memoryview(chunk + self._seals.make("chunks", (index,), name, chunk))
            try:
                _write(handle, data, index * RECORD)
                os.fdatasync(handle)
            except OSError:
                with contextlib.suppress(OSError):  # on a full disk its room is wanted; else a start cuts it
                    os.ftruncate(handle, index * RECORD)
                raise
        finally:
            self._used += os.fstat(handle).st_size - before
            os.close(handle)
        if index == 0:
            os.fsync(self._folder)

    def read(self, name: bytes, index: int) -> bytes | None:
        """A chunk as it was written, or None: altered bytes are never served. [R-11.9-7]"""
        try:
            handle = self._open(name, os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            record = os.pread(handle, RECORD, index * RECORD)
        finally:
            os.close(handle)
        chunk = record[:CHUNK]
        return chunk if self._seals.fits(record[CHUNK:], "chunks", (index,), name, chunk) else None

    def cut(self, name: bytes, size: int) -> None:
        """Take away what a crash left behind the last chunk that was counted: overwrite it, then shorten the file."""
        handle = self._open(name, os.O_RDWR)
        try:
            behind = os.fstat(handle).st_size - size
            _write(handle, memoryview(bytes(behind)), size)
            os.fdatasync(handle)
            os.ftruncate(handle, size)
            os.fsync(handle)
            self._used -= behind
        finally:
            os.close(handle)

    def wipe(self, name: bytes, at: int) -> int | None:
        """Overwrite a portion from ``at`` on; where to go on, or None when all was overwritten and the file is gone."""
        try:
            handle = self._open(name, os.O_RDWR)
        except FileNotFoundError:
            return None
        try:
            size = os.fstat(handle).st_size
            left = size - at
            if left > 0:
                _write(handle, memoryview(_ZEROS)[: min(left, PORTION)], at)
                os.fdatasync(handle)
        finally:
            os.close(handle)
        if left > PORTION:
            return at + PORTION
        os.unlink(name.hex(), dir_fd=self._folder)
        self._used -= size
        os.fsync(self._folder)
        return None

    def close(self) -> None:
        """Close the folder."""
        os.close(self._folder)

    def _open(self, name: bytes, flags: int) -> int:
        return os.open(name.hex(), flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=self._folder)


def _write(handle: int, data: memoryview, at: int) -> None:
    while data:
        written = os.pwrite(handle, data, at)
        data, at = data[written:], at + written


def named(text: str) -> bytes:
    """The name of a blob's file, or nothing."""
    try:
        name = bytes.fromhex(text)
    except ValueError:
        return b""
    return name if len(name) == NAME_SIZE and name.hex() == text else b""
