"""The shell: sockets, the clock and the vault, for a messenger that knows none of them.

It decides nothing: it turns what happens into events, carries out effects in their order (the Save first), and calls
back whoever watches.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Iterable
from typing import Final

from troth_protocol.card import RelayAddress
from troth_protocol.errors import NetworkError, StorageError, TrothError, TrustError
from troth_protocol.primitives import Randomness
from troth_protocol.wire import answers

from .doors import Doors
from .events import (
    Acknowledge,
    Ask,
    Change,
    Effect,
    Event,
    MakeCard,
    Notify,
    OwnerConnected,
    OwnerLost,
    Save,
    Submit,
    SubmitFailed,
    Submitted,
    Tick,
    What,
)
from .lanes import Lane
from .messenger import Messenger
from .owner import OwnerLine
from .records import KnownRelay
from .routes.route import Route
from .vault.store import Vault
from .views import ContactView, MessageView, contact_view

TICK_SECONDS: Final = 1.0
BACKOFF: Final = (1, 2, 5, 10, 30, 60)
"""Seconds before the next attempt to reach our relay, each with up to half of it in jitter."""


class Driver:
    """One open account at work."""

    def __init__(
        self, vault: Vault, randomness: Randomness, route: Route, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._vault = vault
        self._randomness = randomness
        self._clock = clock
        self._doors = Doors(route, self, clock)
        self._messenger = Messenger.load(vault.load(), randomness)
        self._watchers: list[Callable[[Notify], None]] = []
        self._lanes: dict[bytes, Lane] = {}
        self._owner: OwnerLine | None = None
        self._online = self._broken = False
        self._in_flight = 0
        self._settled = asyncio.Event()
        self._settled.set()
        self.last_failure: TrothError | None = None

    # Events in, effects out.

    def handle(self, *events: Event) -> None:
        """Handle events as one transaction on disk, then carry out what follows; TrothError changes nothing."""
        if self._broken:
            raise StorageError("the vault could not be read again after a failure: start troth anew")
        effects: list[Effect] = []
        try:
            for event in events:
                effects += self._messenger.handle(event, int(self._clock()))
        finally:
            self._perform(effects)

    def _perform(self, effects: Iterable[Effect]) -> None:
        changes: list[Change] = []
        rest: list[Effect] = []
        for effect in effects:
            if isinstance(effect, Save):
                changes += effect.changes
            else:
                rest.append(effect)
        if changes:
            try:
                self._vault.apply(tuple(changes))  # [R-13.1-1] [R-13.1-3]
            except StorageError:
                # Memory is ahead of the disk now: go back to what is on the disk, and send nothing.
                self._broken = True
                self._messenger = Messenger.load(self._vault.load(), self._randomness)
                self._broken = False
                raise
        for effect in rest:
            if isinstance(effect, Submit):
                self._in_flight += 1
                self._settled.clear()
                self._lane(effect.relay).put(effect.reference, effect.request)
            elif isinstance(effect, Ask | Acknowledge):
                if self._owner is not None:
                    self._owner.put(effect)
            elif isinstance(effect, Notify):
                self._online = effect.what is What.ONLINE or (self._online and effect.what is not What.OFFLINE)
                for watcher in tuple(self._watchers):
                    watcher(effect)

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
                try:
                    await self.fetch()
                    failures = 0
                except TrothError as error:
                    self._report(error)
                delay = BACKOFF[min(failures, len(BACKOFF) - 1)]
                failures += 1
                await asyncio.sleep(delay * (1 + random.random() / 2))  # noqa: S311 (jitter, not a secret)
        finally:
            ticking.cancel()
            await self.close()

    def _report(self, error: TrothError) -> None:
        """Keep the last failure and tell whoever watches."""
        self.last_failure = error
        alarm = isinstance(error, TrustError | StorageError)
        for watcher in tuple(self._watchers):
            watcher(Notify(What.ALARM if alarm else What.OFFLINE, None, str(error), error.code))

    async def _tick(self) -> None:
        while True:
            try:
                self.handle(Tick())
            except TrothError as error:
                self._report(error)
            await asyncio.sleep(TICK_SECONDS)

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

    # Any relay.

    def _lane(self, relay: RelayAddress) -> Lane:
        lane = self._lanes.get(relay.fingerprint)
        if lane is None:
            lane = Lane(lambda: self._doors.open(relay), self._submitted, self._submit_failed)
            self._lanes[relay.fingerprint] = lane
        return lane

    def _submitted(self, reference: bytes, answer: answers.Answer) -> None:
        self._land(Submitted(reference, answer))

    def _submit_failed(self, reference: bytes, error: TrothError) -> None:
        self._report(error)
        self._land(SubmitFailed(reference))

    def _land(self, event: Submitted | SubmitFailed) -> None:
        try:
            self.handle(event)
        except TrothError as error:  # nothing was noted: the same bytes go again
            self._report(error)
        self._in_flight -= 1
        if self._in_flight == 0:
            self._settled.set()

    async def settle(self, seconds: float) -> None:
        """Wait until everything submitted has its answer, ``seconds`` at most."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._settled.wait(), seconds)

    async def read_ledger(self, relay: RelayAddress) -> None:
        """Read a relay's ledger; NetworkError, or TrustError if it is not the relay the link named."""
        await self._doors.read_ledger(relay)

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
        for lane in self._lanes.values():
            await lane.close()
        self._lanes.clear()

    # What a window or a command shows.

    @property
    def own_name(self) -> str:
        """The name we give ourselves."""
        return self._messenger.own.name

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
        """All contacts, the one with the newest message first."""
        views = []
        for contact in self._messenger.contacts():
            fingerprint = contact.fingerprint
            epoch, queued = self._messenger.epoch(fingerprint), self._messenger.queued(fingerprint)
            views.append(contact_view(contact, epoch, queued, self._vault.counts(fingerprint)))
        return sorted(views, key=lambda view: -view.last)

    def history(self, contact: bytes, *, before: int | None = None, limit: int = 100) -> list[MessageView]:
        """Up to ``limit`` messages before row ``before``, oldest first."""
        return self._vault.history(contact, before, limit)

    def unread(self, contact: bytes) -> list[MessageView]:
        """What came since ``mark_read``, oldest first."""
        return self._vault.unread(contact)

    def mark_read(self, contact: bytes) -> None:
        """Everything in the conversation has been seen."""
        self._vault.mark_read(contact)

    def safety_number(self, contact: bytes) -> str:
        """80 digits in 16 groups of 5."""
        return self._messenger.safety_number(contact)

    async def make_card(self, uses: int = 1) -> str:
        """The link of a new card once our relay holds it; NetworkError."""
        if not self.online:
            raise NetworkError("a card is made while our relay can be reached")
        made: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def see(note: Notify) -> None:
            if made.done():
                return
            if note.what is What.CARD:
                made.set_result(note.detail)
            elif note.what in {What.OFFLINE, What.REFUSED} and note.contact is None:
                made.set_exception(NetworkError(note.detail or "the connection to our relay is gone"))

        end = self.watch(see)
        try:
            self.handle(MakeCard(uses))
            return await asyncio.wait_for(made, 30)
        except TimeoutError:
            raise NetworkError("our relay did not take the card in time") from None
        finally:
            end()
