"""Every number that bounds something at the relay, each with its reason, and the token buckets that spend some of them.

Limits that are part of the protocol (sizes, windows, uses of a card) are in ``troth_protocol.wire``.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

HOUR: Final = 3_600
DAY: Final = 86_400

# Time a connection may take.
OPEN_SECONDS: Final = 10
"""From accept to the end of the HTTP handshake, absolute: a slow client needs 4 round trips, a slow-loris minutes."""
HELLO_SECONDS: Final = 10
"""From the end of the HTTP handshake to Hello, absolute: a connection without Hello holds memory for nobody."""
UNREAD_BYTES: Final = 16_384
"""What a peer may still send while its closing frame is awaited; after more nothing is read, and it is dropped soon."""
LINGER_SECONDS: Final = 1
"""After a flood nothing more is read, and who reads finds the reason; then the connection is dropped."""
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
IDLE_SECONDS: Final = 600
"""A connection that has proved no mailbox and asks nothing is closed; clients close theirs after a minute."""
ASSEMBLY_SECONDS: Final = 10
"""From the first fragment of a message to its last; the patrol may find a stalled one PATROL_SECONDS later."""
SEND_SECONDS: Final = 30
"""A peer that takes not one byte of what waits for it is cut off after this; its envelopes stay queued."""

# Memory a connection may take.
WRITE_HIGH: Final = 32_768
"""Above so many unsent bytes nothing more is read from, or loaded for, this peer."""
WRITE_CAP: Final = 262_144
"""A peer for whom more waits is cut off: WRITE_HIGH, a page, a live envelope and the bundles under way fit."""
HELD_BYTES: Final = 16_384
"""Written to one peer in one turn of the loop before any of it is sent: a TLS record's worth."""
SLOW_READERS: Final = 256
"""Peers that may be behind at once, about 100 kB each; with one more, the one behind the longest is cut off."""
HEAD_BYTES: Final = 16_384
"""An HTTP request's head in all; a client's has 300 bytes. The library alone would keep 1 MiB."""
SLICE_BYTES: Final = 4_096
"""Bytes parsed at a time: the smallest frame has 6, and 256 kB of them at once would become 20 MB of objects."""
RECEIVE_BUFFER: Final = 65_536
"""SO_RCVBUF, which also bounds one read; 640 kB/s at 100 ms of distance."""
TLS_AHEAD: Final = (32_768, 20_480)
"""Undecrypted bytes above which TLS stops reading for a busy session, and below which it goes on: a record must fit."""
SEND_BUFFER: Final = 262_144
"""SO_SNDBUF: the kernel would let a slow reader hold 4 MiB."""
UNSENT_BUFFER: Final = 32_768
"""TCP_NOTSENT_LOWAT: bytes the kernel takes before it can send them; more would only delay a ping."""
TURN: Final = 4
"""Messages of one connection before the others have their turn: four pages of a ledger are 2 ms."""
OUTSTANDING: Final = 32
"""Requests of one connection that wait for the disk; enough to fill half a group commit."""
BUNDLE_WEIGHT: Final = 16
"""A bundle or chunk under way counts as so many requests: it has up to 65,552 bytes, most other answers have 5."""
FRAGMENTS: Final = 64
"""WebSocket fragments in one message; a 70,000-byte frame in 1,100-byte pieces still passes."""
CONTROLS: Final = 60
"""Pings and pongs in a burst; a client sends one ping in 20 s."""
CONTROLS_PER_SECOND: Final = 20
"""Pings and pongs after the burst; more are a flood: each ping makes us answer."""
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
FAILURES: Final = 20
"""Refused requests on one connection before it is closed; who guesses needs 2^256, who errs needs a few."""
INSISTENCE: Final = 64
"""RATE_LIMITED answers in a burst before the connection is closed: what a client had under way, twice."""
INSISTENCE_PER_SECOND: Final = 2
"""RATE_LIMITED answers after the burst: a client that waits as it was told gets fewer."""

