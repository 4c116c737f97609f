"""May this envelope come in? The one decision behind every delivery, pure; each store makes it inside its transaction.

A nonce is the message's idempotent id: the same nonce with the same envelope is answered as the first time and stored
once; with another envelope it is refused. SPEC.md sections 10.2 to 10.4.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from troth_protocol import token
from troth_protocol.encoding import sha256
from troth_protocol.wire import MAX_SPENT_PER_EPOCH, SPARE_SECONDS

from .limits import Quotas, hour

LIVE_EPOCHS: Final = 2
"""Token keys of a mailbox that are live at a time. [R-10.2-3]"""


class Verdict(Enum):
    """What becomes of the envelope."""

    STORE = 1
    REPEAT = 2
    """It is there already, or was delivered: answer OK again, store nothing."""
    REFUSE = 3
    FULL = 4


@dataclass(frozen=True, slots=True)
class Epoch:
    """A token key as stored: how many nonces were spent under it, and the envelope hash if this nonce was."""

    number: int
    key: bytes = field(repr=False)
    expires: int
    spent: int
    known: bytes | None = field(repr=False)


NO_EPOCH: Final = Epoch(0, bytes(32), 0, 0, None)
"""Checked in place of an epoch that is not there, so that refusals take the same work; it expired in 1970."""


@dataclass(frozen=True, slots=True)
class Queue:
    """How full the mailbox is."""

    envelopes: int
    envelope_bytes: int

    def takes(self, size: int, quotas: Quotas) -> bool:
        """Whether one more envelope of ``size`` bytes is within the quotas; if not, nothing makes room. [R-11.5-3]"""
        return self.envelopes < quotas.envelopes and self.envelope_bytes + size <= quotas.envelope_bytes


@dataclass(frozen=True, slots=True)
class SpareUse:
    """The last use of a spare capability: the hour, the nonce and the envelope's hash; zeros if never used."""

    used: int
    nonce: bytes = field(repr=False)
    known: bytes = field(repr=False)


def by_token(
    mailbox: bytes, shown: bytes, envelope: bytes, epochs: Sequence[Epoch], queue: Queue, quotas: Quotas, now: int
) -> tuple[Verdict, Epoch]:
    """Judge a delivery by token, and say which epoch to spend the nonce in."""
    padded = (*epochs, NO_EPOCH, NO_EPOCH)[: max(LIVE_EPOCHS, len(epochs))]
    found = NO_EPOCH
    for epoch in padded:  # never stops early: [R-10.2-2]
        if token.valid((token.MailboxEpoch(epoch.key, epoch.expires),), mailbox, shown, now):
            found = epoch
    known = _repeat(found.known, envelope)
    if found is NO_EPOCH:
        return Verdict.REFUSE, found
    if known is not None:
        return known, found
    if found.spent >= MAX_SPENT_PER_EPOCH or not queue.takes(len(envelope), quotas):
        return Verdict.FULL, found
    return Verdict.STORE, found


def by_spare(use: SpareUse | None, nonce: bytes, envelope: bytes, queue: Queue, quotas: Quotas, now: int) -> Verdict:
    """Judge a delivery by spare capability (None: there is no such spare): one envelope in 24 hours. [R-10.3-2]"""
    known = _repeat(use.known if use is not None and hmac.compare_digest(use.nonce, nonce) else None, envelope)
    if use is None:
        return Verdict.REFUSE
    if known is not None and use.used:
        return known
    if not rested(use.used, now):
        return Verdict.REFUSE
    return Verdict.STORE if queue.takes(len(envelope), quotas) else Verdict.FULL


def by_card(right: bool, left: int, known: bytes | None, envelope: bytes, queue: Queue, quotas: Quotas) -> Verdict:
    """Judge a first-flight envelope: is the capability ``right``, and how many envelopes does it still pay for?"""
    repeat = _repeat(known, envelope)
    if not right:
        return Verdict.REFUSE
    if repeat is not None:
        return repeat
    if left <= 0:
        return Verdict.REFUSE
    return Verdict.STORE if queue.takes(len(envelope), quotas) else Verdict.FULL


def rested(used: int, now: int) -> bool:
    """Whether 24 hours, less what rounding to the hour takes, lie between the last use and now.

    A use noted a day or more ahead was noted under a wrong clock, and does not block the spare until then. [R-11.7-8]
    """
    return abs(now - hour(used)) >= SPARE_SECONDS


def _repeat(known: bytes | None, envelope: bytes) -> Verdict | None:
    """REPEAT or REFUSE if the nonce was used before, else None; hashes in any case, to take the same time."""
    same = hmac.compare_digest(sha256(envelope), known if known is not None else bytes(32))
    if known is None:
        return None
    return Verdict.REPEAT if same else Verdict.REFUSE
