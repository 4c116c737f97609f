"""A store in a process of its own that ends without warning: at a step the test names, or when it is killed.

The steps are patched into the child alone; the product has no hook. What the child was told (acknowledged) it writes
to a pipe before it goes on, so the test knows what must be there afterwards.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

from server import disk
from server.relay_files import opened
from server.talk import NOW, Box, ask
from troth_protocol import ownership
from troth_server import commands, shred
from troth_server.limits import EPOCH_AHEAD
from troth_server.storage import reserve, startup
from troth_server.storage.writer import Writer

BOX: Final = Box(b"m" * 32, b"s" * 32, b"k" * 32)
GONE: Final = Box(b"g" * 32, b"s" * 32, b"k" * 32)

Die: TypeAlias = Callable[[], None]
Patch: TypeAlias = Callable[[Die], None]
When: TypeAlias = Callable[[object, str, Die], None]
Say: TypeAlias = Callable[[str], None]
Life: TypeAlias = Callable[[Path, Say], None]


def before(where: object, name: str, die: Die) -> None:
    """End at the call of a method."""
    original = getattr(where, name)

    def replaced(*args: object, **kwargs: object) -> object:
        die()
        return original(*args, **kwargs)

    setattr(where, name, replaced)


def after(where: object, name: str, die: Die) -> None:
    """End when a method has returned."""
    original = getattr(where, name)

    def replaced(*args: object, **kwargs: object) -> object:
        result = original(*args, **kwargs)
        die()
        return result

    setattr(where, name, replaced)


def statement(fragment: str, when: When) -> Patch:
    """End before, or after, an SQL statement that contains ``fragment``: ``when`` is ``before`` or ``after``."""

    def patch(die: Die) -> None:
        original = sqlite3.connect

        class Connection(sqlite3.Connection):
            def execute(self, sql: str, *args: object) -> object:  # type: ignore[override]
                return self._carry_out(super().execute, sql, args)

            def executemany(self, sql: str, *args: object) -> object:  # type: ignore[override]
                return self._carry_out(super().executemany, sql, args)

            def _carry_out(self, run: Callable[..., object], sql: str, args: tuple[object, ...]) -> object:
                if when is before and fragment in sql:
                    die()
                result = run(sql, *args)
                if when is after and fragment in sql:
                    die()
                return result

        def connect(*args: object, **kwargs: object) -> object:
            return original(*args, **kwargs, factory=Connection)  # type: ignore[call-overload]

        sqlite3.connect = connect  # type: ignore[assignment]

    return patch


def at(where: object, name: str, when: When) -> Patch:
    return lambda die: when(where, name, die)


POINTS: Final[dict[str, Patch]] = {
    "before the start is checked": at(startup, "check", before),
    "before a key slot is filled": at(shred.Slots, "fill", before),
    "between a key slot and the commit of its mailbox": at(shred.Slots, "fill", after),
    "before a commit": statement("COMMIT", before),
    "between a commit and its answers": statement("COMMIT", after),
    "between spending a token and queueing": statement("INSERT INTO envelopes", before),
    "between queueing and counting": statement("UPDATE mailboxes SET queued = new", before),
    "between deleting and counting": statement("UPDATE mailboxes SET queued = max", before),
    "before an envelope is deleted": statement("DELETE FROM envelopes", before),
    "between erasing a mailbox and its key slot": at(shred.Slots, "erase", before),
    "between a key slot's end and the answer": at(shred.Slots, "erase", after),
    "before a checkpoint": statement("PRAGMA wal_checkpoint(RESTART)", before),
    "between a checkpoint and blanking": statement("PRAGMA wal_checkpoint(RESTART)", after),
    "before the wiped log is truncated": statement("PRAGMA wal_checkpoint(TRUNCATE)", before),
    "after the log is truncated": statement("PRAGMA wal_checkpoint(TRUNCATE)", after),
    "before the reserve is taken": at(reserve.Reserve, "_take", before),
    "between the database's generation and the slots'": at(shred.Slots, "advance", before),
    "between the slots' generation and the database's": at(shred.Slots, "advance", after),
    "before the stop is noted": at(shred.Slots, "mark", before),
    "after the stop is noted": at(shred.Slots, "mark", after),
    "before the answers of a group": at(Writer, "_transact", after),
}
"""Every place between two steps; the statement that comes first is meant."""


def live(folder: Path, say: Say) -> None:
    """In the child: do a little of everything and say what was acknowledged."""

    def create(box: Box) -> bool:
        return isinstance(
            ask(store, commands.CreateMailbox(box.hash, ownership.stored(box.secret), box.key, NOW + EPOCH_AHEAD, NOW)),
            commands.Done,
        )

    store = opened(folder)
    say("open")
    for box, name in ((BOX, "box"), (GONE, "gone")):
        if create(box):
            say(name)
    for number in range(1, 9):
        if isinstance(disk.send(store, BOX, number), commands.Deposited):
            say(f"sent {number}")
        if number == 4:
            disk.send(store, GONE, 99)
            for row in disk.page(store, BOX).rows[:2]:
                say(f"acknowledging {int.from_bytes(row.envelope[15:19], 'big')}")
                if ask(store, commands.Forget(BOX.hash, (row.number,))) == commands.Done():
                    say(f"acknowledged {int.from_bytes(row.envelope[15:19], 'big')}")
            if ask(store, commands.Erase(GONE.hash)) == commands.Done():
                say("erased")
            ask(store, commands.Expire(NOW))
            say("swept")
    store.close()
    say("closed")


def run(folder: Path, skip: int, point: Patch, life: Life = live) -> tuple[int, list[str]]:
    """A child that ends at the ``skip``-th passing of ``point``: its exit code and what it was told before."""
    reading, told = os.pipe()
    child = os.fork()
    if not child:
        left = skip

        def die() -> None:
            nonlocal left
            left -= 1
            if left < 0:
                os._exit(9)

        def say(word: str) -> None:
            os.write(told, word.encode() + b"\n")

        try:
            point(die)
            life(folder, say)
            os._exit(0)
        finally:
            os._exit(7)
    os.close(told)
    with os.fdopen(reading) as said:
        words = said.read().splitlines()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), words


def numbers(words: list[str], what: str) -> list[int]:
    """Of which envelopes the child said this, in order."""
    return [int(word.rpartition(" ")[2]) for word in words if word.startswith(f"{what} ")]
