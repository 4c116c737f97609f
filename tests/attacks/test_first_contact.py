"""Attacks on first contact: what a relay, an impostor or a replayer can do to a bundle and a first message."""

from __future__ import annotations

from dataclasses import replace

import pytest

from simulator import NOW, Person, Recording, Seeded, accept, first_flight, fresh_sessions, person
from troth_protocol import card, chain, envelope, handshake, keys, manifest, prekeys, session
from troth_protocol.encoding import sha256
from troth_protocol.errors import Duplicate, Fork, Mismatch, PeerError, SealError, SessionError, UnknownHeader
from troth_protocol.handshake import Mode, Opening, Party
from troth_protocol.manifest import History
from troth_protocol.wire import answers

ALICE, BOB, EVE = person("alice"), person("bob"), person("eve")
SOURCE = Seeded("first contact")


def served(root: bytes, raw: bytes, mailbox: bytes, statement: bytes) -> bytes:
    """A bundle for Bob's card from a relay that knows the card's key, as of a card published to the world."""
    verify_key = keys.VerifyKey(root)
    return card.seal_bundle(BOB.card.key, BOB.card.lookup, verify_key, raw, ((mailbox, statement),), SOURCE)


def opened(sealed: bytes) -> card.Bundle:
    """What Alice does with it."""
    return card.open_bundle(BOB.card.key, BOB.card.lookup, BOB.card.fingerprint, sealed)


def eves_statement_for(who: Person, spk: keys.DhPublicKey | None = None) -> bytes:
    """Eve's own prekeys, in a statement that names ``who``, under Eve's device key."""
    secrets = EVE.secrets if spk is None else replace(EVE.secrets, spk=keys.DhPrivateKey(bytes(32), spk))
    return prekeys.sign_statement(EVE.signing, who.fingerprint, who.device.id, NOW, secrets, EVE.statement.root, SOURCE)


def test_a01_relay_swaps_identity_or_prekey() -> None:
    """A-01 (X3DH section 4.7): the bundle verifies up to the card's fingerprint or nothing is sent. [R-5.3-2]"""
    root, raw, statement = BOB.root.public.raw, BOB.manifest.raw, BOB.statement.raw
    assert opened(served(root, raw, BOB.mailbox, statement)).manifest == BOB.manifest
    eves_devices = manifest.create(EVE.root, 1, bytes(32), NOW, (BOB.device,), SOURCE)
    mixed_root = BOB.root.public.raw[:32] + EVE.root.public.raw[32:]
    swapped = [
        (EVE.root.public.raw, EVE.manifest.raw, EVE.statement.raw),
        (EVE.root.public.raw, raw, statement),
        (mixed_root, raw, statement),
        (root, EVE.manifest.raw, EVE.statement.raw),
        (root, eves_devices, statement),
        (root, raw, EVE.statement.raw),
        (root, raw, eves_statement_for(BOB)),
    ]
    for at in (66, 98, 98 + 1_184, 98 + 2_368, 98 + 2_400, 98 + 2_416):  # SPK, PQSPK, both halves of SEAL, batch, root
        forged = statement[:at] + EVE.statement.raw[at : at + 16] + statement[at + 16 :]
        swapped.append((root, raw, forged))
    for one in swapped:
        with pytest.raises(PeerError):
            opened(served(one[0], one[1], BOB.mailbox, one[2]))


