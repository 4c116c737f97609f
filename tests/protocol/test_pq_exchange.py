"""The exchange in the padding: the table of SPEC.md section 8.3 row by row, and what may not disturb it."""

from __future__ import annotations

from typing import Any

import pytest

from simulator import Recording, Seeded
from troth_protocol import chain, pq_exchange
from troth_protocol.chain import PqRoot
from troth_protocol.encoding import sha256
from troth_protocol.errors import SessionError
from troth_protocol.frame import NO_SYMBOLS, Kind, Symbols
from troth_protocol.keys import KemPrivateKey
from troth_protocol.pq_exchange import (
    Exchange,
    HaveKey,
    Idle,
    NewChain,
    ReceiveCiphertext,
    ReceiveKey,
    SendCiphertext,
    SendKey,
)

SOURCE = Seeded("exchange")
KIK = KemPrivateKey.generate(SOURCE)
ROOT, AUTH = PqRoot(b"r" * 32), b"a" * 32
ROOM = 40


def start() -> tuple[Exchange, Exchange]:
    """A and B right after the handshake."""
    return pq_exchange.start_initiator(ROOT, AUTH, KIK), pq_exchange.start_responder(ROOT, AUTH, KIK.public)


def send(exchange: Exchange, room: int = ROOM) -> tuple[Exchange, Symbols, NewChain | None]:
    """One frame's worth."""
    return pq_exchange.send(exchange, room, SOURCE)


def every_state() -> dict[type, Exchange]:
    """One exchange in each state, on the way through epochs 1 and 2."""
    a, b = start()
    reached: dict[type, Exchange] = {ReceiveCiphertext: a, HaveKey: b}
    b, symbols, _ = send(b)
    reached[SendCiphertext] = b
    a, _ = pq_exchange.receive(a, 1, symbols)
    reached[ReceiveKey] = a
    b, _ = pq_exchange.receive(b, 2, NO_SYMBOLS)
    reached[Idle] = b
    b, _, _ = send(b)
    reached[SendKey] = b
    return reached


STATES = every_state()
NOISE = (
    NO_SYMBOLS,
    Symbols(Kind.KEY, 3, bytes(32)),
    Symbols(Kind.CIPHERTEXT, 3, bytes(32)),
)


def test_the_start() -> None:
    """[R-8.3-1]: A waits for a ciphertext to its certified KIK, which B has as ek_1."""
    a, b = start()
    assert a.state == ReceiveCiphertext(1, KIK, {})
    assert b.state == HaveKey(1, KIK.public)
    assert {type(exchange.state) for exchange in STATES.values()} == set(STATES)


def test_idle_makes_a_key_on_send_and_hears_nothing() -> None:
    """[R-8.3-2] [R-8.3-3] [R-8.2-3]"""
    idle = STATES[Idle]
    assert isinstance(idle.state, Idle)
    after, symbols, agreed = send(idle)
    assert isinstance(after.state, SendKey)
    assert (after.state.epoch, symbols.kind, agreed) == (2, Kind.KEY, None)
    ek = after.state.key.public_raw
    assert after.state.payload == symbols.data == ek + chain.key_mac(idle.state.mac_key, 2, ek)
    for noise in NOISE:
        assert pq_exchange.receive(idle, 2, noise) == (idle, None)


def test_send_key_sends_until_the_first_ciphertext_symbol() -> None:
    """[R-8.3-2] [R-8.3-3]: whose message's symbols count at once."""
    exchange = STATES[SendKey]
    assert isinstance(exchange.state, SendKey)
    assert send(exchange)[1].kind is Kind.KEY
    for noise in NOISE[:2]:
        assert pq_exchange.receive(exchange, 2, noise) == (exchange, None)
    after, agreed = pq_exchange.receive(exchange, 2, Symbols(Kind.CIPHERTEXT, 34, b"x" * 32 + b"y" * 32))
    assert agreed is None
    assert after.state == ReceiveCiphertext(2, exchange.state.key, {34: b"x" * 32, 0: b"y" * 32})


