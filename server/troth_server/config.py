"""One frozen Config: what an operator may choose, and how it is read from the commented file that ``init`` writes."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from troth_protocol.errors import StorageError, UserError

from .limits import DAY, Quotas

FILE: Final = "relay.toml"
DEFAULT_PORT: Final = 7_443
"""Above 1,024, so that the relay never needs to be root; 443 is for a reverse proxy or a redirect."""


@dataclass(frozen=True, slots=True)
class Config:
    """Where a relay keeps its files, where it listens, and what it lets a mailbox hold."""

    data: Path
    bind: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    """0 lets the system choose; only useful in tests."""
    store: str = "sqlite"
    quotas: Quotas = field(default_factory=Quotas)
    max_connections: int = 10_000
    """At 40 KiB each with TLS: 400 MB."""
    creations_at_once: int = 600
    """Mailboxes that may be made in a burst, by anybody; an empty mailbox takes about 300 bytes."""
    creations_per_minute: int = 60

    @property
    def certificate(self) -> Path:
        """The TLS certificate, PEM."""
        return self.data / "tls-cert.pem"

    @property
    def certificate_key(self) -> Path:
        """Its private key, PEM, readable by the relay alone."""
        return self.data / "tls-key.pem"

    @property
    def ledger(self) -> Path:
        """The operator's ledger, public."""
        return self.data / "ledger.bin"

    def toml(self) -> str:
        """This configuration as a commented file."""
        quotas = self.quotas
        return f"""\
# The relay's configuration. Every value is shown with its default; the reasons stand in troth_server/limits.py.
bind = "{self.bind}"                    # address to listen on: "0.0.0.0" all IPv4, "::" all IPv6
port = {self.port}
store = "{self.store}"

[limits]
max_connections = {self.max_connections}            # about 40 KiB of memory each
creations_at_once = {self.creations_at_once}            # mailboxes that may be made in a burst
creations_per_minute = {self.creations_per_minute}

[quotas]                                # for each mailbox; a full one answers QUOTA, nothing is evicted
envelopes = {quotas.envelopes}
envelope_bytes = {quotas.envelope_bytes}
retention_days = {quotas.retention // DAY}                     # of what nobody fetches; say it in your policy
cards = {quotas.cards}
spares = {quotas.spares}
"""


def load(data: Path) -> Config:
    """The configuration in ``data``; UserError naming what is wrong, StorageError if it cannot be read."""
    path = data / FILE
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; make a relay with: troth-relay init --data {data}") from None
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {error}") from None
    table = _Table(path, raw)
    limits, chosen = table.table("limits"), table.table("quotas")
    config = Config(
        data,
        bind=table.text("bind"),
        port=table.number("port", 0, 65_535),
        store=table.text("store"),
        quotas=Quotas(
            envelopes=chosen.number("envelopes", 1),
            envelope_bytes=chosen.number("envelope_bytes", 65_666),
            retention=chosen.number("retention_days", 1, 14) * DAY,
            cards=chosen.number("cards", 1),
            spares=chosen.number("spares", 1),
        ),
        max_connections=limits.number("max_connections", 1),
        creations_at_once=limits.number("creations_at_once", 1),
        creations_per_minute=limits.number("creations_per_minute", 1),
    )
    for each in (table, limits, chosen):
        each.end()
    return config


class _Table:
    """A TOML table that is read key by key and may hold nothing else."""

    def __init__(self, path: Path, raw: dict[str, object]) -> None:
        self._path = path
        self._raw = dict(raw)

    def _take(self, key: str) -> object:
        if key not in self._raw:
            raise UserError(f"{self._path}: {key} is missing")
        return self._raw.pop(key)

    def text(self, key: str) -> str:
        """A string."""
        value = self._take(key)
        if not isinstance(value, str):
            raise UserError(f"{self._path}: {key} must be a string")
        return value

    def number(self, key: str, least: int, most: int = 2**40) -> int:
        """An integer within ``least``..``most``."""
        value = self._take(key)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise UserError(f"{self._path}: {key} must be a number from {least} to {most}")
        return value

    def table(self, key: str) -> _Table:
        """A table inside this one."""
        value = self._take(key)
        if not isinstance(value, dict):
            raise UserError(f"{self._path}: [{key}] must be a table")
        return _Table(self._path, value)

    def end(self) -> None:
        """Refuse what nobody asked for: a mistyped limit must not be a default in silence."""
        if self._raw:
            raise UserError(f"{self._path}: unknown setting {min(self._raw)}")
