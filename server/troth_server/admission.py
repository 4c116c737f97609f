"""Who may make a mailbox here: anybody, whoever was invited, or nobody. Pure; the key and the clock are arguments.

An invitation says nothing about who it is for, and the relay keeps no list of those it gave out::

    invitation = nonce 16 || expires u64 || uses u16 || HMAC(key, label || nonce || expires || uses)     58 bytes

How often one was used is counted by the store under a hash of its nonce, in the transaction that makes the mailbox
(which does not remember by which invitation it came). One answer, INVITE_REQUIRED, covers missing, wrong, expired and
used up, and each asks the store the same: one that is not good is looked up with no uses. [R-11.3-3] A new key takes
back all that were given out.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from troth_protocol.encoding import U16_MAX, Reader, sha256, u16, u64
from troth_protocol.errors import DecodeError

from .commands import Ticket

KEY_SIZE: Final = 32
NONCE_SIZE: Final = 16
MOST_USES: Final = U16_MAX
MOST_DAYS: Final = 365
"""A link that is found years later should not still work."""
_LABEL: Final = b"troth-relay/1 invitation"
_NONCE_LABEL: Final = b"troth-relay/1 invitation nonce"
"""This relay's own labels: nobody else reads an invitation, so they are not the protocol's."""


class Mode(Enum):
    """What the operator chose, as the configuration file spells it."""

    OPEN = "open"
    INVITATION = "invitation"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Admission:
    """How this relay admits, and the key of its invitations (32 bytes)."""

    mode: Mode
    key: bytes = field(repr=False)

    def ticket(self, invite: bytes, now: int) -> Ticket | None:
        """What to spend for ``invite``; None if nothing has to be shown, a ticket without uses if it is not good."""
        if self.mode is Mode.OPEN:
            return None
        reader = Reader(invite)
        try:
            nonce = reader.fixed("nonce", NONCE_SIZE)
            expires, uses = reader.u64("expires"), reader.u16("uses")
            shown = reader.fixed("mac", 32)
            reader.end()
        except DecodeError:
            nonce, expires, uses, shown = bytes(NONCE_SIZE), 0, 0, bytes(32)
        right = hmac.compare_digest(_mac(self.key, nonce, expires, uses), shown)
        good = right and now < expires and self.mode is Mode.INVITATION
        return Ticket(sha256(_NONCE_LABEL, nonce), uses if good else 0, expires if good else 0)


OPEN: Final = Admission(Mode.OPEN, bytes(KEY_SIZE))
"""Anybody."""


def invitation(key: bytes, uses: int, expires: int, nonce: bytes) -> bytes:
    """A new invitation for ``uses`` mailboxes until ``expires``; ``nonce`` is 16 random bytes."""
    return nonce + u64(expires) + u16(uses) + _mac(key, nonce, expires, uses)


def _mac(key: bytes, nonce: bytes, expires: int, uses: int) -> bytes:
    return hmac.digest(key, _LABEL + nonce + u64(expires) + u16(uses), "sha256")
