"""What a window or a command shows: frozen values without keys, made from the messenger and the vault."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from .events import Event, MessageState, Notify
from .records import Contact, Standing


@dataclass(frozen=True, slots=True)
class ContactView:
    """A contact as a list shows it."""

    fingerprint: bytes = field(repr=False)
    name: str = field(repr=False)
    """The name we know them by, nobody else's, or the start of the fingerprint; a stranger's is what they claim."""
    claimed: str = field(repr=False)
    standing: Standing
    verified: bool
    confirmed: bool
    """Proved against a quantum attacker: epoch 1 is complete."""
    stale: bool
    """Their first message came under a manifest that had expired."""
    epoch: int
    unread: int
    queued: int
    """Messages of ours that wait: no network, no answer yet, or no token left."""
    last: int
    """When the newest message of the conversation was stored, or 0."""


def contact_view(contact: Contact, epoch: int, queued: int, counts: tuple[int, int, int]) -> ContactView:
    """The view of a contact; ``counts`` are lines, unread lines and when the newest was stored."""
    claimed = contact.claimed if contact.standing is Standing.REQUEST else ""
    name = contact.name or claimed or contact.fingerprint.hex()[:16]
    return ContactView(
        contact.fingerprint, name, contact.claimed, contact.standing, contact.verified, epoch >= 2, contact.stale,
        epoch, counts[1], queued, counts[2] or contact.since,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class MessageView:
    """One line of a conversation; ``row`` ascends in the order things were stored."""

    row: int
    id: bytes = field(repr=False)
    state: MessageState
    sent: int
    stored: int
    text: str = field(repr=False)
    """As written; whoever shows it makes it inert first."""

    @property
    def ours(self) -> bool:
        """Whether we wrote it."""
        return self.state in {MessageState.QUEUED, MessageState.AT_RELAY, MessageState.FAILED}


class Conversations(Protocol):
    """What the windows need of the driver."""

    @property
    def online(self) -> bool:
        """Whether our mailbox is being fetched now."""

    @property
    def own_name(self) -> str:
        """The name we give ourselves, perhaps empty."""

    @property
    def own_fingerprint(self) -> bytes:
        """Our account fingerprint, 32 bytes."""

    def contacts(self) -> list[ContactView]:
        """All contacts, the one with the newest message first."""

    def history(self, contact: bytes, *, before: int | None = None, limit: int = 100) -> list[MessageView]:
        """Up to ``limit`` messages stored before row ``before`` (None: the newest), oldest first."""

    def mark_read(self, contact: bytes) -> None:
        """Everything in the conversation has been seen."""

    def safety_number(self, contact: bytes) -> str:
        """80 digits in 16 groups of 5."""

    def watch(self, callback: Callable[[Notify], None]) -> Callable[[], None]:
        """Call back on every Notify, on the event loop; the answer ends it."""

    async def do(self, event: Event) -> None:
        """Carry out what a person asked; raises TrothError, and returns when it is saved."""

    async def make_card(self, uses: int = 1) -> str:
        """The link of a new published contact card; NetworkError if our relay cannot be reached."""
