"""Deliveries by token, many at once: judged one after another, but read and written together. [R-10.2-4]

The most frequent command by far. Each statement costs the store's thread more than the work in it: it gives up the
interpreter, and waits to have it back from the thread that speaks with the clients. What is decided, by ``deposit`` and
in order, is as if each had come alone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, TypeVar

from troth_protocol.encoding import sha256
from troth_protocol.token import NONCE_SIZE, mailbox_hash
from troth_protocol.wire import Via
from troth_server import commands, deposit
from troth_server.commands import Deposited, Outcome, Queued
from troth_server.deposit import Epoch, Verdict

from .envelopes import unstored
from .mailboxes import NO_BOX
from .seals import SEAL_SIZE
from .transaction import Transaction

_AT_ONCE: Final = 64
"""Values in one question: a statement of fixed length is prepared once."""
_PIECES: Final = (64, 16, 4, 1)
"""Rows in one statement, the same way."""
_BOXES: Final = (
    "SELECT m.hash, m.number, m.queued, m.queued_bytes, m.last, e.number, e.key, e.expires, e.spent, e.seal"  # noqa: S608
    f" FROM mailboxes m JOIN epochs e ON e.mailbox = m.number WHERE m.hash IN ({', '.join('?' * _AT_ONCE)})"
)
_SPENT: Final = (
    f"WITH asked (epoch, nonce) AS (VALUES {', '.join(['(?, ?)'] * _AT_ONCE)})"  # noqa: S608
    " SELECT spent.epoch, spent.nonce, spent.envelope FROM asked CROSS JOIN spent USING (epoch, nonce)"
)
_NOBODY: Final = (0, b"")
_Value = TypeVar("_Value")


class _Epoch(NamedTuple):
    number: int
    key: bytes
    expires: int
    seal: bytes


class _Box:
    """A mailbox as it stands after what was judged so far."""

    __slots__ = ("epochs", "last", "number", "queued", "queued_bytes", "touched")

    def __init__(self, number: int, queued: int, queued_bytes: int, last: int) -> None:
        self.number, self.queued, self.queued_bytes, self.last = number, queued, queued_bytes, last
        self.epochs: list[_Epoch] = []
        self.touched = False


class _Batch:
    """What was read for a batch, and what is to be written."""

    def __init__(self, t: Transaction) -> None:
        self.t = t
        self.boxes: dict[bytes, _Box] = {}
        self.known: dict[tuple[int, bytes], bytes] = {}
        self.spent: dict[int, int] = {}
        self.new_nonces: list[tuple[int, bytes, bytes]] = []
        self.new_rows: list[tuple[int, int, int, int, bytes, bytes, bytes]] = []

    def read(self, asked: Sequence[tuple[bytes, commands.Deposit]]) -> None:
        """The mailboxes, their token keys, and which of the nonces are spent."""
        for part in _parts(sorted({mailbox for mailbox, _ in asked})):
            for mailbox, number, queued, size, last, *epoch in self.t.sql.execute(_BOXES, _filled(part, b"")):
                box = self.boxes.setdefault(mailbox, _Box(number, queued, size, last))
                box.epochs.append(_Epoch(epoch[0], epoch[1], epoch[2], epoch[4]))
                self.spent[epoch[0]] = epoch[3]
        pairs = {
            (epoch.number, command.token[:NONCE_SIZE])
            for mailbox, command in asked
            if mailbox in self.boxes
            for epoch in self.boxes[mailbox].epochs
        }
        for shown in _parts(sorted(pairs)):
            values = [value for pair in _filled(shown, _NOBODY) for value in pair]
            for epoch, nonce, envelope in self.t.sql.execute(_SPENT, values):
                self.known[epoch, nonce] = envelope

    def judge(self, mailbox: bytes, command: commands.Deposit) -> Outcome:
        """One delivery; the work is the same whether the mailbox is known or not."""
        t, nonce = self.t, command.token[:NONCE_SIZE]
        box = self.boxes.get(mailbox) or _Box(*NO_BOX)
        epochs = [
            Epoch(own.number, own.key, own.expires, self.spent[own.number], self.known.get((own.number, nonce)))
            for own in box.epochs
        ]
        queue = deposit.Queue(box.queued, box.queued_bytes)
        verdict, epoch = deposit.by_token(
            command.mailbox, command.token, command.envelope, epochs, queue, t.quotas, t.believed(command.now)
        )
        seal = next((own.seal for own in box.epochs if own.number == epoch.number), bytes(SEAL_SIZE))
        fits = t.seals.fits(seal, "epochs", (epoch.expires,), mailbox, epoch.key)  # one check, whatever was found
        if not fits and verdict is not Verdict.REFUSE:
            t.damaged += 1
            verdict = Verdict.REFUSE
        if verdict is Verdict.STORE:
            return Deposited(mailbox, self._store(box, epoch.number, mailbox, nonce, command))
        return unstored(verdict, mailbox)

    def _store(self, box: _Box, epoch: int, mailbox: bytes, nonce: bytes, command: commands.Deposit) -> Queued:
        box.touched = True
        box.queued += 1
        box.queued_bytes += len(command.envelope)
        box.last += 1
        row = Queued(box.last, Via.TOKEN, nonce + bytes(32 - NONCE_SIZE), command.envelope)
        digest = sha256(command.envelope)
        self.known[epoch, nonce] = digest
        self.spent[epoch] += 1
        self.new_nonces.append((epoch, nonce, digest))
        seal = self.t.seals.make("envelopes", (row.number, row.via), mailbox, row.mark, row.envelope)
        expires = command.now + self.t.quotas.retention
        self.new_rows.append((box.number, row.number, expires, row.via, row.mark, seal, row.envelope))
        return row

    def write(self) -> None:
        """Everything that was stored, and the counters as they now stand."""
        if not self.new_rows:
            return
        sql = self.t.sql
        _insert(sql, "spent", self.new_nonces)
        _insert(sql, "envelopes (mailbox, number, expires, via, mark, seal, envelope)", self.new_rows)
        spent = sorted({epoch for epoch, _, _ in self.new_nonces})
        _update(sql, "epochs", ("spent",), [(epoch, self.spent[epoch]) for epoch in spent])
        _update(
            sql,
            "mailboxes",
            ("queued", "queued_bytes", "last"),
            [(box.number, box.queued, box.queued_bytes, box.last) for box in self.boxes.values() if box.touched],
        )


def deposit_tokens(t: Transaction, asked: Sequence[commands.Deposit]) -> list[Outcome]:
    """Spend each token's nonce and queue its envelope, in order."""
    if not asked:
        return []
    named = [(mailbox_hash(command.mailbox), command) for command in asked]
    batch = _Batch(t)
    batch.read(named)
    outcomes = [batch.judge(mailbox, command) for mailbox, command in named]
    batch.write()
    return outcomes


