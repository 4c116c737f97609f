"""How this process's memory comes from the system, and goes back to it."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from typing import Final

_M_MMAP_THRESHOLD: Final = -3
"""mallopt(3)."""
_LARGE: Final = 131_072
"""glibc's own value, to begin with."""


def give_back() -> None:
    """Let what is large come from the system alone, and go back at once, for good; where the C library is glibc.

    By itself glibc moves its bound up to the largest piece that was ever freed. Then the buffer of 256 KiB that uvloop
    has for each TLS connection, of which a few pages are used, comes from the heap: 53 KiB a connection in place of 40.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE)
