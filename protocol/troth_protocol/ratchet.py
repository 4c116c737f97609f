"""The classical Double Ratchet with encrypted headers, as frozen states. SPEC.md sections 7.1, 7.3 and 7.5.

The sending side is one of three states::

    Responder --first receipt--> Due --send--> Sending --receipt under the next header key--> Due --send--> ...
    (the initiator starts in Due)

A step on receipt erases our private key at once; the fresh one is made when we next send, so a key never lies waiting.
What is replaced with every message is a NamedTuple (a frozen dataclass takes three times as long to build).
Nothing here is assigned before the caller has verified the message: every function returns the next state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

from . import chain, primitives
from .chain import ChainKey, HeaderKey, MessageKey, RootKey
from .encoding import hidden
from .errors import ChainExhausted, Duplicate, SessionError, TooManySkipped
from .keys import DhPrivateKey, DhPublicKey
from .primitives import Randomness

MAX_SKIP: Final = 1_000
"""Keys one message may skip in one chain, checked before any is derived; the worst case takes 6 ms. Signal allows
25,000 forward jumps and keeps 2,000 keys; a relay that delivers reliably needs less. [R-7.5-1]"""
MAX_SKIPPED: Final = 2_000
"""Skipped keys kept in each map of a session, oldest forgotten first. [R-7.5-2]"""
SKIPPED_SECONDS: Final = 7 * 86_400
"""How long a skipped key is kept. [R-7.5-2]"""
MAX_OLD_HEADERS: Final = 64
"""Header keys of earlier chains kept for late messages: each costs one trial decryption. [R-7.5-3]"""
MAX_CHAIN: Final = 2**16
"""Messages in a chain before a step is forced by refusing to send. [R-7.5-4]"""
ENCRYPTED_HEADER_SIZE: Final = 82

Kept: TypeAlias = tuple[MessageKey, int]
"""A skipped message key and the second it was stored."""


@dataclass(frozen=True, slots=True)
class Responder:
    """We are B and have heard nothing: our signed prekey is our ratchet key, and there is nothing to send on."""

    ours: DhPrivateKey


@dataclass(frozen=True, slots=True)
class Due:
    """Their ratchet key is new to us: a step is due before the next message."""

    theirs: DhPublicKey
    previous_length: int


class Sending(NamedTuple):
    """A sending chain under way."""

    ours: DhPrivateKey
    key: ChainKey
    header_key: HeaderKey
    n: int
    previous_length: int

    def __repr__(self) -> str:
        return hidden(self)


class Receiving(NamedTuple):
    """A receiving chain under way; ``n`` is the next index."""

    key: ChainKey
    header_key: HeaderKey
    n: int

    def __repr__(self) -> str:
        return hidden(self)


@dataclass(frozen=True, slots=True)
class SkippedChain:
    """Keys of one receiving chain whose messages have not come yet."""

    header_key: HeaderKey = field(repr=False)
    keys: Mapping[int, Kept] = field(repr=False)


class Ratchet(NamedTuple):
    """The classical half of a session; ``skipped`` is ordered from the oldest chain to the newest."""

    root: RootKey
    next_send_header: HeaderKey
    next_receive_header: HeaderKey
    sending: Responder | Due | Sending
    receiving: Receiving | None
    skipped: tuple[SkippedChain, ...] = ()

    def __repr__(self) -> str:
        return hidden(self)


def start_initiator(root: RootKey, hk_a: HeaderKey, nhk_b: HeaderKey, spk: DhPublicKey) -> Ratchet:
    """A: the first send steps from SPK_B with a fresh key (not EK_A) and uses HK_A. [R-7.1-3]"""
    return Ratchet(root, hk_a, nhk_b, Due(spk, 0), None)


def start_responder(root: RootKey, hk_a: HeaderKey, nhk_b: HeaderKey, spk: DhPrivateKey) -> Ratchet:
    """B: SPK_B is the ratchet key until the first receipt, which erases it. [R-7.1-4]"""
    return Ratchet(root, nhk_b, hk_a, Responder(spk), None)


def ready_to_send(ratchet: Ratchet, randomness: Randomness) -> tuple[Ratchet, Sending]:
    """The ratchet with a sending chain, stepping if a step is due; ChainExhausted at 2^16. [R-7.5-4]"""
    sending = ratchet.sending
    if isinstance(sending, Sending):
        if sending.n >= MAX_CHAIN:
            raise ChainExhausted("this chain has sent 2^16 messages; an answer is needed before the next")
        return ratchet, sending
    if isinstance(sending, Responder):
        raise SessionError("a responder cannot send before the first message has been read")
    ours = DhPrivateKey.generate(randomness)
    root, key, header_key = chain.root_step(ratchet.root, ours.exchange(sending.theirs))
    started = Sending(ours, key, ratchet.next_send_header, 0, sending.previous_length)
    stepped = Ratchet(root, header_key, ratchet.next_receive_header, started, ratchet.receiving, ratchet.skipped)
    return stepped, started


def open_header(ratchet: Ratchet, encrypted: bytes, transcript: bytes) -> tuple[bytes, HeaderKey] | None:
    """The 54-byte header and the key it opened under: this chain's, the next, then older ones, newest first."""
    nonce, ciphertext = encrypted[:12], encrypted[12:]
    receiving = ratchet.receiving
    if receiving is not None:
        header = primitives.aead_open(receiving.header_key, nonce, ciphertext, transcript)
        if header is not None:
            return header, receiving.header_key
    header = primitives.aead_open(ratchet.next_receive_header, nonce, ciphertext, transcript)
    if header is not None:
        return header, ratchet.next_receive_header
    for old in reversed(ratchet.skipped):
        if receiving is None or old.header_key != receiving.header_key:
            header = primitives.aead_open(old.header_key, nonce, ciphertext, transcript)
            if header is not None:
                return header, old.header_key
    return None


