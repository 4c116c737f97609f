"""One page of a SQLite b-tree, by the published format: where its cells lie, and what it holds that is no row.

``secure_delete`` overwrites a row where it is deleted. But when SQLite spreads rows anew over neighbouring pages, the
part of a page that becomes free may keep a copy of a row that moved away, and the copy outlives the row: in one random
mix of inserts and deletes. The relay blanks it at each checkpoint (``storage.log.gap``);
here every such byte is looked at again, by other code. https://www.sqlite.org/fileformat2.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from troth_protocol.errors import StorageError

INTERIOR: Final = (0x02, 0x05)
TABLE_LEAF: Final = 0x0D
KINDS: Final = (0x02, 0x05, 0x0A, TABLE_LEAF)
"""The first byte of a b-tree page. An overflow or free-list page begins with a page number: a zero, below 64 GiB."""
_LEAST_CELL: Final = 4
_RUN: Final = re.compile(rb"[^\0]{5,}")
"""More than the head of a free block (next u16, size u16) can be."""

Span: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Cell:
    """Where a cell lies, what it points to, the part of its payload on the page, and how much lies elsewhere."""

    span: Span
    child: int
    payload: bytes = field(repr=False)
    overflow: int
    beyond: int


@dataclass(frozen=True, slots=True)
class Page:
    """A b-tree page, taken apart."""

    cells: tuple[Cell, ...] = field(repr=False)
    child: int
    """The rightmost child of an interior page, else 0."""
    blank: tuple[Span, ...]
    """Bytes that belong to nothing."""

    def left(self, page: bytes) -> tuple[int, int]:
        """Unallocated bytes that are not zero: longer than bookkeeping can be, and bookkeeping.

        Bookkeeping is numbers and never content: cell offsets behind a pointer array that became shorter, heads of
        free blocks that were merged, fragments. A run of at most 4 bytes is not told from these.
        """
        content = bookkeeping = 0
        for place, (start, end) in enumerate(self.blank):
            begin = start
            while place == 0 and begin + 2 <= end and 0 < int.from_bytes(page[begin : begin + 2], "big") < len(page):
                begin += 2
            filled = end - begin - page.count(0, begin, end)
            longer = sum(map(len, _RUN.findall(page, begin, end))) if filled else 0
            content += longer
            bookkeeping += filled - longer + begin - start
        return content, bookkeeping


def parse(page: bytes, start: int, usable: int) -> Page:
    """Take a page apart; ``start`` is 100 on page 1, else 0. StorageError if it contradicts itself."""
    try:
        return _parse(page, start, usable)
    except IndexError:
        raise StorageError("the database file is damaged: a cell") from None


def _parse(page: bytes, start: int, usable: int) -> Page:
    kind = page[start]
    if kind not in KINDS:
        raise StorageError("the database file is damaged: a page of no kind")
    array = start + (12 if kind in INTERIOR else 8)
    count, content = _u16(page, start + 3), _u16(page, start + 5) or 65_536
    end = array + 2 * count
    if not end <= content <= usable <= len(page):
        raise StorageError("the database file is damaged: the cells of a page")
    cells = tuple(_cell(page, _u16(page, at), kind, usable) for at in range(array, end, 2))
    blocks = _free_blocks(page, _u16(page, start + 1), usable)
    blank = [(end, content), *((at + 4, stop) for at, stop in blocks), (usable, len(page))]
    at = content
    for begin, stop in sorted([*(cell.span for cell in cells), *blocks]):
        if begin < at or stop > usable:
            raise StorageError("the database file is damaged: cells overlap")
        blank.append((at, begin))
        at = stop
    blank.append((at, usable))
    child = int.from_bytes(page[start + 8 : start + 12], "big") if kind in INTERIOR else 0
    return Page(cells, child, tuple(span for place, span in enumerate(blank) if place == 0 or span[0] < span[1]))


def _free_blocks(page: bytes, at: int, usable: int) -> list[Span]:
    blocks: list[Span] = []
    while at:
        following, size = _u16(page, at), _u16(page, at + 2)
        if size < _LEAST_CELL or at + size > usable or (following and following < at + size):
            raise StorageError("the database file is damaged: the free blocks of a page")
        blocks.append((at, at + size))
        at = following
    return blocks


def _cell(page: bytes, at: int, kind: int, usable: int) -> Cell:
    begin, child = at, 0
    if kind in INTERIOR:
        child, at = int.from_bytes(page[at : at + 4], "big"), at + 4
    payload, at = varint(page, at)
    if kind == 0x05:
        return Cell((begin, at), child, b"", 0, 0)
    most = (usable - 12) * 64 // 255 - 23
    if kind == TABLE_LEAF:
        _, at = varint(page, at)
        most = usable - 35
    if payload <= most:
        return Cell((begin, max(at + payload, begin + _LEAST_CELL)), child, page[at : at + payload], 0, 0)
    least = (usable - 12) * 32 // 255 - 23
    local = least + (payload - least) % (usable - 4)
    end = at + (local if local <= most else least)
    following = int.from_bytes(page[end : end + 4], "big")
    return Cell((begin, end + 4), child, page[at:end], following, payload - (end - at))


def varint(page: bytes, at: int) -> tuple[int, int]:
    """SQLite's integer of 1 to 9 bytes, and where it ends; IndexError."""
    value = 0
    for offset in range(8):
        byte = page[at + offset]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + offset + 1
    return value << 8 | page[at + 8], at + 9


def _u16(page: bytes, at: int) -> int:
    return page[at] << 8 | page[at + 1]
