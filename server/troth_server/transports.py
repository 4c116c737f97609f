"""What asyncio knows no class for: the transport of nobody, and what a TLS transport can do besides."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol


class Gone(asyncio.Transport):
    """The transport of a connection that is gone: nothing waits, and nothing happens."""

    def abort(self) -> None:
        """Gone already."""

    def close(self) -> None:
        """Gone already."""

    def is_closing(self) -> bool:
        """Yes."""
        return True

    def write(self, data: object) -> None:
        """To nobody."""

    def can_write_eof(self) -> bool:
        """No."""
        return False

    def get_write_buffer_size(self) -> int:
        """Nothing."""
        return 0

    def pause_reading(self) -> None:
        """There is nothing to read."""

    def resume_reading(self) -> None:
        """There is nothing to read."""


GONE: Final = Gone()


class TlsTransport(Protocol):
    """What the TLS transports of asyncio and of uvloop have, and typeshed does not know."""

    def set_read_buffer_limits(self, high: int, low: int) -> None:
        """Undecrypted bytes to stop and to go on at."""
