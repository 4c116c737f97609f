"""What is lost and what heals when a whole state is stolen, and what a state must no longer hold."""

from __future__ import annotations

from dataclasses import fields, is_dataclass

import pytest

from simulator import NOW, TEXT, Conversation, Recording, Seeded, first_flight, fresh_sessions, open_sessions, person
from troth_protocol import chain, handshake, pq_exchange, ratchet, session, snapshot
from troth_protocol.errors import DecryptError, PeerError, UnknownHeader
from troth_protocol.keys import KemPrivateKey
from troth_protocol.pairing import Held, Pair
from troth_protocol.session import Session

SOURCE = Seeded("compromise")


def serialized(state: Session) -> bytes:
    """A session as it lies in the vault."""
    return snapshot.encode_pair(Pair(Held(state, own=True)))


def exchange_once(sides: list[Session], side: int, length: int = 1) -> bytes:
    """One message, sent and read."""
    sides[side], message = session.encrypt(sides[side], TEXT, bytes(length), randomness=SOURCE)
    sides[1 - side], _ = session.decrypt(sides[1 - side], message, now=NOW)
    return message


def test_a31_a_clone_is_shut_out_after_one_round_trip() -> None:
    """A-31 (Cremers et al. 2020, 2023): Bob's device is cloned; once both have stepped, the clone reads nothing."""
    sides = list(open_sessions("clone"))
    for turn in range(10):
        exchange_once(sides, 1 - turn % 2)
    clone = sides[1]
    assert session.decrypt(clone, session.encrypt(sides[0], TEXT, b"x", randomness=SOURCE)[1], now=NOW)
    for side in (0, 1, 0, 1):
        exchange_once(sides, side)
    for _ in range(20):
        message = exchange_once(sides, 0)
        with pytest.raises(UnknownHeader):
            session.decrypt(clone, message, now=NOW)
        exchange_once(sides, 1)


def test_a31_what_the_clone_sends_is_refused_and_seen() -> None:
    """A-31: and changes nothing; the refusal is what a client shows. [R-7.4-4]"""
    sides = list(open_sessions("clone sends"))
    for turn in range(11):
        exchange_once(sides, 1 - turn % 2)
    clone = sides[1]
    exchange_once(sides, 1)
    exchange_once(sides, 0)
    exchange_once(sides, 1)
    before = serialized(sides[0])
    _, forged = session.encrypt(clone, TEXT, b"from the clone", randomness=SOURCE)
    with pytest.raises(DecryptError):
        session.decrypt(sides[0], forged, now=NOW)
    assert serialized(sides[0]) == before
    exchange_once(sides, 0)


def test_a31_post_quantum_secrets_the_clone_never_saw_enter_within_sixty_messages() -> None:
    """A-31: PQROOT of the true device moves on by secrets that are in no state the clone holds. [R-7.2-3]"""
    sides = list(open_sessions("clone pq"))
    for turn in range(10):
        exchange_once(sides, 1 - turn % 2)
    stolen = {sides[1].exchange.root, sides[1].exchange.auth}
    epoch = min(side.epoch for side in sides)
    for turn in range(60):
        exchange_once(sides, 1 - turn % 2)
    assert min(side.epoch for side in sides) >= epoch + 2
    assert not stolen & {sides[1].exchange.root, sides[1].exchange.auth}


def test_a38_decapsulation_keys_and_secrets_do_not_outlive_their_use() -> None:
    """A-38: nothing drawn or encapsulated two epochs ago is in either state; ss is in none, ever. [R-7.2-4]"""
    source, draws = Recording("retention"), list[tuple[int, bytes]]()
    sides = list(fresh_sessions("retention"))
    for turn in range(80):
        side, had = turn % 2, len(source.drawn)
        sides[side], message = session.encrypt(sides[side], TEXT, b"x", randomness=source)
        sides[1 - side], _ = session.decrypt(sides[1 - side], message, now=NOW)
        draws += [(turn, drawn) for drawn in source.drawn[had:] if len(drawn) >= 32]
        states = serialized(sides[0]) + serialized(sides[1])
        assert not any(secret in states for secret in source.encapsulated)
        for made, drawn in draws:
            lasts = 3 if len(drawn) == 32 else 16  # a ratchet key: until the answer; a KEM seed: until its epoch ends
            if made + lasts < turn:
                assert drawn not in states, (made, turn, len(drawn))
    assert len(source.encapsulated) >= 10
    assert any(len(drawn) == 64 for _, drawn in draws)


