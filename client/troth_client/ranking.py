"""Which route is tried when: a core of numbers and times, without a socket or a clock. SPEC.md section 19.3.

::

    untried ──opened──> open ──lived a minute, or closed in order──> held     (streak 0; remembered for this network)
       │                  │
       └──failed──> resting <──lost before that──┘                            (streak + 1; rests longer each time)

A mere connection proves nothing: a censor may let it begin and freeze it. So only a connection that has lived takes
failures back, and a route that fails rests behind the others: 30 s, then longer up to half an hour, with jitter.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from .route_records import KEY_SIZE, Rest

STAGGER_SECONDS: Final = 0.25
"""Between two starts of a race."""
LAST_RESORT_SECONDS: Final = 4.0
"""Before a resting route is tried beside others that have not failed yet."""
TRIAL_SECONDS: Final = 2.0
"""Head start of a better route that has just been seen to work again."""
REST: Final = (30, 60, 120, 300, 900, 1_800)
"""Seconds a route rests after so many failures in a row, each with up to half of it in jitter."""
HELD_SECONDS: Final = 60
"""A connection that has lived so long was none of a censor's that freezes or resets."""
MEMORY_SECONDS: Final = 30 * 86_400
"""What worked longer ago says nothing."""
NOTE_SECONDS: Final = 86_400
"""Between two notes of the same success on disk."""


@dataclass(frozen=True, slots=True)
class Result:
    """What last came of a route; ``code`` is empty while nothing has, ``OK`` when it worked, or an error's code."""

    code: str = ""
    line: str = field(default="", repr=False)
    at: int = 0
    streak: int = 0
    retry: float = 0.0


@dataclass(frozen=True, slots=True)
class Start:
    """A place in a race: the route, and the seconds after the start before it."""

    key: bytes = field(repr=False)
    pause: float


_UNTRIED: Final = Result()


class Ranking:
    """What is known of each route on the network we are on."""

    def __init__(self) -> None:
        self._results: dict[bytes, Result] = {}
        self._network: bytes | None = None
        self._trial = b""

    def result(self, key: bytes) -> Result:
        """What last came of a route."""
        return self._results.get(key, _UNTRIED)

    def on_network(self, network: bytes, rests: Mapping[bytes, Rest]) -> None:
        """We are on this network now; where it is another, only what is remembered of it rests."""
        if network == self._network:
            return
        self._network, self._trial = network, b""
        self._results = {key: replace(old, streak=0, retry=0.0) for key, old in self._results.items()}
        for name, rest in rests.items():
            if name[KEY_SIZE:] == network:
                key = name[:KEY_SIZE]
                self._results[key] = replace(self.result(key), streak=rest.streak, retry=float(rest.retry))

    def starts(
        self, keys: Sequence[bytes], held: Mapping[bytes, int], now: float, late: Collection[bytes] = ()
    ) -> tuple[Start, ...]:
        """The race: a route on trial, then those that are ready, what worked here first, then those that rest.

        ``keys`` stand in the person's order, which decides between equals; ``late`` go with those that rest. [R-19.3-1]
        """

        def rank(key: bytes) -> tuple[int, bool, int]:
            worked = held.get(key + (self._network or b""), 0) > now - MEMORY_SECONDS
            return self.result(key).streak, not worked, keys.index(key)

        trial, self._trial = self._trial, b""
        first = [key for key in keys if key == trial]
        rests = {key for key in keys if key in late or self._rests(key, now)}
        ready = sorted((key for key in keys if key not in rests and key != trial), key=rank)
        resting = sorted((key for key in keys if key in rests and key != trial), key=rank)
        starts: list[Start] = []
        for key in [*first, *ready, *resting]:
            pause = STAGGER_SECONDS
            if not starts:
                pause = 0.0
            elif starts[-1].key == trial:
                pause = TRIAL_SECONDS
            elif resting and key == resting[0] and ready:
                pause = LAST_RESORT_SECONDS
            starts.append(Start(key, pause))
        return tuple(starts)

    def _rests(self, key: bytes, now: float) -> bool:
        """A clock that was set back must not make a route rest for days."""
        return now < self.result(key).retry <= now + 2 * REST[-1]

    def opened(self, key: bytes, now: float, seconds: float) -> None:
        """A connection was made in so many seconds; it has yet to live."""
        self._results[key] = replace(self.result(key), code="OK", line=f"worked in {seconds:.1f} s", at=int(now))

    def held(self, key: bytes, held: Mapping[bytes, int], now: float) -> bytes | None:
        """A connection has lived: forget failures. The name to note this under on disk, None if that is noted."""
        old = self.result(key)
        self._results[key] = replace(old, streak=0, retry=0.0)
        name = key + (self._network or b"")
        return name if old.streak or held.get(name, 0) <= now - NOTE_SECONDS else None

    def rest(self, key: bytes) -> tuple[bytes, Rest]:
        """What to remember of a route that opened and died here, and under which name."""
        result = self.result(key)
        return key + (self._network or b""), Rest(min(result.streak, 255), int(result.retry))

    def failed(self, key: bytes, now: float, jitter: float, code: str, line: str) -> None:
        """A route failed, or lost a connection that had not lived; ``jitter`` is within 0..1. [R-19.3-2]"""
        streak = self.result(key).streak + 1
        rest = REST[min(streak, len(REST)) - 1] * (1 + jitter / 2)
        self._results[key] = Result(code, line, int(now), streak, now + rest)

    def renamed(self, key: bytes, code: str, line: str) -> None:
        """It is now known what the last failure was."""
        self._results[key] = replace(self.result(key), code=code, line=line)

    def better(self, in_use: bytes, keys: Sequence[bytes]) -> tuple[bytes, float] | None:
        """Of the routes the person put before the one in use, one that failed, and when to see if it is back."""
        before = keys[: keys.index(in_use)] if in_use in keys else ()
        waiting = [(self.result(key).retry, key) for key in before if self.result(key).streak]
        return (min(waiting)[1], min(waiting)[0]) if waiting else None

    def try_first(self, key: bytes, now: float, jitter: float) -> None:
        """A better route was seen to work again: it gets a head start, and rests longer if it does not hold."""
        self.failed(key, now, jitter, "OK", "works again")
        self._trial = key
