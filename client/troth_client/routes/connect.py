"""The route through an HTTP proxy by CONNECT, which resolves the relay's name. SPEC.md section 19.1. [R-19.1-3]"""

from __future__ import annotations

import socket

from troth_protocol.address import RelayAddress
from troth_protocol.route_link import Connect

from .dial import Dialer, kept
from .greeting import http_connect


class ConnectWay:
    """Through an HTTP proxy."""

    def __init__(self, spec: Connect, dialer: Dialer) -> None:
        self._spec = spec
        self._dialer = dialer

    async def open(self, relay: RelayAddress) -> socket.socket:
        """A byte stream to the relay; ProxyError or another NetworkError."""
        spec = self._spec
        stream = await self._dialer.open(spec.host, spec.port)
        with kept(stream):
            await http_connect(stream, relay.host, relay.port, spec.user, spec.password)
        return stream
