"""What a relay answers; SPEC.md section 11.4 gives each body field by field."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Final, TypeAlias, get_args

from ..encoding import Reader, lp, u8, u16, u32, u64
from ..errors import DecodeError
from . import (
    BUNDLE_ANSWER,
    BUNDLE_ANSWER_DEVICES,
    BUNDLE_SIZE,
    BUNDLE_SIZE_DEVICES,
    ENVELOPE_SIZES,
    LEAF_SIZE,
    MAX_ENVELOPE,
    Code,
    Type,
    Via,
)
from .blobs import BlobPart, BlobState

MAX_LEDGER_ENTRY: Final = 24_576
MAX_ENTRIES_PER_PAGE: Final = 16
OPERATOR_KEY_SIZE: Final = 1_984


@dataclass(frozen=True, slots=True)
class Welcome:
    """The answer to Hello: who the relay says it is, a nonce for one proof, how long its ledger is, its policy."""

    TYPE: ClassVar = Type.WELCOME
    version: int
    relay: bytes = field(repr=False)
    nonce: bytes = field(repr=False)
    ledger_length: int
    policy: bytes = field(repr=False)

    def body(self) -> bytes:
        """Version u16 || relay fingerprint 32 || server nonce 32 || ledger length u64 || policy hash 32."""
        return u16(self.version) + self.relay + self.nonce + u64(self.ledger_length) + self.policy

    @classmethod
    def read(cls, reader: Reader) -> Welcome:
        """Parse a body."""
        return cls(
            reader.u16("version"),
            reader.fixed("relay", 32),
            reader.fixed("nonce", 32),
            reader.u64("ledger length"),
            reader.fixed("policy", 32),
        )


@dataclass(frozen=True, slots=True)
class Ok:
    """Done, and where the request changed anything: on disk, after fsync. [R-11.4-1]"""

    TYPE: ClassVar = Type.OK

    def body(self) -> bytes:
        """Nothing."""
        return b""

    @classmethod
    def read(cls, _: Reader) -> Ok:
        """Parse a body."""
        return cls()


@dataclass(frozen=True, slots=True)
class Error:
    """Not done. ``offset`` points into a bad frame, ``limit`` names a limit, ``retry_after`` is in seconds; else 0."""

    TYPE: ClassVar = Type.ERROR
    code: int
    field_name: str = ""
    offset: int = 0
    limit: int = 0
    retry_after: int = 0

    def body(self) -> bytes:
        """Code u16 || LP(field name) || offset u32 || limit u32 || retry after u32."""
        name = lp(self.field_name.encode("ascii", "replace"))
        return u16(self.code) + name + u32(self.offset) + u32(self.limit) + u32(self.retry_after)

    @classmethod
    def read(cls, reader: Reader) -> Error:
        """Parse a body; an unknown code is kept as a number."""
        return cls(
            reader.u16("code"), reader.text("field", 64), reader.u32("offset"), reader.u32("limit"), reader.u32("retry")
        )

    @property
    def code_name(self) -> str:
        """The code's name, or its number if unknown."""
        return Code(self.code).name if self.code in set(Code) else f"code {self.code}"


@dataclass(frozen=True, slots=True)
class Counts:
    """What the relay holds for the mailbox."""

    TYPE: ClassVar = Type.COUNTS
    leaves: int
    envelopes: int

    def body(self) -> bytes:
        """Leaves u16 || envelopes u32."""
        return u16(self.leaves) + u32(self.envelopes)

    @classmethod
    def read(cls, reader: Reader) -> Counts:
        """Parse a body."""
        return cls(reader.u16("leaves"), reader.u32("envelopes"))


