"""From each earlier schema to the next, forward only, each step in one transaction: after a crash it begins again.

A step leaves no old copy of a row behind: tables are made anew and the old ones dropped, which ``secure_delete``
overwrites, and the log is wiped by the first sweep. What a step writes is frozen with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from .mailboxes import Spare, spare_seal
from .schema import TABLES
from .transaction import Transaction

Step: TypeAlias = Callable[[Transaction], None]

_OLD_TABLES: Final = ("mailboxes", "epochs", "spent", "lookups", "firsts", "leaves", "spares", "envelopes")
_OLD_INDEXES: Final = ("epochs_expiry", "lookups_mailbox", "envelopes_queue", "envelopes_expiry")


def _seal_rows(t: Transaction) -> None:
    """1 to 2: every row gets its seal, every mailbox a key slot and the hour it was last fetched (unknown: created)."""
    for index in _OLD_INDEXES:
        t.sql.execute(f"DROP INDEX {index}")
    for table in _OLD_TABLES:
        t.sql.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
    tables(t)
    make = t.seals.make
    for number, mailbox, stored, created, queued, queued_bytes, last, batch in t.sql.execute(
        "SELECT number, hash, stored, created, queued, queued_bytes, last, batch FROM old_mailboxes"
    ):
        seal = make("mailboxes", (number, created, created), mailbox, stored, batch)
        t.sql.execute(
            "INSERT INTO mailboxes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (number, mailbox, stored, created, created, queued, queued_bytes, last, batch, seal),
        )
        t.new.append(number)
    for number, box, key, expires, spent, mailbox in t.sql.execute(
        "SELECT e.number, mailbox, key, expires, spent, hash FROM old_epochs e JOIN mailboxes m ON m.number = mailbox"
    ):
        seal = make("epochs", (expires,), mailbox, key)
        t.sql.execute("INSERT INTO epochs VALUES (?, ?, ?, ?, ?, ?)", (number, box, key, expires, spent, seal))
    for number, lookup, box, capability, *left, batch, bundle, mailbox in t.sql.execute(
        "SELECT l.number, l.hash, mailbox, capability, leaves_left, envelopes_left, fetches_left, l.batch, bundle,"
        " m.hash FROM old_lookups l JOIN mailboxes m ON m.number = mailbox"
    ):
        seal = make("lookups", (left[0], left[1], left[2]), mailbox, lookup, capability, batch)
        bundle_seal = make("bundles", (), mailbox, lookup, batch, bundle)
        t.sql.execute(
            "INSERT INTO lookups VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (number, lookup, box, capability, *left, batch, seal, bundle_seal, bundle),
        )
    for box, position, leaf, mailbox, batch in t.sql.execute(
        "SELECT mailbox, position, leaf, hash, batch FROM old_leaves JOIN mailboxes ON number = mailbox"
    ):
        seal = make("leaves", (position,), mailbox, batch, leaf or b"")
        t.sql.execute("INSERT INTO leaves VALUES (?, ?, ?, ?)", (box, position, seal, leaf))
    for box, spare, *use, mailbox in t.sql.execute(
        "SELECT mailbox, s.hash, used, nonce, envelope, fetched, fetches, m.hash"
        " FROM old_spares s JOIN mailboxes m ON m.number = mailbox"
    ):
        seal = spare_seal(t, mailbox, spare, Spare(*use))
        t.sql.execute("INSERT INTO spares VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (box, spare, *use, seal))
    for row, box, number, expires, via, mark, envelope, mailbox in t.sql.execute(
        "SELECT row, mailbox, e.number, expires, via, mark, envelope, hash"
        " FROM old_envelopes e JOIN mailboxes m ON m.number = mailbox"
    ):
        seal = make("envelopes", (number, via), mailbox, mark, envelope)
        t.sql.execute(
            "INSERT INTO envelopes VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (row, box, number, expires, via, mark, seal, envelope),
        )
    t.sql.execute("INSERT INTO spent SELECT * FROM old_spent")
    t.sql.execute("INSERT INTO firsts SELECT * FROM old_firsts")
    for table in reversed(_OLD_TABLES):
        t.sql.execute(f"DROP TABLE old_{table}")


def tables(t: Transaction) -> None:
    """All tables, empty, and the one row that says whose slots these are."""
    for statement in TABLES.split(";\n"):
        if statement.strip():
            t.sql.execute(statement)
    t.sql.execute("INSERT INTO relay (only, verifier) VALUES (1, ?)", (t.seals.make("relay", ()),))


MIGRATIONS: Final[Mapping[int, tuple[int, Step]]] = {0: (2, tables), 1: (2, _seal_rows)}
"""From a version to a later one, and how; a new database begins at 0 and is of the newest at once."""
