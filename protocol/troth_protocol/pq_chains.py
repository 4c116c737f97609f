"""The post-quantum chains: one each way for each epoch, at most one epoch apart. SPEC.md section 7.2.

A message tagged e is keyed by chain e-1. A chain is agreed before both sides know that it is: ``next_sending`` and
``next_receiving`` hold it until the tag that starts it is sent or seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from . import chain
from .chain import ChainKey, MessageKey
from .encoding import hidden
from .errors import ChainExhausted, Duplicate, SessionError
from .ratchet import MAX_CHAIN, MAX_SKIPPED, SKIPPED_SECONDS, Kept, check_skip

_NONE_SKIPPED: Final[Mapping[tuple[int, int], Kept]] = MappingProxyType({})


class QuantumSending(NamedTuple):
    """Chain ``number`` towards them; ``previous_length`` is ppn of the header."""

    number: int
    key: ChainKey
    i: int
    previous_length: int

    def __repr__(self) -> str:
        return hidden(self)


class QuantumReceiving(NamedTuple):
    """Chain ``number`` from them; ``i`` is the next index."""

    number: int
    key: ChainKey
    i: int

    def __repr__(self) -> str:
        return hidden(self)


class QuantumChains(NamedTuple):
    """The post-quantum half of a session; ``skipped`` maps (chain, i) to a kept key, oldest first."""

    sending: QuantumSending
    receiving: QuantumReceiving
    next_sending: ChainKey | None = None
    next_receiving: ChainKey | None = None
    skipped: Mapping[tuple[int, int], Kept] = _NONE_SKIPPED

    def __repr__(self) -> str:
        return hidden(self)


def start(sending: ChainKey, receiving: ChainKey) -> QuantumChains:
    """Chain 0 in both directions."""
    return QuantumChains(QuantumSending(0, sending, 0, 0), QuantumReceiving(0, receiving, 0))


def agree(chains: QuantumChains, sending: ChainKey, receiving: ChainKey) -> QuantumChains:
    """Hold the chain after the present one until its tag is used."""
    return QuantumChains(chains.sending, chains.receiving, sending, receiving, chains.skipped)


def switch_sending(chains: QuantumChains) -> QuantumChains:
    """Send on the agreed chain from now on and erase the one before. [R-7.2-4]"""
    if chains.next_sending is None:
        raise SessionError("no post-quantum chain has been agreed to send on")
    old = chains.sending
    started = QuantumSending(old.number + 1, chains.next_sending, 0, old.i)
    return QuantumChains(started, chains.receiving, None, chains.next_receiving, chains.skipped)


def send_key(chains: QuantumChains) -> tuple[QuantumChains, MessageKey]:
    """The chains after one more message sent, and its key; ChainExhausted at 2^16. [R-7.5-4]"""
    old = chains.sending
    if old.i >= MAX_CHAIN:
        raise ChainExhausted("this chain has sent 2^16 messages; an answer is needed before the next")
    key, message = chain.quantum_step(old.key)
    started = QuantumSending(old.number, key, old.i + 1, old.previous_length)
    return (
        QuantumChains(started, chains.receiving, chains.next_sending, chains.next_receiving, chains.skipped),
        message,
    )


def check_limits(chains: QuantumChains, tag: int, i: int, ppn: int) -> None:
    """TooManySkipped if message ``i`` tagged ``tag`` skips too far; asked before either ratchet derives. [R-7.5-1]"""
    number, receiving = tag - 1, chains.receiving
    if number == receiving.number + 1:
        check_skip(i)
        check_skip(ppn - receiving.i)
    elif number == receiving.number:
        check_skip(i - receiving.i)


def take_key(chains: QuantumChains, tag: int, i: int, ppn: int, now: int) -> tuple[QuantumChains, MessageKey]:
    """The chains after receiving message ``i`` tagged ``tag``, and its key; after ``check_limits``.

    At the first tag of a new chain the keys of the old one up to ``ppn`` are kept and the old chain is erased.
    """
    number, receiving = tag - 1, chains.receiving
    kept: dict[tuple[int, int], Kept] = {}
    if number == receiving.number + 1 and chains.next_receiving is not None:
        key = receiving.key
        for index in range(receiving.i, ppn):
            key, message = chain.quantum_step(key)
            kept[receiving.number, index] = (message, now)
        receiving = QuantumReceiving(number, chains.next_receiving, 0)
        next_receiving = None
    elif number == receiving.number and i >= receiving.i:
        next_receiving = chains.next_receiving
    elif (number, i) in chains.skipped:
        rest = {place: held for place, held in chains.skipped.items() if place != (number, i)}
        message = chains.skipped[number, i][0]
        return (
            QuantumChains(chains.sending, chains.receiving, chains.next_sending, chains.next_receiving, rest),
            message,
        )
    elif number <= receiving.number:
        raise Duplicate(f"message {i} of its post-quantum chain was read or forgotten before")
    else:
        raise SessionError(f"post-quantum chain {number} has not been agreed")
    key = receiving.key
    for index in range(receiving.i, i):
        key, message = chain.quantum_step(key)
        kept[number, index] = (message, now)
    key, message = chain.quantum_step(key)
    skipped = prune({**chains.skipped, **kept}, now) if kept else chains.skipped
    advanced = QuantumReceiving(number, key, i + 1)
    return QuantumChains(chains.sending, advanced, chains.next_sending, next_receiving, skipped), message


def prune(skipped: Mapping[tuple[int, int], Kept], now: int) -> Mapping[tuple[int, int], Kept]:
    """Without keys past seven days or beyond 2,000; the oldest go first. [R-7.5-2]"""
    drop = len(skipped) - MAX_SKIPPED
    return {
        place: kept
        for position, (place, kept) in enumerate(skipped.items())
        if position >= drop and kept[1] + SKIPPED_SECONDS > now
    }
