"""The mark by which a forwarder knows its guests: a MAC over a TLS ClientHello, carried where its session id would be.

TLS 1.3 keeps ``legacy_session_id`` for looks alone: a client fills it with 32 random bytes and the server sends them
back. A guest fills it with HMAC(secret, label || hour || hello) instead, where ``hello`` is the record as its TLS
library wrote it, with an empty session id; the forwarder takes the mark out, computes it again, and runs TLS on the
hello that the guest's library knows. To everybody without the secret the mark is as random as what it replaces, and no
bit of a marked hello can be changed. Standard library only. SPEC.md section 19.4.
"""

from __future__ import annotations

import hmac
from typing import Final

from . import labels
from .encoding import Reader, lp, u8, u16, u64
from .errors import DecodeError

MARK_SIZE: Final = 32
WINDOW_SECONDS: Final = 3_600
"""A mark is good in its hour, the one before and the one after: clocks may differ by an hour, and summer time does."""
MAX_HELLO: Final = 4_096
"""Bytes of a hello with its record header: 517 from OpenSSL 3.0, about 1,800 with post-quantum key shares."""
MAX_PADDING: Final = 512
CHANGE_CIPHER_SPEC: Final = bytes.fromhex("140303000101")
"""The record that TLS 1.3 sends for looks (RFC 8446 appendix D.4)."""

_HEADER: Final = 5
_ID_AT: Final = _HEADER + 4 + 2 + 32
"""Offset of the session id's length: after the record and message headers, the version and the random."""
_LEAST: Final = _ID_AT + 1
_SHORT, _PADDED = 256, 512
"""OpenSSL pads a hello of 256 to 511 bytes to 512 (RFC 7685)."""
_PADDING: Final = 21


def hello_size(start: bytes) -> int | None:
    """How many bytes the hello's record takes that ``start`` begins; 0 if too little has come, None if it is none."""
    head = b"\x16\x03"
    if start[:2] != head[: len(start)] or (len(start) > 2 and start[2] not in {1, 3}):
        return None
    if len(start) < _HEADER + 1:
        return 0
    size = _HEADER + int.from_bytes(start[3:_HEADER], "big")
    return size if start[_HEADER] == 1 and _LEAST + MARK_SIZE <= size <= MAX_HELLO else None


