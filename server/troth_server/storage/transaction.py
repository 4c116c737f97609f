"""What a command works with inside an open transaction, and what it leaves to be done around the commit.

A new one is made for every attempt, so a command can be run again after a rollback.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field

from troth_server.limits import Quotas

from .seals import Seals


@dataclass(slots=True)
class Transaction:
    """The open transaction."""

    sql: sqlite3.Connection
    seals: Seals
    quotas: Quotas
    ceiling: int
    """No later time is believed (``clock``)."""
    new: list[int] = field(default_factory=list)
    """Numbers of mailboxes made: their slots are filled before the commit."""
    gone: list[int] = field(default_factory=list)
    """Numbers of mailboxes erased: their slots are overwritten after the commit, before anybody is answered."""
    loose: list[bytes] = field(default_factory=list)
    """Names of blobs' files whose rows are deleted: they are wiped after the commit."""
    unfinished: bool = False
    """There is more of the same to do, in a transaction of its own."""
    damaged: int = 0
    """Rows whose seal does not fit, met here."""

    def believed(self, now: int) -> int:
        """The time, as far as it can be believed."""
        return min(now, self.ceiling)

    def fits(self, seal: bytes, table: str, numbers: tuple[int, ...], *fields: bytes) -> bool:
        """Whether a row's seal fits; one that does not is counted."""
        fits = self.seals.fits(seal, table, numbers, *fields)
        self.damaged += not fits
        return fits
