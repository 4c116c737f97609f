"""What a client asks of a relay; SPEC.md section 11.3 gives each body field by field."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Final, TypeAlias, get_args

from .. import address
from ..encoding import Reader, lp, u8, u16, u32, u64
from . import (
    BUNDLE_SIZE,
    BUNDLE_SIZE_DEVICES,
    ENVELOPE_SIZES,
    ID_SIZE,
    LEAF_SIZE,
    LEAVES_PER_BATCH,
    MAX_ACKNOWLEDGED,
    MAX_CARD_USES,
    MAX_ENVELOPE,
    MAX_LEAVES_PER_REQUEST,
    MAX_SPARES_PER_REQUEST,
    MAX_WINDOW,
    NONCE_SIZE,
    Type,
)
from .blobs import BlobDelete, BlobGet, BlobPut
from .rights import Erase, Refuse

MAX_INVITE: Final = address.MAX_INVITE


@dataclass(frozen=True, slots=True)
class Hello:
    """First on every connection: the version, and the hash of the policy the person accepted (zeros: none yet)."""

    TYPE: ClassVar = Type.HELLO
    version: int
    policy: bytes = bytes(32)

    def body(self) -> bytes:
        """Version u16 || policy hash 32."""
        return u16(self.version) + self.policy

    @classmethod
    def read(cls, reader: Reader) -> Hello:
        """Parse a body; the version is judged by the relay, so that it can answer with its own."""
        return cls(reader.u16("version"), reader.fixed("policy", 32))


@dataclass(frozen=True, slots=True)
class Create:
    """Make a mailbox with its owner's stored hash and first token key."""

    TYPE: ClassVar = Type.CREATE
    mailbox: bytes = field(repr=False)
    stored: bytes = field(repr=False)
    epoch_key: bytes = field(repr=False)
    expires: int
    invite: bytes = field(default=b"", repr=False)

    def body(self) -> bytes:
        """Mailbox 32 || stored 32 || k_mb 32 || expires u64 || LP(invite <= 64)."""
        return self.mailbox + self.stored + self.epoch_key + u64(self.expires) + lp(self.invite)

    @classmethod
    def read(cls, reader: Reader) -> Create:
        """Parse a body."""
        return cls(
            reader.fixed("mailbox", ID_SIZE),
            reader.fixed("stored", 32),
            reader.fixed("epoch key", 32),
            reader.u64("expires"),
            reader.lp("invite", MAX_INVITE),
        )


@dataclass(frozen=True, slots=True)
class Prove:
    """Prove ownership of a mailbox; on success the connection speaks for it. SPEC.md section 10.1."""

    TYPE: ClassVar = Type.PROVE
    mailbox: bytes = field(repr=False)
    client_nonce: bytes = field(repr=False)
    proof: bytes = field(repr=False)

    def body(self) -> bytes:
        """Mailbox 32 || client nonce 32 || proof 32."""
        return self.mailbox + self.client_nonce + self.proof

    @classmethod
    def read(cls, reader: Reader) -> Prove:
        """Parse a body."""
        return cls(reader.fixed("mailbox", ID_SIZE), reader.fixed("client nonce", 32), reader.fixed("proof", 32))


@dataclass(frozen=True, slots=True)
class Rotate:
    """Give the mailbox a new token key; the one before stays live until it expires. Needs a proof."""

    TYPE: ClassVar = Type.ROTATE
    epoch_key: bytes = field(repr=False)
    expires: int

    def body(self) -> bytes:
        """k_mb 32 || expires u64."""
        return self.epoch_key + u64(self.expires)

    @classmethod
    def read(cls, reader: Reader) -> Rotate:
        """Parse a body."""
        return cls(reader.fixed("epoch key", 32), reader.u64("expires"))


@dataclass(frozen=True, slots=True)
class Publish:
    """Put (or replace) a sealed bundle under a lookup id of this mailbox, with a card's capability. Needs a proof.

    Leaves are handed out with it only from ``batch``, the one its prekey statement signs: while prekeys are being
    replaced, a bundle goes without a leaf rather than with one of another batch. [R-11.3-2]

    ``uses`` 0 and a zero ``capability`` hash publish for holders of a spare only.
    """

    TYPE: ClassVar = Type.PUBLISH
    lookup: bytes = field(repr=False)
    capability: bytes = field(repr=False)
    uses: int
    batch: bytes = field(repr=False)
    bundle: bytes = field(repr=False)

    def body(self) -> bytes:
        """Lookup id 32 || H(intro capability) 32 || uses u16 || batch id 16 || LP(bundle)."""
        return self.lookup + self.capability + u16(self.uses) + self.batch + lp(self.bundle)

    @classmethod
    def read(cls, reader: Reader) -> Publish:
        """Parse a body; a bundle has one of two sizes."""
        lookup, capability = reader.fixed("lookup", ID_SIZE), reader.fixed("capability hash", 32)
        uses, batch = reader.u16("uses", MAX_CARD_USES), reader.fixed("batch", NONCE_SIZE)
        bundle = reader.lp("bundle", BUNDLE_SIZE_DEVICES)
        if len(bundle) not in (BUNDLE_SIZE, BUNDLE_SIZE_DEVICES):
            reader.refuse("bundle", f"{len(bundle)} bytes is not a bundle's size")
        return cls(lookup, capability, uses, batch, bundle)


