"""Attacks on one message: flipped bits, and ciphertexts that open under two keys."""

from __future__ import annotations

from typing import Final

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from simulator import NOW, TEXT, Seeded, craft, open_sessions, ping_pong
from troth_protocol import chain, frame, pq_chains, primitives, ratchet, session, snapshot
from troth_protocol.chain import MessageKey
from troth_protocol.errors import DecodeError, PeerError, Tampered, UnknownHeader
from troth_protocol.frame import Frame
from troth_protocol.pairing import Held, Pair

SOURCE = Seeded("tampering")
P1305: Final = 2**130 - 5


def test_a25_every_bit_of_header_and_commitment_and_every_byte_of_the_body() -> None:
    """A-25: each is refused, and the state is the same byte for byte. [R-7.4-2] [R-7.4-3] [R-7.4-4]"""
    alice, bob = ping_pong(open_sessions("bits"), 8, SOURCE)
    _, message = session.encrypt(alice, TEXT, b"words", randomness=SOURCE)
    before = snapshot.encode_pair(Pair(Held(bob, own=False)))
    assert len(message) == 1_154
    flips = [(place, 1 << bit) for place in range(114) for bit in range(8)]
    flips += [(place, 1 + place % 255) for place in range(114, 1_154)]
    for place, flip in flips:
        forged = message[:place] + bytes([message[place] ^ flip]) + message[place + 1 :]
        with pytest.raises(UnknownHeader if place < 82 else Tampered):
            session.decrypt(bob, forged, now=NOW)
    assert snapshot.encode_pair(Pair(Held(bob, own=False))) == before
    assert session.decrypt(bob, message, now=NOW)[1].content == b"words"


def test_a25_parts_of_two_messages() -> None:
    """A-25: header, commitment and body of one message do not go with those of another. [R-7.4-1]"""
    alice, bob = open_sessions("parts")
    after, one = session.encrypt(alice, TEXT, b"one", randomness=SOURCE)
    _, other = session.encrypt(after, TEXT, b"two", randomness=SOURCE)
    _, again = session.encrypt(alice, TEXT, b"one", randomness=SOURCE)
    for header, com, body in (
        (one, one, other),
        (one, other, one),
        (other, one, one),
        (again, one, one),
        (one, again, again),
    ):
        with pytest.raises(Tampered):
            session.decrypt(bob, header[:82] + com[82:114] + body[114:], now=NOW)


def poly_key(key: bytes) -> tuple[int, int]:
    """r and s of Poly1305 for a ChaCha20-Poly1305 key under the zero nonce (RFC 8439 section 2.6)."""
    block = Cipher(algorithms.ChaCha20(key, bytes(16)), None).encryptor().update(bytes(32))
    clamp = 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    return int.from_bytes(block[:16], "little") & clamp, int.from_bytes(block[16:], "little")


def blocks_of(associated: bytes, ciphertext: bytes) -> list[int]:
    """What Poly1305 adds up, in order."""
    data = associated + bytes(-len(associated) % 16) + ciphertext + bytes(-len(ciphertext) % 16)
    data += len(associated).to_bytes(8, "little") + len(ciphertext).to_bytes(8, "little")
    return [int.from_bytes(data[at : at + 16], "little") + 2**128 for at in range(0, len(data), 16)]


def accumulate(r: int, blocks: list[int]) -> int:
    """The polynomial at r."""
    total = 0
    for block in blocks:
        total = (total + block) * r % P1305
    return total


def salamander(one: bytes, other: bytes, associated: bytes, length: int) -> bytes:
    """A ciphertext with one tag that is right under both keys: one block solves one linear equation."""
    (r1, s1), (r2, s2) = poly_key(one), poly_key(other)
    free = (len(associated) + 15) // 16  # the first block of the ciphertext is the unknown
    while True:
        ciphertext = bytes(16) + SOURCE.draw(length - 16)
        blocks = blocks_of(associated, ciphertext)
        blocks[free] = 0
        power = len(blocks) - free
        a1, a2 = accumulate(r1, blocks), accumulate(r2, blocks)
        slope = (pow(r1, power, P1305) - pow(r2, power, P1305)) % P1305
        unknown = (a2 + s2 - a1 - s1) * pow(slope, -1, P1305) % P1305
        if not 2**128 <= unknown < 2**129:
            continue
        blocks[free] = unknown
        tags = {(accumulate(r, blocks) + s) % 2**128 for r, s in ((r1, s1), (r2, s2))}
        if len(tags) == 1:
            return (unknown - 2**128).to_bytes(16, "little") + ciphertext[16:] + tags.pop().to_bytes(16, "little")


