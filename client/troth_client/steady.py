"""When may something be erased for its age? A clock that jumps must not empty a vault while it is open. [R-13.4-2]

The time acted on follows the clock at no more than FAST times the time that really passes, so that a wrong clock is
noticed before it has done much and a right one is caught up with. A start takes the clock at its word: who has been
away for months finds what disappears gone. Time in which the machine sleeps is real time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

FAST: Final = 24
"""A day of expiry in an hour, as a relay does it (R-11.7-8)."""


def elapsed() -> float:
    """Seconds since the machine started, asleep or awake, whatever its clock is set to."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Steady:
    """Follows a clock."""

    def __init__(self, clock: Callable[[], float], passed: Callable[[], float] = elapsed) -> None:
        self._clock = clock
        self._passed = passed
        self._acted, self._at = clock(), passed()

    def due(self) -> int:
        """What has expired by this second may be erased."""
        at = self._passed()
        self._acted = min(self._clock(), self._acted + FAST * (at - self._at))
        self._at = at
        return int(self._acted)
