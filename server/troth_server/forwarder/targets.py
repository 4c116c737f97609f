"""Which addresses a forwarder may ever connect to for somebody else. Pure.

Only addresses of the public Internet; whatever name led to them, and however they are written. [R-19.4-5]
"""

from __future__ import annotations

import ipaddress
from typing import Final, TypeAlias

IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_EMBEDDING: Final = tuple(
    ipaddress.ip_network(network) for network in ("::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48",
                                                  "2002::/16", "2001::/32")
)  # fmt: skip
"""IPv6 networks whose addresses hold an IPv4 address: a way round every rule about those."""


def is_public(address: str) -> bool:
    """Whether this address, as the resolver gave it, is one of the public Internet and nothing else."""
    try:
        parsed: IpAddress = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and (
        parsed.scope_id or parsed.is_site_local or any(parsed in network for network in _EMBEDDING)
    ):
        return False
    return (
        parsed.is_global
        and not parsed.is_multicast
        and not parsed.is_reserved
        and not parsed.is_loopback
        and not parsed.is_link_local
        and not parsed.is_private
        and not parsed.is_unspecified
    )
