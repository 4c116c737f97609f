"""How a relay looks from outside, for ``status`` and ``doctor``: short questions over a socket, nothing kept."""

from __future__ import annotations

import re
import socket
import ssl
from dataclasses import dataclass, field
from typing import Final

from troth_protocol import ownership
from troth_protocol.wire import PATH

from .config import Config, TlsMode

SECONDS: Final = 5
"""For each question; longer is an answer too."""
_MOST: Final = 65_536


@dataclass(frozen=True, slots=True)
class Answered:
    """An HTTP status and body, and the hash of the TLS key that was shown."""

    status: int
    body: str = field(repr=False)
    key_hash: bytes | None = field(repr=False)


def here(config: Config, path: str) -> Answered | None:
    """GET from the relay itself, where its configuration says it listens; None if nothing answers."""
    try:
        if config.socket:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
                sock.settimeout(SECONDS)
                sock.connect(str(config.socket_path))
                return _ask(sock, path, None)
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(config.bind, config.bind)  # noqa: S104
        with socket.create_connection((host, config.port), SECONDS) as sock:
            if config.tls.mode is TlsMode.PROXY:
                return _ask(sock, path, None)
            with any_key().wrap_socket(sock) as secured:
                return _ask(secured, path, secured)
    except (OSError, ValueError):
        return None


def metrics(config: Config) -> dict[str, int]:
    """What the metrics port shows; empty if it is off or nothing answers."""
    if not config.metrics_port:
        return {}
    try:
        with socket.create_connection(("127.0.0.1", config.metrics_port), SECONDS) as sock:
            text = _ask(sock, "/metrics", None, f"127.0.0.1:{config.metrics_port}").body
    except (OSError, ValueError):
        return {}
    return {name: int(value) for name, value in re.findall(r"^troth_(\w+) (\d+)$", text, re.MULTILINE)}


def outside(host: str, port: int, *, web: bool) -> Answered:
    """A WebSocket's opening as a client would send it, at a host of the descriptor; 101 is right. OSError, ValueError.

    With ``web`` the certificate is verified as of a web site: ssl.SSLCertVerificationError.
    """
    context = ssl.create_default_context() if web else any_key()
    with (
        socket.create_connection((host, port), SECONDS) as sock,
        context.wrap_socket(sock, server_hostname=host) as secured,
    ):
        upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        return _ask(secured, PATH, secured, host, upgrade + "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n")


def any_key() -> ssl.SSLContext:
    """A client's context that shows the key and judges nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _ask(
    sock: socket.socket, path: str, secured: ssl.SSLSocket | None, host: str = "localhost", more: str = ""
) -> Answered:
    sock.settimeout(SECONDS)
    der = secured.getpeercert(binary_form=True) if secured is not None else None
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n".encode())
    got = b""
    while len(got) < _MOST and not (more and b"\r\n\r\n" in got):
        piece = sock.recv(8_192)
        if not piece:
            break
        got += piece
    head, _, body = got.partition(b"\r\n\r\n")
    found = re.match(rb"HTTP/1\.[01] (\d{3})", head)
    if found is None:
        raise ValueError("not HTTP")
    return Answered(int(found[1]), body.decode("utf-8", "replace"), ownership.tls_key_hash(der) if der else None)
