"""What the relay's port shows to a browser: one page, a sign of health, and for everything else one answer.

Rendered once for each configuration, never for a request. GET only; no script, no cookie, nothing from elsewhere. The
answer for an unknown path, another method, or the relay's own path without a WebSocket is the same, byte for byte, so
that nobody learns by asking what else might be here. ``page_text`` has the words.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Final

from . import page_text
from .config import Config
from .ledger_file import LedgerFile

_COMMON: Final = (
    ("Connection", "close"),
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
)


@dataclass(frozen=True, slots=True)
class Page:
    """An HTTP answer: status, headers in order, body."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def _page(status: int, kind: str, body: bytes, *more: tuple[str, str]) -> Page:
    return Page(status, (("Content-Type", kind), ("Content-Length", str(len(body))), *_COMMON, *more), body)


def _plain(status: int, text: str) -> Page:
    return _page(status, "text/plain; charset=utf-8", text.encode())


NOT_FOUND: Final = _plain(404, "Not found.\n")
HEALTHY: Final = _plain(200, "ok\n")
UNWELL: Final = _plain(503, "not well\n")
BAD_REQUEST: Final = _plain(400, "Bad request.\n")
FORBIDDEN: Final = _plain(403, "Browser clients are not supported.\n")
POLICY: Final = (
    "default-src 'none'; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(page_text.STYLE.encode()).digest()).decode()
    + "'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page's Content-Security-Policy: the one style, by its hash, and nothing else."""


@dataclass(frozen=True, slots=True)
class Site:
    """The pages of one configuration."""

    home: Page

    def answer(self, method: str, path: str, *, healthy: bool) -> Page:
        """The answer to a request that is not a client's."""
        if method != "GET":
            return NOT_FOUND
        if path == "/":
            return self.home
        if path == "/healthz":
            return HEALTHY if healthy else UNWELL
        return NOT_FOUND


def site(config: Config, ledger: LedgerFile) -> Site:
    """Render the pages; DecodeError if the ledger cannot be read."""
    if not config.page.show:
        return Site(NOT_FOUND)
    text = page_text.home(config, ledger).encode()
    return Site(_page(200, "text/html; charset=utf-8", text, ("Content-Security-Policy", POLICY)))
