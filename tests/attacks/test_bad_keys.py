"""Keys that are no keys: low order, not canonical, not reduced, of a small group."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from simulator import NOW, TEXT, Seeded, accept, craft, first_flight, fresh_sessions, open_sessions, person
from troth_protocol import envelope, frame, keys, labels, ledger, manifest, prekeys, primitives, session
from troth_protocol.encoding import Reader, lp, u8, u16, u64
from troth_protocol.errors import BadKey, BadSignature, PeerError, SealError, SessionError, UnknownHeader
from troth_protocol.frame import Frame, Kind, Symbols

ALICE, BOB, EVE = person("alice"), person("bob"), person("eve")
SOURCE = Seeded("bad keys")
P: Final = 2**255 - 19
EIGHTH: Final = (
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
)
LOW_ORDER: Final = (0, 1, *EIGHTH, P - 1, P, P + 1)
"""The seven values of cr.yp.to/ecdh.html that give an all-zero secret, with their encodings past p."""
BAD: Final = tuple(
    value.to_bytes(32, "little")
    for value in (*LOW_ORDER, P + 9, 2**255 - 1, 2**255 + 9, 2**255 + EIGHTH[0], 2**256 - 1, 2**255)
)


def ephemeral(raw: bytes) -> None:
    """EK_A in a first message."""
    flight = first_flight(ALICE, BOB, SOURCE)
    plain = flight.prefix.encode() + lp(flight.message)
    forged = plain[:35] + raw + plain[67:]
    sealed = SOURCE.seal(
        BOB.statement.seal.handle, labels.SEAL + BOB.statement.hash, forged.ljust(16_514 - 1_136, b"\x00")
    )
    accept(BOB, sealed)


def identity(raw: bytes) -> None:
    """DIK in a manifest its owner signed."""
    body = EVE.manifest.raw[: -keys.SIGNATURE_SIZE]
    at = 91 + 16 + 1_984
    body = body[:at] + raw + body[at + 32 :]
    manifest.parse(body + EVE.root.sign(b"manifest", body, SOURCE), EVE.root.public)


def _statement(at: int, raw: bytes) -> None:
    body = EVE.statement.raw[: prekeys.STATEMENT_BODY_SIZE]
    body = body[:at] + raw + body[at + 32 :]
    prekeys.parse_statement(body + EVE.signing.sign(b"prekeys", body, SOURCE), EVE.fingerprint, EVE.device)


def signed_prekey(raw: bytes) -> None:
    """SPK in a statement its owner signed."""
    _statement(66, raw)


def seal_key(raw: bytes) -> None:
    """The X25519 half of SEAL."""
    _statement(98 + 2 * 1_184, raw)


def one_time(raw: bytes) -> None:
    """OPK in a batch its owner signed."""
    kem = EVE.statement.pqspk.raw
    root = prekeys.leaf_hash(0, raw, kem)
    for _ in range(prekeys.DEPTH):
        root = prekeys.node_hash(root, bytes(32))
    prekeys.open_leaf(b"\x00" + raw + kem + bytes(32 * prekeys.DEPTH), root)


def ratchet_key(raw: bytes) -> None:
    """A ratchet key in an authentic header, in the first message and in a later step."""
    padded = frame.encode(Frame(TEXT, b"x"))
    alice, bob = open_sessions("ratchet key")
    with pytest.raises(BadKey):
        session.decrypt(alice, craft(bob, SOURCE, padded, dh=raw), now=NOW)
    alice, bob = fresh_sessions("first ratchet key")
    session.decrypt(bob, craft(alice, SOURCE, padded, dh=raw), now=NOW)


ENTRIES: Final[tuple[Callable[[bytes], None], ...]] = (
    ephemeral, identity, signed_prekey, seal_key, one_time, ratchet_key,
)  # fmt: skip


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: str(entry.__name__))
@pytest.mark.parametrize("raw", BAD, ids=lambda raw: raw.hex()[:4] + ".." + raw.hex()[-4:])
def test_a12_low_order_and_non_canonical_points(entry: Callable[[bytes], None], raw: bytes) -> None:
    """A-12 (vodozemac and libsignal advisories, 2026): refused wherever a key comes in. [R-3.1-2]"""
    with pytest.raises(BadKey):
        entry(raw)


def test_a12_all_zero_secrets() -> None:
    """A-12: and should a point get past the list, its secret is refused. [R-3.1-3]"""
    for value in LOW_ORDER:
        with pytest.raises(BadKey):
            primitives.x25519(ALICE.identity.raw, value.to_bytes(32, "little"))


SMALL_ORDER: Final = tuple(
    bytes.fromhex(one)
    for one in (
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    )
)
UNIVERSAL: Final = SMALL_ORDER[0] + bytes(32)
"""R the neutral element and S zero: valid under a small-order key for every message its order divides into."""


def forged(purpose: bytes, public: bytes, dsa_seed: bytes, body: bytes) -> tuple[keys.VerifyKey, bytes]:
    """A key whose Ed25519 half is of small order, and a signature nobody's Ed25519 key was needed for."""
    dsa = primitives.mldsa_private(dsa_seed)
    key = keys.VerifyKey(public + dsa.public_key().public_bytes_raw())
    return key, UNIVERSAL + SOURCE.sign(dsa, keys.signed_bytes(purpose, key.key_hash, body))


