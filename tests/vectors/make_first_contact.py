"""Vectors of SPEC.md section 5: addresses, cards, links, bundles."""

from __future__ import annotations

import base64

from troth_protocol import card, primitives
from troth_protocol.encoding import lp, sha256, u8, u16

from .book import Book, flipped
from .people import Person


def _link(scheme: str, body: bytes) -> str:
    checked = body + sha256(b"troth/1 link" + body)[:4]
    return scheme + base64.urlsafe_b64encode(checked).rstrip(b"=").decode()


def make(book: Book, alice: Person, bob: Person) -> None:
    """Links of both kinds, and Alice's bundle behind a card."""
    book.chapter("05-first-contact")
    _links(book)
    _bundles(book, alice, bob)


def _links(book: Book) -> None:
    where: dict[str, object] = {"host": "relay.example", "port": 7443, "relay": "11" * 32}
    names = ("lookup", "card_key", "fingerprint", "capability")
    secret = {name: f"{number}{number}" * 32 for number, name in enumerate(names, 2)}
    relay = str(book.accept("relay-link", "5.2-1", "a relay's address", "link.relay", where)["link"])
    book.accept("relay-link-read", "5.2-1", "read back", "link.relay-read", {"link": relay})
    made = str(book.accept("card-link", "5.1-1 5.2-1", "a card", "link.card", where | secret)["link"])
    book.accept("card-link-read", "5.1-1 5.2-1", "read back", "link.card-read", {"link": made})
    for name, host in (("host-ipv6", "::1"), ("host-longest", "a" * 253)):
        book.accept(name, "5.1-1", f"a host of {len(host)} bytes", "link.relay", where | {"host": host})

    def body(host: bytes = b"relay.example", port: int = 7443, suite: int = 1, after: bytes = b"") -> str:
        return _link("troth-relay:", u16(suite) + lp(host) + u16(port) + bytes([0x11]) * 32 + after)

    spare_bits = body(b"relay.example.org")
    respelt = spare_bits[:-1] + chr(ord(spare_bits[-1]) + 1)
    refused = (
        ("link-checksum", "5.2-1", "one character mistyped", relay.replace("cmVs", "cmVt")),
        ("link-cut-short", "5.2-1", "the last character is missing", relay[:-1]),
        ("link-padded", "5.2-1", "with = at its end", relay + "="),
        ("link-other-spelling", "5.2-1", "unused bits of the last character are set", respelt),
        ("link-suite", "5.2-1", "suite 2, with the right checksum", body(suite=2)),
        ("link-scheme", "5.2-1", "a card's scheme before a relay's address", "troth:" + relay.partition(":")[2]),
        ("link-upper-case", "5.1-1", "a host in upper case", body(b"Relay.example")),
        ("link-no-host", "5.1-1", "an empty host", body(b"")),
        ("link-long-host", "5.1-1", "a host of 254 bytes", body(b"a" * 254)),
        ("link-port", "5.1-1", "port 0", body(port=0)),
        ("link-trailing", "5.1-1", "a byte after the fields", body(after=b"\x00")),
        ("link-hyphen", "5.1-1", "a host that ends with a hyphen", body(b"relay-")),
    )
    for name, rules, description, link in refused:
        operation = "link.card-read" if name == "link-scheme" else "link.relay-read"
        book.refuse(name, rules, description, operation, {"link": link}, "BAD_LINK")


def _bundles(book: Book, alice: Person, bob: Person) -> None:
    source = book.source("bundle")
    key, lookup, mailbox = source.draw(32), source.draw(32), source.draw(32)
    sealing = primitives.hkdf(bytes(32), key, b"troth/1 bundle", 32)
    source.used()
    root, manifest, statement = alice.root.public, alice.manifest.raw, alice.statement.raw
    bundle = card.seal_bundle(key, lookup, root, manifest, ((mailbox, statement),), source)
    made: dict[str, object] = {
        "card_key": key, "lookup": lookup, "root_key": root.raw, "manifest": manifest,
        "entries": [{"mailbox": mailbox, "statement": statement}], "random": source.used(),
    }  # fmt: skip
    book.accept("bundle-made", "5.3-1", "sealed under a card's key", "bundle.seal", made, {"key": sealing})
    given: dict[str, object] = {"card_key": key, "lookup": lookup, "fingerprint": alice.manifest.fingerprint}
    operation = "bundle.open"
    book.accept("bundle", "5.3-1 5.3-2", "opened", operation, given | {"bundle": bundle}, {"key": sealing})

    def sealed(root_key: bytes, manifest: bytes, statement: bytes, count: int = 1, padding: bytes = b"") -> bytes:
        entry = mailbox + lp(statement)
        plaintext = (root_key + lp(manifest) + u8(count) + entry + padding).ljust(18_432 - 28, b"\x00")
        nonce = source.draw(12)
        return nonce + primitives.aead_seal(sealing, nonce, plaintext, lookup)

    padding_at = 1_984 + 4 + len(manifest) + 1 + 32 + 4 + len(statement)
    refused: tuple[tuple[str, str, str, dict[str, object], str, tuple[str, int] | None], ...] = (
        ("bundle-other-card", "5.3-1", "another card's key", {"card_key": flipped(key, 0), "bundle": bundle},
         "MISMATCH", None),
        ("bundle-other-lookup", "5.3-1", "under another lookup id", {"lookup": flipped(lookup, 0), "bundle": bundle},
         "MISMATCH", None),
        ("bundle-size", "5.3-1", "one byte short", {"bundle": bundle[:-1]}, "BAD_FRAME", ("bundle", 0)),
        ("bundle-other-account", "5.3-2", "another account's root key",
         {"bundle": sealed(bob.root.public.raw, bob.manifest.raw, bob.statement.raw)}, "MISMATCH", None),
        ("bundle-other-manifest", "5.3-2", "another account's manifest", {"bundle": sealed(root.raw, bob.manifest.raw,
         statement)}, "MISMATCH", None),
        ("bundle-other-statement", "5.3-2", "another device's statement", {"bundle": sealed(root.raw, manifest,
         bob.statement.raw)}, "BAD_SIGNATURE", None),
        ("bundle-count", "5.3-1", "two entries for one device", {"bundle": sealed(root.raw, manifest, statement, 2)},
         "BAD_FRAME", ("entry count", 1_984 + 4 + len(manifest) + 1)),
        ("bundle-padding", "2-4", "padding that carries something", {"bundle": sealed(root.raw, manifest, statement,
         padding=b"\x01")}, "BAD_FRAME", ("bundle padding", padding_at)),
    )  # fmt: skip
    for name, rules, description, change, code, at in refused:
        book.refuse(name, rules, description, operation, given | change, code, at=at)
