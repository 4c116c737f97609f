"""Vectors of SPEC.md section 9.3: replies, edits, deletions, reactions, receipts, timers."""

from __future__ import annotations

from troth_protocol.content import Deletion, Edit, Expiring, Expiry, Inner, Reaction, Receipt, Reply, Text
from troth_protocol.encoding import lp, u8, u16, u32, u64

from .book import NOW, Book

_ID, _ABOUT = bytes([0xAB]) * 16, bytes([0xCD]) * 16
_TEXT = Text(_ID, NOW, "hello")


def make(book: Book) -> None:
    """What is read, then what is refused; into the chapter that is open."""
    said: tuple[tuple[str, str, Inner], ...] = (
        ("reply-own", "9.3-6", Reply(_ID, NOW, True, _ABOUT, "yes")),
        ("reply-theirs", "9.3-6", Reply(_ID, NOW, False, _ABOUT, "yes")),
        ("edit", "9.3-7", Edit(_ID, 1, NOW, "hullo")),
        ("deletion", "9.3-8", Deletion(_ID, NOW)),
        ("reaction", "9.3-9", Reaction(False, _ID, NOW, "\U0001f44d")),
        ("reaction-taken-back", "9.3-9", Reaction(True, _ID, NOW, "")),
        ("receipt", "9.3-10", Receipt((_ID, _ABOUT))),
        ("receipt-64", "9.3-10", Receipt(tuple(bytes([number]) * 16 for number in range(64)))),
        ("expiry", "9.3-11", Expiry(3_600, NOW)),
        ("expiry-off", "9.3-11", Expiry(0, NOW)),
        ("expiring-text", "9.3-11", Expiring(30, _TEXT)),
        ("expiring-reply", "9.3-11", Expiring(2_419_200, Reply(_ID, NOW, True, _ABOUT, "yes"))),
    )
    for name, rule, each in said:
        given = {"type": int(each.TYPE), "content": each.encode()}
        book.accept(f"mark-{name}", rule, name.replace("-", " "), "content.decode", given)
    given = {"type": 16, "content": u32(30) + u16(99) + lp(b"?")}
    book.accept("mark-expiring-unknown", "9.3-3", "something unknown that disappears", "content.decode", given)
    text, reacted = _TEXT.encode(), u8(0) + _ID + u64(NOW)
    for name, rule, description, kind, raw, at in (
        ("reply-own-2", "9.3-6", "own is 2", 2, _ID + u64(NOW) + u8(2) + _ABOUT + lp(b"x"), ("own", 24)),
        ("reply-empty", "9.3-6", "no words", 2, _ID + u64(NOW) + u8(1) + _ABOUT + lp(b""), ("text length", 41)),
        ("edit-revision-0", "9.3-7", "revision 0", 3, _ID + u32(0) + u64(NOW) + lp(b"x"), ("revision", 16)),
        ("edit-empty", "9.3-7", "no words", 3, _ID + u32(1) + u64(NOW) + lp(b""), ("text length", 28)),
        ("deletion-trailing", "2-3", "a byte too many", 4, _ID + u64(NOW) + b"\x00", ("end", 24)),
        ("reaction-long", "9.3-9", "a sign of 41 bytes", 5, reacted + lp(b"x" * 41), ("sign length", 25)),
        ("reaction-blank", "9.3-9", "a blank in a sign", 5, reacted + lp(b"a b"), ("sign", 25)),
        ("reaction-control", "9.3-9", "a control character in a sign", 5, reacted + lp(b"\x1b"), ("sign", 25)),
        ("receipt-none", "9.3-10", "no ids", 6, u8(1) + u8(0), ("count", 1)),
        ("receipt-65", "9.3-10", "65 ids", 6, u8(1) + u8(65) + bytes(16 * 65), ("count", 1)),
        ("receipt-kind-2", "9.3-10", "kind 2", 6, u8(2) + u8(1) + _ID, ("receipt kind", 0)),
        ("expiry-29", "9.3-11", "29 seconds", 9, u32(29) + u64(NOW), ("timer", 0)),
        ("expiry-long", "9.3-11", "a second past four weeks", 9, u32(2_419_201) + u64(NOW), ("timer", 0)),
        ("expiring-0", "9.3-11", "a timer of 0", 16, u32(0) + u16(1) + lp(text), ("timer", 0)),
        ("expiring-name", "9.3-11", "a name inside", 16, u32(30) + u16(10) + lp(lp(b"Ada")), ("inner type", 4)),
        ("expiring-nested", "9.3-11", "a timer inside a timer", 16,
         u32(30) + u16(16) + lp(u32(30) + u16(1) + lp(text)), ("inner type", 4)),
        ("expiring-trailing", "2-3", "a byte after the text inside", 16, u32(30) + u16(1) + lp(text + b"\x00"),
         ("end", 33)),
    ):  # fmt: skip
        given = {"type": kind, "content": raw}
        book.refuse(f"mark-{name}", rule, description, "content.decode", given, "BAD_FRAME", at=at)
