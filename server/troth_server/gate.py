"""Who may come in: what each network has open, how fast it comes, how often it was refused. Pure: no socket, no clock.

A network is an IPv4 address or an IPv6 /64, and for IPv6 the /48 around it too, with WIDE times the room. None is kept:
a row stands under HMAC-SHA-256(salt, prefix), and the salt changes every hour, so that memory cannot be matched with
anything an hour later. At the change the rows of networks that are connected move to their new names, for the kernel
knows those addresses anyway; all others are forgotten. The rows are bounded (``limits.Buckets``).

Over a limit that an honest client could meet, a newcomer is let in to be told so by HTTP (``Refusal``), for as long as
there is a budget for telling; beyond it is closed at once, which costs one accept. A connection that is established is
never closed for what another one does. SPEC.md section 11.6. [R-11.6-1] [R-11.6-2]
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

from .limits import (
    AWAY_SECONDS,
    ROWS,
    SOFT_AT_ONCE,
    SOFT_EACH,
    SOFT_EACH_PER_SECOND,
    SOFT_PER_SECOND,
    WIDE,
    Bucket,
    Buckets,
    Rates,
)

_NARROW_BITS: Final = {4: 32, 6: 64}
_WIDE_BITS: Final = 48


@dataclass(frozen=True, slots=True)
class Refusal:
    """Let in to be refused by HTTP: 429 or 503, and the seconds to wait."""

    status: int
    retry_after: int


class Shut(Enum):
    """Why a newcomer is closed without a word."""

    FULL = 1
    RATE = 2
    HANDSHAKES = 3
    """Its network has too many that are not done; the oldest of them may make room."""


class Networks:
    """The rows of one width."""

    __slots__ = (
        "connects", "creations", "failures", "handshakes", "most_handshakes", "most_open", "open", "soft", "uploads",
    )  # fmt: skip

    def __init__(self, rates: Rates, times: int) -> None:
        self.most_open = rates.network_connections * times
        self.most_handshakes = rates.network_handshakes * times
        self.open: dict[bytes, int] = {}
        self.handshakes: dict[bytes, int] = {}
        self.connects = Buckets(ROWS, rates.network_connects_at_once * times, rates.network_connects_per_second * times)
        creations = rates.network_creations_per_minute * times / 60
        self.creations = Buckets(ROWS, rates.network_creations_at_once * times, creations)
        failures = rates.network_failures_per_minute * times / 60
        self.failures = Buckets(ROWS, rates.network_failures_at_once * times, failures)
        uploads = rates.network_uploads_per_minute * times / 60
        self.uploads = Buckets(ROWS, rates.network_uploads_at_once * times, uploads)
        self.soft = Buckets(ROWS, SOFT_EACH * times, SOFT_EACH_PER_SECOND * times)

    def wait(self, key: bytes, now: float) -> int:
        """The seconds until another connection may be opened, 0 for now."""
        full = AWAY_SECONDS if self.open.get(key, 0) >= self.most_open else 0
        return max(full, self.connects.wait(key, now), self.failures.wait(key, now))

    def turn(self, renamed: dict[bytes, bytes]) -> None:
        """New names for the rows of these networks; the others are forgotten."""
        for buckets in (self.connects, self.creations, self.failures, self.uploads, self.soft):
            buckets.turn(renamed)


Places: TypeAlias = Sequence[tuple[Networks, bytes]]


class Visit:
    """One connection, from accept to its end, in the rows of its networks; behind a proxy it has none."""

    __slots__ = ("_gate", "_pending", "_places", "refusal")

    def __init__(self, places: Places = (), refusal: Refusal | None = None, gate: Gate | None = None) -> None:
        self._places = places
        self._gate = gate
        self._pending = True
        self.refusal = refusal
        self._count()

    def settled(self) -> None:
        """Done with TLS and HTTP."""
        if self._pending:
            self._pending = False
            for networks, key in self._places:
                _less(networks.handshakes, key)

    def left(self) -> None:
        """At the end; once more changes nothing."""
        self.settled()
        for networks, key in self._places:
            _less(networks.open, key)
        self._places = ()
        if self._gate is not None:
            self._gate.total -= 1
            self._gate = None

    def shares(self, key: bytes) -> bool:
        """Whether it comes from the network of this row."""
        return any(key == own for _, own in self._places)

    def failed(self, now: float) -> bool:
        """Count a refused request; whether the network has had its share of them."""
        return max((networks.failures.take(key, now) for networks, key in self._places), default=0) > 0

    def create(self, now: float) -> int:
        """Take leave to make a mailbox; 0, or the seconds to wait."""
        return _take([(networks.creations, key) for networks, key in self._places], now)

    def upload(self, now: float) -> int:
        """Take leave to put a chunk of a blob; 0, or the seconds to wait."""
        return _take([(networks.uploads, key) for networks, key in self._places], now)

    def move(self, places: Places) -> dict[bytes, bytes]:
        """Stand in other rows, of which no connection is counted yet; the old names and the new."""
        renamed = {old: new for (_, old), (_, new) in zip(self._places, places, strict=True)}
        self._places = places
        self._count()
        return renamed

    def _count(self) -> None:
        for networks, key in self._places:
            networks.open[key] = networks.open.get(key, 0) + 1
            if self._pending:
                networks.handshakes[key] = networks.handshakes.get(key, 0) + 1


class Gate:
    """All connections of a relay; ``salt`` is 32 random bytes."""

    __slots__ = ("_most", "_narrow", "_salt", "_soft", "_wide", "total")

    def __init__(self, rates: Rates, most: int, salt: bytes) -> None:
        self._narrow = Networks(rates, 1)
        self._wide = Networks(rates, WIDE)
        self._most = most
        self._salt = salt
        self._soft = Bucket(SOFT_AT_ONCE, SOFT_PER_SECOND)
        self.total = 0
        """Connections open, handshakes under way among them."""

    def enter(self, address: str | None, now: float) -> Visit | Shut:
        """A newcomer from an address, or from none that is known (behind a proxy)."""
        places = self._places(address)
        if self.total >= self._most + SOFT_AT_ONCE:
            return Shut.FULL
        if any(networks.handshakes.get(key, 0) >= networks.most_handshakes for networks, key in places):
            return Shut.HANDSHAKES
        wait = max((networks.wait(key, now) for networks, key in places), default=0)
        refusal = Refusal(429, wait) if wait else None
        if refusal is None and self.total >= self._most:
            refusal = Refusal(503, AWAY_SECONDS)
        if refusal is not None:
            # Its own budget first, so that one flood does not use up the answers for all.
            if any(networks.soft.take(key, now) for networks, key in places) or self._soft.take(now):
                return Shut.RATE if wait else Shut.FULL
        else:
            for networks, key in places:
                networks.connects.take(key, now)
        self.total += 1
        return Visit(places, refusal, self)

    def resize(self, most: int) -> None:
        """Room for so many from now on; nobody is closed."""
        self._most = most

    def row(self, address: str | None) -> bytes:
        """The row of the narrowest network of an address; empty for none."""
        places = self._places(address)
        return places[0][1] if places else b""

    def turn(self, salt: bytes, living: Iterable[tuple[str | None, Visit]]) -> None:
        """A new salt; the rows of connections that are open move, all others are forgotten."""
        self._salt = salt
        renamed: dict[bytes, bytes] = {}
        for networks in (self._narrow, self._wide):
            networks.open, networks.handshakes = {}, {}
        for address, visit in living:
            renamed |= visit.move(self._places(address))
        self._narrow.turn(renamed)
        self._wide.turn(renamed)

    def _places(self, address: str | None) -> Places:
        if address is None:
            return ()
        known = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(known, ipaddress.IPv6Address):
            mapped = known.ipv4_mapped
            if mapped is None:
                narrow, wide = self._key(known, _NARROW_BITS[6]), self._key(known, _WIDE_BITS)
                return (self._narrow, narrow), (self._wide, wide)
            known = mapped
        return ((self._narrow, self._key(known, _NARROW_BITS[4])),)

    def _key(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address, bits: int) -> bytes:
        prefix = int(address) >> (address.max_prefixlen - bits)
        return hmac.digest(self._salt, bytes((address.version, bits)) + prefix.to_bytes(16, "big"), "sha256")


def _take(rows: Sequence[tuple[Buckets, bytes]], now: float) -> int:
    """One of each row, or of none and the seconds to wait."""
    wait = max((buckets.wait(key, now) for buckets, key in rows), default=0)
    if not wait:
        for buckets, key in rows:
            buckets.take(key, now)
    return wait


def _less(counts: dict[bytes, int], key: bytes) -> None:
    """One less, and no row for none."""
    left = counts.get(key, 0) - 1
    if left > 0:
        counts[key] = left
    else:
        counts.pop(key, None)
