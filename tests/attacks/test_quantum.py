"""Attacks by somebody with a quantum computer, and on the exchange that heals against one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from simulator import NOW, TEXT, Recording, Seeded, craft, fresh_sessions, open_sessions, person, ping_pong
from troth_protocol import card, chain, frame, handshake, keys, manifest, pq_exchange, prekeys, primitives, session
from troth_protocol.chain import ChainKey
from troth_protocol.errors import BadSignature, PeerError, SessionError, Tampered
from troth_protocol.frame import Frame, Kind, Symbols
from troth_protocol.pq_exchange import ReceiveKey, SendCiphertext
from troth_protocol.session import Session

ALICE, BOB, EVE = person("alice"), person("bob"), person("eve")
SOURCE = Seeded("quantum")


def with_broken_ed25519(victim: keys.SigningKey, purpose: bytes, body: bytes) -> bytes:
    """What an active quantum attacker signs: a true Ed25519 half, and an ML-DSA half of another key."""
    signed = keys.signed_bytes(purpose, victim.public.key_hash, body)
    attacker = primitives.mldsa_private(bytes(32))
    return primitives.ed25519_sign(victim.ed25519_seed, signed) + SOURCE.sign(attacker, signed)


def test_a10_active_quantum_attacker_forges_prekeys() -> None:
    """A-10 (PQXDH revisions 1 to 3): without the ML-DSA half nothing verifies. [R-3.3-3]"""
    body = EVE.statement.raw[: prekeys.STATEMENT_BODY_SIZE]
    body = body[:2] + BOB.fingerprint + BOB.device.id + body[50:]
    forged = body + with_broken_ed25519(BOB.signing, b"prekeys", body)
    with pytest.raises(BadSignature):
        prekeys.parse_statement(forged, BOB.fingerprint, BOB.device)
    raw = BOB.manifest.raw
    end = len(raw) - keys.SIGNATURE_SIZE
    with pytest.raises(BadSignature):
        manifest.parse(raw[:end] + with_broken_ed25519(BOB.root, b"manifest", raw[:end]), BOB.root.public)
    entries = ((BOB.mailbox, forged),)
    sealed = card.seal_bundle(BOB.card.key, BOB.card.lookup, BOB.root.public, raw, entries, SOURCE)
    with pytest.raises(BadSignature):
        card.open_bundle(BOB.card.key, BOB.card.lookup, BOB.card.fingerprint, sealed)


def impostor_and_bob() -> tuple[Session, Session]:
    """Somebody who broke every X25519 key of Alice, but has not her KIK, and Bob, who took the first message."""
    opening, secrets = handshake.initiate(ALICE.party, ALICE.identity, BOB.party, BOB.statement, None, SOURCE)
    impostor = session.start_initiator(secrets, BOB.statement.spk, EVE.kem_identity)
    theirs = handshake.respond(ALICE.party, BOB.party, BOB.identity, BOB.secrets, BOB.statement.hash, opening)
    bob = session.start_responder(theirs, BOB.secrets.spk, ALICE.device.kem_identity)
    impostor, message = session.encrypt(impostor, TEXT, b"hello", randomness=SOURCE)
    bob, _ = session.decrypt(bob, message, now=NOW)
    return impostor, bob


def test_a11_quantum_impostor_is_never_confirmed() -> None:
    """A-11 (PQXDH authenticates classically only): e >= 2 needs Alice's KIK. [R-8.3-5] [R-8.3-4]"""
    impostor, bob = impostor_and_bob()
    for _ in range(20):
        bob, answer = session.encrypt(bob, TEXT, b"x", randomness=SOURCE)
        try:
            impostor, _ = session.decrypt(impostor, answer, now=NOW)
        except SessionError:
            continue
        impostor, message = session.encrypt(impostor, TEXT, b"x", randomness=SOURCE)
        bob, _ = session.decrypt(bob, message, now=NOW)
    assert isinstance(bob.exchange.state, SendCiphertext)
    assert not bob.confirmed
    padded = frame.encode(Frame(TEXT, b"claims epoch 2"))
    jumped = impostor._replace(chains=impostor.chains._replace(sending=impostor.chains.sending._replace(number=1)))
    for claim in (craft(impostor, SOURCE, padded, tag=2, i=0), craft(jumped, SOURCE, padded)):
        with pytest.raises(Tampered):
            session.decrypt(bob, claim, now=NOW)
    assert not bob.confirmed


