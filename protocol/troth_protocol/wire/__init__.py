"""What client and relay say to each other: one request or answer in each binary WebSocket message. SPEC.md section 11.

frame = request id u32 || type u8 || body. A client chooses request ids; an answer repeats the id of what it answers.
Types below 0x80 are requests, the others answers; each side refuses the other's. Standard library only.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

VERSION: Final = 1
"""The relay protocol's version, said in Hello. [R-11.2-1]"""

PATH: Final = "/troth"
"""The request path of the WebSocket; it is no secret. [R-11.1-2]"""

MAX_ENVELOPE: Final = 65_666
"""The largest bucket on the wire (SPEC.md section 9.2). [R-11.2-3]"""

ENVELOPE_SIZES: Final = frozenset({1_154, 4_226, 16_514, 65_666})
"""The only sizes a relay takes: lengths outside the buckets would tell on their sender. [R-11.2-3]"""

MAX_FRAME: Final = 70_000
"""Room for the largest envelope, bundle answer or page of leaves with its fields. [R-11.2-2]"""

ID_SIZE: Final = 32
NONCE_SIZE: Final = 16
LEAF_SIZE: Final = 1_441
"""index u8 || X25519 32 || ML-KEM-768 1,184 || path 7 x 32 (SPEC.md section 4.4)."""
LEAVES_PER_BATCH: Final = 128
MAX_LEAVES_PER_REQUEST: Final = 32
BUNDLE_SIZE: Final = 18_432
"""A sealed bundle of a single-device account."""
BUNDLE_SIZE_DEVICES: Final = 57_344
"""A sealed bundle of an account with two to five devices."""
BUNDLE_ANSWER: Final = 20_480
"""A bundle answer's body is padded to this, with or without a leaf. [R-5.3-3]"""
BUNDLE_ANSWER_DEVICES: Final = 65_536
MAX_WINDOW: Final = 64
"""How many envelopes a relay sends ahead of their acknowledgement; about 4 MiB of the largest. [R-11.4-3]"""
MAX_ACKNOWLEDGED: Final = 256
MAX_SPARES_PER_REQUEST: Final = 64
MAX_REFUSED: Final = 512
"""Nonces in one REFUSE: as many as a contact may hold unspent. [R-10.2-8]"""
MAX_CARD_USES: Final = 100
ENVELOPES_PER_USE: Final = 8
"""What one use of a card pays for, for each device: one leaf and so many first-flight envelopes. [R-10.4-2]"""
MAX_SPENT_PER_EPOCH: Final = 100_000
"""Nonces a relay remembers for a mailbox and epoch; past it the answer is QUOTA. [R-10.2-5]"""
SPARE_SECONDS: Final = 86_400
"""A spare capability is good for one envelope in this time. [R-10.3-2]"""


class Type(IntEnum):
    """Frame types."""

    HELLO = 0x01
    CREATE = 0x02
    PROVE = 0x03
    ROTATE = 0x04
    PUBLISH = 0x05
    UNPUBLISH = 0x06
    ADD_LEAVES = 0x07
    COUNT = 0x08
    FETCH_BUNDLE = 0x09
    DELIVER_FIRST = 0x0A
    DELIVER = 0x0B
    DELIVER_SPARE = 0x0C
    FETCH = 0x0D
    ACKNOWLEDGE = 0x0E
    LEDGER = 0x0F
    SPARES = 0x10
    ERASE = 0x11
    REFUSE = 0x12
    BLOB_PUT = 0x13
    BLOB_GET = 0x14
    BLOB_DELETE = 0x15

    WELCOME = 0x81
    OK = 0x82
    ERROR = 0x83
    COUNTS = 0x84
    BUNDLE = 0x85
    ENVELOPE = 0x86
    DRAINED = 0x87
    LEDGER_PAGE = 0x88
    BLOB_STATE = 0x89
    BLOB_PART = 0x8A


class Code(IntEnum):
    """Error codes; SPEC.md section 11.5 says what a client does on each."""

    BAD_FRAME = 1
    UNSUPPORTED_VERSION = 2
    UNEXPECTED_TYPE = 3
    AUTH_REQUIRED = 4
    REFUSED = 5
    """Unknown, deleted, revoked, spent, wrong: one answer for all of them. [R-11.5-2]"""
    TOO_LARGE = 6
    QUOTA = 7
    RATE_LIMITED = 8
    STORAGE_FULL = 9
    UNAVAILABLE = 10
    ACK_UNKNOWN = 11
    PREKEY_REJECTED = 12
    INVITE_REQUIRED = 13


class Via(IntEnum):
    """By what right an envelope came into the mailbox; ``mark`` is its 32-byte trace."""

    TOKEN = 1
    """mark = token nonce 16 || 16 zero bytes."""
    SPARE = 2
    """mark = hash of the spare capability."""
    INTRO = 3
    """mark = hash of the lookup id."""
