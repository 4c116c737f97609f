"""What a person asks of the messenger, as frozen values; every window and command makes these and nothing else.

A message is named by its conversation, by who wrote it, and by the 16 bytes its writer drew for it: the other side may
have drawn the same, so the id alone names nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from troth_protocol.card import Card


@dataclass(frozen=True, slots=True)
class MessageKey:
    """Which message of a conversation: ours or theirs, and its 16-byte id."""

    ours: bool
    id: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Add:
    """Write to the person behind a card, under a name of our choosing."""

    card: Card
    name: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SendText:
    """Send a text, in answer to a message if one is given; it is queued whatever the network does."""

    contact: bytes = field(repr=False)
    text: str = field(repr=False)
    reply: MessageKey | None = None


@dataclass(frozen=True, slots=True)
class EditText:
    """Change the words of a text of ours, here and at the contact."""

    contact: bytes = field(repr=False)
    id: bytes = field(repr=False)
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class DeleteForAll:
    """Take back a text of ours: both sides keep a line without words, as far as theirs obeys."""

    contact: bytes = field(repr=False)
    id: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class EraseHere:
    """Erase a message on this device only, whoever wrote it; a text of ours must not wait to be sent."""

    contact: bytes = field(repr=False)
    message: MessageKey


@dataclass(frozen=True, slots=True)
class React:
    """Put one sign under a message instead of any sign of ours that is there; an empty one takes it away."""

    contact: bytes = field(repr=False)
    message: MessageKey
    sign: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SetTimer:
    """From now on both sides' texts disappear after so many seconds: 0 (never), or 30 to 2,419,200."""

    contact: bytes = field(repr=False)
    seconds: int


@dataclass(frozen=True, slots=True)
class SetReceipts:
    """Tell a contact, or with None everybody not decided one by one, that their texts have arrived; or stop."""

    contact: bytes | None = field(repr=False)
    on: bool


@dataclass(frozen=True, slots=True)
class Resend:
    """Queue once more a text of ours that failed."""

    contact: bytes = field(repr=False)
    id: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Forget a text of ours that is queued and not encrypted yet; NotReady once it is."""

    contact: bytes = field(repr=False)
    id: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Accept:
    """Answer a message request, under a name of our choosing if one is given."""

    contact: bytes = field(repr=False)
    name: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Decline:
    """Refuse a message request: forget its texts and its rights, and drop whatever else this account sends."""

    contact: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Block:
    """Take from a contact every means to write to us; what they send is dropped unseen, and they are not told."""

    contact: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Unblock:
    """Give a blocked contact new means to write."""

    contact: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SetMuted:
    """Announce nothing new of a contact, or announce it again; it is counted all the same, and they are not told."""

    contact: bytes = field(repr=False)
    on: bool


@dataclass(frozen=True, slots=True)
class SetVerified:
    """The safety number was compared."""

    contact: bytes = field(repr=False)
    verified: bool = True


@dataclass(frozen=True, slots=True)
class AcknowledgeChange:
    """The notice that a contact's keys changed was read: from now on we send to the new ones."""

    contact: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class MakeCard:
    """Make a contact card for so many uses and publish it."""

    uses: int


@dataclass(frozen=True, slots=True)
class RevokeCard:
    """Take a card back: its lookup id and capability are erased at our relay."""

    lookup: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class EraseAccount:
    """Have our relay erase our mailbox and everything it holds of us; Notify(ERASED) says that it has."""


Wish: TypeAlias = (
    Add | SendText | EditText | DeleteForAll | EraseHere | React | SetTimer | SetReceipts | Resend | Withdraw | Accept
    | Decline | Block | Unblock | SetMuted | SetVerified | AcknowledgeChange | MakeCard | RevokeCard | EraseAccount
)  # fmt: skip
