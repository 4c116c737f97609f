"""Routes: ways to carry bytes between client and relay, which learn nothing. SPEC.md sections 11.1, 12.3 and 19.

``make`` is the table; ``chooser`` races what it makes. A route never takes the system's proxy unasked. [R-13.1-7]
Every byte goes through the one door of ``dial``, and TLS to the relay itself is ``wire``'s, whatever the route.
"""

from __future__ import annotations

import os
import time
from typing import assert_never

from troth_protocol.route_link import Connect, Obfs4, RouteSpec, Socks, Tunnel

from .connect import ConnectWay
from .dial import Dialer
from .direct import Direct
from .pluggable import Obfs4Way, Program
from .route import Way
from .socks import SocksWay
from .tunnel import TunnelWay


def make(spec: RouteSpec | None, dialer: Dialer, program: Program) -> Way:
    """The way of a route, None for the direct one; DirectForbidden where only proxies may be used. [R-19.1-2]"""
    match spec:
        case None:
            return Direct(dialer)
        case Socks():
            return SocksWay(spec, dialer)
        case Connect():
            return ConnectWay(spec, dialer)
        case Tunnel():
            return TunnelWay(spec, dialer, time.time, os.urandom)
        case Obfs4():
            return Obfs4Way(spec, dialer, program)
        case _:
            assert_never(spec)
