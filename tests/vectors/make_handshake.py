"""Vectors of SPEC.md sections 6.1 to 6.4: the handshake in both modes, and the first message."""

from __future__ import annotations

from dataclasses import replace

from troth_protocol import card, envelope, handshake, labels, session
from troth_protocol.encoding import lp, sha256, u8, u16
from troth_protocol.frame import Tokens
from troth_protocol.handshake import Mode, Opening, Secrets
from troth_protocol.keys import DhPrivateKey, KemPrivateKey

from .book import DAY, NOW, Book, flipped
from .people import Person

Fields = dict[str, object]


def make(book: Book, alice: Person, bob: Person) -> None:
    """A is Alice, B is Bob."""
    book.chapter("06-handshake")
    keys: Fields = {name: f"d{n}" * 32 for n, name in enumerate(("DH1", "DH2", "DH3", "DH4", "ss", "TH"), 1)}
    salt, info = sha256(b"troth/1 pqxdh salt"), b"troth/1 pqxdh info" + bytes([0xD6]) * 32
    book.accept("derive", "6.2-3", "six keys from five secrets and TH", "handshake.derive", keys,
                {"salt": salt, "info": info})  # fmt: skip
    for index in (5, None):
        _both_sides(book, alice, bob, index)
    _refused(book, alice, bob)
    _first_messages(book, alice, bob)


def _preimage(alice: Person, bob: Person, opening: Opening, one_time: bytes, kem: bytes) -> bytes:
    """What TH is the hash of, put together as section 6.2 says."""
    values = [alice.manifest.fingerprint, alice.device.id, alice.manifest.hash, alice.identity.public.raw,
              sha256(alice.kem_identity.public_raw), bob.manifest.fingerprint, bob.device.id, bob.manifest.hash,
              bob.statement.hash, bob.identity.public.raw, sha256(bob.kem_identity.public_raw),
              bob.statement.spk.raw, one_time, kem, opening.ephemeral.raw, opening.ciphertext]  # fmt: skip
    return b"troth/1 th" + u16(1) + u8(opening.mode) + b"".join(map(lp, values))


def _responder(alice: Person, bob: Person, opening: Opening) -> Fields:
    given: Fields = {
        "A": alice.party_input(), "B": bob.party_input(), "identity_private": bob.identity.raw,
        "spk_private": bob.secrets.spk.raw, "pqspk_seed": bob.secrets.pqspk.seed,
        "statement_hash": bob.statement.hash, "mode": opening.mode, "ephemeral": opening.ephemeral.raw,
        "ciphertext": opening.ciphertext, "leaf_index": opening.leaf_index,
    }  # fmt: skip
    return given | _one_time(bob, opening)


def _one_time(bob: Person, opening: Opening) -> Fields:
    if opening.mode is Mode.LAST_RESORT:
        return {}
    pair = bob.pair(opening.leaf_index)
    return {"one_time": {"index": opening.leaf_index, "x25519_private": pair.dh, "kem_seed": pair.kem_seed}}


def _both_sides(book: Book, alice: Person, bob: Person, index: int | None) -> None:
    name = "last-resort" if index is None else "one-time"
    source = book.source(f"handshake {name}")
    leaf = None if index is None else bob.leaves[index]
    kem = bob.secrets.pqspk if index is None else KemPrivateKey(bob.pair(index).kem_seed)
    given: Fields = {
        "A": alice.party_input(), "identity_private": alice.identity.raw, "B": bob.party_input(),
        "spk": bob.statement.spk.raw, "pqspk": bob.statement.pqspk.raw, "statement_hash": bob.statement.hash,
    }  # fmt: skip
    if leaf is not None:
        given["one_time"] = {"index": index, "x25519": leaf[1:33], "kem": leaf[33:1_217]}
    ephemeral = DhPrivateKey.load(source.draw(32))
    secret, ciphertext = source.encapsulate(kem.public.handle)
    random = source.used()
    opening = Opening(Mode(leaf is not None), ephemeral.public, ciphertext, index or 0)
    one_time = None if index is None else DhPrivateKey.load(bob.pair(index).dh).public
    intermediate = {
        "DH1": alice.identity.exchange(bob.statement.spk), "DH2": ephemeral.exchange(bob.identity.public),
        "DH3": ephemeral.exchange(bob.statement.spk), "DH4": ephemeral.exchange(one_time) if one_time else bytes(32),
        "ss": secret, "TH_preimage": _preimage(alice, bob, opening, one_time.raw if one_time else b"", kem.public_raw),
    }  # fmt: skip
    rules = "6.1-1 6.2-1 6.2-2 6.2-3"
    sent = book.accept(f"{name}-initiator", rules, "A's side", "handshake.initiate", given | {"random": random},
                       intermediate)  # fmt: skip
    got = book.accept(f"{name}-responder", rules, "B's side, with the same results", "handshake.respond",
                      _responder(alice, bob, opening), intermediate)  # fmt: skip
    if sha256(intermediate["TH_preimage"]).hex() != got["TH"] or any(got[key] != sent[key] for key in got):
        raise ValueError("the two sides differ")


