"""A mailbox: its owner's stored hash, token keys and spares. How its rows are found, written and sealed.

Each public function but the last four is one command inside an open transaction. It reads first and writes last, and
keeps nothing in Python, so it can be run again after a rollback. A row whose seal does not fit is treated as not there:
the answer is the one for unknown, so damage tells a stranger nothing. [R-11.7-3]
"""

from __future__ import annotations

import hmac
from typing import Final, NamedTuple

from troth_server import commands, deposit
from troth_server.commands import Done, Full, Outcome, Refused, Uninvited
from troth_server.limits import DAY, hour

from .transaction import Transaction


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


class Home(NamedTuple):
    """The sealed part of a row of ``mailboxes``."""

    number: int
    stored: bytes
    created: int
    active: int
    batch: bytes


def create(t: Transaction, command: commands.CreateMailbox) -> Outcome:
    """A new mailbox with its first token key; the very same request again is Done again."""
    row = t.sql.execute("SELECT number, stored FROM mailboxes WHERE hash = ?", (command.mailbox,)).fetchone()
    if row is not None:
        key = t.sql.execute("SELECT 1 FROM epochs WHERE mailbox = ? AND key = ?", (row[0], command.key)).fetchone()
        same = key is not None and hmac.compare_digest(row[1], command.stored) and home(t, command.mailbox) is not None
        return Done() if same else Refused()
    if command.ticket is not None and not _admit(t, command.ticket):
        return Uninvited()
    number = t.sql.execute("SELECT coalesce(max(number), 0) + 1 FROM mailboxes").fetchone()[0]
    at = hour(command.now)
    t.sql.execute(
        "INSERT INTO mailboxes (number, hash, stored, created, active, seal) VALUES (?, ?, ?, ?, ?, x'')",
        (number, command.mailbox, command.stored, at, at),
    )
    settle(t, command.mailbox, Home(number, command.stored, at, at, b""))
    _put_epoch(t, number, command.mailbox, command.key, command.expires)
    t.new.append(number)
    return Done()


def _admit(t: Transaction, ticket: commands.Ticket) -> bool:
    """Spend a use of an invitation; not which mailbox it is for. [R-11.3-3]"""
    row = t.sql.execute("SELECT used FROM invites WHERE hash = ?", (ticket.hash,)).fetchone()
    if (0 if row is None else row[0]) >= ticket.uses:
        return False
    t.sql.execute(
        "INSERT INTO invites (hash, used, expires) VALUES (?, 1, ?) ON CONFLICT DO UPDATE SET used = used + 1",
        (ticket.hash, ticket.expires),
    )
    return True


def owner(t: Transaction, command: commands.LoadOwner) -> Outcome:
    """The owner's stored hash, or None."""
    found = home(t, command.mailbox)
    return commands.OwnerKey(None if found is None else found.stored)


def add_epoch(t: Transaction, command: commands.AddEpoch) -> Outcome:
    """A new token key; only the newest two stay. A key that is there already is left as it is. [R-10.2-3]"""
    box = find(t, command.mailbox)
    if box is NO_BOX:
        return Refused()
    _put_epoch(t, box.number, command.mailbox, command.key, command.expires)
    t.sql.execute(
        "DELETE FROM epochs WHERE mailbox = ?1 AND number NOT IN"
        " (SELECT number FROM epochs WHERE mailbox = ?1 ORDER BY number DESC LIMIT ?2)",
        (box.number, deposit.LIVE_EPOCHS),
    )
    return Done()


def _put_epoch(t: Transaction, number: int, mailbox: bytes, key: bytes, expires: int) -> None:
    t.sql.execute(
        "INSERT INTO epochs (mailbox, key, expires, seal) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (number, key, expires, t.seals.make("epochs", (expires,), mailbox, key)),
    )


def count(t: Transaction, command: commands.CountHeld) -> Outcome:
    """Leaves left and envelopes queued."""
    box = find(t, command.mailbox)
    if box is NO_BOX:
        return Refused()
    leaves = t.sql.execute(
        "SELECT count(*) FROM leaves WHERE mailbox = ? AND leaf IS NOT NULL", (box.number,)
    ).fetchone()[0]
    return commands.Held(leaves, box.queued)


