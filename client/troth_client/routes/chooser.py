"""The chooser: races the person's routes for every connection, and turns from a dead one to the next. SPEC.md 19.3.

It is a Route itself, so that whatever connects, connects through it: the first registration, a ledger, messages, any
relay. What is tried when is ``ranking``'s. Where only proxies may be used no direct way can be made, and the one door
of ``dial`` opens to nothing but the proxies' addresses; what was open or on its way is cut when that is switched on.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, Protocol

from troth_protocol.address import RelayAddress
from troth_protocol.errors import (
    DirectForbidden,
    NetworkError,
    NoRoute,
    NoTls,
    PinMismatch,
    TimedOut,
    TrothError,
)

from ..ranking import Ranking, Result
from ..route_records import DIRECT_KEY, Rest, RouteSettings
from ..route_views import RouteStatus, RouteView
from . import make
from .network import mark
from .pluggable import Program
from .portals import explain
from .race import race
from .reach import dialer, leads_to, reach, usable, worst
from .route import ALONE, KeyCheck, Patience, Way, Wire
from .watched import WatchedWire

ATTEMPT_SECONDS: Final = 15
"""For one route, from its first packet to the WebSocket; a wrong obfs4 key would hang for 60 s. [R-19.1-4]"""
WATCHFUL: Final = Patience(3.5, 7)
"""Where there is another route to turn to: a dead path is left in time to be on another within 10 s. [R-19.3-3]"""


class Books(Protocol):
    """Where the person's routes are kept."""

    def route_settings(self) -> RouteSettings:
        """The routes as they are now."""

    def route_held(self, name: bytes) -> None:
        """A connection by a route has lived; ``name`` is to be kept with the time."""

    def route_rests(self, name: bytes, rest: Rest) -> None:
        """A connection by a route opened and died; to be kept for the next time."""

    def route_changed(self, line: str, code: str) -> None:
        """Something about a route is new to whoever shows them."""


