"""One thread that carries out commands in groups: one transaction, one fsync, and only then the outcomes. [R-11.4-1]

If anything in a group fails, the group is rolled back and each of its commands is tried again in a transaction of its
own, so one command's failure is its own. On a full disk what only reads or deletes still works (``reserve``), and what
would add is answered STORAGE_FULL until there is room for the reserve again. After an input or output error nothing
more is tried: what the disk really holds is not known ("fsyncgate") until a restart reads it again. [R-11.7-1]
"""

from __future__ import annotations

import errno
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from troth_protocol.errors import StorageError
from troth_protocol.wire import Code
from troth_server import commands
from troth_server.blob_commands import FindBlob, RemoveBlob
from troth_server.commands import Command, CountHeld, Erase, Expire, Failed, Forget, LoadOwner, LoadQueue, Look, Outcome
from troth_server.limits import GROUP, ROOM_SECONDS

from . import Done, Fatal, Uptime
from .database import Database
from .transaction import Transaction

Begin: TypeAlias = Callable[[Database], Transaction]
Perform: TypeAlias = Callable[[Transaction, Sequence[Command]], list[Outcome]]
LetGo: TypeAlias = Callable[[Sequence[bytes]], None]
_Job: TypeAlias = tuple[Command, Done]

_UNTRUSTED: Final = frozenset(
    {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_READONLY}
)
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_FOR_NOW: Final = (*_FULL, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)
"""What passes; any other error of a file means that the disk cannot be trusted."""
_ADDS_NOTHING: Final = (Forget, Erase, Expire, LoadQueue, LoadOwner, CountHeld, Look, FindBlob, RemoveBlob)
_ALONE: Final = (Erase, Expire)
"""In transactions of their own: the number of a mailbox that is erased may be given out again after it."""