# Newcomers (``gate``).
SOFT_AT_ONCE: Final = 64
"""Newcomers over a limit who are told so by HTTP, in a burst; each costs a TLS handshake. The rest are just closed."""
SOFT_PER_SECOND: Final = 20
"""The same after the burst: 2 % of a core."""
SOFT_EACH: Final = 8
"""The same burst for one network, so that one flood does not use up the answers for all."""
SOFT_EACH_PER_SECOND: Final = 1
"""The same after the burst for one network."""
WIDE: Final = 4
"""An IPv6 /48 may do so many times what a /64 may: it is a site, or one person who makes networks up."""
ROWS: Final = 16_384
"""Networks, and mailboxes, whose spending is remembered at once: about 250 bytes each."""
SAMPLE: Final = 8
"""Rows looked at to find which to forget."""
AWAY_SECONDS: Final = 30
"""What a newcomer without room is told to wait."""
HURRY_SECONDS: Final = 2
"""With the handshakes full, one that took longer makes room for a newcomer: an honest one takes four round trips."""
PENDING: Final = 512
"""Handshakes under way, in all; about 60 kB each with TLS."""
ACCEPTS: Final = 16
"""Connections accepted in one turn of the loop, so that a flood of them delays the others by a millisecond or two."""
PACE_SECONDS: Final = 0.008
"""Between the beginnings of two TLS handshakes: 125 a second, a third of a core, however many come; the others wait."""
BREATH_SECONDS: Final = 0.25
"""Without descriptors or memory nothing is accepted for so long; whoever is connected notices nothing."""
DESCRIPTORS: Final = 64
"""Kept free of connections: the store's files, the logs, the metrics port."""
TURN_SECONDS: Final = 3_600
"""The salt under which networks are remembered lives so long."""

# Storage.
GROUP: Final = 256
"""Commands in one transaction: 37,000 durable 1 kB/s at 64 against 4,000 one by one; more gains little (measured)."""
SWEEP_SECONDS: Final = 30
"""Between sweeps: an acknowledged envelope is gone from every file within 60 s."""
ROOM_SECONDS: Final = 1
"""Between looks whether a full disk has room again; the promise is 5 s."""
EPOCH_AHEAD: Final = 61 * DAY
"""How far ahead a token key may expire: two epochs of 30 days and a day for clocks that differ."""
BLOBS_WAITING: Final = 512
"""Chunks that wait for the disk in all, 34 MB; whoever comes then is told to try later."""
BLOBS_CLOSE_SECONDS: Final = 5
"""For wiping what is still to go when the relay stops; the next start does the rest."""


def _rate(default: int, why: str) -> int:
    """A field with its reason, which ``init`` writes into the configuration file."""
    made: int = field(default=default, metadata={"why": why})
    return made


@dataclass(frozen=True, slots=True)
class BlobQuotas:
    """How many chunks of 65,552 bytes blobs may take.

    Of a mailbox what it declared counts, so that it cannot promise itself more; of all together what is on disk, so
    that nobody takes the others' room with promises. [R-11.9-4]
    """

    chunks: int = _rate(2_048, "of one blob: 128 MiB, all that the protocol allows; 0 takes no blobs")
    mailbox_blobs: int = _rate(64, "blobs of one mailbox, complete or not")
    mailbox_chunks: int = _rate(4_096, "of one mailbox, declared: two of the largest blobs, 256 MiB")
    relay_chunks: int = _rate(163_840, "of all together, on disk: 10 GiB")
    keep_free: int = _rate(256 * 1_048_576, "bytes of the disk that no blob takes: messages need them more")


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
    idle: int = 180 * DAY
    """A mailbox that its owner has not fetched for so long is erased, as the policy says."""
    cards: int = 64
    """Published lookup ids: at most 57 kB each."""
    spares: int = 1_024
    """Registered spare capabilities: one for each contact."""
    blobs: BlobQuotas = field(default_factory=BlobQuotas)