def mark(secret: bytes, hello: bytes, now: int) -> bytes:
    """HMAC-SHA-256(secret, label || hour u64 || hello), 32 bytes. [R-19.4-1]"""
    return hmac.digest(secret, labels.TUNNEL + u64(now // WINDOW_SECONDS) + hello, "sha256")


def is_marked(secret: bytes, hello: bytes, shown: bytes, now: int) -> bool:
    """Whether ``shown`` is the mark of ``hello`` in this hour or one beside it; all are always tried. [R-19.4-1]"""
    good = False
    for offset in (-WINDOW_SECONDS, 0, WINDOW_SECONDS):
        good |= hmac.compare_digest(mark(secret, hello, max(0, now + offset)), shown)
    return good


def cover(hello: bytes, shown: bytes) -> bytes:
    """The record to send for ``hello`` (session id empty) and its mark, padded as its library would have padded it.

    DecodeError if it is no such hello, or padded in a way that cannot be undone.
    """
    if len(hello) < _LEAST or hello[_HEADER] != 1 or hello[_ID_AT]:
        raise DecodeError("client hello", _ID_AT, "no hello with an empty session id")
    bare = _bare(hello)
    covered = _padded(bare[:_ID_AT] + u8(MARK_SIZE) + shown + bare[_ID_AT + 1 :])
    if _uncover(covered) != (hello, shown):
        raise DecodeError("client hello", 0, "a hello that would not come back as it was")
    return covered


def recognise(secret: bytes, covered: bytes, now: int) -> tuple[bytes, bytes] | None:
    """The hello and its mark if this record carries a good one, else None; total on any bytes. [R-19.4-1]"""
    found = _uncover(covered)
    if found is None or not is_marked(secret, *found, now):
        return None
    try:
        return found if cover(*found) == covered else None  # not a byte but what a guest would send
    except DecodeError:
        return None


def _uncover(covered: bytes) -> tuple[bytes, bytes] | None:
    """The hello and the mark, with lengths and padding as they must have been; None if there is no room for a mark."""
    if not covered or hello_size(covered) != len(covered) or covered[_ID_AT] != MARK_SIZE:
        return None
    bare, end = _bare(covered), _ID_AT + 1 + MARK_SIZE
    return _padded(bare[:_ID_AT] + b"\x00" + bare[end:]), bare[_ID_AT + 1 : end]


def echo(answer: bytes, shown: bytes) -> bytes:
    """The ServerHello record ``answer`` (session id empty) with the mark sent back in it; DecodeError."""
    if len(answer) < _LEAST or answer[0] != 0x16 or answer[_HEADER] != 2 or answer[_ID_AT]:
        raise DecodeError("server hello", _ID_AT, "no hello with an empty session id")
    return _resized(answer[:_ID_AT] + u8(MARK_SIZE) + shown + answer[_ID_AT + 1 :])


def unecho(answer: bytes, shown: bytes) -> bytes:
    """The ServerHello record without the mark; DecodeError if it does not send back the one that was shown."""
    end = _ID_AT + 1 + MARK_SIZE
    if len(answer) < end or answer[0] != 0x16 or answer[_HEADER] != 2 or answer[_ID_AT:end] != u8(MARK_SIZE) + shown:
        raise DecodeError("server hello", _ID_AT, "not the answer to our hello")
    return _resized(answer[:_ID_AT] + b"\x00" + answer[end:])


def preface(relay: bytes, padding: bytes) -> bytes:
    """What a guest says first inside the outer TLS: version u8 || relay fingerprint 32 || LP(padding). [R-19.4-4]"""
    return u8(1) + relay + lp(padding)


def read_preface(data: bytes) -> tuple[bytes, bytes] | None:
    """The relay's fingerprint and the inner bytes that follow, or None while some are missing; DecodeError."""
    reader = Reader(data)
    if reader.left:
        reader.u8("tunnel version", 1, 1)
    if reader.left < 36:
        return None
    relay = reader.fixed("relay", 32)
    padding = reader.u32("tunnel padding length", MAX_PADDING)
    if reader.left < padding:
        return None
    return relay, data[reader.offset + padding :]


def _resized(record: bytes) -> bytes:
    """The record with the lengths of record and message set to what follows them."""
    return record[:3] + u16(len(record) - _HEADER) + record[5:6] + (len(record) - 9).to_bytes(3, "big") + record[9:]


def _padded(bare: bytes) -> bytes:
    """The hello with the padding that OpenSSL gives one of this size (RFC 7685), and all lengths set."""
    missing = _PADDED - (len(bare) - _HEADER)
    first = _extensions(bare)
    if 0 < missing <= _PADDED - _SHORT and first is not None:
        size = max(0, missing - 4)
        bare += u16(_PADDING) + u16(size) + bytes(size)
    if first is not None:
        bare = bare[: first - 2] + u16(len(bare) - first) + bare[first:]
    return _resized(bare)


def _bare(hello: bytes) -> bytes:
    """The hello without its padding extension, if that is the last one; lengths stay as they are."""
    at = _extensions(hello)
    while at is not None and at + 4 <= len(hello):
        size = int.from_bytes(hello[at + 2 : at + 4], "big")
        if int.from_bytes(hello[at : at + 2], "big") == _PADDING and at + 4 + size == len(hello):
            return hello[:at]
        at += 4 + size
    return hello


def _extensions(hello: bytes) -> int | None:
    """Where the first extension begins, past session id, cipher suites and compression methods; None if cut short."""
    at = _ID_AT
    for width in (1, 2, 1):
        if at + width > len(hello):
            return None
        at += width + int.from_bytes(hello[at : at + width], "big")
    return at + 2 if at + 2 <= len(hello) else None
