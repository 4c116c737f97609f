"""Which network we are on, as a mark that says nothing to anybody without this profile's salt.

Read from the kernel's own table, which sends nothing: interface and address of the default gateway. Networks that look
alike share a mark, and where there is no such table all do; then what worked is only less well remembered.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from troth_protocol.encoding import lp, sha256

from ..route_records import MARK_SIZE

TABLE: Final = Path("/proc/net/route")
_DEFAULT: Final = "00000000"


def mark(salt: bytes, table: Path = TABLE) -> bytes:
    """8 bytes for the network we are on; zeros where that is not known."""
    try:
        rows = [line.split() for line in table.read_text("ascii").splitlines()[1:]]
    except (OSError, UnicodeDecodeError):
        return bytes(MARK_SIZE)
    gateways = sorted((words[0], words[2]) for words in rows if len(words) > 2 and words[1] == _DEFAULT)
    if not gateways:
        return bytes(MARK_SIZE)
    return sha256(lp(salt), *(lp(part.encode()) for part in gateways[0]))[:MARK_SIZE]
