"""What people compare, what they can deny, and which of their devices a relay can keep alive."""

from __future__ import annotations

from typing import cast

import pytest

from simulator import NOW, TEXT, Recording, Seeded, accept, person
from troth_protocol import envelope, handshake, manifest, session
from troth_protocol.errors import Expired, Fork, Rollback
from troth_protocol.handshake import Mode, Opening
from troth_protocol.keys import DhPrivateKey, KemPrivateKey
from troth_protocol.manifest import DAY, History
from troth_protocol.safety import safety_number

ALICE, BOB, EVE = person("alice"), person("bob"), person("eve")
SOURCE = Seeded("people")


def test_a62_manifest_rollback_and_freeze() -> None:
    """A-62: an old manifest hides a revocation; pin, expiry and what messages carry show it. [R-4.2-3] [R-4.2-5]"""
    first = BOB.manifest
    raw = manifest.create(BOB.root, 2, first.hash, NOW + 5, (EVE.device,), SOURCE)
    revoked = manifest.parse(raw, BOB.root.public)
    pinned = History().check_served(first).check_served(revoked)
    with pytest.raises(Rollback):
        pinned.check_served(first)
    heard_of = History().check_served(first).check_queued(revoked)  # Bob's own message brought it
    with pytest.raises(Rollback):
        heard_of.check_served(first)
    with pytest.raises(Expired):  # a relay that shows nothing newer for good
        first.check_time(NOW + 90 * DAY)
    other = manifest.parse(manifest.create(BOB.root, 2, first.hash, NOW, (BOB.device,), SOURCE), BOB.root.public)
    with pytest.raises(Fork):
        pinned.check_served(other)


def test_a79_lookalike_safety_numbers() -> None:
    """A-79: all 256 bits of the hash are shown, so every bit of either fingerprint counts. [R-14-1]"""
    mine, theirs = ALICE.fingerprint, BOB.fingerprint
    true = safety_number(mine, theirs)
    seen = {true}
    for bit in range(256):
        flipped = bytes(byte ^ (1 << bit % 8 if at == bit // 8 else 0) for at, byte in enumerate(theirs))
        seen.add(safety_number(mine, flipped))
    assert len(seen) == 257
    assert 10**78 > 2**256
    assert len(true.replace(" ", "")) == 80
    assert safety_number(theirs, mine) == true
    assert safety_number(mine, EVE.fingerprint) != true  # the other account of a middle


class KnownSecrets:
    """Stands in for Alice's KIK: knows each secret because Bob himself encapsulated it, and nothing of hers."""

    def __init__(self, source: Recording) -> None:
        self.public_raw = ALICE.device.kem_identity.raw
        self._source = source

    def decapsulate(self, ciphertext: bytes) -> bytes:
        """What Bob put into the ciphertext."""
        del ciphertext
        return self._source.encapsulated[-1]


def test_a80_bob_forges_a_whole_conversation() -> None:
    """A-80: from Alice's public keys alone; so no transcript proves to a third party that she said a thing."""
    source = Recording("forger")
    ephemeral = DhPrivateKey.generate(source)
    _, ciphertext = BOB.statement.pqspk.encapsulate(source)
    opening = Opening(Mode.LAST_RESORT, ephemeral.public, ciphertext, 0)
    secrets = handshake.respond(ALICE.party, BOB.party, BOB.identity, BOB.secrets, BOB.statement.hash, opening)
    kem = cast(KemPrivateKey, KnownSecrets(source))
    forged = session.start_initiator(secrets, BOB.statement.spk, kem)
    forged, message = session.encrypt(forged, TEXT, b"I, Alice, owe Bob a thousand", randomness=source)
    prefix = envelope.Prefix(
        opening, ALICE.device.id, BOB.device.id, BOB.manifest.hash, BOB.statement.hash, ALICE.root.public,
        ALICE.manifest.raw, ALICE.address(source),
    )  # fmt: skip
    sealed = envelope.seal(prefix.encode(), message, BOB.statement.seal, BOB.statement.hash, source)
    bob, received = accept(BOB, sealed)
    assert received.content == b"I, Alice, owe Bob a thousand"
    for turn in range(60):
        text = b"turn %d" % turn
        if turn % 2:
            forged, message = session.encrypt(forged, TEXT, text, randomness=source)
            bob, received = session.decrypt(bob, message, now=NOW)
        else:
            bob, message = session.encrypt(bob, TEXT, text, randomness=source)
            forged, received = session.decrypt(forged, message, now=NOW)
        assert received.content == text
    assert bob.confirmed  # even the mark that Alice is confirmed against quantum attackers, on Bob's own screen
    assert source.signatures == 0


def test_a80_a_true_transcript_looks_the_same() -> None:
    """A-80: same fields, same sizes, same checks passed; only random values differ."""
    from simulator import first_flight

    flight = first_flight(ALICE, BOB, SOURCE, None)
    _, party, stale = envelope.verify_sender(flight.prefix, NOW)
    assert (party, stale) == (ALICE.party, False)
    assert accept(BOB, flight.sealed)[0].confirmed is False
    assert len(flight.sealed) == 16_514
