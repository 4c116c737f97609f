"""Who stands between us and the relay, when what answered is not the relay. SPEC.md section 19.3.

Two questions, asked of the relay's own address only, after a failure, and never past a proxy: does plain HTTP get a
sign-in page, and is the wrong key one that this system's authorities have signed? Neither says who we are, and no third
party is asked. [R-19.3-5]
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from troth_protocol.address import RelayAddress
from troth_protocol.errors import CaptivePortal, Intercepted, NetworkError, NoTls, PinMismatch, TrothError, TrustError

from .dial import Dialer
from .direct import Direct
from .failures import SIGN_IN_STATUS, bracketed
from .route import Way

ASK_SECONDS: Final = 3
"""For each question: it only makes a failure's line better."""
ANSWER_BYTES: Final = 4_096
"""Of an HTTP answer; its status line and one field are read."""
HTTP_PORT: Final = 80


async def explain(
    error: TrothError, way: Way, relay: RelayAddress, authorities: Callable[[], ssl.SSLContext]
) -> TrothError:
    """A better name for a failure by this way, or the failure itself."""
    if isinstance(way, Direct):
        port = relay.port if isinstance(error, NoTls) else HTTP_PORT
        if await _portal(way.dialer, relay.host, port, any_answer=isinstance(error, NoTls)):
            return CaptivePortal("this network sends you to a sign-in page: open a browser, sign in, and it will go on")
    if isinstance(error, PinMismatch) and await _signed(way, relay, authorities):
        return Intercepted.of(error)
    return error


async def _portal(dialer: Dialer, host: str, port: int, *, any_answer: bool) -> bool:
    """Whether plain HTTP to this port gets a page of somebody else's."""
    request = f"GET / HTTP/1.1\r\nHost: {bracketed(host)}\r\nConnection: close\r\n\r\n".encode("ascii")
    loop, answer = asyncio.get_running_loop(), b""
    with contextlib.suppress(OSError, TimeoutError, TrothError):
        async with asyncio.timeout(ASK_SECONDS):
            stream = await dialer.open(host, port)
            try:
                await loop.sock_sendall(stream, request)
                while len(answer) < ANSWER_BYTES and b"\r\n\r\n" not in answer:
                    piece = await loop.sock_recv(stream, ANSWER_BYTES - len(answer))
                    if not piece:
                        break
                    answer += piece
            finally:
                stream.close()
    return _is_portal(answer, host, any_answer=any_answer)


def _is_portal(answer: bytes, host: str, *, any_answer: bool) -> bool:
    """Read an HTTP answer: 511, a redirection to another host, or (where TLS belongs) any page at all."""
    head = answer.decode("latin-1").split("\r\n\r\n")[0].split("\r\n")
    words = head[0].split(" ")
    if not words[0].startswith("HTTP/1.") or len(words) < 2 or not words[1].isdecimal():
        return False
    status = int(words[1][:3])
    if status == SIGN_IN_STATUS or (any_answer and status < 400):
        return True
    places = [line.partition(":")[2].strip() for line in head[1:] if line.lower().startswith("location:")]
    try:
        elsewhere = [urlsplit(place).hostname for place in places]
    except ValueError:
        return True
    return 300 <= status < 400 and any(other not in (None, host) for other in elsewhere)


async def _signed(way: Way, relay: RelayAddress, authorities: Callable[[], ssl.SSLContext]) -> bool:
    """Whether the certificate shown is good in this system's eyes; not one byte of HTTP is sent."""
    stream: socket.socket | None = None
    try:
        async with asyncio.timeout(ASK_SECONDS):
            stream = await way.open(relay)
            _, writer = await asyncio.open_connection(
                sock=stream, ssl=authorities(), server_hostname=relay.host, ssl_shutdown_timeout=1
            )
            writer.transport.abort()
    except (OSError, TimeoutError, NetworkError, TrustError):  # ssl.SSLError is an OSError
        return False
    return True
