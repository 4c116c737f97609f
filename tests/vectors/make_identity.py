"""Vectors of SPEC.md section 4: fingerprints, manifests, prekey statements, leaves."""

from __future__ import annotations

from troth_protocol import labels, manifest, prekeys
from troth_protocol.encoding import u8, u16, u64
from troth_protocol.keys import KemPrivateKey, SigningKey
from troth_protocol.manifest import Device

from .book import DAY, NOW, Book, flipped
from .people import Person, make_device


def make(book: Book, alice: Person, bob: Person) -> None:
    """All of section 4, about Alice and Bob."""
    book.chapter("04-identity")
    key = {"public_key": alice.root.public.raw}
    book.accept("fingerprints", "4.1-1", "of one key as an account and as an operator", "identity.fingerprint", key)
    _manifests(book, alice, bob)
    _times(book)
    _histories(book)
    _statements(book, alice, bob)
    _leaves(book, alice, bob)


def _manifests(book: Book, alice: Person, bob: Person) -> None:
    operation, root, raw = "manifest.parse", alice.root, alice.manifest.raw
    given: dict[str, object] = {"root_key": root.public.raw, "manifest": raw, "now": str(NOW)}
    book.accept("manifest", "4.2-1 4.2-2", "one device", operation, given)
    source = book.source("manifests")
    second, _, _ = make_device(SigningKey.generate(source), source)
    both = (alice.device, second)
    two = manifest.create(root, 2, alice.manifest.hash, NOW + DAY, both, source)
    book.accept("manifest-two-devices", "4.2-2", "the next version, with a second device", operation,
                {"root_key": root.public.raw, "manifest": two})  # fmt: skip

    def signed(devices: tuple[Device, ...], lifetime: int, purpose: bytes = labels.SIGN_MANIFEST) -> bytes:
        body = b"".join((
            u16(1), root.public.fingerprint(), u64(1), bytes(32), u64(NOW), u64(NOW + lifetime), u8(len(devices)),
            *(device.encode() for device in devices),
        ))  # fmt: skip
        return body + root.sign(purpose, body, source)

    one = (alice.device,)
    month = 90 * DAY
    twins = Device(alice.device.id, second.signing, second.identity, second.kem_identity)
    refused = (
        ("manifest-other-root", "4.2-2", "checked against another root key", bob.manifest.raw, "MISMATCH", None),
        ("manifest-classical", "4.2-2", "the Ed25519 half is wrong", flipped(raw, -3_373), "BAD_SIGNATURE", None),
        ("manifest-quantum", "4.2-2", "the ML-DSA half is wrong", flipped(raw, -1), "BAD_SIGNATURE", None),
        ("manifest-device-changed", "4.2-2", "a device key was exchanged", flipped(raw, 2_100), "BAD_SIGNATURE", None),
        ("manifest-other-purpose", "3.3-1", "signed as prekeys", signed(one, month, b"prekeys"), "BAD_SIGNATURE", None),
        ("manifest-no-device", "4.2-2", "no device", signed((), month), "BAD_FRAME", ("manifest device count", 90)),
        ("manifest-six-devices", "4.2-2", "a count of six", raw[:90] + b"\x06" + raw[91:], "BAD_FRAME",
         ("manifest device count", 90)),
        ("manifest-too-long-lived", "4.2-3", "90 days and a second", signed(one, month + 1), "BAD_FRAME",
         ("manifest expires", 90)),
        ("manifest-no-lifetime", "4.2-3", "expires when issued", signed(one, 0), "BAD_FRAME", ("manifest expires", 90)),
        ("manifest-suite", "2-5", "suite 2", b"\x00\x02" + raw[2:], "BAD_FRAME", ("manifest suite", 0)),
        ("manifest-trailing", "2-3", "a byte after the signature", raw + b"\x00", "BAD_FRAME", ("manifest", 91)),
        ("manifest-twin-devices", "4.2-2", "two devices of one id", signed((alice.device, twins), month), "MISMATCH",
         None),
    )  # fmt: skip
    for name, rules, description, changed, code, at in refused:
        given = {"root_key": root.public.raw, "manifest": changed}
        book.refuse(name, rules, description, operation, given, code, at=at)


