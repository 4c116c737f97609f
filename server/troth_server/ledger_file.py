"""The operator's ledger as a file of bytes, and the little of it that a relay reads: the newest descriptor.

file = operator key 1,984 || LP(entry) each. The serving relay verifies no signature (its clients do) and holds no
signing key; it reads the descriptor only to refuse to start with a TLS key that no client would accept. Standard
library only, so that ``serve`` loads no cipher. The format of an entry is ``troth_protocol.ledger``'s.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from troth_protocol import labels
from troth_protocol.encoding import SUITE, U16_MAX, Reader, lp, sha256
from troth_protocol.errors import DecodeError, StorageError
from troth_protocol.wire.answers import MAX_LEDGER_ENTRY, OPERATOR_KEY_SIZE

from .files import write_file

DESCRIPTOR: Final = 1
PIN: Final = 1
_MAX_CONTENT: Final = 16_384
_MAX_HOST: Final = 253


@dataclass(frozen=True, slots=True)
class Address:
    """Where clients are told to find the relay, by which TLS keys, and until when that holds."""

    hosts: tuple[tuple[str, int], ...] = field(repr=False)
    pins: tuple[bytes, ...] | None = field(repr=False)
    """None where the descriptor says ``webpki``."""
    expires: int


@dataclass(frozen=True, slots=True)
class Head:
    """What an entry says about itself; its signature is the clients' to verify."""

    kind: int
    issued: int
    expires: int
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class LedgerFile:
    """The operator's public key and every entry, as bytes."""

    operator: bytes = field(repr=False)
    entries: tuple[bytes, ...] = field(default=(), repr=False)

    @property
    def fingerprint(self) -> bytes:
        """The relay's fingerprint: the operator key's, 32 bytes."""
        return sha256(labels.OPERATOR, self.operator)

    def address(self) -> Address:
        """What the newest descriptor says; DecodeError, also if there is none."""
        for entry in reversed(self.entries):
            head = _head(entry)
            if head.kind == DESCRIPTOR:
                return address_of(head)
        raise DecodeError("ledger", 0, "no descriptor in it")

    def heads(self) -> tuple[Head, ...]:
        """Every entry, the oldest first; DecodeError."""
        return tuple(_head(entry) for entry in self.entries)

    @classmethod
    def read(cls, path: Path) -> LedgerFile:
        """Read a file; StorageError if there is none, DecodeError if it is not a ledger."""
        try:
            reader = Reader(path.read_bytes())
        except OSError as error:
            raise StorageError(f"{path} cannot be read: {error.strerror}") from None
        operator = reader.fixed("operator key", OPERATOR_KEY_SIZE)
        entries = []
        while reader.left:
            entries.append(reader.lp("ledger entry", MAX_LEDGER_ENTRY))
        return cls(operator, tuple(entries))

    def write(self, path: Path) -> None:
        """Replace the file in one step, on disk when this returns; StorageError."""
        write_file(path, self.operator + b"".join(map(lp, self.entries)))


def _head(entry: bytes) -> Head:
    reader = Reader(entry)
    reader.u16("ledger suite", SUITE, SUITE)
    reader.u64("ledger sequence")
    reader.fixed("ledger previous", 32)
    kind, issued, expires = reader.u8("ledger kind"), reader.u64("ledger issued"), reader.u64("ledger expires")
    return Head(kind, issued, expires, reader.lp("ledger content", _MAX_CONTENT))


def address_of(head: Head) -> Address:
    """What a descriptor says; DecodeError."""
    reader = Reader(head.content)
    hosts = []
    for _ in range(reader.u8("host count", least=1)):
        hosts.append((reader.text("host", _MAX_HOST, 1), reader.u16("port", U16_MAX, 1)))
    mode = reader.u8("tls mode")
    pins = tuple(reader.fixed("pin", 32) for _ in range(reader.u8("pin count")))
    reader.end()
    return Address(tuple(hosts), pins if mode == PIN else None, head.expires)
