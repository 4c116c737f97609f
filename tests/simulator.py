"""Two people, one relay between them, and an adversary who works the relay.

Everything here is deterministic except what the libraries randomise themselves: encapsulation, ML-DSA and HPKE.
Accounts are made once for a test run; a session between two of them costs a millisecond.
"""

from __future__ import annotations

import functools
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from troth_protocol import card, chain, envelope, handshake, keys, pq_chains, prekeys, ratchet, session
from troth_protocol import manifest as manifests
from troth_protocol import primitives as crypto
from troth_protocol.frame import Frame, Tokens
from troth_protocol.manifest import Device, Manifest
from troth_protocol.session import Session

NOW: Final = 1_800_000_000
"""The second at which every simulation starts."""
TEXT: Final = 1
HEADER: Final = struct.Struct(">BB32sIIIII")
HEADER_FIELDS: Final = ("version", "flags", "dh", "pn", "n", "tag", "i", "ppn")


class Seeded:
    """Randomness from a seed where the library takes it, the library's own where it does not."""

    def __init__(self, seed: int | str) -> None:
        self._random = random.Random(seed)
        self._system = crypto.SystemRandomness()

    def draw(self, count: int) -> bytes:
        """The seed's next bytes."""
        return self._random.randbytes(count)

    def encapsulate(self, key: crypto.KemPublicHandle) -> tuple[bytes, bytes]:
        """The library's encapsulation."""
        return self._system.encapsulate(key)

    def sign(self, key: crypto.DsaPrivateHandle, message: bytes) -> bytes:
        """The library's signature."""
        return self._system.sign(key, message)

    def seal(self, key: crypto.SealPublicHandle, info: bytes, plaintext: bytes) -> bytes:
        """The library's seal."""
        return self._system.seal(key, info, plaintext)


class Recording(Seeded):
    """Keeps what it gave out, so that a test can look for it where it should no longer be."""

    def __init__(self, seed: int | str) -> None:
        super().__init__(seed)
        self.drawn: list[bytes] = []
        self.encapsulated: list[bytes] = []
        self.signatures = 0

    def draw(self, count: int) -> bytes:
        """The seed's next bytes, kept."""
        self.drawn.append(super().draw(count))
        return self.drawn[-1]

    def encapsulate(self, key: crypto.KemPublicHandle) -> tuple[bytes, bytes]:
        """The library's encapsulation, its secret kept."""
        secret, ciphertext = super().encapsulate(key)
        self.encapsulated.append(secret)
        return secret, ciphertext

    def sign(self, key: crypto.DsaPrivateHandle, message: bytes) -> bytes:
        """The library's signature, counted."""
        self.signatures += 1
        return super().sign(key, message)


@dataclass(frozen=True, repr=False)
class Person:
    """An account of one device with one live prekey statement."""

    root: keys.SigningKey
    signing: keys.SigningKey
    identity: keys.DhPrivateKey
    kem_identity: keys.KemPrivateKey
    manifest: Manifest
    secrets: prekeys.PrekeySecrets
    statement: prekeys.PrekeyStatement
    leaves: tuple[bytes, ...]
    mailbox: bytes
    card: card.Card

    @property
    def fingerprint(self) -> bytes:
        """The account's fingerprint."""
        return self.manifest.fingerprint

    @property
    def device(self) -> Device:
        """The one device."""
        return self.manifest.devices[0]

    @property
    def party(self) -> handshake.Party:
        """The device as a transcript names it."""
        return handshake.Party.of(self.fingerprint, self.manifest.hash, self.device)

    def leaf(self, index: int) -> prekeys.Leaf:
        """One verified one-time pair."""
        return prekeys.open_leaf(self.leaves[index], self.statement.root)

    def bundle(self) -> bytes:
        """The sealed bundle as the relay stores it."""
        entries = ((self.mailbox, self.statement.raw),)
        lookup, key = self.card.lookup, self.card.key
        return card.seal_bundle(key, lookup, self.root.public, self.manifest.raw, entries, Seeded("bundle"))

    def address(self, randomness: crypto.Randomness) -> envelope.ReturnAddress:
        """A return address with 64 tokens and the longest host name."""
        relay = card.RelayAddress("r" * 253, 443, self.card.relay.fingerprint)
        tokens = Tokens(NOW + 86_400, tuple(randomness.draw(32) for _ in range(envelope.FIRST_TOKENS)))
        return envelope.ReturnAddress(relay, self.mailbox, self.card.lookup, self.card.key, randomness.draw(32), tokens)


