"""Everything that goes into the messenger and comes out of it, as frozen values.

Events in: what a person asked (``Add``, ``SendText``...), what a relay answered, time passing. Effects out: one
``Save`` first, then what leaves this machine, then what a person should be shown.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import TypeAlias

from troth_protocol.card import Card, RelayAddress
from troth_protocol.wire.answers import Answer, Envelope
from troth_protocol.wire.requests import Request

# What a person asks.


@dataclass(frozen=True, slots=True)
class Add:
    """Write to the person behind a card, under a name of our choosing."""

    card: Card
    name: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SendText:
    """Send a text; it is queued whatever the network does."""

    contact: bytes = field(repr=False)
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Accept:
    """Answer a message request, under a name of our choosing if one is given."""

    contact: bytes = field(repr=False)
    name: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Decline:
    """Refuse a message request: forget its keys and texts, and drop whatever else this account sends."""

    contact: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SetVerified:
    """The safety number was compared."""

    contact: bytes = field(repr=False)
    verified: bool = True


@dataclass(frozen=True, slots=True)
class MakeCard:
    """Make a contact card for so many uses and publish it."""

    uses: int


@dataclass(frozen=True, slots=True)
class RevokeCard:
    """Take a card back: its lookup id and capability are erased at our relay."""

    lookup: bytes = field(repr=False)


# What the network brings.


@dataclass(frozen=True, slots=True)
class OwnerConnected:
    """Our relay welcomed our connection; ``tls_key`` is the SHA-256 of the TLS key it showed."""

    relay: bytes = field(repr=False)
    nonce: bytes = field(repr=False)
    tls_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class OwnerLost:
    """The connection to our relay is gone."""


@dataclass(frozen=True, slots=True)
class OwnerAnswered:
    """Our relay answered what ``Ask(reference)`` asked."""

    reference: Reference
    answer: Answer


@dataclass(frozen=True, slots=True)
class Arrived:
    """An envelope from our mailbox."""

    envelope: Envelope


@dataclass(frozen=True, slots=True)
class Drained:
    """Everything that was queued when we connected has arrived."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """A relay answered what ``Submit(reference)`` sent."""

    reference: bytes = field(repr=False)
    answer: Answer


@dataclass(frozen=True, slots=True)
class SubmitFailed:
    """What ``Submit(reference)`` sent got no answer; it may or may not have arrived."""

    reference: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class LedgerRead:
    """Entries of a relay's ledger, from the one after those we hold; ``length`` is what the relay says it has."""

    relay: RelayAddress
    operator: bytes = field(repr=False)
    length: int
    entries: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


Event: TypeAlias = (
    Add | SendText | Accept | Decline | SetVerified | MakeCard | RevokeCard | OwnerConnected | OwnerLost
    | OwnerAnswered | Arrived | Drained | Submitted | SubmitFailed | LedgerRead | Tick
)  # fmt: skip


class Step(Enum):
    """What an owner request was for."""

    CREATE = "create"
    PROVE = "prove"
    ROTATE = "rotate"
    LEAVES = "leaves"
    PUBLISH = "publish"
    UNPUBLISH = "unpublish"
    SPARES = "spares"
    COUNT = "count"
    FETCH = "fetch"


@dataclass(frozen=True, slots=True)
class Reference:
    """Names an owner request: its step and which thing it was about."""

    step: Step
    about: bytes = field(default=b"", repr=False)
    state: bytes = field(default=b"", repr=False)


# What comes out: first the disk.


@dataclass(frozen=True, slots=True)
class Put:
    """Write one record."""

    kind: str
    key: bytes = field(repr=False)
    value: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Delete:
    """Erase one record."""

    kind: str
    key: bytes = field(repr=False)


class MessageState(IntEnum):
    """Where a message in the history stands."""

    QUEUED = 0
    AT_RELAY = 1
    FAILED = 2
    RECEIVED = 3
    NOTICE = 4


@dataclass(frozen=True, slots=True)
class AddMessage:
    """Append to a conversation; a second one with the same id from the same side is not shown again."""

    contact: bytes = field(repr=False)
    id: bytes = field(repr=False)
    state: MessageState
    sent: int
    stored: int
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class MarkMessage:
    """A message of ours moved on."""

    contact: bytes = field(repr=False)
    id: bytes = field(repr=False)
    state: MessageState


@dataclass(frozen=True, slots=True)
class EraseMessages:
    """Erase a conversation."""

    contact: bytes = field(repr=False)


Change: TypeAlias = Put | Delete | AddMessage | MarkMessage | EraseMessages


@dataclass(frozen=True, slots=True)
class Save:
    """All changes of one event, in one transaction. [R-13.1-1]"""

    changes: tuple[Change, ...] = field(repr=False)


# ...then what leaves this machine.


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask our own relay, on the connection that speaks for our mailbox."""

    reference: Reference
    request: Request


@dataclass(frozen=True, slots=True)
class Submit:
    """Ask any relay, on a connection that speaks for nobody. [R-13.1-6]"""

    relay: RelayAddress
    reference: bytes = field(repr=False)
    request: Request


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """These envelopes are saved; the relay may forget them."""

    sequences: tuple[int, ...]


# ...then what a person should see.


class What(Enum):
    """What happened, for whoever shows it."""

    MESSAGE = "message"
    """A message or notice was added to a conversation."""
    STATE = "state"
    """A message of ours moved on."""
    REQUEST = "request"
    """Somebody new wrote; the message waits for a decision."""
    CONTACT = "contact"
    """Something about a contact changed."""
    CARD = "card"
    """A card is published and may be handed over; ``detail`` is its link."""
    ONLINE = "online"
    """Our mailbox is being fetched."""
    DRAINED = "drained"
    """Everything that waited has been read."""
    OFFLINE = "offline"
    """Our relay cannot be reached."""
    REFUSED = "refused"
    """A relay refused for good; ``detail`` says what."""
    ALARM = "alarm"
    """A check failed in a way a person must know; ``detail`` says which."""


@dataclass(frozen=True, slots=True)
class Notify:
    """Something a person may want to see."""

    what: What
    contact: bytes | None = field(default=None, repr=False)
    detail: str = field(default="", repr=False)
    code: str = ""


Effect: TypeAlias = Save | Ask | Submit | Acknowledge | Notify
