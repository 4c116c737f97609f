"""The person's routes: what may be added, and what that changes on disk. Pure; SPEC.md sections 13.3 and 19.

Each function takes the settings as they are and gives the new ones with the records to write; nothing counts until
those are on disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, TypeAlias

from troth_protocol.encoding import u64
from troth_protocol.errors import UserError
from troth_protocol.route_link import Obfs4, RouteSpec

from .events import Change, Delete, Put
from .route_records import DIRECT_KEY, KEY_SIZE, MAX_ROUTES, Rest, RouteRecord, RouteSettings, Routing

ROUTE: Final = "route"
ROUTING: Final = "routing"
HELD: Final = "route_held"
RESTS: Final = "route_rest"
KINDS: Final = (ROUTE, ROUTING, HELD, RESTS)
MAX_HELD: Final = 256
"""Pairs of route and network that are remembered; the oldest go first."""

Next: TypeAlias = tuple[RouteSettings, tuple[Change, ...]]


def load(rows: Mapping[str, Mapping[bytes, bytes]]) -> RouteSettings:
    """The settings of a vault's records; DecodeError or BadLink if one does not parse."""
    records = sorted((RouteRecord.decode(raw) for raw in rows.get(ROUTE, {}).values()), key=lambda each: each.number)
    raw = rows.get(ROUTING, {}).get(DIRECT_KEY)
    held = {name: int.from_bytes(at, "big") for name, at in rows.get(HELD, {}).items()}
    rests = {name: Rest.decode(rest) for name, rest in rows.get(RESTS, {}).items()}
    return RouteSettings(tuple(records), Routing() if raw is None else Routing.decode(raw), held, rests)


def add(settings: RouteSettings, spec: RouteSpec, own_relay: bytes, salt: bytes) -> Next:
    """One more route; an obfs4 bridge that does not say where it leads leads to our own relay. UserError."""
    if isinstance(spec, Obfs4) and not spec.relay:
        spec = replace(spec, relay=own_relay)
    record = RouteRecord(max((each.number for each in settings.routes), default=0) + 1, spec)
    if any(each.key == record.key for each in settings.routes):
        raise UserError("this route is there already")
    if len(settings.routes) >= MAX_ROUTES:
        raise UserError(f"there are {MAX_ROUTES} routes already: remove one first")
    routing = settings.routing if any(settings.routing.salt) else replace(settings.routing, salt=salt)
    fresh = replace(settings, routes=(*settings.routes, record), routing=routing)
    return fresh, (Put(ROUTE, record.key, record.encode()), Put(ROUTING, DIRECT_KEY, routing.encode()))


def remove(settings: RouteSettings, number: int) -> Next:
    """A route less, and what was remembered of it; UserError."""
    for record in settings.routes:
        if record.number == number:
            break
    else:
        raise UserError("there is no route of this number")
    held = {name: at for name, at in settings.held.items() if name[:KEY_SIZE] != record.key}
    kept = tuple(each for each in settings.routes if each is not record)
    rests = {name: rest for name, rest in settings.rests.items() if name[:KEY_SIZE] != record.key}
    gone = [Delete(HELD, name) for name in settings.held if name not in held]
    gone += [Delete(RESTS, name) for name in settings.rests if name not in rests]
    return replace(settings, routes=kept, held=held, rests=rests), (Delete(ROUTE, record.key), *gone)


def set_proxies_only(settings: RouteSettings, salt: bytes, *, on: bool) -> Next:
    """Whether the direct route exists; UserError if nothing would be left that can be used."""
    if on and not settings.routes:
        raise UserError("add a proxy first: without one nothing could be reached")
    routing = replace(settings.routing, proxies_only=on)
    if not any(routing.salt):
        routing = replace(routing, salt=salt)
    return replace(settings, routing=routing), (Put(ROUTING, DIRECT_KEY, routing.encode()),)


def note_held(settings: RouteSettings, name: bytes, now: int) -> Next:
    """A connection by a route has lived on a network; ``name`` is key 8 || mark of the network 8."""
    held = {**settings.held, name: now}
    oldest = sorted(held, key=lambda each: held[each])[: max(0, len(held) - MAX_HELD)]
    for each in oldest:
        del held[each]
    rests = {other: rest for other, rest in settings.rests.items() if other != name}
    gone = [Delete(HELD, each) for each in oldest] + [Delete(RESTS, name)]
    return replace(settings, held=held, rests=rests), (Put(HELD, name, u64(now)), *gone)


def note_rest(settings: RouteSettings, name: bytes, rest: Rest) -> Next:
    """A connection by a route opened on a network and died before it had lived."""
    rests = {**settings.rests, name: rest}
    oldest = sorted(rests, key=lambda each: rests[each].retry)[: max(0, len(rests) - MAX_HELD)]
    for each in oldest:
        del rests[each]
    return replace(settings, rests=rests), (Put(RESTS, name, rest.encode()), *(Delete(RESTS, each) for each in oldest))