def test_a02_relay_swaps_or_repeats_a_one_time_key() -> None:
    """A-02 (X3DH's one-time keys are unsigned): every leaf has a path to the signed root. [R-4.4-2] [R-6.4-2]"""
    root = BOB.statement.root
    leaf = BOB.leaves[4]
    foreign = leaf[:1] + EVE.leaves[4][1 : 1 + 1_216] + leaf[1_217:]
    for wrong in (EVE.leaves[4], foreign, b"\x05" + leaf[1:], leaf[:-32] + bytes(32)):
        with pytest.raises(Mismatch):
            prekeys.open_leaf(wrong, root)
    first, second = (first_flight(who, BOB, SOURCE, 4) for who in (ALICE, EVE))
    assert accept(BOB, first.sealed)[1].content == b"hello"
    used = replace(BOB.secrets, one_time=(*BOB.secrets.one_time[:4], None, *BOB.secrets.one_time[5:]))
    with pytest.raises(Mismatch, match="used before"):
        handshake.respond(EVE.party, BOB.party, BOB.identity, used, BOB.statement.hash, second.prefix.opening)
    assert accept(BOB, first_flight(EVE, BOB, SOURCE, None).sealed)[1].content == b"hello"  # falls back to mode 0


class ToyKem:
    """A KEM that binds nothing: one secret and one ciphertext, whatever the key."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    def encapsulate(self) -> tuple[bytes, bytes]:
        """The same for every key."""
        return b"s" * 32, b"c" * 1_088


def test_a04_a_kem_that_does_not_bind_its_key() -> None:
    """A-04 (Bhargavan et al. F4, Fiedler and Günther): key and ciphertext are in the KDF. [R-6.2-1]"""
    dh, found = bytes(128), set()
    for raw in (b"1" * 1_184, b"2" * 1_184):
        kem = ToyKem(raw)
        secret, ciphertext = kem.encapsulate()
        opening = Opening(Mode.LAST_RESORT, EVE.identity.public, ciphertext, 0)
        offer = handshake._Offer(BOB.statement.hash, BOB.statement.spk, None, kem.raw)
        th = handshake.transcript(Mode.LAST_RESORT, ALICE.party, BOB.party, offer, opening)
        found.add(handshake.derive(dh, secret, th).sid)
    assert len(found) == 2
    epochs = {chain.quantum_epoch(chain.PqRoot(bytes(32)), b"s" * 32, 2, sha256(raw), b"c")[0] for raw in (b"1", b"2")}
    macs = {chain.ciphertext_mac(b"m" * 32, 2, sha256(raw), b"c") for raw in (b"1", b"2")}
    assert len(epochs) == len(macs) == 2


def test_a05_last_resort_passed_off_as_one_time() -> None:
    """A-05 (Bhargavan et al. F5): the mode is in the transcript, and B reads it for itself. [R-6.2-2]"""
    flight = first_flight(ALICE, BOB, SOURCE, None)
    plain = flight.prefix.opening
    for claimed in (replace(plain, mode=Mode.ONE_TIME), replace(plain, mode=Mode.ONE_TIME, leaf_index=3)):
        theirs = handshake.respond(ALICE.party, BOB.party, BOB.identity, BOB.secrets, BOB.statement.hash, claimed)
        started = session.start_responder(theirs, BOB.secrets.spk, ALICE.device.kem_identity)
        with pytest.raises(UnknownHeader):
            session.decrypt(started, flight.message, now=NOW)
    offer = handshake._Offer(BOB.statement.hash, BOB.statement.spk, None, BOB.statement.pqspk.raw)
    seen = {handshake.transcript(mode, ALICE.party, BOB.party, offer, plain) for mode in Mode}
    assert len(seen) == 2  # with every key the same
    raw = BOB.leaves[3][:1] + BOB.statement.spk.raw + BOB.statement.pqspk.raw + BOB.leaves[3][1_217:]
    with pytest.raises(Mismatch):
        prekeys.open_leaf(raw, BOB.statement.root)


def replay_key(opening: Opening) -> bytes:
    """What a client's replay set is keyed by."""
    return sha256(opening.ephemeral.raw, opening.ciphertext)


