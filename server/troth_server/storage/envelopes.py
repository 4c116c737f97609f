"""The queues: envelopes come in by one of three rights, go out in order, and are deleted when acknowledged or expired.

Each function is one command inside an open transaction; ``deposit`` decides, this file reads and writes. Spending and
queueing are one transaction, so of concurrent spends of a nonce one wins. [R-10.2-4]
"""

from __future__ import annotations

import hmac
import json
import sqlite3
from typing import Final

from troth_protocol.encoding import sha256
from troth_protocol.token import NONCE_SIZE, mailbox_hash
from troth_protocol.wire import Via
from troth_server import commands, deposit
from troth_server.commands import Deposited, Done, Full, Outcome, Refused
from troth_server.deposit import Verdict
from troth_server.limits import PAGE_BYTES, Quotas, hour

from .mailboxes import NO_BOX, Box, find

_HEAD: Final = 32
"""How many bytes of an envelope a demo's panel is shown."""


def deposit_token(sql: sqlite3.Connection, command: commands.Deposit, quotas: Quotas) -> Outcome:
    """Spend a token's nonce and queue the envelope."""
    mailbox, nonce = mailbox_hash(command.mailbox), command.token[:NONCE_SIZE]
    box = find(sql, mailbox)
    rows = sql.execute(
        "SELECT number, key, expires, epochs.spent, spent.envelope FROM epochs LEFT JOIN spent"
        " ON spent.epoch = epochs.number AND spent.nonce = ? WHERE mailbox = ?",
        (nonce, box.number),
    ).fetchall()
    epochs = [deposit.Epoch(*row) for row in rows]
    verdict, epoch = deposit.by_token(
        command.mailbox, command.token, command.envelope, epochs, box.queue, quotas, command.now
    )
    if verdict is Verdict.STORE:
        sql.execute("INSERT INTO spent VALUES (?, ?, ?)", (epoch.number, nonce, sha256(command.envelope)))
        sql.execute("UPDATE epochs SET spent = spent + 1 WHERE number = ?", (epoch.number,))
        mark = nonce + bytes(32 - NONCE_SIZE)
        return _enqueue(sql, box, mailbox, Via.TOKEN, mark, command, quotas)
    return _outcome(verdict, mailbox)


def deposit_spare(sql: sqlite3.Connection, command: commands.DepositSpare, quotas: Quotas) -> Outcome:
    """Use a spare capability, note when, and queue the envelope."""
    box = find(sql, command.mailbox)
    where = (box.number, command.spare)
    row = sql.execute("SELECT used, nonce, envelope FROM spares WHERE mailbox = ? AND hash = ?", where).fetchone()
    use = None if row is None else deposit.SpareUse(*row)
    verdict = deposit.by_spare(use, command.nonce, command.envelope, box.queue, quotas, command.now)
    if verdict is Verdict.STORE:
        sql.execute(
            "UPDATE spares SET used = ?, nonce = ?, envelope = ? WHERE mailbox = ? AND hash = ?",
            (hour(command.now), command.nonce, sha256(command.envelope), *where),
        )
        return _enqueue(sql, box, command.mailbox, Via.SPARE, command.spare, command, quotas)
    return _outcome(verdict, command.mailbox)


def deposit_first(sql: sqlite3.Connection, command: commands.DepositFirst, quotas: Quotas) -> Outcome:
    """Use one of a card's envelopes, note the nonce, and queue the envelope."""
    row = sql.execute(
        "SELECT lookups.number, capability, envelopes_left, firsts.envelope, mailboxes.number, queued, queued_bytes,"
        " last, mailboxes.hash FROM lookups JOIN mailboxes ON mailboxes.number = lookups.mailbox"
        " LEFT JOIN firsts ON firsts.lookup = lookups.number AND firsts.nonce = ? WHERE lookups.hash = ?",
        (command.nonce, command.lookup),
    ).fetchone()
    lookup, capability, left, known, *numbers, mailbox = row or (0, bytes(32), 0, None, *NO_BOX, bytes(32))
    box = Box(*numbers)
    right = hmac.compare_digest(capability, command.capability)
    verdict = deposit.by_card(right, left, known, command.envelope, box.queue, quotas)
    if verdict is Verdict.STORE:
        sql.execute("INSERT INTO firsts VALUES (?, ?, ?)", (lookup, command.nonce, sha256(command.envelope)))
        sql.execute("UPDATE lookups SET envelopes_left = envelopes_left - 1 WHERE number = ?", (lookup,))
        return _enqueue(sql, box, mailbox, Via.INTRO, command.lookup, command, quotas)
    return _outcome(verdict, mailbox)