def test_a14_the_forgery_is_real_elsewhere() -> None:
    """A-14: OpenSSL takes one signature for every message under the neutral element."""
    key = Ed25519PublicKey.from_public_bytes(SMALL_ORDER[0])
    for message in (b"one", b"other"):
        try:
            key.verify(UNIVERSAL, message)
        except InvalidSignature:  # pragma: no cover - a library that has mended this
            pytest.skip("this OpenSSL refuses small-order keys")
        assert not primitives.ed25519_verify(SMALL_ORDER[0], message, UNIVERSAL)


@pytest.mark.parametrize("public", SMALL_ORDER, ids=lambda raw: raw.hex()[:8])
def test_a14_small_order_signature_keys_at_every_signed_thing(public: bytes) -> None:
    """A-14 (pyca/cryptography): manifest, prekeys and ledger refuse the universal forgery. [R-3.1-1] [R-3.3-3]"""
    for attempt in range(8):  # a signature holds for one message in as many as the key's order
        seed = bytes([attempt]) * 32
        dsa = primitives.mldsa_private(seed).public_key().public_bytes_raw()
        root = keys.VerifyKey(public + dsa)
        body = u16(1) + root.fingerprint() + EVE.manifest.raw[34 : -keys.SIGNATURE_SIZE]
        key, signature = forged(b"manifest", public, seed, body)
        with pytest.raises(BadSignature):
            manifest.parse(body + signature, key)
        body = EVE.statement.raw[: prekeys.STATEMENT_BODY_SIZE]
        key, signature = forged(b"prekeys", public, seed, body)
        with pytest.raises(BadSignature):
            prekeys.parse_statement(body + signature, EVE.fingerprint, replace(EVE.device, signing=key))
        body = u16(1) + u64(0) + bytes(32) + u8(3) + u64(NOW) + u64(NOW) + lp(b"")
        key, signature = forged(b"ledger", public, seed, body)
        with pytest.raises(BadSignature):
            ledger.Ledger(key.fingerprint(labels.OPERATOR)).extend(body + signature, key)


def test_a16_kem_keys_that_are_not_reduced() -> None:
    """A-16 (FIPS 203 section 7.2): a coefficient of q or more, at every entry. [R-3.1-4]"""
    good = EVE.statement.pqspk.raw
    over = b"\x01\x0d" + good[2:]  # the first coefficient becomes 0xd01 = 3329 = q
    assert int.from_bytes(over[:2], "little") & 0xFFF == 3_329
    body = EVE.statement.raw[: prekeys.STATEMENT_BODY_SIZE]
    for at in (98, 98 + 1_184):
        changed = body[:at] + over + body[at + 1_184 :]
        with pytest.raises(BadKey):
            prekeys.parse_statement(
                changed + EVE.signing.sign(b"prekeys", changed, SOURCE), EVE.fingerprint, EVE.device
            )
    with pytest.raises(BadKey):
        keys.read_kem(Reader(over), "KIK")
    root = prekeys.leaf_hash(0, EVE.identity.public.raw, over)
    for _ in range(prekeys.DEPTH):
        root = prekeys.node_hash(root, bytes(32))
    with pytest.raises(BadKey):
        prekeys.open_leaf(b"\x00" + EVE.identity.public.raw + over + bytes(32 * prekeys.DEPTH), root)


def test_a16_tampered_kem_ciphertexts_and_implicit_rejection() -> None:
    """A-16: implicit rejection hides nothing, since the ciphertext is in the transcript or under a MAC."""
    flight = first_flight(ALICE, BOB, SOURCE)
    ciphertext = flight.prefix.opening.ciphertext
    opening = replace(flight.prefix.opening, ciphertext=bytes([ciphertext[0] ^ 1]) + ciphertext[1:])
    resealed = envelope.seal(
        replace(flight.prefix, opening=opening).encode(), flight.message, BOB.statement.seal, BOB.statement.hash, SOURCE
    )
    with pytest.raises(UnknownHeader):
        accept(BOB, resealed)
    for wrong in (ciphertext[:-1], ciphertext + b"\x00", b""):
        with pytest.raises(BadKey):
            BOB.secrets.pqspk.decapsulate(wrong)
    alice, bob = open_sessions("rejection")
    bob, _ = session.encrypt(bob, TEXT, b"", randomness=SOURCE)
    state = bob.exchange.state
    payload = getattr(state, "payload", b"")
    blob = Symbols(Kind.CIPHERTEXT, 0, bytes([payload[0] ^ 1]) + payload[1:])
    with pytest.raises(SessionError):
        session.decrypt(alice, craft(bob, SOURCE, frame.encode(Frame(TEXT, bytes(900), blob))), now=NOW)


def test_a28_truncated_tags() -> None:
    """A-28 (libsignal's 8-byte MAC, Olm version 1): 16 bytes of tag and 32 of commitment, all compared. [R-7.4-2]"""
    sealed = primitives.aead_seal(bytes(32), bytes(12), b"text", b"")
    for length in range(1, 16):
        assert primitives.aead_open(bytes(32), bytes(12), sealed[:-length], b"") is None
        assert primitives.aead_open(bytes(32), bytes(12), sealed[:-length] + bytes(length), b"") is None
    alice, bob = open_sessions("truncated")
    _, message = session.encrypt(alice, TEXT, b"x", randomness=SOURCE)
    for length in range(1, 32):
        for end in (82, 114, 1_154):
            wrong = message[: end - length] + bytes(length) + message[end:]
            with pytest.raises(PeerError):
                session.decrypt(bob, wrong, now=NOW)
    flight = first_flight(ALICE, BOB, SOURCE)
    with pytest.raises(SealError):
        accept(BOB, flight.sealed[:-8] + bytes(8))
