"""What is said about messages: layouts, bounds, and what a receiver refuses. SPEC.md section 9.3."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth_protocol import content
from troth_protocol.content import (
    Deletion,
    Edit,
    Expiring,
    Expiry,
    Inner,
    Reaction,
    Receipt,
    Reply,
    Text,
    Unknown,
    normalize_sign,
)
from troth_protocol.encoding import lp, u8, u16, u32, u64
from troth_protocol.errors import BadText, DecodeError

ID, ABOUT = b"i" * 16, b"a" * 16
TEXT = Text(ID, 7, "hello")
SAID: list[Inner] = [
    Reply(ID, 7, True, ABOUT, "yes"), Reply(ID, 7, False, ABOUT, "no"), Edit(ID, 1, 8, "hullo"), Deletion(ID, 9),
    Reaction(False, ID, 10, "👍"), Reaction(True, ID, 10, ""), Receipt((ID,)), Receipt((ID,) * 64), Expiry(0, 11),
    Expiry(30, 11), Expiry(2_419_200, 11), Expiring(30, TEXT), Expiring(3_600, Reply(ID, 7, True, ABOUT, "yes")),
]  # fmt: skip


def test_the_layout_of_each_mark() -> None:
    """[R-9.3-6] [R-9.3-7] [R-9.3-8] [R-9.3-9] [R-9.3-10] [R-9.3-11]"""
    assert (SAID[0].TYPE, SAID[0].encode()) == (2, ID + u64(7) + b"\x01" + ABOUT + lp(b"yes"))
    assert (SAID[2].TYPE, SAID[2].encode()) == (3, ID + u32(1) + u64(8) + lp(b"hullo"))
    assert (SAID[3].TYPE, SAID[3].encode()) == (4, ID + u64(9))
    assert (SAID[4].TYPE, SAID[4].encode()) == (5, b"\x00" + ID + u64(10) + lp("👍".encode()))
    assert (SAID[6].TYPE, SAID[6].encode()) == (6, b"\x01\x01" + ID)
    assert (SAID[8].TYPE, SAID[8].encode()) == (9, u32(0) + u64(11))
    assert (SAID[11].TYPE, SAID[11].encode()) == (16, u32(30) + u16(1) + lp(TEXT.encode()))


@pytest.mark.parametrize("said", SAID)
def test_each_reads_back(said: Inner) -> None:
    """[R-9.3-1]"""
    assert content.decode(said.TYPE, said.encode()) == said


BAD = [
    (2, ID + u64(7) + b"\x02" + ABOUT + lp(b"x")), (2, ID + u64(7) + b"\x00" + ABOUT + lp(b"")),
    (2, ID + u64(7) + b"\x00" + ABOUT[:15] + lp(b"x")), (3, ID + u32(0) + u64(8) + lp(b"x")),
    (3, ID + u32(1) + u64(8) + lp(b"")), (3, ID + u32(1) + u64(8) + lp(b"e\xcc\x81")),
    (3, ID + u32(1) + u64(8) + lp(b"x" * 16_001)), (4, ID), (4, ID + u64(9) + b"\x00"),
    (5, b"\x02" + ID + u64(1) + lp(b"x")), (5, b"\x00" + ID + u64(1) + lp(b"x" * 41)),
    (5, b"\x00" + ID + u64(1) + lp(b"a b")), (5, b"\x00" + ID + u64(1) + lp(b"\x1b[2J")),
    (6, b"\x02\x01" + ID), (6, b"\x01\x00"), (6, b"\x01\x41" + ID * 65), (6, b"\x01\x02" + ID),
    (9, u32(29) + u64(1)), (9, u32(2_419_201) + u64(1)), (9, u32(60)),
    (16, u32(0) + u16(1) + lp(TEXT.encode())), (16, u32(29) + u16(1) + lp(TEXT.encode())),
    (16, u32(30) + u16(0) + lp(b"")), (16, u32(30) + u16(1) + lp(TEXT.encode() + b"\x00")),
    (16, u32(30) + u16(10) + lp(lp(b"name"))), (16, u32(30) + u16(14) + lp(u8(1))),
    (16, u32(30) + u16(15) + lp(b"")), (16, u32(30) + u16(16) + lp(u32(30) + u16(1) + lp(TEXT.encode()))),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "raw"), BAD)
def test_what_is_malformed_is_refused(kind: int, raw: bytes) -> None:
    """[R-9.3-6] [R-9.3-7] [R-9.3-8] [R-9.3-9] [R-9.3-10] [R-9.3-11]"""
    with pytest.raises(DecodeError):
        content.decode(kind, raw)


def test_wrappers_cannot_be_nested_until_the_stack_ends() -> None:
    """[R-9.3-11]: 6,000 levels fit a frame; the first inner one is refused unread."""
    raw = TEXT.encode()
    for _ in range(6_000):
        raw = u32(30) + u16(16) + lp(raw)
    with pytest.raises(DecodeError, match="disappears"):
        content.decode(16, raw)


def test_what_is_unknown_inside_a_timer_needs_a_newer_client() -> None:
    """[R-9.3-3]"""
    assert content.decode(16, u32(30) + u16(99) + lp(b"?")) == Expiring(30, Unknown(99, ignorable=False))
    assert content.decode(16, u32(30) + u16(8) + lp(b"?")) == Expiring(30, Unknown(8, ignorable=False))


def test_signs() -> None:
    """[R-9.3-9]"""
    family = "👩🏽\u200d❤️\u200d💋\u200d👨🏿"
    assert len(family.encode()) == 35
    for good in ("👍", family, "e\u0301", "+1", ""):
        sign = normalize_sign(good)
        assert content.decode(5, Reaction(True, ID, 1, sign).encode()) == Reaction(True, ID, 1, sign)
    for wrong in ("x" * 41, "a b", "a\tb", "\x00", "\ud800", "a\u2028b"):
        with pytest.raises(BadText):
            normalize_sign(wrong)


@given(st.integers(1, 16), st.binary(max_size=200))
def test_no_bytes_do_more_than_be_refused(kind: int, raw: bytes) -> None:
    """[R-9.3-1]: and what is accepted is the one encoding of what it says."""
    try:
        said = content.decode(kind, raw)
    except DecodeError:
        return
    if not isinstance(said, Unknown | content.Addressed) and not isinstance(getattr(said, "inner", None), Unknown):
        assert said.encode() == raw
