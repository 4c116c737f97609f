"""PQXDH: both sides agree, on exactly the secrets the specification computes, and on nothing if anything differs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from simulator import Seeded, person
from troth_protocol import handshake, labels
from troth_protocol.encoding import lp, sha256
from troth_protocol.errors import Mismatch
from troth_protocol.handshake import Mode, Opening, Party, Secrets
from troth_protocol.keys import DhPrivateKey, KemPrivateKey
from troth_protocol.primitives import hkdf

ALICE, BOB, EVE = person("alice"), person("bob"), person("eve")


def initiate(seed: str, leaf_index: int | None = 0) -> tuple[Opening, Secrets]:
    """Alice's side."""
    leaf = None if leaf_index is None else BOB.leaf(leaf_index)
    return handshake.initiate(ALICE.party, ALICE.identity, BOB.party, BOB.statement, leaf, Seeded(seed))


def respond(opening: Opening, a: Party = ALICE.party, b: Party = BOB.party, statement: bytes = b"") -> Secrets:
    """Bob's side."""
    return handshake.respond(a, b, BOB.identity, BOB.secrets, statement or BOB.statement.hash, opening)


@pytest.mark.parametrize("leaf_index", [None, 0, 127])
def test_both_sides_agree(leaf_index: int | None) -> None:
    """[R-6.1-1]"""
    opening, ours = initiate("agree", leaf_index)
    assert respond(opening) == ours
    assert (opening.mode, opening.leaf_index) == (Mode(leaf_index is not None), leaf_index or 0)
    values = (ours.transcript, ours.root, ours.hk_a, ours.nhk_b, ours.pq_root, ours.auth, ours.sid)
    assert len(set(values)) == 7
    assert {len(value) for value in values} == {32}


def test_every_handshake_is_fresh() -> None:
    """[R-6.1-1]: even from the same seed, since the library's encapsulation takes none."""
    assert initiate("fresh")[1].sid != initiate("fresh")[1].sid


@pytest.mark.parametrize("leaf_index", [None, 5])
def test_transcript_and_secrets_are_computed_as_specified(leaf_index: int | None) -> None:
    """[R-6.2-1] [R-6.2-2] [R-6.2-3]"""
    opening, ours = initiate("bytes", leaf_index)
    secrets, statement = BOB.secrets, BOB.statement
    one_time, kem = None, secrets.pqspk
    if leaf_index is not None:
        pair = secrets.one_time[leaf_index]
        assert pair is not None
        one_time, kem = DhPrivateKey.load(pair.dh), KemPrivateKey(pair.kem_seed)
    fields = [
        ALICE.fingerprint, ALICE.device.id, ALICE.manifest.hash, ALICE.identity.public.raw,
        sha256(ALICE.kem_identity.public_raw), BOB.fingerprint, BOB.device.id, BOB.manifest.hash, statement.hash,
        BOB.identity.public.raw, sha256(BOB.kem_identity.public_raw), secrets.spk.public.raw,
        one_time.public.raw if one_time else b"", kem.public_raw, opening.ephemeral.raw, opening.ciphertext,
    ]  # fmt: skip
    mode = b"\x01" if one_time else b"\x00"
    th = sha256(b"troth/1 th" + b"\x00\x01" + mode + b"".join(map(lp, fields)))
    assert ours.transcript == th
    dh = secrets.spk.exchange(ALICE.identity.public) + BOB.identity.exchange(opening.ephemeral)
    dh += secrets.spk.exchange(opening.ephemeral)
    dh += one_time.exchange(opening.ephemeral) if one_time else bytes(32)
    ikm = dh + kem.decapsulate(opening.ciphertext)
    out = hkdf(sha256(b"troth/1 pqxdh salt"), ikm, b"troth/1 pqxdh info" + th, 192)
    assert out == b"".join((ours.root, ours.hk_a, ours.nhk_b, ours.pq_root, ours.auth, ours.sid))


@pytest.mark.parametrize("name", ["fingerprint", "device_id", "manifest_hash", "identity", "kem_identity"])
@pytest.mark.parametrize("side", ["a", "b"])
def test_every_field_of_either_party_is_bound(side: str, name: str) -> None:
    """[R-6.2-1]"""
    opening, ours = initiate("bound")
    parties = {"a": ALICE.party, "b": BOB.party}
    other = getattr(EVE.party, name)
    parties[side] = replace(parties[side], **{name: other})
    theirs = respond(opening, parties["a"], parties["b"])
    assert theirs.transcript != ours.transcript
    assert not {theirs.root, theirs.hk_a, theirs.auth, theirs.sid} & {ours.root, ours.hk_a, ours.auth, ours.sid}


def test_statement_ephemeral_ciphertext_and_leaf_are_bound() -> None:
    """[R-6.2-1]"""
    opening, ours = initiate("rest")
    ciphertext = bytes([opening.ciphertext[0] ^ 1]) + opening.ciphertext[1:]
    changed = [
        respond(opening, statement=bytes(32)),
        respond(replace(opening, ephemeral=EVE.identity.public)),
        respond(replace(opening, ciphertext=ciphertext)),
        respond(replace(opening, leaf_index=1)),
    ]
    assert ours.sid not in {other.sid for other in changed}


def test_the_mode_is_bound_where_all_else_is_equal() -> None:
    """[R-6.2-2]"""
    opening, _ = initiate("mode", None)
    offer = handshake._Offer(BOB.statement.hash, BOB.statement.spk, None, BOB.statement.pqspk.raw)
    one, other = (handshake.transcript(mode, ALICE.party, BOB.party, offer, opening) for mode in Mode)
    assert one != other


def test_a_used_one_time_key_is_refused_and_responding_erases_nothing() -> None:
    """[R-6.4-2]"""
    opening, _ = initiate("used", 9)
    before = BOB.secrets.one_time
    respond(opening)
    assert BOB.secrets.one_time == before
    used = replace(BOB.secrets, one_time=(*before[:9], None, *before[10:]))
    with pytest.raises(Mismatch, match="one-time prekey 9 was used before"):
        handshake.respond(ALICE.party, BOB.party, BOB.identity, used, BOB.statement.hash, opening)


def test_labels_of_the_handshake() -> None:
    assert (labels.TRANSCRIPT, labels.PQXDH_SALT) == (b"troth/1 th", b"troth/1 pqxdh salt")