def take_key(
    ratchet: Ratchet, header_key: HeaderKey, their_key: bytes, pn: int, n: int, now: int
) -> tuple[Ratchet, MessageKey]:
    """The ratchet after receiving message ``n`` of the chain ``header_key`` belongs to, and its message key.

    Raises TooManySkipped before anything is derived, Duplicate, BadKey, or SessionError. [R-7.5-1]
    """
    receiving = ratchet.receiving
    if receiving is not None and header_key == receiving.header_key:
        if n < receiving.n:
            return _take_skipped(ratchet, header_key, n)
        return _advance(ratchet, receiving, n, now)
    if header_key == ratchet.next_receive_header:
        return _step(ratchet, their_key, pn, n, now)
    return _take_skipped(ratchet, header_key, n)


def _advance(ratchet: Ratchet, receiving: Receiving, n: int, now: int) -> tuple[Ratchet, MessageKey]:
    check_skip(n - receiving.n)
    key, kept = receiving.key, {}
    for index in range(receiving.n, n):
        key, message = chain.classical_step(key)
        kept[index] = (message, now)
    key, message = chain.classical_step(key)
    skipped = _keep(ratchet.skipped, receiving.header_key, kept, now) if kept else ratchet.skipped
    advanced = Ratchet(
        ratchet.root, ratchet.next_send_header, ratchet.next_receive_header, ratchet.sending,
        Receiving(key, receiving.header_key, n + 1), skipped,
    )  # fmt: skip
    return advanced, message


def _step(ratchet: Ratchet, their_key: bytes, pn: int, n: int, now: int) -> tuple[Ratchet, MessageKey]:
    """Close the old receiving chain at ``pn`` and open the one under the next header key. [R-7.1-5]"""
    sending = ratchet.sending
    if isinstance(sending, Due):
        raise SessionError("the peer stepped twice without a message of ours between")
    receiving, skipped = ratchet.receiving, ratchet.skipped
    check_skip(n)
    if receiving is not None:
        check_skip(pn - receiving.n)
        key, kept = receiving.key, {}
        for index in range(receiving.n, pn):
            key, message = chain.classical_step(key)
            kept[index] = (message, now)
        skipped = _keep(skipped, receiving.header_key, kept, now) if kept else skipped
    theirs = DhPublicKey(their_key)
    root, key, next_header = chain.root_step(ratchet.root, sending.ours.exchange(theirs))
    length = sending.n if isinstance(sending, Sending) else 0
    opened = Receiving(key, ratchet.next_receive_header, 0)
    stepped = Ratchet(root, ratchet.next_send_header, next_header, Due(theirs, length), opened, skipped)
    return _advance(stepped, opened, n, now)


def _take_skipped(ratchet: Ratchet, header_key: HeaderKey, n: int) -> tuple[Ratchet, MessageKey]:
    for position, old in enumerate(ratchet.skipped):
        if old.header_key == header_key and n in old.keys:
            rest = {index: kept for index, kept in old.keys.items() if index != n}
            left = (SkippedChain(header_key, rest),) if rest else ()
            skipped = ratchet.skipped[:position] + left + ratchet.skipped[position + 1 :]
            taken = Ratchet(
                ratchet.root, ratchet.next_send_header, ratchet.next_receive_header, ratchet.sending,
                ratchet.receiving, skipped,
            )  # fmt: skip
            return taken, old.keys[n][0]
    raise Duplicate(f"message {n} of its chain was read or forgotten before")


def check_skip(wanted: int) -> None:
    """TooManySkipped past 1,000. [R-7.5-1]"""
    if wanted > MAX_SKIP:
        raise TooManySkipped(wanted, MAX_SKIP)


def _keep(
    skipped: tuple[SkippedChain, ...], header_key: HeaderKey, kept: Mapping[int, Kept], now: int
) -> tuple[SkippedChain, ...]:
    if skipped and skipped[-1].header_key == header_key:
        grown = (*skipped[:-1], SkippedChain(header_key, {**skipped[-1].keys, **kept}))
    else:
        grown = (*skipped, SkippedChain(header_key, kept))
    return prune(grown, now)


def prune(skipped: tuple[SkippedChain, ...], now: int) -> tuple[SkippedChain, ...]:
    """Without keys past seven days, beyond 2,000, or of more than 64 old chains; the oldest go first. [R-7.5-2]"""
    newest = skipped[-MAX_OLD_HEADERS:]
    excess = sum(len(old.keys) for old in newest) - MAX_SKIPPED
    left: list[SkippedChain] = []
    for old in newest:
        drop = max(0, min(excess, len(old.keys)))
        keys = {
            index: kept
            for position, (index, kept) in enumerate(old.keys.items())
            if position >= drop and kept[1] + SKIPPED_SECONDS > now
        }
        excess -= drop
        if keys:
            left.append(SkippedChain(old.header_key, keys))
    return tuple(left)
