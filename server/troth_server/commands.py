"""What the core may ask of a store, and what may come back; nothing here knows how anything is stored.

Ids arrive already hashed (``token.mailbox_hash``), except in ``Deposit``: a token's MAC covers the id itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from troth_protocol.wire import Code, Via

from .blob_commands import BlobOutcome, Contents, Rows


@dataclass(frozen=True, slots=True)
class Ticket:
    """An invitation as the store counts it: a hash of it, how many mailboxes it is good for, when to forget it."""

    hash: bytes = field(repr=False)
    uses: int
    expires: int


@dataclass(frozen=True, slots=True)
class CreateMailbox:
    """Make a mailbox and spend a use of the ticket, if one is needed: Done, Uninvited, or Refused if another is there.

    Done also if the very same mailbox is there; then nothing is spent.
    """

    mailbox: bytes = field(repr=False)
    stored: bytes = field(repr=False)
    key: bytes = field(repr=False)
    expires: int
    now: int
    ticket: Ticket | None = None


@dataclass(frozen=True, slots=True)
class LoadOwner:
    """The owner's stored hash: OwnerKey, with None where there is no such mailbox."""

    mailbox: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class AddEpoch:
    """A new token key; the two newest stay. Done, or Refused if the mailbox is gone."""

    mailbox: bytes = field(repr=False)
    key: bytes = field(repr=False)
    expires: int


@dataclass(frozen=True, slots=True)
class PutBundle:
    """Publish; counters are kept if the capability is the one already there. Done, Refused or Full."""

    mailbox: bytes = field(repr=False)
    lookup: bytes = field(repr=False)
    capability: bytes = field(repr=False)
    uses: int
    batch: bytes = field(repr=False)
    bundle: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class RemoveBundle:
    """Take a lookup of this mailbox away; Done also if it is not there."""

    mailbox: bytes = field(repr=False)
    lookup: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class PutLeaves:
    """Add one-time leaves; an index given out before is not put back. Done, Refused, or Rejected on a conflict."""

    mailbox: bytes = field(repr=False)
    batch: bytes = field(repr=False)
    leaves: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class CountHeld:
    """How much the mailbox holds: Held or Refused."""

    mailbox: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class TakeBundle:
    """Read a bundle and take at most one leaf, by the hash of a card's capability or of a spare: Taken or Refused."""

    lookup: bytes = field(repr=False)
    capability: bytes = field(repr=False)
    now: int


@dataclass(frozen=True, slots=True)
class Deposit:
    """Spend a token and queue an envelope, both or neither: Deposited, Refused or Full. ``mailbox`` is not hashed."""

    mailbox: bytes = field(repr=False)
    token: bytes = field(repr=False)
    envelope: bytes = field(repr=False)
    now: int


@dataclass(frozen=True, slots=True)
class DepositSpare:
    """Use a spare capability, by its hash, for one envelope in 24 hours: Deposited, Refused or Full."""

    mailbox: bytes = field(repr=False)
    spare: bytes = field(repr=False)
    nonce: bytes = field(repr=False)
    envelope: bytes = field(repr=False)
    now: int


@dataclass(frozen=True, slots=True)
class DepositFirst:
    """Use a card's capability, by its hash, for a first-flight envelope: Deposited, Refused or Full."""

    lookup: bytes = field(repr=False)
    capability: bytes = field(repr=False)
    nonce: bytes = field(repr=False)
    envelope: bytes = field(repr=False)
    now: int


@dataclass(frozen=True, slots=True)
class LoadQueue:
    """The oldest envelopes numbered above ``after``, at most ``count``: Page or Refused."""

    mailbox: bytes = field(repr=False)
    after: int
    count: int
    now: int


@dataclass(frozen=True, slots=True)
class Forget:
    """Delete acknowledged envelopes of this mailbox; Done also for those that are not there."""

    mailbox: bytes = field(repr=False)
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ChangeSpares:
    """Register and revoke spare capabilities by hash: Done, Refused or Full."""

    mailbox: bytes = field(repr=False)
    add: tuple[bytes, ...] = field(repr=False)
    remove: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class RefuseNonces:
    """Treat nonces as spent under every live token key: Done, Refused or Full. One that is spent stays as it was."""

    mailbox: bytes = field(repr=False)
    nonces: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Erase:
    """Delete a mailbox and all that is of it, here and, by its key slot, in every backup: Done or Refused."""

    mailbox: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Expire:
    """Drop what is past its time and leave no copy of anything deleted in any file: Done."""

    now: int


@dataclass(frozen=True, slots=True)
class Look:
    """What lies in the queues, of at most ``limit`` mailboxes, ``limit`` envelopes each: Views. For a demo's panel."""

    limit: int


Single: TypeAlias = (
    CreateMailbox | LoadOwner | AddEpoch | PutBundle | RemoveBundle | PutLeaves | CountHeld | TakeBundle
    | DepositSpare | DepositFirst | LoadQueue | Forget | ChangeSpares | RefuseNonces | Erase | Expire | Look
    | Rows | Contents
)  # fmt: skip
Command: TypeAlias = Single | Deposit
"""Deliveries by token apart: a store may carry out many at once."""


@dataclass(frozen=True, slots=True)
class Done:
    """It is so, and on disk."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Unknown, deleted, revoked, spent or wrong; a store never says which."""


@dataclass(frozen=True, slots=True)
class Uninvited:
    """The ticket has no use left; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Full:
    """A quota of the mailbox is used up; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A leaf contradicts one that is already there; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The store could not do it (STORAGE_FULL or UNAVAILABLE); nothing was changed."""

    code: Code


@dataclass(frozen=True, slots=True)
class OwnerKey:
    """The owner's stored hash, or None."""

    stored: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Held:
    """Leaves not yet given out, and queued envelopes."""

    leaves: int
    envelopes: int


@dataclass(frozen=True, slots=True)
class Taken:
    """A bundle, and a leaf that nobody else got or will get."""

    bundle: bytes = field(repr=False)
    leaf: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Queued:
    """One queued envelope; ``number`` counts from 1 in each mailbox and is never used again."""

    number: int
    via: Via
    mark: bytes = field(repr=False)
    envelope: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Deposited:
    """The envelope is queued and on disk: as ``row``, or None if it was there, or delivered, before."""

    mailbox: bytes = field(repr=False)
    row: Queued | None


@dataclass(frozen=True, slots=True)
class Page:
    """Queued envelopes in order, whether more follow now, and the last number the mailbox has given out."""

    rows: tuple[Queued, ...]
    more: bool
    last: int


@dataclass(frozen=True, slots=True)
class EnvelopeView:
    """What the relay can see of one queued envelope."""

    number: int
    via: Via
    size: int
    expires: int
    head: bytes


@dataclass(frozen=True, slots=True)
class QueuedView:
    """What the relay can see of one mailbox: the hash of its id, and its queue."""

    mailbox: bytes
    queued: int
    queued_bytes: int
    total: int
    envelopes: tuple[EnvelopeView, ...]


@dataclass(frozen=True, slots=True)
class Views:
    """The answer to Look."""

    mailboxes: tuple[QueuedView, ...]


Outcome: TypeAlias = (
    Done | Refused | Uninvited | Full | Rejected | Failed | Deposited | OwnerKey | Held | Taken | Page | Views
    | BlobOutcome
)  # fmt: skip
