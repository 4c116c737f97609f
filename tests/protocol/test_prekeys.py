"""Prekey statements and the signed batch of one-time pairs."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import NOW, Seeded, one_time_batch, person
from troth_protocol import keys, prekeys
from troth_protocol.encoding import sha256, u16, u64
from troth_protocol.errors import BadKey, BadSignature, DecodeError, Expired, Mismatch
from troth_protocol.manifest import DAY

BOB = person("bob")
SOURCE = Seeded("prekeys")


def test_the_statement_is_laid_out_as_the_specification_says() -> None:
    """[R-4.3-1]: one signature by the device's key over all of it."""
    statement, secrets = BOB.statement, BOB.secrets
    body = b"".join(
        (
            u16(1), BOB.fingerprint, BOB.device.id, u64(NOW), u64(NOW + 30 * DAY), secrets.spk.public.raw,
            secrets.pqspk.public_raw, secrets.seal.public.raw, secrets.batch, statement.root,
        )
    )  # fmt: skip
    assert statement.raw[: prekeys.STATEMENT_BODY_SIZE] == body
    assert len(statement.raw) == prekeys.STATEMENT_SIZE == 5_919
    assert statement.hash == sha256(statement.raw)
    BOB.device.signing.verify(b"prekeys", body, statement.raw[len(body) :], "statement")


def test_every_region_of_a_statement_is_signed() -> None:
    """[R-4.3-1]"""
    raw = BOB.statement.raw
    for place in [*range(0, prekeys.STATEMENT_BODY_SIZE, 61), *range(prekeys.STATEMENT_BODY_SIZE, len(raw), 89)]:
        forged = raw[:place] + bytes([raw[place] ^ 0x80]) + raw[place + 1 :]
        with pytest.raises(BadSignature):
            prekeys.parse_statement(forged, BOB.fingerprint, BOB.device)
    for cut in (raw[:-1], raw + b"\x00", b""):
        with pytest.raises(DecodeError):
            prekeys.parse_statement(cut, BOB.fingerprint, BOB.device)


def test_a_statement_belongs_to_one_account_and_device() -> None:
    """[R-4.3-1]"""
    alice = person("alice")
    with pytest.raises(Mismatch, match="another device"):
        prekeys.parse_statement(BOB.statement.raw, alice.fingerprint, BOB.device)
    with pytest.raises(BadSignature):
        prekeys.parse_statement(BOB.statement.raw, BOB.fingerprint, alice.device)


def signed(body: bytes) -> bytes:
    """A statement body under Bob's key, as only he could make it."""
    return body + BOB.signing.sign(b"prekeys", body, SOURCE)


@pytest.mark.parametrize("lifetime", [0, -5, 30 * DAY + 1])
def test_a_statement_lives_at_most_thirty_days(lifetime: int) -> None:
    """[R-4.3-2]"""
    body = BOB.statement.raw[: prekeys.STATEMENT_BODY_SIZE]
    with pytest.raises(DecodeError, match="prekey expires"):
        prekeys.parse_statement(signed(body[:58] + u64(NOW + lifetime) + body[66:]), BOB.fingerprint, BOB.device)


def test_initiators_refuse_an_expired_statement() -> None:
    """[R-4.3-2]"""
    statement = BOB.statement
    for good in (NOW - DAY, NOW, NOW + 30 * DAY - 1):
        statement.check_time(good)
    for bad in (NOW - DAY - 1, NOW + 30 * DAY):
        with pytest.raises(Expired):
            statement.check_time(bad)


def test_the_schedule_of_replacement_and_erasure() -> None:
    """[R-4.3-3] [R-4.3-4]: replaced every 7 days; private halves outlive an envelope's 14 days in the queue."""
    assert prekeys.REPLACE_AFTER == 7 * DAY < prekeys.LIFETIME == 30 * DAY
    assert prekeys.KEEP_PRIVATE == 14 * DAY


def test_bad_keys_in_a_signed_statement_are_refused() -> None:
    """[R-3.1-2] [R-3.1-4]: the signature of their owner does not make them usable."""
    body = BOB.statement.raw[: prekeys.STATEMENT_BODY_SIZE]
    spk, pqspk, seal = 66, 98, 98 + 1_184
    for at, length, filler in (
        (spk, 32, b"\x00"),
        (pqspk, 1_184, b"\xff"),
        (seal, 1_184, b"\xff"),
        (seal + 1_184, 32, b"\x00"),
    ):
        forged = body[:at] + filler * length + body[at + length :]
        with pytest.raises(BadKey):
            prekeys.parse_statement(signed(forged), BOB.fingerprint, BOB.device)


def test_leaf_and_node_hashes() -> None:
    """[R-4.4-1]: type and index are hashed, and leaves cannot pass for nodes."""
    dh, kem = bytes(32), bytes(1_184)
    assert prekeys.leaf_hash(3, dh, kem) == sha256(b"\x00\x01\x03" + dh + sha256(kem))
    assert prekeys.node_hash(b"l" * 32, b"r" * 32) == sha256(b"\x01" + b"l" * 32 + b"r" * 32)
    assert prekeys.leaf_hash(4, dh, kem) != prekeys.leaf_hash(3, dh, kem)


def test_a_batch_has_128_leaves_that_all_open() -> None:
    """[R-4.4-2]"""
    secrets, root, leaves = one_time_batch()
    assert len(leaves) == prekeys.BATCH == 128 == len(secrets.one_time)
    for index in range(0, 128, 9):
        leaf, pair = prekeys.open_leaf(leaves[index], root), secrets.one_time[index]
        assert pair is not None
        assert len(leaves[index]) == 1_441
        assert leaf.index == index
        assert leaf.dh == keys.DhPrivateKey.load(pair.dh).public
        assert leaf.kem.raw == keys.KemPrivateKey(pair.kem_seed).public_raw


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 127), st.integers(0, 1_440), st.integers(1, 255))
def test_a_leaf_altered_anywhere_is_refused(index: int, place: int, change: int) -> None:
    """[R-4.4-2]: index, keys and path."""
    _, root, leaves = one_time_batch()
    raw = bytearray(leaves[index])
    raw[place] ^= change
    with pytest.raises((Mismatch, DecodeError)):
        prekeys.open_leaf(bytes(raw), root)


def test_a_leaf_of_another_batch_or_length_is_refused() -> None:
    """[R-4.4-2]: the path is exactly seven."""
    _, root, leaves = one_time_batch()
    with pytest.raises(Mismatch):
        prekeys.open_leaf(BOB.leaves[0], root)
    with pytest.raises(Mismatch):
        prekeys.open_leaf(b"\x01" + leaves[0][1:], root)
    for wrong in (leaves[0][:-32], leaves[0] + bytes(32), leaves[0][:-1], b""):
        with pytest.raises(DecodeError):
            prekeys.open_leaf(wrong, root)
    with pytest.raises(DecodeError):
        prekeys.open_leaf(b"\x80" + leaves[0][1:], root)


def test_a_bad_key_in_a_signed_batch_is_refused() -> None:
    """[R-4.4-2] [R-3.1-2]"""
    kem = keys.KemPrivateKey.generate(SOURCE).public_raw
    path = bytes(32 * 7)
    root = prekeys.leaf_hash(0, bytes(32), kem)
    for _ in range(7):
        root = prekeys.node_hash(root, bytes(32))
    with pytest.raises(BadKey):
        prekeys.open_leaf(b"\x00" + bytes(32) + kem + path, root)
