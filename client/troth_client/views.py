"""What a window or a command shows: frozen values without keys, made from the messenger and the vault."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from .events import Event, MessageKey, MessageState, Notify
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
    blocked: bool = False
    change: str = field(default="", repr=False)
    """What to read about a change of their keys before anything is sent to them again, or nothing."""
    confusable: bool = False
    """Another contact's name looks much like this one: show the fingerprint beside it."""
    timer: int = 0
    """After how many seconds new texts of both sides disappear, 0 never."""
    receipts: bool = False
    """Whether we tell them what has arrived."""
    draft: str = field(default="", repr=False)
    first_unread: int = 0
    """The row of the oldest unread message, 0 without one."""
    muted: bool = False
    """Whether nothing new of theirs is announced; it is counted and shown all the same."""


@dataclass(frozen=True, slots=True)
class ChatCounts:
    """What the vault knows of a conversation without reading it."""

    lines: int = 0
    unread: int = 0
    newest: int = 0
    first_unread: int = 0
    draft: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Terms:
    """What was agreed or decided about a conversation."""

    blocked: bool
    change: str = field(repr=False)
    timer: int
    receipts: bool
    muted: bool


def contact_view(
    contact: Contact, epoch: int, queued: int, counts: ChatCounts, terms: Terms, *, confusable: bool
) -> ContactView:
    """The view of a contact."""
    claimed = contact.claimed if contact.standing is Standing.REQUEST else ""
    name = contact.name or claimed or contact.fingerprint.hex()[:16]
    return ContactView(
        contact.fingerprint, name, contact.claimed, contact.standing, contact.verified, epoch >= 2, contact.stale,
        epoch, counts.unread, queued, counts.newest or contact.since, terms.blocked, terms.change, confusable,
        terms.timer, terms.receipts, counts.draft, counts.first_unread,
        terms.muted,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Quote:
    """The message that another one answers, as it is now."""

    message: MessageKey
    row: int
    """Its row, for a jump, or 0 where we do not have it."""
    text: str = field(repr=False)
    """Its first 200 characters; empty where we do not have it or it was deleted."""


@dataclass(frozen=True, slots=True)
class Reaction:
    """A sign under a message: the writer's choice, at most 40 bytes, to be made inert like any text of theirs."""

    ours: bool
    sign: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class MessageView:
    """One line of a conversation; ``row`` ascends in the order things were stored and is never used again."""

    row: int
    id: bytes = field(repr=False)
    state: MessageState
    sent: int
    """The second its writer's clock showed; whatever they say."""
    stored: int
    """The second it was kept here."""
    text: str = field(repr=False)
    """As written, as last edited, or empty once deleted; whoever shows it makes it inert first."""
    sender: bytes = field(default=b"", repr=False)
    """The account that wrote it; empty for ours and for notices."""
    edited: int = 0
    """When it was last edited by its writer's clock, 0 never."""
    revision: int = 0
    deleted: bool = False
    """Taken back by its writer: a line without words stays."""
    reply: Quote | None = None
    reactions: tuple[Reaction, ...] = ()
    timer: int = 0
    """After how many seconds it disappears, 0 never."""
    expires: int = 0
    """The second it disappears, 0 while that does not run yet: theirs not read, ours not at a relay."""
    why: str = ""
    """Why it failed, in a few words; empty otherwise."""

    @property
    def ours(self) -> bool:
        """Whether we wrote it."""
        return self.state not in {MessageState.RECEIVED, MessageState.NOTICE}

    @property
    def key(self) -> MessageKey:
        """What names it in an event."""
        return MessageKey(self.ours, self.id)


@dataclass(frozen=True, slots=True)
class Hit:
    """One message that a search found."""

    contact: bytes = field(repr=False)
    message: MessageView
    snippet: str = field(repr=False)
    """Words around the hit, one line; not inert."""
    found: tuple[tuple[int, int], ...]
    """Where in the snippet the words are: start and end, in characters."""


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
        """All contacts: those with something unread first, then the one with the newest message."""

    def history(
        self, contact: bytes, *, before: int | None = None, after: int | None = None, limit: int = 100
    ) -> list[MessageView]:
        """Up to ``limit`` messages, oldest first: the newest, the newest before a row, or the oldest after one."""

    def message(self, contact: bytes, key: MessageKey) -> MessageView | None:
        """One message as it is now, or None."""

    def mark_read(self, contact: bytes, up_to: int | None = None) -> None:
        """Everything in the conversation, or up to a row, has been seen; what disappears starts to count."""

    def search(
        self, words: str, *, contact: bytes | None = None, before: int | None = None, limit: int = 50
    ) -> list[Hit]:
        """Messages with all these words or beginnings of words, newest first; none for words without a letter."""

    def save_draft(self, contact: bytes, text: str) -> None:
        """Keep what is being written to a contact; an empty one is forgotten. ``ContactView.draft`` gives it."""

    def safety_number(self, contact: bytes) -> str:
        """80 digits in 16 groups of 5."""

    def cards(self) -> list[str]:
        """The links of our cards that are published and not revoked."""

    def watch(self, callback: Callable[[Notify], None]) -> Callable[[], None]:
        """Call back on every Notify, on the event loop; the answer ends it."""

    async def do(self, event: Event) -> None:
        """Carry out what a person asked; raises TrothError, and returns when it is saved."""

    async def make_card(self, uses: int = 1) -> str:
        """The link of a new published contact card; NetworkError if our relay cannot be reached."""