class Chooser:
    """Every route of one account."""

    def __init__(
        self,
        books: Books,
        program: Program,
        *,
        clock: Callable[[], float] = time.time,
        network: Callable[[bytes], bytes] = mark,
        authorities: Callable[[], ssl.SSLContext] = ssl.create_default_context,
    ) -> None:
        self._books = books
        self._program = program
        self._clock = clock
        self._network = network
        self._authorities = authorities
        self._ranking = Ranking()
        self._running: dict[asyncio.Task[object], bytes] = {}
        self._open: set[WatchedWire] = set()
        self._returning: tuple[WatchedWire, asyncio.Task[None]] | None = None
        self._unproved: dict[bytes, set[bytes]] = {}
        self._trouble = ""

    async def connect(self, relay: RelayAddress, check: KeyCheck) -> Wire:
        """A connection by the first route that works; PinMismatch or NetworkError when none does. [R-19.1-1]"""
        settings = self._books.route_settings()
        self._ranking.on_network(self._network(settings.routing.salt), settings.rests)
        keys = [key for key, spec in usable(settings) if leads_to(spec, relay)]
        late = () if check.pins is not None or check.web else tuple(self._unproved.get(relay.fingerprint, ()))
        failures: list[TrothError] = []
        won = await race(
            [
                (start.pause, partial(self._attempt, start.key, relay, check, failures))
                for start in self._ranking.starts(keys, settings.held, self._clock(), late)
            ],
            WatchedWire.abort,
        )
        if won is None:
            error = worst(failures, proxies_only=settings.routing.proxies_only)
            self._trouble = str(error)
            self._books.route_changed(self._trouble, error.code)
            raise error
        self._trouble = ""
        self._note_proof(won)
        self._books.route_changed("", "OK")
        self._watch_for_better(won)
        return won

    async def test(self, numbers: Sequence[int], relay: RelayAddress, check: KeyCheck) -> None:
        """Try each of these routes once, all of them if none is named, whatever is known of them."""
        settings = self._books.route_settings()
        named = {record.key for record in settings.routes if record.number in numbers}
        named |= {DIRECT_KEY} if 0 in numbers or not numbers else set()
        keys = [key for key, _ in usable(settings) if not numbers or key in named]
        for wire in await asyncio.gather(*(self._attempt(key, relay, check, []) for key in keys)):
            if wire is not None:
                await wire.close()

    def refresh(self) -> None:
        """The person has changed the routes: cut what goes by one that may not be used any more. [R-19.1-2]"""
        settings = self._books.route_settings()
        allowed = {key for key, _ in usable(settings)}
        for task, key in list(self._running.items()):
            # What was begun while more was allowed might still go on to ask for a name.
            if key not in allowed or settings.routing.proxies_only:
                task.cancel()
        for wire in list(self._open):
            if wire.key not in allowed:
                wire.abort("the route of this connection may not be used any more")
        self._books.route_changed("", "")

    async def close(self) -> None:
        """Stop whatever runs beside a connection."""
        tasks = [*self._running, *([self._returning[1]] if self._returning else [])]
        self._returning = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._program.close()

    def status(self) -> RouteStatus:
        """Every route and what last came of it."""
        settings = self._books.route_settings()
        allowed = {key for key, _ in usable(settings)}
        in_use = {wire.key for wire in self._open if wire.counts}
        now = self._clock()

        def view(number: int, kind: str, label: str, key: bytes) -> RouteView:
            result = self._ranking.result(key)
            if key not in allowed:
                result = Result(DirectForbidden.code, "its name would have to be looked up: give its address")
            elif not result.code:
                worked = [at for name, at in settings.held.items() if name.startswith(key)]
                rests = [rest.retry for name, rest in settings.rests.items() if name.startswith(key)]
                result = replace(result, line="worked before", at=max(worked)) if worked else result
                if max(rests, default=0) > now:
                    result = replace(result, line="opened and died the last time", at=0, retry=max(rests))
            retry = int(result.retry) if result.retry > now else 0
            return RouteView(number, kind, label, key in in_use, result.code, result.line, result.at, retry)

        views = [] if settings.routing.proxies_only else [view(0, "direct", "", DIRECT_KEY)]
        for record in settings.routes:
            views.append(view(record.number, record.kind, f"{record.spec.host}:{record.spec.port}", record.key))
        return RouteStatus(tuple(views), settings.routing.proxies_only, self._trouble)

    # One route, once.

    async def _attempt(
        self, key: bytes, relay: RelayAddress, check: KeyCheck, failures: list[TrothError]
    ) -> WatchedWire | None:
        """A connection by one route, or None with the failure noted."""
        loop, began = asyncio.get_running_loop(), asyncio.get_running_loop().time()
        task = asyncio.current_task()
        if task is not None:
            self._running[task] = key
        way: Way | None = None
        try:
            settings = self._books.route_settings()
            specs = dict(usable(settings))
            if key not in specs:
                raise NoRoute("the route may not be used any more")
            way = make(specs[key], dialer(settings), self._program)
            patience = WATCHFUL if len(usable(settings)) > 1 else ALONE
            async with asyncio.timeout(ATTEMPT_SECONDS):
                wire = await reach(way, specs[key], relay, check, patience)
        except TimeoutError:
            failures.append(self._failed(key, TimedOut(f"nothing came through within {ATTEMPT_SECONDS} s")))
            return None
        except TrothError as error:
            self._failed(key, error)
            if way is not None and isinstance(error, NoTls | PinMismatch):
                error = await self._explained(key, error, way, relay)
            failures.append(error)
            return None
        finally:
            if task is not None:
                self._running.pop(task, None)
        self._ranking.opened(key, self._clock(), loop.time() - began)
        watched = WatchedWire(wire, way, key, relay, check, self._held, self._ended)
        self._open.add(watched)
        return watched

    async def _explained(self, key: bytes, error: TrothError, way: Way, relay: RelayAddress) -> TrothError:
        """Ask who answered instead of the relay; the answer is noted even if another route has won meanwhile."""
        task = asyncio.create_task(explain(error, way, relay, self._authorities))
        self._running[task] = key

        def note(done: asyncio.Task[TrothError]) -> None:
            self._running.pop(done, None)
            if not done.cancelled() and done.exception() is None and done.result() is not error:
                self._ranking.renamed(key, done.result().code, str(done.result()))
                self._books.route_changed(str(done.result()), done.result().code)

        task.add_done_callback(note)
        return await asyncio.shield(task)

    def _failed(self, key: bytes, error: TrothError) -> TrothError:
        self._ranking.failed(key, self._clock(), random.random(), error.code, str(error))  # noqa: S311 (jitter)
        self._books.route_changed(str(error), error.code)
        return error

    # What became of a connection.

    def _note_proof(self, wire: WatchedWire) -> None:
        """Who answered without a known key may be anybody: until the relay itself has, others go first next time."""
        if wire.counts:
            self._unproved.pop(wire.relay.fingerprint, None)
        else:
            self._unproved.setdefault(wire.relay.fingerprint, set()).add(wire.key)

    def _held(self, wire: WatchedWire) -> None:
        name = self._ranking.held(wire.key, self._books.route_settings().held, self._clock())
        if name is not None:
            self._books.route_held(name)

    def _ended(self, wire: WatchedWire, against: NetworkError | None) -> None:
        self._open.discard(wire)
        if against is not None:
            self._failed(wire.key, against)
            self._books.route_rests(*self._ranking.rest(wire.key))
        else:
            self._books.route_changed("", "")
        if self._returning is not None and self._returning[0] is wire:
            self._returning[1].cancel()
            self._returning = None
            for other in self._open:
                self._watch_for_better(other)

    # Back to a better one.

    def _watch_for_better(self, wire: WatchedWire) -> None:
        if wire.counts and self._returning is None:
            self._returning = wire, asyncio.create_task(self._return(wire))

    async def _return(self, wire: WatchedWire) -> None:
        """Leave this connection once a route that the person put before it has come back. [R-19.3-4]"""
        while True:
            keys = [key for key, _ in usable(self._books.route_settings())]
            better = self._ranking.better(wire.key, keys)
            if better is None:
                return
            key, when = better
            await asyncio.sleep(max(1.0, when - self._clock()))
            probe = await self._attempt(key, wire.relay, wire.check, [])
            if probe is not None:
                probe.abort()
                self._ranking.try_first(key, self._clock(), random.random())  # noqa: S311 (jitter)
                self._returning = None
                order = [each for each, _ in usable(self._books.route_settings())]  # it may have changed meanwhile
                later = order[order.index(key) + 1 :] if key in order else []
                for other in [other for other in self._open if other.key in later]:
                    other.abort("a better route works again")
                return