def _enqueue(
    sql: sqlite3.Connection,
    box: Box,
    mailbox: bytes,
    via: Via,
    mark: bytes,
    command: commands.Deposit | commands.DepositSpare | commands.DepositFirst,
    quotas: Quotas,
) -> Outcome:
    row = commands.Queued(box.last + 1, via, mark, command.envelope)
    sql.execute(
        "INSERT INTO envelopes (mailbox, number, expires, via, mark, envelope) VALUES (?, ?, ?, ?, ?, ?)",
        (box.number, row.number, command.now + quotas.retention, via, mark, row.envelope),
    )
    sql.execute(
        "UPDATE mailboxes SET queued = queued + 1, queued_bytes = queued_bytes + ?, last = last + 1 WHERE number = ?",
        (len(row.envelope), box.number),
    )
    return Deposited(mailbox, row)


def _outcome(verdict: Verdict, mailbox: bytes) -> Outcome:
    """The outcome of a delivery that stores nothing."""
    match verdict:
        case Verdict.REPEAT:
            return Deposited(mailbox, None)
        case Verdict.FULL:
            return Full()
        case _:
            return Refused()


def load(sql: sqlite3.Connection, command: commands.LoadQueue) -> Outcome:
    """The oldest envelopes above a number, as many as were asked for or PAGE_BYTES hold."""
    box = find(sql, command.mailbox)
    if box is NO_BOX:
        return Refused()
    rows: list[commands.Queued] = []
    size = 0
    for number, via, mark, envelope in sql.execute(
        "SELECT number, via, mark, envelope FROM envelopes WHERE mailbox = ? AND number > ? AND expires > ?"
        " ORDER BY number LIMIT ?",
        (box.number, command.after, command.now, command.count),
    ):
        rows.append(commands.Queued(number, Via(via), mark, envelope))
        size += len(envelope)
        if size >= PAGE_BYTES:
            break
    more = len(rows) == command.count or size >= PAGE_BYTES
    return commands.Page(tuple(rows), more, box.last)


def forget(sql: sqlite3.Connection, command: commands.Forget) -> Outcome:
    """Delete acknowledged envelopes and give their room back."""
    box = find(sql, command.mailbox)
    where = "WHERE mailbox = ? AND number IN (SELECT value FROM json_each(?))"
    which = (box.number, json.dumps(command.numbers))
    _delete(sql, box.number, where, which)
    return Done()


def _delete(sql: sqlite3.Connection, box: int, where: str, which: tuple[int | str, ...]) -> None:
    """Delete envelopes of one mailbox; ``where`` is one of this file's own clauses."""
    gone, freed = sql.execute(
        f"SELECT count(*), coalesce(sum(length(envelope)), 0) FROM envelopes {where}",  # noqa: S608
        which,
    ).fetchone()
    if gone:
        sql.execute(f"DELETE FROM envelopes {where}", which)  # noqa: S608
        sql.execute(
            "UPDATE mailboxes SET queued = queued - ?, queued_bytes = queued_bytes - ? WHERE number = ?",
            (gone, freed, box),
        )


def expire(sql: sqlite3.Connection, command: commands.Expire) -> Outcome:
    """Drop undelivered envelopes and token keys past their time, with a key the nonces spent under it. [R-11.4-5]"""
    boxes = sql.execute("SELECT DISTINCT mailbox FROM envelopes WHERE expires <= ?", (command.now,)).fetchall()
    for (box,) in boxes:
        _delete(sql, box, "WHERE mailbox = ? AND expires <= ?", (box, command.now))
    sql.execute("DELETE FROM epochs WHERE expires <= ?", (command.now,))
    return Done()


def look(sql: sqlite3.Connection, command: commands.Look) -> Outcome:
    """What an operator could see of each queue; the newest mailboxes first."""
    views = []
    for number, mailbox, queued, queued_bytes, last in sql.execute(
        "SELECT number, hash, queued, queued_bytes, last FROM mailboxes ORDER BY number DESC LIMIT ?", (command.limit,)
    ).fetchall():
        envelopes = sql.execute(
            "SELECT number, via, length(envelope), expires, substr(envelope, 1, ?) FROM envelopes WHERE mailbox = ?"
            " ORDER BY number LIMIT ?",
            (_HEAD, number, command.limit),
        )
        seen = tuple(commands.EnvelopeView(at, Via(via), *rest) for at, via, *rest in envelopes)
        views.append(commands.QueuedView(mailbox, queued, queued_bytes, last, seen))
    return commands.Views(tuple(views))
