"""A SQLite file read byte by byte: what of it holds rows, and is all the rest zero?

SQLite is not asked: each page is found from the trees, the overflow chains and the free list (``page`` takes a
tree's page apart), and every byte that belongs to no row, pointer or header must be zero. Beside the bookkeeping that
``Page.left`` names, page numbers behind the last in a free-list trunk may stay; all such bytes are counted.
https://www.sqlite.org/fileformat2.html
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

from troth_protocol.errors import StorageError

from .page import Cell, parse, varint

_MAGIC: Final = b"SQLite format 3\0"
_LOCK_BYTE: Final = 2**30
"""The page at this offset is never used."""
_ROOTPAGE: Final = 3
"""The column of ``sqlite_schema`` that holds a tree's first page."""
_SIZES: Final = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)
"""Of a record's value, by serial type."""


@dataclass(slots=True)
class Found:
    """What was looked at, in bytes, and what was left over."""

    pages: int = 0
    size: int = 0
    free: int = 0
    """Bytes that hold no row, pointer or header."""
    left: int = 0
    """Those of them that are not zero and could be content."""
    numbers: int = 0
    """Those of them that are SQLite's bookkeeping."""


class PageFile:
    """A database file, open for reading, that does not change meanwhile."""

    __slots__ = ("_found", "_handle", "_seen", "_size", "_usable")

    def __init__(self, handle: int) -> None:
        """StorageError if it is no database, or one that a relay would not make."""
        head = os.pread(handle, 100, 0)
        self._handle = handle
        if head[:16] != _MAGIC or len(head) < 100:
            raise StorageError("the database file is not SQLite's")
        self._size = int.from_bytes(head[16:18], "big") if head[16:18] != b"\0\1" else 65_536
        self._usable = self._size - head[20]
        if self._size & (self._size - 1) or self._size < 512 or self._usable < 480 or any(head[52:56]):
            raise StorageError("the database file has a layout that no relay makes")
        size = os.fstat(handle).st_size
        self._found = Found(size // self._size, size)
        self._seen: set[int] = set()

    def examine(self) -> Found:
        """Look at every byte; StorageError if the file contradicts itself."""
        head = self._read(1)
        self._free_list(int.from_bytes(head[32:36], "big"), int.from_bytes(head[36:40], "big"))
        for root in self._tree(1):
            self._tree(root)
        for number in range(1, self._found.pages + 1):
            if number not in self._seen:  # in no tree and not free: nobody's
                self._blank(self._read(number), 0)
        self._blank(os.pread(self._handle, self._size, self._found.pages * self._size), 0)
        return self._found

    def _read(self, number: int) -> bytes:
        raw = os.pread(self._handle, self._size, (number - 1) * self._size) if number > 0 else b""
        if number > self._found.pages or len(raw) != self._size:
            raise StorageError("the database file is damaged: a page lies outside of it")
        return raw

    def _page(self, number: int) -> bytes:
        """A page that something points to; nothing else may."""
        raw = self._read(number)
        if number in self._seen or (number - 1) * self._size == _LOCK_BYTE:
            raise StorageError("the database file is damaged: a page is used twice")
        self._seen.add(number)
        return raw

    def _blank(self, page: bytes, start: int) -> None:
        """From here on the page must be zero."""
        self._found.free += len(page) - start
        self._found.left += len(page) - start - page.count(0, start)

    def _free_list(self, trunk: int, count: int) -> None:
        while trunk:
            page = self._page(trunk)
            listed = int.from_bytes(page[4:8], "big")
            start = end = 8 + 4 * listed
            if end > self._usable:
                raise StorageError("the database file is damaged: the free list")
            while end + 4 <= self._usable and 0 < int.from_bytes(page[end : end + 4], "big") <= self._found.pages:
                end += 4
            self._found.numbers += end - start
            self._blank(page, end)
            for at in range(8, start, 4):
                self._blank(self._page(int.from_bytes(page[at : at + 4], "big")), 0)
            count -= 1 + listed
            trunk = int.from_bytes(page[:4], "big")
        if count:
            raise StorageError("the database file is damaged: the free list")

    def _tree(self, root: int) -> list[int]:
        """Look at every page of a tree; for the schema's, page 1, the first pages of the others."""
        roots: list[int] = []
        left = [root]
        while left:
            number = left.pop()
            raw = self._page(number)
            page = parse(raw, 100 if number == 1 else 0, self._usable)
            content, bookkeeping = page.left(raw)
            self._found.free += sum(end - start for start, end in page.blank)
            self._found.left += content
            self._found.numbers += bookkeeping
            for cell in page.cells:
                self._overflow(cell)
                if cell.child:
                    left.append(cell.child)
                if root == 1 and cell.payload:
                    roots.append(_integer_at(cell.payload, _ROOTPAGE))
            if page.child:
                left.append(page.child)
        return [found for found in roots if found]

    def _overflow(self, cell: Cell) -> None:
        number, left = cell.overflow, cell.beyond
        while left:
            page = self._page(number)
            held = min(left, self._usable - 4)
            self._blank(page, 4 + held)
            left -= held
            number = int.from_bytes(page[:4], "big")


def _integer_at(record: bytes, column: int) -> int:
    """An integer column of a record; 0 for NULL. https://www.sqlite.org/fileformat2.html#record_format"""
    try:
        header, at = varint(record, 0)
        kinds = []
        while at < header:
            kind, at = varint(record, at)
            kinds.append(kind)
        place = header + sum(_SIZES[kind] if kind < 10 else (kind - 12) // 2 for kind in kinds[:column])
        kind = kinds[column]
    except IndexError:
        raise StorageError("the database file is damaged: a record") from None
    return int(kind == 9) if kind > 7 else int.from_bytes(record[place : place + _SIZES[kind]], "big")