def test_a06_replay_of_a_first_message() -> None:
    """A-06 (X3DH section 4.2, Sesame): a replay has the same key, and no state comes of it. [R-6.4-2] [R-7.4-4]"""
    for leaf_index in (None, 6):
        flight = first_flight(ALICE, BOB, SOURCE, leaf_index)
        bob, _ = accept(BOB, flight.sealed)
        again = envelope.unseal(flight.sealed, [(BOB.secrets.seal, BOB.statement.hash)])
        assert replay_key(again.prefix.opening) == replay_key(flight.prefix.opening)
        with pytest.raises(Duplicate):  # on a hit the inner message goes to the session it made
            session.decrypt(bob, again.message, now=NOW)
    used = replace(BOB.secrets, one_time=(*BOB.secrets.one_time[:6], None, *BOB.secrets.one_time[7:]))
    with pytest.raises(Mismatch, match="used before"):
        handshake.respond(ALICE.party, BOB.party, BOB.identity, used, BOB.statement.hash, again.prefix.opening)
    with pytest.raises(SealError):  # after the statement's private keys are gone
        envelope.unseal(flight.sealed, [])
    assert replay_key(first_flight(ALICE, BOB, SOURCE, None).prefix.opening) != replay_key(flight.prefix.opening)


def test_a07_bundle_answers_tell_nothing_of_the_stock_of_leaves() -> None:
    """A-07 (Prekey Pogo, WOOT 2025): one size with or without a leaf; the paying is the relay's. [R-5.3-3]"""
    sealed = BOB.bundle()
    sizes = {len(answers.encode(1, answers.Bundle(sealed, (leaf,)))) for leaf in (None, BOB.leaves[0])}
    assert sizes == {5 + 20_480}


def test_a08_unknown_key_share() -> None:
    """A-08 (Frosch et al. 2016): Eve registers Bob's keys as hers; both names are in the transcript. [R-6.2-1]"""
    stolen = replace(BOB.device, id=EVE.device.id, signing=EVE.device.signing)
    raw = manifest.create(EVE.root, 2, EVE.manifest.hash, NOW, (stolen,), SOURCE)
    as_eve = Party.of(EVE.fingerprint, sha256(raw), stolen)
    statement = prekeys.parse_statement(
        eves_statement_with_bobs_prekeys(), EVE.fingerprint, replace(stolen, id=EVE.device.id)
    )
    opening, ours = handshake.initiate(ALICE.party, ALICE.identity, as_eve, statement, None, SOURCE)
    alice = session.start_initiator(ours, statement.spk, ALICE.kem_identity)
    _, message = session.encrypt(alice, 1, b"for Eve", randomness=SOURCE)
    theirs = handshake.respond(ALICE.party, BOB.party, BOB.identity, BOB.secrets, BOB.statement.hash, opening)
    bob = session.start_responder(theirs, BOB.secrets.spk, ALICE.device.kem_identity)
    with pytest.raises(UnknownHeader):
        session.decrypt(bob, message, now=NOW)


def eves_statement_with_bobs_prekeys() -> bytes:
    """Bob's public prekeys under Eve's name and signature."""
    bobs = replace(
        BOB.secrets, spk=keys.DhPrivateKey(bytes(32), BOB.statement.spk), seal=EVE.secrets.seal, pqspk=BOB.secrets.pqspk
    )
    return prekeys.sign_statement(EVE.signing, EVE.fingerprint, EVE.device.id, NOW, bobs, BOB.statement.root, SOURCE)


def test_a08_alice_misnamed_to_bob() -> None:
    """A-08 the other way: Eve puts Alice's DIK into her own manifest and resends Alice's opening. [R-6.2-1]"""
    flight = first_flight(ALICE, BOB, SOURCE)
    stolen = replace(ALICE.device, signing=EVE.device.signing)
    raw = manifest.create(EVE.root, 2, EVE.manifest.hash, NOW, (stolen,), SOURCE)
    prefix = replace(flight.prefix, root_a=EVE.root.public, manifest_a=raw)
    resealed = envelope.seal(prefix.encode(), flight.message, BOB.statement.seal, BOB.statement.hash, SOURCE)
    with pytest.raises(UnknownHeader):
        accept(BOB, resealed)


