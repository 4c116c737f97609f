"""SQLite's write-ahead log: is anything in it that a sweep should have taken away?

A sweep moves the log into the database, zeroes it and cuts it off. So the log of a stopped relay is empty, and of a
running one every frame is younger than the last sweep: salts (8 random bytes that each beginning of the log draws
anew) that are seen now must not be there a minute later. https://www.sqlite.org/fileformat2.html#the_write_ahead_log
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from troth_server.storage.log import FRAME, HEADER, WIPED

_SALTS: Final = slice(8, 16)


@dataclass(frozen=True, slots=True)
class Frames:
    """What the log holds: its size, how many frames that are not zero, and under which salts."""

    size: int
    frames: int
    salts: frozenset[bytes] = field(repr=False)


def frames(path: Path) -> Frames:
    """Read the log; one that is not there holds nothing. OSError."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return Frames(0, 0, frozenset())
    try:
        size = os.fstat(handle).st_size
        head = os.pread(handle, HEADER, 0)
        page = int.from_bytes(head[8:12], "big") if not head.startswith(WIPED) else 0
        step = FRAME + (page or 4_096)
        salts = set()
        count = 0
        for at in range(HEADER, size, step):
            frame = os.pread(handle, step, at)
            if any(frame):
                count += 1
                salts.add(frame[_SALTS])
    finally:
        os.close(handle)
    return Frames(size, count, frozenset(salts))
