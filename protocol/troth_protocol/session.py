"""A session: both ratchets and the exchange, and the one message made of all three. SPEC.md section 7.4.

wire = enc_hdr 82 || com 32 || ChaCha20-Poly1305(key, 12 zero bytes, frame, enc_hdr)
header = version u8 || flags u8 || dh 32 || pn u32 || n u32 || e u32 || i u32 || ppn u32

``encrypt`` and ``decrypt`` return the next state; an error leaves the caller with the one it had. [R-7.4-4]
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from . import chain, frame, handshake, pq_chains, pq_exchange, primitives, ratchet
from .encoding import hidden
from .errors import DecodeError, SessionError, Tampered, UnknownHeader
from .frame import NO_TOKENS, STOCK_UNKNOWN, Frame, Tokens
from .keys import DhPrivateKey, DhPublicKey, KemPrivateKey, KemPublicKey
from .pq_chains import QuantumChains
from .pq_exchange import Exchange
from .primitives import Randomness
from .ratchet import ENCRYPTED_HEADER_SIZE, Ratchet

COMMITMENT_SIZE: Final = 32
WIRE_OVERHEAD: Final = ENCRYPTED_HEADER_SIZE + COMMITMENT_SIZE + primitives.AEAD_TAG_SIZE
WIRE_SIZES: Final = tuple(bucket + WIRE_OVERHEAD for bucket in frame.BUCKETS)
"""1,154, 4,226, 16,514, 65,666 bytes: the only sizes of an established message. [R-9.2-2]"""
VERSION: Final = 1
_HEADER: Final = struct.Struct(">BB32sIIIII")
"""The 54 bytes of a header. [R-7.3-1]"""
_ZERO_NONCE: Final = bytes(12)


class Session(NamedTuple):
    """One side of a session; ``sid`` names it to both sides, ``transcript`` (TH) binds every message to it."""

    sid: bytes
    transcript: bytes
    initiator: bool
    ratchet: Ratchet
    chains: QuantumChains
    exchange: Exchange

    def __repr__(self) -> str:
        return hidden(self)

    @property
    def epoch(self) -> int:
        """The tag of what we send next."""
        return self.exchange.state.epoch

    @property
    def confirmed(self) -> bool:
        """Whether the peer has proved itself against a quantum attacker: epoch 1 is complete. [R-8.3-5]"""
        return self.epoch >= 2

    @property
    def missing(self) -> int:
        """How many earlier messages of theirs have not come, as far as later ones told and we keep their keys."""
        return sum(len(old.keys) for old in self.ratchet.skipped)


def start_initiator(secrets: handshake.Secrets, spk: DhPublicKey, kem_identity: KemPrivateKey) -> Session:
    """A's session right after the handshake; ``kem_identity`` is A's own KIK."""
    root, a2b, b2a = chain.quantum_start(secrets.pq_root)
    return Session(
        secrets.sid,
        secrets.transcript,
        True,
        ratchet.start_initiator(secrets.root, secrets.hk_a, secrets.nhk_b, spk),
        pq_chains.start(a2b, b2a),
        pq_exchange.start_initiator(root, secrets.auth, kem_identity),
    )


def start_responder(secrets: handshake.Secrets, spk: DhPrivateKey, kem_identity: KemPublicKey) -> Session:
    """B's session right after the handshake; ``kem_identity`` is A's KIK."""
    root, a2b, b2a = chain.quantum_start(secrets.pq_root)
    return Session(
        secrets.sid,
        secrets.transcript,
        False,
        ratchet.start_responder(secrets.root, secrets.hk_a, secrets.nhk_b, spk),
        pq_chains.start(b2a, a2b),
        pq_exchange.start_responder(root, secrets.auth, kem_identity),
    )


def _agree(session: Session, chains: QuantumChains, agreed: pq_exchange.NewChain) -> QuantumChains:
    if session.initiator:
        return pq_chains.agree(chains, agreed.a2b, agreed.b2a)
    return pq_chains.agree(chains, agreed.b2a, agreed.a2b)


def encrypt(
    session: Session,
    content_type: int,
    content: bytes,
    *,
    randomness: Randomness,
    tokens: Tokens = NO_TOKENS,
    stock: int = STOCK_UNKNOWN,
) -> tuple[Session, bytes]:
    """The next state and the message, 1,154, 4,226, 16,514 or 65,666 bytes; ChainExhausted or TextTooLong.

    The caller stores the state and the bytes in one transaction before a byte leaves. [R-13.1-1]
    """
    stepped, sending = ratchet.ready_to_send(session.ratchet, randomness)
    room = frame.symbol_room(len(content), len(tokens.tokens))
    exchange, symbols, agreed = pq_exchange.send(session.exchange, room, randomness)
    chains = session.chains if agreed is None else _agree(session, session.chains, agreed)
    used = chains.sending
    chains, mk_pq = pq_chains.send_key(chains)
    following, mk_dr = chain.classical_step(sending.key)
    header = _HEADER.pack(
        VERSION, 0, sending.ours.public.raw, sending.previous_length, sending.n, used.number + 1, used.i,
        used.previous_length,
    )  # fmt: skip
    nonce = randomness.draw(12)
    encrypted = nonce + primitives.aead_seal(sending.header_key, nonce, header, session.transcript)
    key, commitment = chain.message_key(mk_pq, mk_dr, session.transcript, encrypted)
    padded = frame.encode(Frame(content_type, content, symbols, stock, tokens))
    body = primitives.aead_seal(key, _ZERO_NONCE, padded, encrypted)
    sent = ratchet.Sending(sending.ours, following, sending.header_key, sending.n + 1, sending.previous_length)
    moved = Ratchet(
        stepped.root, stepped.next_send_header, stepped.next_receive_header, sent, stepped.receiving, stepped.skipped
    )
    after = Session(session.sid, session.transcript, session.initiator, moved, chains, exchange)
    return after, b"".join((encrypted, commitment, body))


def decrypt(session: Session, message: bytes, *, now: int) -> tuple[Session, Frame]:
    """The next state and the frame, or a PeerError with nothing changed. [R-7.4-4]

    Order of checks: header tag, header fields, limits, commitment, body tag, frame, exchange. [R-7.4-3]
    """
    if len(message) not in WIRE_SIZES:
        raise DecodeError("message", 0, f"{len(message)} bytes is not a message's size")
    encrypted = message[:ENCRYPTED_HEADER_SIZE]
    commitment = message[ENCRYPTED_HEADER_SIZE : ENCRYPTED_HEADER_SIZE + COMMITMENT_SIZE]
    opened = ratchet.open_header(session.ratchet, encrypted, session.transcript)
    if opened is None:
        raise UnknownHeader("the header opens under no key of this session")
    header, header_key = opened
    version, flags, dh, pn, n, tag, i, ppn = _HEADER.unpack(header)
    if (version, flags) != (VERSION, 0):  # [R-7.3-2]
        raise SessionError(f"header version {version} with flags {flags}")
    pq_exchange.check_tag(session.exchange, tag)
    pq_chains.check_limits(session.chains, tag, i, ppn)
    moved, mk_dr = ratchet.take_key(session.ratchet, header_key, dh, pn, n, now)
    chains, mk_pq = pq_chains.take_key(session.chains, tag, i, ppn, now)
    key, expected = chain.message_key(mk_pq, mk_dr, session.transcript, encrypted)
    if not primitives.equal(commitment, expected):  # before the body: the commitment binds key and context [R-7.4-2]
        raise Tampered("the key commitment does not match")
    body = message[ENCRYPTED_HEADER_SIZE + COMMITMENT_SIZE :]
    padded = primitives.aead_open(key, _ZERO_NONCE, body, encrypted)
    if padded is None:
        raise Tampered("the body's tag does not verify")
    received = frame.decode(padded)
    exchange, agreed = pq_exchange.receive(session.exchange, tag, received.symbols)
    if agreed is not None:
        chains = _agree(session, chains, agreed)
    if exchange.state.epoch > session.epoch:  # our own tag moved on, and our sending chain with it
        chains = pq_chains.switch_sending(chains)
    return Session(session.sid, session.transcript, session.initiator, moved, chains, exchange), received


def forget(session: Session, now: int) -> Session:
    """The session without skipped keys past their seven days; for sessions that receive nothing. [R-7.5-2]"""
    old, chains = session.ratchet, session.chains
    moved = Ratchet(
        old.root, old.next_send_header, old.next_receive_header, old.sending, old.receiving,
        ratchet.prune(old.skipped, now),
    )  # fmt: skip
    kept = QuantumChains(
        chains.sending, chains.receiving, chains.next_sending, chains.next_receiving,
        pq_chains.prune(chains.skipped, now),
    )  # fmt: skip
    return Session(session.sid, session.transcript, session.initiator, moved, kept, session.exchange)
