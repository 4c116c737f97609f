"""A mailbox and what its owner leaves at the relay: token keys, bundles under lookup ids, one-time leaves, spares.

Each function is one command inside an open transaction. It reads first and writes last, and keeps nothing in Python, so
it can be run again after a rollback.
"""

from __future__ import annotations

import hmac
import sqlite3
from typing import Final, NamedTuple

from troth_protocol.wire import ENVELOPES_PER_USE
from troth_server import commands, deposit
from troth_server.commands import Done, Full, Outcome, Refused, Rejected
from troth_server.limits import Quotas, hour

_FETCHES_PER_USE: Final = 8
"""How often one use of a card, or a spare in 24 hours, pays for reading the bundle: retries after a lost answer."""


class Box(NamedTuple):
    """A row of ``mailboxes``: its number, how much is queued, and the last envelope number it gave out."""

    number: int
    queued: int
    queued_bytes: int
    last: int

    @property
    def queue(self) -> deposit.Queue:
        """How full the mailbox is."""
        return deposit.Queue(self.queued, self.queued_bytes)


NO_BOX: Final = Box(0, 0, 0, 0)
"""Asked about in place of a mailbox that is not there: no row has the number 0, and the work is the same."""


def find(sql: sqlite3.Connection, mailbox: bytes) -> Box:
    """The mailbox with this hash, or NO_BOX."""
    row = sql.execute("SELECT number, queued, queued_bytes, last FROM mailboxes WHERE hash = ?", (mailbox,)).fetchone()
    return NO_BOX if row is None else Box(*row)


def create(sql: sqlite3.Connection, command: commands.CreateMailbox) -> Outcome:
    """A new mailbox with its first token key; the very same request again is Done again."""
    row = sql.execute("SELECT number, stored FROM mailboxes WHERE hash = ?", (command.mailbox,)).fetchone()
    if row is not None:
        key = sql.execute("SELECT 1 FROM epochs WHERE mailbox = ? AND key = ?", (row[0], command.key)).fetchone()
        return Done() if key is not None and hmac.compare_digest(row[1], command.stored) else Refused()
    number = sql.execute(
        "INSERT INTO mailboxes (hash, stored, created) VALUES (?, ?, ?)",
        (command.mailbox, command.stored, hour(command.now)),
    ).lastrowid
    sql.execute("INSERT INTO epochs (mailbox, key, expires) VALUES (?, ?, ?)", (number, command.key, command.expires))
    return Done()


def owner(sql: sqlite3.Connection, command: commands.LoadOwner) -> Outcome:
    """The owner's stored hash, or None."""
    row = sql.execute("SELECT stored FROM mailboxes WHERE hash = ?", (command.mailbox,)).fetchone()
    return commands.OwnerKey(None if row is None else row[0])


def add_epoch(sql: sqlite3.Connection, command: commands.AddEpoch) -> Outcome:
    """A new token key; only the newest two stay. A key that is there already is left as it is. [R-10.2-3]"""
    box = find(sql, command.mailbox)
    if box is NO_BOX:
        return Refused()
    sql.execute(
        "INSERT INTO epochs (mailbox, key, expires) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (box.number, command.key, command.expires),
    )
    sql.execute(
        "DELETE FROM epochs WHERE mailbox = ?1 AND number NOT IN"
        " (SELECT number FROM epochs WHERE mailbox = ?1 ORDER BY number DESC LIMIT ?2)",
        (box.number, deposit.LIVE_EPOCHS),
    )
    return Done()


def put_bundle(sql: sqlite3.Connection, command: commands.PutBundle, quotas: Quotas) -> Outcome:
    """Publish or replace; the counters start again only with a new capability. [R-10.4-1]"""
    box = find(sql, command.mailbox)
    row = sql.execute("SELECT number, mailbox, capability FROM lookups WHERE hash = ?", (command.lookup,)).fetchone()
    if box is NO_BOX or (row is not None and row[1] != box.number):
        return Refused()
    if row is not None and hmac.compare_digest(row[2], command.capability):
        sql.execute(
            "UPDATE lookups SET batch = ?, bundle = ? WHERE number = ?", (command.batch, command.bundle, row[0])
        )
        return Done()
    cards = sql.execute("SELECT count(*) FROM lookups WHERE mailbox = ?", (box.number,)).fetchone()[0]
    if row is None and cards >= quotas.cards:
        return Full()
    if row is not None:
        sql.execute("DELETE FROM lookups WHERE number = ?", (row[0],))
    uses = command.uses
    sql.execute(
        "INSERT INTO lookups (hash, mailbox, capability, leaves_left, envelopes_left, fetches_left, batch, bundle)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            command.lookup, box.number, command.capability, uses, uses * ENVELOPES_PER_USE, uses * _FETCHES_PER_USE,
            command.batch, command.bundle,
        ),
    )  # fmt: skip
    return Done()


