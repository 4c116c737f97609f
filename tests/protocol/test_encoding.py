"""The one encoding: integers, length prefixes, and a reader that refuses everything else."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth_protocol import encoding
from troth_protocol.encoding import Reader
from troth_protocol.errors import DecodeError


def test_integers_are_big_endian_and_of_fixed_width() -> None:
    """[R-2-1]"""
    assert encoding.u8(1) == b"\x01"
    assert encoding.u16(0x0102) == b"\x01\x02"
    assert encoding.u32(0x01020304) == b"\x01\x02\x03\x04"
    assert encoding.u64(1) == bytes(7) + b"\x01"
    for write, width in ((encoding.u8, 1), (encoding.u16, 2), (encoding.u32, 4), (encoding.u64, 8)):
        with pytest.raises(OverflowError):
            write(256**width)


@given(st.binary(max_size=300))
def test_length_prefix_is_u32_then_the_bytes(value: bytes) -> None:
    """[R-2-2]"""
    encoded = encoding.lp(value)
    assert encoded == len(value).to_bytes(4, "big") + value
    reader = Reader(encoded)
    assert reader.lp("value", 300) == value
    reader.end()


def test_hash_is_sha256_over_the_concatenation() -> None:
    assert encoding.sha256(b"a", b"bc") == hashlib.sha256(b"abc").digest()


def test_there_is_one_suite() -> None:
    """[R-2-5]"""
    assert encoding.SUITE == 0x0001


@given(st.binary(max_size=40), st.integers(0, 60))
def test_short_input_is_refused_with_field_and_offset(data: bytes, wanted: int) -> None:
    """[R-2-3]"""
    reader = Reader(data)
    if wanted <= len(data):
        assert reader.fixed("field", wanted) == data[:wanted]
        return
    with pytest.raises(DecodeError) as caught:
        reader.fixed("field", wanted)
    assert (caught.value.field, caught.value.offset) == ("field", 0)


def test_trailing_bytes_are_refused() -> None:
    """[R-2-3]"""
    reader = Reader(b"\x01\x02")
    reader.u8("one")
    with pytest.raises(DecodeError, match="end at byte 1: 1 trailing"):
        reader.end()


@pytest.mark.parametrize("width", [1, 2, 4, 8])
def test_integers_out_of_range_are_refused_at_their_offset(width: int) -> None:
    """[R-2-3]"""
    reader = Reader(b"\x00" + (5).to_bytes(width, "big"), 1)
    with pytest.raises(DecodeError) as caught:
        reader.integer("count", width, most=4)
    assert caught.value.offset == 1
    with pytest.raises(DecodeError):
        reader.integer("count", width, least=6)
    assert reader.integer("count", width, most=5, least=5) == 5


def test_a_length_is_checked_before_the_bytes_are_looked_for() -> None:
    """[R-2-3]"""
    with pytest.raises(DecodeError, match=r"is not within 0\.\.10"):
        Reader(b"\xff\xff\xff\xff").lp("value", 10)
    with pytest.raises(DecodeError, match=r"is not within 1\.\.10"):
        Reader(bytes(4)).lp("value", 10, 1)


def test_text_must_be_utf8() -> None:
    """[R-2-3]"""
    assert Reader(encoding.lp("é".encode())).text("name", 9) == "é"
    for bad in (b"\xff", b"\xc0\x80", b"\xed\xa0\x80"):
        with pytest.raises(DecodeError, match="not UTF-8"):
            Reader(encoding.lp(bad)).text("name", 9)


@given(st.integers(1, 40), st.integers(0, 39), st.integers(1, 255))
def test_padding_that_is_not_zero_is_refused(length: int, place: int, value: int) -> None:
    """[R-2-4]"""
    padding = bytearray(length)
    Reader(bytes(padding)).zeros("padding", length)
    padding[place % length] = value
    with pytest.raises(DecodeError, match="padding that is not zero") as caught:
        Reader(bytes(padding)).zeros("padding", length)
    assert caught.value.offset == 0
