"""One thread that carries out commands in groups: one transaction, one fsync, and only then the outcomes. [R-11.4-1]

If anything in a group fails, the group is rolled back and each of its commands is tried again in a transaction of its
own, so one command's failure is its own. On a full disk what only reads or deletes still works (``reserve``), and what
would add is answered STORAGE_FULL until there is room for the reserve again. After an input or output error nothing
more is tried: what the disk really holds is not known ("fsyncgate") until a restart reads it again.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from troth_protocol.wire import Code
from troth_server import commands
from troth_server.commands import Command, CountHeld, Expire, Failed, Forget, LoadOwner, LoadQueue, Look, Outcome
from troth_server.limits import GROUP

from . import Done, Fatal
from .schema import Database

Perform: TypeAlias = Callable[[sqlite3.Connection, Command], Outcome]
_Job: TypeAlias = tuple[Command, Done]

_UNTRUSTED: Final = frozenset(
    {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_READONLY}
)

_ADDS_NOTHING: Final = (Forget, Expire, LoadQueue, LoadOwner, CountHeld, Look)


class Writer:
    """The database's only user; ``perform`` turns one command into SQL inside the open transaction."""

    def __init__(self, database: Database, perform: Perform, on_fatal: Fatal) -> None:
        self._database = database
        self._perform = perform
        self._on_fatal = on_fatal
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._dead = False
        self._full = False
        self._thread = threading.Thread(target=self._run, name="troth-store", daemon=True)
        self._thread.start()

    def submit(self, command: Command, done: Done) -> None:
        """Queue a command; from any thread."""
        self._jobs.put((command, done))

    def close(self) -> None:
        """Finish what is queued, then stop and close the database."""
        if self._thread.is_alive():
            self._jobs.put(None)
            self._thread.join()

    def _run(self) -> None:
        open_ = True
        while open_:
            jobs: list[_Job] = []
            job = self._jobs.get()
            while job is not None:
                jobs.append(job)
                if len(jobs) == GROUP or self._jobs.empty():
                    break
                job = self._jobs.get_nowait()  # this thread is the only consumer
            open_ = job is not None
            if jobs:
                self._carry_out(jobs)
        self._database.close()

    def _carry_out(self, jobs: Sequence[_Job]) -> None:
        self._full = self._full and not self._database.has_room()
        outcomes = None if self._full else self._group([command for command, _ in jobs])
        if outcomes is None:
            outcomes = [self._alone(command) for command, _ in jobs]
        for (command, done), outcome in zip(jobs, outcomes, strict=True):
            if isinstance(command, Expire):
                self._tidy(self._database.scrub)
            done(outcome)

    def _group(self, group: Sequence[Command]) -> list[Outcome] | None:
        """All in one transaction; None if that failed and nothing was changed."""
        if self._dead:
            return [Failed(Code.UNAVAILABLE)] * len(group)
        sql = self._database.sql
        try:
            sql.execute("BEGIN")
            outcomes = [self._perform(sql, command) for command in group]
            sql.execute("COMMIT")
        except Exception as error:  # whatever it was, the store goes on with the next command
            self._undo(error)
            return None
        return outcomes

    def _alone(self, command: Command) -> Outcome:
        """One command in its own transaction; on a full disk once more, if it adds nothing."""
        outcome = self._once(command)
        if outcome != Failed(Code.STORAGE_FULL):
            return outcome
        self._full = True
        self._tidy(self._database.make_room)
        if isinstance(command, Forget):
            return self._piecemeal(command)
        return self._once(command) if isinstance(command, _ADDS_NOTHING) else outcome

    def _piecemeal(self, command: Forget) -> Outcome:
        """Delete one by one: overwriting takes room in the log. What a failure leaves is acknowledged again later."""
        outcome: Outcome = commands.Done()
        for number in command.numbers:
            outcome = self._once(Forget(command.mailbox, (number,)))
            if isinstance(outcome, Failed):
                break
            self._tidy(self._database.make_room)
        return outcome

    def _once(self, command: Command) -> Outcome:
        if self._dead:
            return Failed(Code.UNAVAILABLE)
        if self._full and not isinstance(command, _ADDS_NOTHING):
            return Failed(Code.STORAGE_FULL)
        sql = self._database.sql
        try:
            sql.execute("BEGIN")
            outcome = self._perform(sql, command)
            sql.execute("COMMIT")
        except Exception as error:
            self._undo(error)
            return Failed(Code.STORAGE_FULL if _primary(error) == sqlite3.SQLITE_FULL else Code.UNAVAILABLE)
        return outcome

    def _undo(self, error: Exception) -> None:
        """Roll back, and give up for good if the disk cannot be trusted."""
        if _primary(error) in _UNTRUSTED:
            self._give_up(f"SQLite error {_primary(error)}")
            return
        try:
            if self._database.sql.in_transaction:
                self._database.sql.execute("ROLLBACK")
        except sqlite3.Error:
            self._give_up("a transaction could not be rolled back")

    def _tidy(self, work: Callable[[], None]) -> None:
        """Work on the files between transactions; a full disk may stop it, an error of the disk ends all."""
        if self._dead:
            return
        try:
            work()
        except OSError as error:
            self._give_up(f"file error {error.errno}")
        except sqlite3.Error as error:
            self._undo(error)

    def _give_up(self, reason: str) -> None:
        if not self._dead:
            self._dead = True
            self._on_fatal(reason)


def _primary(error: Exception) -> int:
    """SQLite's primary result code, or 0; an error raised by the Python module itself has none."""
    code = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF if isinstance(code, int) else 0
