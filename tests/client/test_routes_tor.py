"""The SOCKS route through Tor itself: a private network with an exit and an onion service."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from client import proxies
from client.tor_network import tor_network
from troth_client import routes
from troth_client.routes.dial import Dialer
from troth_client.routes.pluggable import Program
from troth_client.routes.route import KeyCheck
from troth_client.routes.wire import SecureWire, secure
from troth_protocol.address import RelayAddress
from troth_protocol.errors import NetworkError
from troth_protocol.route_link import Socks

pytestmark = pytest.mark.slow

ONION_SECONDS = 90
"""For the service's descriptor to be published, after the network is up."""


async def test_tor_carries_us_to_an_address_and_to_an_onion(tmp_path: Path) -> None:
    """[R-19.1-1] [R-19.1-3]: with proxies only, to a relay that has no other name than its onion."""
    async with proxies.echo_relay(tmp_path) as relay:
        network = tor_network(tmp_path / "tor", relay.port, 7_443)
        tor = await asyncio.to_thread(network.__enter__)
        try:
            spec, check = Socks("127.0.0.1", tor.socks), KeyCheck(frozenset({relay.pin}))
            way = routes.make(spec, Dialer(frozenset({("127.0.0.1", tor.socks)})), Program(tmp_path / "transport"))
            for address in (relay.address, RelayAddress(tor.onion, 7_443, proxies.FINGERPRINT)):
                end = time.monotonic() + ONION_SECONDS
                while True:
                    try:
                        wire: SecureWire = await secure(await way.open(address), address, check)
                        break
                    except NetworkError:
                        assert time.monotonic() < end
                        await asyncio.sleep(2)
                frame = os.urandom(65_666)
                await wire.send(frame)
                assert await asyncio.wait_for(wire.receive(), 20) == frame
                await wire.close()
        finally:
            network.__exit__(None, None, None)
