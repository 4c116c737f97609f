"""A malicious relay: the real core and store, with everything they say and hear in an attacker's hands.

It may swap, replay, withhold, delay, reorder, show different things to different people, go back to old files, and lie.
``Stranger`` is its companion outside: an account that writes first messages field by field. ``say`` makes a known
contact say what no honest client would.
"""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import simulator
from client.world import START, Disk, Link, Person, RelayCore, Template
from simulator import FirstFlight, Seeded
from troth_client import account, outbox
from troth_client.events import Submit
from troth_client.journal import Journal
from troth_client.records import Peer
from troth_protocol import content, envelope, prekeys
from troth_protocol.card import Card
from troth_protocol.wire import answers, requests
from troth_server import effects
from troth_server.limits import Quotas
from troth_server.storage import STORES

Lie = Callable[[requests.Request], answers.Answer | None]
Rewrite = Callable[[requests.Request], requests.Request]
Tamper = Callable[[answers.Answer], Sequence[answers.Answer]]


@dataclass(frozen=True)
class Seen:
    """A line of the relay's own log: on which connection, when, what."""

    connection: int
    now: int
    request: requests.Request = field(repr=False)


class MaliciousRelay(RelayCore):
    """Hooks: ``lie`` answers instead of the store, ``rewrite`` changes requests, ``tamper`` changes answers."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.folder = folder
        self.log: list[Seen] = []
        self.heard: list[answers.Answer] = []
        self.connections = 0
        self.lie: Lie = lambda request: None
        self.rewrite: Rewrite = lambda request: request
        self.tamper: Tamper = lambda answer: (answer,)

    def link(self, now: int) -> Link:
        """A connection whose both directions pass the attacker."""
        self.connections += 1
        return MaliciousLink(self, now)

    def honest(self) -> None:
        """From now on the relay does what it should."""
        self.lie, self.rewrite, self.tamper = (
            (lambda request: None),
            (lambda request: request),
            (lambda answer: [answer]),
        )

    def asked(self, kind: type[requests.Request]) -> list[requests.Request]:
        """The requests of one kind, in order."""
        return [seen.request for seen in self.log if isinstance(seen.request, kind)]

    def bundles(self) -> list[answers.Bundle]:
        """Every bundle this relay ever served."""
        return [answer for answer in self.heard if isinstance(answer, answers.Bundle)]

    def envelopes(self) -> list[answers.Envelope]:
        """Every envelope this relay ever handed out."""
        return [answer for answer in self.heard if isinstance(answer, answers.Envelope)]

    def photograph(self, to: Path) -> None:
        """Copy the relay's files."""
        self.store.close()
        shutil.copytree(self.folder, to)
        self._reopen()

    def go_back(self, to: Path) -> None:
        """Put an old copy in their place."""
        self.store.close()
        shutil.rmtree(self.folder)
        shutil.copytree(to, self.folder)
        self._reopen()

    def _reopen(self) -> None:
        self.store = STORES["sqlite"](self.folder, Quotas(), lambda reason: None)


class MaliciousLink(Link):
    """One connection to a malicious relay."""

    def __init__(self, relay: MaliciousRelay, now: int) -> None:
        self.evil = relay
        self.name = relay.connections
        super().__init__(relay, now)

    def ask(self, request: requests.Request) -> int:
        """Log it, perhaps change it, perhaps answer it without doing it."""
        self.evil.log.append(Seen(self.name, self.now, request))
        lied = self.evil.lie(request)
        if lied is None:
            return super().ask(self.evil.rewrite(request))
        self.number += 1
        self.incoming.append((self.number, lied))
        return self.number

    def carry_out(self, wanted: list[effects.Effect]) -> None:
        """Pass each answer through the attacker's hands."""
        for effect in wanted:
            if isinstance(effect, effects.Answer):
                number, answer = answers.decode(effect.frame)
                self.evil.heard.append(answer)
                self.incoming += [(number, forged) for forged in self.evil.tamper(answer)]
            else:
                super().carry_out([effect])