def _refused(book: Book, alice: Person, bob: Person) -> None:
    source = book.source("handshake refused")
    opening, _ = handshake.initiate(alice.party, alice.identity, bob.party, bob.statement, None, source)
    used = replace(opening, mode=Mode.ONE_TIME, leaf_index=7)
    given = _responder(alice, bob, used)
    del given["one_time"]
    book.refuse(
        "one-time-used", "6.4-2", "the pair of the leaf was used before", "handshake.respond", given, "MISMATCH"
    )
    given = _responder(alice, bob, opening) | {"ephemeral": bytes(32)}
    book.refuse("ephemeral-low-order", "3.1-2", "EK_A of low order", "handshake.respond", given, "BAD_KEY")
    given = _responder(alice, bob, opening) | {"ciphertext": opening.ciphertext[:-1]}
    book.refuse("ciphertext-short", "6.1-1", "a KEM ciphertext of 1,087 bytes", "handshake.respond", given, "BAD_KEY")
    low = {**bob.party_input(), "identity": bytes(32)}
    given = {
        "A": alice.party_input(), "identity_private": alice.identity.raw, "B": low, "spk": bob.statement.spk.raw,
        "pqspk": bob.statement.pqspk.raw, "statement_hash": bob.statement.hash, "random": {"draw": "01" * 32},
    }  # fmt: skip
    book.refuse("identity-low-order", "6.1-1", "DIK_B of low order", "handshake.initiate", given, "BAD_KEY")


def _address(book: Book) -> envelope.ReturnAddress:
    source = book.source("return address")
    tokens = Tokens(NOW + 30 * DAY, tuple(source.draw(32) for _ in range(64)))
    relay = card.RelayAddress("relay.example", 7443, source.draw(32))
    mailbox, lookup, key, spare = (source.draw(32) for _ in range(4))
    return envelope.ReturnAddress(relay, mailbox, lookup, key, spare, tokens)


