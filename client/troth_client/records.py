"""What a client keeps: frozen records, and each one's bytes in the vault. SPEC.md section 13.3.

Nothing here is ever sent. A record's kind is its table in the vault; its key is unique within the kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from troth_protocol.address import MAX_INVITE
from troth_protocol.card import Card, RelayAddress
from troth_protocol.encoding import Reader, lp, u8, u16, u32, u64
from troth_protocol.envelope import MAX_RETURN_ADDRESS, ReturnAddress
from troth_protocol.keys import SEAL_PUBLIC_SIZE, DhPrivateKey, KemPrivateKey, SigningKey
from troth_protocol.ledger import Descriptor, Ledger
from troth_protocol.manifest import MAX_SIZE as MAX_MANIFEST
from troth_protocol.manifest import History
from troth_protocol.pairing import Pair
from troth_protocol.prekeys import STATEMENT_SIZE, PrekeySecrets
from troth_protocol.snapshot import (
    decode_pair,
    decode_prekeys,
    encode_pair,
    encode_prekeys,
    read_time_or_never,
    time_or_never,
)
from troth_protocol.token import MailboxEpoch

_LARGE: Final = 1 << 20


def _flag(reader: Reader, name: str) -> bool:
    return bool(reader.u8(name, 1))


@dataclass(frozen=True, slots=True, repr=False)
class Account:
    """Our keys, our manifest, our mailbox."""

    name: str
    root: SigningKey
    signing: SigningKey
    identity: DhPrivateKey
    kem_identity: KemPrivateKey
    device_id: bytes
    manifest: bytes
    relay: RelayAddress
    mailbox: bytes
    owner_secret: bytes
    epochs: tuple[MailboxEpoch, ...]
    rotated: bool
    registered: bool
    drained: int
    next_item: int
    invite: bytes = b""
    """What our relay asks for before it makes our mailbox; forgotten once it has. [R-5.2-2]"""

    @property
    def fingerprint(self) -> bytes:
        """Our account fingerprint, 32 bytes."""
        return self.root.public.fingerprint()

    def encode(self) -> bytes:
        """The record's bytes."""
        seeds = self.root.ed25519_seed + self.root.mldsa_seed + self.signing.ed25519_seed + self.signing.mldsa_seed
        epochs = b"".join(epoch.key + u64(epoch.expires) for epoch in self.epochs)
        flags = u8(self.rotated) + u8(self.registered) + u64(self.drained) + u64(self.next_item)
        return b"".join(
            (
                lp(self.name.encode()), seeds, self.identity.raw, self.kem_identity.seed, self.device_id,
                lp(self.manifest), self.relay.encode(), self.mailbox, self.owner_secret, u8(len(self.epochs)), epochs,
                flags, lp(self.invite) if self.invite else b"",
            )
        )  # fmt: skip

    @classmethod
    def decode(cls, raw: bytes) -> Account:
        """The record of ``encode``."""
        reader = Reader(raw)
        name = reader.text("name", 256)
        root = SigningKey(reader.fixed("seed", 32), reader.fixed("seed", 32))
        signing = SigningKey(reader.fixed("seed", 32), reader.fixed("seed", 32))
        identity, kem = DhPrivateKey.load(reader.fixed("dik", 32)), KemPrivateKey(reader.fixed("kik", 64))
        device_id, manifest = reader.fixed("device", 16), reader.lp("manifest", MAX_MANIFEST)
        relay = RelayAddress.read(reader)
        mailbox, secret = reader.fixed("mailbox", 32), reader.fixed("owner secret", 32)
        epochs = tuple(
            MailboxEpoch(reader.fixed("epoch", 32), reader.u64("expires")) for _ in range(reader.u8("epochs", 3))
        )
        rotated, registered = _flag(reader, "rotated"), _flag(reader, "registered")
        account = cls(
            name, root, signing, identity, kem, device_id, manifest, relay, mailbox, secret, epochs, rotated,
            registered, reader.u64("drained"), reader.u64("next item"),
            reader.lp("invitation", MAX_INVITE, 1) if reader.left else b"",
        )  # fmt: skip
        reader.end()
        return account


@dataclass(frozen=True, slots=True)
class Generation:
    """One prekey statement of ours with its private halves and the first messages it has seen. [R-13.1-5]"""

    number: int
    secrets: PrekeySecrets
    statement: bytes = field(repr=False)
    hash: bytes = field(repr=False)
    manifest_hash: bytes = field(repr=False)
    issued: int
    expires: int
    replaced: int | None
    pages: int
    seen: Mapping[bytes, bytes] = field(repr=False)

    def encode(self) -> bytes:
        """The record's bytes."""
        seen = b"".join(digest + sid for digest, sid in self.seen.items())
        times = u64(self.issued) + u64(self.expires) + time_or_never(self.replaced) + u8(self.pages)
        head = u32(self.number) + lp(encode_prekeys(self.secrets)) + lp(self.statement)
        return head + self.hash + self.manifest_hash + times + u32(len(self.seen)) + seen

    @classmethod
    def decode(cls, raw: bytes) -> Generation:
        """The record of ``encode``."""
        reader = Reader(raw)
        number, secrets = reader.u32("number"), decode_prekeys(reader.lp("secrets", _LARGE))
        statement = reader.lp("statement", STATEMENT_SIZE)
        hash_, manifest_hash = reader.fixed("hash", 32), reader.fixed("manifest hash", 32)
        issued, expires, replaced = reader.u64("issued"), reader.u64("expires"), read_time_or_never(reader)
        pages, count = reader.u8("pages"), reader.u32("seen")
        seen = {reader.fixed("digest", 32): reader.fixed("sid", 32) for _ in range(count)}
        reader.end()
        return cls(number, secrets, statement, hash_, manifest_hash, issued, expires, replaced, pages, seen)