def change_spares(t: Transaction, command: commands.ChangeSpares) -> Outcome:
    """Revoke, then register; one that is registered already keeps its record of use. [R-10.3-3]"""
    box = find(t, command.mailbox)
    if box is NO_BOX:
        return Refused()
    here = {row[0] for row in t.sql.execute("SELECT hash FROM spares WHERE mailbox = ?", (box.number,))}
    if len((here - set(command.remove)) | set(command.add)) > t.quotas.spares:
        return Full()
    t.sql.executemany(
        "DELETE FROM spares WHERE mailbox = ? AND hash = ?", [(box.number, spare) for spare in command.remove]
    )
    t.sql.executemany(
        "INSERT INTO spares (mailbox, hash, seal) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        [(box.number, spare, spare_seal(t, command.mailbox, spare, Spare())) for spare in command.add],
    )
    return Done()


class Spare(NamedTuple):
    """The sealed part of a row of ``spares``: its uses for an envelope and for a bundle."""

    used: int = 0
    nonce: bytes = b""
    envelope: bytes = b""
    fetched: int = 0
    fetches: int = 0


def spare_seal(t: Transaction, mailbox: bytes, spare: bytes, row: Spare) -> bytes:
    """The seal of a spare's row."""
    return t.seals.make("spares", (row.used, row.fetched, row.fetches), mailbox, spare, row.nonce, row.envelope)


def find_spare(t: Transaction, box: int, mailbox: bytes, spare: bytes) -> Spare | None:
    """A spare of the mailbox with this number and hash."""
    found = t.sql.execute(
        "SELECT used, nonce, envelope, fetched, fetches, seal FROM spares WHERE mailbox = ? AND hash = ?", (box, spare)
    ).fetchone()
    if found is None:
        return None
    row, seal = Spare(*found[:-1]), found[-1]
    numbers = (row.used, row.fetched, row.fetches)
    return row if t.fits(seal, "spares", numbers, mailbox, spare, row.nonce, row.envelope) else None


def use_spare(t: Transaction, box: int, mailbox: bytes, spare: bytes, row: Spare) -> None:
    """Write a spare's record of use."""
    t.sql.execute(
        "UPDATE spares SET used = ?, nonce = ?, envelope = ?, fetched = ?, fetches = ?, seal = ?"
        " WHERE mailbox = ? AND hash = ?",
        (*row, spare_seal(t, mailbox, spare, row), box, spare),
    )


def find(t: Transaction, mailbox: bytes) -> Box:
    """The mailbox with this hash, or NO_BOX; its rights are in sealed rows that name the hash."""
    row = t.sql.execute(
        "SELECT number, queued, queued_bytes, last FROM mailboxes WHERE hash = ?", (mailbox,)
    ).fetchone()
    return NO_BOX if row is None else Box(*row)


def home(t: Transaction, mailbox: bytes) -> Home | None:
    """The sealed part of a mailbox's row, or None if it is not there or damaged."""
    row = t.sql.execute(
        "SELECT number, stored, created, active, batch, seal FROM mailboxes WHERE hash = ?", (mailbox,)
    ).fetchone()
    if row is None:
        return None
    found, seal = Home(*row[:-1]), row[-1]
    numbers = (found.number, found.created, found.active)
    return found if t.fits(seal, "mailboxes", numbers, mailbox, found.stored, found.batch) else None


def settle(t: Transaction, mailbox: bytes, row: Home) -> None:
    """Write what is sealed of a mailbox's row and may change."""
    seal = t.seals.make("mailboxes", (row.number, row.created, row.active), mailbox, row.stored, row.batch)
    t.sql.execute(
        "UPDATE mailboxes SET active = ?, batch = ?, seal = ? WHERE number = ?",
        (row.active, row.batch, seal, row.number),
    )


def touch(t: Transaction, mailbox: bytes, now: int) -> None:
    """Note that the owner came, to the hour and at most once a day. [R-11.7-7]"""
    at = hour(t.believed(now))
    row = t.sql.execute("SELECT active FROM mailboxes WHERE hash = ?", (mailbox,)).fetchone()
    if row is not None and abs(at - row[0]) >= DAY:
        found = home(t, mailbox)
        if found is not None:
            settle(t, mailbox, found._replace(active=at))
