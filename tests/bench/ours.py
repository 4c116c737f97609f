"""The rows of the bench, done by troth/1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from simulator import NOW, TEXT, Person, open_sessions, person
from troth_protocol import card, envelope, handshake, prekeys, session
from troth_protocol.primitives import SystemRandomness
from troth_protocol.session import Session

SYSTEM: Final = SystemRandomness()
BODY: Final = bytes(800)
"""What a 1,024-byte frame carries beside the fields and a few symbols of the exchange."""


def encrypt(count: int) -> Callable[[], None]:
    """So many messages from one side, in a chain."""
    alice, _ = open_sessions("bench")

    def run() -> None:
        state = alice
        for _ in range(count):
            state, _ = session.encrypt(state, TEXT, BODY, randomness=SYSTEM)

    return run


def decrypt(count: int) -> Callable[[], None]:
    """As many messages of one chain, read in order."""
    alice, bob = open_sessions("bench")
    messages = []
    for _ in range(count):
        alice, message = session.encrypt(alice, TEXT, BODY, randomness=SYSTEM)
        messages.append(message)

    def run() -> None:
        state = bob
        for message in messages:
            state, _ = session.decrypt(state, message, now=NOW)

    return run


def alternate(count: int) -> Callable[[], None]:
    """So many messages, each answering the last: both ratchets step."""
    start = open_sessions("bench")

    def run() -> None:
        sides: list[Session] = [*start]
        for turn in range(count):
            side = 1 - turn % 2
            sides[side], message = session.encrypt(sides[side], TEXT, BODY, randomness=SYSTEM)
            sides[1 - side], _ = session.decrypt(sides[1 - side], message, now=NOW)

    return run


def initiate(a: Person, bundle: bytes, shown: card.Card, raw_leaf: bytes, address: envelope.ReturnAddress) -> bytes:
    """A's side: open and verify a bundle and a leaf, agree, write, seal."""
    opened = card.open_bundle(shown.key, shown.lookup, shown.fingerprint, bundle)
    statement, device = opened.entries[0].statement, opened.manifest.devices[0]
    leaf = prekeys.open_leaf(raw_leaf, statement.root)
    b = handshake.Party.of(opened.manifest.fingerprint, opened.manifest.hash, device)
    opening, secrets = handshake.initiate(a.party, a.identity, b, statement, leaf, SYSTEM)
    state = session.start_initiator(secrets, statement.spk, a.kem_identity)
    _, message = session.encrypt(state, TEXT, b"hello", randomness=SYSTEM)
    prefix = envelope.Prefix(
        opening, a.device.id, device.id, opened.manifest.hash, statement.hash, a.root.public, a.manifest.raw, address
    )
    return envelope.seal(prefix.encode(), message, statement.seal, statement.hash, SYSTEM)


def respond(b: Person, sealed: bytes) -> None:
    """B's side: unseal, verify, agree, read."""
    first = envelope.unseal(sealed, [(b.secrets.seal, b.statement.hash)])
    _, a, _ = envelope.verify_sender(first.prefix, NOW)
    secrets = handshake.respond(a, b.party, b.identity, b.secrets, b.statement.hash, first.prefix.opening)
    state = session.start_responder(secrets, b.secrets.spk, a.kem_identity)
    session.decrypt(state, first.message, now=NOW)


def handshakes(count: int) -> Callable[[], None]:
    """So many first messages, both sides."""
    alice, bob = person("alice"), person("bob")
    bundle, address = bob.bundle(), alice.address(SYSTEM)

    def run() -> None:
        for turn in range(count):
            respond(bob, initiate(alice, bundle, bob.card, bob.leaves[turn % 128], address))

    return run