@functools.cache
def one_time_batch() -> tuple[prekeys.PrekeySecrets, bytes, tuple[bytes, ...]]:
    """One set of prekeys with its Merkle root and leaves, for tests that need no second."""
    secrets = prekeys.PrekeySecrets.generate(Seeded("batch"))
    return secrets, *prekeys.make_batch(secrets.one_time)


def make_device(signing: keys.SigningKey, seed: str) -> tuple[Device, keys.DhPrivateKey, keys.KemPrivateKey]:
    """A device's public entry and its two identity keys."""
    source = Seeded(seed)
    identity, kem_identity = keys.DhPrivateKey.generate(source), keys.KemPrivateKey.generate(source)
    device = Device(source.draw(16), signing.public, identity.public, kem_identity.public)
    return device, identity, kem_identity


@functools.cache
def person(name: str) -> Person:
    """The account of this name, made once."""
    source = Seeded(name)
    root, signing = keys.SigningKey.generate(source), keys.SigningKey.generate(source)
    device, identity, kem_identity = make_device(signing, f"{name}'s device")
    raw = manifests.create(root, 1, bytes(32), NOW, (device,), source)
    verified = manifests.parse(raw, root.public)
    secrets = prekeys.PrekeySecrets.generate(source)
    batch_root, leaves = prekeys.make_batch(secrets.one_time)
    signed = prekeys.sign_statement(signing, verified.fingerprint, device.id, NOW, secrets, batch_root, source)
    statement = prekeys.parse_statement(signed, verified.fingerprint, device)
    relay = card.RelayAddress("relay.example", 443, source.draw(32))
    shown = card.Card(relay, source.draw(32), source.draw(32), verified.fingerprint, source.draw(32))
    mailbox = source.draw(32)
    return Person(root, signing, identity, kem_identity, verified, secrets, statement, leaves, mailbox, shown)


class FirstFlight(NamedTuple):
    """What A holds and sends to open a session."""

    session: Session
    secrets: handshake.Secrets
    prefix: envelope.Prefix
    message: bytes
    sealed: bytes


def first_flight(
    a: Person, b: Person, randomness: crypto.Randomness, leaf_index: int | None = 0, text: bytes = b"hello"
) -> FirstFlight:
    """A's first message to B, with a one-time leaf or in last-resort mode."""
    statement = b.statement
    leaf = None if leaf_index is None else b.leaf(leaf_index)
    opening, secrets = handshake.initiate(a.party, a.identity, b.party, statement, leaf, randomness)
    started = session.start_initiator(secrets, statement.spk, a.kem_identity)
    started, message = session.encrypt(started, TEXT, text, randomness=randomness)
    prefix = envelope.Prefix(
        opening, a.device.id, b.device.id, b.manifest.hash, statement.hash, a.root.public, a.manifest.raw,
        a.address(randomness),
    )  # fmt: skip
    sealed = envelope.seal(prefix.encode(), message, statement.seal, statement.hash, randomness)
    return FirstFlight(started, secrets, prefix, message, sealed)


def accept(b: Person, sealed: bytes, now: int = NOW) -> tuple[Session, Frame]:
    """B opens, verifies and reads a first message; a PeerError if anything in it is wrong."""
    first = envelope.unseal(sealed, [(b.secrets.seal, b.statement.hash)])
    _, a, _ = envelope.verify_sender(first.prefix, now)
    secrets = handshake.respond(a, b.party, b.identity, b.secrets, b.statement.hash, first.prefix.opening)
    started = session.start_responder(secrets, b.secrets.spk, a.kem_identity)
    return session.decrypt(started, first.message, now=now)


def fresh_sessions(
    seed: int | str, leaf_index: int | None = 0, names: tuple[str, str] = ("alice", "bob")
) -> tuple[Session, Session]:
    """Alice's and Bob's sessions right after the handshake, before any message."""
    a, b, source = person(names[0]), person(names[1]), Seeded(seed)
    leaf = None if leaf_index is None else b.leaf(leaf_index)
    opening, ours = handshake.initiate(a.party, a.identity, b.party, b.statement, leaf, source)
    theirs = handshake.respond(a.party, b.party, b.identity, b.secrets, b.statement.hash, opening)
    return (
        session.start_initiator(ours, b.statement.spk, a.kem_identity),
        session.start_responder(theirs, b.secrets.spk, a.device.kem_identity),
    )


