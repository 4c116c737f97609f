"""SQLite's write-ahead log read byte by byte: is it whole, which pages does it hold, what is the newest first page?

SQLite takes a log up to the first frame that does not verify, and everything after it for never written. That is right
for the last transaction, whose fsync may not have returned; of two, the first was acknowledged. So a log in which
verified order breaks off before more than one further commit has lost something. [R-11.7-2]
https://www.sqlite.org/fileformat2.html#the_write_ahead_log
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

HEADER: Final = 32
FRAME: Final = 24
WIPED: Final = b"troth: wiped after a checkpoint\0"
"""Written over the log's header before the rest is overwritten: a log that begins so holds nothing."""
_MAGIC: Final = 0x377F0682


@dataclass(frozen=True, slots=True)
class Log:
    """What the log file says before SQLite has opened it."""

    present: bool
    damaged: bool
    cut: bool
    """Something after the last verified commit was dropped: unacknowledged, if the disk kept its word."""
    first_page: bytes | None = field(repr=False)
    """The newest committed image of the database's first page, if the log has one."""


def survey(path: Path) -> Log:
    """Read the log; OSError."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return Log(present=False, damaged=False, cut=False, first_page=None)
    if not raw or raw.startswith(WIPED):
        return Log(present=True, damaged=False, cut=False, first_page=None)
    if len(raw) < HEADER:
        return Log(present=True, damaged=False, cut=True, first_page=None)
    magic, _, size, _, salt = struct.unpack(">IIII8s", raw[:24])
    order = ">" if magic & 1 else "<"
    sums = _add((0, 0), raw[:24], order)
    if magic & ~1 != _MAGIC or struct.unpack(">II", raw[24:HEADER]) != sums or size & (size - 1) or size < 512:
        return Log(present=True, damaged=len(raw) > HEADER + FRAME, cut=True, first_page=None)
    at, end, first, pending = HEADER, HEADER, None, None
    while at + FRAME + size <= len(raw):
        number, commit = struct.unpack(">II", raw[at : at + 8])
        page = raw[at + FRAME : at + FRAME + size]
        sums = _add(_add(sums, raw[at : at + 8], order), page, order)
        if raw[at + 8 : at + 16] != salt or struct.unpack(">II", raw[at + 16 : at + FRAME]) != sums:
            break
        pending = page if number == 1 else pending
        at += FRAME + size
        if commit:
            end, first = at, pending
    commits = sum(
        raw[place + 8 : place + 16] == salt and any(raw[place + 4 : place + 8])
        for place in range(at, len(raw) - FRAME - size + 1, FRAME + size)
    )
    return Log(present=True, damaged=commits > 1, cut=commits > 0 or at > end, first_page=first)


def _add(sums: tuple[int, int], data: bytes, order: str) -> tuple[int, int]:
    """SQLite's running checksum over 8-byte units."""
    one, two = sums
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        one = one + even + two & 0xFFFFFFFF
        two = two + odd + one & 0xFFFFFFFF
    return one, two


def gap(page: bytes, number: int) -> tuple[int, int] | None:
    """Where a tree's page holds something between its cell pointers and its cells, which belongs to no row; or None.

    When SQLite rebuilds a page, what was moved to another stays there, and ``secure_delete`` does not reach it. Pages
    of other kinds begin with a page number below 2**24 and so with 0, which is no tree's kind.
    """
    at = 100 if number == 1 else 0
    if page[at] not in (0x02, 0x05, 0x0A, 0x0D):
        return None
    start = at + (12 if page[at] < 0x0A else 8) + 2 * int.from_bytes(page[at + 3 : at + 5], "big")
    end = int.from_bytes(page[at + 5 : at + 7], "big") or 65_536
    if not start < end <= len(page) or page.count(0, start, end) == end - start:
        return None
    return start, end
