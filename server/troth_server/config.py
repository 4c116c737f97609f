"""One frozen Config: what an operator may choose, and how it is read from the commented file that ``init`` writes."""

from __future__ import annotations

import argparse
import ipaddress
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from enum import Enum
from pathlib import Path
from typing import Final

from troth_protocol.errors import StorageError, UserError

from .admission import Mode
from .config_table import Table, filled
from .config_text import quoted, template
from .limits import DAY, BlobQuotas, Quotas, Rates

FILE: Final = "relay.toml"
DEFAULT_PORT: Final = 7_443
"""Above 1,024, so that the relay never needs to be root; 443 is for a reverse proxy or a redirect."""
MOST_TEXT: Final = 2_000
"""Characters of each text for the page: it is a page, and small."""


class TlsMode(Enum):
    """Where TLS ends and whose certificate it is."""

    OWN = "own"
    """Here, with a certificate that init made and the ledger pins."""
    FILES = "files"
    """Here, with files that an ACME client renews."""
    PROXY = "proxy"
    """At a reverse proxy on this machine; the relay itself speaks plainly, on loopback or a UNIX socket."""


@dataclass(frozen=True, slots=True)
class Tls:
    """``certificate`` and ``key`` are paths, from the relay's folder on; ``key`` is empty behind a proxy.

    Behind a proxy the certificate is the proxy's, read for its key's hash alone; empty where the ledger pins the keys.
    """

    mode: TlsMode = TlsMode.OWN
    certificate: str = "tls-cert.pem"
    key: str = "tls-key.pem"