@dataclass(frozen=True, slots=True)
class OwnCard:
    """A lookup id of ours: a card to hand out, or (``uses`` 0) where contacts fetch our bundle for recovery."""

    lookup: bytes = field(repr=False)
    key: bytes = field(repr=False)
    capability: bytes = field(repr=False)
    uses: int
    made: int
    published: bytes = field(repr=False)
    revoked: bool = False

    def encode(self) -> bytes:
        """The record's bytes; ``published`` is the hash of the statement the relay holds, or zeros."""
        ids = self.lookup + self.key + self.capability
        return ids + u16(self.uses) + u64(self.made) + self.published + u8(self.revoked)

    @classmethod
    def decode(cls, raw: bytes) -> OwnCard:
        """The record of ``encode``."""
        reader = Reader(raw)
        lookup, key, capability = (reader.fixed("id", 32) for _ in range(3))
        card = cls(
            lookup, key, capability, reader.u16("uses"), reader.u64("made"), reader.fixed("published", 32),
            _flag(reader, "revoked"),
        )  # fmt: skip
        reader.end()
        return card


class Standing(IntEnum):
    """How we stand with an account."""

    ADDING = 0
    """We hold a card and have not got the bundle yet."""
    ASKED = 1
    """We wrote first and wait for an answer."""
    REQUEST = 2
    """They wrote first and wait for ours."""
    ACTIVE = 3
    DECLINED = 4
    REFUSED = 5
    """Their card is used up, revoked or unknown; a new card begins again."""


@dataclass(frozen=True, slots=True)
class Contact:
    """Somebody else's account."""

    fingerprint: bytes = field(repr=False)
    name: str = field(repr=False)
    claimed: str = field(repr=False)
    standing: Standing
    verified: bool
    stale: bool
    since: int
    history: History
    card: str = field(repr=False)

    def encode(self) -> bytes:
        """The record's bytes; ``claimed`` is the name they give themselves, ``card`` the link not yet used up."""
        known = b"".join(u64(version) + digest for version, digest in self.history.known.items())
        flags = u8(self.standing) + u8(self.verified) + u8(self.stale) + u64(self.since)
        names = lp(self.name.encode()) + lp(self.claimed.encode()) + lp(self.card.encode())
        return self.fingerprint + names + flags + u16(len(self.history.known)) + known

    @classmethod
    def decode(cls, raw: bytes) -> Contact:
        """The record of ``encode``."""
        reader = Reader(raw)
        fingerprint = reader.fixed("fp", 32)
        name, claimed, card = reader.text("name", 256), reader.text("claimed", 256), reader.text("card", 2_048)
        standing = Standing(reader.u8("standing", max(Standing)))
        verified, stale, since = _flag(reader, "verified"), _flag(reader, "stale"), reader.u64("since")
        known = {reader.u64("version"): reader.fixed("hash", 32) for _ in range(reader.u16("versions"))}
        reader.end()
        return cls(fingerprint, name, claimed, standing, verified, stale, since, History(known), card)

    def contact_card(self) -> Card:
        """The card we were given."""
        return Card.from_link(self.card)


