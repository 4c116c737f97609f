"""When may something be dropped for its age? A clock that jumps must not empty the relay. Pure. [R-11.7-8]

``acted`` is the latest time at which the relay has dropped anything. While it runs, ``acted`` follows the clock at no
more than FAST times real time, forward and back: what a wrong clock can do in an hour is bounded, and a right one is
caught up with. A restart takes the clock at its word, as an operator's. A mailbox expires for idleness only after a
whole period without such a jump and without a week's standstill, in which no owner could have come.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from troth_server.limits import DAY, HOUR

FAST: Final = 24
"""A day of expiry in an hour: a relay that stood still for 2 weeks has caught up in 14 hours, and an operator whose
clock jumped by a year has time to notice."""
STANDSTILL: Final = 7 * DAY
"""A jump beyond this begins the idle time of every mailbox anew."""
UNKNOWN: Final = 2**62
"""No limit on the time, before the first sweep."""


@dataclass(frozen=True, slots=True)
class Reckoning:
    """The latest time acted on, and since when no owner was kept from coming; 0: never, and always."""

    acted: int
    awake: int

    def follow(self, now: int, elapsed: float | None) -> Reckoning:
        """After ``elapsed`` seconds of running; None: the first look since the start."""
        step = int(FAST * (elapsed or 0))
        acted = now if elapsed is None or not self.acted else min(now, self.acted + step)
        if now < self.acted:
            acted = max(now, self.acted - step, 1)
        jumped = not self.acted or now - self.acted > STANDSTILL
        return Reckoning(acted, acted if jumped else min(self.awake, acted))

    def due(self, now: int) -> int:
        """What expired by this time may be dropped."""
        return min(now, self.acted)

    def latest(self, now: int) -> int:
        """The later of two clocks that may both be wrong: nothing may be kept for longer than its time from here."""
        return max(now, self.acted)

    @property
    def ceiling(self) -> int:
        """A clock beyond this is not believed about a right: the tokens of a whole relay would seem to have expired."""
        return self.acted + HOUR if self.acted else UNKNOWN
