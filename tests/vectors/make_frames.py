"""Vectors of SPEC.md section 9: frames, buckets, content."""

from __future__ import annotations

from troth_protocol.card import RelayAddress
from troth_protocol.content import Profile, Text, TopUp, wrap
from troth_protocol.encoding import lp, u8, u16, u32, u64
from troth_protocol.envelope import ReturnAddress
from troth_protocol.frame import Tokens

from . import make_marks
from .book import NOW, Book

Fields = dict[str, object]


def make(book: Book) -> None:
    """All of section 9."""
    book.chapter("09-frames")
    _frames(book)
    _buckets(book)
    _contents(book)
    make_marks.make(book)


def _frames(book: Book) -> None:
    tokens, symbols = ["a1" * 32, "a2" * 32], {"kind": 2, "start": 34, "data": "b1" * 32 + "b2" * 32}
    plain: Fields = {"type": 1, "content": b"hello", "stock": 65_535}
    full = plain | {"symbols": symbols, "stock": 7, "expires": str(NOW), "tokens": tokens}
    for name, description, given in (("frame", "content alone", plain), ("frame-full", "with all fields", full)):
        made = book.accept(name, "9.1-1", description, "frame.encode", given)
        read = {"frame": made["frame"], "size": 1_024}
        book.accept(f"{name}-read", "9.1-1", f"{description}, read", "frame.decode", read)
    given = plain | {"content": "cc" * 845}
    book.accept("frame-next-bucket", "9.2-1", "845 bytes of content", "frame.encode", given)

    def raw(
        kind: int = 0, start: int = 0, count: int = 0, run: bytes = b"", tokens: int = 0, expires: int = 0,
        after: bytes = b"", length: int = 5, type_: int = 1,
    ) -> bytes:  # fmt: skip
        head = u16(type_) + u32(length) + b"hello" + bytes(length - 5)
        return head + u8(kind) + u8(start) + u8(count) + run + u16(65_535) + u8(tokens) + u64(expires) + after

    refused = (
        ("type-zero", "type 0", raw(type_=0), 1_024, ("frame type", 0)),
        ("size", "1,023 bytes", raw(), 1_023, ("frame", 0)),
        ("other-bucket", "5 bytes of content in a frame of 4,096", raw(), 4_096, ("frame content length", 2)),
        ("content-too-long", "845 bytes of content in a frame of 1,024", raw(length=845), 1_024,
         ("frame content length", 2)),
        ("kind", "kind 3", raw(kind=3), 1_024, ("symbol kind", 11)),
        ("kind-without-symbols", "a kind and no symbols", raw(kind=1), 1_024, ("symbols", 12)),
        ("symbols-without-kind", "a symbol of no kind", raw(count=1, run=bytes(32)), 1_024, ("symbols", 12)),
        ("start-past-key", "a start of 38 in a key", raw(1, 38, 1, bytes(32)), 1_024, ("symbols", 12)),
        ("start-past-ciphertext", "a start of 35 in a ciphertext", raw(2, 35, 1, bytes(32)), 1_024, ("symbols", 12)),
        ("too-many-symbols", "36 symbols of a ciphertext", raw(2, 0, 36), 1_024, ("symbols", 12)),
        ("symbols-past-the-end", "35 symbols where 31 fit", raw(2, 0, 35), 1_024, ("symbols", 14)),
        ("tokens-past-the-end", "32 tokens where 31 fit", raw(tokens=32, expires=1), 1_024, ("tokens", 14)),
        ("expiry-without-tokens", "an expiry and no tokens", raw(expires=1), 1_024, ("token expiry", 17)),
        ("tokens-without-expiry", "a token that does not expire", raw(tokens=1, after=bytes([1]) * 32), 1_024,
         ("token expiry", 17)),
        ("padding", "padding that carries something", raw(after=b"\x01"), 1_024, ("frame padding", 25)),
    )  # fmt: skip
    for name, description, frame, size, at in refused:
        given = {"frame": frame, "size": size}
        book.refuse(f"frame-{name}", "9.1-2", description, "frame.decode", given, "BAD_FRAME", at=at)


def _buckets(book: Book) -> None:
    operation = "frame.bucket"
    for length in (0, 844, 845, 3_917, 65_356):
        given = {"content_length": length, "token_count": 0}
        book.accept(f"bucket-{length}", "9.2-1 9.1-3", f"{length} bytes of content", operation, given)
    given = {"content_length": 65_357, "token_count": 0}
    book.refuse("bucket-65357", "9.2-1", "more than the largest bucket takes", operation, given, "TEXT_TOO_LONG")