def test_receive_ciphertext_sends_nothing_and_decapsulates_when_whole() -> None:
    """[R-8.3-2] [R-8.3-3] [R-8.2-1] [R-8.2-2]"""
    a, b = start()
    assert send(a) == (a, NO_SYMBOLS, None)
    b, symbols, theirs = send(b)
    assert isinstance(b.state, SendCiphertext)
    for at in (34, *range(33)):
        a, agreed = pq_exchange.receive(a, 1, Symbols(Kind.CIPHERTEXT, at, symbols.data[32 * at : 32 * at + 32]))
        assert agreed is None
    a, ours = pq_exchange.receive(a, 1, Symbols(Kind.CIPHERTEXT, 33, symbols.data[33 * 32 : 34 * 32]))
    assert ours == theirs is not None
    assert isinstance(a.state, ReceiveKey)
    assert (a.state.epoch, a.state.have) == (2, {})
    secret = KIK.decapsulate(symbols.data[:1_088])
    auth, mac_key = chain.authenticator_step(AUTH, secret, 1)
    root, *_ = chain.quantum_epoch(ROOT, secret, 1, sha256(KIK.public_raw), symbols.data[:1_088])
    assert (a.root, a.auth, a.state.mac_key) == (root, auth, mac_key)
    assert (b.root, b.auth, b.state.mac_key) == (root, auth, mac_key)
    assert symbols.data[1_088:] == chain.ciphertext_mac(mac_key, 1, sha256(KIK.public_raw), symbols.data[:1_088])


def test_receive_key_sends_nothing_and_has_the_key_when_whole() -> None:
    """[R-8.3-2] [R-8.3-3]"""
    exchange = STATES[ReceiveKey]
    assert send(exchange) == (exchange, NO_SYMBOLS, None)
    sender = STATES[SendKey]
    assert isinstance(sender.state, SendKey)
    payload = sender.state.payload
    after, _ = pq_exchange.receive(exchange, 2, Symbols(Kind.KEY, 1, payload[32:]))
    assert isinstance(after.state, ReceiveKey)
    after, agreed = pq_exchange.receive(after, 2, Symbols(Kind.KEY, 0, payload[:32]))
    assert agreed is None
    assert after.state == HaveKey(2, sender.state.key.public)


def test_have_key_encapsulates_on_send_and_hears_nothing() -> None:
    """[R-8.3-2] [R-8.3-3] [R-7.2-3]: the secret itself is in no later state."""
    _, b = start()
    for noise in NOISE:
        assert pq_exchange.receive(b, 1, noise) == (b, None)
    source = Recording("have key")
    after, symbols, agreed = pq_exchange.send(b, ROOM, source)
    (secret,) = source.encapsulated
    assert isinstance(after.state, SendCiphertext)
    assert symbols.kind is Kind.CIPHERTEXT
    assert agreed == NewChain(*chain.quantum_epoch(ROOT, secret, 1, sha256(KIK.public_raw), symbols.data[:1_088])[1:])
    assert secret not in b"".join((after.root, after.auth, after.state.mac_key, after.state.payload))


def test_send_ciphertext_sends_until_the_tag_after_its_own() -> None:
    """[R-8.3-2] [R-8.3-3] [R-8.3-4]"""
    exchange = STATES[SendCiphertext]
    assert isinstance(exchange.state, SendCiphertext)
    assert send(exchange)[1].kind is Kind.CIPHERTEXT
    for noise in NOISE:
        assert pq_exchange.receive(exchange, 1, noise) == (exchange, None)
    for noise in NOISE:
        after, agreed = pq_exchange.receive(exchange, 2, noise)
        assert (after.state, agreed) == (Idle(2, exchange.state.mac_key), None)


@pytest.mark.parametrize("state", STATES)
def test_symbols_of_a_lower_tag_are_ignored_in_every_state(state: type) -> None:
    """[R-8.3-3]"""
    exchange = STATES[state]
    build: Any = state
    later = exchange._replace(state=build(5, *_rest(exchange)))
    for noise in NOISE:
        for tag in (1, 4):
            assert pq_exchange.receive(later, tag, noise) == (later, None)


