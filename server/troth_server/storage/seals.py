"""A check on every row whose damage would serve altered bytes or a wrong right: HMAC over what and where it is.

seal = HMAC-SHA-256(check key, "troth/1 row" || 0 || table || 0 || integers i64 || lengths u32 || byte fields)[:16],
where the fields name the mailbox by its hash and the row within it: rows that were exchanged do not fit either. The
check key is in the key slots' file and in no backup. A row that does not fit is treated as not there. A seal is against
failing disks and exchanged files, not against somebody who has both files. [R-11.7-3]
"""

from __future__ import annotations

import hmac
import struct
from typing import Final

from troth_protocol import labels

SEAL_SIZE: Final = 16
_TABLES: Final = (
    "mailboxes", "epochs", "lookups", "bundles", "leaves", "spares", "envelopes", "relay", "blobs", "chunks",
)  # fmt: skip


class Seals:
    """Makes and checks seals under one key."""

    __slots__ = ("_heads", "_key")

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._heads = {table: labels.ROW_SEAL + b"\0" + table.encode() + b"\0" for table in _TABLES}

    def make(self, table: str, numbers: tuple[int, ...], *fields: bytes) -> bytes:
        """The seal of a row; a table always gives as many integers and fields, in the same order."""
        sizes = struct.pack(f">{len(numbers)}q{len(fields)}I", *numbers, *map(len, fields))
        return hmac.digest(self._key, b"".join((self._heads[table], sizes, *fields)), "sha256")[:SEAL_SIZE]

    def fits(self, seal: bytes, table: str, numbers: tuple[int, ...], *fields: bytes) -> bool:
        """Whether a row is as it was written; damage may have left values of any type."""
        try:
            return hmac.compare_digest(seal, self.make(table, numbers, *fields))
        except (TypeError, struct.error):
            return False