def _contents(book: Book) -> None:
    text = Text(bytes([0xAB]) * 16, NOW, "hello").encode()
    where = RelayAddress("relay.example", 7443, bytes([0x11]) * 32)
    mailbox, lookup, key, spare = (bytes([number]) * 32 for number in (0x12, 0x13, 0x14, 0x15))
    address = ReturnAddress(where, mailbox, lookup, key, spare, Tokens(NOW, (bytes([0x16]) * 32,)))
    made: Fields = {"id": "ab" * 16, "sent": str(NOW)}
    book.accept("text", "9.3-1 9.3-2", "a text", "content.text", made | {"text": "hello"})
    book.accept("text-composed", "9.3-2", "a decomposed letter is composed", "content.text", made | {"text": "e\u0301"})
    book.accept("text-longest", "9.3-2", "16,000 bytes", "content.text", made | {"text": "a" * 16_000})
    for name, description, words, code in (
        ("text-empty", "no text", "", "BAD_TEXT"),
        ("text-too-long", "16,001 bytes", "a" * 16_001, "TEXT_TOO_LONG"),
        ("text-surrogate", "a lone surrogate", "\ud800", "BAD_TEXT"),
    ):
        book.refuse(name, "9.3-2", description, "content.text", made | {"text": words}, code)
    book.accept("name", "9.3-5", "a name", "content.name", {"name": "Ada"})
    for name, words in (("name-control", "A\u0007"), ("name-bidi", "A\u202e"), ("name-long", "a" * 65)):
        book.refuse(name, "9.3-5", f"a name as in {name}", "content.name", {"name": words}, "BAD_TEXT")
    addressed_type, addressed = wrap(address, 1, text)
    operation = "content.decode"
    for name, rules, description, kind, raw in (
        ("read-text", "9.3-1", "a text", 1, text),
        ("read-profile", "9.3-1", "a name", 10, Profile("Ada").encode()),
        ("read-no-name", "9.3-1", "an empty name", 10, Profile("").encode()),
        ("read-top-up", "9.3-1", "a top-up with 3 bytes of padding", 14, TopUp(3).encode()),
        ("read-addressed", "9.3-4", "a text with a return address", addressed_type, addressed),
        ("read-unknown", "9.3-3", "an unknown type that must be shown", 0x7FFF, b"?"),
        ("read-ignorable", "9.3-3", "an unknown type that is ignored", 0x8000, b"?"),
        ("read-reserved", "9.3-3", "a reserved type", 7, b"?"),
    ):
        book.accept(name, rules, description, operation, {"type": kind, "content": raw})
    nested = wrap(address, addressed_type, addressed)[1]
    for name, rules, description, kind, raw, at in (
        ("read-text-trailing", "2-3", "a byte after a text", 1, text + b"\x00", ("end", 33)),
        ("read-text-empty", "9.3-2", "a text of no bytes", 1, text[:24] + u32(0), ("text length", 24)),
        ("read-text-decomposed", "9.3-2", "a text not in NFC", 1, text[:24] + lp("e\u0301".encode()), ("text", 24)),
        ("read-text-not-utf-8", "9.3-2", "bytes that are not UTF-8", 1, text[:24] + lp(b"\xff"), ("text", 24)),
        ("read-text-long", "9.3-2", "a length of 16,001", 1, text[:24] + u32(16_001), ("text length", 24)),
        ("read-name-long", "9.3-5", "a name of 65 bytes", 10, lp(b"a" * 65), ("name length", 0)),
        ("read-control", "9.3-1", "control 2", 14, b"\x02", ("control", 0)),
        ("read-top-up-padding", "2-4", "padding of a top-up that is not zero", 14, b"\x01\x00\x01",
         ("top-up padding", 1)),
        ("read-nested", "9.3-1", "an address inside an address", 15, nested, ("inner type", 0)),
    ):  # fmt: skip
        given = {"type": kind, "content": raw}
        book.refuse(name, rules, description, operation, given, "BAD_FRAME", at=at)
    raw = address.encode()
    book.accept("return-address", "6.3-4", "a return address", "content.return-address", {"address": raw})
    after = 4 + 13 + 2 + 32 + 128 + 9
    no_expiry = {"address": raw[: after - 8] + bytes(8) + raw[after:]}
    description = "a token and no expiry"
    book.refuse("return-address-expiry", "6.3-4", description, "content.return-address", no_expiry, "BAD_FRAME",
                at=("token expiry", after))  # fmt: skip
