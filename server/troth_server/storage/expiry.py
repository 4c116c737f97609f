"""What leaves the database unasked, because of its age, and what leaves it whole, because its owner said so.

Both work in portions, each a transaction of its own that marks itself ``unfinished`` while more is left: a portion's
log stays small enough for a full disk, and other commands come between those of an expiry. SPEC.md section 11.7.
"""

from __future__ import annotations

import json
from typing import Final

from troth_server import commands
from troth_server.commands import Done, Outcome, Refused

from . import blob_rows
from .clock import Reckoning
from .envelopes import delete
from .mailboxes import Box, find
from .transaction import Transaction

PORTION: Final = 256
"""Envelopes, or so many times 16 nonces or mailboxes, in one transaction: at most 16 MiB of the largest envelopes."""
_ROWS: Final = "WHERE row IN (SELECT value FROM json_each(?))"


def expire(t: Transaction, command: commands.Expire, time: Reckoning) -> Outcome:
    """Drop envelopes, idle mailboxes and token keys past their time, with a key the nonces spent under it. [R-11.4-5]

    An envelope that came while the clock was ahead would be kept too long: none is kept beyond ``retention`` from now.
    """
    due, longest = time.due(command.now), time.latest(command.now) + t.quotas.retention
    t.sql.execute("UPDATE envelopes SET expires = ? WHERE expires > ?", (longest, longest))
    rows = t.sql.execute(
        "SELECT mailbox, row FROM envelopes WHERE expires <= ? ORDER BY expires LIMIT ?", (due, PORTION)
    ).fetchall()
    for box in {box for box, _ in rows}:
        delete(t, box, _ROWS, (json.dumps([row for of, row in rows if of == box]),))
    idle = t.sql.execute(
        "SELECT number, hash FROM mailboxes WHERE active <= ? ORDER BY active LIMIT ?", (due - t.quotas.idle, PORTION)
    ).fetchall()
    if due - time.awake >= t.quotas.idle:
        for number, mailbox in idle:
            _expire_idle(t, number, mailbox)
        t.unfinished = len(idle) == PORTION and bool(t.gone)  # damaged rows stay, and must not be met for ever
    keys = t.sql.execute("SELECT number FROM epochs WHERE expires <= ? LIMIT 1", (due,)).fetchone()
    if keys is not None:
        t.unfinished |= not _unspend(t, "epoch = ?", keys[0])
        t.sql.execute(
            "DELETE FROM epochs WHERE number = ? AND NOT EXISTS (SELECT 1 FROM spent WHERE epoch = number)", keys
        )
        t.unfinished = True
    t.sql.execute("DELETE FROM invites WHERE expires <= ?", (due,))
    blob_rows.expire(t, due, longest, PORTION)
    t.unfinished |= len(rows) == PORTION
    return Done()


def _expire_idle(t: Transaction, number: int, mailbox: bytes) -> None:
    """Erase a mailbox that nobody came for; only if its row is whole, for a damaged time must not erase. [R-11.7-7]"""
    row = t.sql.execute("SELECT stored, created, active, batch, seal FROM mailboxes WHERE number = ?", (number,))
    stored, created, active, batch, seal = row.fetchone()
    if t.fits(seal, "mailboxes", (number, created, active), mailbox, stored, batch):
        blob_rows.release(t, number)
        t.sql.execute("DELETE FROM mailboxes WHERE number = ?", (number,))
        t.gone.append(number)


def erase(t: Transaction, command: commands.Erase) -> Outcome:
    """Delete every row of a mailbox: in portions what there may be many of, then it and the rest. [R-11.7-5]"""
    box: Box = find(t, command.mailbox)
    if not box.number:
        return Refused()
    rows = t.sql.execute("SELECT row FROM envelopes WHERE mailbox = ? LIMIT ?", (box.number, PORTION)).fetchall()
    if rows:
        delete(t, box.number, _ROWS, (json.dumps([row for (row,) in rows]),))
    whole = _unspend(t, "epoch IN (SELECT number FROM epochs WHERE mailbox = ?)", box.number)
    if len(rows) == PORTION or not whole:
        t.unfinished = True
        return Done()
    blob_rows.release(t, box.number)
    t.sql.execute("DELETE FROM mailboxes WHERE number = ?", (box.number,))
    t.gone.append(box.number)
    return Done()


def _unspend(t: Transaction, where: str, which: int) -> bool:
    """Delete spent nonces, a portion of them; whether that was all."""
    gone = t.sql.execute(
        f"DELETE FROM spent WHERE (epoch, nonce) IN (SELECT epoch, nonce FROM spent WHERE {where} LIMIT ?)",  # noqa: S608
        (which, PORTION * 16),
    ).rowcount
    return gone < PORTION * 16
