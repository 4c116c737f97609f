"""An in-memory ``Conversations``: a few people, a stranger, and one conversation of any length made as it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from troth_client.events import (
    Accept,
    Add,
    Decline,
    Event,
    MessageState,
    Notify,
    SendText,
    SetVerified,
    What,
)
from troth_client.records import Standing
from troth_client.views import ContactView, MessageView
from troth_protocol.card import Card, RelayAddress
from troth_protocol.errors import TrothError
from troth_protocol.safety import safety_number

ALICE, BOB, STRANGER, CAROL = (bytes([number]) * 32 for number in (0xA1, 0xB0, 0x57, 0xCA))
OWN = bytes([0x0E]) * 32
START = 1_759_000_000
LONG = 100_000


def card(fingerprint: bytes = CAROL) -> Card:
    return Card(RelayAddress("relay.example.org", 443, bytes(32)), bytes(32), bytes(32), fingerprint, bytes(32))


def contact(fingerprint: bytes, name: str, standing: Standing = Standing.ACTIVE, **changes: object) -> ContactView:
    view = ContactView(
        fingerprint=fingerprint, name=name, claimed="", standing=standing, verified=False, confirmed=False, stale=False,
        epoch=0, unread=0, queued=0, last=0,
    )  # fmt: skip
    return replace(view, **changes)  # type: ignore[arg-type]


@dataclass
class History:
    """Messages 0 .. ``made`` are made up when asked for; the rest are kept."""

    made: int = 0
    kept: list[MessageView] = field(default_factory=list)

    def __len__(self) -> int:
        return self.made + len(self.kept)

    def at(self, row: int) -> MessageView:
        if row >= self.made:
            return self.kept[row - self.made]
        state = MessageState.RECEIVED if row % 3 else MessageState.AT_RELAY
        text = f"message {row}" + (" and some more words that have to be wrapped" * (row % 4))
        time = START + (row - self.made) * 60
        return MessageView(row, row.to_bytes(16, "big"), state, time, time, text)


class FakeConversations:
    """What the window needs of a driver, and switches to make it fail."""

    def __init__(self, made: int = 40) -> None:
        self.online = True
        self.own_name = "Mira"
        self.own_fingerprint = OWN
        self.people = {
            ALICE: contact(ALICE, "Alice", verified=True, confirmed=True),
            BOB: contact(BOB, "Bob"),
            STRANGER: contact(STRANGER, "Eve", Standing.REQUEST, claimed="Eve"),
        }
        self.histories = {ALICE: History(made), BOB: History(), STRANGER: History()}
        self.events: list[Event] = []
        self.read: list[bytes] = []
        self.history_calls: list[int | None] = []
        self.contacts_calls = 0
        self.failure: Exception | None = None
        self.watchers: list[Callable[[Notify], None]] = []
        self.clock = START
        self.receive(BOB, "hi, it is Bob")
        self.receive(BOB, "are you there?")
        self.receive(STRANGER, "hello, we met at the fair")

    # What the window asks.

    def contacts(self) -> list[ContactView]:
        self.contacts_calls += 1
        return sorted(self.people.values(), key=lambda person: -person.last)

    def history(self, contact: bytes, *, before: int | None = None, limit: int = 100) -> list[MessageView]:
        self.history_calls.append(before)
        history = self.histories[contact]
        end = len(history) if before is None else before
        return [history.at(row) for row in range(max(end - limit, 0), end)]

    def mark_read(self, contact: bytes) -> None:
        self.read.append(contact)
        self.change(contact, unread=0)

    def safety_number(self, contact: bytes) -> str:
        return safety_number(OWN, contact)

    def watch(self, callback: Callable[[Notify], None]) -> Callable[[], None]:
        self.watchers.append(callback)
        return lambda: self.watchers.remove(callback)

    async def do(self, event: Event) -> None:
        if self.failure is not None:
            raise self.failure
        self.events.append(event)
        match event:
            case SendText(contact, text):
                self._store(contact, MessageState.QUEUED, text)
            case Accept(contact, name):
                self.change(contact, standing=Standing.ACTIVE, name=name or self.people[contact].claimed)
                self.tell(What.CONTACT, contact)
            case Decline(contact):
                self.change(contact, standing=Standing.DECLINED, name="", claimed="")
                self.histories[contact] = History()
                self.tell(What.CONTACT, contact)
            case SetVerified(contact, verified):
                self.change(contact, verified=verified)
                self.tell(What.CONTACT, contact)
            case Add(added, name):
                self.people[added.fingerprint] = contact_asked(added, name)
                self.histories[added.fingerprint] = History()
                self.tell(What.CONTACT, added.fingerprint)

    async def make_card(self, uses: int = 1) -> str:
        if self.failure is not None:
            raise self.failure
        return card(OWN).link()

    # What a test makes happen.

    def tell(self, what: What, contact: bytes | None = None, detail: str = "") -> None:
        for callback in list(self.watchers):
            callback(Notify(what, contact, detail))

    def change(self, contact: bytes, **changes: object) -> None:
        self.people[contact] = replace(self.people[contact], **changes)  # type: ignore[arg-type]

    def receive(self, contact: bytes, text: str, state: MessageState = MessageState.RECEIVED) -> None:
        self._store(contact, state, text)

    def mark(self, contact: bytes, state: MessageState) -> None:
        """The newest message of ours moved on."""
        kept = self.histories[contact].kept
        at = max(at for at, message in enumerate(kept) if message.ours)
        kept[at] = replace(kept[at], state=state)
        self._count(contact)
        self.tell(What.STATE, contact)

    def connect(self, online: bool) -> None:
        self.online = online
        self.tell(What.ONLINE if online else What.OFFLINE)

    def _store(self, contact: bytes, state: MessageState, text: str) -> None:
        history = self.histories[contact]
        row = len(history)
        self.clock += 10
        history.kept.append(MessageView(row, row.to_bytes(16, "little"), state, self.clock, self.clock, text))
        self.change(contact, last=self.clock)
        if state is MessageState.RECEIVED:
            self.change(contact, unread=self.people[contact].unread + 1)
        self._count(contact)
        self.tell(What.MESSAGE, contact)

    def _count(self, contact: bytes) -> None:
        kept = self.histories[contact].kept
        self.change(contact, queued=sum(message.state is MessageState.QUEUED for message in kept))


def contact_asked(added: Card, name: str) -> ContactView:
    return contact(added.fingerprint, name, Standing.ASKED)


def refused(error: TrothError) -> FakeConversations:
    fake = FakeConversations()
    fake.failure = error
    return fake
