"""The line mode's commands that are one wish about the open conversation and nothing more, by their names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..events import AcknowledgeChange, Block, Decline, Event, SetMuted, SetReceipts, SetVerified, Unblock

SIMPLE: Final[dict[str, Callable[[bytes], Event]]] = {
    "decline": Decline,
    "block": Block,
    "unblock": Unblock,
    "read": AcknowledgeChange,
    "verified": SetVerified,
    "unverified": lambda who: SetVerified(who, verified=False),
    "mute": lambda who: SetMuted(who, on=True),
    "unmute": lambda who: SetMuted(who, on=False),
    "receipts": lambda who: SetReceipts(who, on=True),
    "noreceipts": lambda who: SetReceipts(who, on=False),
}
