"""The port on which a Prometheus server, or ``status``, reads the metrics: loopback only, GET /metrics only.

No request is logged. A reader gets READ_SECONDS and HEAD_BYTES, and there are READERS of them at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import Callable
from typing import Final

from troth_protocol.errors import NetworkError, UserError

from .metrics import CONTENT_TYPE

READ_SECONDS: Final = 3
"""For a whole request: the reader is on this machine."""
HEAD_BYTES: Final = 4_096
"""Of a request's line and headers; Prometheus sends 300."""
READERS: Final = 8
"""At a time; the next is turned away."""
PATH: Final = "/metrics"
_NOT_FOUND: Final = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Scrape:
    """Serves ``text()`` while its ``async with`` block runs."""

    def __init__(self, text: Callable[[], str], port: int, host: str = "127.0.0.1") -> None:
        """UserError if ``host`` is not a loopback address; port 0 lets the system choose."""
        if not ipaddress.ip_address(host).is_loopback:
            raise UserError("metrics are shown on loopback addresses only")
        self._text = text
        self._host = host
        self.port = port
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}

    async def __aenter__(self) -> Scrape:
        """Listen; NetworkError."""
        try:
            self._server = await asyncio.start_server(self._answer, self._host, self.port, limit=HEAD_BYTES)
        except OSError as error:
            raise NetworkError(f"cannot listen on port {self.port} for metrics: {error.strerror}") from None
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop, and wait for whoever is being answered."""
        if self._server is not None:
            self._server.close()
            for writer in self._open:
                writer.transport.abort()
            await asyncio.gather(*(task for task in self._open.values() if task is not None))
            await self._server.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open[writer] = asyncio.current_task()
        try:
            async with asyncio.timeout(READ_SECONDS):
                if len(self._open) <= READERS:
                    writer.write(self._page(await reader.readuntil(b"\r\n\r\n")))
                    await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever it was did not speak HTTP, or went away
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            del self._open[writer]

    def _page(self, head: bytes) -> bytes:
        """The answer to a request. ``Host`` must be this machine: a web page that renames itself reads nothing."""
        line, _, rest = head.partition(b"\r\n")
        hosts = [value.strip() for key, _, value in (each.partition(b":") for each in rest.split(b"\r\n"))
                 if key.lower() == b"host"]  # fmt: skip
        here = {name + port for name in (b"127.0.0.1", b"localhost", b"[::1]") for port in (b"", b":%d" % self.port)}
        if line not in (f"GET {PATH} HTTP/{minor}".encode() for minor in ("1.0", "1.1")) or not here.issuperset(hosts):
            return _NOT_FOUND
        body = self._text().encode()
        heading = f"HTTP/1.1 200 OK\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\n"
        return heading.encode() + b"Cache-Control: no-store\r\nConnection: close\r\n\r\n" + body
