"""The shell: sockets, TLS, the clock and the store's outcomes, for sessions that know none of them.

It decides nothing about requests; it bounds time and memory (``limits``), refuses what is not a troth client before a
WebSocket opens, and logs no address, id or token. A proof is bound to ``tls.key_hash``, the relay's own key.
"""

from __future__ import annotations

import asyncio
import http
import ipaddress
import logging
import os
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Final

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from troth_protocol.errors import NetworkError, UserError
from troth_protocol.wire import MAX_FRAME, PATH

from .commands import Deposited, Expire, Outcome
from .config import Config
from .connection import Connection, Identity
from .effects import Ask, Close, CloseCode
from .ledger_file import LedgerFile
from .limits import (
    BACKLOG,
    CLOSE_SECONDS,
    OPEN_SECONDS,
    PATROL_SECONDS,
    READ_FRAMES,
    SEND_BUFFER,
    SWEEP_SECONDS,
    UNSENT_BUFFER,
    WRITE_HIGH,
    Bucket,
)
from .observer import Observer, see
from .peer import Peer
from .session import Session
from .storage import Store
from .tls import Tls

_NO_POLICY: Final = bytes(32)


def listening_socket(bind: str, port: int) -> socket.socket:
    """A socket that listens on an address, with the send buffer that accepted ones inherit; NetworkError."""
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    # With the protocol named: asyncio turns Nagle's delay off only then (40 ms an answer without it).
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        if sys.platform == "linux":
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BUFFER)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listening.bind((bind, port))
    except OSError as error:
        listening.close()
        raise NetworkError(f"cannot listen on {bind} port {port}: {error.strerror}") from None
    return listening


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
        if tls is None and not ipaddress.ip_address(config.bind).is_loopback:
            raise UserError("without TLS the relay listens on loopback addresses only")
        self._config = config
        self._store = store
        self._tls = tls
        self._sock = sock
        self._on_event = on_event
        self._clock = clock
        key_hash = bytes(32) if tls is None else tls.key_hash
        self._identity = Identity(
            ledger.fingerprint, key_hash, ledger.operator, ledger.entries, _NO_POLICY, os.urandom(32)
        )
        self._creations = Bucket(config.creations_at_once, config.creations_per_minute / 60)
        self._subscribers: dict[bytes, Session] = {}
        self._done: deque[tuple[Session, Ask, Outcome]] = deque()
        self._scheduled = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._rounds: list[asyncio.Task[None]] = []
        self._server: Server | None = None
        self._loop: asyncio.AbstractEventLoop
        self.host = config.bind
        self.port = config.port

    async def __aenter__(self) -> Listener:
        """Start to listen; ``port`` is the real one from now on. NetworkError."""
        self._loop = asyncio.get_running_loop()
        sock = listening_socket(self._config.bind, self._config.port) if self._sock is None else self._sock
        logging.getLogger("websockets").setLevel(logging.WARNING)
        try:
            self._server = await serve(
                self._handle,
                sock=sock,
                ssl=None if self._tls is None else self._tls.context,
                backlog=BACKLOG,
                compression=None,  # [R-11.1-1]
                process_request=self._admit,
                server_header=None,
                open_timeout=OPEN_SECONDS,
                ping_interval=None,  # ``Peer.patrol`` pings: one task for all, and a slow link is not taken for dead
                ping_timeout=None,
                close_timeout=CLOSE_SECONDS,
                max_size=MAX_FRAME,
                max_queue=READ_FRAMES,
                write_limit=WRITE_HIGH,
                create_connection=Peer,
            )
        except BaseException:
            sock.close()
            raise
        self.port = sock.getsockname()[1]
        self._rounds = [asyncio.create_task(self._sweep()), asyncio.create_task(self._patrol(self._server))]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop accepting, close what is open, and wait for it."""
        for task in self._rounds:
            task.cancel()
        if self._server is not None:
            self._server.close(code=CloseCode.GOING_AWAY, reason="SHUTDOWN")
            await self._server.wait_closed()

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

    def closing(self, session: Session, close: Close) -> None:
        """Close a session's connection in a task of its own."""
        task = self._loop.create_task(session.peer.close(close.code, close.reason))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def saw(self, session: Session, frame: bytes) -> None:
        """Show a frame to the observer."""
        if self._on_event is not None:
            event = see(frame, session.mailbox, self.now())
            if event is not None:
                self._on_event(event)

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
            if isinstance(outcome, Deposited) and outcome.row is not None:
                subscriber = self._subscribers.get(outcome.mailbox)
                if subscriber is not None:
                    subscriber.deposited(outcome.row)

    async def _handle(self, peer: ServerConnection) -> None:
        """One WebSocket, from its opening to its end."""
        if not isinstance(peer, Peer):
            raise TypeError("a Peer is what create_connection makes")
        session = Session(peer, Connection(os.urandom(32), self._identity, self._creations), self)
        try:
            await session.run()
        finally:
            mailbox = session.subscribed
            if mailbox is not None and self._subscribers.get(mailbox) is session:
                del self._subscribers[mailbox]

    def _admit(self, peer: ServerConnection, request: Request) -> Response | None:
        """Refuse browsers (they send Origin), other paths, and more connections than we have memory for. [R-11.1-2]"""
        refusal: tuple[http.HTTPStatus, str] | None = None
        if request.path != PATH:
            refusal = http.HTTPStatus.NOT_FOUND, "Not found.\n"
        elif "Origin" in request.headers:
            refusal = http.HTTPStatus.FORBIDDEN, "Browser clients are not supported.\n"
        elif len(peer.server.handler_tasks) > self._config.max_connections:
            refusal = http.HTTPStatus.SERVICE_UNAVAILABLE, "Busy.\n"
        return None if refusal is None else peer.respond(*refusal)

    async def _sweep(self) -> None:
        """Every SWEEP_SECONDS: drop what is past its time, and every copy of what was deleted."""
        while True:
            self._store.submit(Expire(self.now()), _ignore)
            await asyncio.sleep(SWEEP_SECONDS)

    async def _patrol(self, server: Server) -> None:
        """Every PATROL_SECONDS: look whether each peer is still there."""
        while True:
            await asyncio.sleep(PATROL_SECONDS)
            for peer in tuple(server.all_connections):
                if isinstance(peer, Peer):
                    peer.patrol()


def _ignore(_: Outcome) -> None:
    """Nobody waits for a sweep."""
