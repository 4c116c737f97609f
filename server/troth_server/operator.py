"""The operator's offline key: it founds a relay and signs its ledger; loaded by ``init`` and ``ledger`` only.

The key file is two lines of text, meant to be moved to a medium that is not attached to the relay: whoever has it can
pin another TLS key for every client. SPEC.md section 12.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from troth_protocol import labels, ledger, primitives
from troth_protocol.card import RelayAddress
from troth_protocol.errors import DecodeError, StorageError, UserError
from troth_protocol.keys import SigningKey
from troth_protocol.primitives import Randomness

from . import config as configuration
from . import tls
from .admission import KEY_SIZE
from .config import Config, TlsMode
from .files import read_secret, write_file
from .ledger_file import LedgerFile

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
        raw = read_secret(path, _HEADING, 64, "operator key")
        return cls(SigningKey(raw[:32], raw[32:]))

    def write(self, path: Path) -> None:
        """Write the key to a file that only its owner may read."""
        seeds = (self.key.ed25519_seed + self.key.mldsa_seed).hex()
        write_file(path, f"{_HEADING}\n{seeds}\n".encode("ascii"), give=False)

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
        return self.publish(file, ledger.Descriptor(hosts, ledger.TlsMode.PIN, (tls_key_hash,)), now, randomness)

    def publish(self, file: LedgerFile, descriptor: ledger.Descriptor, now: int, randomness: Randomness) -> LedgerFile:
        """The ledger with this descriptor, good for a year."""
        return self.extend(file, ledger.Kind.DESCRIPTOR, descriptor.encode(), now, now + ledger.YEAR, randomness)


def addresses(hosts: tuple[str, ...], port: int) -> tuple[tuple[str, int], ...]:
    """Hosts for a descriptor; UserError."""
    if not 1 <= len(hosts) <= ledger.MAX_HOSTS:
        raise UserError(f"a relay has 1 to {ledger.MAX_HOSTS} host names; {len(hosts)} were given")
    try:
        for host in hosts:
            RelayAddress(host, port, bytes(32))
    except DecodeError:
        raise UserError("a host is a lower-case name (others in their xn-- form) or an address, with a port") from None
    return tuple((host, port) for host in hosts)


def found(
    config: Config,
    hosts: tuple[str, ...],
    now: int,
    randomness: Randomness,
    *,
    port: int | None = None,
    web: bool = False,
    key_path: Path | None = None,
) -> LedgerFile:
    """Make a relay in ``config.data``: TLS key if it is to be its own, operator key, ledger, configuration file.

    ``port`` is the one clients use; with ``web`` they check the certificate as of a web site, else they pin its key.
    The configuration file comes last: a folder without one is not a relay yet. UserError if there is one already; after
    any error (StorageError: no room, no right to write) the files that it made are gone.
    """
    named = addresses(hosts, config.port if port is None else port)
    own = config.tls.mode is TlsMode.OWN
    key_path = key_path or config.data / KEY_FILE
    files = [config.data / configuration.FILE, key_path, config.ledger, config.invite_key]
    for path in (*files, *((config.certificate, config.certificate_key) if own else ())):
        if path.exists():
            raise UserError(f"{path} exists; nothing was changed")
    if not own:  # before anything is written: a wrong path or key is found now
        pin = _key_hash(config)
    try:
        config.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        config.data.chmod(0o700)
    except OSError as error:
        raise StorageError(f"{config.data} cannot be made: {error.strerror}") from None
    operator = Operator.generate(randomness)
    with contextlib.ExitStack() as undo:  # what was made must not stand in the way of the next try

        def write(path: Path, content: bytes) -> None:
            undo.callback(path.unlink, missing_ok=True)
            write_file(path, content)

        undo.callback(key_path.unlink, missing_ok=True)
        operator.write(key_path)
        if own:
            certificate, key = primitives.self_signed_certificate(hosts, now, CERTIFICATE_DAYS)
            write(config.certificate, certificate)
            write(config.certificate_key, key)
            pin = _key_hash(config)
        write(config.invite_key, randomness.draw(KEY_SIZE))
        mode, pins = (ledger.TlsMode.WEBPKI, ()) if web else (ledger.TlsMode.PIN, (pin,))
        file = operator.publish(operator.new_ledger(), ledger.Descriptor(named, mode, pins), now, randomness)
        undo.callback(config.ledger.unlink, missing_ok=True)
        file.write(config.ledger)
        write(config.data / configuration.FILE, config.toml().encode("utf-8"))
        undo.pop_all()
    return file


def _key_hash(config: Config) -> bytes:
    if config.tls.mode is TlsMode.PROXY:
        return tls.proxied(config.certificate).key_hash
    return tls.load(config.certificate, config.certificate_key).key_hash
