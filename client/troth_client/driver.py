"""The shell: sockets, the clock and the vault, for a messenger that knows none of them.

It decides nothing: it turns what happens into events, carries out effects in their order (the Save first), and calls
back whoever watches.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from typing import Final

from troth_protocol.card import RelayAddress
from troth_protocol.errors import NetworkError, StorageError, TimedOut, TrothError, TrustError
from troth_protocol.primitives import Randomness

from .again import insist
from .doors import Doors
from .events import (
    Acknowledge,
    Ask,
    Effect,
    EraseAccount,
    Event,
    MakeCard,
    MessageKey,
    Notify,
    OwnerConnected,
    OwnerLost,
    Save,
    Submit,
    Tick,
    What,
)
from .messenger import Messenger
from .outcome import outcome
from .overview import contact_views
from .owner import OwnerLine
from .pacing import pause
from .records import KnownRelay
from .route_desk import RouteDesk
from .routes.route import Route
from .steady import Steady
from .submissions import Submissions
from .vault.store import Vault
from .views import ContactView, Hit, MessageView

TICK_SECONDS: Final = 1.0


class Driver:
    """One open account at work."""

    def __init__(
        self,
        vault: Vault,
        randomness: Randomness,
        route: Route,
        *,
        routes: RouteDesk | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._vault = vault
        self._randomness = randomness
        self._clock = clock
        self._steady = Steady(clock)
        self._doors = Doors(route, self, clock)
        self._messenger = Messenger.load(vault.load(), randomness, vault)
        self._watchers: list[Callable[[Notify], None]] = []
        self._submissions = Submissions(self._doors.open, self.handle, self._report)
        self._owner: OwnerLine | None = None
        self._online = self._reached = self._broken = False
        self.last_failure: TrothError | None = None
        self.routes = routes
        if routes is not None:
            routes.tell = self._tell

    # Events in, effects out.

    def handle(self, *events: Event) -> None:
        """Handle events as one transaction on disk, then carry out what follows; TrothError changes nothing."""
        if self._broken:
            raise StorageError("the vault could not be read again after a failure: start troth anew")
        try:
            for event in events:
                self._messenger.take(event, int(self._clock()))
        finally:
            self._perform(self._messenger.effects())

    def _perform(self, effects: Sequence[Effect]) -> None:
        changes = tuple(change for effect in effects if isinstance(effect, Save) for change in effect.changes)
        if changes:
            try:
                self._vault.apply(changes)  # [R-13.1-1] [R-13.1-3]
            except StorageError:
                # Memory is ahead of the disk now: go back to what is on the disk, and send nothing.
                self._broken = True
                self._messenger = Messenger.load(self._vault.load(), self._randomness, self._vault)
                self._broken = False
                raise
        for effect in effects:
            if isinstance(effect, Submit):
                self._submissions.put(effect)
            elif isinstance(effect, Ask | Acknowledge):
                if self._owner is not None:
                    self._owner.put(effect)
            elif isinstance(effect, Notify):
                self._online = effect.what is What.ONLINE or (self._online and effect.what is not What.OFFLINE)
                self._reached = self._reached or self._online
                self._tell(effect)

    def _tell(self, note: Notify) -> None:
        for watcher in tuple(self._watchers):
            watcher(note)

    async def do(self, event: Event) -> None:
        """Carry out what a person asked; TrothError, and saved when this returns."""
        self.handle(event)

    def watch(self, callback: Callable[[Notify], None]) -> Callable[[], None]:
        """Call back on every Notify; the answer ends it."""
        self._watchers.append(callback)
        return lambda: self._watchers.remove(callback)

    # Our own relay.

    @property
    def online(self) -> bool:
        """Whether our mailbox is being fetched now."""
        return self._online

    async def run(self) -> None:
        """Stay connected to our relay and keep time, until cancelled."""
        ticking = asyncio.create_task(self._tick())
        failures = 0
        try:
            while True:
                self._reached = False
                try:
                    await self.fetch()
                except TrothError as error:
                    self._report(error)
                failures = 0 if self._reached else failures + 1
                await asyncio.sleep(pause(failures, self.last_failure, random.random()))  # noqa: S311 (jitter, not a secret)
        finally:
            ticking.cancel()
            await self.close()

    def _report(self, error: TrothError) -> None:
        """Keep the last failure and tell whoever watches."""
        self.last_failure = error
        alarm = isinstance(error, TrustError | StorageError)
        self._tell(Notify(What.ALARM if alarm else What.OFFLINE, None, str(error), error.code))

    async def _tick(self) -> None:
        while True:
            try:
                self.handle(Tick(self._steady.due()))
                self.fade()
            except TrothError as error:
                self._report(error)
            await asyncio.sleep(TICK_SECONDS)

    def fade(self) -> None:
        """Erase what has had its time, and every copy of what was erased. [R-13.4-1] [R-13.4-2]"""
        for contact in self._vault.fade(self._steady.due()):
            self._tell(Notify(What.ALTERED, contact))
        self._vault.tidy()

    async def fetch(self, *, until_drained: bool = False) -> None:
        """Connect, prove the mailbox, read what comes; returns when the connection ends, or once drained if asked."""
        relay = self._messenger.own.relay
        line, welcome = await self._doors.open(relay)
        owner = self._owner = OwnerLine(line, self.handle)
        try:
            self.handle(OwnerConnected(relay.fingerprint, welcome.nonce, line.wire.tls_key))
            await owner.run(until_drained=until_drained)
        finally:
            self._owner = None
            await owner.close()
            self.handle(OwnerLost())

    async def settle(self, seconds: float) -> None:
        """Wait until everything submitted has its answer, ``seconds`` at most; if it has not, that is a failure."""
        if not await self._submissions.settle(seconds):
            self.last_failure = TimedOut(f"the relay did not answer within {seconds:g} s")

    async def test_routes(self, numbers: Sequence[int]) -> None:
        """Try routes against our own relay, all if none is named; the results are in ``routes.status()``."""
        relay = self._messenger.own.relay
        if self.routes is not None:
            await self.routes.test(numbers, relay, self._doors.check(relay))

    async def read_ledger(self, relay: RelayAddress) -> None:
        """Read a relay's ledger; NetworkError, or TrustError if it is not the relay the link named. [R-19.3-6]"""
        await insist(lambda: self._doors.read_ledger(relay))

    def relay(self, fingerprint: bytes) -> KnownRelay | None:
        """What we hold of a relay's ledger."""
        return self._messenger.relay(fingerprint)

    async def flush(self, seconds: float) -> None:
        """Wait until our relay has answered everything it was asked, ``seconds`` at most; NetworkError."""
        try:
            async with asyncio.timeout(seconds):
                while self._owner is not None and self._owner.busy:
                    await self._owner.moved.wait()
        except TimeoutError:
            raise NetworkError("our relay did not answer in time") from None

    async def close(self) -> None:
        """Close every connection."""
        await self._submissions.close()
        if self.routes is not None:
            await self.routes.chooser.close()

    # What a window or a command shows.

    @property
    def own_name(self) -> str:
        """The name we give ourselves."""
        return self._messenger.own.name

    @property
    def own_relay(self) -> RelayAddress:
        """Where our mailbox is."""
        return self._messenger.own.relay

    @property
    def own_fingerprint(self) -> bytes:
        """Our account fingerprint."""
        return self._messenger.own.fingerprint

    def cards(self) -> list[str]:
        """The links of our cards that are published and not revoked."""
        return self._messenger.card_links()

    def waits(self, fingerprint: bytes) -> bool:
        """Whether anything of ours to a contact waits to be sent."""
        return self._messenger.waits(fingerprint)

    def contacts(self) -> list[ContactView]:
        """All contacts: those with something unread first, then the one with the newest message."""
        return contact_views(self._messenger, self._vault)

    def history(
        self, contact: bytes, *, before: int | None = None, after: int | None = None, limit: int = 100
    ) -> list[MessageView]:
        """Up to ``limit`` messages, oldest first: the newest, the newest before a row, or the oldest after one."""
        return self._vault.history(contact, before, limit, after=after)

    def message(self, contact: bytes, key: MessageKey) -> MessageView | None:
        """One message as it is now, or None."""
        return self._vault.message(contact, key)

    def unread(self, contact: bytes) -> list[MessageView]:
        """What came since ``mark_read``, oldest first."""
        return self._vault.unread(contact)

    def mark_read(self, contact: bytes, up_to: int | None = None) -> None:
        """Everything in the conversation, or up to a row, has been seen; what disappears starts to count."""
        self._vault.mark_read(contact, int(self._clock()), up_to)

    def search(
        self, words: str, *, contact: bytes | None = None, before: int | None = None, limit: int = 50
    ) -> list[Hit]:
        """Messages with all these words or beginnings of words, newest first."""
        return self._vault.search(words, contact, before, limit)

    def save_draft(self, contact: bytes, text: str) -> None:
        """Keep what is being written to a contact; an empty one is forgotten."""
        self._vault.save_draft(contact, text)

    def safety_number(self, contact: bytes) -> str:
        """80 digits in 16 groups of 5."""
        return self._messenger.safety_number(contact)

    async def make_card(self, uses: int = 1) -> str:
        """The link of a new card once our relay holds it; NetworkError."""
        if not self.online:
            raise NetworkError("a card is made while our relay can be reached")
        return await outcome(self.watch, lambda: self.handle(MakeCard(uses)), What.CARD)

    async def erase_account(self) -> None:
        """Have our relay erase everything it holds of us; returns once it has, NetworkError if it does not say so."""
        if not self.online:
            raise NetworkError("an account is erased while our relay can be reached")
        await outcome(self.watch, lambda: self.handle(EraseAccount()), What.ERASED)

    def find(self, contact: bytes, start: str, *, ours: bool | None) -> list[MessageView]:
        """The two newest messages whose id starts so in hexadecimal, of one side if it matters."""
        return self._vault.find(contact, start, ours=ours)
