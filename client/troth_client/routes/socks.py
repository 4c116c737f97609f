"""The SOCKS5 route, Tor's among them: the proxy resolves the relay's name, and this machine asks nobody. [R-19.1-3]"""

from __future__ import annotations

import socket

from troth_protocol.address import RelayAddress
from troth_protocol.route_link import Socks

from .dial import Dialer, kept
from .greeting import socks5


class SocksWay:
    """Through a SOCKS5 proxy."""

    def __init__(self, spec: Socks, dialer: Dialer) -> None:
        self._spec = spec
        self._dialer = dialer

    async def open(self, relay: RelayAddress) -> socket.socket:
        """A byte stream to the relay; ProxyError or another NetworkError."""
        spec = self._spec
        stream = await self._dialer.open(spec.host, spec.port)
        with kept(stream):
            await socks5(stream, relay.host, relay.port, spec.user.encode(), spec.password.encode())
        return stream
