"""What a pluggable transport's program says on its standard output, read line by line (pt-spec.txt, section 3.3).

Pure: lines in, a port out. Whatever is not the protocol is a TransportFailed that quotes nothing of it.
"""

from __future__ import annotations

import re
from typing import Final

from troth_protocol.errors import TransportFailed

MAX_LINE: Final = 1_024
"""Bytes of one line; the longest of the protocol is far below."""
MAX_LINES: Final = 64
"""Before it is ready; a program that says more is not speaking to us."""
_METHOD: Final = re.compile(r"socks5 127\.0\.0\.1:([1-9][0-9]{0,4})(?: .*)?")


class Greeting:
    """A client transport's way from VERSION to CMETHODS DONE."""

    def __init__(self, transport: str) -> None:
        self._transport = transport
        self._versioned = False
        self._port: int | None = None
        self._lines = 0
        self.port: int | None = None
        """Of the SOCKS5 proxy on 127.0.0.1, once the program is ready."""

    def feed(self, line: bytes) -> None:
        """One line, its end included; TransportFailed."""
        self._lines += 1
        if not line.endswith(b"\n"):
            raise TransportFailed("the transport's program ended before it was ready")
        if self._lines > MAX_LINES or len(line) > MAX_LINE:
            raise TransportFailed("the transport's program says too much")
        word, _, rest = line.decode("ascii", "replace").rstrip("\r\n").partition(" ")
        match word:
            case "VERSION" if rest == "1" and not self._versioned:
                self._versioned = True
            case "VERSION-ERROR" | "ENV-ERROR" | "PROXY-ERROR":
                raise TransportFailed(f"the transport's program refused ({word})")
            case "CMETHOD-ERROR":
                raise TransportFailed("the transport's program does not offer this transport (CMETHOD-ERROR)")
            case "CMETHOD" if self._versioned:
                self._method(rest)
            case "CMETHODS" if self._versioned and rest == "DONE":
                if self._port is None:
                    raise TransportFailed("the transport's program does not offer this transport")
                self.port = self._port
            case "LOG" | "STATUS":
                pass
            case _:
                raise TransportFailed("the transport's program does not speak the managed-proxy protocol")

    def _method(self, rest: str) -> None:
        name, _, where = rest.partition(" ")
        if name != self._transport:
            return
        found = _METHOD.fullmatch(where)
        if found is None or int(found[1]) > 0xFFFF:
            raise TransportFailed("the transport's program offers something that is not a SOCKS5 proxy on this machine")
        self._port = int(found[1])
