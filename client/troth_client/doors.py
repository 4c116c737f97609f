"""Opening lines to relays: the ledger first, then only a TLS key the signed descriptor names. SPEC.md section 12.3."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from troth_protocol.card import RelayAddress
from troth_protocol.errors import ClockSkew, Expired, NetworkError, PinMismatch, TrothError
from troth_protocol.ledger import TlsMode
from troth_protocol.wire import answers, requests

from .events import Event, LedgerRead
from .lanes import Line
from .messenger import relay_fingerprint
from .records import KnownRelay
from .routes.route import KeyCheck, Route

DAY: Final = 86_400


class Books(Protocol):
    """What is known of relays, and where what they say is handled."""

    def relay(self, fingerprint: bytes) -> KnownRelay | None:
        """What we hold of a relay's ledger."""

    def handle(self, *events: Event) -> None:
        """Verify and keep; TrothError."""


class Doors:
    """Opens lines to relays by one route."""

    def __init__(self, route: Route, books: Books, clock: Callable[[], float]) -> None:
        self._route = route
        self._books = books
        self._clock = clock
        self._behind: dict[bytes, int] = {}

    async def open(self, relay: RelayAddress) -> tuple[Line, answers.Welcome]:
        """A line that has said hello, over a TLS key the relay's descriptor names. [R-12.3-1] [R-12.3-2]"""
        line = await self._line(relay)
        try:
            return line, await self._greet(line, relay)
        except TrothError:
            await line.wire.close()
            raise

    async def _line(self, relay: RelayAddress) -> Line:
        known = self._books.relay(relay.fingerprint)
        if known is None or known.ledger.descriptor is None:
            await self.read_ledger(relay)
        try:
            return await self._pinned(relay)
        except (PinMismatch, Expired):
            # The operator may have signed a new descriptor since: the ledger decides, not the server.
            await self.read_ledger(relay)
            return await self._pinned(relay)

    async def _pinned(self, relay: RelayAddress) -> Line:
        return Line(await self._route.connect(relay, self.check(relay)))

    def check(self, relay: RelayAddress) -> KeyCheck:
        """What the relay's signed descriptor says of its key; NetworkError, ClockSkew or Expired."""
        known = self._books.relay(relay.fingerprint)
        if known is None:
            raise NetworkError("the relay's ledger has not been read")
        try:
            descriptor = known.ledger.pinned(int(self._clock()))
        except Expired:
            days = round(self._behind.get(relay.fingerprint, 0) / DAY)
            if days:
                way = "behind" if days > 0 else "ahead of"
                raise ClockSkew(f"this machine's clock is {abs(days)} days {way} the relay's: set it right") from None
            raise
        if descriptor.mode is TlsMode.WEBPKI:
            return KeyCheck(None, tuple(descriptor.hosts), web=True)
        return KeyCheck(frozenset(descriptor.pins), tuple(descriptor.hosts))

    async def _greet(self, line: Line, relay: RelayAddress) -> answers.Welcome:
        """Say hello. A ledger that is shorter than before is not believed, a longer one is read. [R-12.1-3]"""
        welcome = await line.hello()
        if welcome.relay != relay.fingerprint:
            raise PinMismatch(relay.fingerprint.hex()[:16], welcome.relay.hex()[:16])
        known = self._books.relay(relay.fingerprint)
        if known is not None:
            known.ledger.check_length(welcome.ledger_length)
            if welcome.ledger_length > known.ledger.length:
                await self.read_ledger(relay)
        return welcome

    async def read_ledger(self, relay: RelayAddress) -> None:
        """Read a relay's ledger from where we stand, over any TLS key: the entries carry their own proof."""
        known = self._books.relay(relay.fingerprint)
        descriptor = known.ledger.descriptor if known is not None else None
        also = tuple(descriptor.hosts) if descriptor is not None else ()
        line = Line(await self._route.connect(relay, KeyCheck(None, also)))
        try:
            await line.hello()
            while True:
                known = self._books.relay(relay.fingerprint)
                since = known.ledger.length if known else 0
                page = await line.call(requests.Ledger(since))
                if not isinstance(page, answers.LedgerPage):
                    raise NetworkError("the relay answered a ledger request with something else")
                if relay_fingerprint(page.operator) != relay.fingerprint:
                    raise PinMismatch(relay.fingerprint.hex()[:16], relay_fingerprint(page.operator).hex()[:16])
                self._books.handle(LedgerRead(relay, page.operator, page.length, page.entries))
                if not page.entries or since + len(page.entries) >= page.length:
                    self._compare_clocks(relay, line)
                    return
        finally:
            await line.wire.close()

    def _compare_clocks(self, relay: RelayAddress, line: Line) -> None:
        """The relay's time counts only where its key is one that its operator has signed, in date or not."""
        known, date = self._books.relay(relay.fingerprint), line.wire.date
        descriptor = known.ledger.descriptor if known is not None else None
        if date is not None and descriptor is not None and line.wire.tls_key in descriptor.pins:
            self._behind[relay.fingerprint] = date - int(self._clock())
