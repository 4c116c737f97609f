"""What strangers fetch: bundles under lookup ids, and one-time leaves, each handed out once.

Each public function is one command inside an open transaction. A damaged bundle, card or leaf is not there. [R-11.7-3]
"""

from __future__ import annotations

import hmac
from typing import Final, NamedTuple

from troth_protocol.wire import ENVELOPES_PER_USE
from troth_server import commands, deposit
from troth_server.commands import Done, Full, Outcome, Refused, Rejected
from troth_server.limits import hour

from .mailboxes import NO_BOX, find, find_spare, home, settle, use_spare
from .transaction import Transaction

_FETCHES_PER_USE: Final = 8
"""How often one use of a card, or a spare in 24 hours, pays for reading the bundle: retries after a lost answer."""


class Card(NamedTuple):
    """The sealed part of a row of ``lookups``, without its bundle."""

    number: int
    capability: bytes
    leaves_left: int
    envelopes_left: int
    fetches_left: int
    batch: bytes


def find_card(t: Transaction, lookup: bytes) -> tuple[Card, int, bytes] | None:
    """The card under a lookup id, with the number and the hash of its mailbox, or None."""
    row = t.sql.execute(
        "SELECT lookups.number, capability, leaves_left, envelopes_left, fetches_left, lookups.batch, lookups.seal,"
        " mailboxes.number, mailboxes.hash FROM lookups JOIN mailboxes ON mailboxes.number = lookups.mailbox"
        " WHERE lookups.hash = ?",
        (lookup,),
    ).fetchone()
    if row is None:
        return None
    card = Card(*row[:6])
    seal, box, mailbox = row[6:]
    left = (card.leaves_left, card.envelopes_left, card.fetches_left)
    return (card, box, mailbox) if t.fits(seal, "lookups", left, mailbox, lookup, card.capability, card.batch) else None


def use_card(t: Transaction, mailbox: bytes, lookup: bytes, card: Card) -> None:
    """Write what is left of a card."""
    left = (card.leaves_left, card.envelopes_left, card.fetches_left)
    t.sql.execute(
        "UPDATE lookups SET leaves_left = ?, envelopes_left = ?, fetches_left = ?, batch = ?, seal = ?"
        " WHERE number = ?",
        (
            *left, card.batch, t.seals.make("lookups", left, mailbox, lookup, card.capability, card.batch), card.number,
        ),
    )  # fmt: skip


def put_bundle(t: Transaction, command: commands.PutBundle) -> Outcome:
    """Publish or replace; the counters start again only with a new capability. [R-10.4-1]"""
    box = find(t, command.mailbox)
    row = t.sql.execute("SELECT number, mailbox FROM lookups WHERE hash = ?", (command.lookup,)).fetchone()
    if box is NO_BOX or (row is not None and row[1] != box.number):
        return Refused()
    found = find_card(t, command.lookup)
    seal = t.seals.make("bundles", (), command.mailbox, command.lookup, command.batch, command.bundle)
    if found is not None and hmac.compare_digest(found[0].capability, command.capability):
        t.sql.execute(
            "UPDATE lookups SET bundle = ?, bundle_seal = ? WHERE number = ?", (command.bundle, seal, found[0].number)
        )
        use_card(t, command.mailbox, command.lookup, found[0]._replace(batch=command.batch))
        return Done()
    cards = t.sql.execute("SELECT count(*) FROM lookups WHERE mailbox = ?", (box.number,)).fetchone()[0]
    if row is None and cards >= t.quotas.cards:
        return Full()
    if row is not None:
        t.sql.execute("DELETE FROM lookups WHERE number = ?", (row[0],))
    number = t.sql.execute(
        "INSERT INTO lookups (hash, mailbox, capability, leaves_left, envelopes_left, fetches_left, batch, seal,"
        " bundle_seal, bundle) VALUES (?, ?, ?, 0, 0, 0, x'', x'', ?, ?)",
        (command.lookup, box.number, command.capability, seal, command.bundle),
    ).lastrowid
    uses = command.uses
    left = (uses, uses * ENVELOPES_PER_USE, uses * _FETCHES_PER_USE)
    use_card(t, command.mailbox, command.lookup, Card(number or 0, command.capability, *left, command.batch))
    return Done()


