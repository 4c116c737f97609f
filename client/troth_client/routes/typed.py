"""Routes as people type them: ``socks5h://``, ``http://``, ``tunnel://``, ``pt+obfs4://``, or a ``troth-route:`` link.

Strict: what is not understood is refused, never left out, since half a route may be a way round the other half.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from troth_protocol import route_link
from troth_protocol.errors import BadLink, DecodeError
from troth_protocol.route_link import PIN_SIZE, SECRET_SIZE, Connect, Obfs4, RouteSpec, Socks, Tunnel

FORMS: Final = "socks5h://HOST:PORT, http://HOST:PORT, tunnel://, pt+obfs4:// or a troth-route: link"


def parse(text: str) -> RouteSpec:
    """The route that was typed; BadLink. [R-19.2-3]"""
    text = text.strip()
    if text.startswith(route_link.SCHEME):
        return route_link.decode(text)
    if len(text) > route_link.MAX_LINK or not text.isprintable():
        raise BadLink("the route is too long, or has characters that do not belong in it")
    try:
        return _parse(urlsplit(text))
    except DecodeError as error:
        raise BadLink(f"the route is malformed: {error.reason}") from None
    except ValueError:  # a port that is no number, a bracket that is not closed
        raise BadLink(f"the route is malformed: use {FORMS}") from None


def _parse(url: SplitResult) -> RouteSpec:
    if url.scheme == "socks5":
        raise BadLink("socks5:// asks this machine's name server for the relay's name: use socks5h://")
    if url.scheme == "https":
        raise BadLink("an HTTP proxy is reached without TLS of its own here: use http://")
    if url.scheme not in ("socks5h", "http", "tunnel", "pt+obfs4"):
        raise BadLink(f"no route is called {url.scheme!r}: use {FORMS}" if url.scheme else f"use {FORMS}")
    host, port = url.hostname or "", url.port
    if not host or port is None:
        raise BadLink("the route needs a host and a port")
    if url.path not in ("", "/"):
        raise BadLink("the route has a path where none belongs")
    if url.scheme in ("socks5h", "http"):
        _nothing(url.query, url.fragment)
        credentials = unquote(url.username or "", errors="strict"), unquote(url.password or "", errors="strict")
        return Socks(host, port, *credentials) if url.scheme == "socks5h" else Connect(host, port, *credentials)
    _nothing(url.username or "", url.password or "")
    if url.scheme == "tunnel":
        named = _query(url.query, "name")
        return Tunnel(host, port, named.get("name", ""), *_secret_and_pin(url.fragment))
    _nothing(url.fragment)
    given = _query(url.query, "cert", "iat-mode")
    mode = given.get("iat-mode", "0")
    if len(mode) != 1 or not mode.isdecimal() or not mode.isascii():
        raise BadLink("iat-mode is 0, 1 or 2")
    return Obfs4(host, port, given.get("cert", ""), int(mode))


def _nothing(*parts: str) -> None:
    if any(parts):
        raise BadLink("the route has more parts than this kind of route has")


def _query(query: str, *known: str) -> dict[str, str]:
    # A cert has plus signs, which parse_qsl would take for spaces.
    pairs = parse_qsl(query.replace("+", "%2B"), keep_blank_values=True, strict_parsing=True) if query else []
    names = [name for name, _ in pairs]
    if not set(names) <= set(known) or len(set(names)) != len(names):
        raise BadLink("the route has an option twice, or one that this kind of route does not have")
    return dict(pairs)


def _secret_and_pin(fragment: str) -> tuple[bytes, bytes]:
    try:
        raw = base64.b64decode(fragment + "=" * (-len(fragment) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != SECRET_SIZE + PIN_SIZE:
        raise BadLink("what follows the # is not a forwarder's secret and pin")
    return raw[:SECRET_SIZE], raw[SECRET_SIZE:]
