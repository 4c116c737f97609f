"""Everything that goes into the messenger and comes out of it, as frozen values.

Events in: what a person asked (``wishes``, all of them exported here too), what a relay answered, time passing. Effects
out: one ``Save`` first, then what leaves this machine, then what a person should be shown.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import TypeAlias

from troth_protocol.card import RelayAddress
from troth_protocol.wire.answers import Answer, Envelope
from troth_protocol.wire.requests import Request

from .wishes import (
    Accept,
    AcknowledgeChange,
    Add,
    Block,
    Decline,
    DeleteForAll,
    EditText,
    EraseAccount,
    EraseHere,
    MakeCard,
    MessageKey,
    React,
    Resend,
    RevokeCard,
    SendText,
    SetMuted,
    SetReceipts,
    SetTimer,
    SetVerified,
    Unblock,
    Wish,
    Withdraw,
)

__all__ = [
    "Accept", "Acknowledge", "AcknowledgeChange", "Add", "AddMessage", "Arrived", "Ask", "Block", "Change", "Decline",
    "Delete", "DeleteForAll", "DeleteMessage", "Drained", "EditMessage", "EditText", "Effect", "EraseAccount",
    "EraseHere", "EraseMessage", "EraseMessages", "Event", "LedgerRead", "MakeCard", "MarkMessage", "MessageKey",
    "MessageState", "Notify", "OwnerAnswered", "OwnerConnected", "OwnerLost", "Put", "PutReaction", "React",
    "Reference", "Resend", "RevokeCard", "Save", "SendText", "SetMuted", "SetReceipts", "SetTimer", "SetVerified",
    "Step", "Submit", "SubmitFailed", "Submitted", "Tick", "Unblock", "What", "Wish", "Withdraw",
]  # fmt: skip

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
    """Time has passed; what has expired by the second ``due`` may be erased, by now if None. [R-13.4-2]"""

    due: int | None = None


Event: TypeAlias = (
    Wish | OwnerConnected | OwnerLost | OwnerAnswered | Arrived | Drained | Submitted | SubmitFailed | LedgerRead | Tick
)


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
    ERASE = "erase"
    REFUSE = "refuse"


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
    """Where a message in the history stands; the numbers are those of the vault."""

    QUEUED = 0
    """Ours; no relay has it yet."""
    AT_RELAY = 1
    """Ours; their relay has it on disk."""
    FAILED = 2
    """Ours; refused for good, and not sent again by itself."""
    RECEIVED = 3
    """Theirs."""
    NOTICE = 4
    """Nobody's: something the program says."""
    DELIVERED = 5
    """Ours; their client says that it has it."""


@dataclass(frozen=True, slots=True)
class AddMessage:
    """Append to a conversation; a second one with the same id from the same side is not shown again.

    ``timer`` is after how many seconds it disappears, 0 never. What was deleted before it came is not added.
    """

    contact: bytes = field(repr=False)
    id: bytes = field(repr=False)
    state: MessageState
    sent: int
    stored: int
    text: str = field(repr=False)
    timer: int = 0
    reply: MessageKey | None = None


@dataclass(frozen=True, slots=True)
class MarkMessage:
    """A message of ours moved on at second ``at``; never backwards. ``why`` says why it failed."""

    contact: bytes = field(repr=False)
    id: bytes = field(repr=False)
    state: MessageState
    at: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class EditMessage:
    """New words for a message, unless it has a revision as high, was deleted, or is not there."""

    contact: bytes = field(repr=False)
    message: MessageKey
    revision: int
    edited: int
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class DeleteMessage:
    """Take the words out of a message for good; kept for a while if the message is not there yet."""

    contact: bytes = field(repr=False)
    message: MessageKey
    now: int


@dataclass(frozen=True, slots=True)
class PutReaction:
    """The sign one side has under a message, empty for none: the latest by ``time``; nothing if it is unknown."""

    contact: bytes = field(repr=False)
    message: MessageKey
    ours: bool
    time: int
    sign: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class EraseMessage:
    """Erase one message."""

    contact: bytes = field(repr=False)
    message: MessageKey


@dataclass(frozen=True, slots=True)
class EraseMessages:
    """Erase a conversation."""

    contact: bytes = field(repr=False)


Change: TypeAlias = (
    Put | Delete | AddMessage | MarkMessage | EditMessage | DeleteMessage | PutReaction | EraseMessage | EraseMessages
)


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
    ALTERED = "altered"
    """Lines of a conversation were edited, deleted, reacted to, or have disappeared: read the page again."""
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
    CHANGED = "changed"
    """A contact's keys changed; nothing is sent to them until AcknowledgeChange. ``detail`` is what to read."""
    ERASED = "erased"
    """Our relay has erased our mailbox."""
    ROUTE = "route"
    """Something about the routes changed; ``detail`` and ``code`` are of the one that failed last, or empty."""


@dataclass(frozen=True, slots=True)
class Notify:
    """Something a person may want to see."""

    what: What
    contact: bytes | None = field(default=None, repr=False)
    detail: str = field(default="", repr=False)
    code: str = ""


Effect: TypeAlias = Save | Ask | Submit | Acknowledge | Notify
