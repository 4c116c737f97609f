"""Frames: buckets, room for symbols and tokens, and one encoding of each."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from troth_protocol import frame
from troth_protocol.encoding import u8, u16, u32, u64
from troth_protocol.errors import DecodeError, TextTooLong
from troth_protocol.frame import NO_SYMBOLS, Frame, Kind, Symbols, Tokens


def test_buckets_and_what_they_hold() -> None:
    """[R-9.2-1]"""
    assert frame.BUCKETS == (1_024, 4_096, 16_384, 65_536)
    assert frame.CAPACITIES == (844, 3_916, 16_204, 65_356)
    for bucket, capacity in zip(frame.BUCKETS, frame.CAPACITIES, strict=True):
        assert frame.bucket_for(capacity) == bucket
        assert len(frame.encode(Frame(1, bytes(capacity)))) == bucket
    for below, bucket in zip(frame.CAPACITIES[:-1], frame.BUCKETS[1:], strict=True):
        assert frame.bucket_for(below + 1) == bucket
    with pytest.raises(TextTooLong):
        frame.bucket_for(65_357)


def test_the_layout() -> None:
    """[R-9.1-1]"""
    made = Frame(7, b"words", Symbols(Kind.KEY, 36, b"s" * 96), 258, Tokens(9, (b"t" * 32, b"u" * 32)))
    expected = u16(7) + u32(5) + b"words" + u8(1) + u8(36) + u8(3) + b"s" * 96
    expected += u16(258) + u8(2) + u64(9) + b"t" * 32 + b"u" * 32
    assert frame.encode(made) == expected.ljust(1_024, b"\x00")
    assert frame.decode(frame.encode(made)) == made
    assert frame.decode(frame.encode(Frame(7, b""))) == Frame(7, b"")


@pytest.mark.parametrize("length", [0, 1, 200, 844, 845, 3_916, 3_917, 16_204, 16_205, 65_356])
def test_every_frame_has_room_for_five_symbols(length: int) -> None:
    """[R-9.1-3]: beside as many tokens as there is room for."""
    tokens = frame.token_room(length)
    room = frame.symbol_room(length, tokens)
    assert room >= 5
    assert tokens <= 255
    full = Frame(
        1, bytes(length), Symbols(Kind.KEY, 0, bytes(5 * 32)), 0, Tokens(1, (bytes(32),) * tokens if tokens else ())
    )
    if tokens == 0:
        full = full._replace(tokens=frame.NO_TOKENS)
    assert frame.decode(frame.encode(full)) == full


def test_a_small_frame_carries_25_symbols_beside_200_bytes() -> None:
    """[R-9.1-3]"""
    assert frame.symbol_room(200, 0) == 25


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 0xFFFF), st.binary(max_size=1_200), st.sampled_from([1, 2]), st.integers(0, 34), st.integers(0, 5),
    st.integers(0, 0xFFFF), st.integers(0, 3),
)  # fmt: skip
def test_a_frame_reads_back(
    kind: int, content: bytes, of: int, start: int, count: int, stock: int, given_: int
) -> None:
    """[R-9.1-1] [R-9.1-2]"""
    symbols = Symbols(Kind(of), start, b"s" * 32 * count) if count else frame.NO_SYMBOLS
    tokens = tuple(bytes([number]) * 32 for number in range(min(given_, frame.token_room(len(content)))))
    made = Frame(kind, content, symbols, stock, Tokens(5, tokens) if tokens else frame.NO_TOKENS)
    raw = frame.encode(made)
    assert len(raw) in frame.BUCKETS
    assert frame.decode(raw) == made


def raw_frame(
    *, kind: bytes = u16(1), length: bytes = u32(2), content: bytes = b"hi", run: bytes = bytes(3),
    symbols: bytes = b"", stock: bytes = bytes(2), tail: bytes = bytes(9), tokens: bytes = b"", size: int = 1_024,
) -> bytes:  # fmt: skip
    """A frame put together field by field."""
    return (kind + length + content + run + symbols + stock + tail + tokens).ljust(size, b"\x00")


MALFORMED = {
    "type 0": raw_frame(kind=u16(0)),
    "another size": raw_frame(size=1_025),
    "no bytes": b"",
    "too small a bucket": raw_frame(length=u32(845), content=bytes(845)),
    "too large a bucket": raw_frame(size=4_096),
    "length past every bucket": raw_frame(length=u32(65_357)),
    "length of 4 GiB": raw_frame(length=u32(0xFFFF_FFFF)),
    "unknown kind": raw_frame(run=u8(3) + u8(0) + u8(1), symbols=bytes(32)),
    "symbols of no kind": raw_frame(run=u8(0) + u8(0) + u8(1), symbols=bytes(32)),
    "start without symbols": raw_frame(run=u8(0) + u8(1) + u8(0)),
    "a kind without symbols": raw_frame(run=u8(1) + u8(0) + u8(0)),
    "key index 38": raw_frame(run=u8(1) + u8(38) + u8(1), symbols=bytes(32)),
    "ciphertext index 35": raw_frame(run=u8(2) + u8(35) + u8(1), symbols=bytes(32)),
    "39 key symbols": raw_frame(run=u8(1) + u8(0) + u8(39), length=u32(845), content=bytes(845), size=4_096),
    "36 ciphertext symbols": raw_frame(run=u8(2) + u8(0) + u8(36), length=u32(845), content=bytes(845), size=4_096),
    "symbols past the end": raw_frame(length=u32(844), content=bytes(844), run=u8(1) + u8(0) + u8(6)),
    "tokens past the end": raw_frame(tail=u8(32) + u64(1)),
    "tokens without expiry": raw_frame(tail=u8(1) + u64(0), tokens=bytes(32)),
    "expiry without tokens": raw_frame(tail=u8(0) + u64(1)),
    "padding not zero": raw_frame()[:-1] + b"\x01",
    "padding not zero at once": raw_frame()[:22] + b"\x01" + raw_frame()[23:],
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_frames_are_refused(name: str) -> None:
    """[R-9.1-2]"""
    with pytest.raises(DecodeError):
        frame.decode(MALFORMED[name])


def test_the_frame_they_differ_from_is_good() -> None:
    assert frame.decode(raw_frame()) == Frame(1, b"hi", stock=0)


def test_a_frame_that_leaves_its_bucket_is_not_made() -> None:
    """[R-9.2-2] more tokens or symbols than there is room for are the caller's error, not a fifth size."""
    room = frame.token_room(800)
    with pytest.raises(ValueError, match="do not fit"):
        frame.encode(Frame(1, bytes(800), NO_SYMBOLS, 0, Tokens(1, (bytes(32),) * (room + 6))))
    symbols = Symbols(Kind.KEY, 0, bytes(32 * (frame.symbol_room(800, 0) + 1)))
    with pytest.raises(ValueError, match="do not fit"):
        frame.encode(Frame(1, bytes(800), symbols))
