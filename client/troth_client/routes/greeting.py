"""What is said to a proxy before the stream is ours, read byte by byte as it comes. SPEC.md section 19.1.

Each reader takes exactly what belongs to the proxy and leaves everything after it, is bounded in bytes, and turns every
answer that is not a yes into a ProxyError. Time is bounded by the caller.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ipaddress
import socket
from typing import Final

from troth_protocol.errors import ProxyError

from .dial import is_address
from .failures import bracketed

MAX_HEAD: Final = 8_192
"""Bytes of a CONNECT answer's head; what is longer is no answer to us."""
_SOCKS: Final = 5
_NO_LOGIN, _LOGIN, _NONE_WILL_DO = 0x00, 0x02, 0xFF
_NAME: Final = 3
_WANTS_LOGIN: Final = (407, 401)
"""RFC 9110 has 407; tinyproxy says 401 when a password is wrong."""
_REPLIES: Final = {
    1: "it failed", 2: "its rules forbid it", 3: "the network cannot be reached", 4: "the host cannot be reached",
    5: "the connection was refused", 6: "the time to live ran out", 7: "it does not know CONNECT",
    8: "it does not know this kind of address",
}  # fmt: skip
"""RFC 1928 section 6."""


async def _read(stream: socket.socket, count: int) -> bytes:
    read = b""
    while len(read) < count:
        piece = await asyncio.get_running_loop().sock_recv(stream, count - len(read))
        if not piece:
            raise ProxyError("the proxy closed the connection in the middle of its answer")
        read += piece
    return read


async def socks5(stream: socket.socket, host: str, port: int, user: bytes, password: bytes) -> None:
    """Ask a SOCKS5 proxy for a connection, names unresolved (RFC 1928, RFC 1929); ProxyError. [R-19.1-3]"""
    loop = asyncio.get_running_loop()
    method = _LOGIN if user else _NO_LOGIN
    await loop.sock_sendall(stream, bytes((_SOCKS, 1, method)))
    version, chosen = await _read(stream, 2)
    if version != _SOCKS:
        raise ProxyError(f"what answers there is not a SOCKS5 proxy (first byte {version})")
    if chosen == _NONE_WILL_DO:
        raise ProxyError("the proxy wants a user name and password" if not user else "the proxy takes no password")
    if chosen != method:
        raise ProxyError(f"the proxy chose a way to log in that was not offered ({chosen})")
    if user:
        await loop.sock_sendall(stream, bytes((1, len(user))) + user + bytes((len(password),)) + password)
        _, refused = await _read(stream, 2)
        if refused:
            raise ProxyError("the proxy refused the user name and password")
    await loop.sock_sendall(stream, bytes((_SOCKS, 1, 0)) + _address(host) + port.to_bytes(2, "big"))
    version, reply, _, kind = await _read(stream, 4)
    if version != _SOCKS:
        raise ProxyError(f"the proxy answered something that is not SOCKS5 (byte {version})")
    if reply:
        raise ProxyError(f"the proxy could not connect: {_REPLIES.get(reply, 'a reason it does not give')} ({reply})")
    length = {1: 4, 4: 16}.get(kind)
    if length is None:
        if kind != _NAME:
            raise ProxyError(f"the proxy answered with an address of unknown kind ({kind})")
        length = (await _read(stream, 1))[0]
    await _read(stream, length + 2)


def _address(host: str) -> bytes:
    if is_address(host):
        packed = ipaddress.ip_address(host).packed
        return bytes((1 if len(packed) == 4 else 4,)) + packed
    name = host.encode("ascii")
    return bytes((_NAME, len(name))) + name


async def http_connect(stream: socket.socket, host: str, port: int, user: str, password: str) -> None:
    """Ask an HTTP proxy for a tunnel (RFC 9110 section 9.3.6), with Basic credentials if given; ProxyError."""
    loop = asyncio.get_running_loop()
    target = f"{bracketed(host)}:{port}"
    request = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n"
    if user:
        credentials = base64.b64encode(f"{user}:{password}".encode()).decode("ascii")
        request += f"Proxy-Authorization: Basic {credentials}\r\n"
    await loop.sock_sendall(stream, f"{request}\r\n".encode("ascii"))
    status = _status(await _head(stream))
    if status in _WANTS_LOGIN:
        raise ProxyError(f"the proxy {'refused the' if user else 'wants a'} user name and password ({status})")
    if not 200 <= status < 300:
        raise ProxyError(f"the proxy could not connect (HTTP {status})")


async def _head(stream: socket.socket) -> bytes:
    """The head of an answer and not one byte more: what follows is the relay's."""
    loop, head = asyncio.get_running_loop(), b""
    while not head.endswith(b"\r\n\r\n"):
        if len(head) >= MAX_HEAD:
            raise ProxyError(f"the proxy's answer is longer than {MAX_HEAD} bytes")
        if len(head) >= 5 and not head.startswith(b"HTTP/"):
            raise ProxyError("what answers there is not an HTTP proxy")
        piece = await loop.sock_recv(stream, _wanted(head))
        if not piece:
            raise ProxyError("the proxy closed the connection in the middle of its answer")
        head += piece
    return head


def _wanted(head: bytes) -> int:
    """How many bytes can be read without reading past the empty line: as many as its unfinished rest has."""
    for done in (3, 2, 1):
        if head.endswith(b"\r\n\r\n"[:done]):
            return 4 - done
    return 4


def _status(head: bytes) -> int:
    words = head.split(b"\r\n", 1)[0].split(b" ")
    with contextlib.suppress(ValueError, IndexError):
        if words[0] in (b"HTTP/1.0", b"HTTP/1.1") and len(words[1]) == 3:
            return int(words[1])
    raise ProxyError("what answers there is not an HTTP proxy")
