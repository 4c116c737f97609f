"""A running relay from start to stop: signals, files that change under it, the service manager, the metrics port.

::

    start --> serving --SIGHUP, or a file that changed--> read it all again: the new Standing, or the old one goes on
                 |
                 SIGTERM, SIGINT --> no more connections, 1001 to those there are, what was submitted is finished

It logs that it reloaded or why not, and nothing of any client.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from troth_protocol.errors import NetworkError, TrothError, UserError

from . import config as configuration
from . import memory, quiet, standing, tls
from .config import Config, TlsMode
from .limits import BACKLOG
from .listener import Listener
from .metrics import Count, Gauge, mebibytes
from .notify import Notifier, inherited
from .scrape import Scrape
from .storage import STORES
from .storage.apart import Apart

WATCH_SECONDS: Final = 5
"""Between looks at the ledger and the certificate; a new certificate is served within this."""
GARBAGE: Final = 50_000
"""Objects made before the collector looks for cycles: at Python's 700 it took 6 % of the processor time under load.

Connections break their own cycles when they end (``peer``), so there is next to nothing for it to find.
"""
SOCKET_MODE: Final = 0o660
"""Of a UNIX socket: the relay and its group, in which the proxy is."""


class Service:
    """One relay of one folder; ``port`` in place of the configured one."""

    def __init__(self, data: Path, port: int | None, die: Callable[[str], None], *, accept_loss: bool = False) -> None:
        """Read the folder and open its store, which forks; UserError, StorageError or DecodeError."""
        self._data = data
        self._port = port
        self._notify = Notifier(os.environ)
        self._stop = asyncio.Event()
        self._reload = asyncio.Event()
        self._started = int(time.time())
        self._listener: Listener
        config = self._configuration()
        engine = STORES.get(config.store)
        if engine is None:
            raise UserError(f"there is no store {config.store!r}; there is {', '.join(sorted(STORES))}")
        gc.freeze()
        gc.set_threshold(GARBAGE, 20, 20)
        self._store = Apart(lambda fatal: engine(config.data, config.quotas, fatal, accept_loss=accept_loss), die)
        try:  # after the fork: the store's process has no TLS key
            self._standing = standing.read(config, int(time.time()))
        except BaseException:
            self._store.close()
            raise

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT; NetworkError at the start."""
        config, stands = self._standing.config, self._standing
        memory.give_back()
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(quiet.loop_error)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload.set)
        async with contextlib.AsyncExitStack() as open_:
            open_.callback(self._store.close)
            passed = inherited(os.environ)
            sock = passed or (unix_socket(config.socket_path) if config.socket else None)
            if config.socket and passed is None:  # else it is the service manager's, which goes on listening
                open_.callback(config.socket_path.unlink, missing_ok=True)
            self._listener = listener = Listener(config, self._store, stands.ledger, stands.tls, sock=sock)
            listener.renew(stands)
            await open_.enter_async_context(listener)
            if config.metrics_port:
                await open_.enter_async_context(Scrape(self._metrics, config.metrics_port))
            where = config.socket_path if sock is not None and sock.family == socket.AF_UNIX else None
            print(f"serving on {where or f'{listener.host}:{listener.port}'}", flush=True)
            if listener.places < config.max_connections:
                _say(f"descriptors for {listener.places} connections only: raise LimitNOFILE, or ulimit -n")
            self._notify.ready()
            await self._watch()
            self._notify.stopping()

    def _configuration(self) -> Config:
        config = configuration.load(self._data)
        return config if self._port is None else replace(config, port=self._port)

    async def _watch(self) -> None:
        """Until it is time to stop: signs of life, reloads."""
        period = WATCH_SECONDS if self._notify.watchdog is None else min(WATCH_SECONDS, self._notify.watchdog / 2)
        seen = self._signature()
        while not self._stop.is_set():
            stop, hangup = asyncio.create_task(self._stop.wait()), asyncio.create_task(self._reload.wait())
            await asyncio.wait((stop, hangup), timeout=period, return_when=asyncio.FIRST_COMPLETED)
            stop.cancel()
            hangup.cancel()
            await asyncio.to_thread(self._notify.alive)  # may wait a second for the service manager; clients need not
            asked = self._reload.is_set()
            self._reload.clear()
            now = self._signature()
            if asked or now != seen:
                await self._read_again(everything=asked)
                seen = now

    async def _read_again(self, *, everything: bool) -> None:
        """Reload: the configuration too if it was asked for, else only what others change."""
        await asyncio.to_thread(self._notify.reloading)
        config = self._standing.config
        try:
            if everything:
                config = self._configuration()
            read = await asyncio.to_thread(standing.read, config, int(time.time()))
            self._standing = read.following(self._standing)
        except TrothError as error:
            self._listener.metrics.add(Count.RELOAD_FAILED)
            _say(f"not reloaded, the relay goes on as before: {error}")
        else:
            self._listener.renew(self._standing)
            self._listener.metrics.add(Count.RELOADED)
            _say("reloaded")
        await asyncio.to_thread(self._notify.ready)

    def _signature(self) -> tuple[tuple[int, int, int] | None, ...]:
        """What tells whether a watched file changed."""
        return tuple(_look(path) for path in self._standing.watched())

    def _metrics(self) -> str:
        """What the metrics port shows now."""
        config = self._standing.config
        gauges = {
            Gauge.CONNECTIONS: self._listener.connections,
            Gauge.STARTED: self._started,
            Gauge.DESCRIPTOR_EXPIRES: self._standing.ledger.address().expires,
        }
        ends = tls.expires(config.certificate) if config.tls.mode is not TlsMode.OWN else None
        if ends is not None:
            gauges[Gauge.CERTIFICATE_EXPIRES] = ends
        with contextlib.suppress(OSError):
            gauges[Gauge.STORE_SIZE] = mebibytes(sum(path.stat().st_size for path in config.data.glob("relay.db*")))
            gauges[Gauge.DISK_FREE] = mebibytes(shutil.disk_usage(config.data).free)
            ours = ("self", str(self._store.pid))
            pages = sum(int((Path("/proc") / each / "statm").read_text().split()[1]) for each in ours)
            gauges[Gauge.MEMORY] = mebibytes(pages * os.sysconf("SC_PAGESIZE"))
        return self._listener.metrics.text(gauges)


def unix_socket(path: Path) -> socket.socket:
    """A bound UNIX socket that its group may use; NetworkError. One that another process listens on is left alone."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.is_socket():
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                try:
                    probe.connect(str(path))
                except ConnectionRefusedError:
                    path.unlink()  # of a relay that was killed
                else:
                    raise NetworkError(f"another process listens on {path}")
        sock.bind(str(path))
        path.chmod(SOCKET_MODE)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise NetworkError(f"cannot listen on {path}: {error.strerror or 'the path is too long'}") from None
    except NetworkError:
        sock.close()
        raise
    return sock


def _look(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _say(line: str) -> None:
    with contextlib.suppress(OSError):
        print(f"troth-relay: {line}", file=sys.stderr, flush=True)
