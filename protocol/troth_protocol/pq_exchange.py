"""The post-quantum exchange carried in the padding: ML-KEM keys and ciphertexts as 32-byte symbols. SPEC.md section 8.

One class per state, holding only what that state may know::

    Idle --send--> SendKey --first ciphertext symbol--> ReceiveCiphertext --all 35, MAC--> ReceiveKey (of e+1)
    ReceiveKey --all 38, MAC--> HaveKey --send--> SendCiphertext --tag e+1--> Idle (of e+1)

The initiator starts in ReceiveCiphertext(1), the responder in HaveKey(1) with the initiator's certified KIK. Roles swap
each epoch. Every function returns the next state and raises SessionError with nothing changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, NoReturn, TypeAlias

from . import chain, primitives
from .chain import ChainKey, PqRoot
from .encoding import hidden, sha256
from .errors import BadKey, SessionError
from .frame import CIPHERTEXT_SYMBOLS, KEY_SYMBOLS, NO_SYMBOLS, SYMBOL, SYMBOL_COUNT, Kind, Symbols
from .keys import KemPrivateKey, KemPublicKey
from .primitives import MLKEM_CIPHERTEXT_SIZE, MLKEM_PUBLIC_SIZE, Randomness

Received: TypeAlias = Mapping[int, bytes]


@dataclass(frozen=True, slots=True)
class Idle:
    """Our turn to make a key."""

    epoch: int
    mac_key: bytes = field(repr=False)


class SendKey(NamedTuple):
    """Sending ek || MAC until the first ciphertext symbol shows that it arrived."""

    epoch: int
    key: KemPrivateKey
    payload: bytes
    position: int

    def __repr__(self) -> str:
        return hidden(self)


class ReceiveCiphertext(NamedTuple):
    """Collecting ct || MAC."""

    epoch: int
    key: KemPrivateKey
    have: Received

    def __repr__(self) -> str:
        return hidden(self)


class ReceiveKey(NamedTuple):
    """Their turn to make a key; collecting ek || MAC."""

    epoch: int
    mac_key: bytes
    have: Received

    def __repr__(self) -> str:
        return hidden(self)


@dataclass(frozen=True, slots=True)
class HaveKey:
    """Their key is whole and authentic; the next send encapsulates to it."""

    epoch: int
    key: KemPublicKey


class SendCiphertext(NamedTuple):
    """Sending ct || MAC, still on the chain before, until their tag shows that it arrived."""

    epoch: int
    mac_key: bytes
    payload: bytes
    position: int

    def __repr__(self) -> str:
        return hidden(self)


State: TypeAlias = Idle | SendKey | ReceiveCiphertext | ReceiveKey | HaveKey | SendCiphertext


class Exchange(NamedTuple):
    """PQROOT, AUTH and the state; the epoch of the state is the tag of what we send."""

    root: PqRoot
    auth: bytes
    state: State

    def __repr__(self) -> str:
        return hidden(self)


class NewChain(NamedTuple):
    """A chain just agreed: keys from initiator to responder and back."""

    a2b: ChainKey
    b2a: ChainKey

    def __repr__(self) -> str:
        return hidden(self)


def start_initiator(root: PqRoot, auth: bytes, kem_identity: KemPrivateKey) -> Exchange:
    """A waits for a ciphertext to its certified KIK. [R-8.3-1]"""
    return Exchange(root, auth, ReceiveCiphertext(1, kem_identity, {}))


def start_responder(root: PqRoot, auth: bytes, kem_identity: KemPublicKey) -> Exchange:
    """B has A's KIK as ek_1: epoch 1 authenticates A post-quantumly. [R-8.3-1]"""
    return Exchange(root, auth, HaveKey(1, kem_identity))


def send(exchange: Exchange, room: int, randomness: Randomness) -> tuple[Exchange, Symbols, NewChain | None]:
    """The next state and the symbols for a frame with space for ``room`` of them. [R-8.3-2]"""
    state, agreed = exchange.state, None
    if isinstance(state, Idle):
        exchange = _make_key(exchange, state, randomness)
    elif isinstance(state, HaveKey):
        exchange, agreed = _encapsulate(exchange, state, randomness)
    state = exchange.state
    if isinstance(state, SendKey):
        symbols, position = _fill(Kind.KEY, state.payload, state.position, room, randomness)
        following: State = SendKey(state.epoch, state.key, state.payload, position)
    elif isinstance(state, SendCiphertext):
        symbols, position = _fill(Kind.CIPHERTEXT, state.payload, state.position, room, randomness)
        following = SendCiphertext(state.epoch, state.mac_key, state.payload, position)
    else:
        return exchange, NO_SYMBOLS, agreed
    return Exchange(exchange.root, exchange.auth, following), symbols, agreed


def _fill(kind: Kind, payload: bytes, position: int, room: int, randomness: Randomness) -> tuple[Symbols, int]:
    """Symbols in order through the first round, then from a random index each time. [R-8.1-2]"""
    total = SYMBOL_COUNT[kind]
    count = min(room, total)
    start = position if position < total else int.from_bytes(randomness.draw(4), "big") % total
    first = start * SYMBOL
    run = payload[first : first + count * SYMBOL]
    missing = count * SYMBOL - len(run)
    return Symbols(kind, start, run + payload[:missing] if missing else run), min(position + count, total)


