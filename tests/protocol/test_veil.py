"""The mark in a TLS hello: what covers and uncovers it, and that nothing in a marked hello can be changed."""

from __future__ import annotations

import hmac
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import NOW, Seeded
from troth_protocol import veil
from troth_protocol.errors import DecodeError

SOURCE = Seeded("veil")
SECRET, OTHER = SOURCE.draw(32), SOURCE.draw(32)


def hello(name: str | None = "www.example.org", *, compatible: bool = False, newest_only: bool = False) -> bytes:
    """The first record of Python's own TLS client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if not compatible:
        context.options &= ~ssl.OP_ENABLE_MIDDLEBOX_COMPAT
    if newest_only:
        context.minimum_version = ssl.TLSVersion.TLSv1_3
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    connection = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    return outgoing.read()


PLAIN = hello()
MARK = veil.mark(SECRET, PLAIN, NOW)
COVERED = veil.cover(PLAIN, MARK)


def test_a_mark_is_a_mac_over_the_hour_and_the_hello() -> None:
    """[R-19.4-1]"""
    hour = (NOW // 3_600).to_bytes(8, "big")
    assert hmac.digest(SECRET, b"troth/1 tunnel" + hour + PLAIN, "sha256") == MARK


def test_a_mark_holds_in_its_hour_and_the_ones_beside_it() -> None:
    """[R-19.4-1]"""
    start = NOW - NOW % 3_600
    for at in (start - 3_600, start - 1, start, start + 3_599, start + 7_199):
        assert veil.is_marked(SECRET, PLAIN, MARK, at)
    for at in (start - 3_601, start + 7_200, 0):
        assert not veil.is_marked(SECRET, PLAIN, MARK, at)
    assert not veil.is_marked(OTHER, PLAIN, MARK, NOW)


def test_a_covered_hello_looks_like_any_other() -> None:
    """Same size, same fields; only the session id, random in both, is ours. [R-19.4-1]"""
    usual = hello(compatible=True)
    assert len(COVERED) == len(usual)
    assert COVERED[:11] == usual[:11]
    assert COVERED[43] == usual[43] == 32
    assert COVERED[76:180] == usual[76:180]
    assert COVERED[44:76] == MARK


@pytest.mark.parametrize("name", ["a.example", "x" * 60 + ".example", "y" * 63 + "." + "z" * 63 + ".example", None])
@pytest.mark.parametrize("newest_only", [False, True])
def test_what_is_covered_comes_back(name: str | None, newest_only: bool) -> None:
    plain = hello(name, newest_only=newest_only)
    covered = veil.cover(plain, MARK)
    assert veil.hello_size(covered) == len(covered)
    right = veil.mark(SECRET, plain, NOW)
    assert veil.recognise(SECRET, veil.cover(plain, right), NOW) == (plain, right)
    assert len(covered) == len(hello(name, compatible=True, newest_only=newest_only))


def test_every_single_bit_flip_is_noticed() -> None:
    """[R-19.4-1]"""
    for bit in range(8 * len(COVERED)):
        changed = bytearray(COVERED)
        changed[bit // 8] ^= 1 << bit % 8
        assert veil.recognise(SECRET, bytes(changed), NOW) is None, bit


def test_a_hello_with_a_session_id_of_its_own_cannot_be_covered() -> None:
    for wrong in (hello(compatible=True), b"", PLAIN[:40], b"\x17" + PLAIN[1:], PLAIN[:5] + b"\x02" + PLAIN[6:]):
        with pytest.raises(DecodeError):
            veil.cover(wrong, MARK)


def test_the_size_is_known_from_the_first_six_bytes_and_refused_at_the_first_wrong_one() -> None:
    assert [veil.hello_size(COVERED[:n]) for n in range(7)] == [0, 0, 0, 0, 0, 0, len(COVERED)]
    for wrong in (b"G", b"\x16\x02", b"\x16\x03\x02", COVERED[:3] + b"\x40\x00\x01", b"\x16\x03\x01\x00\x05\x01"):
        assert veil.hello_size(wrong) is None
    assert veil.hello_size(COVERED[:5] + b"\x02") is None


@given(st.binary(max_size=700))
def test_recognising_is_total(noise: bytes) -> None:
    for data in (noise, COVERED[:76] + noise, COVERED[: len(noise)] + noise):
        assert veil.recognise(SECRET, data, NOW) is None or data == COVERED


def test_an_echo_is_put_in_and_taken_out() -> None:
    """[R-19.4-3]"""
    answer = bytes.fromhex("160303003a020000360303") + SOURCE.draw(32) + b"\x00" + bytes(19)
    shown = veil.echo(answer, MARK)
    assert len(shown) == len(answer) + 32
    assert int.from_bytes(shown[3:5], "big") == len(shown) - 5
    assert int.from_bytes(shown[6:9], "big") == len(shown) - 9
    assert veil.unecho(shown, MARK) == answer
    for wrong in (shown[:60], answer, b"\x15" + shown[1:], shown[:5] + b"\x01" + shown[6:]):
        with pytest.raises(DecodeError):
            veil.unecho(wrong, MARK)
    with pytest.raises(DecodeError):
        veil.unecho(shown, OTHER)
    with pytest.raises(DecodeError):
        veil.echo(shown, MARK)


def test_a_preface_is_read_in_any_pieces() -> None:
    """[R-19.4-4]"""
    relay = SOURCE.draw(32)
    whole = veil.preface(relay, bytes(40)) + b"inner"
    end = len(whole) - 5
    assert [veil.read_preface(whole[:cut]) for cut in range(end)] == [None] * end
    assert veil.read_preface(whole) == (relay, b"inner")
    assert veil.read_preface(veil.preface(relay, b"")) == (relay, b"")
    for wrong in (b"\x02", b"G", b"\x01" + relay + b"\x00\x00\x02\x01", b"\x01" + relay + b"\xff" * 4):
        with pytest.raises(DecodeError):
            veil.read_preface(wrong)
