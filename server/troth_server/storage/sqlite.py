"""The store on one machine: a SQLite file, one writer thread, and the table of what each command means in SQL.

Atomicity and fsync are ``writer``'s, the tables ``schema``'s, the statements ``mailboxes``' and ``envelopes``'.
"""

from __future__ import annotations

import queue
import sqlite3
from pathlib import Path

from troth_protocol.errors import StorageError
from troth_server import commands
from troth_server.limits import Quotas

from . import Done, Fatal, envelopes, mailboxes
from .schema import Database
from .writer import Writer


class SqliteStore:
    """A ``Store`` in one SQLite file."""

    __slots__ = ("_quotas", "_writer")

    def __init__(self, path: Path, quotas: Quotas, on_fatal: Fatal) -> None:
        """Open or create the file; StorageError."""
        self._quotas = quotas
        self._writer = Writer(Database(path), self._perform, on_fatal)

    def submit(self, command: commands.Command, done: Done) -> None:
        """Carry out ``command``, then call ``done`` on the store's thread."""
        self._writer.submit(command, done)

    def view(self, limit: int) -> tuple[commands.QueuedView, ...]:
        """What lies in the queues; waits for the answer."""
        answer: queue.SimpleQueue[commands.Outcome] = queue.SimpleQueue()
        self.submit(commands.Look(limit), answer.put)
        outcome = answer.get()
        if not isinstance(outcome, commands.Views):
            raise StorageError("the store cannot be read")
        return outcome.mailboxes

    def close(self) -> None:
        """Finish what was submitted and close the file."""
        self._writer.close()

    def _perform(self, sql: sqlite3.Connection, command: commands.Command) -> commands.Outcome:
        """One command inside the open transaction; the most frequent first."""
        match command:
            case commands.Deposit():
                return envelopes.deposit_token(sql, command, self._quotas)
            case commands.LoadQueue():
                return envelopes.load(sql, command)
            case commands.Forget():
                return envelopes.forget(sql, command)
            case commands.LoadOwner():
                return mailboxes.owner(sql, command)
            case commands.DepositFirst():
                return envelopes.deposit_first(sql, command, self._quotas)
            case commands.DepositSpare():
                return envelopes.deposit_spare(sql, command, self._quotas)
            case commands.TakeBundle():
                return mailboxes.take_bundle(sql, command)
            case commands.CountHeld():
                return mailboxes.count(sql, command)
            case commands.PutLeaves():
                return mailboxes.put_leaves(sql, command)
            case commands.PutBundle():
                return mailboxes.put_bundle(sql, command, self._quotas)
            case commands.RemoveBundle():
                return mailboxes.remove_bundle(sql, command)
            case commands.ChangeSpares():
                return mailboxes.change_spares(sql, command, self._quotas)
            case commands.AddEpoch():
                return mailboxes.add_epoch(sql, command)
            case commands.CreateMailbox():
                return mailboxes.create(sql, command)
            case commands.Expire():
                return envelopes.expire(sql, command)
            case commands.Look():
                return envelopes.look(sql, command)
