"""What client and relay say: each body as specified, read back, and refused when malformed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import one_time_batch
from troth_protocol import wire
from troth_protocol.encoding import Reader, lp, u8, u16, u32, u64
from troth_protocol.errors import DecodeError
from troth_protocol.wire import Code, Type, Via, answers, blobs, requests, rights

A, B, C, N = b"a" * 32, b"b" * 32, b"c" * 32, b"n" * 16
SMALL = bytes(1_154)
PIECE = b"p" * 65_552
LEAVES = one_time_batch()[2]

REQUESTS: list[tuple[requests.Request, int, bytes]] = [
    (requests.Hello(1, A), 0x01, u16(1) + A),
    (requests.Create(A, B, C, 9, b"invite"), 0x02, A + B + C + u64(9) + lp(b"invite")),
    (requests.Prove(A, B, C), 0x03, A + B + C),
    (requests.Rotate(A, 9), 0x04, A + u64(9)),
    (requests.Publish(A, B, 3, A[:16], bytes(18_432)), 0x05, A + B + u16(3) + A[:16] + lp(bytes(18_432))),
    (requests.Unpublish(A), 0x06, A),
    (requests.AddLeaves(N, LEAVES[:2]), 0x07, N + u8(2) + LEAVES[0] + LEAVES[1]),
    (requests.Count(), 0x08, b""),
    (requests.FetchBundle(A, B), 0x09, A + B),
    (requests.DeliverFirst(A, B, 4, N, SMALL), 0x0A, A + B + u8(4) + N + lp(SMALL)),
    (requests.Deliver(A, B, SMALL), 0x0B, A + B + lp(SMALL)),
    (requests.DeliverSpare(A, B, N, SMALL), 0x0C, A + B + N + lp(SMALL)),
    (requests.Fetch(64), 0x0D, u16(64)),
    (requests.Acknowledge((1, 2**64 - 1)), 0x0E, u16(2) + u64(1) + b"\xff" * 8),
    (requests.Ledger(7), 0x0F, u64(7)),
    (requests.Spares((A, B), (C,)), 0x10, u8(2) + A + B + u8(1) + C),
    (rights.Erase(), 0x11, b""),
    (rights.Refuse((b"n" * 16, b"m" * 16)), 0x12, b"\x00\x02" + b"n" * 16 + b"m" * 16),
    (blobs.BlobPut(A, 4, 9, 3, PIECE), 0x13, A + u16(4) + u64(9) + u16(3) + lp(PIECE)),
    (blobs.BlobGet(A, 2_047), 0x14, A + u16(2_047)),
    (blobs.BlobDelete(A), 0x15, A),
]
ANSWERS: list[tuple[answers.Answer, int, bytes]] = [
    (answers.Welcome(1, A, B, 7, C), 0x81, u16(1) + A + B + u64(7) + C),
    (answers.Ok(), 0x82, b""),
    (answers.Error(8, "field", 1, 2, 3), 0x83, u16(8) + lp(b"field") + u32(1) + u32(2) + u32(3)),
    (answers.Counts(128, 9), 0x84, u16(128) + u32(9)),
    (answers.Envelope(5, Via.SPARE, A, SMALL), 0x86, u64(5) + u8(2) + A + lp(SMALL)),
    (answers.Drained(), 0x87, b""),
    (answers.LedgerPage(bytes(1_984), 3, (b"x", b"yz")), 0x88, bytes(1_984) + u64(3) + u8(2) + lp(b"x") + lp(b"yz")),
    (blobs.BlobState(3, 4, 9), 0x89, u16(3) + u16(4) + u64(9)),
    (blobs.BlobPart(4, 3, PIECE), 0x8A, u16(4) + u16(3) + lp(PIECE)),
]


def read_request(frame: bytes) -> tuple[int, requests.Request]:
    """What a relay does with a frame: id, type, body."""
    reader = Reader(frame)
    number, kind = reader.u32("request id"), reader.u8("type")
    assert requests.is_request(kind)
    return number, requests.decode_body(kind, reader)


@pytest.mark.parametrize(("request_", "kind", "body"), REQUESTS, ids=lambda value: type(value).__name__)
def test_requests_have_one_encoding(request_: requests.Request, kind: int, body: bytes) -> None:
    """[R-11.2-1] [R-11.3-2]: id u32, type u8, body; a bundle names the batch whose leaves go with it."""
    frame = requests.encode(0x01020304, request_)
    assert frame == b"\x01\x02\x03\x04" + bytes([kind]) + body
    assert read_request(frame) == (0x01020304, request_)
    for wrong in (frame + b"\x00", frame[:-1]):
        if body or len(wrong) > len(frame):
            with pytest.raises(DecodeError):
                read_request(wrong)


@pytest.mark.parametrize(("answer", "kind", "body"), ANSWERS, ids=lambda value: type(value).__name__)
def test_answers_have_one_encoding(answer: answers.Answer, kind: int, body: bytes) -> None:
    """[R-11.4-1] [R-11.4-4]: Ok and Drained among them, which say all they say by their type."""
    frame = answers.encode(7, answer)
    assert frame == u32(7) + bytes([kind]) + body
    assert answers.decode(frame) == (7, answer)
    with pytest.raises(DecodeError):
        answers.decode(frame + b"\x00")
    if body:
        with pytest.raises(DecodeError):
            answers.decode(frame[:-1])


def test_each_side_refuses_the_others_types() -> None:
    for kind in Type:
        assert requests.is_request(kind) is (kind < 0x80)
    for number in (0x00, 0x01, 0x10, 0x80, 0x8B, 0xFF):
        with pytest.raises(DecodeError, match="is no answer"):
            answers.decode(u32(1) + u8(number))
    assert len(REQUESTS) + len(ANSWERS) + 1 == len(Type)


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        *(((u16(chunks), u64(9), u16(0), lp(b"")), "chunks") for chunks in (0, 3, 2_047, 4_096, 65_535)),
        ((u16(4), u64(9), u16(5), lp(b"")), "index"),
        ((u16(4), u64(9), u16(4), lp(PIECE)), "index"),
        *(((u16(4), u64(9), u16(0), lp(bytes(size))), "chunk") for size in (1, 65_551)),
        ((u16(4), u64(9), u16(0), lp(bytes(65_553))), "chunk length"),
    ],
)
def test_a_blob_is_whole_chunks_and_one_of_twelve_sizes(parts: tuple[bytes, ...], name: str) -> None:
    """[R-11.9-1]; one more thing than asking is refused: a chunk behind the last."""
    frame = u32(7) + u8(0x13) + A + b"".join(parts)
    with pytest.raises(DecodeError) as refused:
        read_request(frame)
    assert refused.value.field == name
    assert len(blobs.SIZES) == 12
    assert len(requests.encode(1, blobs.BlobPut(A, 2_048, 9, 2_047, PIECE))) <= wire.MAX_FRAME
    assert read_request(u32(7) + u8(0x13) + A + u16(4) + u64(9) + u16(4) + lp(b""))[0] == 7


@pytest.mark.parametrize("size", [18_432, 57_344])
@pytest.mark.parametrize("leaves", [(None,), (LEAVES[3],), (LEAVES[0], None, LEAVES[1], None, LEAVES[2]), ()])
def test_a_bundle_answer_has_one_size_with_or_without_leaves(size: int, leaves: tuple[bytes | None, ...]) -> None:
    """[R-5.3-3]"""
    if size == 18_432 and len(leaves) > 1:
        return
    bundle = answers.Bundle(b"s" * size, leaves)
    frame = answers.encode(1, bundle)
    assert len(frame) == 5 + (20_480 if size == 18_432 else 65_536) <= wire.MAX_FRAME
    assert answers.decode(frame) == (1, bundle)
    for wrong in (frame[:-1], frame + b"\x00", frame[:-1] + b"\x01"):
        with pytest.raises(DecodeError):
            answers.decode(wrong)


def test_a_leaf_that_is_not_there_is_zeros() -> None:
    """[R-5.3-3]"""
    frame = bytearray(answers.encode(1, answers.Bundle(bytes(18_432), (None,))))
    frame[5 + 4 + 18_432 + 1 + 1 + 700] = 1
    with pytest.raises(DecodeError, match="leaf"):
        answers.decode(bytes(frame))


@pytest.mark.parametrize("size", [0, 1_153, 1_155, 4_096, 65_665])
def test_envelopes_have_four_sizes(size: int) -> None:
    """[R-11.2-3]"""
    assert {1_154, 4_226, 16_514, 65_666} == wire.ENVELOPE_SIZES
    assert max(wire.ENVELOPE_SIZES) == wire.MAX_ENVELOPE
    for request in (requests.Deliver(A, B, bytes(size)), requests.DeliverSpare(A, B, N, bytes(size))):
        with pytest.raises(DecodeError, match="is not an envelope's size"):
            read_request(requests.encode(1, request))
    with pytest.raises(DecodeError):
        answers.decode(answers.encode(1, answers.Envelope(1, Via.TOKEN, A, bytes(size))))
    with pytest.raises(DecodeError):
        read_request(requests.encode(1, requests.Deliver(A, B, bytes(65_667))))


def test_the_largest_frames_fit() -> None:
    """[R-11.2-2]"""
    largest = (
        requests.encode(1, requests.DeliverFirst(A, B, 0, N, bytes(wire.MAX_ENVELOPE))),
        requests.encode(1, requests.AddLeaves(N, LEAVES[:32])),
        requests.encode(1, requests.Publish(A, B, 1, A[:16], bytes(57_344))),
        requests.encode(1, requests.Acknowledge(tuple(range(256)))),
        answers.encode(1, answers.Envelope(1, Via.INTRO, A, bytes(wire.MAX_ENVELOPE))),
    )
    for frame in largest:
        assert len(frame) <= wire.MAX_FRAME == 70_000


MALFORMED: list[requests.Request] = [
    requests.Create(A, B, C, 9, bytes(65)),
    requests.Publish(A, B, 101, A[:16], bytes(18_432)),
    requests.Publish(A, B, 1, A[:16], bytes(18_431)),
    requests.AddLeaves(N, ()),
    requests.AddLeaves(N, LEAVES[:33]),
    requests.AddLeaves(N, (LEAVES[1], LEAVES[0])),
    requests.AddLeaves(N, (LEAVES[1], LEAVES[1])),
    requests.AddLeaves(N, (b"\x80" + LEAVES[1][1:],)),
    requests.DeliverFirst(A, B, 5, N, SMALL),
    requests.Fetch(0),
    requests.Fetch(65),
    requests.Acknowledge(()),
    requests.Acknowledge(tuple(range(257))),
    requests.Spares((A,) * 65, ()),
    requests.Spares((), (A,) * 65),
]


@pytest.mark.parametrize("request_", MALFORMED, ids=lambda value: type(value).__name__)
def test_requests_past_a_limit_are_refused(request_: requests.Request) -> None:
    """[R-11.4-3]: a window of 1 to 64, and the other limits of the format."""
    with pytest.raises(DecodeError):
        read_request(requests.encode(1, request_))


def test_the_numbers_both_sides_build_in() -> None:
    """[R-11.1-2] [R-11.2-1] [R-11.4-3] [R-10.2-5] [R-10.3-2] [R-10.4-2]"""
    assert (wire.PATH, wire.VERSION) == ("/troth", 1)
    assert (wire.MAX_WINDOW, wire.MAX_SPENT_PER_EPOCH) == (64, 100_000)
    assert (wire.SPARE_SECONDS, wire.ENVELOPES_PER_USE) == (86_400, 8)


def test_refused_is_one_code_and_unknown_codes_are_kept() -> None:
    """[R-11.5-2]"""
    assert [code.name for code in Code if code == 5] == ["REFUSED"]
    assert len({*map(int, Code)}) == 13
    refused = answers.encode(3, answers.Error(Code.REFUSED))
    assert answers.decode(refused) == (3, answers.Error(5))
    assert answers.Error(5).code_name == "REFUSED"
    _, kept = answers.decode(answers.encode(3, answers.Error(999)))
    assert isinstance(kept, answers.Error)
    assert kept.code_name == "code 999"


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(Type)), st.binary(max_size=200))
def test_any_bytes_decode_or_raise_decode_errors(kind: Type, body: bytes) -> None:
    """[R-2-3]: and what decodes encodes to the same bytes."""
    frame = u32(1) + u8(kind) + body
    try:
        if requests.is_request(kind):
            number, request = read_request(frame)
            assert requests.encode(number, request) == frame
        else:
            number, answer = answers.decode(frame)
            assert answers.encode(number, answer) == frame
    except DecodeError:
        return