def test_a29_the_salamander_is_real() -> None:
    """A-29 (Dodis et al. 2018, Len et al. 2021): the AEAD alone accepts one ciphertext under two keys."""
    one, other = SOURCE.draw(32), SOURCE.draw(32)
    sealed = salamander(one, other, b"header", 1_024)
    first, second = (primitives.aead_open(key, bytes(12), sealed, b"header") for key in (one, other))
    assert first is not None
    assert second is not None
    assert first != second


def test_a29_the_commitment_refuses_it() -> None:
    """A-29: one message has one commitment, and each key has its own. [R-7.4-2]"""
    alice, bob = open_sessions("salamander")
    template = craft(alice, SOURCE, frame.encode(Frame(TEXT, b"")))
    encrypted = template[:82]
    _, sending = ratchet.ready_to_send(alice.ratchet, SOURCE)
    _, mk_dr = chain.classical_step(sending.key)
    _, mk_pq = pq_chains.send_key(alice.chains)
    key, com = chain.message_key(mk_pq, mk_dr, alice.transcript, encrypted)
    other_key, other_com = chain.message_key(MessageKey(bytes(32)), mk_dr, alice.transcript, encrypted)
    body = salamander(key, other_key, encrypted, 1_024)
    assert all(primitives.aead_open(one, bytes(12), body, encrypted) for one in (key, other_key))
    assert com != other_com
    with pytest.raises(Tampered, match="commitment"):
        session.decrypt(bob, encrypted + other_com + body, now=NOW)
    with pytest.raises(DecodeError):  # under its own commitment it opens, to what the attacker cannot choose
        session.decrypt(bob, encrypted + com + body, now=NOW)


def test_a29_the_commitment_is_judged_before_the_body_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """A-29: so a partitioning oracle learns nothing from the body's tag. [R-7.4-2] [R-7.4-3]"""
    alice, bob = open_sessions("first")
    _, message = session.encrypt(alice, TEXT, b"x", randomness=SOURCE)
    opened: list[int] = []
    real = primitives.aead_open

    def watched(key: bytes, nonce: bytes, ciphertext: bytes, associated: bytes) -> bytes | None:
        opened.append(len(ciphertext))
        return real(key, nonce, ciphertext, associated)

    monkeypatch.setattr(primitives, "aead_open", watched)
    forged = message[:82] + bytes(32) + message[114:]
    with pytest.raises(Tampered):
        session.decrypt(bob, forged, now=NOW)
    assert 1_040 not in opened
    session.decrypt(bob, message, now=NOW)
    assert 1_040 in opened


def test_a30_a_restored_state_reuses_no_keystream() -> None:
    """A-30 (virtual machine snapshots): the random encrypted header enters the key. [R-7.4-1]"""
    alice, bob = open_sessions("restore")
    texts = (b"attack at dawn", b"attack at dusk")
    messages = [session.encrypt(alice, TEXT, text, randomness=SOURCE)[1] for text in texts]
    frames = []
    for message in messages:
        received = session.decrypt(bob, message, now=NOW)[1]
        frames.append(frame.encode(received))
    bodies = [message[114:-16] for message in messages]
    mixed = bytes(a ^ b for a, b in zip(*bodies, strict=True))
    plain = bytes(a ^ b for a, b in zip(*frames, strict=True))
    assert mixed != plain
    assert sum(a == b for a, b in zip(mixed, plain, strict=True)) < 40  # a keystream used twice: all 1,024
    assert messages[0][82:114] != messages[1][82:114]
    with pytest.raises(PeerError):
        session.decrypt(session.decrypt(bob, messages[0], now=NOW)[0], messages[1], now=NOW)
