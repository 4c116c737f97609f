"""A connection as the chooser sees it: by which route it goes, whether it has lived, and how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from troth_protocol.address import RelayAddress
from troth_protocol.errors import ConnectionReset, NetworkError, PathSilent

from ..ranking import HELD_SECONDS
from .route import KeyCheck, Way

if TYPE_CHECKING:
    from .wire import SecureWire

_TELLS: Final = (PathSilent, ConnectionReset)
"""Ends that say something about the path; the others are the relay's own word."""


class WatchedWire:
    """A wire that tells how its route did: ``ended`` is called once, with what speaks against the route or None."""

    def __init__(
        self,
        wire: SecureWire,
        way: Way,
        key: bytes,
        relay: RelayAddress,
        check: KeyCheck,
        held: Callable[[WatchedWire], None],
        ended: Callable[[WatchedWire, NetworkError | None], None],
    ) -> None:
        self._wire = wire
        self._way = way  # keeps a tunnel's pumps
        self._held = held
        self._ended = ended
        self._heard = self._lived = self._over = False
        self._cut = ""
        self._timer = asyncio.get_running_loop().call_later(HELD_SECONDS, self._live)
        self.key = key
        self.relay = relay
        self.check = check

    @property
    def tls_key(self) -> bytes:
        """SHA-256 of the TLS key the relay showed."""
        return self._wire.tls_key

    @property
    def date(self) -> int | None:
        """The relay's clock when the connection was made, if it said."""
        return self._wire.date

    @property
    def counts(self) -> bool:
        """Whether the other side is known to be the relay: an unchecked key may be anybody's."""
        return self.check.pins is not None or self.check.web

    async def send(self, frame: bytes) -> None:
        """Send one frame; NetworkError."""
        try:
            await self._wire.send(frame)
        except NetworkError as error:
            raise self._end(error) from None

    async def receive(self) -> bytes:
        """The next frame; NetworkError when the connection is gone."""
        try:
            frame = await self._wire.receive()
        except NetworkError as error:
            raise self._end(error) from None
        self._heard = True
        return frame

    async def close(self) -> None:
        """Close, without waiting long; a connection that carried something and is closed by us has lived."""
        if self._heard:
            self._live()
        self._finish(None)
        await self._wire.close()

    def abort(self, reason: str = "") -> None:
        """Cut it at once; whoever waits on it is told ``reason``."""
        self._cut = reason
        self._finish(None)
        self._wire.abort()

    def _end(self, error: NetworkError) -> NetworkError:
        if self._cut:
            return NetworkError(self._cut)
        self._finish(error if isinstance(error, _TELLS) and not self._lived else None)
        return error

    def _live(self) -> None:
        self._timer.cancel()
        if self.counts and not self._lived and not self._over:
            self._lived = True
            self._held(self)

    def _finish(self, against: NetworkError | None) -> None:
        if not self._over:
            self._over = True
            self._timer.cancel()
            self._ended(self, against)
