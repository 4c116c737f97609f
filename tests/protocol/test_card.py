"""Links that catch a mistyped character, and the bundle a card opens."""

from __future__ import annotations

import base64
import string

import pytest

from simulator import NOW, Seeded, make_device, person
from troth_protocol import card, keys, labels, manifest, prekeys, wire
from troth_protocol.card import Card, RelayAddress
from troth_protocol.encoding import lp, sha256, u8, u16
from troth_protocol.errors import BadLink, BadSignature, DecodeError, Mismatch, PeerError
from troth_protocol.primitives import aead_seal, hkdf

BOB = person("bob")
SOURCE = Seeded("card")
ALPHABET = string.ascii_letters + string.digits + "-_"


def link_of(scheme: str, body: bytes) -> str:
    """A link with a right checksum over any body."""
    checked = body + sha256(labels.LINK_CHECKSUM, body)[:4]
    return scheme + base64.urlsafe_b64encode(checked).rstrip(b"=").decode()


def test_a_card_carries_relay_lookup_key_fingerprint_and_capability() -> None:
    """[R-5.1-1]"""
    shown = BOB.card
    body = u16(1) + lp(b"relay.example") + u16(443) + shown.relay.fingerprint
    body += shown.lookup + shown.key + shown.fingerprint + shown.capability
    assert shown.link() == link_of("troth:", body)
    assert Card.from_link(shown.link()) == shown
    assert Card.from_link(f"  {shown.link()}\n") == shown


def test_a_relay_link_reads_back() -> None:
    """[R-5.1-1]"""
    for host in ("relay.example", "127.0.0.1", "::1", "2001:db8::7", "x" * 253):
        address = RelayAddress(host, 65_535, bytes(range(32)))
        assert RelayAddress.from_link(address.link()) == address


def test_a_mistyped_character_is_refused_at_every_place() -> None:
    """[R-5.2-1]"""
    link = BOB.card.link()
    for place in range(len(link)):
        for wrong in (ALPHABET[(ALPHABET.find(link[place]) + step) % 64] for step in (1, 17, 32)):
            with pytest.raises(BadLink):
                Card.from_link(link[:place] + wrong + link[place + 1 :])


def test_swapped_neighbours_case_truncation_and_trailing_are_refused() -> None:
    """[R-5.2-1]"""
    link = BOB.card.link()
    head, encoded = link[:6], link[6:]
    for place in range(len(encoded) - 1):
        if encoded[place] != encoded[place + 1]:
            swapped = encoded[:place] + encoded[place + 1] + encoded[place] + encoded[place + 2 :]
            with pytest.raises(BadLink):
                Card.from_link(head + swapped)
    for wrong in (head + encoded.lower(), head + encoded.upper(), link.upper(), link + "A", link + "=", link + "/", ""):
        with pytest.raises(BadLink):
            Card.from_link(wrong)
    for length in range(len(link)):
        with pytest.raises(BadLink):
            Card.from_link(link[:length])


@pytest.mark.parametrize(
    "text", ["troth:", "troth:AAAA", "troth:é", "http://x", "troth-relay:", "troth:\ud800", "troth: A"]
)
def test_what_is_no_link_at_all(text: str) -> None:
    """[R-5.2-1]"""
    with pytest.raises(BadLink):
        Card.from_link(text)
    with pytest.raises(BadLink):
        RelayAddress.from_link(text)


def test_links_of_another_suite_kind_or_shape_are_refused() -> None:
    """[R-5.2-1] [R-5.1-1]: with a checksum that holds."""
    relay = u16(1) + lp(b"h") + u16(1) + bytes(32)
    assert RelayAddress.from_link(link_of("troth-relay:", relay)).host == "h"
    bad = [
        b"", b"\x00", u16(2) + relay[2:], relay + b"\x00", relay[:-1], u16(1) + lp(b"") + relay[7:],
        u16(1) + lp(b"h") + u16(0) + bytes(32), u16(1) + lp(b"H") + u16(1) + bytes(32),
        u16(1) + lp(b"h" * 254) + u16(1) + bytes(32), u16(1) + lp(b"a b") + u16(1) + bytes(32),
        u16(1) + lp(b"-h") + u16(1) + bytes(32), u16(1) + lp("hé".encode()) + u16(1) + bytes(32),
    ]  # fmt: skip
    for body in bad:
        with pytest.raises(BadLink):
            RelayAddress.from_link(link_of("troth-relay:", body))
        with pytest.raises(BadLink):
            Card.from_link(link_of("troth:", body))
    with pytest.raises(BadLink):
        Card.from_link(BOB.card.relay.link().replace("troth-relay:", "troth:"))


