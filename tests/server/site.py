"""A real web site for the forwarder to stand beside: nginx with TLS on one port and without on another."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import struct
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from troth_protocol import primitives

_CONF = """\
daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log crit;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_header_timeout {patience}s; keepalive_timeout {patience}s;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{tls} ssl; listen 127.0.0.1:{plain};
    ssl_protocols {protocols}; ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
    root {folder}/www;
  }}
}}
"""
NAMES = ("www.example.org", *(f"garden{n}.example.org" for n in range(9)))
PAGE = b"<h1>A site about gardens</h1>\n" * 40


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@dataclass(frozen=True)
class WebSite:
    """Where it listens."""

    tls: int
    plain: int


def key_pair(folder: Path, names: tuple[str, ...], days: int) -> tuple[Path, Path]:
    """A certificate for these names and its key, in files."""
    certificate, private = primitives.self_signed_certificate(names, int(time.time()), days, "example")
    (folder / "cert.pem").write_bytes(certificate)
    (folder / "key.pem").write_bytes(private)
    return folder / "cert.pem", folder / "key.pem"


@contextlib.contextmanager
def web_site(folder: Path, patience: int = 60, protocols: str = "TLSv1.2 TLSv1.3") -> Iterator[WebSite]:
    """nginx at work; skips where there is none."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        pytest.skip("nginx is not installed")
    (folder / "www").mkdir(parents=True)
    (folder / "www" / "index.html").write_bytes(PAGE)
    key_pair(folder, NAMES, days=30)
    site = WebSite(free_port(), free_port())
    conf = _CONF.format(folder=folder, tls=site.tls, plain=site.plain, patience=patience, protocols=protocols)
    (folder / "nginx.conf").write_text(conf)
    process = subprocess.Popen(
        [nginx, "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf"), "-p", str(folder)]
    )
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", site.tls), 1):
                break
            time.sleep(0.05)
        yield site
    finally:
        process.terminate()
        process.wait(10)


def connect(port: int, *, tls: bool, name: str | None = "www.example.org", alpn: tuple[str, ...] = ()) -> socket.socket:
    """A connection, with TLS that trusts anybody if asked for."""
    raw = socket.create_connection(("127.0.0.1", port), 10)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if not tls:
        return raw
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    try:
        return context.wrap_socket(raw, server_hostname=name)
    except BaseException:
        raw.close()
        raise


def hear(sock: socket.socket, seconds: float) -> tuple[bytes, str]:
    """All that comes until the other side ends or ``seconds`` of silence, and how it ended."""
    sock.settimeout(seconds)
    heard = b""
    try:
        while piece := sock.recv(65_536):
            heard += piece
    except TimeoutError:
        return heard, "silence"
    except OSError as error:
        return heard, type(error).__name__
    return heard, "end"


def reset(sock: socket.socket) -> None:
    """Close with a TCP reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
