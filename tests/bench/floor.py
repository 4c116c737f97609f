"""The rows of the bench as bare library calls: what the same cryptography costs with no protocol around it.

Each function makes the calls one operation needs, through the same door, and nothing else: no parsing, no state, no
checks but the libraries' own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from simulator import Seeded, person
from troth_protocol import labels
from troth_protocol import primitives as crypto
from troth_protocol.encoding import sha256

SYSTEM: Final = crypto.SystemRandomness()
K: Final = b"k" * 32
TH: Final = b"t" * 32
N12: Final = bytes(12)
HEADER: Final = bytes(54)
FRAME: Final = bytes(1_024)
EPOCH_MESSAGES: Final = 28
"""Messages of 800 bytes one epoch takes when they alternate: 38 + 35 symbols, six a frame, and two changes of hands."""
ALICE, BOB = person("alice"), person("bob")
SEED: Final = Seeded("floor")
OTHER: Final = crypto.x25519_public(SEED.draw(32))
SEALED_BUNDLE: Final = crypto.aead_seal(K, N12, bytes(18_404), K)
SEALED: Final = SYSTEM.seal(BOB.statement.seal.handle, b"", bytes(15_378))
MANIFEST: Final = ALICE.manifest.raw


def one_encrypt() -> None:
    """Two chain steps, header, message key, body."""
    crypto.hmac_pair(K, labels.DR_CHAIN, labels.DR_MESSAGE)
    crypto.hmac_pair(K, labels.PQ_CHAIN, labels.PQ_MESSAGE)
    encrypted = crypto.aead_seal(K, SYSTEM.draw(12), HEADER, TH)
    crypto.hkdf(K, K, labels.MESSAGE + sha256(TH, encrypted), 64)
    crypto.aead_seal(K, N12, FRAME, encrypted)


_ENCRYPTED: Final = crypto.aead_seal(K, N12, HEADER, TH)
_BODY: Final = crypto.aead_seal(K, N12, FRAME, _ENCRYPTED)


def one_decrypt() -> None:
    """The same on the other side."""
    crypto.aead_open(K, N12, _ENCRYPTED, TH)
    crypto.hmac_pair(K, labels.DR_CHAIN, labels.DR_MESSAGE)
    crypto.hmac_pair(K, labels.PQ_CHAIN, labels.PQ_MESSAGE)
    _, com = K, crypto.hkdf(K, K, labels.MESSAGE + sha256(TH, _ENCRYPTED), 64)[32:]
    crypto.equal(com, com)
    crypto.aead_open(K, N12, _BODY, _ENCRYPTED)


def step_to_send() -> None:
    """A fresh key and a root step."""
    private = SYSTEM.draw(32)
    crypto.x25519_public(private)
    crypto.hkdf(K, crypto.x25519(private, OTHER), labels.DR_ROOT, 96)


def step_to_receive() -> None:
    """A header under the old key first, then a root step."""
    crypto.aead_open(TH, N12, _ENCRYPTED, TH)
    crypto.hkdf(K, crypto.x25519(K, OTHER), labels.DR_ROOT, 96)


def one_epoch() -> None:
    """A key, a ciphertext, both MACs on both sides, both derivations on both sides."""
    private = crypto.mlkem_private(SYSTEM.draw(64))
    public = crypto.mlkem_public(private.public_key().public_bytes_raw())
    _, ciphertext = SYSTEM.encapsulate(public)
    crypto.mlkem_decapsulate(private, ciphertext)
    for _ in range(2):
        crypto.hmac_sha256(K, bytes(1_200))
        crypto.hmac_sha256(K, bytes(1_140))
        crypto.hkdf(K, K, labels.PQ_AUTH, 64)
        crypto.hkdf(K, K, labels.PQ_EPOCH, 96)
        sha256(ciphertext)
        sha256(ciphertext)


def verify_hybrid(public: bytes, signed: bytes, signature: bytes) -> None:
    """Import an ML-DSA key and verify both halves; the Ed25519 half is made to fail early by no one."""
    crypto.ed25519_verify(public[:32], signed, signature[:64])
    crypto.mldsa_verify(crypto.mldsa_public(public[32:]), signed, signature[64:])


def one_handshake() -> None:
    """Both sides, from the sealed bundle to the first message read."""
    # A: open the bundle, verify two hybrid signatures, import five keys, hash a path.
    crypto.hkdf(K, K, labels.BUNDLE_KEY, 32)
    crypto.aead_open(K, N12, SEALED_BUNDLE, K)
    for person_key, raw in ((BOB.root.public.raw, BOB.manifest.raw), (BOB.signing.public.raw, BOB.statement.raw)):
        verify_hybrid(person_key, raw[:-3_373], raw[-3_373:])
        sha256(raw)
    for raw_kem in (BOB.kem_identity.public_raw, BOB.secrets.pqspk.public_raw, BOB.leaves[0][33:1_217]):
        crypto.mlkem_public(raw_kem)
    seal = BOB.statement.seal.raw
    handle = crypto.seal_public(crypto.mlkem_public(seal[:1_184]), seal[1_184:])
    for _ in range(8):
        sha256(K, K)
    # A: the agreement, the first message, the seal.
    ephemeral = SYSTEM.draw(32)
    crypto.x25519_public(ephemeral)
    _, ciphertext = SYSTEM.encapsulate(BOB.statement.pqspk.handle)
    for _ in range(4):
        crypto.x25519(ephemeral, OTHER)
    crypto.hkdf(K, bytes(160), TH, 192)
    crypto.hkdf(K, K, labels.PQ_START, 96)
    step_to_send()
    one_encrypt()
    sealed = SYSTEM.seal(handle, b"", bytes(15_378))
    # B: unseal, verify one hybrid signature, import two keys, agree, read.
    crypto.seal_open(BOB.secrets.seal.handle, b"", sealed)
    verify_hybrid(ALICE.root.public.raw, MANIFEST[:-3_373], MANIFEST[-3_373:])
    crypto.mldsa_public(ALICE.signing.public.raw[32:])
    crypto.mlkem_public(ALICE.kem_identity.public_raw)
    crypto.x25519_public(ephemeral)
    kem = crypto.mlkem_private(K + K)
    for _ in range(4):
        crypto.x25519(ephemeral, OTHER)
    crypto.mlkem_decapsulate(kem, ciphertext)
    crypto.hkdf(K, bytes(160), TH, 192)
    crypto.hkdf(K, K, labels.PQ_START, 96)
    crypto.hkdf(K, crypto.x25519(K, OTHER), labels.DR_ROOT, 96)
    one_decrypt()


def _repeated(operation: Callable[[], None]) -> Callable[[int], Callable[[], None]]:
    def prepare(count: int) -> Callable[[], None]:
        def run() -> None:
            for _ in range(count):
                operation()

        return run

    return prepare


def alternate(count: int) -> Callable[[], None]:
    """So many messages that each step, and one epoch of the exchange in every EPOCH_MESSAGES."""

    def run() -> None:
        for turn in range(count):
            step_to_send()
            one_encrypt()
            step_to_receive()
            one_decrypt()
            if turn % EPOCH_MESSAGES == 0:
                one_epoch()

    return run


encrypt = _repeated(one_encrypt)
decrypt = _repeated(one_decrypt)
handshakes = _repeated(one_handshake)
