"""Who is at the door: a guest whose first flight carries our mark, or a stranger. Pure; the clock is an argument.

A judge listens until it is sure and never changes its mind. It is sure of a stranger at the first byte that no guest
would send; whoever shows a hello of the right shape costs the same three MACs, right or wrong. A mark counts once: the
same hello again is a stranger's, and so is everybody's while no more marks can be remembered. [R-19.4-2]
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from troth_protocol import veil

from .limits import HELLO_SECONDS, MARKS


@dataclass(frozen=True, slots=True)
class Listening:
    """Too little has come to tell."""


@dataclass(frozen=True, slots=True)
class Stranger:
    """Everything goes to the site."""


@dataclass(frozen=True, slots=True)
class Guest:
    """The hello as the guest's TLS library knows it, and the mark to send back."""

    hello: bytes = field(repr=False)
    mark: bytes = field(repr=False)


Verdict: TypeAlias = Listening | Stranger | Guest
LISTENING, STRANGER = Listening(), Stranger()


class Memory:
    """The marks seen in this hour and the two before it, in which they still count; at most MARKS in each."""

    __slots__ = ("_hours",)

    def __init__(self) -> None:
        self._hours: dict[int, set[bytes]] = {}

    def is_new(self, mark: bytes, now: int) -> bool:
        """Remember a mark; False if it was seen before, or if there is no room to remember it."""
        hour = now // veil.WINDOW_SECONDS
        for past in [past for past in self._hours if abs(past - hour) > 2]:
            del self._hours[past]
        if any(mark in seen for seen in self._hours.values()):
            return False
        seen = self._hours.setdefault(hour, set())
        if len(seen) >= MARKS:
            return False
        seen.add(mark)
        return True

    def __len__(self) -> int:
        return sum(map(len, self._hours.values()))


class Judge:
    """Listens to the first bytes of one connection."""

    __slots__ = ("_heard", "_memory", "_secret", "_since")

    def __init__(self, secret: bytes, memory: Memory) -> None:
        self._secret = secret
        self._memory = memory
        self._heard = b""
        self._since = 0

    def hear(self, data: bytes, now: int) -> Verdict:
        """What ``data`` says, after what came before; not asked again once it is sure."""
        if not self._heard:
            self._since = now
        self._heard += data
        size = veil.hello_size(self._heard)
        if size is None or not 0 <= now - self._since <= HELLO_SECONDS:
            return STRANGER
        if not size or len(self._heard) < size:
            return LISTENING
        found = veil.recognise(self._secret, self._heard, now)
        return Guest(*found) if found is not None and self._memory.is_new(found[1], now) else STRANGER
