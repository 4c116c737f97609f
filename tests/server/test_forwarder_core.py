"""The forwarder's core: who is a guest, how many fit in, which addresses are public, and the built-in site."""

from __future__ import annotations

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import NOW, Seeded
from troth_protocol import veil
from troth_server.forwarder import judge as judging
from troth_server.forwarder import limits
from troth_server.forwarder.decoy import BODY_BYTES, HEAD_BYTES, PAGE, REQUESTS, Decoy
from troth_server.forwarder.judge import LISTENING, STRANGER, Guest, Judge, Memory
from troth_server.forwarder.places import Places, network
from troth_server.forwarder.targets import is_public

SOURCE = Seeded("forwarder")
SECRET = SOURCE.draw(32)


def hello() -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.options &= ~ssl.OP_ENABLE_MIDDLEBOX_COMPAT
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="www.example.org").do_handshake()
    return outgoing.read()


def covered(now: int = NOW, secret: bytes = SECRET) -> bytes:
    plain = hello()
    return veil.cover(plain, veil.mark(secret, plain, now))


# The judge.


def test_a_marked_hello_is_a_guests_once() -> None:
    """[R-19.4-1] [R-19.4-2]"""
    memory, shown = Memory(), covered()
    verdict = Judge(SECRET, memory).hear(shown, NOW)
    assert isinstance(verdict, Guest)
    assert veil.cover(verdict.hello, verdict.mark) == shown
    assert Judge(SECRET, memory).hear(shown, NOW) is STRANGER
    assert Judge(SECRET, memory).hear(shown, NOW + 3_000) is STRANGER
    assert isinstance(Judge(SECRET, Memory()).hear(shown, NOW), Guest)


def test_who_does_not_know_the_secret_or_the_time_is_a_stranger() -> None:
    """[R-19.4-2]"""
    for shown in (covered(secret=SOURCE.draw(32)), covered(NOW - 7_200), covered(NOW + 7_200)):
        assert Judge(SECRET, Memory()).hear(shown, NOW) is STRANGER
    usual = covered()[:44] + SOURCE.draw(32) + covered()[76:]
    assert Judge(SECRET, Memory()).hear(usual, NOW) is STRANGER


def test_every_single_bit_flip_makes_a_stranger_and_spends_nothing() -> None:
    """[R-19.4-2]"""
    memory, shown = Memory(), covered()
    for bit in range(8 * len(shown)):
        changed = bytearray(shown)
        changed[bit // 8] ^= 1 << bit % 8
        assert not isinstance(Judge(SECRET, memory).hear(bytes(changed), NOW), Guest), bit
    assert len(memory) == 0
    assert isinstance(Judge(SECRET, memory).hear(shown, NOW), Guest)


def test_a_hello_may_come_in_two_pieces_cut_anywhere_but_not_slowly() -> None:
    """[R-19.4-2]"""
    shown = covered()
    for cut in range(1, len(shown)):
        judge = Judge(SECRET, Memory())
        assert judge.hear(shown[:cut], NOW) is LISTENING
        assert isinstance(judge.hear(shown[cut:], NOW + limits.HELLO_SECONDS), Guest)
    judge = Judge(SECRET, Memory())
    assert judge.hear(shown[:100], NOW) is LISTENING
    assert judge.hear(shown[100:], NOW + limits.HELLO_SECONDS + 1) is STRANGER


def test_what_follows_the_hello_at_once_makes_a_stranger() -> None:
    """A guest waits for the answer; whoever sends on is somebody else. [R-19.4-2]"""
    for more in (b"G", veil.CHANGE_CIPHER_SPEC, covered()):
        assert Judge(SECRET, Memory()).hear(covered() + more, NOW) is STRANGER


@given(st.binary(min_size=1, max_size=600))
def test_noise_is_a_strangers(noise: bytes) -> None:
    """[R-19.4-2]"""
    assert Judge(SECRET, Memory()).hear(noise, NOW) is not None
    for data in (noise, b"\x16\x03\x01\x02\x00\x01" + noise):
        assert not isinstance(Judge(SECRET, Memory()).hear(data, NOW), Guest)


def test_a_judge_keeps_no_more_than_a_hello() -> None:
    """Sure at the first wrong byte: an endless drip is a stranger's as soon as it is longer than a hello says."""
    judge = Judge(SECRET, Memory())
    heard = [judge.hear(bytes([byte]), NOW) for byte in b"\x16\x03\x01\x10\x00"]
    assert heard[-1] is LISTENING
    assert judge.hear(b"\x01", NOW) is STRANGER  # longer than any hello may be


def test_the_memory_is_bounded_and_fails_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """[R-19.4-2]"""
    monkeypatch.setattr(judging, "MARKS", 3)
    memory = Memory()
    assert [memory.is_new(bytes([n]), NOW) for n in range(5)] == [True, True, True, False, False]
    assert not memory.is_new(b"\x00", NOW)
    later = NOW + veil.WINDOW_SECONDS
    assert memory.is_new(b"\x09", later)
    assert not memory.is_new(b"\x00", later + veil.WINDOW_SECONDS)
    assert memory.is_new(b"\x00", later + 5 * veil.WINDOW_SECONDS)
    assert len(memory) == 1


# Places and targets.


def test_places_are_counted_in_all_and_by_network() -> None:
    places = Places(3, 2)
    assert [places.take(where) for where in ("a", "a", "a", "b", "c")] == [True, True, False, True, False]
    places.give_back("a")
    assert places.take("c")
    assert places.taken == 3


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"), ("::ffff:192.0.2.7", "192.0.2.7"), ("2001:db8:1:2ff::1", "2001:db8:1:200::/56"),
        ("2001:db8:1:2ff:9::", "2001:db8:1:200::/56"), ("fe80::1%eth0", "fe80::/56"), ("", ""), ("what", "what"),
    ],
)  # fmt: skip
def test_a_network_is_an_address_or_an_ipv6_site(address: str, counted: str) -> None:
    assert network(address) == counted


