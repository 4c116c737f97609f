"""Routes as ``troth-route:`` links: what one person tells another about a way to a relay. SPEC.md section 19.2.

A link is ``troth-route:`` base64url(body) ``#`` base64url(secret || checksum 4). What must not be seen stands behind
the ``#``: a browser or a shop that is handed the link by mistake does not send that part anywhere.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from . import labels
from .encoding import SUITE, U16_MAX, Reader, lp, sha256, u8, u16
from .errors import BadLink, DecodeError

SCHEME: Final = "troth-route:"
MAX_LINK: Final = 2_048
"""Characters; the longest there can be has 1,800."""
MAX_HOST: Final = 253
MAX_CREDENTIAL: Final = 255
"""Bytes of a user name or password, as SOCKS has room for (RFC 1929)."""
SECRET_SIZE: Final = 32
PIN_SIZE: Final = 32
FINGERPRINT_SIZE: Final = 32
CHECKSUM_SIZE: Final = 4
MAX_IAT_MODE: Final = 2
_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9.:_-]*[a-z0-9])?|::1?")
_CERT: Final = re.compile(r"[A-Za-z0-9+/]{70}")
"""52 bytes: node id 20 and public key 32, base64 without padding."""


def _check_endpoint(host: str, port: int) -> None:
    if not _HOST.fullmatch(host) or len(host) > MAX_HOST or not 0 < port <= U16_MAX:
        raise DecodeError("route host", 0, "not a lower-case host name or address with a port")


@dataclass(frozen=True, slots=True)
class Socks:
    """A SOCKS5 proxy that resolves names itself, Tor's among them; user and password are both empty or both given."""

    host: str = field(repr=False)
    port: int = field(repr=False)
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        _check_endpoint(self.host, self.port)
        _check_credentials(self.user, self.password)


@dataclass(frozen=True, slots=True)
class Connect:
    """An HTTP proxy that takes CONNECT; user and password are both empty or both given, no ``:`` in the user."""

    host: str = field(repr=False)
    port: int = field(repr=False)
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        _check_endpoint(self.host, self.port)
        _check_credentials(self.user, self.password)
        if ":" in self.user:
            raise DecodeError("route user", 0, "a colon cannot be part of a user name")


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A forwarder of ours: the server name to show, the secret of the first flight, the pin of its TLS key."""

    host: str = field(repr=False)
    port: int = field(repr=False)
    name: str = field(repr=False)
    secret: bytes = field(repr=False)
    pin: bytes = field(repr=False)

    def __post_init__(self) -> None:
        _check_endpoint(self.host, self.port)
        if self.name:
            _check_endpoint(self.name, self.port)
        if len(self.secret) != SECRET_SIZE or len(self.pin) != PIN_SIZE:
            raise DecodeError("route secret", 0, "not 32 bytes of secret and 32 of pin")

    def link(self) -> str:
        """The ``troth-route:`` link a forwarder prints."""
        return encode(self)


@dataclass(frozen=True, slots=True)
class Obfs4:
    """An obfs4 bridge whose far end is one relay, named by its fingerprint (32 bytes, or none: the reader's own)."""

    host: str = field(repr=False)
    port: int = field(repr=False)
    cert: str = field(repr=False)
    iat_mode: int = 0
    relay: bytes = field(default=b"", repr=False)

    def __post_init__(self) -> None:
        _check_endpoint(self.host, self.port)
        if not _CERT.fullmatch(self.cert) or not 0 <= self.iat_mode <= MAX_IAT_MODE:
            raise DecodeError("route cert", 0, "not a bridge's cert of 70 characters with an iat-mode of 0 to 2")
        if len(self.relay) not in (0, FINGERPRINT_SIZE):
            raise DecodeError("route relay", 0, "not a relay's fingerprint")


RouteSpec: TypeAlias = Socks | Connect | Tunnel | Obfs4
_KINDS: Final = (Socks, Connect, Tunnel, Obfs4)


def _check_credentials(user: str, password: str) -> None:
    if bool(user) != bool(password):
        raise DecodeError("route user", 0, "a user name without a password, or the other way round")
    for text in (user, password):
        if len(text.encode("utf-8", "surrogatepass")) > MAX_CREDENTIAL or any(c < " " or c == "\x7f" for c in text):
            raise DecodeError("route user", 0, "too long, or with control characters")


def encode(spec: RouteSpec) -> str:
    """The one link of a route. [R-19.2-1]"""
    body = u16(SUITE) + u8(_KINDS.index(type(spec)) + 1) + lp(spec.host.encode("ascii")) + u16(spec.port)
    match spec:
        case Socks() | Connect():
            secret = lp(spec.user.encode()) + lp(spec.password.encode())
        case Tunnel():
            body += lp(spec.name.encode("ascii"))
            secret = spec.secret + spec.pin
        case Obfs4():
            body += lp(spec.relay)
            secret = lp(spec.cert.encode("ascii")) + u8(spec.iat_mode)
    return SCHEME + _base64(body) + "#" + _base64(secret + _checksum(body, secret))


def decode(text: str) -> RouteSpec:
    """The route of a link in its one spelling; BadLink. [R-19.2-2]"""
    text = text.strip()
    if not text.startswith(SCHEME):
        raise BadLink(f"this is not a {SCHEME} link")
    if len(text) > MAX_LINK:
        raise BadLink(f"the link is longer than {MAX_LINK} characters")
    shown, mark, hidden = text.removeprefix(SCHEME).partition("#")
    if not mark:
        raise BadLink("the link is cut short: what follows its # is missing")
    body, checked = _from_base64(shown), _from_base64(hidden)
    secret, checksum = checked[:-CHECKSUM_SIZE], checked[-CHECKSUM_SIZE:]
    if len(checked) < CHECKSUM_SIZE or _checksum(body, secret) != checksum:
        raise BadLink("the link is mistyped or cut short: its checksum does not match")
    try:
        return _read(Reader(body), Reader(secret))
    except DecodeError as error:
        raise BadLink(f"the route link is malformed: {error}") from None


def _read(body: Reader, secret: Reader) -> RouteSpec:
    if body.u16("link suite") != SUITE:
        raise BadLink("the link is for another version of troth")
    kind = _KINDS[body.u8("route kind", len(_KINDS), 1) - 1]
    host, port = body.text("route host", MAX_HOST, 1), body.u16("route port")
    spec: RouteSpec
    if kind is Tunnel:
        name = body.text("route name", MAX_HOST)
        spec = Tunnel(host, port, name, secret.fixed("secret", SECRET_SIZE), secret.fixed("pin", PIN_SIZE))
    elif kind is Obfs4:
        relay = body.lp("route relay", FINGERPRINT_SIZE)
        spec = Obfs4(host, port, secret.text("cert", 70), secret.u8("iat-mode", MAX_IAT_MODE), relay)
    else:
        credentials = secret.text("user", MAX_CREDENTIAL), secret.text("password", MAX_CREDENTIAL)
        spec = Socks(host, port, *credentials) if kind is Socks else Connect(host, port, *credentials)
    body.end()
    secret.end()
    return spec


def _checksum(body: bytes, secret: bytes) -> bytes:
    return sha256(labels.LINK_CHECKSUM, lp(body), secret)[:CHECKSUM_SIZE]


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _from_base64(text: str) -> bytes:
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise BadLink("the link has characters that do not belong in it, or is cut short") from None
    if _base64(raw) != text:
        raise BadLink("the link is not in its one spelling")
    return raw
