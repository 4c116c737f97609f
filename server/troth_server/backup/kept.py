"""What a backup keeps of a mailbox, column by column, and what it leaves out, each with its reason. [R-11.8-3]

Every column of the database stands in MAILBOX or in LEFT_OUT; a test compares them with the schema, so that a new
column is nobody's by accident.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .rows import Seal, Table

MAILBOX: Final = Table(
    "mailboxes", ("hash", "stored", "created", "active", "last", "batch"),
    (Seal("seal", "mailboxes", ("number", "created", "active"), ("stored", "batch")),), own="number",
    below=(
        Table(
            "epochs", ("key", "expires", "spent"), (Seal("seal", "epochs", ("expires",), ("key",)),),
            above="mailbox", own="number",
            below=(Table("spent", ("nonce", "envelope"), above="epoch"),),
        ),
        Table(
            "lookups",
            ("hash", "capability", "leaves_left", "envelopes_left", "fetches_left", "batch", "bundle"),
            (
                Seal(
                    "seal", "lookups", ("leaves_left", "envelopes_left", "fetches_left"),
                    ("hash", "capability", "batch"),
                ),
                Seal("bundle_seal", "bundles", (), ("hash", "batch", "bundle")),
            ),
            above="mailbox", own="number",
            below=(Table("firsts", ("nonce", "envelope"), above="lookup"),),
        ),
        Table(
            "spares", ("hash", "used", "nonce", "envelope", "fetched", "fetches"),
            (Seal("seal", "spares", ("used", "fetched", "fetches"), ("hash", "nonce", "envelope")),),
            above="mailbox",
        ),
    ),
)  # fmt: skip

_QUEUE: Final = "queued messages are in no backup: one restored would be delivered twice, or outlive its deletion"
_LEAF: Final = "a one-time leaf handed out since would be handed out again; the owner puts new ones"
LEFT_OUT: Final[Mapping[str, str]] = {
    "envelopes": _QUEUE,
    "mailboxes.queued": _QUEUE,
    "mailboxes.queued_bytes": _QUEUE,
    "leaves": _LEAF,
    "blobs": "large, and gone within 14 days: their contents are in no backup, and without them a row is nothing",
    "invites": "not a mailbox's: after a restore the uses of an invitation are counted from none again",
    "relay": "what this very database says of itself and of its key slots; a restored one is another database",
}
"""Tables, or columns of tables that are kept; beside these, seals and row numbers, which are made anew."""
