"""A forwarder's files: what the volunteer chose, the secret of its link, and the key that the link pins.

``forwarder.toml`` is for people to read and change. ``forwarder.key`` holds the secret, ``forwarder-key.pem`` the TLS
key that guests are shown, ``forwarder-relays/`` the ledgers that were read. All are readable by their owner alone.
"""

from __future__ import annotations

import ssl
import tomllib
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from troth_protocol import primitives
from troth_protocol.address import JoinLink, RelayAddress
from troth_protocol.errors import DecodeError, StorageError, UserError
from troth_protocol.primitives import Randomness
from troth_protocol.route_link import Tunnel

from .. import tls
from ..files import read_secret, write_file
from .decoy import PAGE
from .front import Room, Site
from .limits import MAX_CONNECTIONS, MAX_FROM_ADDRESS

FILE: Final = "forwarder.toml"
_SECRET: Final = "forwarder.key"  # noqa: S105 (the name of a file)
_CERTIFICATE: Final = "forwarder-cert.pem"
_KEY: Final = "forwarder-key.pem"
_LEDGERS: Final = "forwarder-relays"
_PAGE: Final = "index.html"
_HEADING: Final = "troth forwarder secret 1"
_CERTIFICATE_DAYS: Final = 3_650
"""Guests look at the key alone."""
MAX_PAGE: Final = 65_536


@dataclass(frozen=True, slots=True)
class Settings:
    """What ``forwarder.toml`` says."""

    host: str = field(
        default="", repr=False, metadata={"why": "the name or address by which people reach this forwarder"}
    )
    port: int = field(default=443, metadata={"why": "what a site is expected on; 0 lets the system choose"})
    bind: str = field(default="0.0.0.0", metadata={"why": '"0.0.0.0" all IPv4, "::" all addresses'})  # noqa: S104
    name: str = field(
        default="", repr=False, metadata={"why": "the site's name, which guests show to the network; empty: host"}
    )
    site: str = field(
        default="",
        metadata={
            "why": "what strangers get: https://HOST:PORT unread, http://HOST:PORT behind TLS that ends here, or empty"
        },
    )
    certificate: str = field(default="", metadata={"why": "for strangers where TLS ends here; empty: one of our own"})
    key: str = field(default="", metadata={"why": "its key"})
    metrics_port: int = field(default=0, metadata={"why": "counts for Prometheus, on loopback; 0 is off"})
    max_connections: int = field(default=MAX_CONNECTIONS, metadata={"why": "open at once"})
    from_address: int = field(default=MAX_FROM_ADDRESS, metadata={"why": "from one IPv4 address or IPv6 /56"})
    relays: tuple[str, ...] = field(
        default=(), repr=False, metadata={"why": "troth-relay: links of the only relays guests may reach"}
    )

    def check(self) -> None:
        """Whether the values make a forwarder; UserError."""
        try:
            Tunnel(self.host, self.port or 443, self.name, bytes(32), bytes(32))
        except DecodeError:
            raise UserError("host must be the name or address by which people reach this forwarder") from None
        if not self.relays:
            raise UserError("no relay is allowed: give at least one troth-relay: link")
        for number, most in ((self.port, 65_535), (self.metrics_port, 65_535)):
            if not 0 <= number <= most:
                raise UserError("a port is a number from 0 to 65535")
        if self.max_connections < 1 or self.from_address < 1:
            raise UserError("the limits are numbers from 1")
        if bool(self.certificate) != bool(self.key):
            raise UserError("certificate and key belong together")
        if self.certificate and self.passes_tls():
            raise UserError("the site ends TLS itself: no certificate is needed here")
        self.site_address()
        self.links()

    def links(self) -> tuple[RelayAddress, ...]:
        """The allowed relays; BadLink. An invitation in a link is for its people and is not used here."""
        return tuple(dict.fromkeys(JoinLink.from_link(text).relay for text in self.relays))

    def passes_tls(self) -> bool:
        """Whether strangers' TLS goes to the site unread."""
        return bool(self.site) and not self.site.startswith("http://")

    def site_address(self) -> tuple[str, int] | None:
        """Where the site is; None for the built-in one. UserError."""
        if not self.site:
            return None
        try:
            parts = urlsplit(self.site if "://" in self.site else f"https://{self.site}")
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:
            parts, port = None, 0
        if parts is None or parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
            raise UserError("site must be https://HOST:PORT or http://HOST:PORT")
        return parts.hostname, port

    def room(self) -> Room:
        """How many connections there may be."""
        return Room(self.max_connections, self.from_address)

    def toml(self) -> str:
        """The file, with a reason beside each value."""
        lines = ["# The forwarder's settings; the reasons of the limits stand in troth_server/forwarder/limits.py."]
        for each in fields(self):
            lines += [f"# {each.metadata['why']}", f"{each.name} = {_toml(getattr(self, each.name))}"]
        return "\n".join(lines) + "\n"