def _rest(exchange: Exchange) -> list[object]:
    state = exchange.state
    if isinstance(state, Idle):
        return [state.mac_key]
    if isinstance(state, HaveKey):
        return [state.key]
    return list(state[1:])


@pytest.mark.parametrize("state", STATES)
def test_a_higher_tag_is_legal_only_where_it_is_awaited(state: type) -> None:
    """[R-8.3-4]"""
    exchange = STATES[state]
    epoch = exchange.state.epoch
    pq_exchange.check_tag(exchange, epoch)
    if state is SendCiphertext:
        pq_exchange.check_tag(exchange, epoch + 1)
    else:
        with pytest.raises(SessionError, match="is ahead of ours"):
            pq_exchange.check_tag(exchange, epoch + 1)
    for tag in (epoch + 2, 2**32 - 1, 0):
        with pytest.raises(SessionError):
            pq_exchange.check_tag(exchange, tag)


@pytest.mark.parametrize("place", [0, 17, 33, 34])
def test_a_ciphertext_or_mac_altered_anywhere_is_a_session_error(place: int) -> None:
    """[R-8.2-4]: told, never restarted; the state that was stays."""
    a, b = start()
    _, symbols, _ = send(b)
    data = bytearray(symbols.data)
    data[32 * place] ^= 1
    before = a
    with pytest.raises(SessionError, match="ciphertext of epoch 1 is not authentic"):
        pq_exchange.receive(a, 1, symbols._replace(data=bytes(data)))
    assert a == before


@pytest.mark.parametrize("place", [0, 20, 36, 37])
def test_a_key_or_mac_altered_anywhere_is_a_session_error(place: int) -> None:
    """[R-8.2-4]"""
    data = bytearray(send(STATES[Idle])[1].data)
    data[32 * place] ^= 1
    with pytest.raises(SessionError, match="key of epoch 2 is not authentic"):
        pq_exchange.receive(STATES[ReceiveKey], 2, Symbols(Kind.KEY, 0, bytes(data)))


def test_an_authentic_key_that_is_not_reduced_is_a_session_error() -> None:
    """[R-8.2-4] [R-3.1-4]"""
    exchange = STATES[ReceiveKey]
    assert isinstance(exchange.state, ReceiveKey)
    bad = b"\xff" * 1_184
    payload = bad + chain.key_mac(exchange.state.mac_key, 2, bad)
    with pytest.raises(SessionError):
        pq_exchange.receive(exchange, 2, Symbols(Kind.KEY, 0, payload))


def test_symbols_go_in_order_wrap_and_then_start_anywhere() -> None:
    """[R-8.1-2] [R-8.1-1]"""
    exchange, payload = STATES[HaveKey], b""
    starts = []
    for _ in range(7):
        exchange, symbols, _ = send(exchange, 5)
        starts.append(symbols.start)
        payload += symbols.data
    assert starts == [0, 5, 10, 15, 20, 25, 30]
    assert isinstance(exchange.state, SendCiphertext)
    assert payload == exchange.state.payload
    later = []
    for _ in range(1_000):
        exchange, symbols, _ = send(exchange, 5)
        later.append(symbols.start)
        doubled = payload + payload
        assert symbols.data == doubled[32 * symbols.start : 32 * symbols.start + 160]
    assert set(later) == set(range(35))
    exchange, symbols, _ = send(STATES[Idle], 36)
    assert (symbols.start, len(symbols.data)) == (0, 36 * 32)
    exchange, symbols, _ = send(exchange, 36)
    assert isinstance(exchange.state, SendKey)
    assert (symbols.start, symbols.data) == (36, exchange.state.payload[36 * 32 :] + exchange.state.payload[: 34 * 32])


def test_at_most_one_round_goes_in_a_frame() -> None:
    """[R-8.1-2]"""
    assert len(send(STATES[HaveKey], 500)[1].data) == 35 * 32
    assert len(send(STATES[Idle], 500)[1].data) == 38 * 32