class Writer:
    """The database's only user; ``perform`` turns a group of commands into SQL inside the open transaction."""

    def __init__(
        self, database: Database, begin: Begin, perform: Perform, let_go: LetGo, on_fatal: Fatal, uptime: Uptime
    ) -> None:
        """``let_go`` is told, after each commit, which files no row names any more."""
        self._database = database
        self._begin = begin
        self._perform = perform
        self._let_go = let_go
        self._on_fatal = on_fatal
        self._uptime = uptime
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._dead = False
        self._full = False
        self._look_again = 0.0
        self._unfinished = False
        self._said: set[str] = set()
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
                if isinstance(job[0], _ALONE):
                    self._carry_out(jobs)
                    self._carry_out_alone(*job)
                    jobs = []
                else:
                    jobs.append(job)
                if len(jobs) == GROUP or self._jobs.empty():
                    break
                job = self._jobs.get_nowait()  # this thread is the only consumer
            open_ = job is not None
            self._carry_out(jobs)
        while not self._jobs.empty():  # an expiry that was not finished
            job = self._jobs.get_nowait()
            if job is not None:
                job[1](Failed(Code.UNAVAILABLE))
        self._database.close(clean=not self._dead)

    def _carry_out(self, jobs: Sequence[_Job]) -> None:
        if not jobs:
            return
        self._notice_room()
        outcomes = None if self._full else self._once([command for command, _ in jobs])
        if outcomes is None:
            outcomes = [self._alone(command) for command, _ in jobs]
        for (_, done), outcome in zip(jobs, outcomes, strict=True):
            done(outcome)
        self._tidy(self._database.tidy)

    def _carry_out_alone(self, command: Command, done: Done) -> None:
        """Portions until all is done. Of an expiry one at a time: other commands come between."""
        self._notice_room()
        outcome = self._alone(command)
        while self._unfinished and isinstance(command, Erase) and not isinstance(outcome, Failed):
            self._tidy(self._database.make_room if self._full else self._database.tidy)
            outcome = self._alone(command)
        if self._unfinished and not isinstance(outcome, Failed):
            self._tidy(self._database.tidy)
            self._jobs.put((command, done))
            return
        if isinstance(command, Expire):
            self._tidy(self._database.scrub)
        done(outcome)

    def _notice_room(self) -> None:
        """Whether the disk has room again, looked at once in ROOM_SECONDS."""
        if self._full and not self._dead and self._uptime() >= self._look_again:
            self._look_again = self._uptime() + ROOM_SECONDS
            self._tidy(self._take_room)

    def _take_room(self) -> None:
        self._full = not self._database.has_room()

    def _alone(self, command: Command) -> Outcome:
        """One command in its own transaction; on a full disk once more, if it adds nothing."""
        adds = not isinstance(command, _ADDS_NOTHING)
        if self._full and adds and not self._dead:
            return Failed(Code.STORAGE_FULL)
        outcome = self._single(command)
        if outcome != Failed(Code.STORAGE_FULL):
            return outcome
        if not self._full:
            self._look_again = self._uptime() + ROOM_SECONDS
        self._full = True
        self._tidy(self._database.make_room)
        if isinstance(command, Forget):
            return self._piecemeal(command)
        return outcome if adds else self._single(command)

    def _piecemeal(self, command: Forget) -> Outcome:
        """Delete one by one: overwriting takes room in the log. What a failure leaves is acknowledged again later."""
        outcome: Outcome = commands.Done()
        for number in command.numbers:
            outcome = self._single(Forget(command.mailbox, (number,)))
            if isinstance(outcome, Failed):
                break
            self._tidy(self._database.make_room)
        return outcome

    def _single(self, command: Command) -> Outcome:
        try:
            (outcome,) = self._transact([command])
        except Exception as error:  # whatever it was, the store goes on with the next command
            self._undo(error)
            kind = f"{type(error).__name__} {_primary(error)}"
            if kind not in self._said and not _is_full(error) and not self._dead:
                self._said.add(kind)
                logging.getLogger("troth.relay").error("the store failed, said once: %s", kind)  # noqa: TRY400
            return Failed(Code.STORAGE_FULL if _is_full(error) and not self._dead else Code.UNAVAILABLE)
        return outcome

    def _once(self, group: Sequence[Command]) -> list[Outcome] | None:
        """All in one transaction; None if that failed and nothing was changed."""
        try:
            return self._transact(group)
        except Exception as error:
            self._undo(error)
            return None

    def _transact(self, group: Sequence[Command]) -> list[Outcome]:
        """Slots of new mailboxes are filled before the commit, those of erased ones overwritten after it. [R-11.7-5]"""
        if self._dead:
            return [Failed(Code.UNAVAILABLE)] * len(group)
        sql = self._database.sql
        t = self._begin(self._database)
        sql.execute("BEGIN")
        outcomes = self._perform(t, group)
        if t.new:
            self._database.slots.fill(t.new)
        sql.execute("COMMIT")
        if t.loose:
            self._let_go(t.loose)
        if t.gone:
            try:
                self._database.slots.erase(t.gone)
            except (OSError, StorageError):
                self._give_up("a key slot could not be overwritten")
                return [Failed(Code.UNAVAILABLE)] * len(group)
        if t.damaged:
            logging.getLogger("troth.relay").warning("%d damaged rows were not used; check the disk", t.damaged)
        self._unfinished = t.unfinished
        return outcomes

    def _undo(self, error: Exception) -> None:
        """Roll back, and give up for good if the disk cannot be trusted."""
        if _primary(error) in _UNTRUSTED and not _is_full(error):
            self._give_up(f"SQLite error {_primary(error)}")
            return
        if isinstance(error, OSError) and error.errno not in _FOR_NOW:
            self._give_up(f"file error {error.errno}")
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
        except (OSError, sqlite3.Error) as error:
            self._undo(error)

    def distrust(self, reason: str) -> None:
        """Stop for good: the disk cannot be trusted; from any thread."""
        self._give_up(reason)

    def _give_up(self, reason: str) -> None:
        if not self._dead:
            self._dead = True
            self._on_fatal(reason)


def _primary(error: Exception) -> int:
    """SQLite's primary result code, or 0; an error raised by the Python module itself has none."""
    code = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF if isinstance(code, int) else 0


def _is_full(error: Exception) -> bool:
    """Whether the disk is full: also where SQLite has no room for the log's index."""
    if isinstance(error, OSError):
        return error.errno in _FULL
    whole = getattr(error, "sqlite_errorcode", 0)
    return _primary(error) == sqlite3.SQLITE_FULL or whole == sqlite3.SQLITE_IOERR_SHMSIZE
