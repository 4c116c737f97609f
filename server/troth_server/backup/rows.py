"""The rows of one mailbox as bytes and back, by a tree of tables that the file itself names.

A backup made before a column existed restores with that column's default; one that names a column unknown here is
refused. Which columns these are is ``kept``'s business. A record is a mailbox's row followed by the rows that hang on
it, each likewise::

    rows  = count u32 || row *            row = value * || rows of each table below it
    value = 0 | 1 || i64 | 2 || LP(bytes) | 3 || LP(text)      kind u8 first
    tree  = LP(name) || count u8 || LP(column) * || count u8 || tree *      which columns a file has, in its header
"""

from __future__ import annotations

import hmac
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from troth_protocol.encoding import Reader, lp, u8, u32, u64
from troth_protocol.errors import StorageError, UserError
from troth_server.storage.seals import Seals

Value: TypeAlias = int | bytes | str | None
MAX_FIELD: Final = 64 * 1_048_576
"""A record is at most so long: with the usual quotas two epochs of 100,000 spent nonces and 64 cards are 19 MB."""
_SIGN: Final = 2**63


@dataclass(frozen=True, slots=True)
class Seal:
    """A row's check: its column, the name it is made under, and the columns it covers (``storage.seals``)."""

    column: str
    name: str
    numbers: tuple[str, ...]
    fields: tuple[str, ...]

    def make(self, seals: Seals, mailbox: bytes, values: Mapping[str, Value]) -> bytes:
        """The seal of a row of a mailbox with this hash; StorageError where a value has another type."""
        numbers, fields = [values[name] for name in self.numbers], [values[name] for name in self.fields]
        if not all(isinstance(each, int) for each in numbers) or not all(isinstance(each, bytes) for each in fields):
            raise StorageError("a row holds a value of another type")
        ours = (each for each in numbers if isinstance(each, int))
        return seals.make(self.name, tuple(ours), mailbox, *(each for each in fields if isinstance(each, bytes)))


@dataclass(frozen=True, slots=True)
class Table:
    """A table of which rows are kept: its columns, the one that names the row above, and the tables below it."""

    name: str
    columns: tuple[str, ...]
    seals: tuple[Seal, ...] = ()
    above: str = ""
    own: str = ""
    """The column that rows below refer to; a restored row gets a new one, except a mailbox."""
    below: tuple[Table, ...] = ()

    def encode(self) -> bytes:
        """Which columns a file has."""
        columns = b"".join(lp(column.encode()) for column in self.columns)
        below = u8(len(self.below)) + b"".join(table.encode() for table in self.below)
        return lp(self.name.encode()) + u8(len(self.columns)) + columns + below


@dataclass(frozen=True, slots=True)
class Row:
    """A row and those that hang on it."""

    table: str
    values: Mapping[str, Value] = field(repr=False)
    below: tuple[Row, ...] = field(default=(), repr=False)


def layout(reader: Reader, known: Table) -> Table:
    """The tables and columns that a file has; UserError if this relay does not know them all."""
    name = reader.text("table", 64)
    columns = tuple(reader.text("column", 64) for _ in range(reader.u8("columns")))
    below = {table.name: table for table in known.below}
    if name != known.name or not set(columns) <= set(known.columns):
        raise UserError("the backup was made by a newer relay: use that one")
    found = []
    for _ in range(reader.u8("tables")):
        start = reader.offset
        following = reader.text("table", 64)
        reader.offset = start
        if following not in below:
            raise UserError("the backup was made by a newer relay: use that one")
        found.append(layout(reader, below[following]))
    return replace(known, columns=columns, below=tuple(found))


@dataclass(slots=True)
class Source:
    """Where rows are read: rows whose seal does not fit are passed over and counted, not sealed anew as if sound."""

    sql: sqlite3.Connection
    seals: Seals
    damaged: int = 0

    def mailbox(self, table: Table, number: int) -> Row | None:
        """A mailbox by its number, with all that hangs on it; None if it is not there or its own row is damaged."""
        return next(iter(self._read(table, table.own, number, b"")), None)

    def _read(self, table: Table, where: str, value: int, mailbox: bytes) -> Iterator[Row]:
        """The rows whose column ``where`` is ``value``, oldest first."""
        checks = [seal.column for seal in table.seals]
        names = [table.own or table.columns[0], *table.columns, *checks]
        statement = f"SELECT {', '.join(names)} FROM {table.name} WHERE {where} = ? ORDER BY {names[0]}"  # noqa: S608
        for own, *found in self.sql.execute(statement, (value,)).fetchall():
            values: dict[str, Value] = dict(zip(names[1:], found, strict=True))
            home = mailbox or values["hash"]
            if not isinstance(home, bytes) or not self._sound(table, home, {table.own: own, **values}):
                self.damaged += 1
                continue
            hung = [row for below in table.below for row in self._read(below, below.above, own, home)]
            yield Row(table.name, {column: values[column] for column in table.columns}, tuple(hung))

    def _sound(self, table: Table, mailbox: bytes, values: Mapping[str, Value]) -> bool:
        try:
            return all(
                hmac.compare_digest(seal.make(self.seals, mailbox, values), held)
                if isinstance(held := values[seal.column], bytes)
                else False
                for seal in table.seals
            )
        except StorageError:
            return False


def encode(table: Table, rows: Sequence[Row]) -> bytes:
    """Rows of one table, and all below them."""
    parts = [u32(len(rows))]
    for row in rows:
        parts += [_value(row.values[column]) for column in table.columns]
        parts += [encode(below, [hung for hung in row.below if hung.table == below.name]) for below in table.below]
    return b"".join(parts)


def decode(table: Table, reader: Reader) -> tuple[Row, ...]:
    """The reverse; DecodeError."""
    rows = []
    for _ in range(reader.integer("row count", 4)):
        values = {column: _read_value(reader) for column in table.columns}
        below = [row for hung in table.below for row in decode(hung, reader)]
        rows.append(Row(table.name, values, tuple(below)))
    return tuple(rows)


def _value(value: Value) -> bytes:
    match value:
        case None:
            return u8(0)
        case int():
            return u8(1) + u64(value + _SIGN)
        case bytes():
            return u8(2) + lp(value)
        case str():
            return u8(3) + lp(value.encode())


def _read_value(reader: Reader) -> Value:
    match reader.u8("kind", 3):
        case 0:
            return None
        case 1:
            return reader.u64("number") - _SIGN
        case 2:
            return reader.lp("bytes", MAX_FIELD)
        case _:
            return reader.text("text", MAX_FIELD)
