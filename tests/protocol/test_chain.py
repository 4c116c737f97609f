"""The key schedule, against HKDF and HMAC written out from RFC 5869 and RFC 2104's library."""

from __future__ import annotations

import hashlib
import hmac

from troth_protocol import chain
from troth_protocol.chain import ChainKey, MessageKey, PqRoot, RootKey

ZEROS = bytes(32)
KEY = bytes(range(32))
SECRET = bytes(range(32, 64))


def kdf(salt: bytes, ikm: bytes, info: bytes, length: int) -> bytes:
    """HKDF-SHA-256, from RFC 5869 section 2."""
    extracted = hmac.digest(salt, ikm, "sha256")
    out, block = b"", b""
    for counter in range(1, 9):
        block = hmac.digest(extracted, block + info + bytes([counter]), "sha256")
        out += block
    return out[:length]


def test_the_classical_root_step() -> None:
    """[R-7.1-1]"""
    assert b"".join(chain.root_step(RootKey(KEY), SECRET)) == kdf(KEY, SECRET, b"troth/1 dr root", 96)


def test_the_classical_chain_step() -> None:
    """[R-7.1-2]"""
    expected = tuple(hmac.digest(KEY, label, "sha256") for label in (b"troth/1 dr ck", b"troth/1 dr mk"))
    assert chain.classical_step(ChainKey(KEY)) == expected


def test_the_post_quantum_chain_step() -> None:
    """[R-7.2-1]"""
    expected = tuple(hmac.digest(KEY, label, "sha256") for label in (b"troth/1 pq ck", b"troth/1 pq mk"))
    assert chain.quantum_step(ChainKey(KEY)) == expected


def test_chain_zero() -> None:
    """[R-7.2-2]"""
    assert b"".join(chain.quantum_start(PqRoot(KEY))) == kdf(ZEROS, KEY, b"troth/1 pq start", 96)


def test_a_later_epoch_binds_key_and_ciphertext() -> None:
    """[R-7.2-3]"""
    info = b"troth/1 pq epoch" + b"\x00\x00\x00\x07" + b"h" * 32 + hashlib.sha256(b"ct").digest()
    assert b"".join(chain.quantum_epoch(PqRoot(KEY), SECRET, 7, b"h" * 32, b"ct")) == kdf(KEY, SECRET, info, 96)


def test_the_authenticator() -> None:
    """[R-8.2-1]"""
    expected = kdf(ZEROS, KEY + SECRET, b"troth/1 pq auth" + b"\x00\x00\x00\x02", 64)
    assert b"".join(chain.authenticator_step(KEY, SECRET, 2)) == expected


def test_the_mac_of_a_ciphertext() -> None:
    """[R-8.2-2]"""
    message = b"troth/1 pq ct" + b"\x00\x00\x00\x03" + b"h" * 32 + b"ct"
    assert chain.ciphertext_mac(KEY, 3, b"h" * 32, b"ct") == hmac.digest(KEY, message, "sha256")


def test_the_mac_of_a_key() -> None:
    """[R-8.2-3]"""
    message = b"troth/1 pq ek" + b"\x00\x00\x00\x03" + b"ek"
    assert chain.key_mac(KEY, 3, b"ek") == hmac.digest(KEY, message, "sha256")


def test_the_message_key_needs_both_ratchets_and_binds_session_and_header() -> None:
    """[R-7.4-1]"""
    quantum, classical = MessageKey(KEY), MessageKey(SECRET)
    made = chain.message_key(quantum, classical, b"th", b"header")
    info = b"troth/1 msg" + hashlib.sha256(b"th" + b"header").digest()
    assert b"".join(made) == kdf(KEY, SECRET, info, 64)
    changed = {
        chain.message_key(MessageKey(ZEROS), classical, b"th", b"header"),
        chain.message_key(quantum, MessageKey(ZEROS), b"th", b"header"),
        chain.message_key(quantum, classical, b"TH", b"header"),
        chain.message_key(quantum, classical, b"th", b"Header"),
    }
    assert len(changed | {made}) == 5
