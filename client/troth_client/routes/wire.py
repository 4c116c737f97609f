"""TLS and the WebSocket over whatever byte stream a route has opened: the relay's key is compared before the first
HTTP byte, on every route alike. SPEC.md section 12.3.

Where the signed descriptor pins keys, a certificate's names and dates mean nothing: the ``ssl`` module is told to take
any and ``_Pinned`` refuses all but the right key. Where the descriptor says ``WEBPKI``, the module verifies in the TLS
handshake, for a host that the descriptor names and not for one that a link brings. [R-12.3-2] [R-12.2-3]
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import socket
import ssl
import struct
import termios
from typing import Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from troth_protocol import ownership
from troth_protocol.address import RelayAddress
from troth_protocol.errors import ConnectionReset, DecodeError, NetworkError, PathSilent, PinMismatch
from troth_protocol.wire import MAX_FRAME, PATH

from .failures import bracketed, http_date, opening_failure
from .route import ALONE, KeyCheck, Patience

OPEN_SECONDS: Final = 10
"""For TLS and the upgrade together, on a stream that is open already."""
CLOSE_SECONDS: Final = 2
READ_FRAMES: Final = 64

logging.getLogger("websockets").setLevel(logging.WARNING)


class _NoRedirects(connect):
    """A relay has no business sending a client elsewhere."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class _Heard(ClientConnection):
    """Notes when something came last, and how much."""

    protocol: ClientProtocol
    bytes_heard = 0
    heard = 0.0

    def data_received(self, data: bytes) -> None:
        """Anything that comes is a sign of life: behind a large envelope a pong takes its time."""
        self.heard = self.loop.time()
        self.bytes_heard += len(data)
        super().data_received(data)

    def ping_now(self) -> None:
        """Ask for a sign of life, without waiting for the answer."""
        if self.protocol.state is State.OPEN:
            self.protocol.send_ping(b"")
            self.send_data()


class SecureWire:
    """A WebSocket over TLS as a Wire, which notices when its path is dead."""

    def __init__(self, connection: _Heard, tls_key: bytes, date: int | None, patience: Patience) -> None:
        self._connection = connection
        self._patience = patience
        self._silent = False
        self.tls_key = tls_key
        self.date = date
        """The relay's clock in Unix seconds when the connection was made, if it said: as true as the key is the pin."""
        self._watching = asyncio.create_task(self._watch())

    async def send(self, frame: bytes) -> None:
        """Send one frame; NetworkError."""
        try:
            await self._connection.send(frame)
        except (ConnectionClosed, OSError):
            raise self._gone("") from None

    async def receive(self) -> bytes:
        """The next frame; NetworkError when the connection is gone."""
        try:
            frame = await self._connection.recv()
        except ConnectionClosed as closed:
            raise self._gone(closed.rcvd.reason if closed.rcvd is not None else None) from None
        except OSError:
            raise self._gone(None) from None
        if isinstance(frame, str):
            await self.close()
            raise NetworkError("the relay sent text where frames are binary")
        return frame

    async def close(self) -> None:
        """Close, without waiting long."""
        self._watching.cancel()
        await self._connection.close()

    def abort(self) -> None:
        """Close at once, without a word to the other side."""
        self._watching.cancel()
        self._connection.transport.abort()

    def _gone(self, reason: str | None) -> NetworkError:
        """Why the connection ended: ``reason`` is the relay's own word, None when there was none."""
        self._watching.cancel()
        if self._silent:
            return PathSilent(f"the connection brought nothing for {self._patience.dead:g} s, not even to a ping")
        if reason is None:
            came = self._connection.bytes_heard
            return ConnectionReset(f"the connection to the relay is gone (cut after {came} bytes)")
        known = reason if reason.isascii() and reason.replace("_", "").isalpha() else "closed"
        return NetworkError(f"the connection to the relay is gone ({known})")

    async def _watch(self) -> None:
        """Ping a quiet path, and cut off a dead one, so that whoever waits on it turns to another. [R-19.3-3]"""
        connection, patience = self._connection, self._patience
        pinged, unsent = False, 0
        while True:
            await asyncio.sleep(patience.quiet / 8)
            now, left = connection.loop.time(), _unsent(connection)
            if left < unsent:  # a slow link takes what we send: it is alive, and the pong stands behind it
                connection.heard = now
            unsent = left
            silence = now - connection.heard
            if silence >= patience.dead:
                self._silent = True
                connection.transport.abort()
                return
            if silence < patience.quiet:
                pinged = False
            elif not pinged:
                pinged = True
                connection.ping_now()