def _pieces(rows: Sequence[Sequence[object]]) -> Iterator[tuple[str, list[object]]]:
    """Rows in pieces of lengths that are prepared once: their placeholders, their values."""
    at = 0
    for size in _PIECES:
        while len(rows) - at >= size:
            one = f"({', '.join('?' * len(rows[0]))})"
            yield ", ".join([one] * size), [value for row in rows[at : at + size] for value in row]
            at += size


def _insert(sql: sqlite3.Connection, into: str, rows: Sequence[Sequence[object]]) -> None:
    for places, values in _pieces(rows):
        sql.execute(f"INSERT INTO {into} VALUES {places}", values)  # noqa: S608


def _update(sql: sqlite3.Connection, table: str, columns: tuple[str, ...], rows: Sequence[Sequence[object]]) -> None:
    """Set the columns of the rows whose number stands first in each."""
    names = ", ".join(f"new_{column}" for column in columns)
    setting = ", ".join(f"{column} = new_{column}" for column in columns)
    for places, values in _pieces(rows):
        sql.execute(
            f"WITH new (at, {names}) AS (VALUES {places}) UPDATE {table} SET {setting} FROM new WHERE number = at",  # noqa: S608
            values,
        )


def _parts(values: Sequence[_Value]) -> Iterator[Sequence[_Value]]:
    for at in range(0, len(values), _AT_ONCE):
        yield values[at : at + _AT_ONCE]


def _filled(values: Sequence[_Value], blank: _Value) -> list[_Value]:
    """Exactly _AT_ONCE values, the last of them ``blank``, which nothing has."""
    return [*values, *[blank] * (_AT_ONCE - len(values))]
