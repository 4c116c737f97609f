"""Space kept for the day the disk is full: giving it back lets owners read and acknowledge, which makes room.

The database can grow by at most what the write-ahead log holds when it is checkpointed, so the log is checkpointed
before it holds more than the reserve. A disk too small for the larger reserve gets the smaller one.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_SIZES: Final = (4 * 1_048_576, 262_144)
_PAGE: Final = 4_096


class Reserve:
    """A file of zeros beside the database."""

    __slots__ = ("_handle", "held", "size")

    def __init__(self, path: Path) -> None:
        """Open the file, and give back what an earlier run took: a start on a full disk needs it. OSError."""
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.size = 0
        self.held = False
        self.release()

    def choose(self) -> None:
        """Take the space; ``size`` is 0 if there is none even for the smaller reserve."""
        for size in _SIZES:
            if self._take(size):
                self.size = size
                return

    @property
    def log_pages(self) -> int:
        """How many pages the write-ahead log may hold before it is checkpointed."""
        return (self.size or _SIZES[-1]) // _PAGE

    def take(self) -> bool:
        """Take the space again; whether that worked."""
        return self._take(self.size)

    def release(self) -> None:
        """Give the space back to the disk."""
        os.ftruncate(self._handle, 0)
        self.held = False

    def close(self) -> None:
        """Close the file; the space stays taken."""
        os.close(self._handle)

    def _take(self, size: int) -> bool:
        try:
            os.ftruncate(self._handle, 0)
            if size:
                os.posix_fallocate(self._handle, 0, size)
            self.held = True
        except OSError:
            self.release()
        return self.held
