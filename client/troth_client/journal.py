"""One event, one transaction: what a handler changes is either all kept or all forgotten.

Handlers read and write through a ``Journal``. When the event is done ``commit`` turns the changes into one ``Save``
that stands before everything the event sends; when a handler raises, ``rollback`` leaves every record as it was. Events
of a batch are kept or undone one by one and committed together: a record that all of them change is written once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, Generic, Protocol, TypeVar

from troth_protocol.card import RelayAddress
from troth_protocol.encoding import u64
from troth_protocol.errors import DecodeError, NoSuchContact
from troth_protocol.primitives import Randomness
from troth_protocol.wire.requests import Request

from .events import (
    Acknowledge,
    AddMessage,
    Ask,
    Change,
    Delete,
    Effect,
    MarkMessage,
    Notify,
    Put,
    Reference,
    Save,
    Submit,
    What,
)
from .records import Account, Contact, Generation, Item, KnownRelay, OwnCard, Peer
from .terms import Chat, Settings
from .views import MessageView
from .wishes import MessageKey


class Record(Protocol):
    """Something with bytes."""

    def encode(self) -> bytes:
        """The record's bytes."""


class Archive(Protocol):
    """Where the history is, too long to hold: a person's wish about a message reads that one. Nothing else reads it."""

    def message(self, contact: bytes, key: MessageKey) -> MessageView | None:
        """One message as it is on disk, or None."""


class NoArchive:
    """The archive of an account that is only being founded."""

    def message(self, contact: bytes, key: MessageKey) -> MessageView | None:
        """None."""
        return None


V = TypeVar("V")


class Table(Generic[V]):
    """Records of one kind with the changes of the present event laid over them."""

    __slots__ = ("_encode", "_group", "_groups", "_pending", "_rows", "_unsaved", "kind")

    def __init__(
        self, kind: str, encode: Callable[[V], bytes], group: Callable[[bytes, V], bytes] | None = None
    ) -> None:
        self.kind = kind
        self._encode = encode
        self._group = group
        self._rows: dict[bytes, V] = {}
        self._groups: dict[bytes, dict[bytes, V]] = {}
        self._pending: dict[bytes, V | None] = {}
        self._unsaved: dict[bytes, None] = {}

    def load(self, rows: Mapping[bytes, V]) -> None:
        """Take over what the vault holds."""
        for key, value in rows.items():
            self._keep(key, value)

    def get(self, key: bytes) -> V | None:
        """The record, or None."""
        if key in self._pending:
            return self._pending[key]
        return self._rows.get(key)

    def put(self, key: bytes, value: V) -> None:
        """Write a record."""
        self._pending[key] = value

    def delete(self, key: bytes) -> None:
        """Erase a record, if it is there."""
        if self.get(key) is not None:
            self._pending[key] = None

    def items(self) -> Iterator[tuple[bytes, V]]:
        """All records in the order they came, changes included."""
        return self._overlay(self._rows, None)

    def count(self, name: bytes) -> int:
        """How many records a group has, changes included."""
        rows = self._groups.get(name, {})
        changed = 0
        for key, value in self._pending.items():
            if value is None:
                changed -= key in rows
            elif key not in rows and self._group is not None:
                changed += self._group(key, value) == name
        return len(rows) + changed

    def group(self, name: bytes) -> Iterator[tuple[bytes, V]]:
        """The records of one group in the order they came, changes included."""
        return self._overlay(self._groups.get(name, {}), name)

    def _overlay(self, rows: dict[bytes, V], name: bytes | None) -> Iterator[tuple[bytes, V]]:
        pending = dict(self._pending)
        for key, value in list(rows.items()):
            present = pending.pop(key, value)
            if present is not None:
                yield key, present
        for key, added in pending.items():
            if added is not None and (name is None or (self._group is not None and self._group(key, added) == name)):
                yield key, added

    def changes(self) -> Iterator[Change]:
        """What was written and erased since the last save; of many writes to one record, the last."""
        for key in self._unsaved:
            value = self._rows.get(key)
            yield Delete(self.kind, key) if value is None else Put(self.kind, key, self._encode(value))
        self._unsaved.clear()

    def commit(self) -> None:
        """Make the event's changes the present."""
        for key, value in self._pending.items():
            self._unsaved[key] = None
            if value is None:
                self._forget(key)
            else:
                self._keep(key, value)
        self._pending.clear()

    def rollback(self) -> None:
        """Forget the event's changes."""
        self._pending.clear()

    def _keep(self, key: bytes, value: V) -> None:
        self._rows[key] = value
        if self._group is not None:
            self._groups.setdefault(self._group(key, value), {})[key] = value

    def _forget(self, key: bytes) -> None:
        value = self._rows.pop(key, None)
        if value is not None and self._group is not None:
            self._groups[self._group(key, value)].pop(key, None)


