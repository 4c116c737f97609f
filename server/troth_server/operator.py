"""The operator's offline key: it founds a relay and signs its ledger; loaded by ``init`` only, never by ``serve``.

The key file is two lines of text, meant to be moved to a medium that is not attached to the relay: whoever has it can
pin another TLS key for every client. SPEC.md section 12.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from troth_protocol import labels, ledger, primitives
from troth_protocol.card import RelayAddress
from troth_protocol.errors import DecodeError, StorageError, UserError
from troth_protocol.keys import SigningKey
from troth_protocol.primitives import Randomness

from . import config as configuration
from .config import Config
from .ledger_file import LedgerFile, write_file
from .tls import load as load_tls

KEY_FILE: Final = "operator.key"
_HEADING: Final = "troth operator key 1"
CERTIFICATE_DAYS: Final = 3_650
"""The pin in the ledger decides, and a ledger entry expires after a year; the certificate's own dates do not count."""


@dataclass(frozen=True, slots=True, repr=False)
class Operator:
    """Who signs a relay's ledger."""

    key: SigningKey

    @classmethod
    def generate(cls, randomness: Randomness) -> Operator:
        """A new operator."""
        return cls(SigningKey.generate(randomness))

    @classmethod
    def read(cls, path: Path) -> Operator:
        """The key in a file; StorageError, UserError."""
        try:
            heading, _, seeds = path.read_text("ascii").strip().partition("\n")
            raw = bytes.fromhex(seeds)
        except OSError as error:
            raise StorageError(f"{path} cannot be read: {error.strerror}") from None
        except ValueError:
            raise UserError(f"{path} is no operator key") from None
        if heading != _HEADING or len(raw) != 64:
            raise UserError(f"{path} is no operator key")
        return cls(SigningKey(raw[:32], raw[32:]))

    def write(self, path: Path) -> None:
        """Write the key to a file that only its owner may read."""
        seeds = (self.key.ed25519_seed + self.key.mldsa_seed).hex()
        write_file(path, f"{_HEADING}\n{seeds}\n".encode("ascii"))

    @property
    def fingerprint(self) -> bytes:
        """What cards and links name the relay by, 32 bytes."""
        return self.key.public.fingerprint(labels.OPERATOR)

    def new_ledger(self) -> LedgerFile:
        """A ledger without entries."""
        return LedgerFile(self.key.public.raw)

    def extend(
        self, file: LedgerFile, kind: ledger.Kind, content: bytes, issued: int, expires: int, randomness: Randomness
    ) -> LedgerFile:
        """The ledger with one more signed entry; everything before it is verified first."""
        read = ledger.Ledger(self.fingerprint)
        for entry in file.entries:
            read = read.extend(entry, self.key.public)
        entry = ledger.sign(self.key, read, kind, content, issued, expires, randomness)
        return LedgerFile(file.operator, (*file.entries, entry))

    def describe(
        self,
        file: LedgerFile,
        hosts: tuple[tuple[str, int], ...],
        tls_key_hash: bytes,
        now: int,
        randomness: Randomness,
    ) -> LedgerFile:
        """The ledger with a descriptor, good for a year: these hosts, and this TLS key (``ownership.tls_key_hash``)."""
        descriptor = ledger.Descriptor(hosts, ledger.TlsMode.PIN, (tls_key_hash,))
        return self.extend(file, ledger.Kind.DESCRIPTOR, descriptor.encode(), now, now + ledger.YEAR, randomness)


def found(config: Config, hosts: tuple[str, ...], now: int, randomness: Randomness) -> LedgerFile:
    """Make a relay in ``config.data``: TLS key, operator key, ledger, configuration file.

    The configuration file comes last: a folder without one is not a relay yet. UserError if there is one already.
    """
    if not 1 <= len(hosts) <= ledger.MAX_HOSTS:
        raise UserError(f"a relay has 1 to {ledger.MAX_HOSTS} host names; {len(hosts)} were given")
    try:
        for host in hosts:
            RelayAddress(host, config.port, bytes(32))
    except DecodeError:
        raise UserError("a host is a lower-case name (others in their xn-- form) or an address, with a port") from None
    files = (config.data / configuration.FILE, config.data / KEY_FILE, config.certificate_key, config.ledger)
    for path in files:
        if path.exists():
            raise UserError(f"{path} exists; nothing was changed")
    try:
        config.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        config.data.chmod(0o700)
    except OSError as error:
        raise StorageError(f"{config.data} cannot be made: {error.strerror}") from None
    certificate, key = primitives.self_signed_certificate(hosts, now, CERTIFICATE_DAYS)
    write_file(config.certificate, certificate)
    write_file(config.certificate_key, key)
    operator = Operator.generate(randomness)
    operator.write(config.data / KEY_FILE)
    pin = load_tls(config.certificate, config.certificate_key).key_hash
    addresses = tuple((host, config.port) for host in hosts)
    file = operator.describe(operator.new_ledger(), addresses, pin, now, randomness)
    file.write(config.ledger)
    write_file(config.data / configuration.FILE, config.toml().encode("utf-8"))
    return file
