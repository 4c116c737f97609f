"""The manifest: which devices an account has, signed by its root key, versioned and hash-chained. SPEC.md section 4.2.

body = suite u16 || fp 32 || version u64 || previous hash 32 || issued u64 || expires u64 || count u8 || devices
device = id 16 || DS 1,984 || DIK 32 || KIK 1,184 || capabilities u32
manifest = body || HSig(root, "manifest", body); its hash is over body || signature.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from . import labels
from .encoding import SUITE, Reader, sha256, u8, u16, u32, u64
from .errors import DecodeError, Expired, Fork, Mismatch, Rollback
from .keys import (
    DEVICE_ID_SIZE,
    FINGERPRINT_SIZE,
    SIGNATURE_SIZE,
    DhPublicKey,
    KemPublicKey,
    SigningKey,
    VerifyKey,
    read_dh,
    read_kem,
    read_verify_key,
)
from .primitives import Randomness

DAY: Final = 86_400
LIFETIME: Final = 90 * DAY
"""A manifest lives 90 days and is renewed at 45, so a device offline for six weeks stays reachable. [R-4.2-3]"""
RENEW_AFTER: Final = 45 * DAY
STALE_GRACE: Final = 30 * DAY
"""A first message under a manifest expired by at most this is accepted and marked stale. [R-4.2-4]"""
CLOCK_SKEW: Final = DAY
"""How far in the future a statement may claim to be issued: clocks of phones and boards are off by hours, not days."""
MAX_DEVICES: Final = 5
"""What fits a 64 KiB bundle answer with one leaf for each device. [R-4.2-2]"""


@dataclass(frozen=True, slots=True)
class Device:
    """One device of an account as others see it; 3,220 bytes encoded."""

    id: bytes
    signing: VerifyKey
    identity: DhPublicKey
    kem_identity: KemPublicKey
    capabilities: int = 0

    def encode(self) -> bytes:
        """The device's entry."""
        return self.id + self.signing.raw + self.identity.raw + self.kem_identity.raw + u32(self.capabilities)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest that verified; ``raw`` is what was signed and hashed, as received. [R-2-6]"""

    fingerprint: bytes = field(repr=False)
    version: int
    previous: bytes = field(repr=False)
    issued: int
    expires: int
    devices: tuple[Device, ...] = field(repr=False)
    raw: bytes = field(repr=False)
    hash: bytes = field(repr=False)

    def device(self, device_id: bytes) -> Device:
        """The device with this 16-byte id; Mismatch if there is none."""
        for device in self.devices:
            if device.id == device_id:
                return device
        raise Mismatch("the manifest has no such device")

    def check_time(self, now: int, grace: int = 0) -> None:
        """Expired unless ``now`` lies within the manifest's time plus ``grace`` seconds. [R-4.2-3]"""
        if now >= self.expires + grace or now < self.issued - CLOCK_SKEW:
            raise Expired(f"the manifest is valid from {self.issued} to {self.expires}; the time is {now}")


def create(
    root: SigningKey, version: int, previous: bytes, issued: int, devices: tuple[Device, ...], randomness: Randomness
) -> bytes:
    """Sign a manifest; each version is signed once, because ML-DSA is randomised. [R-4.2-1]"""
    body = b"".join(
        (
            u16(SUITE), root.public.fingerprint(), u64(version), previous, u64(issued), u64(issued + LIFETIME),
            u8(len(devices)), *(device.encode() for device in devices),
        )
    )  # fmt: skip
    return body + root.sign(labels.SIGN_MANIFEST, body, randomness)


def parse(raw: bytes, root: VerifyKey) -> Manifest:
    """Decode and verify a manifest against its root key; DecodeError, BadKey, BadSignature or Mismatch. [R-4.2-2]"""
    reader = Reader(raw)
    reader.u16("manifest suite", SUITE, SUITE)
    fingerprint = reader.fixed("manifest fp", FINGERPRINT_SIZE)
    if fingerprint != root.fingerprint():
        raise Mismatch("the manifest is of another account than its root key")
    version = reader.integer("manifest version", 8, least=1)
    previous = reader.fixed("manifest previous", 32)
    issued = reader.u64("manifest issued")
    expires = reader.u64("manifest expires")
    if not 0 < expires - issued <= LIFETIME:
        reader.refuse("manifest expires", f"{expires - issued} s after issue is not within 1..{LIFETIME}")
    count = reader.u8("manifest device count", MAX_DEVICES, 1)
    # The signature is checked before any device key is imported: a forger gets no further than this.
    end = reader.offset + count * _DEVICE_SIZE
    if len(raw) != end + SIGNATURE_SIZE:
        raise DecodeError("manifest", reader.offset, f"{len(raw)} bytes where {end + SIGNATURE_SIZE} are wanted")
    root.verify(labels.SIGN_MANIFEST, raw[:end], raw[end:], "manifest")
    devices = tuple(_read_device(reader) for _ in range(count))
    if len({device.id for device in devices}) != count:
        raise Mismatch("two devices of the manifest share an id")
    return Manifest(fingerprint, version, previous, issued, expires, devices, raw, sha256(raw))


_DEVICE_SIZE: Final = DEVICE_ID_SIZE + 1_984 + 32 + 1_184 + 4
SINGLE_DEVICE_SIZE: Final = 91 + _DEVICE_SIZE + SIGNATURE_SIZE
MAX_SIZE: Final = 91 + MAX_DEVICES * _DEVICE_SIZE + SIGNATURE_SIZE


def _read_device(reader: Reader) -> Device:
    return Device(
        reader.fixed("device id", DEVICE_ID_SIZE),
        read_verify_key(reader, "device signing key"),
        read_dh(reader, "device identity"),
        read_kem(reader, "device KEM identity"),
        reader.u32("device capabilities"),
    )


@dataclass(frozen=True, slots=True)
class History:
    """What is known of a contact's manifests: version -> hash, and the highest is the pin. [R-4.2-5]"""

    known: Mapping[int, bytes] = field(default_factory=dict, repr=False)

    @property
    def pin(self) -> int:
        """The highest version seen, or -1."""
        return max(self.known, default=-1)

    def check_served(self, manifest: Manifest) -> History:
        """A manifest a relay served now: Rollback below the pin, Fork if the version has another hash. [R-4.2-5]"""
        if manifest.version < self.pin:
            raise Rollback(f"manifest version {manifest.version} was served; {self.pin} is known")
        return self._add(manifest)

    def check_queued(self, manifest: Manifest) -> History:
        """A manifest inside a message that waited: a lower known version is old news, an unknown one is added."""
        return self._add(manifest)

    def _add(self, manifest: Manifest) -> History:
        known = self.known.get(manifest.version)
        if known is not None and known != manifest.hash:
            raise Fork(f"manifest version {manifest.version} has two contents")
        # The chain of hashes: a manifest that follows one we hold must name it. [R-4.2-6]
        before = self.known.get(manifest.version - 1)
        if before is not None and manifest.previous != before:
            raise Fork(f"manifest version {manifest.version} does not follow the version before it")
        return History({**self.known, manifest.version: manifest.hash})