@pytest.mark.parametrize("tag", [3, 4, 2**32 - 1, 0])
def test_a35_tags_out_of_turn(tag: int) -> None:
    """A-35: anything above the awaited tag is a session error, after the header and before any key. [R-8.3-4]"""
    alice, bob = open_sessions("out of turn")
    before = bob
    with pytest.raises(SessionError):
        session.decrypt(bob, craft(alice, SOURCE, frame.encode(Frame(TEXT, b"x")), tag=tag), now=NOW)
    assert bob == before


def test_a35_symbols_of_an_older_epoch_are_not_mixed_in() -> None:
    """A-35: a late message of epoch 1 brings its text and nothing for epoch 2 or 3. [R-8.3-3]"""
    alice, bob = open_sessions("older")
    bob, late = session.encrypt(bob, TEXT, b"late", randomness=SOURCE)
    alice, bob = ping_pong((alice, bob), 3, SOURCE)
    while not (isinstance(alice.exchange.state, ReceiveKey) and alice.epoch >= 2):
        alice, bob = ping_pong((alice, bob), 2, SOURCE)
    after, received = session.decrypt(alice, late, now=NOW)
    assert received.content == b"late"
    assert received.symbols.kind is Kind.CIPHERTEXT
    assert after.exchange == alice.exchange


@pytest.mark.parametrize("kind", [Kind.KEY, Kind.CIPHERTEXT])
def test_a35_forged_key_or_ciphertext_of_the_peer(kind: Kind) -> None:
    """A-35: a blob that its epoch's MAC does not cover is a session error and changes nothing. [R-8.2-4]"""
    alice, bob = open_sessions("forged")
    wanted = pq_exchange.ReceiveKey if kind is Kind.KEY else pq_exchange.ReceiveCiphertext
    sides = [alice, bob]
    for turn in range(1, 60):
        receiver, sender = sides[turn % 2], sides[1 - turn % 2]
        if isinstance(receiver.exchange.state, wanted) and sender.epoch == receiver.epoch > 1:
            break
        sides[1 - turn % 2], message = session.encrypt(sender, TEXT, bytes(750), randomness=SOURCE)
        sides[turn % 2], _ = session.decrypt(receiver, message, now=NOW)
    blob = Symbols(kind, 0, bytes(32 * frame.SYMBOL_COUNT[kind]))
    forged = craft(sender, SOURCE, frame.encode(Frame(TEXT, bytes(900), blob)))
    before = receiver
    with pytest.raises(SessionError, match="is not authentic"):
        session.decrypt(receiver, forged, now=NOW)
    assert receiver == before


def test_a36_thief_of_the_classical_half_cannot_inject_keys() -> None:
    """A-36: with every X25519 secret and header key, the message key still needs mk_pq. [R-7.4-1]"""
    alice, bob = ping_pong(open_sessions("broken dr"), 20, SOURCE)
    alice, message = session.encrypt(alice, TEXT, b"x", randomness=SOURCE)
    bob, _ = session.decrypt(bob, message, now=NOW)
    unknown = alice.chains.sending._replace(key=ChainKey(bytes(32)))
    thief = alice._replace(chains=alice.chains._replace(sending=unknown))
    epoch = bob.epoch
    blob = Symbols(Kind.KEY, 0, bytes(32 * 25))
    for padded in (frame.encode(Frame(TEXT, b"x", blob)), frame.encode(Frame(TEXT, b"x"))):
        with pytest.raises(Tampered):
            session.decrypt(bob, craft(thief, SOURCE, padded), now=NOW)
    assert bob.epoch == epoch
    reader = bob._replace(chains=bob.chains._replace(receiving=bob.chains.receiving._replace(key=ChainKey(bytes(32)))))
    _, following = session.encrypt(alice, TEXT, b"secret", randomness=SOURCE)
    with pytest.raises(PeerError):
        session.decrypt(reader, following, now=NOW)