def _first_messages(book: Book, alice: Person, bob: Person) -> None:
    address, operation = _address(book), "first.accept"
    keys = {"kem_seed": bob.secrets.seal.kem.seed, "x25519": bob.secrets.seal.dh.raw}
    opened: Fields = {"seal_keys": [keys | {"statement_hash": bob.statement.hash}]}

    def started(name: str, index: int | None) -> tuple[envelope.Prefix, bytes, Secrets, object]:
        source = book.source(f"first {name}")
        leaf = None if index is None else bob.leaves[index]
        verified = None
        if leaf is not None:
            from troth_protocol.prekeys import open_leaf

            verified = open_leaf(leaf, bob.statement.root)
        opening, secrets = handshake.initiate(alice.party, alice.identity, bob.party, bob.statement, verified, source)
        begun = session.start_initiator(secrets, bob.statement.spk, alice.kem_identity)
        text = bytes([0xAB]) * 16 + (NOW).to_bytes(8, "big") + lp(b"hello")
        _, message = session.encrypt(begun, 1, text, randomness=source)
        prefix = envelope.Prefix(
            opening, alice.device.id, bob.device.id, bob.manifest.hash, bob.statement.hash, alice.root.public,
            alice.manifest.raw, address,
        )  # fmt: skip
        return prefix, message, secrets, source.used()

    def accepted(prefix: envelope.Prefix, sealed: bytes, now: int = NOW) -> Fields:
        given = _responder(alice, bob, prefix.opening)
        for name in ("A", "mode", "ephemeral", "ciphertext", "leaf_index"):
            del given[name]
        return given | opened | {"sealed": sealed, "now": str(now)}

    sealing = book.source("sealed first messages")

    def sealed(plaintext: bytes, size: int = 16_514) -> bytes:
        return sealing.seal(bob.statement.seal.handle, labels.SEAL + bob.statement.hash, plaintext.ljust(size - 1_136,
                            b"\x00"))  # fmt: skip

    prefix, message, secrets, random = started("one-time", 9)
    whole = prefix.encode() + lp(message)
    first = sealed(whole)
    keys_shown = {"SID": secrets.sid, "TH": secrets.transcript, "plaintext": whole, "random": random}
    book.accept("first", "6.3-1 6.3-3 6.3-4", "opened", "first.open", opened | {"sealed": first})
    book.accept("first-one-time", "6.4-1", "read by B", operation, accepted(prefix, first), keys_shown)
    late = NOW + 100 * DAY
    stale = "read 10 days after A's manifest expired"
    book.accept("first-stale", "4.2-4 6.4-1", stale, operation, accepted(prefix, first, late))
    prefix_0, message_0, _, _ = started("last resort", None)
    zero = sealed(prefix_0.encode() + lp(message_0))
    book.accept("first-last-resort", "6.2-2 6.4-1", "without a one-time pair", operation, accepted(prefix_0, zero))
    other = {"seal_keys": [keys | {"statement_hash": flipped(bob.statement.hash, 0)}]}
    swapped = replace(prefix, manifest_b=flipped(bob.manifest.hash, 0))
    index_at, mode_at, suite_at = 1_220 - 1, 2, 0
    address_at = 1_220 + 1_984 + 4 + len(alice.manifest.raw)
    message_at = address_at + 4 + len(address.encode())
    foreign = replace(prefix, device_a=flipped(alice.device.id, 0))
    bad_manifest = replace(prefix, manifest_a=flipped(alice.manifest.raw, -1))
    refused: tuple[tuple[str, str, str, Fields, str, tuple[str, int] | None], ...] = (
        ("first-expired", "6.4-1", "A's manifest expired 30 days ago", accepted(prefix, first, NOW + 120 * DAY),
         "EXPIRED", None),
        ("first-changed", "6.3-1", "one byte changed", accepted(prefix, flipped(first, -1)), "SEAL", None),
        ("first-other-statement", "6.3-1", "under another statement's hash", accepted(prefix, first) | other, "SEAL",
         None),
        ("first-size", "6.3-3", "one byte short", accepted(prefix, first[:-1]), "SEAL", None),
        ("first-established-size", "6.3-3", "the size of a small message", accepted(prefix, message), "SEAL", None),
        ("first-suite", "2-5", "suite 2", accepted(prefix, sealed(b"\x00\x02" + whole[2:])), "BAD_FRAME",
         ("first suite", suite_at)),
        ("first-mode", "6.2-2", "mode 2", accepted(prefix, sealed(flipped(whole, mode_at, 3))), "BAD_FRAME",
         ("mode", mode_at)),
        ("first-index-in-mode-0", "6.3-4", "a leaf index in mode 0", accepted(prefix, sealed(flipped(whole, mode_at))),
         "BAD_FRAME", ("leaf index", index_at)),
        ("first-padding", "6.3-4", "padding that carries something", accepted(prefix, sealed(whole + b"\x01")),
         "BAD_FRAME", ("first padding", len(whole))),
        ("first-short-message", "6.3-4", "a ratchet message of 1,153 bytes",
         accepted(prefix, sealed(prefix.encode() + lp(message[:-1]))), "BAD_FRAME", ("message length", message_at)),
        ("first-other-manifest", "6.4-1", "made for another version of B's manifest",
         accepted(prefix, sealed(swapped.encode() + lp(message))), "MISMATCH", None),
        ("first-sender-device", "6.4-1", "a device that A's manifest does not list",
         accepted(prefix, sealed(foreign.encode() + lp(message))), "MISMATCH", None),
        ("first-sender-signature", "6.4-1", "A's manifest does not verify",
         accepted(prefix, sealed(bad_manifest.encode() + lp(message))), "BAD_SIGNATURE", None),
        ("first-mode-lied", "6.2-2", "made with a pair, sent as last resort: other keys",
         accepted(prefix, sealed(flipped(whole[:index_at] + b"\x00" + whole[index_at + 1 :], mode_at))),
         "UNKNOWN_HEADER", None),
    )  # fmt: skip
    for name, rules, description, given, code, at in refused:
        layer = "envelope" if name == "first-other-manifest" else ""
        book.refuse(name, rules, description, operation, given, code, layer, at)