def test_a38_the_handshakes_secrets_are_not_kept() -> None:
    """A-38: RK, HK_A, NHK_B, PQROOT, AUTH, EK_A and the signed prekey leave the state soon. [R-7.1-4]"""
    alice, bob = person("alice"), person("bob")
    source = Recording("handshake")
    flight = first_flight(alice, bob, source)
    secrets = flight.secrets
    ephemeral = source.drawn[0]
    assert ephemeral not in serialized(flight.session)
    assert bytes(secrets.pq_root) not in serialized(flight.session)
    assert bytes(secrets.root) not in serialized(flight.session)
    started = session.start_responder(secrets, bob.secrets.spk, alice.device.kem_identity)
    assert bob.secrets.spk.raw in serialized(started)
    sides = [flight.session, session.decrypt(started, flight.message, now=NOW)[0]]
    assert bob.secrets.spk.raw not in serialized(sides[1])
    for turn in range(6):
        exchange_once(sides, 1 - turn % 2)
    states = serialized(sides[0]) + serialized(sides[1])
    for old in (secrets.root, secrets.hk_a, secrets.nhk_b, secrets.pq_root, secrets.auth, alice.kem_identity.seed):
        assert old not in states


def test_a38_each_state_of_the_exchange_holds_what_it_may_know() -> None:
    """A-38: only the two states that await a ciphertext hold a decapsulation key. [R-8.3-2]"""
    holders = {
        kind
        for kind in pq_exchange.State.__args__
        if "KemPrivateKey" in " ".join(map(str, getattr(kind, "__annotations__", {}).values()))
        or (is_dataclass(kind) and any(field.type is KemPrivateKey for field in fields(kind)))
    }
    assert holders == {pq_exchange.SendKey, pq_exchange.ReceiveCiphertext}


def test_a39_old_ciphertexts_stay_closed_to_whoever_takes_the_state() -> None:
    """A-39: no present state, of either side, opens anything that was read before. [R-7.5-1] [R-7.1-5] [R-7.2-4]"""
    sides, past = list(open_sessions("forward")), list[bytes]()
    for turn in range(60):
        past.append(exchange_once(sides, (turn // 3 + 1) % 2, 600))
    for state in sides:
        for message in past:
            with pytest.raises(PeerError):
                session.decrypt(state, message, now=NOW)


def test_a39_old_message_and_chain_keys_are_not_in_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """A-39: every chain, message and root key ever derived is gone but those of the present step."""
    derived: list[bytes] = []
    for name in ("root_step", "classical_step", "quantum_step", "quantum_epoch", "message_key", "authenticator_step"):
        real = getattr(chain, name)

        def watched(*arguments: object, real=real) -> tuple[bytes, ...]:  # type: ignore[no-untyped-def]
            out: tuple[bytes, ...] = real(*arguments)
            derived.extend(out)
            return out

        monkeypatch.setattr(chain, name, watched)
    sides = list(open_sessions("derived"))
    for turn in range(60):
        exchange_once(sides, 1 - turn % 2)
    old = derived[:]
    for turn in range(40):
        exchange_once(sides, 1 - turn % 2)
    states = serialized(sides[0]) + serialized(sides[1])
    assert len(old) > 500
    assert [key for key in old if key in states] == []


def test_a39_skipped_keys_are_all_that_is_kept_of_the_past() -> None:
    """A-39: and they go with their message, or after seven days. [R-7.5-2]"""
    talk = Conversation(list(open_sessions("kept")), SOURCE, lambda side, number: None if number % 4 == 1 else 0)
    for turn in range(80):
        talk.send((turn // 5) % 2)
    for side in talk.sides:
        assert side.ratchet.skipped
        forgotten = session.forget(side, NOW + ratchet.SKIPPED_SECONDS)
        assert not forgotten.ratchet.skipped
        assert not forgotten.chains.skipped
        kept = {key for old in side.ratchet.skipped for key, _ in old.keys.values()}
        assert not any(bytes(key) in serialized(forgotten) for key in kept)


def test_a39_a_used_one_time_key_opens_no_old_first_message() -> None:
    """A-39: after the pair is erased, all of Bob's remaining keys do not remake the secrets. [R-6.4-2]"""
    alice, bob = person("alice"), person("bob")
    flight = first_flight(alice, bob, SOURCE, 11)
    opening = flight.prefix.opening
    hash_ = bob.statement.hash
    assert handshake.respond(alice.party, bob.party, bob.identity, bob.secrets, hash_, opening) == flight.secrets
    for other in (10, 12):
        guessed = handshake.Opening(opening.mode, opening.ephemeral, opening.ciphertext, other)
        found = handshake.respond(alice.party, bob.party, bob.identity, bob.secrets, hash_, guessed)
        assert found.root != flight.secrets.root