@dataclass(frozen=True, slots=True)
class Unpublish:
    """Take a lookup id of this mailbox and its capability away: a card is revoked. Needs a proof."""

    TYPE: ClassVar = Type.UNPUBLISH
    lookup: bytes = field(repr=False)

    def body(self) -> bytes:
        """Lookup id 32."""
        return self.lookup

    @classmethod
    def read(cls, reader: Reader) -> Unpublish:
        """Parse a body."""
        return cls(reader.fixed("lookup", ID_SIZE))


@dataclass(frozen=True, slots=True)
class AddLeaves:
    """Add one-time leaves of a batch; a new batch id drops what is left of the old batch. Needs a proof."""

    TYPE: ClassVar = Type.ADD_LEAVES
    batch: bytes = field(repr=False)
    leaves: tuple[bytes, ...] = field(repr=False)

    def body(self) -> bytes:
        """Batch id 16 || count u8 || leaves 1,441 each."""
        return self.batch + u8(len(self.leaves)) + b"".join(self.leaves)

    @classmethod
    def read(cls, reader: Reader) -> AddLeaves:
        """Parse a body; leaves ascend by index, so none is there twice."""
        batch = reader.fixed("batch", NONCE_SIZE)
        count = reader.u8("leaf count", MAX_LEAVES_PER_REQUEST, 1)
        leaves = tuple(reader.fixed("leaf", LEAF_SIZE) for _ in range(count))
        indices = [leaf[0] for leaf in leaves]
        if indices != sorted(set(indices)) or indices[-1] >= LEAVES_PER_BATCH:
            reader.refuse("leaf", "indices do not ascend within 0..127")
        return cls(batch, leaves)


@dataclass(frozen=True, slots=True)
class Count:
    """How many leaves and envelopes the relay holds for this mailbox. Needs a proof."""

    TYPE: ClassVar = Type.COUNT

    def body(self) -> bytes:
        """Nothing."""
        return b""

    @classmethod
    def read(cls, _: Reader) -> Count:
        """Parse a body."""
        return cls()


@dataclass(frozen=True, slots=True)
class FetchBundle:
    """Fetch a bundle and one leaf, paid by an intro capability or by a spare of the mailbox behind it."""

    TYPE: ClassVar = Type.FETCH_BUNDLE
    lookup: bytes = field(repr=False)
    capability: bytes = field(repr=False)

    def body(self) -> bytes:
        """Lookup id 32 || capability 32."""
        return self.lookup + self.capability

    @classmethod
    def read(cls, reader: Reader) -> FetchBundle:
        """Parse a body."""
        return cls(reader.fixed("lookup", ID_SIZE), reader.fixed("capability", 32))


@dataclass(frozen=True, slots=True)
class DeliverFirst:
    """Deliver a first-flight envelope to a device of the account behind a card; ``nonce`` makes it idempotent."""

    TYPE: ClassVar = Type.DELIVER_FIRST
    lookup: bytes = field(repr=False)
    capability: bytes = field(repr=False)
    slot: int
    nonce: bytes = field(repr=False)
    envelope: bytes = field(repr=False)

    def body(self) -> bytes:
        """Lookup id 32 || intro capability 32 || device slot u8 || nonce 16 || LP(envelope)."""
        return self.lookup + self.capability + u8(self.slot) + self.nonce + lp(self.envelope)

    @classmethod
    def read(cls, reader: Reader) -> DeliverFirst:
        """Parse a body."""
        return cls(
            reader.fixed("lookup", ID_SIZE),
            reader.fixed("capability", 32),
            reader.u8("slot", 4),
            reader.fixed("nonce", NONCE_SIZE),
            _envelope(reader),
        )


@dataclass(frozen=True, slots=True)
class Deliver:
    """Deliver one envelope for one token."""

    TYPE: ClassVar = Type.DELIVER
    mailbox: bytes = field(repr=False)
    token: bytes = field(repr=False)
    envelope: bytes = field(repr=False)

    def body(self) -> bytes:
        """Mailbox 32 || token 32 || LP(envelope)."""
        return self.mailbox + self.token + lp(self.envelope)

    @classmethod
    def read(cls, reader: Reader) -> Deliver:
        """Parse a body."""
        return cls(reader.fixed("mailbox", ID_SIZE), reader.fixed("token", 32), _envelope(reader))


