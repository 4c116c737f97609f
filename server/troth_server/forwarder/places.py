"""How many connections there may be, in all and from one network. Pure; nothing of it outlives the connections."""

from __future__ import annotations

import ipaddress
from typing import Final

_IPV6_PREFIX: Final = 56
"""What one household or small site is given."""


def network(address: str) -> str:
    """The network an address is counted under: an IPv4 address itself, an IPv6 /56; what is neither as it stands."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, _IPV6_PREFIX), strict=False))
    return str(parsed)


class Places:
    """Counts who is in."""

    __slots__ = ("_each", "_from", "_most", "taken")

    def __init__(self, most: int, each: int) -> None:
        self._most = most
        self._each = each
        self._from: dict[str, int] = {}
        self.taken = 0

    def take(self, where: str) -> bool:
        """A place for somebody from this network; False if there is none."""
        if self.taken >= self._most or self._from.get(where, 0) >= self._each:
            return False
        self.taken += 1
        self._from[where] = self._from.get(where, 0) + 1
        return True

    def give_back(self, where: str) -> None:
        """One of theirs has left."""
        self.taken -= 1
        self._from[where] -= 1
        if not self._from[where]:
            del self._from[where]