def test_a_bundle_has_one_of_two_sizes() -> None:
    """[R-5.3-1]"""
    assert len(BOB.bundle()) == wire.BUNDLE_SIZE == 18_432
    signing = keys.SigningKey.generate(SOURCE)
    devices = tuple(make_device(signing, f"card device {number}")[0] for number in range(5))
    raw = manifest.create(BOB.root, 1, bytes(32), NOW, devices, SOURCE)
    statements = [
        prekeys.sign_statement(signing, BOB.fingerprint, device.id, NOW, BOB.secrets, BOB.statement.root, SOURCE)
        for device in devices
    ]
    entries = tuple((SOURCE.draw(32), statement) for statement in statements)
    sealed = card.seal_bundle(BOB.card.key, BOB.card.lookup, BOB.root.public, raw, entries, SOURCE)
    assert len(sealed) == wire.BUNDLE_SIZE_DEVICES == 57_344
    opened = card.open_bundle(BOB.card.key, BOB.card.lookup, BOB.fingerprint, sealed)
    assert tuple((entry.mailbox, entry.statement.raw) for entry in opened.entries) == entries


def test_a_bundle_opens_to_what_was_sealed() -> None:
    """[R-5.3-2]"""
    opened = card.open_bundle(BOB.card.key, BOB.card.lookup, BOB.fingerprint, BOB.bundle())
    assert opened.root == BOB.root.public
    assert opened.manifest == BOB.manifest
    assert [(entry.mailbox, entry.statement) for entry in opened.entries] == [(BOB.mailbox, BOB.statement)]


def test_a_bundle_altered_anywhere_is_refused() -> None:
    """[R-5.3-2]: nonce, every region of the ciphertext, tag."""
    sealed = BOB.bundle()
    for place in [*range(12), *range(12, len(sealed), 211), *range(len(sealed) - 16, len(sealed))]:
        forged = sealed[:place] + bytes([sealed[place] ^ 4]) + sealed[place + 1 :]
        with pytest.raises(Mismatch):
            card.open_bundle(BOB.card.key, BOB.card.lookup, BOB.fingerprint, forged)
    for cut in (b"", sealed[:11], sealed[:-1], sealed + b"\x00"):
        with pytest.raises(DecodeError):
            card.open_bundle(BOB.card.key, BOB.card.lookup, BOB.fingerprint, cut)


def test_a_bundle_is_bound_to_key_lookup_and_account() -> None:
    """[R-5.3-1] [R-5.3-2]"""
    sealed, other = BOB.bundle(), bytes(32)
    for key, lookup, fingerprint in (
        (other, BOB.card.lookup, BOB.fingerprint),
        (BOB.card.key, other, BOB.fingerprint),
        (BOB.card.key, BOB.card.lookup, other),
    ):
        with pytest.raises(Mismatch):
            card.open_bundle(key, lookup, fingerprint, sealed)


def sealed_by_key_holder(plaintext: bytes) -> bytes:
    """What somebody who knows K_card, a public card's relay perhaps, can put in a bundle's place."""
    padded = plaintext.ljust(wire.BUNDLE_SIZE - 28, b"\x00")
    return bytes(12) + aead_seal(
        hkdf(bytes(32), BOB.card.key, labels.BUNDLE_KEY, 32), bytes(12), padded, BOB.card.lookup
    )


def test_whoever_holds_the_card_key_still_cannot_forge_what_is_signed() -> None:
    """[R-5.3-2]: everything is verified up to the fingerprint of the card."""
    root, raw, entry = BOB.root.public.raw, lp(BOB.manifest.raw), BOB.mailbox + lp(BOB.statement.raw)
    opened = card.open_bundle(
        BOB.card.key, BOB.card.lookup, BOB.fingerprint, sealed_by_key_holder(root + raw + u8(1) + entry)
    )
    assert opened.manifest == BOB.manifest
    alice = person("alice")
    bad: list[tuple[bytes, type[PeerError]]] = [
        (alice.root.public.raw + raw + u8(1) + entry, Mismatch),
        (root + lp(alice.manifest.raw) + u8(1) + entry, Mismatch),
        (root + raw + u8(1) + BOB.mailbox + lp(alice.statement.raw), BadSignature),
        (root + raw + u8(0), DecodeError),
        (root + raw + u8(2) + entry + entry, DecodeError),
        (root + raw + u8(1) + entry + b"\x01", DecodeError),
        (root + raw + u8(1) + BOB.mailbox + lp(BOB.statement.raw[:-1]), DecodeError),
        (b"", Mismatch),
    ]
    for plaintext, error in bad:
        with pytest.raises(error):
            card.open_bundle(BOB.card.key, BOB.card.lookup, BOB.fingerprint, sealed_by_key_holder(plaintext))
