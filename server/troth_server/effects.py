"""What the core wants done: frozen values that the shell carries out in order."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TypeAlias

from .commands import Command


class CloseCode(IntEnum):
    """Why a WebSocket is closed (RFC 6455 section 7.4); from 4000 on the numbers are ours."""

    GOING_AWAY = 1001
    NOT_BINARY = 1003
    NOT_UTF8 = 1007
    POLICY = 1008
    TAKEN_OVER = 4001
    ERASED = 4002


@dataclass(frozen=True, slots=True)
class Answer:
    """Send this frame."""

    frame: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ask:
    """Give this command to the store, and its outcome, with this Ask, back to the core."""

    request_id: int
    command: Command


@dataclass(frozen=True, slots=True)
class Subscribe:
    """From now on this connection, and no other, is told when something is deposited in the mailbox."""

    mailbox: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Close:
    """Send what is before this, then close."""

    code: CloseCode
    reason: str


Effect: TypeAlias = Answer | Ask | Subscribe | Close