def _make_key(exchange: Exchange, state: Idle, randomness: Randomness) -> Exchange:
    key = KemPrivateKey.generate(randomness)
    payload = key.public_raw + chain.key_mac(state.mac_key, state.epoch, key.public_raw)
    return Exchange(exchange.root, exchange.auth, SendKey(state.epoch, key, payload, 0))


def _encapsulate(exchange: Exchange, state: HaveKey, randomness: Randomness) -> tuple[Exchange, NewChain]:
    epoch, key_hash = state.epoch, sha256(state.key.raw)
    secret, ciphertext = state.key.encapsulate(randomness)
    auth, mac_key = chain.authenticator_step(exchange.auth, secret, epoch)
    root, a2b, b2a = chain.quantum_epoch(exchange.root, secret, epoch, key_hash, ciphertext)
    payload = ciphertext + chain.ciphertext_mac(mac_key, epoch, key_hash, ciphertext)
    return Exchange(root, auth, SendCiphertext(epoch, mac_key, payload, 0)), NewChain(a2b, b2a)


def check_tag(exchange: Exchange, tag: int) -> None:
    """SessionError for a tag above ours, unless it is the one that SendCiphertext waits for. [R-8.3-4]"""
    state = exchange.state
    if tag > state.epoch and not (isinstance(state, SendCiphertext) and tag == state.epoch + 1):
        raise SessionError(f"epoch {tag} is ahead of ours, {state.epoch}")
    if tag < 1:
        raise SessionError("epoch 0 tags no message")


def receive(exchange: Exchange, tag: int, symbols: Symbols) -> tuple[Exchange, NewChain | None]:
    """The next state after an authenticated message; symbols count only for this state's epoch and kind. [R-8.3-3]"""
    state = exchange.state
    if isinstance(state, SendCiphertext) and tag == state.epoch + 1:
        exchange = Exchange(exchange.root, exchange.auth, Idle(tag, state.mac_key))
        state = exchange.state
    if tag != state.epoch or symbols.kind is Kind.NONE:
        return exchange, None
    if symbols.kind is Kind.CIPHERTEXT:
        if isinstance(state, SendKey):
            state = ReceiveCiphertext(state.epoch, state.key, {})
        if isinstance(state, ReceiveCiphertext):
            return _collect_ciphertext(exchange, state, symbols)
    elif isinstance(state, ReceiveKey):
        return _collect_key(exchange, state, symbols), None
    return exchange, None


def _collect(have: Received, symbols: Symbols, total: int) -> Received:
    grown = dict(have)
    for offset in range(0, len(symbols.data), SYMBOL):
        grown.setdefault((symbols.start + offset // SYMBOL) % total, symbols.data[offset : offset + SYMBOL])
    return grown


def _collect_ciphertext(
    exchange: Exchange, state: ReceiveCiphertext, symbols: Symbols
) -> tuple[Exchange, NewChain | None]:
    have = _collect(state.have, symbols, CIPHERTEXT_SYMBOLS)
    epoch = state.epoch
    if len(have) < CIPHERTEXT_SYMBOLS:
        return Exchange(exchange.root, exchange.auth, ReceiveCiphertext(epoch, state.key, have)), None
    whole = b"".join(have[index] for index in range(CIPHERTEXT_SYMBOLS))
    ciphertext, mac = whole[:MLKEM_CIPHERTEXT_SIZE], whole[MLKEM_CIPHERTEXT_SIZE:]
    key_hash = sha256(state.key.public_raw)
    secret = state.key.decapsulate(ciphertext)
    auth, mac_key = chain.authenticator_step(exchange.auth, secret, epoch)
    if not primitives.equal(mac, chain.ciphertext_mac(mac_key, epoch, key_hash, ciphertext)):
        _refuse("ciphertext", epoch)
    root, a2b, b2a = chain.quantum_epoch(exchange.root, secret, epoch, key_hash, ciphertext)
    return Exchange(root, auth, ReceiveKey(epoch + 1, mac_key, {})), NewChain(a2b, b2a)


def _collect_key(exchange: Exchange, state: ReceiveKey, symbols: Symbols) -> Exchange:
    have = _collect(state.have, symbols, KEY_SYMBOLS)
    if len(have) < KEY_SYMBOLS:
        return Exchange(exchange.root, exchange.auth, ReceiveKey(state.epoch, state.mac_key, have))
    whole = b"".join(have[index] for index in range(KEY_SYMBOLS))
    raw, mac = whole[:MLKEM_PUBLIC_SIZE], whole[MLKEM_PUBLIC_SIZE:]
    if not primitives.equal(mac, chain.key_mac(state.mac_key, state.epoch, raw)):
        _refuse("key", state.epoch)
    try:
        key = KemPublicKey(raw)
    except BadKey:
        _refuse("key", state.epoch)
    return Exchange(exchange.root, exchange.auth, HaveKey(state.epoch, key))


def _refuse(what: str, epoch: int) -> NoReturn:
    """A bad MAC is told to the person; the exchange is never restarted in silence. [R-8.2-4]"""
    raise SessionError(f"the post-quantum {what} of epoch {epoch} is not authentic")
