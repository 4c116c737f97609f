"""Two people's messengers and a real relay core with a real store, without sockets or clocks: every step is ours.

What a messenger wants sent waits in ``Person.pending`` until a test lets it through, loses it, or crashes the person.
"""

from __future__ import annotations

import queue
import shutil
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import apsw

from troth_client.events import (
    Accept,
    Acknowledge,
    Add,
    AddMessage,
    Arrived,
    Ask,
    Delete,
    Drained,
    Effect,
    Event,
    MakeCard,
    MessageKey,
    MessageState,
    Notify,
    OwnerAnswered,
    OwnerConnected,
    OwnerLost,
    Put,
    Reference,
    Save,
    SendText,
    Submit,
    SubmitFailed,
    Submitted,
    Tick,
    What,
)
from troth_client.messenger import Messenger
from troth_client.vault import schema
from troth_client.vault.messages import Messages
from troth_client.views import MessageView
from troth_protocol.card import Card, RelayAddress
from troth_protocol.primitives import SystemRandomness
from troth_protocol.wire import VERSION, answers, requests
from troth_server import commands, effects
from troth_server.allowance import Allowance, Shared
from troth_server.connection import Connection, Identity
from troth_server.gate import Visit
from troth_server.limits import Bucket, Quotas, Rates
from troth_server.storage import STORES, Store

RELAY = RelayAddress("relay.example", 7443, b"r" * 32)
TLS_KEY = b"t" * 32
START = 1_800_000_000


class Disk:
    """What a vault would hold: records in a dictionary, messages in the vault's own tables in memory."""

    def __init__(self, rows: dict[str, dict[bytes, bytes]] | None = None) -> None:
        self.rows = rows if rows is not None else {}
        self.db = apsw.Connection(":memory:")
        schema.create(self.db)
        self.tables = Messages(self.db)

    def apply(self, save: Save) -> None:
        """One transaction."""
        with self.db:
            for change in save.changes:
                match change:
                    case Put(kind, key, value):
                        self.rows.setdefault(kind, {})[key] = value
                    case Delete(kind, key):
                        self.rows.get(kind, {}).pop(key, None)
                    case _:
                        self.tables.apply(change)

    def message(self, contact: bytes, key: MessageKey) -> MessageView | None:
        """One message, for the messenger."""
        return self.tables.one(contact, key)

    def lines(self, contact: bytes) -> list[MessageView]:
        """A conversation, oldest first."""
        return self.tables.read(contact, "m.row > ?2", (0,), down=False, limit=-1)

    @property
    def messages(self) -> list[AddMessage]:
        """Every message of every conversation in the order they were stored, as it stands now."""
        contacts = [contact for (contact,) in self.db.execute("SELECT contact FROM chat")]
        found = sorted((line.row, contact, line) for contact in contacts for line in self.lines(contact))
        return [
            AddMessage(contact, line.id, line.state, line.sent, line.stored, line.text, line.timer)
            for _, contact, line in found
        ]

    def copy(self) -> Disk:
        """An independent copy."""
        copied = Disk({kind: dict(rows) for kind, rows in self.rows.items()})
        with copied.db.backup("main", self.db, "main") as backup:
            backup.step()
        return copied

    def received(self) -> list[str]:
        """Texts that arrived, in order."""
        return [m.text for m in self.messages if m.state is MessageState.RECEIVED]


class RelayCore:
    """The relay's real core and store, called by hand."""

    def __init__(self, folder: Path) -> None:
        self.store: Store = STORES["sqlite"](folder, Quotas(), lambda reason: None)
        self.links: dict[bytes, Link] = {}
        self.identity = Identity(RELAY.fingerprint, TLS_KEY, bytes(1_984), (), bytes(32), b"d" * 32)
        self.shared = Shared(Rates(), Bucket(1_000, 1_000))
        self.deposits: deque[commands.Deposited] = deque()

    def link(self, now: int) -> Link:
        """A new connection."""
        return Link(self, now)

    def run(self, command: commands.Command) -> commands.Outcome:
        """A command's outcome, once it is on disk."""
        done: queue.Queue[commands.Outcome] = queue.Queue()
        self.store.submit(command, done.put)
        return done.get(timeout=10)

    def announce(self) -> None:
        """Tell subscribers what was deposited."""
        while self.deposits:
            deposit = self.deposits.popleft()
            link = self.links.get(deposit.mailbox)
            if link is not None:
                link.carry_out(link.core.deposited(deposit.row, link.now))


class Link:
    """One connection to the relay, hello said."""

    def __init__(self, relay: RelayCore, now: int) -> None:
        self.relay = relay
        self.now = now
        self.nonce = SystemRandomness().draw(32)
        self.core = Connection(self.nonce, relay.identity, Allowance(relay.shared, Visit()))
        self.incoming: deque[tuple[int, answers.Answer]] = deque()
        self.number = 0
        self.ask(requests.Hello(VERSION))
        self.incoming.clear()

    def ask(self, request: requests.Request) -> int:
        """Send a request; its answers are in ``incoming`` at once."""
        self.number += 1
        self.carry_out(self.core.receive(requests.encode(self.number, request), self.now))
        return self.number

    def carry_out(self, wanted: list[effects.Effect]) -> None:
        """Do what the relay's core wants."""
        for effect in wanted:
            match effect:
                case effects.Answer(frame):
                    self.incoming.append(answers.decode(frame))
                case effects.Ask():
                    outcome = self.relay.run(effect.command)
                    self.carry_out(self.core.result(effect, outcome, self.now))
                    if isinstance(outcome, commands.Deposited):
                        self.relay.deposits.append(outcome)
                case effects.Subscribe(mailbox):
                    self.relay.links[mailbox] = self
                case effects.Close():
                    pass
        self.relay.announce()


