"""The relay's TLS key: a certificate that clients know by its pin, and the context it is served with."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path

from troth_protocol import ownership
from troth_protocol.errors import StorageError, UserError


@dataclass(frozen=True, slots=True)
class Tls:
    """A server context and the hash of its public key, which owners' proofs are bound to. [R-11.1-3]"""

    context: ssl.SSLContext = field(repr=False)
    key_hash: bytes = field(repr=False)


def load(certificate: Path, key: Path) -> Tls:
    """The context for a certificate (PEM, the first is ours) and its key; StorageError, UserError, DecodeError."""
    try:
        der = ssl.PEM_cert_to_DER_cert(_first(certificate.read_text("ascii")))
    except OSError as error:
        raise StorageError(f"{certificate} cannot be read: {error.strerror}") from None
    except ValueError:
        raise UserError(f"{certificate} is no PEM certificate") from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    # No tickets: a resumed session would tie two connections of one client together, and costs memory for each.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    try:
        context.load_cert_chain(certificate, key)
    except ssl.SSLError:
        raise UserError(f"{key} is not the key of {certificate}") from None
    except OSError as error:
        raise StorageError(f"{key} cannot be read: {error.strerror}") from None
    return Tls(context, ownership.tls_key_hash(der))


def _first(text: str) -> str:
    """The first certificate of a chain."""
    end = text.find(ssl.PEM_FOOTER)
    return text[: end + len(ssl.PEM_FOOTER)] if end >= 0 else text