@dataclass(frozen=True, slots=True)
class Flight:
    """Our first messages to somebody who has not answered: the prefix, and what pays for it."""

    prefix: bytes = field(repr=False)
    seal: bytes = field(repr=False)
    statement_hash: bytes = field(repr=False)
    relay: RelayAddress
    lookup: bytes = field(repr=False)
    capability: bytes = field(repr=False)
    slot: int
    sent: int

    def encode(self) -> bytes:
        """The flight's bytes; ``slot`` is the device's place in the manifest."""
        ids = self.lookup + self.capability + u8(self.slot) + u8(self.sent)
        return lp(self.prefix) + self.seal + self.statement_hash + self.relay.encode() + ids

    @classmethod
    def read(cls, reader: Reader) -> Flight:
        """Parse a flight."""
        prefix, seal = reader.lp("prefix", _LARGE), reader.fixed("seal", SEAL_PUBLIC_SIZE)
        statement_hash, relay = reader.fixed("hash", 32), RelayAddress.read(reader)
        return cls(
            prefix, seal, statement_hash, relay, reader.fixed("lookup", 32), reader.fixed("cap", 32),
            reader.u8("slot"), reader.u8("sent"),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Peer:
    """One device of a contact: sessions, where it is reached, and what we gave it.

    ``announce`` is our return address, repeated until they are known to hold it; ``spare`` is what we gave them.
    """

    fingerprint: bytes = field(repr=False)
    device_id: bytes = field(repr=False)
    pair: Pair
    address: ReturnAddress | None
    flight: Flight | None
    announce: ReturnAddress | None
    spare: bytes = field(repr=False)
    spare_registered: bool
    spare_used: int | None
    their_stock: int
    top_up_due: int | None

    @property
    def key(self) -> bytes:
        """Fingerprint 32 || device id 16."""
        return self.fingerprint + self.device_id

    def encode(self) -> bytes:
        """The record's bytes."""
        flight = u8(0) if self.flight is None else u8(1) + self.flight.encode()
        spare = self.spare + u8(self.spare_registered) + time_or_never(self.spare_used)
        state = u16(self.their_stock) + time_or_never(self.top_up_due)
        return (
            self.key
            + lp(encode_pair(self.pair))
            + _address(self.address)
            + flight
            + _address(self.announce)
            + (spare + state)
        )

    @classmethod
    def decode(cls, raw: bytes) -> Peer:
        """The record of ``encode``."""
        reader = Reader(raw)
        fingerprint, device_id = reader.fixed("fp", 32), reader.fixed("device", 16)
        pair, address = decode_pair(reader.lp("pair", _LARGE)), _read_address(reader)
        flight = Flight.read(reader) if _flag(reader, "flight") else None
        announce, spare, registered = _read_address(reader), reader.fixed("spare", 32), _flag(reader, "registered")
        spare_used, their_stock, due = read_time_or_never(reader), reader.u16("stock"), read_time_or_never(reader)
        reader.end()
        return cls(
            fingerprint, device_id, pair, address, flight, announce, spare, registered, spare_used, their_stock, due
        )


def _address(address: ReturnAddress | None) -> bytes:
    return u8(0) if address is None else u8(1) + lp(address.encode())


def _read_address(reader: Reader) -> ReturnAddress | None:
    if not _flag(reader, "address"):
        return None
    return ReturnAddress.decode(reader.lp("address", MAX_RETURN_ADDRESS))


class Right(IntEnum):
    """By what an envelope is delivered; chosen once per message. [R-13.2-3]"""

    NONE = 0
    TOKEN = 1
    SPARE = 2
    INTRO = 3
    LEFT = 4
    """None yet; but the same words may have left under an earlier session, or before they failed."""


@dataclass(frozen=True, slots=True)
class Item:
    """One message on its way out; ``wire`` is empty until it is encrypted, and never changes afterwards. [R-13.1-2]"""

    number: int
    peer: bytes = field(repr=False)
    type: int
    content: bytes = field(repr=False)
    message_id: bytes = field(repr=False)
    wire: bytes = field(default=b"", repr=False)
    right: Right = Right.NONE
    permit: bytes = field(default=b"", repr=False)

    @property
    def key(self) -> bytes:
        """The item's number, u64."""
        return u64(self.number)

    def encode(self) -> bytes:
        """The record's bytes; ``permit`` is the token, or the nonce of a spare or introduction."""
        head = u64(self.number) + self.peer + u16(self.type) + lp(self.content) + lp(self.message_id)
        return head + lp(self.wire) + u8(self.right) + lp(self.permit)

    @classmethod
    def decode(cls, raw: bytes) -> Item:
        """The record of ``encode``."""
        reader = Reader(raw)
        number, peer, kind = reader.u64("number"), reader.fixed("peer", 48), reader.u16("type")
        content, message_id = reader.lp("content", _LARGE), reader.lp("message id", 16)
        wire, right = reader.lp("wire", _LARGE), Right(reader.u8("right", max(Right)))
        item = cls(number, peer, kind, content, message_id, wire, right, reader.lp("permit", 32))
        reader.end()
        return item


@dataclass(frozen=True, slots=True)
class KnownRelay:
    """A relay we have met: its address, and its ledger as far as we verified it."""

    address: RelayAddress
    ledger: Ledger

    def encode(self) -> bytes:
        """The record's bytes."""
        ledger = self.ledger
        descriptor = u8(0) if ledger.descriptor is None else u8(1) + lp(ledger.descriptor.encode())
        head = self.address.encode() + ledger.relay + u64(ledger.length) + ledger.last
        return head + u64(ledger.descriptor_expires) + descriptor

    @classmethod
    def decode(cls, raw: bytes) -> KnownRelay:
        """The record of ``encode``."""
        reader = Reader(raw)
        address = RelayAddress.read(reader)
        relay, length, last = reader.fixed("relay", 32), reader.u64("length"), reader.fixed("last", 32)
        expires = reader.u64("expires")
        descriptor = Descriptor.decode(reader.lp("descriptor", 8_192)) if _flag(reader, "descriptor") else None
        reader.end()
        return cls(address, Ledger(relay, length, last, descriptor, expires))
