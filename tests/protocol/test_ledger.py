"""The operator's ledger: signed, chained, never shorter, and the descriptor it pins."""

from __future__ import annotations

from dataclasses import replace

import pytest

from simulator import NOW, Seeded
from troth_protocol import keys, labels, ledger
from troth_protocol.encoding import lp, u8, u16, u64
from troth_protocol.errors import BadSignature, DecodeError, Expired, Fork, Mismatch, Rollback
from troth_protocol.ledger import Descriptor, Kind, Ledger, TlsMode

SOURCE = Seeded("ledger")
OPERATOR = keys.SigningKey.generate(SOURCE)
EMPTY = Ledger(OPERATOR.public.fingerprint(labels.OPERATOR))
DESCRIPTOR = Descriptor((("relay.example", 443), ("127.0.0.1", 8_443)), TlsMode.PIN, (b"p" * 32,))


def entry(at: Ledger, kind: Kind = Kind.NOTICE, content: bytes = b"{}", expires: int = NOW + 10) -> bytes:
    """The next entry."""
    return ledger.sign(OPERATOR, at, kind, content, NOW, expires, SOURCE)


def test_an_entry_is_laid_out_as_specified() -> None:
    """[R-12.1-1]"""
    body = u16(1) + u64(0) + bytes(32) + u8(6) + u64(NOW) + u64(NOW + 10) + lp(b"{}")
    raw = entry(EMPTY)
    assert raw[: len(body)] == body
    OPERATOR.public.verify(b"ledger", body, raw[len(body) :], "entry")


def test_entries_follow_one_another() -> None:
    """[R-12.1-2]"""
    first = entry(EMPTY)
    one = EMPTY.extend(first, OPERATOR.public)
    second = entry(one, content=b"[]")
    two = one.extend(second, OPERATOR.public)
    assert (two.length, two.descriptor) == (2, None)
    for state, raw in ((EMPTY, second), (two, first), (two, second)):
        with pytest.raises(Rollback):
            state.extend(raw, OPERATOR.public)
    other = EMPTY.extend(entry(EMPTY, content=b"other"), OPERATOR.public)
    with pytest.raises(Fork):
        other.extend(second, OPERATOR.public)


def test_a_forged_or_malformed_entry_is_refused() -> None:
    """[R-12.1-2]"""
    raw = entry(EMPTY)
    for place in [*range(0, len(raw), 41), len(raw) - 1]:
        with pytest.raises((BadSignature, DecodeError)):
            EMPTY.extend(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :], OPERATOR.public)
    for wrong in (b"", raw[:-1], raw + b"\x00", raw[:100]):
        with pytest.raises((BadSignature, DecodeError)):
            EMPTY.extend(wrong, OPERATOR.public)
    with pytest.raises(DecodeError):
        EMPTY.extend(entry(EMPTY, content=bytes(ledger.MAX_CONTENT + 1)), OPERATOR.public)


def test_another_operator_is_refused() -> None:
    """[R-12.1-2]: the key must be the one whose fingerprint the card or link named."""
    stranger = keys.SigningKey.generate(SOURCE)
    raw = ledger.sign(stranger, EMPTY, Kind.NOTICE, b"", NOW, NOW, SOURCE)
    with pytest.raises(Mismatch, match="another operator"):
        EMPTY.extend(raw, stranger.public)
    with pytest.raises(BadSignature):
        EMPTY.extend(raw, OPERATOR.public)


def test_a_shorter_ledger_is_a_rollback() -> None:
    """[R-12.1-3]"""
    grown = EMPTY.extend(entry(EMPTY), OPERATOR.public)
    grown.check_length(1)
    grown.check_length(2)
    with pytest.raises(Rollback, match="has 0 entries; 1 were read"):
        grown.check_length(0)


def test_unknown_kinds_are_kept() -> None:
    """[R-12.1-2]"""
    body = u16(1) + u64(0) + bytes(32) + u8(200) + u64(NOW) + u64(NOW) + lp(b"?")
    grown = EMPTY.extend(body + OPERATOR.sign(b"ledger", body, SOURCE), OPERATOR.public)
    assert grown.length == 1
    zero = u16(1) + u64(0) + bytes(32) + u8(0) + u64(NOW) + u64(NOW) + lp(b"?")
    with pytest.raises(DecodeError):
        EMPTY.extend(zero + OPERATOR.sign(b"ledger", zero, SOURCE), OPERATOR.public)


@pytest.mark.parametrize(
    "descriptor",
    [DESCRIPTOR, Descriptor((("h", 1),), TlsMode.WEBPKI, ()), Descriptor((("h", 1),), TlsMode.PIN, (bytes(32),) * 4)],
)
def test_descriptors_read_back(descriptor: Descriptor) -> None:
    """[R-12.2-1]"""
    assert Descriptor.decode(descriptor.encode()) == descriptor


def test_malformed_descriptors_are_refused() -> None:
    """[R-12.2-1]: a pinned one without a pin, above all."""
    raw = DESCRIPTOR.encode()
    bad = [
        replace(DESCRIPTOR, pins=()).encode(), replace(DESCRIPTOR, hosts=()).encode(),
        replace(DESCRIPTOR, hosts=(("h", 1),) * 9).encode(), replace(DESCRIPTOR, pins=(bytes(32),) * 5).encode(),
        replace(DESCRIPTOR, hosts=(("h", 0),)).encode(), replace(DESCRIPTOR, hosts=(("", 1),)).encode(),
        replace(DESCRIPTOR, hosts=(("h" * 254, 1),)).encode(), raw[:-1], raw + b"\x00", b"",
        u8(1) + lp(b"h") + u16(1) + u8(0) + u8(1) + bytes(32), u8(1) + lp(b"h") + u16(1) + u8(3) + u8(0),
    ]  # fmt: skip
    for wrong in bad:
        with pytest.raises(DecodeError):
            Descriptor.decode(wrong)


def test_the_newest_descriptor_is_the_one_to_connect_by_until_it_expires() -> None:
    """[R-12.2-2]"""
    with pytest.raises(Mismatch, match="no descriptor"):
        EMPTY.pinned(NOW)
    grown = EMPTY.extend(entry(EMPTY, Kind.DESCRIPTOR, DESCRIPTOR.encode()), OPERATOR.public)
    newer = replace(DESCRIPTOR, pins=(b"q" * 32,))
    grown = grown.extend(entry(grown, Kind.DESCRIPTOR, newer.encode(), NOW + 50), OPERATOR.public)
    grown = grown.extend(entry(grown), OPERATOR.public)
    assert grown.pinned(NOW + 49) == newer
    with pytest.raises(Expired):
        grown.pinned(NOW + 50)
    with pytest.raises(DecodeError):
        grown.extend(entry(grown, Kind.DESCRIPTOR, b"\x00"), OPERATOR.public)
