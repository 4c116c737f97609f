"""The queues: envelopes come in by one of three rights, go out in order, and are deleted when acknowledged.

The right that comes most often, a token, is ``deposits``'.

Each function is one command inside an open transaction; ``deposit`` decides, this file reads and writes. Spending and
queueing are one transaction, so of concurrent spends of a nonce one wins. [R-10.2-4]
"""

from __future__ import annotations

import hmac
import json
from typing import Final

from troth_protocol.encoding import sha256
from troth_protocol.wire import MAX_SPENT_PER_EPOCH, Via
from troth_server import commands, deposit
from troth_server.commands import Deposited, Done, Full, Outcome, Refused
from troth_server.deposit import Verdict
from troth_server.limits import PAGE_BYTES, hour

from .cards import Card, find_card, use_card
from .mailboxes import NO_BOX, Box, find, find_spare, touch, use_spare
from .transaction import Transaction

_HEAD: Final = 32
"""How many bytes of an envelope a demo's panel is shown."""


def refuse(t: Transaction, command: commands.RefuseNonces) -> Outcome:
    """Note nonces as spent by an envelope that is none: zeros are no hash, so nothing repeats it. [R-10.2-8]"""
    box = find(t, command.mailbox)
    if box is NO_BOX:
        return Refused()
    epochs = t.sql.execute("SELECT number, spent FROM epochs WHERE mailbox = ?", (box.number,)).fetchall()
    if any(spent + len(command.nonces) > MAX_SPENT_PER_EPOCH for _, spent in epochs):
        return Full()
    for number, _ in epochs:
        for nonce in command.nonces:
            t.sql.execute("INSERT INTO spent VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (number, nonce, bytes(32)))
        t.sql.execute(
            "UPDATE epochs SET spent = (SELECT count(*) FROM spent WHERE epoch = number) WHERE number = ?", (number,)
        )
    return Done()


def deposit_spare(t: Transaction, command: commands.DepositSpare) -> Outcome:
    """Use a spare capability, note when, and queue the envelope."""
    box, now = find(t, command.mailbox), t.believed(command.now)
    spare = find_spare(t, box.number, command.mailbox, command.spare)
    use = None if spare is None else deposit.SpareUse(spare.used, spare.nonce, spare.envelope)
    verdict = deposit.by_spare(use, command.nonce, command.envelope, box.queue, t.quotas, now)
    if verdict is Verdict.STORE and spare is not None:
        used = spare._replace(used=hour(now), nonce=command.nonce, envelope=sha256(command.envelope))
        use_spare(t, box.number, command.mailbox, command.spare, used)
        return _enqueue(t, box, command.mailbox, Via.SPARE, command.spare, command)
    return unstored(verdict, command.mailbox)


def deposit_first(t: Transaction, command: commands.DepositFirst) -> Outcome:
    """Use one of a card's envelopes, note the nonce, and queue the envelope."""
    card, _, mailbox = find_card(t, command.lookup) or (Card(0, bytes(32), 0, 0, 0, b""), 0, bytes(32))
    known = t.sql.execute(
        "SELECT envelope FROM firsts WHERE lookup = ? AND nonce = ?", (card.number, command.nonce)
    ).fetchone()
    box = find(t, mailbox)
    right = hmac.compare_digest(card.capability, command.capability)
    verdict = deposit.by_card(
        right, card.envelopes_left, None if known is None else known[0], command.envelope, box.queue, t.quotas
    )
    if verdict is Verdict.STORE:
        t.sql.execute("INSERT INTO firsts VALUES (?, ?, ?)", (card.number, command.nonce, sha256(command.envelope)))
        use_card(t, mailbox, command.lookup, card._replace(envelopes_left=card.envelopes_left - 1))
        return _enqueue(t, box, mailbox, Via.INTRO, command.lookup, command)
    return unstored(verdict, mailbox)


def _enqueue(
    t: Transaction,
    box: Box,
    mailbox: bytes,
    via: Via,
    mark: bytes,
    command: commands.DepositSpare | commands.DepositFirst,
) -> Outcome:
    row = commands.Queued(box.last + 1, via, mark, command.envelope)
    seal = t.seals.make("envelopes", (row.number, via), mailbox, mark, row.envelope)
    t.sql.execute(
        "INSERT INTO envelopes (mailbox, number, expires, via, mark, seal, envelope) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (box.number, row.number, command.now + t.quotas.retention, via, mark, seal, row.envelope),
    )
    t.sql.execute(
        "UPDATE mailboxes SET queued = queued + 1, queued_bytes = queued_bytes + ?, last = last + 1 WHERE number = ?",
        (len(row.envelope), box.number),
    )
    return Deposited(mailbox, row)


def unstored(verdict: Verdict, mailbox: bytes) -> Outcome:
    """The outcome of a delivery that stores nothing."""
    match verdict:
        case Verdict.REPEAT:
            return Deposited(mailbox, None)
        case Verdict.FULL:
            return Full()
        case _:
            return Refused()


def load(t: Transaction, command: commands.LoadQueue) -> Outcome:
    """The oldest envelopes above a number, as many as were asked for or PAGE_BYTES hold.

    One whose seal does not fit is deleted and never served: its bytes could only have failed at the owner. [R-11.7-4]
    """
    box = find(t, command.mailbox)
    if box is NO_BOX:
        return Refused()
    touch(t, command.mailbox, command.now)
    rows: list[commands.Queued] = []
    damaged: list[int] = []
    size = read = 0
    for row, number, via, mark, seal, envelope in t.sql.execute(
        "SELECT row, number, via, mark, seal, envelope FROM envelopes WHERE mailbox = ? AND number > ? AND expires > ?"
        " ORDER BY number LIMIT ?",
        (box.number, command.after, t.believed(command.now), command.count),
    ):
        read += 1
        if t.fits(seal, "envelopes", (number, via), command.mailbox, mark, envelope):
            rows.append(commands.Queued(number, Via(via), mark, envelope))
            size += len(envelope)
        else:
            damaged.append(row)
        if size >= PAGE_BYTES:
            break
    if damaged:
        delete(t, box.number, "WHERE row IN (SELECT value FROM json_each(?))", (json.dumps(damaged),))
    more = read == command.count or size >= PAGE_BYTES
    return commands.Page(tuple(rows), more, box.last)


def forget(t: Transaction, command: commands.Forget) -> Outcome:
    """Delete acknowledged envelopes and give their room back."""
    box = find(t, command.mailbox)
    where = "WHERE mailbox = ? AND number IN (SELECT value FROM json_each(?))"
    delete(t, box.number, where, (box.number, json.dumps(command.numbers)))
    return Done()


def delete(t: Transaction, box: int, where: str, which: tuple[int | str, ...]) -> None:
    """Delete envelopes of one mailbox; ``where`` is one of this package's own clauses."""
    gone, freed = t.sql.execute(
        f"SELECT count(*), coalesce(sum(length(envelope)), 0) FROM envelopes {where}",  # noqa: S608
        which,
    ).fetchone()
    if gone:
        t.sql.execute(f"DELETE FROM envelopes {where}", which)  # noqa: S608
        t.sql.execute(
            "UPDATE mailboxes SET queued = max(0, queued - ?), queued_bytes = max(0, queued_bytes - ?)"
            " WHERE number = ?",
            (gone, freed, box),
        )


def look(t: Transaction, command: commands.Look) -> Outcome:
    """What an operator could see of each queue; the newest mailboxes first."""
    views = []
    for number, mailbox, queued, queued_bytes, last in t.sql.execute(
        "SELECT number, hash, queued, queued_bytes, last FROM mailboxes ORDER BY number DESC LIMIT ?", (command.limit,)
    ).fetchall():
        envelopes = t.sql.execute(
            "SELECT number, via, length(envelope), expires, substr(envelope, 1, ?) FROM envelopes WHERE mailbox = ?"
            " AND via BETWEEN 1 AND 3 ORDER BY number LIMIT ?",
            (_HEAD, number, command.limit),
        )
        seen = tuple(commands.EnvelopeView(at, Via(via), *rest) for at, via, *rest in envelopes)
        views.append(commands.QueuedView(mailbox, queued, queued_bytes, last, seen))
    return commands.Views(tuple(views))
