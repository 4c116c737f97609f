"""The shell around the person's routes: the vault that keeps them and the chooser that goes by them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

from troth_protocol.address import RelayAddress
from troth_protocol.errors import StorageError, UserError
from troth_protocol.primitives import Randomness

from . import route_book
from .events import Change, Notify, What
from .route_records import SALT_SIZE, Rest, RouteSettings
from .route_views import RouteStatus
from .routes.chooser import Chooser
from .routes.dial import is_address
from .routes.pluggable import Program
from .routes.route import KeyCheck
from .routes.typed import parse

FOLDER: Final = "transport"
"""Of a pluggable transport, inside the profile."""


def _nobody(_: Notify) -> None:
    """Before anybody watches."""


class Disk(Protocol):
    """Where records are kept."""

    def records(self, kind: str) -> dict[bytes, bytes]:
        """The records of one kind by key."""

    def apply(self, changes: tuple[Change, ...]) -> None:
        """Write all changes in one transaction, on disk when this returns; StorageError if none was written."""


class RouteDesk:
    """The routes of one open account."""

    def __init__(
        self,
        disk: Disk,
        profile: Path,
        randomness: Randomness,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._disk = disk
        self._randomness = randomness
        self._clock = clock
        self._settings = route_book.load({kind: disk.records(kind) for kind in route_book.KINDS})
        self.tell: Callable[[Notify], None] = _nobody
        self.chooser = Chooser(self, Program(profile / FOLDER), clock=clock)

    def add(self, typed: str, own_relay: bytes) -> int:
        """Add a route as it was typed, or its link; its number. BadLink or UserError, and nothing has changed."""
        spec = parse(typed)
        if self._settings.routing.proxies_only and not is_address(spec.host):
            raise UserError("only proxies may be used, so nothing is looked up here: give the proxy's address, no name")
        self._keep(route_book.add(self._settings, spec, own_relay, self._randomness.draw(SALT_SIZE)))
        return self._settings.routes[-1].number

    def remove(self, number: int) -> None:
        """Remove a route, and cut what goes by it; UserError."""
        self._keep(route_book.remove(self._settings, number))

    def set_proxies_only(self, *, on: bool) -> None:
        """Whether the direct route exists; switching it off cuts what goes by it. UserError. [R-19.1-2]"""
        if on and not any(is_address(record.spec.host) for record in self._settings.routes):
            raise UserError("add a proxy by its address first: with proxies only no name is looked up here")
        self._keep(route_book.set_proxies_only(self._settings, self._randomness.draw(SALT_SIZE), on=on))

    def status(self) -> RouteStatus:
        """Every route and what last came of it."""
        return self.chooser.status()

    async def test(self, numbers: Sequence[int], relay: RelayAddress, check: KeyCheck) -> None:
        """Try routes by number, all if none is given, against a relay whose key is known; UserError."""
        known = {0, *(record.number for record in self._settings.routes)}
        if not set(numbers) <= known:
            raise UserError("there is no route of this number")
        await self.chooser.test(numbers, relay, check)

    # What the chooser asks.

    def route_settings(self) -> RouteSettings:
        """The routes as they are now."""
        return self._settings

    def route_held(self, name: bytes) -> None:
        """Remember what worked; a disk that refuses costs only that memory, and says so where it matters."""
        try:
            settings, changes = route_book.note_held(self._settings, name, int(self._clock()))
            self._disk.apply(changes)
        except StorageError:
            return
        self._settings = settings

    def route_rests(self, name: bytes, rest: Rest) -> None:
        """Remember what opens and dies; a disk that refuses costs only that memory."""
        try:
            settings, changes = route_book.note_rest(self._settings, name, rest)
            self._disk.apply(changes)
        except StorageError:
            return
        self._settings = settings

    def route_changed(self, line: str, code: str) -> None:
        """Tell whoever shows routes."""
        self.tell(Notify(What.ROUTE, None, line, code))

    def _keep(self, after: route_book.Next) -> None:
        settings, changes = after
        self._disk.apply(changes)
        self._settings = settings
        self.chooser.refresh()