class Person:
    """A messenger, its disk, and what it wants sent."""

    def __init__(self, name: str, relay: RelayCore, disk: Disk | None = None, now: int = START) -> None:
        self.name = name
        self.relay = relay
        self.now = now
        self.disk = disk or Disk()
        self.pending: deque[Effect] = deque()
        self.told: list[Notify] = []
        self.owner: Link | None = None
        self.asked: dict[int, Reference] = {}
        if disk is None:
            for effect in Messenger(SystemRandomness()).found(name, RELAY, now):
                assert isinstance(effect, Save)
                self.disk.apply(effect)
        self.messenger = Messenger.load(self.disk.rows, SystemRandomness(), self.disk)

    def handle(self, event: Event) -> list[Effect]:
        """One event: the Save is carried out, the rest waits. [R-13.1-1]"""
        return self.perform(self.messenger.handle(event, self.now))

    def perform(self, wanted: list[Effect]) -> list[Effect]:
        """Save first, then let the rest wait."""
        saves = [place for place, effect in enumerate(wanted) if isinstance(effect, Save)]
        assert saves in ([], [0]), "one Save, and before everything else"
        for effect in wanted:
            if isinstance(effect, Save):
                self.disk.apply(effect)
            elif isinstance(effect, Notify):
                self.told.append(effect)
            else:
                self.pending.append(effect)
        return wanted

    def connect(self) -> None:
        """Connect to our relay."""
        self.owner = self.relay.link(self.now)
        self.asked.clear()
        self.handle(OwnerConnected(RELAY.fingerprint, self.owner.nonce, TLS_KEY))

    def lose(self) -> None:
        """Every connection breaks: what waits is not sent, and what was sent gets no answer."""
        lost = [effect for effect in self.pending if isinstance(effect, Submit)]
        self.pending.clear()
        self.owner = None
        self.handle(OwnerLost())
        for effect in lost:
            self.handle(SubmitFailed(effect.reference))

    def crash(self) -> None:
        """The process dies: only the disk stays."""
        self.pending.clear()
        self.owner = None
        self.messenger = Messenger.load(self.disk.rows, SystemRandomness(), self.disk)

    def step(self, *, answer: bool = True) -> bool:
        """Let one pending effect through; with ``answer`` False it arrives but its answer is lost."""
        if not self.pending:
            return self._take()
        effect = self.pending.popleft()
        if isinstance(effect, Submit):
            link = self.relay.link(self.now)
            link.ask(effect.request)
            if answer and link.incoming:
                self.handle(Submitted(effect.reference, link.incoming.popleft()[1]))
            else:
                self.handle(SubmitFailed(effect.reference))
        elif self.owner is not None and isinstance(effect, Ask):
            self.asked[self.owner.ask(effect.request)] = effect.reference
        elif self.owner is not None and isinstance(effect, Acknowledge):
            self.owner.ask(requests.Acknowledge(effect.sequences))
        return True

    def _take(self) -> bool:
        """Read one answer from our relay."""
        if self.owner is None or not self.owner.incoming:
            return False
        number, got = self.owner.incoming.popleft()
        if isinstance(got, answers.Envelope):
            self.handle(Arrived(got))
        elif isinstance(got, answers.Drained):
            self.handle(Drained())
        elif number in self.asked:
            self.handle(OwnerAnswered(self.asked.pop(number), got))
        return True

    def send(self, to: Person, text: str) -> None:
        """Queue a text."""
        self.handle(SendText(to.fingerprint, text))

    @property
    def fingerprint(self) -> bytes:
        """The account's fingerprint."""
        return self.messenger.own.fingerprint

    def make_card(self) -> Card:
        """A card, published."""
        self.handle(MakeCard(1))
        settle(self)
        return Card.from_link([note.detail for note in self.told if note.what is What.CARD][-1])


def settle(*people: Person, seconds: int = 600) -> None:
    """Let everything through, with time passing, until nothing moves."""
    quiet = 0
    for second in range(seconds):
        quiet += 1
        for person in people:
            person.now += 1
            if person.owner is not None:
                person.owner.now = person.now
            if second % 10 == 0:
                person.handle(Tick())
            while person.step():
                quiet = 0
        if quiet > 45:
            return


def introduce(one: Person, other: Person) -> None:
    """One adds the other's card, the other accepts."""
    one.handle(Add(other.make_card(), ""))
    settle(one, other)
    other.handle(Accept(one.fingerprint))
    settle(one, other)


@dataclass
class Template:
    """Two people who know each other, to start many examples from."""

    folder: Path
    disks: tuple[Disk, Disk]
    now: int

    @classmethod
    def make(cls, folder: Path) -> Template:
        """Introduce two people at a fresh relay."""
        relay = RelayCore(folder)
        one, other = Person("one", relay), Person("other", relay)
        one.connect()
        other.connect()
        settle(one, other)
        introduce(one, other)
        relay.store.close()
        return cls(folder, (one.disk, other.disk), max(one.now, other.now))

    def begin(self, folder: Path) -> tuple[RelayCore, Person, Person]:
        """A copy of everything, connected."""
        relay = RelayCore(self.copied_to(folder))
        return relay, *self.people(relay)

    def copied_to(self, folder: Path) -> Path:
        """The relay's files, copied."""
        return shutil.copytree(self.folder, folder, dirs_exist_ok=True)

    def people(self, relay: RelayCore) -> tuple[Person, Person]:
        """Copies of both, connected to this relay."""
        one, other = (Person(n, relay, d.copy(), self.now) for n, d in zip("ab", self.disks, strict=True))
        one.connect()
        other.connect()
        return one, other