def _toml(value: str | int | tuple[str, ...]) -> str:
    if isinstance(value, int):
        return str(value)
    if isinstance(value, tuple):
        return "[" + "".join(f"\n  {_toml(each)}," for each in value) + ("\n]" if value else "]")
    if any(c in '"\\' or not c.isprintable() for c in value):
        raise UserError(
            "a setting has characters that cannot be written down: quotes, backslashes or control characters"
        )
    return f'"{value}"'


def load(data: Path) -> Settings | None:
    """The settings in a folder, None if it has none; UserError naming what is wrong, StorageError."""
    path = data / FILE
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {error}") from None
    values: dict[str, str | int | tuple[str, ...]] = {}
    for name, default in asdict(Settings()).items():
        value = raw.pop(name, None)
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            value = tuple(value)
        if type(value) is not type(default):
            raise UserError(f"{path}: {name} is missing or not what it should be")
        values[name] = value
    if raw:
        raise UserError(f"{path}: unknown setting {min(raw)}")
    return Settings(**values)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Files:
    """A forwarder's folder."""

    data: Path
    settings: Settings
    secret: bytes = field(repr=False)
    guests: ssl.SSLContext = field(repr=False)
    pin: bytes = field(repr=False)

    @property
    def ledgers(self) -> Path:
        """Where the relays' ledgers are kept."""
        return self.data / _LEDGERS

    def link(self, port: int) -> str:
        """The ``troth-route:`` link that lets people in, for a forwarder that listens on ``port``."""
        settings = self.settings
        return Tunnel(settings.host, settings.port or port, settings.name, self.secret, self.pin).link()

    def site(self) -> Site:
        """What strangers get; UserError, StorageError."""
        settings = self.settings
        address = settings.site_address()
        if settings.passes_tls():
            return Site(address, None, b"")
        own = (self.data / _CERTIFICATE, self.data / _KEY)
        chosen = (self.data / settings.certificate, self.data / settings.key) if settings.certificate else own
        context = server_context(*chosen, ssl.TLSVersion.TLSv1_2)
        context.set_alpn_protocols(["http/1.1"])
        page = self.data / _PAGE
        try:
            shown = page.read_bytes() if page.exists() else PAGE
        except OSError as error:
            raise StorageError(f"{page} cannot be read: {error.strerror}") from None
        if len(shown) > MAX_PAGE:
            raise UserError(f"{page} is longer than {MAX_PAGE} bytes")
        return Site(address, context, shown)


def found(data: Path, settings: Settings, now: int, randomness: Randomness) -> None:
    """Write the settings, and a secret and a key if there are none yet; UserError, StorageError."""
    settings.check()
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{data} cannot be made: {error.strerror}") from None
    if not is_founded(data):
        shown = settings.name or settings.host
        certificate, key = primitives.self_signed_certificate((shown,), now, _CERTIFICATE_DAYS, shown[:64])
        write_file(data / _CERTIFICATE, certificate)
        write_file(data / _KEY, key)
        write_file(data / _SECRET, f"{_HEADING}\n{randomness.draw(32).hex()}\n".encode("ascii"))
    write_file(data / FILE, settings.toml().encode("utf-8"))


def dress(data: Path, settings: Settings, size: int, now: int) -> None:
    """Give the guests' key a certificate of this size, the site's; the key, and so the link, stays. StorageError."""
    try:
        private = (data / _KEY).read_bytes()
    except OSError as error:
        raise StorageError(f"{data / _KEY} cannot be read: {error.strerror}") from None
    shown = settings.name or settings.host
    certificate = primitives.sized_certificate(private, shown, now, _CERTIFICATE_DAYS, size)
    if certificate is not None:
        write_file(data / _CERTIFICATE, certificate)


def is_founded(data: Path) -> bool:
    """Whether the folder has a secret already."""
    return (data / _SECRET).exists()


def open_files(data: Path, settings: Settings) -> Files:
    """The folder of a forwarder that was founded; UserError, StorageError."""
    settings.check()
    secret = read_secret(data / _SECRET, _HEADING, 32, "forwarder's secret")
    context = server_context(data / _CERTIFICATE, data / _KEY, ssl.TLSVersion.TLSv1_3)
    return Files(data, settings, secret, context, tls.proxied(data / _CERTIFICATE).key_hash)


def server_context(certificate: Path, key: Path, least: ssl.TLSVersion) -> ssl.SSLContext:
    """TLS as an ordinary web server has it, session tickets included: strangers compare; UserError, StorageError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = least
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    try:
        context.load_cert_chain(certificate, key)
    except ssl.SSLError:
        raise UserError(f"{key} is not the key of {certificate}") from None
    except OSError as error:
        raise StorageError(f"{certificate} or its key cannot be read: {error.strerror}") from None
    return context
