"""What an HTTP request gets: a WebSocket at one path, and a refusal with its reason for everything else.

The library has parsed it, and has answered for itself what is malformed or too large (``guard``), or a WebSocket with a
bad key or version (400). The relay's path without an upgrade is a path like any other. Nothing here is logged.
[R-11.1-2] [R-11.6-1]
"""

from __future__ import annotations

import http
from typing import Final

from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from troth_protocol.wire import PATH

from . import pages
from .metrics import Count, Metrics
from .pages import Site
from .peer import Peer

_BUSY: Final = {429: "Too many connections.\n", 503: "Busy.\n"}


def answer(peer: Peer, request: Request, metrics: Metrics, site: Site, *, healthy: bool) -> Response | None:
    """Refuse who comes too often, what is no proper request and browsers (they send Origin); show pages."""
    refusal = peer.visit.refusal
    if refusal is not None:
        metrics.add(Count.TURNED_AWAY_RATE if refusal.status == 429 else Count.TURNED_AWAY_FULL)
        response = peer.respond(refusal.status, _BUSY[refusal.status])
        response.headers["Retry-After"] = str(refusal.retry_after)
        return response
    if peer.protocol.early or len(request.headers.get_all("Host")) != 1 or not request.path.startswith("/"):
        page = pages.BAD_REQUEST
    elif request.path != PATH or request.method != "GET" or not request.headers.get_all("Upgrade"):
        page = site.answer(request.method, request.path, healthy=healthy)
    elif "Origin" in request.headers:
        page = pages.FORBIDDEN
    else:
        return None
    metrics.add(Count.PAGES if page.status == 200 else Count.TURNED_AWAY_HTTP)
    return Response(page.status, http.HTTPStatus(page.status).phrase, Headers(page.headers), page.body)