@dataclass(frozen=True, slots=True)
class Page:
    """What the page at / says beside what the relay knows of itself; plain text."""

    show: bool = True
    name: str = ""
    operator: str = ""
    contact: str = ""
    about: str = ""


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
    socket: str = ""
    """A UNIX socket to listen on instead of ``bind`` and ``port``; behind a proxy only."""
    metrics_port: int = 0
    """On loopback; 0 is off."""
    tls: Tls = field(default_factory=Tls)
    admission: Mode = Mode.OPEN
    page: Page = field(default_factory=Page)
    rates: Rates = field(default_factory=Rates)

    @property
    def certificate(self) -> Path:
        """The TLS certificate, PEM."""
        return self.data / self.tls.certificate

    @property
    def certificate_key(self) -> Path:
        """Its private key, PEM, readable by the relay alone."""
        return self.data / self.tls.key

    @property
    def ledger(self) -> Path:
        """The operator's ledger, public."""
        return self.data / "ledger.bin"

    @property
    def invite_key(self) -> Path:
        """The key of this relay's invitations."""
        return self.data / "invite.key"

    @property
    def socket_path(self) -> Path:
        """Where the UNIX socket is."""
        return self.data / self.socket

    def toml(self) -> str:
        """This configuration as a commented file."""
        quotas, page = self.quotas, self.page
        return template(
            bind=quoted(self.bind),
            port=str(self.port),
            socket=quoted(self.socket),
            store=quoted(self.store),
            metrics_port=str(self.metrics_port),
            tls_mode=quoted(self.tls.mode.value),
            certificate=quoted(self.tls.certificate),
            key=quoted(self.tls.key),
            admission=quoted(self.admission.value),
            show="true" if page.show else "false",
            name=quoted(page.name),
            operator=quoted(page.operator),
            contact=quoted(page.contact),
            about=quoted(page.about),
            max_connections=str(self.max_connections),
            creations_at_once=str(self.creations_at_once),
            creations_per_minute=str(self.creations_per_minute),
            envelopes=str(quotas.envelopes),
            envelope_bytes=str(quotas.envelope_bytes),
            retention_days=str(quotas.retention // DAY),
            idle_days=str(quotas.idle // DAY),
            cards=str(quotas.cards),
            spares=str(quotas.spares),
            rates="\n".join(_reasoned(self.rates)),
            blobs="\n".join(_reasoned(quotas.blobs)),
        )

    def check(self) -> None:
        """Whether the values go together and the file can hold them; UserError.

        Without TLS nothing leaves this machine. [R-11.1-3]
        """
        proxied = self.tls.mode is TlsMode.PROXY
        try:
            loopback = ipaddress.ip_address(self.bind).is_loopback
        except ValueError:
            raise UserError('bind must be an IP address, such as "0.0.0.0"') from None
        if proxied and not self.socket and not loopback:
            raise UserError('behind a proxy (mode "proxy") bind must be a loopback address, or socket be set')
        if self.socket and not proxied:
            raise UserError('socket is for a reverse proxy: it needs mode "proxy"')
        if proxied == bool(self.tls.key):
            raise UserError('key must be empty behind a proxy (mode "proxy"), and only there')
        if not proxied and not self.tls.certificate:
            raise UserError("certificate must be the path of a certificate")
        page = self.page
        for name, text in (
            ("name", page.name), ("operator", page.operator), ("contact", page.contact), ("about", page.about),
            ("certificate", self.tls.certificate), ("key", self.tls.key), ("socket", self.socket),
        ):  # fmt: skip
            if len(text) > MOST_TEXT:
                raise UserError(f"{name} is longer than {MOST_TEXT} characters")
            if any(each == "\0" or "\ud800" <= each <= "\udfff" for each in text):
                raise UserError(f"{name} is not UTF-8, or has a NUL in it")
        if self.metrics_port and self.metrics_port == self.port:
            raise UserError("metrics_port must be another port than port")


def _reasoned(numbers: Rates | BlobQuotas) -> Iterator[str]:
    """Each number and its reason."""
    for each in fields(numbers):
        yield f"{each.name} = {getattr(numbers, each.name)}"
        yield f"#   {each.metadata['why']}"


def port_number(text: str) -> int:
    """A TCP port as typed; ArgumentTypeError."""
    try:
        port = int(text)
    except ValueError:
        port = -1
    if not 0 <= port <= 65_535:
        raise argparse.ArgumentTypeError("that is not a port")
    return port


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
    table = Table(path, filled(raw, tomllib.loads(Config(data).toml())))
    tls, admission, page = table.table("tls"), table.table("admission"), table.table("page")
    limits, chosen, rates, blobs = (table.table(each) for each in ("limits", "quotas", "rates", "blobs"))
    config = Config(
        data,
        bind=table.text("bind"),
        port=table.number("port", 0, 65_535),
        socket=table.text("socket"),
        store=table.text("store"),
        metrics_port=table.number("metrics_port", 0, 65_535),
        tls=Tls(tls.choice("mode", TlsMode), tls.text("certificate"), tls.text("key")),
        admission=admission.choice("mode", Mode),
        page=Page(
            show=page.flag("show"),
            name=page.text("name", MOST_TEXT),
            operator=page.text("operator", MOST_TEXT),
            contact=page.text("contact", MOST_TEXT),
            about=page.text("about", MOST_TEXT),
        ),
        quotas=Quotas(
            envelopes=chosen.number("envelopes", 1),
            envelope_bytes=chosen.number("envelope_bytes", 65_666),
            retention=chosen.number("retention_days", 1, 14) * DAY,
            idle=chosen.number("idle_days", 30, 3_650) * DAY,
            cards=chosen.number("cards", 1),
            spares=chosen.number("spares", 1),
            blobs=BlobQuotas(**{each.name: blobs.number(each.name, 0) for each in fields(BlobQuotas)}),
        ),
        rates=Rates(**{each.name: rates.number(each.name, 1) for each in fields(Rates)}),
        max_connections=limits.number("max_connections", 1),
        creations_at_once=limits.number("creations_at_once", 1),
        creations_per_minute=limits.number("creations_per_minute", 1),
    )
    for part in (table, tls, admission, page, limits, chosen, rates, blobs):
        part.end()
    try:
        config.check()
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return config
