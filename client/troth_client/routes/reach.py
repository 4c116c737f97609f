"""One route, once, and which there are: what the chooser's race is made of. SPEC.md section 19.3."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from troth_protocol.address import RelayAddress
from troth_protocol.errors import CaptivePortal, NoRoute, TrothError, TrustError
from troth_protocol.route_link import Obfs4, RouteSpec, Tunnel

from ..route_records import DIRECT_KEY, RouteSettings
from .dial import ANYWHERE, Dialer, is_address
from .race import race
from .route import KeyCheck, Patience, Way

if TYPE_CHECKING:
    from .wire import SecureWire

ADDRESS_SECONDS: Final = 1
"""Before another address of a relay is tried beside the one that was given."""
_WORST: Final = (TrustError, CaptivePortal)
"""What a person must hear of before anything else that failed."""


def usable(settings: RouteSettings) -> list[tuple[bytes, RouteSpec | None]]:
    """The routes that may be used, in the person's order; the direct one, which has no spec, comes first. [R-19.1-2]"""
    if settings.routing.proxies_only:
        return [(record.key, record.spec) for record in settings.routes if is_address(record.spec.host)]
    return [(DIRECT_KEY, None), *((record.key, record.spec) for record in settings.routes)]


def dialer(settings: RouteSettings) -> Dialer:
    """The door these settings leave open."""
    if not settings.routing.proxies_only:
        return ANYWHERE
    return Dialer(frozenset((spec.host, spec.port) for _, spec in usable(settings) if spec is not None))


def _addresses(spec: RouteSpec | None, relay: RelayAddress, check: KeyCheck) -> list[RelayAddress]:
    """Where the relay may be found by this route; a forwarder and a bridge know that themselves."""
    if isinstance(spec, Tunnel | Obfs4):
        return [relay]
    others = [place for place in check.also if place != (relay.host, relay.port)]
    return [relay, *(RelayAddress(host, port, relay.fingerprint) for host, port in others)]


async def reach(
    way: Way, spec: RouteSpec | None, relay: RelayAddress, check: KeyCheck, patience: Patience
) -> SecureWire:
    """The first of a relay's addresses that answers by this way with the right key; PinMismatch or NetworkError."""
    from .wire import SecureWire, secure  # a verb that asks no relay does not load websockets

    failures: list[TrothError] = []

    async def one(address: RelayAddress) -> SecureWire | None:
        try:
            return await secure(await way.open(address), address, check, patience)
        except TrothError as error:
            failures.append(error)
            return None

    won = await race(
        [(ADDRESS_SECONDS, partial(one, address)) for address in _addresses(spec, relay, check)], SecureWire.abort
    )
    if won is None:
        raise worst(failures, proxies_only=False)
    return won


def leads_to(spec: RouteSpec | None, relay: RelayAddress) -> bool:
    """Whether a route can end at this relay: an obfs4 bridge ends at one."""
    return not isinstance(spec, Obfs4) or spec.relay in (b"", relay.fingerprint)


def worst(failures: Sequence[TrothError], *, proxies_only: bool) -> TrothError:
    """Of several failures the one to tell a person; NoRoute where there was nothing to try."""
    for kind in _WORST:
        for error in failures:
            if isinstance(error, kind):
                return error
    if failures:
        return failures[0]
    missing = "only proxies may be used, and no route" if proxies_only else "no route that may be used"
    return NoRoute(f"{missing} leads to this relay")
