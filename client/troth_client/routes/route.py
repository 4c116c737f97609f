"""What a route is, and what it is told about the TLS key it must find."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from troth_protocol.card import RelayAddress


@dataclass(frozen=True, slots=True)
class KeyCheck:
    """Which TLS keys are good: these hashes, or (None) any, when only a signed ledger will be asked for."""

    pins: frozenset[bytes] | None = field(repr=False)


class Wire(Protocol):
    """An open WebSocket to a relay."""

    @property
    def tls_key(self) -> bytes:
        """SHA-256 of the TLS key the relay showed."""

    async def send(self, frame: bytes) -> None:
        """Send one frame; NetworkError."""

    async def receive(self) -> bytes:
        """The next frame; NetworkError when the connection is gone."""

    async def close(self) -> None:
        """Close, without waiting long."""


class Route(Protocol):
    """A way to a relay."""

    async def connect(self, relay: RelayAddress, check: KeyCheck) -> Wire:
        """Open a connection; PinMismatch before a byte of HTTP leaves, or NetworkError."""
