"""The key schedule of both ratchets: pure derivations, no state. SPEC.md sections 7.1 to 7.4."""

from __future__ import annotations

from typing import NewType

from . import labels, primitives
from .encoding import sha256, u32

RootKey = NewType("RootKey", bytes)
ChainKey = NewType("ChainKey", bytes)
HeaderKey = NewType("HeaderKey", bytes)
MessageKey = NewType("MessageKey", bytes)
PqRoot = NewType("PqRoot", bytes)


def root_step(root: RootKey, shared: bytes) -> tuple[RootKey, ChainKey, HeaderKey]:
    """KDF_RK: (RK', CK, NHK) from a root key and an X25519 secret, 32 bytes each. [R-7.1-1]"""
    out = primitives.hkdf(root, shared, labels.DR_ROOT, 96)
    return RootKey(out[:32]), ChainKey(out[32:64]), HeaderKey(out[64:])


def classical_step(chain: ChainKey) -> tuple[ChainKey, MessageKey]:
    """(CK', mk_dr) of a classical chain. [R-7.1-2]"""
    following, message = primitives.hmac_pair(chain, labels.DR_CHAIN, labels.DR_MESSAGE)
    return ChainKey(following), MessageKey(message)


def quantum_step(chain: ChainKey) -> tuple[ChainKey, MessageKey]:
    """(CK', mk_pq) of a post-quantum chain. [R-7.2-1]"""
    following, message = primitives.hmac_pair(chain, labels.PQ_CHAIN, labels.PQ_MESSAGE)
    return ChainKey(following), MessageKey(message)


def quantum_start(root: PqRoot) -> tuple[PqRoot, ChainKey, ChainKey]:
    """Chain 0: (PQROOT', CK_a2b, CK_b2a); a is the initiator. [R-7.2-2]"""
    out = primitives.hkdf(bytes(32), root, labels.PQ_START, 96)
    return PqRoot(out[:32]), ChainKey(out[32:64]), ChainKey(out[64:])


def quantum_epoch(
    root: PqRoot, secret: bytes, epoch: int, key_hash: bytes, ciphertext: bytes
) -> tuple[PqRoot, ChainKey, ChainKey]:
    """Chain ``epoch``: (PQROOT', CK_a2b, CK_b2a) from ss_e, H(ek_e) and ct_e. [R-7.2-3]"""
    out = primitives.hkdf(root, secret, labels.PQ_EPOCH + u32(epoch) + key_hash + sha256(ciphertext), 96)
    return PqRoot(out[:32]), ChainKey(out[32:64]), ChainKey(out[64:])


def authenticator_step(auth: bytes, secret: bytes, epoch: int) -> tuple[bytes, bytes]:
    """(AUTH', mac_e), 32 bytes each. [R-8.2-1]"""
    out = primitives.hkdf(bytes(32), auth + secret, labels.PQ_AUTH + u32(epoch), 64)
    return out[:32], out[32:]


def ciphertext_mac(mac_key: bytes, epoch: int, key_hash: bytes, ciphertext: bytes) -> bytes:
    """HMAC(mac_e, label || e || H(ek_e) || ct), 32 bytes. [R-8.2-2]"""
    return primitives.hmac_sha256(mac_key, labels.PQ_CIPHERTEXT_MAC + u32(epoch) + key_hash + ciphertext)


def key_mac(mac_key: bytes, epoch: int, key: bytes) -> bytes:
    """HMAC(mac_{e-1}, label || e || ek_e), 32 bytes, for e >= 2. [R-8.2-3]"""
    return primitives.hmac_sha256(mac_key, labels.PQ_KEY_MAC + u32(epoch) + key)


def message_key(quantum: MessageKey, classical: MessageKey, transcript: bytes, header: bytes) -> tuple[bytes, bytes]:
    """(key, com), 32 bytes each: secret if either ratchet is, bound to session and encrypted header. [R-7.4-1]"""
    out = primitives.hkdf(quantum, classical, labels.MESSAGE + sha256(transcript, header), 64)
    return out[:32], out[32:]
