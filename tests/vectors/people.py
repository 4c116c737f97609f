"""The accounts that the vectors are about: everything about them follows from their names."""

from __future__ import annotations

from dataclasses import dataclass

from troth_protocol import manifest, prekeys
from troth_protocol.handshake import Party
from troth_protocol.keys import DhPrivateKey, KemPrivateKey, SigningKey
from troth_protocol.manifest import Device, Manifest
from troth_protocol.prekeys import OneTimeSecret, PrekeySecrets, PrekeyStatement

from .book import NOW, Book, Source


@dataclass(frozen=True)
class Person:
    """An account of one device."""

    root: SigningKey
    signing: SigningKey
    identity: DhPrivateKey
    kem_identity: KemPrivateKey
    manifest: Manifest
    secrets: PrekeySecrets
    statement: PrekeyStatement
    leaves: tuple[bytes, ...]

    @property
    def device(self) -> Device:
        """The one device."""
        return self.manifest.devices[0]

    @property
    def party(self) -> Party:
        """The device as the transcript names it."""
        return Party.of(self.manifest.fingerprint, self.manifest.hash, self.device)

    def party_input(self) -> dict[str, object]:
        """The device as a vector's input names it."""
        party = self.party
        return {
            "fingerprint": party.fingerprint,
            "device_id": party.device_id,
            "manifest_hash": party.manifest_hash,
            "identity": party.identity.raw,
            "kem_identity": party.kem_identity.raw,
        }

    def pair(self, index: int) -> OneTimeSecret:
        """The private halves of a leaf."""
        pair = self.secrets.one_time[index]
        if pair is None:
            raise ValueError("the pair has been used")
        return pair


def make_device(signing: SigningKey, source: Source) -> tuple[Device, DhPrivateKey, KemPrivateKey]:
    """A device and its private identity keys."""
    identity, kem = DhPrivateKey.generate(source), KemPrivateKey.generate(source)
    return Device(source.draw(16), signing.public, identity.public, kem.public), identity, kem


def make_person(book: Book, name: str) -> Person:
    """The account of this name."""
    source = book.source(name)
    root, signing = SigningKey.generate(source), SigningKey.generate(source)
    device, identity, kem = make_device(signing, source)
    parsed = manifest.parse(manifest.create(root, 1, bytes(32), NOW, (device,), source), root.public)
    secrets = PrekeySecrets.generate(source)
    batch_root, leaves = prekeys.make_batch(secrets.one_time)
    signed = prekeys.sign_statement(signing, parsed.fingerprint, device.id, NOW, secrets, batch_root, source)
    statement = prekeys.parse_statement(signed, parsed.fingerprint, device)
    return Person(root, signing, identity, kem, parsed, secrets, statement, leaves)
