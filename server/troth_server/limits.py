"""Every number that bounds something at the relay, each with its reason, and the token bucket that spends some of them.

Limits that are part of the protocol (sizes, windows, uses of a card) are in ``troth_protocol.wire``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

HOUR: Final = 3_600
DAY: Final = 86_400

# Time a connection may take.
OPEN_SECONDS: Final = 10
"""TLS and HTTP handshakes, each in all: a slow client needs 3 round trips, a slow-loris wants minutes."""
HELLO_SECONDS: Final = 10
"""From the end of the HTTP handshake to Hello, absolute: a connection without Hello holds memory for nobody."""
CLOSE_SECONDS: Final = 5
"""For the closing handshake; a peer that does not answer it is cut off."""
PATROL_SECONDS: Final = 5
"""Between looks at every connection: is it silent, is it stuck?"""
PING_SECONDS: Final = 25
"""A peer not heard for so long is sent a ping."""
SILENCE_SECONDS: Final = 38
"""A peer not heard for so long, pings and all, is gone: with the patrol 43 s, below the 45 s a half-open one may last.

Anything heard counts, not the pong alone: on a slow link a ping waits behind an envelope, and acknowledgements come.
"""
SEND_SECONDS: Final = 30
"""A peer that takes not one byte of what waits for it is cut off after this; its envelopes stay queued."""

# Memory a connection may take.
WRITE_HIGH: Final = 65_536
"""Above so many unsent bytes nothing more is read from, or loaded for, this peer."""
WRITE_CAP: Final = 1_048_576
"""A peer that makes us buffer more (pongs are answered by the library) is cut off; pages and 32 bundles fit."""
SEND_BUFFER: Final = 262_144
"""SO_SNDBUF: the kernel would let a slow reader hold 4 MiB."""
UNSENT_BUFFER: Final = 32_768
"""TCP_NOTSENT_LOWAT: bytes the kernel takes before it can send them; more would only delay a ping."""
READ_FRAMES: Final = 8
"""Frames read ahead of processing; 8 of the largest are 560 kB."""
OUTSTANDING: Final = 32
"""Requests of one connection that wait for the disk; enough to fill half a group commit."""
FRAGMENTS: Final = 64
"""WebSocket fragments in one message; a 70,000-byte frame in 1,100-byte pieces still passes."""
PAGE_BYTES: Final = 65_536
"""Envelopes loaded at once for one peer; at least one, whatever its size. At 5 kB/s a ping waits 13 s behind it."""
BACKLOG: Final = 1_024
"""Connections the kernel keeps for us to accept; more than a reconnect storm brings in one turn of the loop."""

# Patience with mistakes.
BAD_FRAMES: Final = 5
"""Frames that do not parse before the connection is closed: one is a bug, five are a fuzzer."""
UNPROVED: Final = 3
"""Requests without the proof they need before the connection is closed."""
CREATIONS: Final = 4
"""Mailboxes made on one connection: an account needs one for each device."""
CREATION_WAIT: Final = 60
"""Seconds a connection that made its share is asked to wait; it must come back on a new one."""

# Storage.
GROUP: Final = 64
"""Commands in one transaction: 37,000 durable 1 kB/s at 64 against 4,000 one by one; more gains little (measured)."""
SWEEP_SECONDS: Final = 30
"""Between sweeps: an acknowledged envelope is gone from every file within 60 s."""
EPOCH_AHEAD: Final = 61 * DAY
"""How far ahead a token key may expire: two epochs of 30 days and a day for clocks that differ."""


@dataclass(frozen=True, slots=True)
class Quotas:
    """What one mailbox may hold; an operator may change each in the configuration file.

    A sender's share of a queue cannot be limited: the relay sees tokens, never senders. The owner bounds each contact
    by how many tokens it issues.
    """

    envelopes: int = 4_096
    """Queued envelopes: 16 contacts may each use the 256 tokens they hold."""
    envelope_bytes: int = 64 * 1_048_576
    """Queued bytes: a thousand of the largest envelopes."""
    retention: int = 14 * DAY
    """Undelivered envelopes are dropped after this, as the policy says."""
    cards: int = 64
    """Published lookup ids: at most 57 kB each."""
    spares: int = 1_024
    """Registered spare capabilities: one for each contact."""


class Bucket:
    """A token bucket: ``capacity`` at once, then ``per_second``; the clock is an argument."""

    __slots__ = ("_capacity", "_level", "_per_second", "_updated")

    def __init__(self, capacity: float, per_second: float) -> None:
        self._capacity = capacity
        self._per_second = per_second
        self._level = capacity
        self._updated: int | None = None

    def take(self, now: int) -> int:
        """Take one; 0, or the seconds to wait before trying again. A clock that goes back refills nothing."""
        elapsed = 0 if self._updated is None else max(0, now - self._updated)
        self._level = min(self._capacity, self._level + elapsed * self._per_second)
        self._updated = now
        if self._level >= 1:
            self._level -= 1
            return 0
        return math.ceil((1 - self._level) / self._per_second)


def hour(now: int) -> int:
    """``now`` rounded down to the hour: the only precision in which the relay remembers when."""
    return now - now % HOUR