def remove_bundle(sql: sqlite3.Connection, command: commands.RemoveBundle) -> Outcome:
    """Revoke a card: one's own; somebody else's is not there, as far as this mailbox is told."""
    box = find(sql, command.mailbox)
    sql.execute("DELETE FROM lookups WHERE hash = ? AND mailbox = ?", (command.lookup, box.number))
    return Done()


def take_bundle(sql: sqlite3.Connection, command: commands.TakeBundle) -> Outcome:
    """A bundle for a card's capability or a spare's; a leaf is handed out once and never again. [R-10.4-3]"""
    row = sql.execute(
        "SELECT number, mailbox, capability, leaves_left, fetches_left, batch, bundle FROM lookups WHERE hash = ?",
        (command.lookup,),
    ).fetchone()
    number, box, capability, leaves_left, fetches_left, batch, bundle = row or (0, 0, bytes(32), 0, 0, b"", b"")
    spare = sql.execute(
        "SELECT fetched, fetches FROM spares WHERE mailbox = ? AND hash = ?", (box, command.capability)
    ).fetchone()
    if hmac.compare_digest(capability, command.capability) and fetches_left > 0:
        leaf = _take_leaf(sql, box, batch) if leaves_left > 0 else None
        sql.execute(
            "UPDATE lookups SET fetches_left = fetches_left - 1, leaves_left = leaves_left - ? WHERE number = ?",
            (int(leaf is not None), number),
        )
        return commands.Taken(bundle, leaf)
    if spare is None:
        return Refused()
    new_day = deposit.rested(spare[0], command.now)
    if not new_day and spare[1] >= _FETCHES_PER_USE:
        return Refused()
    leaf = _take_leaf(sql, box, batch) if new_day else None
    sql.execute(
        "UPDATE spares SET fetched = ?, fetches = ? WHERE mailbox = ? AND hash = ?",
        (hour(command.now) if new_day else spare[0], 1 if new_day else spare[1] + 1, box, command.capability),
    )
    return commands.Taken(bundle, leaf)


def _take_leaf(sql: sqlite3.Connection, box: int, batch: bytes) -> bytes | None:
    """The first leaf left of the bundle's own batch. Its row stays, empty, so that none comes back. [R-11.3-2]"""
    row = sql.execute(
        "SELECT position, leaf FROM leaves JOIN mailboxes ON number = mailbox"
        " WHERE mailbox = ? AND batch = ? AND leaf IS NOT NULL ORDER BY position LIMIT 1",
        (box, batch),
    ).fetchone()
    if row is None:
        return None
    sql.execute("UPDATE leaves SET leaf = NULL WHERE mailbox = ? AND position = ?", (box, row[0]))
    leaf: bytes = row[1]
    return leaf


def put_leaves(sql: sqlite3.Connection, command: commands.PutLeaves) -> Outcome:
    """Add leaves; a new batch id drops the old batch. The same leaf again is Done, another in its place Rejected."""
    row = sql.execute("SELECT number, batch FROM mailboxes WHERE hash = ?", (command.mailbox,)).fetchone()
    if row is None:
        return Refused()
    number, batch = row
    here: dict[int, bytes | None] = {}
    if batch == command.batch:
        here = dict(sql.execute("SELECT position, leaf FROM leaves WHERE mailbox = ?", (number,)))
    if any(here.get(leaf[0]) not in (None, leaf) for leaf in command.leaves):
        return Rejected()
    if batch != command.batch:
        sql.execute("DELETE FROM leaves WHERE mailbox = ?", (number,))
        sql.execute("UPDATE mailboxes SET batch = ? WHERE number = ?", (command.batch, number))
    sql.executemany(
        "INSERT INTO leaves (mailbox, position, leaf) VALUES (?, ?, ?)",
        [(number, leaf[0], leaf) for leaf in command.leaves if leaf[0] not in here],
    )
    return Done()


def count(sql: sqlite3.Connection, command: commands.CountHeld) -> Outcome:
    """Leaves left and envelopes queued."""
    box = find(sql, command.mailbox)
    if box is NO_BOX:
        return Refused()
    leaves = sql.execute(
        "SELECT count(*) FROM leaves WHERE mailbox = ? AND leaf IS NOT NULL", (box.number,)
    ).fetchone()[0]
    return commands.Held(leaves, box.queued)


def change_spares(sql: sqlite3.Connection, command: commands.ChangeSpares, quotas: Quotas) -> Outcome:
    """Revoke, then register; one that is registered already keeps its record of use. [R-10.3-3]"""
    box = find(sql, command.mailbox)
    if box is NO_BOX:
        return Refused()
    here = {row[0] for row in sql.execute("SELECT hash FROM spares WHERE mailbox = ?", (box.number,))}
    if len((here - set(command.remove)) | set(command.add)) > quotas.spares:
        return Full()
    sql.executemany(
        "DELETE FROM spares WHERE mailbox = ? AND hash = ?", [(box.number, spare) for spare in command.remove]
    )
    sql.executemany(
        "INSERT INTO spares (mailbox, hash) VALUES (?, ?) ON CONFLICT DO NOTHING",
        [(box.number, spare) for spare in command.add],
    )
    return Done()
