"""What a relay stands on: all it reads from its files, checked together, at the start and again at a reload.

A reload gives a whole new Standing or an error, and after an error the old one goes on: nothing is half applied.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Final

from troth_protocol.errors import DecodeError, StorageError, UserError

from . import config as configuration
from . import tls
from .admission import KEY_SIZE, Admission, Mode
from .config import Config, TlsMode
from .ledger_file import Address, LedgerFile
from .pages import Site, site

RELOADED: Final = {"data", "max_connections", "creations_at_once", "creations_per_minute", "tls", "admission", "page"}
"""Settings that a reload changes; all others take effect at the next start."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Configuration, ledger, TLS, admission and pages, which fit each other."""

    config: Config
    ledger: LedgerFile
    tls: tls.Tls
    admission: Admission
    site: Site

    def watched(self) -> Iterator[Path]:
        """The files that others change while the relay runs: ledger, certificate, key, key of invitations."""
        yield self.config.ledger
        yield self.config.invite_key
        if self.config.tls.certificate:
            yield self.config.certificate
        if self.config.tls.key:
            yield self.config.certificate_key

    def following(self, before: Standing) -> Standing:
        """This one in place of ``before`` while connections are open; UserError if only a restart can do that."""
        fixed = (each.name for each in fields(Config) if each.name not in RELOADED)
        changed = [name for name in fixed if getattr(self.config, name) != getattr(before.config, name)]
        if self.config.tls.mode is not before.config.tls.mode:
            changed.append("tls.mode")
        if changed:
            raise UserError(f"{', '.join(changed)} changed: that needs a restart; nothing was changed")
        if self.ledger.operator != before.ledger.operator:
            raise UserError("the ledger is another operator's: that needs a restart; nothing was changed")
        if self.ledger.entries[: len(before.ledger.entries)] != before.ledger.entries:
            raise UserError("the ledger has lost or changed entries: clients would call it a rollback; nothing changed")
        return replace(self, tls=self.tls.after(before.tls))


def read(config: Config, now: int) -> Standing:
    """Everything for this configuration; UserError, StorageError or DecodeError with one clear line."""
    try:
        ledger = LedgerFile.read(config.ledger)
        address = ledger.address()
    except DecodeError as error:
        raise UserError(f"{config.ledger} is damaged: {error}; put a copy of it back") from None
    if now >= address.expires:
        raise UserError("the ledger's newest descriptor has expired: no client would accept it; sign a new one")
    served = _tls(config, address)
    return Standing(config, ledger, served, _admission(config), site(config, ledger))


def load(data: Path, now: int) -> Standing:
    """Everything in a relay's folder."""
    return read(configuration.load(data), now)


def _tls(config: Config, address: Address) -> tls.Tls:
    pins = address.pins
    if config.tls.mode is not TlsMode.PROXY:
        served = tls.load(config.certificate, config.certificate_key)
    elif config.tls.certificate:
        served = tls.proxied(config.certificate)
    elif pins is None:
        raise UserError("behind a proxy whose keys change, [tls] certificate must name its certificate's file")
    else:
        return tls.Tls(None, pins)
    if pins is not None and served.key_hash not in pins:
        raise UserError("the TLS key is not one the ledger's newest descriptor names: no client would accept it")
    return served


def _admission(config: Config) -> Admission:
    if config.admission is not Mode.INVITATION:
        return Admission(config.admission, bytes(KEY_SIZE))
    try:
        key = config.invite_key.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{config.invite_key} does not exist; make it with: troth-relay invite") from None
    except OSError as error:
        raise StorageError(f"{config.invite_key} cannot be read: {error.strerror}") from None
    if len(key) != KEY_SIZE:
        raise UserError(f"{config.invite_key} is no key of invitations")
    return Admission(config.admission, key)
