"""What went wrong while a connection was opened, named so that one line says what to do. SPEC.md section 19.3.

Nothing here asks anybody: it reads what the libraries and the other side have said. ``portals`` asks.
"""

from __future__ import annotations

import asyncio
import datetime
import email.utils
import ssl
from typing import Final

from troth_protocol.errors import (
    CaptivePortal,
    ConnectionReset,
    NetworkError,
    NoTls,
    RelayBusy,
    TimedOut,
    UpgradeStripped,
)

from .dial import network_error

SIGN_IN_STATUS: Final = 511
"""Network Authentication Required, which only a portal says (RFC 6585 section 6)."""
BUSY_STATUS: Final = frozenset({429, 503})
"""What a relay says that turns away for now: too many from there, or too many at all."""
_NOT_TLS: Final = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "BAD_RECORD_TYPE", "RECORD_TOO_SMALL",
                   "UNSUPPORTED_PROTOCOL", "PACKET_LENGTH_TOO_LONG", "DATA_LENGTH_TOO_LONG",
                   "RECORD_LAYER_FAILURE")  # fmt: skip
"""What OpenSSL calls bytes that are no TLS record."""


def bracketed(host: str) -> str:
    """A host as it stands before ``:port``."""
    return f"[{host}]" if ":" in host else host


def opening_failure(error: Exception, seconds: float) -> NetworkError:
    """An error of TLS, of the upgrade or of the socket as one of ours."""
    from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI

    match error:
        case InvalidStatus():
            return _status(error.response.status_code, error.response.headers.get("Retry-After", ""))
        case TimeoutError():
            return TimedOut(f"the relay did not answer within {seconds:g} s")
        case ssl.SSLEOFError() | EOFError() | asyncio.IncompleteReadError() | ConnectionError():
            return ConnectionReset("the connection was cut while it was being opened")
        case ssl.SSLError():
            if error.reason in _NOT_TLS:
                return NoTls("what answers there does not speak TLS")
            return NetworkError(f"no TLS connection to the relay ({error.reason or 'handshake failed'})")
        case OSError():
            return network_error(error)
        case InvalidHandshake() | InvalidURI():
            return _handshake(error)
        case _:
            return NetworkError(f"the connection could not be opened ({type(error).__name__})")


def _handshake(error: Exception) -> NetworkError:
    """websockets keeps the reason for an answer it could not read as the cause."""
    if isinstance(error.__cause__, EOFError | ConnectionError):
        return ConnectionReset("the connection was cut before the upgrade was answered")
    return UpgradeStripped("what answers at the relay's address is not a troth relay, or the upgrade was stripped")


def _status(status: int, retry_after: str) -> NetworkError:
    if status == SIGN_IN_STATUS or 300 <= status < 400:
        return CaptivePortal(f"this network wants you to sign in first (HTTP {status}): open its page in a browser")
    if status in BUSY_STATUS:
        wait = int(retry_after) if retry_after.isascii() and retry_after.isdigit() and len(retry_after) < 6 else 0
        return RelayBusy(f"the relay is busy, trying again (HTTP {status})", wait)
    return UpgradeStripped(f"the upgrade was stripped on the way, or this is no troth relay (HTTP {status})")


def http_date(text: str) -> int | None:
    """The Unix time of an HTTP Date field, or None."""
    try:
        parsed = email.utils.parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=datetime.timezone.utc)  # noqa: UP017
    try:
        return int(parsed.timestamp())
    except (ValueError, OverflowError):
        return None