class Withholding:
    """A ``tamper`` that keeps envelopes back until they are let go, in any order."""

    def __init__(self) -> None:
        self.held: deque[answers.Envelope] = deque()

    def __call__(self, answer: answers.Answer) -> Sequence[answers.Answer]:
        """Keep envelopes, pass the rest."""
        if isinstance(answer, answers.Envelope):
            self.held.append(answer)
            return ()
        return (answer,)


def begin(template: Template, folder: Path) -> tuple[MaliciousRelay, Person, Person]:
    """Two people who know each other at a relay that turned malicious."""
    relay = MaliciousRelay(template.copied_to(folder))
    return relay, *template.people(relay)


def newcomers(relay: RelayCore, *names: str) -> list[Person]:
    """People who know nobody, connected."""
    people = [Person(name, relay) for name in names]
    for person in people:
        person.connect()
    return people


def everything(disk: Disk) -> dict[str, dict[bytes, bytes]]:
    """All records, to compare with later."""
    return {kind: dict(rows) for kind, rows in disk.rows.items()}


def journal_of(person: Person) -> Journal:
    """What a dishonest client changes in itself."""
    person.messenger._journal.now = person.now
    return person.messenger._journal


def peer_of(person: Person, other: Person) -> Peer:
    """The record of the other's one device."""
    ((_, peer),) = journal_of(person).peers.group(other.fingerprint)
    return peer


def say(person: Person, other: Person, kind: int, raw: bytes) -> None:
    """Send a frame of any type and content on an honest session."""
    journal = journal_of(person)
    outbox._queue(journal, peer_of(person, other).key, kind, raw, b"")
    outbox.pump(journal, peer_of(person, other).key)
    person.perform(journal.commit())


def texts(person: Person, number: int) -> list[Submit]:
    """The submits that wait, without anything else; fails unless there are so many."""
    found = [effect for effect in person.pending if isinstance(effect, Submit)]
    assert len(found) == number
    return found


def as_simulated(person: Person, card: Card) -> simulator.Person:
    """What somebody holding a card can know of a person, as the simulator's first flights want it."""
    ours, latest = person.messenger.own, account.newest(journal_of(person))
    manifest = account.own_manifest(ours)
    statement = prekeys.parse_statement(latest.statement, ours.fingerprint, manifest.devices[0])
    full = [pair or prekeys.OneTimeSecret(bytes(32), bytes(64)) for pair in latest.secrets.one_time]
    leaves = prekeys.make_batch(full)[1]
    return simulator.Person(
        ours.root, ours.signing, ours.identity, ours.kem_identity, manifest, latest.secrets, statement, leaves,
        ours.mailbox, card,
    )  # fmt: skip


@dataclass
class Stranger:
    """An account outside, which writes to somebody whose card it holds, honestly or not."""

    name: str
    victim: simulator.Person
    source: Seeded = field(default_factory=lambda: Seeded("stranger"))

    @property
    def account(self) -> simulator.Person:
        """The stranger's own account."""
        return simulator.person(self.name)

    def writes(self, text: str, leaf: int | None = None) -> FirstFlight:
        """An honest first message."""
        raw = content.Text(self.source.draw(16), START, text).encode()
        return simulator.first_flight(self.account, self.victim, self.source, leaf, raw)

    def forges(self, text: str, **changes: object) -> bytes:
        """A first message whose prefix says something else than the handshake was made with."""
        flight = self.writes(text)
        prefix: envelope.Prefix = replace(flight.prefix, **changes)  # type: ignore[arg-type]
        statement = self.victim.statement
        return envelope.seal(prefix.encode(), flight.message, statement.seal, statement.hash, self.source)

    def delivers(self, relay: RelayCore, sealed: bytes, now: int = START) -> answers.Answer:
        """Put it into the victim's mailbox by the card."""
        card = self.victim.card
        link = relay.link(now)
        link.ask(requests.DeliverFirst(card.lookup, card.capability, 0, self.source.draw(16), sealed))
        return link.incoming.popleft()[1]
