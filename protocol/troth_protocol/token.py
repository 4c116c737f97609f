"""Delivery tokens: what a sender shows to put one envelope into a mailbox without saying who they are.

A token is nonce 16 || HMAC-SHA-256(k_mb, label || mailbox || nonce)[:16], 32 bytes. Owner and relay share k_mb.
Standard library only, because the relay checks it. SPEC.md section 10.2.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from . import labels
from .encoding import sha256

NONCE_SIZE: Final = 16
TOKEN_SIZE: Final = 32
EPOCH_SECONDS: Final = 30 * 86_400
"""k_mb is replaced every 30 days; two are live at a time. [R-10.2-3]"""


@dataclass(frozen=True, slots=True)
class MailboxEpoch:
    """One token key of a mailbox and the second at which its tokens stop working."""

    key: bytes = field(repr=False)
    expires: int


def issue(key: bytes, mailbox: bytes, nonce: bytes) -> bytes:
    """The token for ``nonce`` (16 bytes) under ``key`` (k_mb, 32 bytes): 32 bytes. [R-10.2-1]"""
    return nonce + hmac.digest(key, labels.TOKEN + mailbox + nonce, "sha256")[:16]


def valid(epochs: Sequence[MailboxEpoch], mailbox: bytes, token: bytes, now: int) -> bool:
    """Whether ``token`` (32 bytes) was issued under a live epoch; both epochs are always tried. [R-10.2-2]"""
    good = False
    for epoch in epochs:
        matches = hmac.compare_digest(issue(epoch.key, mailbox, token[:NONCE_SIZE]), token)
        good |= matches and now < epoch.expires
    return good


def capability_hash(capability: bytes) -> bytes:
    """What a relay keeps of an intro or spare capability or of a blob's id (32 bytes): 32 bytes. [R-10.3-1]"""
    return sha256(labels.CAPABILITY_HASH, capability)


def mailbox_hash(mailbox: bytes) -> bytes:
    """What a relay keeps of a mailbox id or lookup id (32 bytes): 32 bytes. [R-10.1-1]"""
    return sha256(labels.MAILBOX_HASH, mailbox)
