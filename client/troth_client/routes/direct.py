"""The direct route: TLS to the relay's own address, its key compared before the first HTTP byte. SPEC.md section 12.3.

The certificate is self-signed and its names and dates mean nothing; the pin in the signed descriptor is what counts, so
the ``ssl`` module is told to accept any certificate and ``_Pinned`` refuses all but the right key. [R-12.3-2]
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from typing import Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from troth_protocol import ownership
from troth_protocol.card import RelayAddress
from troth_protocol.errors import DecodeError, NetworkError, PinMismatch
from troth_protocol.wire import MAX_FRAME, PATH

from .route import KeyCheck, Wire

OPEN_SECONDS: Final = 10
PING_SECONDS: Final = 20
CLOSE_SECONDS: Final = 2
READ_FRAMES: Final = 64

logging.getLogger("websockets").setLevel(logging.WARNING)


class _NoRedirects(connect):
    """A relay has no business sending a client elsewhere."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class _DirectWire:
    """A websockets connection as a Wire."""

    def __init__(self, connection: ClientConnection, tls_key: bytes) -> None:
        self._connection = connection
        self.tls_key = tls_key

    async def send(self, frame: bytes) -> None:
        try:
            await self._connection.send(frame)
        except (ConnectionClosed, OSError):
            raise NetworkError("the connection to the relay is gone") from None

    async def receive(self) -> bytes:
        try:
            frame = await self._connection.recv()
        except ConnectionClosed as closed:
            reason = closed.rcvd.reason if closed.rcvd is not None else ""
            known = reason if reason.isascii() and reason.replace("_", "").isalpha() else "closed"
            raise NetworkError(f"the connection to the relay is gone ({known})") from None
        except OSError:
            raise NetworkError("the connection to the relay is gone") from None
        if isinstance(frame, str):
            await self.close()
            raise NetworkError("the relay sent text where frames are binary")
        return frame

    async def close(self) -> None:
        await self._connection.close()


class Direct:
    """Straight to the host and port of a relay's address."""

    async def connect(self, relay: RelayAddress, check: KeyCheck) -> Wire:
        """Open a connection; PinMismatch or NetworkError."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        seen: list[bytes] = []

        class _Pinned(ClientConnection):
            """Compares the relay's key before its request leaves."""

            protocol: ClientProtocol

            async def handshake(self, *arguments: object, **options: object) -> None:
                secured = self.transport.get_extra_info("ssl_object")
                certificate = secured.getpeercert(binary_form=True) if secured is not None else None
                if not certificate:
                    raise NetworkError("the relay showed no certificate")
                seen.append(_key_hash(certificate))
                if check.pins is not None and seen[-1] not in check.pins:
                    expected = " or ".join(sorted(pin.hex()[:16] for pin in check.pins))
                    raise PinMismatch(expected, seen[-1].hex()[:16])
                await super().handshake(*arguments, **options)  # type: ignore[arg-type]

        host = f"[{relay.host}]" if ":" in relay.host else relay.host
        try:
            connection = await _NoRedirects(
                f"wss://{host}:{relay.port}{PATH}",
                ssl=context,
                create_connection=_Pinned,
                proxy=None,
                compression=None,
                user_agent_header=None,
                max_size=MAX_FRAME,
                max_queue=READ_FRAMES,
                open_timeout=OPEN_SECONDS,
                ping_interval=PING_SECONDS,
                ping_timeout=PING_SECONDS,
                close_timeout=CLOSE_SECONDS,
            )
        except TimeoutError:
            raise NetworkError(f"the relay did not answer within {OPEN_SECONDS} s") from None
        except ssl.SSLError as error:
            raise NetworkError(f"no TLS connection to the relay ({error.reason or 'handshake failed'})") from None
        except OSError as error:
            # asyncio puts the address into its own text, and an error shows no address
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else "host not found or no answer"
            raise NetworkError(f"the relay cannot be reached ({reason})") from None
        except (InvalidHandshake, InvalidURI, EOFError):
            raise NetworkError("what answers at the relay's address is not a troth relay") from None
        except asyncio.IncompleteReadError:
            raise NetworkError("the relay closed the connection at once") from None
        return _DirectWire(connection, seen[-1])


def _key_hash(certificate: bytes) -> bytes:
    try:
        return ownership.tls_key_hash(certificate)
    except DecodeError:
        raise NetworkError("the relay's certificate cannot be read") from None