def _times(book: Book) -> None:
    expires, grace = NOW + 90 * DAY, 30 * DAY

    def at(now: int, grace: int = 0) -> dict[str, object]:
        return {"issued": str(NOW), "expires": str(expires), "now": str(now), "grace": str(grace)}

    operation = "manifest.time"
    book.accept("time-last-second", "4.2-3", "the last second of its time", operation, at(expires - 1))
    book.accept("time-early", "4.2-3", "a day before its issue", operation, at(NOW - DAY))
    book.accept("time-stale", "4.2-4", "a first message in the last second of grace", operation,
                at(expires + grace - 1, grace))  # fmt: skip
    for name, rules, description, given in (
        ("time-expired", "4.2-3", "at its expiry", at(expires)),
        ("time-too-early", "4.2-3", "a day and a second before its issue", at(NOW - DAY - 1)),
        ("time-past-grace", "4.2-4", "30 days after its expiry", at(expires + grace, grace)),
    ):
        book.refuse(name, rules, description, operation, given, "EXPIRED")


def _histories(book: Book) -> None:
    one, two, three = (f"0{number}" * 32 for number in (1, 2, 3))
    known = [{"version": "1", "hash": one}, {"version": "2", "hash": two}]

    def met(version: int, previous: str, digest: str, *, queued: bool = False) -> dict[str, object]:
        return {"known": known, "version": str(version), "previous": previous, "hash": digest, "queued": queued}

    operation = "manifest.history"
    book.accept("history-next", "4.2-5", "the next version", operation, met(3, two, three))
    book.accept("history-same", "4.2-5", "the pinned version again", operation, met(2, one, two))
    book.accept("history-gap", "4.2-6", "a version whose predecessor is not known", operation, met(9, three, three))
    book.accept("history-queued", "4.2-5", "an old one in a message that waited", operation,
                met(1, "00" * 32, one, queued=True))  # fmt: skip
    for name, rules, description, given, code in (
        ("history-rollback", "4.2-5", "served below the pin", met(1, "00" * 32, one), "ROLLBACK"),
        ("history-fork", "4.2-5", "a known version with another hash", met(2, one, three), "FORK"),
        ("history-fork-queued", "4.2-5", "the same in a message that waited", met(1, "00" * 32, three, queued=True),
         "FORK"),
        ("history-broken-chain", "4.2-6", "does not name its predecessor", met(3, one, three), "FORK"),
    ):  # fmt: skip
        book.refuse(name, rules, description, operation, given, code)


def _statements(book: Book, alice: Person, bob: Person) -> None:
    operation, raw, source = "statement.parse", alice.statement.raw, book.source("statements")
    given: dict[str, object] = {
        "fingerprint": alice.manifest.fingerprint, "device_id": alice.device.id,
        "signing_key": alice.signing.public.raw, "statement": raw,
    }  # fmt: skip
    book.accept("statement", "4.3-1", "a statement in its time", operation, given | {"now": str(NOW)})
    body = raw[: prekeys.STATEMENT_BODY_SIZE]

    def signed(changed: bytes) -> dict[str, object]:
        return {"statement": changed + alice.signing.sign(labels.SIGN_PREKEYS, changed, source)}

    long = body[:58] + u64(NOW + 30 * DAY + 1) + body[66:]
    unreduced = body[:98] + b"\xff\xff\xff" + body[101:]
    size = ("prekey statement", 0)
    refused: tuple[tuple[str, str, str, dict[str, object], str, tuple[str, int] | None], ...] = (
        ("statement-signature", "4.3-1", "a batch root was exchanged", {"statement": flipped(raw, 2_545)},
         "BAD_SIGNATURE", None),
        ("statement-other-device", "4.3-1", "of another device of the account", {"device_id": bob.device.id},
         "MISMATCH", None),
        ("statement-other-key", "4.3-1", "signed by another device", {"signing_key": bob.signing.public.raw},
         "BAD_SIGNATURE", None),
        ("statement-short", "2-3", "one byte short", {"statement": raw[:-1]}, "BAD_FRAME", size),
        ("statement-too-long-lived", "4.3-2", "30 days and a second", signed(long), "BAD_FRAME",
         ("prekey expires", 66)),
        ("statement-expired", "4.3-2", "used at its expiry", {"now": str(NOW + 30 * DAY)}, "EXPIRED", None),
        ("statement-low-order-spk", "3.1-2", "SPK of low order, signed", signed(body[:66] + bytes(32) + body[98:]),
         "BAD_KEY", None),
        ("statement-pqspk-not-reduced", "3.1-4", "PQSPK that is not reduced, signed", signed(unreduced), "BAD_KEY",
         None),
    )  # fmt: skip
    for name, rules, description, change, code, at in refused:
        book.refuse(name, rules, description, operation, given | change, code, at=at)


