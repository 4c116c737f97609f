"""The store on one machine: a SQLite file, one writer thread, and the table of what each command means in SQL.

Atomicity and fsync are ``writer``'s, the file ``database``'s, the tables ``schema``'s, the statements those of
``mailboxes``, ``cards``, ``deposits``, ``envelopes``, ``blob_rows`` and ``expiry``; what is in blobs passes a thread of
its own, ``blobs``.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from troth_protocol.errors import StorageError
from troth_server import blob_commands, commands
from troth_server.limits import Quotas, hour

from . import Done, Fatal, Uptime, blob_rows, cards, deposits, envelopes, expiry, mailboxes, startup, viewed
from .blob_files import FOLDER, BlobFiles
from .blobs import Blobs
from .clock import UNKNOWN, Reckoning
from .database import Database
from .transaction import Transaction
from .writer import Writer


class SqliteStore:
    """A ``Store`` in one SQLite file."""

    __slots__ = ("_blobs", "_ceiling", "_looked", "_quotas", "_time", "_uptime", "_writer")

    def __init__(self, path: Path, quotas: Quotas, on_fatal: Fatal, uptime: Uptime, *, accept_loss: bool) -> None:
        """Open or create the file; StorageError, UserError."""
        self._quotas = quotas
        self._uptime = uptime
        self._looked: float | None = None
        self._ceiling = UNKNOWN
        database = Database(path, accept_loss=accept_loss)
        self._time = Reckoning(*database.sql.execute("SELECT acted, awake FROM relay").fetchone())
        try:
            files = BlobFiles(path.with_name(FOLDER), database.seals, quotas.blobs)
        except StorageError:
            database.close()
            raise
        try:
            left = self._reconcile(database, files)
        except StorageError:
            files.close()
            database.close()
            raise
        self._writer = Writer(database, self._begin, self._group, self._let_go, on_fatal, uptime)
        self._blobs = Blobs(files, self._writer.submit, self._writer.distrust, uptime, os.urandom)
        self._blobs.let_go(left)

    def submit(self, command: commands.Command, done: Done) -> None:
        """Carry out ``command``, then call ``done`` on the store's thread."""
        if isinstance(command, blob_commands.PutBlob | blob_commands.ReadBlob | blob_commands.RemoveBlob):
            self._blobs.submit(command, done)
        else:
            self._writer.submit(command, done)

    def view(self, limit: int) -> tuple[commands.QueuedView, ...]:
        """What lies in the queues; waits for the answer."""
        return viewed(self, limit)

    def close(self) -> None:
        """Finish what was submitted and close the file."""
        self._blobs.close()
        self._writer.close()
        self._blobs.end()

    def _let_go(self, names: Sequence[bytes]) -> None:
        self._blobs.let_go(names)

    def _reconcile(self, database: Database, files: BlobFiles) -> list[bytes]:
        """Rows and files as a crash may have left them: which files are to go. StorageError. [R-11.9-7]"""
        try:
            sizes = files.sizes()
            t = self._begin(database)
            database.sql.execute("BEGIN")
            kept = blob_rows.kept(t, sizes)
            database.sql.execute("COMMIT")
            for name, size in kept.items():
                if sizes.get(name, 0) > size:
                    files.cut(name, size)
        except sqlite3.Error as error:
            raise startup.failure(error) from None
        except OSError as error:
            raise StorageError(f"the folder of blobs cannot be read: {error.strerror}") from None
        if t.damaged:
            logging.getLogger("troth.relay").warning("%d damaged blobs were dropped; check the disk", t.damaged)
        return [name for name in sizes if name not in kept]

    def _begin(self, database: Database) -> Transaction:
        return Transaction(database.sql, database.seals, self._quotas, self._ceiling)

    def _expire(self, t: Transaction, command: commands.Expire) -> commands.Outcome:
        """The only command that moves ``clock``'s reckoning; on disk whenever its hour changes."""
        now, before = self._uptime(), self._time
        time = before.follow(command.now, None if self._looked is None else now - self._looked)
        if (hour(time.acted), time.awake) != (hour(before.acted), before.awake) or self._looked is None:
            t.sql.execute("UPDATE relay SET acted = ?, awake = ?", (time.acted, time.awake))
        outcome = expiry.expire(t, command, time)
        self._looked, self._time, self._ceiling = now, time, time.ceiling
        return outcome

    def _group(self, t: Transaction, group: Sequence[commands.Command]) -> list[commands.Outcome]:
        """Commands in their order inside the open transaction; deliveries that stand together are one."""
        outcomes: list[commands.Outcome] = []
        waiting: list[commands.Deposit] = []
        for command in group:
            if isinstance(command, commands.Deposit):
                waiting.append(command)
                continue
            outcomes += deposits.deposit_tokens(t, waiting)
            outcomes.append(self._perform(t, command))
            waiting = []
        return outcomes + deposits.deposit_tokens(t, waiting)

    def _perform(self, t: Transaction, command: commands.Single) -> commands.Outcome:
        """One command that is no delivery by token; the most frequent first."""
        match command:
            case commands.LoadQueue():
                return envelopes.load(t, command)
            case commands.Forget():
                return envelopes.forget(t, command)
            case commands.LoadOwner():
                return mailboxes.owner(t, command)
            case commands.DepositFirst():
                return envelopes.deposit_first(t, command)
            case commands.DepositSpare():
                return envelopes.deposit_spare(t, command)
            case commands.TakeBundle():
                return cards.take_bundle(t, command)
            case commands.CountHeld():
                return mailboxes.count(t, command)
            case commands.PutLeaves():
                return cards.put_leaves(t, command)
            case commands.PutBundle():
                return cards.put_bundle(t, command)
            case commands.RemoveBundle():
                return cards.remove_bundle(t, command)
            case commands.ChangeSpares():
                return mailboxes.change_spares(t, command)
            case commands.RefuseNonces():
                return envelopes.refuse(t, command)
            case commands.AddEpoch():
                return mailboxes.add_epoch(t, command)
            case commands.CreateMailbox():
                return mailboxes.create(t, command)
            case commands.Erase():
                return expiry.erase(t, command)
            case commands.Expire():
                return self._expire(t, command)
            case commands.Look():
                return envelopes.look(t, command)
            case blob_commands.FindBlob():
                return blob_rows.locate(t, command)
            case blob_commands.ClaimBlob():
                return blob_rows.claim(t, command)
            case blob_commands.AdvanceBlob():
                return blob_rows.advance(t, command)
            case blob_commands.RemoveBlob():
                return blob_rows.remove(t, command)
            case blob_commands.PutBlob() | blob_commands.ReadBlob():
                raise TypeError("contents are the second thread's")
