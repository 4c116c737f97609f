"""The direct route: to the relay's own address, with nothing between. SPEC.md section 19.1."""

from __future__ import annotations

import socket

from troth_protocol.address import RelayAddress
from troth_protocol.errors import DirectForbidden

from .dial import Dialer
from .route import KeyCheck, Wire


class Direct:
    """Straight to the host and port of a relay's address; there is none where only proxies are allowed. [R-19.1-2]"""

    def __init__(self, dialer: Dialer) -> None:
        if dialer.only is not None:
            raise DirectForbidden("only proxies may be used: there is no direct route")
        self.dialer = dialer

    async def open(self, relay: RelayAddress) -> socket.socket:
        """A byte stream to the relay; NetworkError."""
        return await self.dialer.open(relay.host, relay.port)

    async def connect(self, relay: RelayAddress, check: KeyCheck) -> Wire:
        """Open a connection by this route alone; PinMismatch or NetworkError."""
        from .wire import secure  # a verb that asks no relay does not load websockets

        return await secure(await self.open(relay), relay, check)