@dataclass(frozen=True, slots=True)
class DeliverSpare:
    """Deliver one envelope for a contact's spare capability, once in 24 hours."""

    TYPE: ClassVar = Type.DELIVER_SPARE
    mailbox: bytes = field(repr=False)
    spare: bytes = field(repr=False)
    nonce: bytes = field(repr=False)
    envelope: bytes = field(repr=False)

    def body(self) -> bytes:
        """Mailbox 32 || spare 32 || nonce 16 || LP(envelope)."""
        return self.mailbox + self.spare + self.nonce + lp(self.envelope)

    @classmethod
    def read(cls, reader: Reader) -> DeliverSpare:
        """Parse a body."""
        return cls(
            reader.fixed("mailbox", ID_SIZE),
            reader.fixed("spare", 32),
            reader.fixed("nonce", NONCE_SIZE),
            _envelope(reader),
        )


@dataclass(frozen=True, slots=True)
class Fetch:
    """Send what is queued and whatever comes, at most ``window`` envelopes ahead of acknowledgements. Needs a proof."""

    TYPE: ClassVar = Type.FETCH
    window: int

    def body(self) -> bytes:
        """Window u16."""
        return u16(self.window)

    @classmethod
    def read(cls, reader: Reader) -> Fetch:
        """Parse a body."""
        return cls(reader.u16("window", MAX_WINDOW, 1))


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """These envelopes are safe with the owner and may be forgotten. Needs a proof."""

    TYPE: ClassVar = Type.ACKNOWLEDGE
    sequences: tuple[int, ...]

    def body(self) -> bytes:
        """Count u16 || sequence u64 each."""
        return u16(len(self.sequences)) + b"".join(map(u64, self.sequences))

    @classmethod
    def read(cls, reader: Reader) -> Acknowledge:
        """Parse a body."""
        count = reader.u16("count", MAX_ACKNOWLEDGED, 1)
        return cls(tuple(reader.u64("sequence") for _ in range(count)))


@dataclass(frozen=True, slots=True)
class Spares:
    """Register and revoke spare capabilities of this mailbox, by hash. Needs a proof."""

    TYPE: ClassVar = Type.SPARES
    add: tuple[bytes, ...] = field(default=(), repr=False)
    remove: tuple[bytes, ...] = field(default=(), repr=False)

    def body(self) -> bytes:
        """Count u8 || hashes to add || count u8 || hashes to remove, 32 bytes each."""
        return u8(len(self.add)) + b"".join(self.add) + u8(len(self.remove)) + b"".join(self.remove)

    @classmethod
    def read(cls, reader: Reader) -> Spares:
        """Parse a body."""
        added = tuple(reader.fixed("spare hash", 32) for _ in range(reader.u8("add count", MAX_SPARES_PER_REQUEST)))
        removed = tuple(
            reader.fixed("spare hash", 32) for _ in range(reader.u8("remove count", MAX_SPARES_PER_REQUEST))
        )
        return cls(added, removed)


@dataclass(frozen=True, slots=True)
class Ledger:
    """Entries of the operator's ledger from sequence ``since``; all one may ask before holding a descriptor."""

    TYPE: ClassVar = Type.LEDGER
    since: int

    def body(self) -> bytes:
        """Since u64."""
        return u64(self.since)

    @classmethod
    def read(cls, reader: Reader) -> Ledger:
        """Parse a body."""
        return cls(reader.u64("since"))


Request: TypeAlias = (
    Hello | Create | Prove | Rotate | Publish | Unpublish | AddLeaves | Count | FetchBundle | DeliverFirst | Deliver
    | DeliverSpare | Fetch | Acknowledge | Ledger | Spares | Erase | Refuse | BlobPut | BlobGet | BlobDelete
)  # fmt: skip

_KINDS: Final[dict[int, type[Request]]] = {kind.TYPE: kind for kind in get_args(Request)}


def _envelope(reader: Reader) -> bytes:
    envelope = reader.lp("envelope", MAX_ENVELOPE)
    if len(envelope) not in ENVELOPE_SIZES:
        reader.refuse("envelope", f"{len(envelope)} bytes is not an envelope's size")
    return envelope


def encode(request_id: int, request: Request) -> bytes:
    """A request's frame."""
    return u32(request_id) + u8(request.TYPE) + request.body()


def is_request(kind: int) -> bool:
    """Whether ``kind`` is a request's type."""
    return kind in _KINDS


def decode_body(kind: int, reader: Reader) -> Request:
    """The request of type ``kind`` whose body is the rest of ``reader``; DecodeError."""
    request = _KINDS[kind].read(reader)
    reader.end()
    return request
