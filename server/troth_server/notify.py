"""What a service manager gives and wants to hear: sockets it opened for us, and a line when the relay is ready.

The two protocols of systemd (sd_listen_fds(3), sd_notify(3)), which need no library: environment variables, inherited
descriptors, and datagrams to a UNIX socket. Where the variables are not set, nothing happens.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping, MutableMapping
from typing import Final

from troth_protocol.errors import UserError

FIRST_DESCRIPTOR: Final = 3
"""SD_LISTEN_FDS_START."""


def inherited(environment: MutableMapping[str, str]) -> socket.socket | None:
    """The one listening socket that was opened for this process, or None; UserError if there are several.

    The variables are taken away, so that no child believes them.
    """
    pid, count = environment.pop("LISTEN_PID", ""), environment.pop("LISTEN_FDS", "")
    environment.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdecimal() or count == "0":
        return None
    if count != "1":
        raise UserError(f"the service manager passed {count} sockets; the relay listens on one")
    sock = socket.socket(fileno=FIRST_DESCRIPTOR)
    sock.set_inheritable(False)
    if sock.type != socket.SOCK_STREAM or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise UserError("the socket that the service manager passed is not a listening stream socket")
    return sock


class Notifier:
    """Tells the service manager how we are; ``watchdog`` is how many seconds may pass between two signs of life."""

    __slots__ = ("_address", "watchdog")

    def __init__(self, environment: Mapping[str, str]) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        wanted = environment.get("WATCHDOG_USEC", "")
        ours = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.watchdog = int(wanted) / 1e6 if self._address and ours and wanted.isdecimal() and int(wanted) else None

    def ready(self) -> None:
        """Clients can connect now, or: reloading is over."""
        self._tell("READY=1")

    def reloading(self) -> None:
        """The configuration is being read again."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000}")

    def stopping(self) -> None:
        """No more connections are accepted."""
        self._tell("STOPPING=1")

    def alive(self) -> None:
        """A sign of life."""
        self._tell("WATCHDOG=1")

    def _tell(self, line: str) -> None:
        if self._address:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.settimeout(1)
                sock.sendto(line.encode(), self._address)