@dataclass(frozen=True, slots=True)
class Bundle:
    """A sealed bundle and, for each device, a leaf or None; the body has one size whether leaves are there or not."""

    TYPE: ClassVar = Type.BUNDLE
    bundle: bytes = field(repr=False)
    leaves: tuple[bytes | None, ...] = field(repr=False)

    def body(self) -> bytes:
        """LP(bundle) || count u8 || (present u8 || leaf 1,441 or zeros) each || zeros to 20,480 or 65,536. [R-5.3-3]"""
        leaves = b"".join(u8(0) + bytes(LEAF_SIZE) if leaf is None else u8(1) + leaf for leaf in self.leaves)
        size = BUNDLE_ANSWER if len(self.bundle) == BUNDLE_SIZE else BUNDLE_ANSWER_DEVICES
        body = (lp(self.bundle) + u8(len(self.leaves)) + leaves).ljust(size, b"\x00")
        if len(body) != size:
            raise ValueError(f"{len(self.leaves)} leaves do not fit beside this bundle")
        return body

    @classmethod
    def read(cls, reader: Reader) -> Bundle:
        """Parse a body."""
        size = reader.left
        bundle = reader.lp("bundle", BUNDLE_SIZE_DEVICES)
        wanted = {BUNDLE_SIZE: BUNDLE_ANSWER, BUNDLE_SIZE_DEVICES: BUNDLE_ANSWER_DEVICES}.get(len(bundle))
        if size != wanted:
            reader.refuse("bundle", f"{len(bundle)} bytes in an answer of {size}")
        leaves: list[bytes | None] = []
        for _ in range(reader.u8("leaf count", 5)):
            if reader.u8("leaf present", 1):
                leaves.append(reader.fixed("leaf", LEAF_SIZE))
            else:
                reader.zeros("leaf", LEAF_SIZE)
                leaves.append(None)
        reader.zeros("padding", reader.left)
        return cls(bundle, tuple(leaves))


@dataclass(frozen=True, slots=True)
class Envelope:
    """One queued envelope; its request id is that of the Fetch it belongs to."""

    TYPE: ClassVar = Type.ENVELOPE
    sequence: int
    via: Via
    mark: bytes = field(repr=False)
    envelope: bytes = field(repr=False)

    def body(self) -> bytes:
        """Sequence u64 || via u8 || mark 32 || LP(envelope)."""
        return u64(self.sequence) + u8(self.via) + self.mark + lp(self.envelope)

    @classmethod
    def read(cls, reader: Reader) -> Envelope:
        """Parse a body."""
        sequence, via, mark = reader.u64("sequence"), reader.u8("via", 3, 1), reader.fixed("mark", 32)
        envelope = reader.lp("envelope", MAX_ENVELOPE)
        if len(envelope) not in ENVELOPE_SIZES:
            reader.refuse("envelope", f"{len(envelope)} bytes is not an envelope's size")
        return cls(sequence, Via(via), mark, envelope)


@dataclass(frozen=True, slots=True)
class Drained:
    """Everything that was queued when Fetch was asked has been sent and acknowledged once. [R-11.4-4]"""

    TYPE: ClassVar = Type.DRAINED

    def body(self) -> bytes:
        """Nothing."""
        return b""

    @classmethod
    def read(cls, _: Reader) -> Drained:
        """Parse a body."""
        return cls()


@dataclass(frozen=True, slots=True)
class LedgerPage:
    """The operator's public key, the ledger's length, and entries in order from the one asked for."""

    TYPE: ClassVar = Type.LEDGER_PAGE
    operator: bytes = field(repr=False)
    length: int
    entries: tuple[bytes, ...] = field(repr=False)

    def body(self) -> bytes:
        """Operator key 1,984 || length u64 || count u8 || LP(entry) each."""
        return self.operator + u64(self.length) + u8(len(self.entries)) + b"".join(map(lp, self.entries))

    @classmethod
    def read(cls, reader: Reader) -> LedgerPage:
        """Parse a body."""
        operator, length = reader.fixed("operator key", OPERATOR_KEY_SIZE), reader.u64("length")
        count = reader.u8("entry count", MAX_ENTRIES_PER_PAGE)
        return cls(operator, length, tuple(reader.lp("entry", MAX_LEDGER_ENTRY) for _ in range(count)))


Answer: TypeAlias = Welcome | Ok | Error | Counts | Bundle | Envelope | Drained | LedgerPage | BlobState | BlobPart

_KINDS: Final[dict[int, type[Answer]]] = {kind.TYPE: kind for kind in get_args(Answer)}


def encode(request_id: int, answer: Answer) -> bytes:
    """An answer's frame."""
    return u32(request_id) + u8(answer.TYPE) + answer.body()


def decode(frame: bytes) -> tuple[int, Answer]:
    """A relay's frame: the request id and the answer; DecodeError, also for a request's type."""
    reader = Reader(frame)
    request_id = reader.u32("request id")
    kind = reader.u8("type")
    if kind not in _KINDS:
        raise DecodeError("type", 4, f"{kind} is no answer")
    answer = _KINDS[kind].read(reader)
    reader.end()
    return request_id, answer