@dataclass(frozen=True, slots=True)
class Rates:
    """How much, how fast; an operator may change each. "Network" means an IPv4 address or an IPv6 /64.

    Two hundred clients behind one address, 50 messages a second to each mailbox and a backlog of 10,000 stay below all.
    """

    network_connections: int = _rate(512, "open connections of a network: 200 people behind one address, two each")
    network_connects_at_once: int = _rate(500, "new connections of a network in a burst: all of them after an outage")
    network_connects_per_second: int = _rate(10, "and after it; a handshake takes 2 ms of a core")
    network_handshakes: int = _rate(256, "of a network not done with TLS and HTTP")
    network_creations_at_once: int = _rate(250, "mailboxes a network may make in a burst")
    network_creations_per_minute: int = _rate(10, "and after it")
    network_uploads_at_once: int = _rate(8_192, "chunks of blobs a network uploads in a burst: 512 MiB")
    network_uploads_per_minute: int = _rate(2_400, "and after it; all the room for blobs would take an hour")
    network_failures_at_once: int = _rate(600, "refused requests of a network: two contacts' stale tokens are 512")
    network_failures_per_minute: int = _rate(60, "and after it; above, its new connections wait")
    requests_at_once: int = _rate(2_000, "of one connection: what somebody wrote while away")
    requests_per_second: int = _rate(500, "and after it; acknowledgements of what was sent are not counted")
    deliveries_at_once: int = _rate(4_096, "to one mailbox: as many as its queue holds")
    deliveries_per_second: int = _rate(200, "and after it; 16 contacts writing 12 a second")
    bundles_at_once: int = _rate(16, "by one card: people meeting somebody in the same minute")
    bundles_per_minute: int = _rate(1, "and after it; leaves cannot be drained faster")
    changes_at_once: int = _rate(120, "to keys, cards, leaves and spares of one mailbox: 64 cards, a batch and spares")
    changes_per_minute: int = _rate(30, "and after it; a batch of leaves is four")
    uploads_at_once: int = _rate(4_096, "chunks a mailbox uploads in a burst: two of the largest blobs")
    uploads_per_minute: int = _rate(1_200, "and after it; 1.3 MB/s, without end")
    downloads_at_once: int = _rate(512, "chunks downloaded on one connection in a burst: 34 MB")
    downloads_per_minute: int = _rate(6_000, "and after it; 6.6 MB/s")
    blob_downloads_at_once: int = _rate(8_192, "chunks of one blob that all download in a burst: the largest 4 times")
    blob_downloads_per_minute: int = _rate(4_096, "and after it; the largest twice a minute")


class Bucket:
    """A token bucket: ``capacity`` at once, then ``per_second``; the clock is an argument."""

    __slots__ = ("_capacity", "_level", "_per_second", "_updated")

    def __init__(self, capacity: float, per_second: float) -> None:
        self._capacity = capacity
        self._per_second = per_second
        self._level = capacity
        self._updated: float | None = None

    def take(self, now: float, amount: float = 1) -> int:
        """Take ``amount``; 0, or the seconds to wait before trying again, with nothing taken.

        A clock that goes back refills nothing.
        """
        wait = self.wait(now, amount)
        if not wait:
            self._level -= amount
        return wait

    def wait(self, now: float, amount: float = 1) -> int:
        """What ``take`` would say."""
        elapsed = 0.0 if self._updated is None else max(0.0, now - self._updated)
        self._level = min(self._capacity, self._level + elapsed * self._per_second)
        self._updated = now
        return 0 if self._level >= amount else math.ceil((amount - self._level) / self._per_second)

    def owed(self, now: float) -> float:
        """How far it is from full, 0 to 1."""
        self.wait(now)
        return 1 - self._level / self._capacity


class Buckets:
    """A bucket for each key, of at most ``rows`` keys; one that is not there is full.

    When there are too many, one of the SAMPLE rows that were used least lately is forgotten: that which owes least.
    So a newcomer always finds a place, and to have one's own debts forgotten one must make a table's worth of others
    owe more, which costs more than to wait.
    """

    __slots__ = ("_capacity", "_most", "_per_second", "_rows")

    def __init__(self, rows: int, capacity: float, per_second: float) -> None:
        self._most = rows
        self._capacity = capacity
        self._per_second = per_second
        self._rows: OrderedDict[bytes, Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, key: bytes, now: float) -> int:
        """Take one from this key's bucket; 0, or the seconds to wait."""
        bucket = self._rows.get(key)
        if bucket is None:
            if len(self._rows) >= self._most:
                oldest = islice(self._rows.items(), SAMPLE)
                del self._rows[min(oldest, key=lambda row: row[1].owed(now))[0]]
            bucket = self._rows[key] = Bucket(self._capacity, self._per_second)
        else:
            self._rows.move_to_end(key)
        return bucket.take(now)

    def wait(self, key: bytes, now: float) -> int:
        """What ``take`` would say; makes no row."""
        bucket = self._rows.get(key)
        return 0 if bucket is None else bucket.wait(now)

    def turn(self, renamed: Mapping[bytes, bytes]) -> None:
        """Keep the rows of these keys under their new names, and forget the others."""
        rows = self._rows
        self._rows = OrderedDict((new, rows[old]) for old, new in renamed.items() if old in rows)


def hour(now: int) -> int:
    """``now`` rounded down to the hour: the only precision in which the relay remembers when."""
    return now - now % HOUR