def test_a36_thief_of_the_post_quantum_half_cannot_read_either() -> None:
    """A-36 the other way: secret if either ratchet is. [R-7.4-1]"""
    alice, bob = ping_pong(open_sessions("broken pq"), 20, SOURCE)
    alice, message = session.encrypt(alice, TEXT, b"x", randomness=SOURCE)
    bob, _ = session.decrypt(bob, message, now=NOW)
    receiving = bob.ratchet.receiving
    assert receiving is not None
    blind = bob._replace(ratchet=bob.ratchet._replace(receiving=receiving._replace(key=ChainKey(bytes(32)))))
    _, following = session.encrypt(alice, TEXT, b"secret", randomness=SOURCE)
    with pytest.raises(Tampered):
        session.decrypt(blind, following, now=NOW)


def test_a34_dropped_and_reordered_symbols_delay_and_never_corrupt() -> None:
    """A-34: an adversary who lets through only one message in three, the last first. [R-8.1-2]"""
    sides, source = list(fresh_sessions("symbols")), Recording("symbols")
    sides[0], message = session.encrypt(sides[0], TEXT, b"hello", randomness=source)
    sides[1], _ = session.decrypt(sides[1], message, now=NOW)
    for turn in range(160):
        side = 1 - turn % 2
        held = []
        for _ in range(6):
            sides[side], message = session.encrypt(sides[side], TEXT, bytes(600), randomness=source)
            held.append(message)
        for message in (held[5], held[2]):
            sides[1 - side], received = session.decrypt(sides[1 - side], message, now=NOW)
            assert received.content == bytes(600)
    assert min(side.epoch for side in sides) >= 6


def test_a34_an_adversary_who_cuts_every_wrapping_frame_out() -> None:
    """A-34: dropping by position, which would starve a fixed cycle, only delays. [R-8.1-2]"""
    for lost in range(5):
        sides, count = list(open_sessions(f"cut {lost}")), 0
        for turn in range(700):
            side = 1 - turn % 2
            sides[side], message = session.encrypt(sides[side], TEXT, bytes(800), randomness=SOURCE)
            count += side
            if count % 5 != lost or side == 0:
                sides[1 - side], _ = session.decrypt(sides[1 - side], message, now=NOW)
        assert min(side.epoch for side in sides) >= 5


def test_a10_both_halves_are_needed_the_other_way_too() -> None:
    """A-10: nor does an ML-DSA half alone verify, should lattices fall first. [R-3.3-3]"""
    raw = BOB.manifest.raw
    end = len(raw) - keys.SIGNATURE_SIZE
    half = replace(BOB.root, ed25519_seed=bytes(32))
    forged = raw[:end] + half.sign(b"manifest", raw[:end], SOURCE)[:64] + raw[end + 64 :]
    with pytest.raises(BadSignature):
        manifest.parse(forged, BOB.root.public)


def test_a35_symbols_of_an_older_epoch_do_not_count() -> None:
    """A-35: late symbols of the awaited kind, two epochs old, are no part of the present key. [R-8.3-3]"""
    waiting = pq_exchange.Exchange(chain.PqRoot(bytes(32)), bytes(32), pq_exchange.ReceiveKey(4, bytes(32), {}))
    old = frame.Symbols(frame.Kind.KEY, 0, bytes(64))
    assert pq_exchange.receive(waiting, 2, old) == (waiting, None)
    after, _ = pq_exchange.receive(waiting, 4, old)
    assert isinstance(after.state, pq_exchange.ReceiveKey)
    assert len(after.state.have) == 2