@pytest.mark.parametrize("address", ["9.9.9.9", "193.0.6.139", "2620:fe::fe", "2a00:1450:4001:800::200e"])
def test_public_addresses(address: str) -> None:
    """[R-19.4-5]"""
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",  # noqa: S104
        "127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
        "169.254.169.254", "100.64.0.1", "100.127.255.255", "224.0.0.1", "239.255.255.255", "240.0.0.1",
        "255.255.255.255", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "192.0.0.1",
        "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:9.9.9.9", "fe80::1", "fe80::1%eth0", "fc00::1",
        "fd12::1", "fec0::1", "ff02::1", "ff0e::1", "2001:db8::1", "64:ff9b::7f00:1", "64:ff9b:1::a00:1",
        "2002:7f00:1::", "2002:a00:1::1", "2001:0:7f00:1::", "100::1",
        "localhost", "", "0x7f.1", "127.1", "2130706433", "9.9.9.9 ", "9.9.9.9:443", "[::1]", "9.9.9",
    ],
)  # fmt: skip
def test_addresses_that_are_never_reached(address: str) -> None:
    """[R-19.4-5]"""
    assert not is_public(address)


# The built-in site.


def ask(*pieces: bytes) -> tuple[bytes, bool]:
    decoy = Decoy(PAGE)
    return b"".join(decoy.receive(piece, NOW) for piece in pieces), decoy.ended


GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def test_the_page_is_there_and_nothing_else() -> None:
    answer, ended = ask(GET)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\nDate: ")
    assert answer.endswith(PAGE)
    assert not ended
    missing, _ = ask(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
    assert missing.startswith(b"HTTP/1.1 404 ")
    head, _ = ask(GET.replace(b"GET", b"HEAD"))
    assert head == answer.removesuffix(PAGE)


def test_the_same_in_any_pieces() -> None:
    requests = GET + b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello" + GET + b"GET / HTTP/1.0\r\n\r\n"
    whole = ask(requests)
    assert whole[0].count(b"HTTP/1.1 200 OK") == 3
    assert whole[0].count(b"HTTP/1.1 405 ") == 1
    assert whole[1]
    assert ask(*(requests[n : n + 1] for n in range(len(requests)))) == whole


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", 400), (b"GET / HTTP/1.1\r\n\r\n", 400), (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400), (b"GET x HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400), (b"GET / HTTP/1.1\r\nHost x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: \x00\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (BODY_BYTES + 1), 413),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * HEAD_BYTES, 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 200),
        (b"GET / HTTP/1.0\r\n\r\n", 200), (b"\x16\x03\x01" + b"\x00" * HEAD_BYTES, 431),
    ],
)  # fmt: skip
def test_what_ends_the_connection(request_: bytes, status: int) -> None:
    answer, ended = ask(request_)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert ended
    assert ask(request_, GET)[0] == answer


def test_a_connection_has_an_end() -> None:
    answer, ended = ask(GET * (REQUESTS + 5))
    assert answer.count(b"HTTP/1.1 200 OK") == REQUESTS
    assert ended


def test_a_body_is_not_kept() -> None:
    decoy = Decoy(PAGE)
    decoy.receive(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n", NOW)
    for _ in range(100):
        assert decoy.receive(bytes(10_000), NOW) == b""
    assert decoy.receive(GET, NOW).startswith(b"HTTP/1.1 200 OK")


@given(st.binary(max_size=300))
def test_the_site_answers_anything(noise: bytes) -> None:
    ask(noise, b"\r\n\r\n", GET)
