"""What an operator signs: a hash-chained ledger whose first use is to pin the relay's TLS key. SPEC.md section 12.

body = suite u16 || sequence u64 || previous hash 32 || kind u8 || issued u64 || expires u64 || LP(content)
entry = body || HSig(operator, "ledger", body); its hash is over body || signature.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Final

from . import labels
from .encoding import SUITE, U16_MAX, Reader, lp, sha256, u8, u16, u64
from .errors import Expired, Fork, Mismatch, Rollback
from .keys import SIGNATURE_SIZE, SigningKey, VerifyKey
from .primitives import Randomness

MAX_CONTENT: Final = 16_384
MAX_HOSTS: Final = 8
MAX_PINS: Final = 4
MAX_HOST: Final = 253
"""The longest DNS name (RFC 1035 section 2.3.4)."""
YEAR: Final = 365 * 86_400


class Kind(IntEnum):
    """What an entry is about; a client keeps entries of kinds it does not know and shows their number."""

    DESCRIPTOR = 1
    POLICY = 2
    CANARY = 3
    DEMAND = 4
    BREACH = 5
    NOTICE = 6
    REPORT = 7


class TlsMode(IntEnum):
    """How a client checks the relay's TLS key."""

    PIN = 1
    WEBPKI = 2


@dataclass(frozen=True, slots=True)
class Descriptor:
    """Where the relay is and by which TLS keys it is known."""

    hosts: tuple[tuple[str, int], ...] = field(repr=False)
    mode: TlsMode
    pins: tuple[bytes, ...] = field(repr=False)

    def encode(self) -> bytes:
        """Count u8 || (LP(host) || port u16) each || mode u8 || count u8 || pins 32 each."""
        hosts = b"".join(lp(host.encode("ascii")) + u16(port) for host, port in self.hosts)
        return u8(len(self.hosts)) + hosts + u8(self.mode) + u8(len(self.pins)) + b"".join(self.pins)

    @classmethod
    def decode(cls, raw: bytes) -> Descriptor:
        """Parse a descriptor; DecodeError. A pinned one names at least one pin. [R-12.2-1]"""
        reader = Reader(raw)
        count = reader.u8("host count", MAX_HOSTS, 1)
        hosts = tuple((reader.text("host", MAX_HOST, 1), reader.u16("port", U16_MAX, 1)) for _ in range(count))
        mode = TlsMode(reader.u8("tls mode", TlsMode.WEBPKI, TlsMode.PIN))
        pin_count = reader.u8("pin count", MAX_PINS, 1 if mode is TlsMode.PIN else 0)
        pins = tuple(reader.fixed("pin", 32) for _ in range(pin_count))
        reader.end()
        return cls(hosts, mode, pins)


@dataclass(frozen=True, slots=True)
class Entry:
    """One verified entry."""

    sequence: int
    previous: bytes = field(repr=False)
    kind: int
    issued: int
    expires: int
    content: bytes = field(repr=False)
    hash: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ledger:
    """What a client holds of a relay's ledger: how far it has read, the last hash, and the newest descriptor."""

    relay: bytes = field(repr=False)
    length: int = 0
    last: bytes = field(default=bytes(32), repr=False)
    descriptor: Descriptor | None = None
    descriptor_expires: int = 0

    def check_length(self, served: int) -> None:
        """Rollback if the relay now shows fewer entries than were read before. [R-12.1-3]"""
        if served < self.length:
            raise Rollback(f"the relay's ledger has {served} entries; {self.length} were read before")

    def extend(self, raw: bytes, operator: VerifyKey) -> Ledger:
        """The ledger after one more entry; Mismatch, BadSignature, DecodeError, Rollback or Fork. [R-12.1-2]"""
        entry = parse(raw, operator, self.relay)
        if entry.sequence != self.length:
            raise Rollback(f"ledger entry {entry.sequence} was served where {self.length} is next")
        if entry.previous != self.last:
            raise Fork(f"ledger entry {entry.sequence} does not follow the entry before it")
        grown = replace(self, length=self.length + 1, last=entry.hash)
        if entry.kind != Kind.DESCRIPTOR:
            return grown
        return replace(grown, descriptor=Descriptor.decode(entry.content), descriptor_expires=entry.expires)

    def pinned(self, now: int) -> Descriptor:
        """The descriptor to connect by; Expired past its time, Mismatch if the ledger has none. [R-12.2-2]"""
        if self.descriptor is None:
            raise Mismatch("the relay's ledger holds no descriptor")
        if now >= self.descriptor_expires:
            raise Expired(f"the relay's descriptor expired at {self.descriptor_expires}; the time is {now}")
        return self.descriptor


def sign(
    operator: SigningKey, ledger: Ledger, kind: Kind, content: bytes, issued: int, expires: int, randomness: Randomness
) -> bytes:
    """The next entry of ``ledger``. [R-12.1-1]"""
    body = b"".join(
        (u16(SUITE), u64(ledger.length), ledger.last, u8(kind), u64(issued), u64(expires), lp(content))
    )  # fmt: skip
    return body + operator.sign(labels.SIGN_LEDGER, body, randomness)


def parse(raw: bytes, operator: VerifyKey, relay: bytes) -> Entry:
    """Verify one entry against the operator key and the relay fingerprint that a card or link named."""
    if operator.fingerprint(labels.OPERATOR) != relay:
        raise Mismatch("the ledger is signed by another operator than the link names")
    split = len(raw) - SIGNATURE_SIZE
    reader = Reader(raw[: max(split, 0)])
    reader.u16("ledger suite", SUITE, SUITE)
    sequence, previous = reader.u64("ledger sequence"), reader.fixed("ledger previous", 32)
    kind = reader.u8("ledger kind", least=1)
    issued, expires = reader.u64("ledger issued"), reader.u64("ledger expires")
    content = reader.lp("ledger content", MAX_CONTENT)
    reader.end()
    operator.verify(labels.SIGN_LEDGER, raw[:split], raw[split:], "ledger entry")
    return Entry(sequence, previous, kind, issued, expires, content, sha256(raw))
