"""An in-memory ``Conversations``: a few people, a stranger, and one conversation of any length made as it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from troth_client.events import (
    Accept,
    AcknowledgeChange,
    Add,
    Block,
    Decline,
    DeleteForAll,
    EditText,
    EraseHere,
    Event,
    MessageKey,
    MessageState,
    Notify,
    React,
    Resend,
    SendText,
    SetMuted,
    SetReceipts,
    SetTimer,
    SetVerified,
    Unblock,
    What,
    Withdraw,
)
from troth_client.records import Standing
from troth_client.views import ContactView, Hit, MessageView, Quote, Reaction
from troth_protocol.card import Card, RelayAddress
from troth_protocol.errors import NotReady, TrothError
from troth_protocol.safety import safety_number

ALICE, BOB, STRANGER, CAROL = (bytes([number]) * 32 for number in (0xA1, 0xB0, 0x57, 0xCA))
OWN = bytes([0x0E]) * 32
START = 1_759_000_000
LONG = 100_000


def card(fingerprint: bytes = CAROL, number: int = 0) -> Card:
    lookup = bytes([number]) * 32
    return Card(RelayAddress("relay.example.org", 443, bytes(32)), lookup, bytes(32), fingerprint, bytes(32))


def contact(fingerprint: bytes, name: str, standing: Standing = Standing.ACTIVE, **changes: object) -> ContactView:
    view = ContactView(
        fingerprint=fingerprint, name=name, claimed="", standing=standing, verified=False, confirmed=False, stale=False,
        epoch=0, unread=0, queued=0, last=0,
    )  # fmt: skip
    return replace(view, **changes)  # type: ignore[arg-type]


@dataclass
class History:
    """Messages 1 .. ``made`` are made up when asked for; the rest are kept."""

    made: int = 0
    kept: list[MessageView] = field(default_factory=list)

    @property
    def last(self) -> int:
        return self.kept[-1].row if self.kept else self.made

    def at(self, row: int) -> MessageView:
        state = MessageState.RECEIVED if row % 3 else MessageState.AT_RELAY
        text = f"message {row}" + (" and some more words that have to be wrapped" * (row % 4))
        time = START + (row - self.made) * 60
        return MessageView(row, row.to_bytes(16, "big"), state, time, time, text)

    def before(self, row: int, limit: int) -> list[MessageView]:
        kept = [message for message in self.kept if message.row < row][-limit:]
        end = min(row - 1, self.made)
        return [self.at(at) for at in range(max(end - limit + len(kept), 0) + 1, end + 1)] + kept

    def after(self, row: int, limit: int) -> list[MessageView]:
        made = [self.at(at) for at in range(max(row, 0) + 1, min(max(row, 0) + limit, self.made) + 1)]
        return (made + [message for message in self.kept if message.row > row])[:limit]

    def find(self, key: MessageKey) -> MessageView | None:
        made = int.from_bytes(key.id, "big")
        kept = (message for message in self.kept if message.key == key)
        return next(kept, self.at(made) if 0 < made <= self.made else None)

    def put(self, message: MessageView) -> None:
        self.kept = [message if each.row == message.row else each for each in self.kept]


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
        self.seen: dict[bytes, int] = {}
        self.made_cards: list[str] = []
        self.failure: Exception | None = None
        self.gone: set[bytes] = set()
        """Queued texts that were encrypted already."""
        self.watchers: list[Callable[[Notify], None]] = []
        self.clock = START
        self.receive(BOB, "hi, it is Bob")
        self.receive(BOB, "are you there?")
        self.receive(STRANGER, "hello, we met at the fair")

    # What the window asks.

    def contacts(self) -> list[ContactView]:
        self.contacts_calls += 1
        return sorted(self.people.values(), key=lambda person: (not person.unread, -person.last))

    def history(
        self, contact: bytes, *, before: int | None = None, after: int | None = None, limit: int = 100
    ) -> list[MessageView]:
        self.history_calls.append(before if after is None else after)
        history = self.histories[contact]
        return history.before(before or 2**62, limit) if after is None else history.after(after, limit)

    def message(self, contact: bytes, key: MessageKey) -> MessageView | None:
        found = self.histories[contact].find(key)
        return None if found is None or found.state is MessageState.NOTICE else found

    def mark_read(self, contact: bytes, up_to: int | None = None) -> None:
        self.read.append(contact)
        waiting = [
            message.row
            for message in self.histories[contact].kept
            if message.state is MessageState.RECEIVED and message.row > max(up_to or 2**62, self.seen.get(contact, 0))
        ]
        self.seen[contact] = max(self.seen.get(contact, 0), up_to or self.histories[contact].last)
        self.change(contact, unread=len(waiting), first_unread=waiting[0] if waiting else 0)

    def search(
        self, words: str, *, contact: bytes | None = None, before: int | None = None, limit: int = 50
    ) -> list[Hit]:
        found = []
        for who, history in self.histories.items():
            for message in history.before(before or 2**62, 1_000):
                at = message.text.casefold().find(words.casefold())
                if at >= 0 and contact in {None, who}:
                    snippet = message.text[:80].replace("\n", " ")
                    found.append(Hit(who, message, snippet, ((at, at + len(words)),) if at < 60 else ()))
        return sorted(found, key=lambda hit: -hit.message.row)[:limit]

    def save_draft(self, contact: bytes, text: str) -> None:
        self.change(contact, draft=text)

    def cards(self) -> list[str]:
        return list(self.made_cards)

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
            case SendText(contact, text, reply):
                self._store(contact, MessageState.QUEUED, text, self._quote(contact, reply))
            case EditText(contact, message_id, text):
                self.alter(contact, MessageKey(True, message_id), text=text, edited=self.clock, revision=1)
            case DeleteForAll(contact, message_id):
                self.alter(contact, MessageKey(True, message_id), text="", deleted=True)
            case Withdraw(contact, message_id):
                if message_id in self.gone:
                    raise NotReady("this text is on its way already")
                history = self.histories[contact]
                history.kept = [message for message in history.kept if message.id != message_id]
            case EraseHere(contact, key):
                history = self.histories[contact]
                history.kept = [message for message in history.kept if message.key != key]
                self.tell(What.ALTERED, contact)
            case React(contact, key, sign):
                message = self.histories[contact].find(key)
                assert message is not None
                theirs = tuple(reaction for reaction in message.reactions if not reaction.ours)
                self.alter(contact, key, reactions=theirs + ((Reaction(True, sign),) if sign else ()))
            case Resend(contact, message_id):
                self.alter(contact, MessageKey(True, message_id), state=MessageState.QUEUED, why="")
            case SetTimer(contact, seconds):
                self.change(contact, timer=seconds)
            case SetMuted(contact, on):
                self.change(contact, muted=on)
            case SetReceipts(contact, on) if contact is not None:
                self.change(contact, receipts=on)
            case Block(contact) | Unblock(contact):
                self.change(contact, blocked=isinstance(event, Block))
                self.tell(What.CONTACT, contact)
            case AcknowledgeChange(contact):
                self.change(contact, change="")
                self.tell(What.CONTACT, contact)
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
        self.made_cards.append(card(OWN, len(self.made_cards)).link())
        return self.made_cards[-1]

    # What a test makes happen.

    def tell(self, what: What, contact: bytes | None = None, detail: str = "") -> None:
        for callback in list(self.watchers):
            callback(Notify(what, contact, detail))

    def change(self, contact: bytes, **changes: object) -> None:
        self.people[contact] = replace(self.people[contact], **changes)  # type: ignore[arg-type]

    def receive(self, contact: bytes, text: str, state: MessageState = MessageState.RECEIVED) -> MessageView:
        return self._store(contact, state, text)

    def alter(self, contact: bytes, key: MessageKey, **changes: object) -> None:
        """A kept message is another one now."""
        message = self.histories[contact].find(key)
        assert message is not None
        self.histories[contact].put(replace(message, **changes))  # type: ignore[arg-type]
        self.tell(What.ALTERED, contact)

    def _quote(self, contact: bytes, key: MessageKey | None) -> Quote | None:
        answered = None if key is None else self.histories[contact].find(key)
        return None if key is None or answered is None else Quote(key, answered.row, answered.text[:200])

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

    def _store(self, contact: bytes, state: MessageState, text: str, reply: Quote | None = None) -> MessageView:
        history = self.histories[contact]
        row = history.last + 1
        self.clock += 10
        message = MessageView(row, row.to_bytes(16, "big"), state, self.clock, self.clock, text, reply=reply)
        history.kept.append(message)
        self.change(contact, last=self.clock)
        if state is MessageState.RECEIVED:
            person = self.people[contact]
            self.change(contact, unread=person.unread + 1, first_unread=person.first_unread or row)
        self._count(contact)
        self.tell(What.MESSAGE, contact)
        return message

    def _count(self, contact: bytes) -> None:
        kept = self.histories[contact].kept
        self.change(contact, queued=sum(message.state is MessageState.QUEUED for message in kept))


def contact_asked(added: Card, name: str) -> ContactView:
    return contact(added.fingerprint, name, Standing.ASKED)


def refused(error: TrothError) -> FakeConversations:
    fake = FakeConversations()
    fake.failure = error
    return fake
