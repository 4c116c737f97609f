"""The relay's TLS: which certificate it serves with, and which keys clients may be seeing. [R-11.1-3]

With ``own`` and ``files`` the relay serves TLS itself. Each connection is accepted with the newest context, so that a
certificate can be replaced while connections are open; those keep theirs. Behind a proxy there is no context, only the
hash of the proxy's key. Owners' proofs are checked against the key now in use and the one before it, for whoever shook
hands just before the change. [R-10.1-4]
"""

from __future__ import annotations

import datetime
import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from troth_protocol import ownership
from troth_protocol.errors import StorageError, UserError

LIVE_KEYS: Final = 4
"""Keys a proof may be bound to: what a descriptor may pin; more would only be work for each proof."""
_TIME: Final = rb"(?:\x17\x0d(\d{12})Z|\x18\x0f(\d{14})Z)"
_VALIDITY: Final = re.compile(rb"\x30[\x1e\x20\x22](?:\x17\x0d\d{12}Z|\x18\x0f\d{14}Z)" + _TIME)
"""RFC 5280 section 4.1.2.5: two times, UTCTime or GeneralizedTime."""


@dataclass(frozen=True, slots=True)
class Tls:
    """A server context (None behind a proxy) and the hashes of the keys in use, the newest first."""

    context: ssl.SSLContext | None = field(repr=False)
    key_hashes: tuple[bytes, ...] = field(repr=False)

    @property
    def key_hash(self) -> bytes:
        """The hash of the newest key."""
        return self.key_hashes[0]

    def after(self, before: Tls) -> Tls:
        """This one, with the keys of the one before still good."""
        older = tuple(each for each in before.key_hashes if each not in self.key_hashes)
        return Tls(self.context, (*self.key_hashes, *older)[:LIVE_KEYS])


def load(certificate: Path, key: Path) -> Tls:
    """The context for a certificate (PEM, the first is ours) and its key; StorageError, UserError, DecodeError."""
    hashes = proxied(certificate).key_hashes
    context = _context()
    try:
        context.load_cert_chain(certificate, key)
    except ssl.SSLError:
        raise UserError(f"{key} is not the key of {certificate}") from None
    except OSError as error:
        raise StorageError(f"{key} cannot be read: {error.strerror}") from None
    return Tls(context, hashes)


def proxied(certificate: Path) -> Tls:
    """The hash of a proxy's key, from its certificate (PEM, the first is its); StorageError, UserError, DecodeError."""
    try:
        der = ssl.PEM_cert_to_DER_cert(_first(certificate.read_text("ascii")))
    except OSError as error:
        raise StorageError(f"{certificate} cannot be read: {error.strerror}") from None
    except ValueError:
        raise UserError(f"{certificate} is no PEM certificate") from None
    return Tls(None, (ownership.tls_key_hash(der),))


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    # No tickets: a resumed session would tie two connections of one client together, and costs memory for each.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    return context


def _first(text: str) -> str:
    """The first certificate of a chain."""
    end = text.find(ssl.PEM_FOOTER)
    return text[: end + len(ssl.PEM_FOOTER)] if end >= 0 else text


def expires(certificate: Path) -> int | None:
    """When a certificate (PEM, the first) ends, in seconds since 1970; None if that cannot be read."""
    try:
        der = ssl.PEM_cert_to_DER_cert(_first(certificate.read_text("ascii")))
    except (OSError, ValueError):
        return None
    found = _VALIDITY.search(der)
    if found is None:
        return None
    text = (found[1] and (b"20" if found[1] < b"50" else b"19") + found[1]) or found[2]
    at = datetime.datetime.strptime(text.decode(), "%Y%m%d%H%M%S").replace(tzinfo=datetime.UTC)
    return int(at.timestamp())
