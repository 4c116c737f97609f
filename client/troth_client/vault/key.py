"""From a passphrase to the key of the vault's pages.

``vault.key`` = magic 16 || operations u32 || memory u64 || salt 16 || check 32, 76 bytes. Argon2id gives 32 bytes; HKDF
makes of them the page key and the check value, which tells a wrong passphrase from a damaged file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from troth_protocol import labels, primitives
from troth_protocol.encoding import Reader, u32, u64
from troth_protocol.errors import BadPassphrase, DecodeError, StorageError
from troth_protocol.primitives import Randomness

MAGIC: Final = b"troth vault 1\x00\x00\x00"
OPERATIONS: Final = 3
MEMORY: Final = 128 * 2**20
"""128 MiB, three passes: twice the memory of RFC 9106's second recommended option, for one lane; 0.3 s here."""
MOST_MEMORY: Final = 2**30
MOST_OPERATIONS: Final = 16
"""A key file that asks for more is refused before anything is allocated."""
LEAST_MEMORY: Final = 8 * 2**10


@dataclass(frozen=True, slots=True)
class KeyFile:
    """What lies open beside the vault."""

    operations: int
    memory: int
    salt: bytes = field(repr=False)
    check: bytes = field(repr=False)

    def encode(self) -> bytes:
        """The file's 76 bytes."""
        return MAGIC + u32(self.operations) + u64(self.memory) + self.salt + self.check

    @classmethod
    def decode(cls, raw: bytes) -> KeyFile:
        """Parse the file; StorageError if it is damaged or asks for absurd amounts of work."""
        reader = Reader(raw)
        try:
            if reader.fixed("magic", 16) != MAGIC:
                raise StorageError("vault.key is not a key file of this version")
            operations = reader.u32("operations", MOST_OPERATIONS, 1)
            memory = reader.integer("memory", 8, MOST_MEMORY, LEAST_MEMORY)
            parsed = cls(operations, memory, reader.fixed("salt", 16), reader.fixed("check", 32))
            reader.end()
        except DecodeError as error:
            raise StorageError(f"vault.key is damaged: {error}") from None
        return parsed


def make(passphrase: str, randomness: Randomness, operations: int, memory: int) -> tuple[KeyFile, bytes]:
    """A new key file and the page key, 32 bytes."""
    salt = randomness.draw(16)
    page_key, check = _derive(passphrase, salt, operations, memory)
    return KeyFile(operations, memory, salt, check), page_key


def unlock(passphrase: str, key_file: KeyFile) -> bytes:
    """The page key, 32 bytes; BadPassphrase."""
    page_key, check = _derive(passphrase, key_file.salt, key_file.operations, key_file.memory)
    if not primitives.equal(check, key_file.check):
        raise BadPassphrase("this is not the vault's passphrase")
    return page_key


def _derive(passphrase: str, salt: bytes, operations: int, memory: int) -> tuple[bytes, bytes]:
    stretched = primitives.argon2id(passphrase.encode("utf-8", "surrogateescape"), salt, operations, memory)
    out = primitives.hkdf(salt, stretched, labels.VAULT_KEY, 64)
    return out[:32], out[32:]