def _unsent(connection: ClientConnection) -> int:
    """Bytes that have been handed over and have not left this machine for good."""
    below = connection.transport.get_extra_info("socket")
    queued = bytes(4)
    if below is not None:
        with contextlib.suppress(OSError, ValueError):
            queued = fcntl.ioctl(below.fileno(), termios.TIOCOUTQ, queued)
    return connection.transport.get_write_buffer_size() + int(struct.unpack("i", queued)[0])


async def secure(stream: socket.socket, relay: RelayAddress, check: KeyCheck, patience: Patience = ALONE) -> SecureWire:
    """TLS to the relay and the upgrade, over a stream that is closed if it fails; PinMismatch or NetworkError."""
    context, name = _judge(relay, check)
    seen: list[bytes] = []

    class _Pinned(_Heard):
        """Compares the relay's key before its request leaves."""

        async def handshake(self, *arguments: object, **options: object) -> None:
            self.heard = self.loop.time()
            secured = self.transport.get_extra_info("ssl_object")
            certificate = secured.getpeercert(binary_form=True) if secured is not None else None
            if not certificate:
                raise NetworkError("the relay showed no certificate")
            seen.append(_key_hash(certificate))
            if check.pins is not None and seen[-1] not in check.pins:
                expected = " or ".join(sorted(pin.hex()[:16] for pin in check.pins))
                raise PinMismatch(expected, seen[-1].hex()[:16])
            await super().handshake(*arguments, **options)  # type: ignore[arg-type]

    opening = _NoRedirects(
        f"wss://{bracketed(relay.host)}:{relay.port}{PATH}",
        sock=stream,
        ssl=context,
        server_hostname=name,
        ssl_shutdown_timeout=CLOSE_SECONDS,
        create_connection=_Pinned,
        proxy=None,
        compression=None,  # [R-11.1-1]
        user_agent_header=None,
        max_size=MAX_FRAME,
        max_queue=READ_FRAMES,
        open_timeout=OPEN_SECONDS,
        ping_interval=None,
        close_timeout=CLOSE_SECONDS,
    )
    try:
        connection = await opening
    except Exception as error:
        if isinstance(error, NetworkError | PinMismatch):
            raise
        if isinstance(error, ssl.SSLCertVerificationError):
            raise PinMismatch("a certificate for a host it names", f"another ({error.verify_message})") from None
        raise opening_failure(error, OPEN_SECONDS) from None
    if not isinstance(connection, _Heard):
        raise NetworkError("the connection was made by something else")
    response = connection.response
    date = http_date(response.headers.get("Date", "")) if response is not None else None
    return SecureWire(connection, seen[-1], date, patience)


def _judge(relay: RelayAddress, check: KeyCheck) -> tuple[ssl.SSLContext, str]:
    """What judges the certificate in the TLS handshake, and for which name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies certificate and name unless told otherwise
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not check.web:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context, relay.host
    context.load_default_certs()
    names = [host for host, _ in check.also]
    if not names:
        raise NetworkError("the relay's descriptor names no host")
    return context, relay.host if relay.host in names else names[0]


def _key_hash(certificate: bytes) -> bytes:
    try:
        return ownership.tls_key_hash(certificate)
    except DecodeError:
        raise NetworkError("the relay's certificate cannot be read") from None
