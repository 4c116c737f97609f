"""The built-in site: one page, served as a plain small web server would. Pure; the clock is an argument.

For a forwarder that has no site to stand beside. Every forwarder with this site answers alike, so that whoever looks
for them can know it; a site of one's own is better, and the volunteer's own page (``index.html``) is a beginning.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

HEAD_BYTES: Final = 8_192
"""Of a request's line and headers, as with Apache and nginx."""
BODY_BYTES: Final = 1_048_576
"""Of a body, which is read past and not kept."""
REQUESTS: Final = 100
"""On one connection, as with Apache."""

PAGE: Final = b"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Welcome</title></head>
<body><h1>Welcome</h1><p>There is nothing here yet. Please come back later.</p></body></html>
"""
_LINE: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) (/[\x21-\x7e]*|\*|https?://[\x21-\x7e]*) HTTP/1\.([01])")
_FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(|[^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*")
_METHODS: Final = (b"GET", b"HEAD")
_SERVER: Final = "httpd"


@dataclass(frozen=True, slots=True)
class _Request:
    """A request whose head has come."""

    method: bytes
    path: bytes
    keep: bool
    """Whether the connection goes on after it."""
    body: int


class Decoy:
    """One connection to the built-in site, after TLS."""

    __slots__ = ("_heard", "_page", "_requests", "_skip", "ended")

    def __init__(self, page: bytes) -> None:
        self._page = page
        self._heard = b""
        self._skip = 0
        self._requests = 0
        self.ended = False
        """Whether the site ends the connection once its answers are sent."""

    def receive(self, data: bytes, now: int) -> bytes:
        """The answers to what has come so far."""
        answers: list[bytes] = []
        if not self.ended:
            self._heard += data
        while not self.ended:
            skipped = min(self._skip, len(self._heard))
            self._skip -= skipped
            self._heard = self._heard[skipped:].lstrip(b"\r\n") if not self._skip else b""
            end = re.search(rb"\r?\n\r?\n", self._heard[:HEAD_BYTES])
            if end is None:
                if len(self._heard) >= HEAD_BYTES:
                    answers.append(self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, now))
                break
            head, self._heard = self._heard[: end.start()], self._heard[end.end() :]
            answers.append(self._answer(head, now))
        return b"".join(answers)

    def _answer(self, head: bytes, now: int) -> bytes:
        request = _parse(head)
        if request is None:
            return self._refuse(HTTPStatus.BAD_REQUEST, now)
        if request.body > BODY_BYTES:
            return self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, now)
        self._skip = request.body
        self._requests += 1
        keep = request.keep and self._requests < REQUESTS
        self.ended = not keep
        if request.method not in _METHODS:
            return _reply(HTTPStatus.METHOD_NOT_ALLOWED, _page_of(HTTPStatus.METHOD_NOT_ALLOWED), keep, now)
        found = request.path.partition(b"?")[0] in (b"/", b"/index.html")
        status = HTTPStatus.OK if found else HTTPStatus.NOT_FOUND
        body = self._page if found else _page_of(status)
        return _reply(status, body, keep, now, with_body=request.method == b"GET")

    def _refuse(self, status: HTTPStatus, now: int) -> bytes:
        self.ended = True
        return _reply(status, _page_of(status), keep=False, now=now)


def _parse(head: bytes) -> _Request | None:
    """A request's head, or None if it is none."""
    first, *lines = head.replace(b"\r\n", b"\n").split(b"\n")
    line = _LINE.fullmatch(first)
    fields: dict[bytes, list[bytes]] = {}
    for each in lines:
        parsed = _FIELD.fullmatch(each)
        if parsed is None:
            return None
        fields.setdefault(parsed[1].lower(), []).append(parsed[2])
    newer = line is not None and line[3] == b"1"
    lengths = fields.get(b"content-length", [b"0"])
    if line is None or (newer and len(fields.get(b"host", [])) != 1) or b"transfer-encoding" in fields:
        return None
    if len(lengths) != 1 or not re.fullmatch(rb"[0-9]{1,12}", lengths[0]):
        return None
    wishes = b",".join(fields.get(b"connection", [])).lower()
    keep = b"close" not in wishes if newer else b"keep-alive" in wishes
    return _Request(line[1], line[2], keep, int(lengths[0]))


def _page_of(status: HTTPStatus) -> bytes:
    return f"<!DOCTYPE html>\n<title>{status} {status.phrase}</title>\n<h1>{status.phrase}</h1>\n".encode()


def _reply(status: HTTPStatus, body: bytes, keep: bool, now: int, *, with_body: bool = True) -> bytes:
    allow = "Allow: GET, HEAD\r\n" if status == HTTPStatus.METHOD_NOT_ALLOWED else ""
    head = (
        f"HTTP/1.1 {status} {status.phrase}\r\nDate: {formatdate(now, usegmt=True)}\r\nServer: {_SERVER}\r\n{allow}"
        f"Content-Type: text/html; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
        f"Connection: {'keep-alive' if keep else 'close'}\r\n\r\n"
    )
    return head.encode("ascii") + (body if with_body else b"")
