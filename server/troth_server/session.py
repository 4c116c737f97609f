"""One connection's shell: carries frames to the core and the core's effects out; it decides nothing.

It reads no further while too much waits for the disk (OUTSTANDING) or for a slow reader, and puts off loading a page
for a slow reader until there is room, so that memory for one peer is bounded by WRITE_HIGH, a page and a few answers
(WRITE_CAP).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from .blob_commands import PutBlob, ReadBlob
from .commands import Done, Erase, LoadQueue, Outcome, Queued, TakeBundle
from .connection import Connection
from .effects import Answer, Ask, Close, CloseCode, Effect, Subscribe
from .limits import BUNDLE_WEIGHT, HELLO_SECONDS, OUTSTANDING
from .peer import Peer


class Host(Protocol):
    """What a session needs of the listener."""

    def now(self) -> int:
        """The time, in seconds."""

    def ask(self, session: Session, ask: Ask) -> None:
        """Give a command to the store; its outcome comes back through ``Session.finish``."""

    def subscribe(self, session: Session, mailbox: bytes) -> None:
        """Tell this session, and no other, of deposits in the mailbox."""

    def late(self) -> None:
        """Count a client that said no Hello in time."""

    def closing(self, session: Session, close: Close) -> None:
        """Close the session's connection without waiting for it here."""

    def saw(self, session: Session, frame: bytes) -> None:
        """Count a request, and show it to the observer, if there is one."""

    def answers(self, frame: bytes) -> None:
        """Count an answer that is a refusal."""


class Session:
    """A peer, its core, and what is under way between them."""

    __slots__ = ("_closed", "_core", "_deferred", "_host", "_outstanding", "peer", "subscribed")

    def __init__(self, peer: Peer, core: Connection, host: Host) -> None:
        self.peer = peer
        self._core = core
        self._host = host
        self._outstanding = 0
        self._deferred: Ask | None = None
        self._closed = False
        self.subscribed: bytes | None = None
        peer.on_room = self._caught_up

    @property
    def mailbox(self) -> bytes | None:
        """The hash of the mailbox this session speaks for."""
        return self._core.mailbox

    async def run(self) -> None:
        """Hear what comes until the connection ends; what hearing it ended with, if nobody expected it."""
        late = self.peer.loop.call_later(HELLO_SECONDS, self._late)
        self.peer.tell(self)
        try:
            await self.peer.wait_closed()
        finally:
            late.cancel()
            self._closed = True
            self.peer.on_room = None
        if self.peer.trouble is not None:
            raise self.peer.trouble

    @property
    def busy(self) -> bool:
        """Whether too much waits for the disk, or for a slow reader."""
        return self._outstanding >= OUTSTANDING or self.peer.paused

    def hear(self, message: bytes | None) -> None:
        """A message of the client."""
        if self._closed:
            return
        if message is None:
            self._carry_out([Close(CloseCode.NOT_BINARY, "NOT_BINARY")])
            return
        self._host.saw(self, message)
        self.peer.used = self.peer.loop.time()
        self._carry_out(self._core.receive(message, self._host.now()))

    def finish(self, ask: Ask, outcome: Outcome) -> None:
        """The store's outcome for one of this session's commands."""
        self._outstanding -= _weight(ask)
        if not self._closed:
            self._carry_out(self._core.result(ask, outcome, self._host.now()))
            self.peer.owner = self._core.mailbox is not None
        self.peer.go_on()

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

    def _late(self) -> None:
        if not self._core.greeted and not self._closed:
            self._host.late()
            self._carry_out([Close(CloseCode.POLICY, "HELLO_TIMEOUT")])

    def _caught_up(self) -> None:
        deferred, self._deferred = self._deferred, None
        if deferred is not None and not self._closed:
            self._ask(deferred)
        self.peer.go_on()

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


def part(sessions: Iterable[Session], ask: Ask, outcome: Outcome) -> None:
    """After a mailbox was erased, end every other session that speaks for it."""
    if isinstance(ask.command, Erase) and isinstance(outcome, Done):
        for session in tuple(sessions):
            if session.mailbox == ask.command.mailbox:
                session.erased()


def _weight(ask: Ask) -> int:
    return BUNDLE_WEIGHT if isinstance(ask.command, TakeBundle | PutBlob | ReadBlob) else 1
