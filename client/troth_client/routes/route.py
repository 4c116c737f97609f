"""What a route is, and what it is told about the TLS key it must find."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import Final, Protocol

from troth_protocol.address import RelayAddress


@dataclass(frozen=True, slots=True)
class KeyCheck:
    """Which TLS keys are good: these hashes, or (None) any, when only a signed ledger will be asked for."""

    pins: frozenset[bytes] | None = field(repr=False)
    also: tuple[tuple[str, int], ...] = field(default=(), repr=False)
    """Hosts and ports of the signed descriptor, where the relay can be found if it has moved."""
    web: bool = False
    """No pins: the certificate verifies against the platform's roots for a host in ``also``. [R-12.2-3]"""


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds of silence before a ping, and before the path counts as dead. [R-19.3-3]"""

    quiet: float
    dead: float


ALONE: Final = Patience(20, 40)
"""Where there is no other route to turn to, asking more often would only cost the relay."""


class Wire(Protocol):
    """An open WebSocket to a relay."""

    @property
    def tls_key(self) -> bytes:
        """SHA-256 of the TLS key the relay showed."""

    @property
    def date(self) -> int | None:
        """The relay's clock in Unix seconds when the connection was made, if it said."""

    async def send(self, frame: bytes) -> None:
        """Send one frame; NetworkError."""

    async def receive(self) -> bytes:
        """The next frame; NetworkError when the connection is gone."""

    async def close(self) -> None:
        """Close, without waiting long."""


class Route(Protocol):
    """How ``Doors`` gets to a relay: one way, or a choice among several."""

    async def connect(self, relay: RelayAddress, check: KeyCheck) -> Wire:
        """Open a connection; PinMismatch before a byte of HTTP leaves, or NetworkError."""


class Way(Protocol):
    """One way for bytes, which learns nothing of them: over the stream it opens goes TLS to the relay itself."""

    async def open(self, relay: RelayAddress) -> socket.socket:
        """A byte stream to a relay, its name resolved at the far end of a proxy; NetworkError."""
