"""What frames carry: texts, names, return addresses, and what a client does not know."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import Seeded, person
from troth_protocol import content, frame
from troth_protocol.content import Addressed, ContentType, Profile, Text, TopUp, Unknown
from troth_protocol.encoding import lp, u16, u64
from troth_protocol.errors import BadText, DecodeError, TextTooLong

ADDRESS = person("alice").address(Seeded("content"))
HELLO = Text(b"i" * 16, 7, "hello")


def test_content_types_are_those_of_the_specification() -> None:
    """[R-9.3-1]"""
    assert {kind.name: kind.value for kind in ContentType} == {
        "TEXT": 1, "REPLY": 2, "EDIT": 3, "DELETE": 4, "REACTION": 5, "RECEIPT": 6, "TYPING": 7, "ATTACHMENT": 8,
        "EXPIRY": 9, "PROFILE": 10, "MANIFEST": 11, "GROUP": 12, "DEVICE": 13, "CONTROL": 14, "ADDRESSED": 15,
        "EXPIRING": 16,
    }  # fmt: skip


def test_the_layout_of_each_content() -> None:
    """[R-9.3-1] [R-9.3-4]"""
    assert (HELLO.TYPE, HELLO.encode()) == (1, b"i" * 16 + u64(7) + lp(b"hello"))
    assert (Profile.TYPE, Profile("Ann").encode()) == (10, lp(b"Ann"))
    assert (TopUp.TYPE, TopUp().encode()) == (14, b"\x01")
    inner = lp(b"i" * 16 + u64(7) + lp(b"hello"))
    assert content.wrap(ADDRESS, HELLO.TYPE, HELLO.encode()) == (15, lp(ADDRESS.encode()) + u16(1) + inner)


@pytest.mark.parametrize("inner", [HELLO, Profile("Ann"), Profile(""), TopUp(), TopUp(900)])
def test_content_reads_back_with_and_without_an_address(inner: content.Inner) -> None:
    """[R-9.3-4]"""
    assert content.decode(inner.TYPE, inner.encode()) == inner
    assert content.decode(*content.wrap(ADDRESS, inner.TYPE, inner.encode())) == Addressed(ADDRESS, inner)


@given(st.text(min_size=1, max_size=400))
def test_texts_are_sent_in_nfc(text: str) -> None:
    """[R-9.3-2]"""
    try:
        normal = content.normalize(text)
    except BadText:
        assert any("\ud800" <= character <= "\udfff" for character in text)
        return
    assert content.normalize(normal) == normal
    sent = Text(bytes(16), 0, normal)
    assert content.decode(sent.TYPE, sent.encode()) == sent


def test_the_longest_text_and_one_byte_more() -> None:
    """[R-9.3-2]"""
    longest = content.normalize("x" * 16_000)
    with pytest.raises(TextTooLong):
        content.normalize("x" * 16_001)
    with pytest.raises(TextTooLong):
        content.normalize("é" * 8_001)
    raw = Text(bytes(16), 0, longest).encode()
    assert content.decode(ContentType.TEXT, raw) == Text(bytes(16), 0, longest)
    assert frame.bucket_for(len(raw)) == 16_384
    too_long = bytes(24) + lp(b"x" * 16_001)
    with pytest.raises(DecodeError):
        content.decode(1, too_long)


def test_what_cannot_be_a_text() -> None:
    """[R-9.3-2]"""
    assert content.normalize("e\u0301") == "\u00e9"
    for wrong in ("", "\ud800"):
        with pytest.raises(BadText):
            content.normalize(wrong)
    for raw in (b"e\xcc\x81", b"", b"\xff", b"\xed\xa0\x80"):
        with pytest.raises(DecodeError):
            content.decode(1, bytes(24) + lp(raw))


def test_malformed_content_is_refused() -> None:
    """[R-9.3-1] [R-9.3-4]"""
    text = bytes(24) + lp(b"x")
    address, inner = lp(ADDRESS.encode()), u16(1) + lp(text)
    bad = [
        (1, text[:-1]), (1, text + b"\x00"), (1, b""), (10, lp(b"x" * 65)), (10, lp(b"x") + b"\x00"), (14, b"\x00"),
        (14, b"\x02"), (14, b"\x01\x00\x01"), (14, b""), (15, b""), (15, address + u16(0) + lp(b"")),
        (15, address + inner + b"\x00"), (15, address + u16(15) + lp(address + inner)),
        (15, address + u16(1) + lp(b"")), (15, address[:-1] + inner), (15, lp(b"") + inner),
    ]  # fmt: skip
    assert content.decode(15, address + inner) == Addressed(ADDRESS, Text(bytes(16), 0, "x"))
    for kind, raw in bad:
        with pytest.raises(DecodeError):
            content.decode(kind, raw)


def test_unknown_types_are_kept_apart_from_those_to_ignore() -> None:
    """[R-9.3-1] [R-9.3-3]"""
    for kind in (7, 8, 11, 99, 0x7FFF):
        assert content.decode(kind, b"anything") == Unknown(kind, ignorable=False)
    for kind in (0x8000, 0xFFFF):
        assert content.decode(kind, b"anything") == Unknown(kind, ignorable=True)
    within = content.decode(15, lp(ADDRESS.encode()) + u16(0x8001) + lp(b"?"))
    assert within == Addressed(ADDRESS, Unknown(0x8001, ignorable=True))


def test_a_name_is_short_printable_and_in_nfc() -> None:
    """[R-9.3-5]"""
    assert content.normalize_name("  e\u0301va ") == "\u00e9va"
    assert content.normalize_name("") == ""
    assert content.normalize_name("x" * 64) == "x" * 64
    for wrong in ("x" * 65, "\u00e9" * 33, "a\nb", "a\x1b[2J", "\u202eabc", "a\u200bb", "\ud800"):
        with pytest.raises(BadText):
            content.normalize_name(wrong)
    name = Profile(content.normalize_name("\u00e9" * 32))
    assert content.decode(name.TYPE, name.encode()) == name