def _encode(record: Record) -> bytes:
    return record.encode()


PEER_KEY: Final = 48
_ACCOUNT: Final = b"account"


class Journal:
    """All tables, and what the present event does with them."""

    def __init__(self, randomness: Randomness, archive: Archive) -> None:
        self.randomness = randomness
        self.archive = archive
        self.now = 0
        self.accounts: Table[Account] = Table("account", _encode)
        self.generations: Table[Generation] = Table("generation", _encode)
        self.cards: Table[OwnCard] = Table("card", _encode)
        self.contacts: Table[Contact] = Table("contact", _encode)
        self.peers: Table[Peer] = Table("peer", _encode, lambda key, _: key[:32])
        self.items: Table[Item] = Table("item", _encode, lambda _, item: item.peer)
        # nonce of a token we issued -> the peer we gave it to || the second it expires, u64
        self.nonces: Table[bytes] = Table("nonce", bytes, lambda _, given: given[:PEER_KEY])
        # peer key || token we may spend -> the second it expires
        self.tokens: Table[int] = Table("token", u64, lambda key, _: key[:PEER_KEY])
        self.relays: Table[KnownRelay] = Table("relay", _encode)
        self.chats: Table[Chat] = Table("chat", _encode)
        self.settings: Table[Settings] = Table("settings", _encode)
        # contact || id of a text that came and is not confirmed yet -> nothing
        self.receipts: Table[bytes] = Table("receipt", bytes, lambda key, _: key[:32])
        # nonce, or hash of a spare, that our relay shall refuse -> the second it expires by itself
        self.refusals: Table[int] = Table("refusal", u64)
        self._tables: tuple[Table[Account] | Table[Generation] | Table[OwnCard] | Table[Contact] | Table[Peer]
                            | Table[Item] | Table[bytes] | Table[int] | Table[KnownRelay] | Table[Chat]
                            | Table[Settings], ...] = (
            self.accounts, self.generations, self.cards, self.contacts, self.peers, self.items, self.nonces,
            self.tokens, self.relays, self.chats, self.settings, self.receipts, self.refusals,
        )  # fmt: skip
        self._history: list[Change] = []
        self._out: list[Effect] = []
        self._notes: list[Notify] = []
        self._kept = (0, 0, 0)
        self._flying: set[bytes] = set()
        self._asked: set[Reference] = set()
        self._waits: dict[bytes, int] = {}

    def load(self, rows: Mapping[str, Mapping[bytes, bytes]]) -> None:
        """Take over every record of a vault; DecodeError if one does not parse."""
        self.accounts.load({key: Account.decode(raw) for key, raw in rows.get("account", {}).items()})
        self.generations.load({key: Generation.decode(raw) for key, raw in rows.get("generation", {}).items()})
        self.cards.load({key: OwnCard.decode(raw) for key, raw in rows.get("card", {}).items()})
        self.contacts.load({key: Contact.decode(raw) for key, raw in rows.get("contact", {}).items()})
        self.peers.load({key: Peer.decode(raw) for key, raw in rows.get("peer", {}).items()})
        self.items.load({key: Item.decode(raw) for key, raw in sorted(rows.get("item", {}).items())})
        self.nonces.load(rows.get("nonce", {}))
        self.tokens.load({key: int.from_bytes(raw, "big") for key, raw in rows.get("token", {}).items()})
        self.relays.load({key: KnownRelay.decode(raw) for key, raw in rows.get("relay", {}).items()})
        self.chats.load({key: Chat.decode(raw) for key, raw in rows.get("chat", {}).items()})
        self.settings.load({key: Settings.decode(raw) for key, raw in rows.get("settings", {}).items()})
        self.receipts.load(rows.get("receipt", {}))
        self.refusals.load({key: int.from_bytes(raw, "big") for key, raw in rows.get("refusal", {}).items()})
        if self.accounts.get(_ACCOUNT) is None:
            raise DecodeError("account", 0, "the vault holds no account")

    @property
    def account(self) -> Account:
        """Our account."""
        account = self.accounts.get(_ACCOUNT)
        if account is None:
            raise DecodeError("account", 0, "the vault holds no account")
        return account

    def set_account(self, account: Account) -> None:
        """Write our account."""
        self.accounts.put(_ACCOUNT, account)

    def contact(self, fingerprint: bytes) -> Contact:
        """A contact we have; NoSuchContact."""
        contact = self.contacts.get(fingerprint)
        if contact is None:
            raise NoSuchContact("there is no such contact")
        return contact

    def remember(self, change: Change) -> None:
        """Write to the history."""
        self._history.append(change)
        if isinstance(change, AddMessage):
            self.notify(What.MESSAGE, change.contact)
        elif not isinstance(change, MarkMessage | Put | Delete):
            self.notify(What.ALTERED, change.contact)

    def ask(self, reference: Reference, request: Request) -> None:
        """Ask our relay, after the save, unless the same thing is being asked already."""
        if reference not in self._asked and not any(isinstance(e, Ask) and e.reference == reference for e in self._out):
            self._out.append(Ask(reference, request))

    def answered(self, reference: Reference) -> None:
        """What was asked has its answer."""
        self._asked.discard(reference)

    def owner_lost(self) -> None:
        """Nothing that was asked of our relay will be answered."""
        self._asked.clear()

    def submit(self, relay: RelayAddress, reference: bytes, request: Request) -> None:
        """Ask any relay, after the save, unless the same thing is on its way."""
        if not self.flying(reference):
            self._out.append(Submit(relay, reference, request))

    def flying(self, reference: bytes) -> bool:
        """Whether what ``reference`` names has been submitted and not answered."""
        return reference in self._flying or any(isinstance(e, Submit) and e.reference == reference for e in self._out)

    def landed(self, reference: bytes) -> None:
        """What was submitted has its answer, or will get none."""
        self._flying.discard(reference)

    def wait(self, peer: bytes, until: int) -> None:
        """Nothing is submitted for this peer before ``until``."""
        self._waits[peer] = until

    def waiting(self, peer: bytes) -> bool:
        """Whether deliveries to this peer are put off."""
        return self.now < self._waits.get(peer, 0)

    def reconnected(self) -> None:
        """The network is back: put nothing off."""
        self._waits.clear()

    def acknowledge(self, sequence: int) -> None:
        """Let the relay forget an envelope, after the save. [R-13.1-3]"""
        self._out.append(Acknowledge((sequence,)))

    def notify(self, what: What, contact: bytes | None = None, detail: str = "", code: str = "") -> None:
        """Tell whoever watches, last of all."""
        self._notes.append(Notify(what, contact, detail, code))

    def begin(self, now: int) -> None:
        """The next event; what came before it is not undone with it."""
        self.now = now
        self._kept = (len(self._history), len(self._out), len(self._notes))

    def keep(self) -> None:
        """The event is done: its changes are the present, and go out with the next commit."""
        for table in self._tables:
            table.commit()

    def commit(self) -> list[Effect]:
        """One Save of everything changed, then what goes out, then what is shown. [R-13.1-1]"""
        self.keep()
        changes = [change for table in self._tables for change in table.changes()] + self._history
        effects: list[Effect] = [Save(tuple(changes))] if changes else []
        self._flying.update(effect.reference for effect in self._out if isinstance(effect, Submit))
        self._asked.update(effect.reference for effect in self._out if isinstance(effect, Ask))
        effects += self._out
        effects += self._notes
        for gone in (self._history, self._out, self._notes):
            gone.clear()
        self._kept = (0, 0, 0)
        return effects

    def rollback(self) -> None:
        """Forget the event."""
        for table in self._tables:
            table.rollback()
        history, out, notes = self._kept
        del self._history[history:], self._out[out:], self._notes[notes:]