def open_sessions(seed: int | str) -> tuple[Session, Session]:
    """Alice's and Bob's sessions after Bob has read one message."""
    alice, bob = fresh_sessions(seed)
    alice, message = session.encrypt(alice, TEXT, b"hello", randomness=Seeded(seed))
    bob, _ = session.decrypt(bob, message, now=NOW)
    return alice, bob


def ping_pong(
    sides: tuple[Session, Session], rounds: int, randomness: crypto.Randomness, text: bytes = b"x"
) -> tuple[Session, Session]:
    """So many messages, alternating, from Alice on."""
    one, other = sides
    for turn in range(rounds):
        sender, receiver = (one, other) if turn % 2 == 0 else (other, one)
        sender, message = session.encrypt(sender, TEXT, text, randomness=randomness)
        receiver, _ = session.decrypt(receiver, message, now=NOW)
        one, other = (sender, receiver) if turn % 2 == 0 else (receiver, sender)
    return one, other


def craft(
    state: Session, randomness: crypto.Randomness, padded: bytes, *, com: bytes | None = None, **header: int | bytes
) -> bytes:
    """A dishonest peer's message: the next of ``state``, with this frame and with header fields of its choice."""
    _, sending = ratchet.ready_to_send(state.ratchet, randomness)
    _, mk_pq = pq_chains.send_key(state.chains)
    _, mk_dr = chain.classical_step(sending.key)
    used = state.chains.sending
    honest: dict[str, int | bytes] = {
        "version": 1, "flags": 0, "dh": sending.ours.public.raw, "pn": sending.previous_length, "n": sending.n,
        "tag": used.number + 1, "i": used.i, "ppn": used.previous_length,
    }  # fmt: skip
    fields = honest | header
    packed = HEADER.pack(*(fields[name] for name in HEADER_FIELDS))
    nonce = randomness.draw(12)
    encrypted = nonce + crypto.aead_seal(sending.header_key, nonce, packed, state.transcript)
    key, commitment = chain.message_key(mk_pq, mk_dr, state.transcript, encrypted)
    return encrypted + (com or commitment) + crypto.aead_seal(key, bytes(12), padded, encrypted)


class Flight(NamedTuple):
    """One message on its way: when the relay lets go of it, what it is, and what it says."""

    due: int
    number: int
    wire: bytes
    text: bytes


Fate = Callable[[int, int], int | None]
"""The adversary: for message ``number`` of side ``side``, by how many sends to delay it, or None to drop it."""


@dataclass
class Conversation:
    """Both sessions and the relay's two queues; ``now`` counts messages sent."""

    sides: list[Session]
    randomness: crypto.Randomness
    fate: Fate
    now: int = 0
    queues: tuple[list[Flight], list[Flight]] = field(default_factory=lambda: ([], []))
    sent: list[int] = field(default_factory=lambda: [0, 0])
    read: int = 0

    def send(self, side: int, length: int = 20) -> None:
        """One side sends a text, the adversary decides about it, and the relay lets go of what is due."""
        text = b"%d " % self.now + bytes(length)
        self.sides[side], wire = session.encrypt(self.sides[side], TEXT, text, randomness=self.randomness)
        delay = self.fate(side, self.sent[side])
        self.sent[side] += 1
        if delay is not None:
            self.queues[1 - side].append(Flight(self.now + delay, self.now, wire, text))
        self.now += 1
        self.deliver()

    def deliver(self) -> None:
        """Deliver what is due, to both sides; every text reads as it was sent."""
        for side, queue in enumerate(self.queues):
            due = sorted(flight for flight in queue if flight.due < self.now)
            queue[:] = [flight for flight in queue if flight.due >= self.now]
            for flight in due:
                self.sides[side], received = session.decrypt(self.sides[side], flight.wire, now=NOW)
                assert received.content == flight.text
                self.read += 1

    @property
    def epoch(self) -> int:
        """The lower of the two sides' epochs."""
        return min(side.epoch for side in self.sides)
