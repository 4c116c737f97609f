"""One connection's shell: carries frames to the core and the core's effects out; it decides nothing.

It reads no further while too much waits for the disk (OUTSTANDING) or for a slow reader, and puts off loading a page
for a slow reader until there is room, so that memory for one peer is bounded by WRITE_HIGH, a page and a few answers
(WRITE_CAP).
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Sequence
from typing import Protocol

from websockets.exceptions import ConnectionClosed

from .blob_commands import PutBlob, ReadBlob
from .commands import Done, Erase, LoadQueue, Outcome, Queued, TakeBundle
from .connection import Connection
from .effects import Answer, Ask, Close, CloseCode, Effect, Subscribe
from .limits import BUNDLE_WEIGHT, HELLO_SECONDS, OUTSTANDING, TURN
from .peer import Peer


class Host(Protocol):
    """What a session needs of the listener."""

    def now(self) -> int:
        """The time, in seconds."""

    def ask(self, session: Session, ask: Ask) -> None:
        """Give a command to the store; its outcome comes back through ``Session.finish``."""

    def subscribe(self, session: Session, mailbox: bytes) -> None:
        """Tell this session, and no other, of deposits in the mailbox."""

    def closing(self, session: Session, close: Close) -> None:
        """Close the session's connection without waiting for it here."""

    def saw(self, session: Session, frame: bytes) -> None:
        """Count a request, and show it to the observer, if there is one."""

    def answers(self, frame: bytes) -> None:
        """Count an answer that is a refusal."""


class Session:
    """A peer, its core, and what is under way between them."""

    __slots__ = ("_closed", "_core", "_deferred", "_host", "_outstanding", "_room", "peer", "subscribed")

    def __init__(self, peer: Peer, core: Connection, host: Host) -> None:
        self.peer = peer
        self._core = core
        self._host = host
        self._outstanding = 0
        self._room: asyncio.Future[None] | None = None
        self._deferred: Ask | None = None
        self._closed = False
        self.subscribed: bytes | None = None
        peer.on_room = self._caught_up

    @property
    def mailbox(self) -> bytes | None:
        """The hash of the mailbox this session speaks for."""
        return self._core.mailbox

    async def run(self) -> None:
        """Read until the connection ends."""
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                while not self._core.greeted and not self._closed:
                    await self._read()
            turns = itertools.cycle(range(TURN))
            while not self._closed:
                await self._read()
                if next(turns) == 0:
                    await asyncio.sleep(0)  # a peer that never lets us wait would hold up everybody else
            await self.peer.wait_closed()
        except TimeoutError:
            await self.peer.close(CloseCode.POLICY, "HELLO_TIMEOUT")
        except ConnectionClosed:
            pass
        finally:
            self._closed = True
            self.peer.on_room = None

    def finish(self, ask: Ask, outcome: Outcome) -> None:
        """The store's outcome for one of this session's commands."""
        self._outstanding -= _weight(ask)
        self._wake_reader()
        if not self._closed:
            self._carry_out(self._core.result(ask, outcome, self._host.now()))
            self.peer.owner = self._core.mailbox is not None

    def deposited(self, row: Queued) -> None:
        """Something new is in the mailbox this session is subscribed to; for a slow reader it stays there for now."""
        if not self._closed:
            self._carry_out(self._core.deposited(None if self.peer.paused else row, self._host.now()))

    def taken_over(self) -> None:
        """Another session has subscribed to the mailbox."""
        if not self._closed:
            self._carry_out(self._core.taken_over())

    def erased(self) -> None:
        """Another session has erased the mailbox this one speaks for."""
        if not self._closed:
            self._carry_out(self._core.erased())

    async def _read(self) -> None:
        frame = await self.peer.recv()
        if isinstance(frame, str):
            self._carry_out([Close(CloseCode.NOT_BINARY, "NOT_BINARY")])
            return
        self._host.saw(self, frame)
        self.peer.used = self.peer.loop.time()
        self._carry_out(self._core.receive(frame, self._host.now()))
        while self._busy() and not self._closed:
            self._room = self.peer.loop.create_future()
            await self._room

    def _busy(self) -> bool:
        return self._outstanding >= OUTSTANDING or self.peer.paused

    def _wake_reader(self) -> None:
        if self._room is not None and not self._room.done() and (self._closed or not self._busy()):
            self._room.set_result(None)

    def _caught_up(self) -> None:
        self._wake_reader()
        deferred, self._deferred = self._deferred, None
        if deferred is not None and not self._closed:
            self._ask(deferred)

    def _ask(self, ask: Ask) -> None:
        self._outstanding += _weight(ask)
        self._host.ask(self, ask)

    def _carry_out(self, effects: Sequence[Effect]) -> None:
        self.peer.push([effect.frame for effect in effects if isinstance(effect, Answer)])
        for effect in effects:
            match effect:
                case Answer(frame):
                    self._host.answers(frame)
                case Ask(command=LoadQueue()) if self.peer.paused:
                    self._deferred = effect
                case Ask():
                    self._ask(effect)
                case Subscribe(mailbox):
                    self.subscribed = mailbox
                    self._host.subscribe(self, mailbox)
                case Close():
                    self._closed = True
                    self.peer.end()
                    self._host.closing(self, effect)
                    self._wake_reader()


def part(sessions: Iterable[Session], ask: Ask, outcome: Outcome) -> None:
    """After a mailbox was erased, end every other session that speaks for it."""
    if isinstance(ask.command, Erase) and isinstance(outcome, Done):
        for session in tuple(sessions):
            if session.mailbox == ask.command.mailbox:
                session.erased()


def _weight(ask: Ask) -> int:
    return BUNDLE_WEIGHT if isinstance(ask.command, TakeBundle | PutBlob | ReadBlob) else 1