def _root(leaf: bytes) -> bytes:
    digest, path = prekeys.leaf_hash(leaf[0], leaf[1:33], leaf[33:1_217]), leaf[1_217:]
    for depth in range(7):
        sibling = path[depth * 32 : depth * 32 + 32]
        digest = prekeys.node_hash(sibling, digest) if leaf[0] >> depth & 1 else prekeys.node_hash(digest, sibling)
    return digest


def _leaves(book: Book, alice: Person, bob: Person) -> None:
    operation, root, leaf = "leaf.open", alice.statement.root, alice.leaves[5]
    parts = {"index": 5, "x25519": bytes([9]).ljust(32, b"\x00"), "kem": "04" * 1_184}
    book.accept("leaf-hash", "4.4-1", "the hash of a leaf", "leaf.hash", parts)
    for index in (0, 5, 127):
        nodes = {"leaf_hash": prekeys.leaf_hash(index, alice.leaves[index][1:33], alice.leaves[index][33:1_217])}
        given = {"leaf": alice.leaves[index], "batch_root": root}
        book.accept(f"leaf-{index}", "4.4-1 4.4-2", f"leaf {index} of a batch", operation, given, nodes)
    low = leaf[:1] + bytes(32) + leaf[33:]
    unreduced = leaf[:33] + b"\xff\xff\xff" + leaf[36:]
    outside = b"\x80" + leaf[1:]
    refused = (
        ("leaf-path", "4.4-2", "one hash of the path is wrong", flipped(leaf, -1), root, "MISMATCH", None),
        ("leaf-index", "4.4-1", "another index", b"\x04" + leaf[1:], root, "MISMATCH", None),
        ("leaf-other-batch", "4.4-2", "of another batch", bob.leaves[5], root, "MISMATCH", None),
        ("leaf-kem-exchanged", "4.4-1", "another KEM key", leaf[:33] + KemPrivateKey(bytes(64)).public_raw +
         leaf[1_217:], root, "MISMATCH", None),
        ("leaf-index-128", "4.4-2", "an index of 128", outside, _root(outside), "BAD_FRAME", ("leaf index", 0)),
        ("leaf-path-of-six", "4.4-2", "a path of six", leaf[:-32], root, "BAD_FRAME", ("leaf path", 1_409)),
        ("leaf-path-of-eight", "4.4-2", "a path of eight", leaf + bytes(32), root, "BAD_FRAME", ("end", 1_441)),
        ("leaf-low-order", "3.1-2", "a key of low order under a root that commits to it", low, _root(low), "BAD_KEY",
         None),
        ("leaf-not-reduced", "3.1-4", "a KEM key not reduced under a root that commits to it", unreduced,
         _root(unreduced), "BAD_KEY", None),
    )  # fmt: skip
    for name, rules, description, changed, under, code, at in refused:
        given = {"leaf": changed, "batch_root": under}
        book.refuse(name, rules, description, operation, given, code, at=at)
