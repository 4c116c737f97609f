"""The shell: sockets, TLS, the clock and the store's outcomes, for sessions that know none of them.

It decides nothing about requests; it bounds time and memory (``limits``), refuses what is not a troth client before a
WebSocket opens, and logs no address, id or token. Who may come in is the ``gate``'s business, and the ``acceptor`` asks
it. A proof is bound to ``tls.key_hash``, the relay's own key.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import cast

from websockets.asyncio.server import Server, ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.protocol import OPEN

from troth_protocol.errors import UserError

from . import pages, quiet, reception, tally
from .acceptor import Acceptor, listening_socket, private, room
from .admission import KEY_SIZE, Admission
from .allowance import Allowance, Shared
from .commands import Deposited, Expire, Failed, Outcome
from .config import Config, TlsMode
from .connection import Connection, Identity
from .effects import Ask, Close, CloseCode
from .gate import Gate, Visit
from .ledger_file import LedgerFile
from .limits import BACKLOG, OPEN_SECONDS, PATROL_SECONDS, SWEEP_SECONDS, TURN_SECONDS, Bucket
from .metrics import Count, Metrics
from .observer import Observer, see
from .pages import Site
from .peer import Behind, Peer
from .session import Session, part
from .standing import Standing
from .storage import Store
from .tls import Tls

__all__ = ["Listener", "listening_socket"]


class Listener:
    """A relay that accepts connections while its ``async with`` block runs; the store stays the caller's."""

    def __init__(
        self,
        config: Config,
        store: Store,
        ledger: LedgerFile,
        tls: Tls | None,
        *,
        sock: socket.socket | None = None,
        on_event: Observer | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``tls`` None means plain WebSockets, which only a loopback address may have; UserError. [R-11.1-3]

        ``sock`` is used instead of ``config.bind`` and ``config.port`` if it is given.
        """
        if (tls is None or tls.context is None) and not private(config.bind, sock):
            raise UserError("without TLS the relay listens on loopback addresses and UNIX sockets only")
        self._config = config
        self._store = store
        self._tls = tls
        self._sock = sock
        self._on_event = on_event
        self._clock = clock
        key_hash = bytes(32) if tls is None else tls.key_hash
        # No invitation counts until ``renew`` brings their key.
        self._identity = Identity(
            ledger.fingerprint, key_hash, ledger.operator, ledger.entries, bytes(32), os.urandom(32),
            admission=Admission(config.admission, os.urandom(KEY_SIZE)),
        )  # fmt: skip
        self._site = Site(pages.NOT_FOUND)
        self._healthy = True
        creations = Bucket(config.creations_at_once, config.creations_per_minute / 60)
        self._shared = Shared(config.rates, creations)
        self.metrics = Metrics()
        self.places = room(config.max_connections)
        """Connections that there are descriptors for."""
        self._gate = Gate(config.rates, self.places, os.urandom(32))
        self._behind = Behind(self.metrics)
        self._subscribers: dict[bytes, Session] = {}
        self._sessions: set[Session] = set()
        self._done: deque[tuple[Session, Ask, Outcome]] = deque()
        self._scheduled = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._rounds: list[asyncio.Task[None]] = []
        self._server: Server
        self._acceptor: Acceptor
        self._loop: asyncio.AbstractEventLoop
        self.host = config.bind
        self.port = config.port

    async def __aenter__(self) -> Listener:
        """Start to listen; ``port`` is the real one from now on. NetworkError."""
        self._loop = asyncio.get_running_loop()
        sock = listening_socket(self._config.bind, self._config.port) if self._sock is None else self._sock
        self._acceptor = Acceptor(
            sock, self._gate, lambda: self._tls.context if self._tls else None, self._make, self.metrics, self.now,
            behind_proxy=sock.family == socket.AF_UNIX or self._config.tls.mode is TlsMode.PROXY,
        )  # fmt: skip
        try:
            # An Acceptor is what Server needs of an asyncio Server, and no more.
            self._server = Server(self._accept_from, self._meet, quiet.LIBRARY)
            await self._server
        except BaseException:
            sock.close()
            raise
        if sock.family != socket.AF_UNIX:
            self.port = sock.getsockname()[1]
        rounds = (self._sweep(), self._patrol(), self._turn())
        self._rounds = [asyncio.create_task(each) for each in rounds]
        return self

    async def _accept_from(self) -> asyncio.Server:
        self._acceptor.start(BACKLOG)
        return cast(asyncio.Server, self._acceptor)

    def _make(self, visit: Visit) -> Peer:
        return Peer(self._server, visit, self._behind)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop accepting, close what is open, and wait for it."""
        for task in self._rounds:
            task.cancel()
        self._server.close(code=CloseCode.GOING_AWAY, reason="SHUTDOWN")
        await self._server.wait_closed()

    def renew(self, stands: Standing) -> None:
        """Let new connections in by these files from now on; those that are open keep what they came in with."""
        self._config, self._tls, self._site = stands.config, stands.tls, stands.site
        newest, *older = stands.tls.key_hashes
        self._identity = replace(
            self._identity, tls_key_hash=newest, older_keys=tuple(older), entries=stands.ledger.entries,
            admission=stands.admission,
        )  # fmt: skip
        self._shared.creations = Bucket(stands.config.creations_at_once, stands.config.creations_per_minute / 60)
        self._gate.resize(room(stands.config.max_connections))

    @property
    def connections(self) -> int:
        """How many are open now."""
        return self._gate.total

    def now(self) -> int:
        """The time, in seconds."""
        return int(self._clock())

    def ask(self, session: Session, ask: Ask) -> None:
        """Give a command to the store; the outcome is posted from the store's thread."""
        self._store.submit(ask.command, lambda outcome: self._post(session, ask, outcome))

    def subscribe(self, session: Session, mailbox: bytes) -> None:
        """The newest Fetch of a mailbox gets its deposits; the one before is closed. [R-11.4-7]"""
        before = self._subscribers.get(mailbox)
        self._subscribers[mailbox] = session
        if before is not None and before is not session:
            before.taken_over()

    def late(self) -> None:
        """Count a client that said no Hello in time."""
        self.metrics.add(Count.HELLO_LATE)

    def closing(self, session: Session, close: Close) -> None:
        """Close a session's connection in a task of its own."""
        task = self._loop.create_task(session.peer.close(close.code, close.reason))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def saw(self, session: Session, frame: bytes) -> None:
        """Show a frame to the observer."""
        self.metrics.add(Count.REQUESTS)
        if self._on_event is not None:
            event = see(frame, session.mailbox, self.now())
            if event is not None:
                self._on_event(event)

    def answers(self, frame: bytes) -> None:
        """Count a refusal."""
        tally.answer(self.metrics, frame)

    def _post(self, session: Session, ask: Ask, outcome: Outcome) -> None:
        """On the store's thread: one wake-up of the loop for however many outcomes a commit brought."""
        self._done.append((session, ask, outcome))
        if not self._scheduled:
            self._scheduled = True
            try:
                self._loop.call_soon_threadsafe(self._deliver)
            except RuntimeError:  # the loop has closed: nobody waits for these outcomes any more
                return

    def _deliver(self) -> None:
        """On the loop: hand each outcome to its session, and what came in to whoever is subscribed to it."""
        self._scheduled = False
        while self._done:
            session, ask, outcome = self._done.popleft()
            session.finish(ask, outcome)
            part(self._sessions, ask, outcome)
            tally.outcome(self.metrics, ask.command, outcome)
            if isinstance(outcome, Deposited) and outcome.row is not None:
                subscriber = self._subscribers.get(outcome.mailbox)
                if subscriber is not None:
                    subscriber.deposited(outcome.row)

    async def _meet(self, peer: ServerConnection) -> None:
        """One connection, from the end of TLS to its own end; the deadline for HTTP counts from accept."""
        if not isinstance(peer, Peer):
            raise TypeError("a Peer is what _make makes")
        server = self._server
        try:
            try:
                async with asyncio.timeout_at(peer.opened + OPEN_SECONDS):
                    await peer.handshake(self._receive, None, None)  # no header says what serves
            finally:
                self._acceptor.settled(peer.visit)
            if peer.protocol.state is not OPEN:
                self.metrics.add(Count.HANDSHAKE_FAILED)
                return
            server.all_connections.add(peer)
            self.metrics.add(Count.ACCEPTED)
            async with peer:
                await self._handle(peer)
        except (TimeoutError, ConnectionClosed, OSError):
            self.metrics.add(Count.HANDSHAKE_FAILED)
        except Exception as error:  # the kind alone: anything more could name what must not be named
            self.metrics.add(Count.UNHANDLED)
            logging.getLogger("troth.relay").error("unhandled %s", type(error).__name__)  # noqa: TRY400
        finally:
            peer.transport.abort()
            if peer in server.all_connections:
                server.all_connections.discard(peer)
                self.metrics.add(Count.CLOSED)
            task = asyncio.current_task()
            if task is not None:
                server.handler_tasks.discard(task)

    def _receive(self, peer: ServerConnection, request: Request) -> Response | None:
        """What an HTTP request gets: None for a WebSocket."""
        if not isinstance(peer, Peer):
            return None
        return reception.answer(peer, request, self.metrics, self._site, healthy=self._healthy)

    async def _handle(self, peer: Peer) -> None:
        """One WebSocket, from its opening to its end."""
        core = Connection(os.urandom(32), self._identity, Allowance(self._shared, peer.visit))
        session = Session(peer, core, self)
        self._sessions.add(session)
        try:
            await session.run()
        finally:
            self._sessions.discard(session)
            mailbox = session.subscribed
            if mailbox is not None and self._subscribers.get(mailbox) is session:
                del self._subscribers[mailbox]

    async def _sweep(self) -> None:
        """Every SWEEP_SECONDS: drop what is past its time, and every copy of what was deleted."""
        while True:
            self._store.submit(Expire(self.now()), self._swept)
            await asyncio.sleep(SWEEP_SECONDS)

    def _swept(self, outcome: Outcome) -> None:
        """On the store's thread: whether it can still write is what /healthz says."""
        self._healthy = not isinstance(outcome, Failed)

    async def _patrol(self) -> None:
        """Every PATROL_SECONDS: look whether each peer is still there."""
        while True:
            await asyncio.sleep(PATROL_SECONDS)
            for peer in self._peers():
                peer.patrol()

    async def _turn(self) -> None:
        """Every TURN_SECONDS: forget which networks were here, but for those that are."""
        while True:
            await asyncio.sleep(TURN_SECONDS)
            living = list(self._acceptor.living())
            for peer in self._peers():
                name = peer.transport.get_extra_info("peername")
                if name:
                    living.append((None if self._acceptor.behind_proxy else str(name[0]), peer.visit))
            self._gate.turn(os.urandom(32), living)

    def _peers(self) -> list[Peer]:
        return [peer for peer in self._server.all_connections if isinstance(peer, Peer)]