def remove_bundle(t: Transaction, command: commands.RemoveBundle) -> Outcome:
    """Revoke a card: one's own; somebody else's is not there, as far as this mailbox is told."""
    box = find(t, command.mailbox)
    t.sql.execute("DELETE FROM lookups WHERE hash = ? AND mailbox = ?", (command.lookup, box.number))
    return Done()


def take_bundle(t: Transaction, command: commands.TakeBundle) -> Outcome:
    """A bundle for a card's capability or a spare's; a leaf is handed out once and never again. [R-10.4-3]"""
    lookup = command.lookup
    card, box, mailbox = find_card(t, lookup) or (Card(0, bytes(32), 0, 0, 0, b""), 0, bytes(32))
    spare = find_spare(t, box, mailbox, command.capability)
    paid = hmac.compare_digest(card.capability, command.capability) and card.fetches_left > 0
    if not paid and spare is None:
        return Refused()
    bundle, seal = t.sql.execute("SELECT bundle, bundle_seal FROM lookups WHERE number = ?", (card.number,)).fetchone()
    if not t.fits(seal, "bundles", (), mailbox, lookup, card.batch, bundle):
        return Refused()
    if paid:
        leaf = _take_leaf(t, box, mailbox, card.batch) if card.leaves_left > 0 else None
        rest = card._replace(fetches_left=card.fetches_left - 1, leaves_left=card.leaves_left - (leaf is not None))
        use_card(t, mailbox, lookup, rest)
        return commands.Taken(bundle, leaf)
    if spare is None:
        return Refused()
    now = t.believed(command.now)
    new_day = deposit.rested(spare.fetched, now)
    if not new_day and spare.fetches >= _FETCHES_PER_USE:
        return Refused()
    leaf = _take_leaf(t, box, mailbox, card.batch) if new_day else None
    at = hour(now) if new_day else spare.fetched
    used = spare._replace(fetched=at, fetches=1 if new_day else spare.fetches + 1)
    use_spare(t, box, mailbox, command.capability, used)
    return commands.Taken(bundle, leaf)


def _take_leaf(t: Transaction, box: int, mailbox: bytes, batch: bytes) -> bytes | None:
    """The first leaf left of the bundle's own batch. Its row stays, empty, so that none comes back. [R-11.3-2]"""
    owner = home(t, mailbox)
    if owner is None or owner.batch != batch:
        return None
    while True:
        row = t.sql.execute(
            "SELECT position, seal, leaf FROM leaves WHERE mailbox = ? AND leaf IS NOT NULL ORDER BY position LIMIT 1",
            (box,),
        ).fetchone()
        if row is None:
            return None
        t.sql.execute("UPDATE leaves SET leaf = NULL WHERE mailbox = ? AND position = ?", (box, row[0]))
        if t.fits(row[1], "leaves", (row[0],), mailbox, batch, row[2]):
            leaf: bytes = row[2]
            return leaf


def put_leaves(t: Transaction, command: commands.PutLeaves) -> Outcome:
    """Add leaves; a new batch id drops the old batch. The same leaf again is Done, another in its place Rejected."""
    owner = home(t, command.mailbox)
    if owner is None:
        return Refused()
    here: dict[int, bytes | None] = {}
    if owner.batch == command.batch:
        here = dict(t.sql.execute("SELECT position, leaf FROM leaves WHERE mailbox = ?", (owner.number,)))
    if any(here.get(leaf[0]) not in (None, leaf) for leaf in command.leaves):
        return Rejected()
    if owner.batch != command.batch:
        t.sql.execute("DELETE FROM leaves WHERE mailbox = ?", (owner.number,))
        settle(t, command.mailbox, owner._replace(batch=command.batch))
    t.sql.executemany(
        "INSERT INTO leaves (mailbox, position, seal, leaf) VALUES (?, ?, ?, ?)",
        [
            (
                owner.number, leaf[0], t.seals.make("leaves", (leaf[0],), command.mailbox, command.batch, leaf), leaf,
            )
            for leaf in command.leaves if leaf[0] not in here
        ],
    )  # fmt: skip
    return Done()