def test_a09_thief_of_an_identity_key_alone_cannot_pose_to_its_owner() -> None:
    """A-09 (X3DH section 4.8, KCI): DIK_B without SPK_B makes no session with B. [R-6.1-1]"""
    opening, guess = impersonate(BOB.identity, None)
    with pytest.raises(UnknownHeader):
        read_as_alice(opening, guess)


def test_a09_thief_of_the_signed_prekey_too_is_never_confirmed() -> None:
    """A-09: with SPK_B as well the classical part falls, as is documented; the KEM to KIK_A does not. [R-8.3-5]"""
    opening, guess = impersonate(BOB.identity, BOB.secrets.spk)
    bob, frame = read_as_alice(opening, guess)
    assert frame == b"not Alice"
    assert not bob.confirmed


def impersonate(stolen: keys.DhPrivateKey, spk: keys.DhPrivateKey | None) -> tuple[Opening, handshake.Secrets]:
    """A handshake in Alice's name by somebody with some of Bob's private keys and none of Alice's."""
    ephemeral = keys.DhPrivateKey.generate(SOURCE)
    statement = BOB.statement
    secret, ciphertext = statement.pqspk.encapsulate(SOURCE)
    dh1 = spk.exchange(ALICE.device.identity) if spk else stolen.exchange(ALICE.device.identity)
    dh = dh1 + ephemeral.exchange(stolen.public) + ephemeral.exchange(statement.spk) + bytes(32)
    opening = Opening(Mode.LAST_RESORT, ephemeral.public, ciphertext, 0)
    offer = handshake._Offer(statement.hash, statement.spk, None, statement.pqspk.raw)
    th = handshake.transcript(Mode.LAST_RESORT, ALICE.party, BOB.party, offer, opening)
    return opening, handshake.derive(dh, secret, th)


def read_as_alice(opening: Opening, secrets: handshake.Secrets) -> tuple[session.Session, bytes]:
    """Bob accepts an opening in Alice's name and reads the impostor's first message."""
    impostor = session.start_initiator(secrets, BOB.statement.spk, EVE.kem_identity)
    impostor, message = session.encrypt(impostor, 1, b"not Alice", randomness=SOURCE)
    theirs = handshake.respond(ALICE.party, BOB.party, BOB.identity, BOB.secrets, BOB.statement.hash, opening)
    bob = session.start_responder(theirs, BOB.secrets.spk, ALICE.device.kem_identity)
    bob, received = session.decrypt(bob, message, now=NOW)
    replies = []
    for _ in range(3):
        bob, reply = session.encrypt(bob, 1, b"x", randomness=SOURCE)
        replies.append(reply)
    with pytest.raises(SessionError, match="not authentic"):
        read_all(impostor, replies)
    return bob, received.content


def read_all(state: session.Session, messages: list[bytes]) -> None:
    """Every message in order."""
    for message in messages:
        state, _ = session.decrypt(state, message, now=NOW)


def test_a51_relay_shows_two_manifests() -> None:
    """A-51: the hash of the manifest used is in the transcript, and a second content of a version is a fork."""
    other = manifest.parse(manifest.create(BOB.root, 1, bytes(32), NOW, (BOB.device,), SOURCE), BOB.root.public)
    with pytest.raises(Fork):
        History().check_served(BOB.manifest).check_served(other)
    alice, bob = fresh_sessions("two views")
    seen = replace(BOB.party, manifest_hash=other.hash)
    opening, ours = handshake.initiate(ALICE.party, ALICE.identity, seen, BOB.statement, None, SOURCE)
    theirs = handshake.respond(ALICE.party, BOB.party, BOB.identity, BOB.secrets, BOB.statement.hash, opening)
    assert ours.sid != theirs.sid
    assert alice.sid == bob.sid


def test_a80_no_signature_over_content() -> None:
    """A-80 in part: after the long-term statements, a handshake and a message sign nothing. [R-7.4-1]"""
    source = Recording("signing")
    flight = first_flight(ALICE, BOB, source)
    session.encrypt(flight.session, 1, b"words", randomness=source)
    assert source.signatures == 0
