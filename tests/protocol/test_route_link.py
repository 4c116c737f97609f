"""``troth-route:`` links: one spelling, a checksum over both halves, secrets behind the ``#``. SPEC.md section 19.2."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth_protocol import route_link
from troth_protocol.errors import BadLink, DecodeError, TrothError
from troth_protocol.route_link import Connect, Obfs4, RouteSpec, Socks, Tunnel

SPECS: tuple[RouteSpec, ...] = (
    Socks("127.0.0.1", 9050),
    Socks("proxy.example", 1080, "anna", "p@ss:w/rd"),
    Connect("2001:db8::1", 3128, "änna", "secret"),
    Tunnel("192.0.2.7", 443, "shop.example", b"s" * 32, b"p" * 32),
    Tunnel("shop.example", 443, "", b"s" * 32, b"p" * 32),
    Obfs4("192.0.2.8", 8443, "Ab+/" * 17 + "zz", 1, b"r" * 32),
    Obfs4("192.0.2.8", 8443, "A" * 70),
)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: type(spec).__name__)
def test_a_link_comes_back_as_it_was(spec: RouteSpec) -> None:
    """[R-19.2-1]"""
    link = route_link.encode(spec)
    assert route_link.decode(f"  {link}\n") == spec
    assert len(link) < route_link.MAX_LINK
    for secret in ("password", "secret", "cert", "pin"):
        value = getattr(spec, secret, "")
        shown = link.partition("#")[0].removeprefix(route_link.SCHEME)
        raw = base64.urlsafe_b64decode(shown + "=" * (-len(shown) % 4))
        assert not value or (value if isinstance(value, bytes) else value.encode()) not in raw
    assert spec.host not in repr(spec)
    assert str(spec.port) not in repr(spec)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: type(spec).__name__)
def test_every_changed_character_is_seen(spec: RouteSpec) -> None:
    """[R-19.2-2]: mistyped, cut short at any place, with something added."""
    link = route_link.encode(spec)
    for place in range(len(link)):
        other = "A" if link[place] != "A" else "B"
        with pytest.raises(BadLink):
            route_link.decode(link[:place] + other + link[place + 1 :])
        with pytest.raises(BadLink):
            route_link.decode(link[:place])
    for added in ("A", "=", "#", "#A", "?x"):
        with pytest.raises(BadLink):
            route_link.decode(link + added)


def _made(body: bytes, secret: bytes) -> str:
    checked = secret + route_link._checksum(body, secret)
    return route_link.SCHEME + route_link._base64(body) + "#" + route_link._base64(checked)


HOST = b"\x00\x00\x00\x07a.local" + b"\x1f\x90"


@pytest.mark.parametrize(
    ("body", "secret"),
    [
        (b"\x00\x02\x01" + HOST, bytes(8)),
        (b"\x00\x01\x00" + HOST, bytes(8)),
        (b"\x00\x01\x05" + HOST, bytes(8)),
        (b"\x00\x01\x01" + HOST + b"x", bytes(8)),
        (b"\x00\x01\x01" + HOST, bytes(9)),
        (b"\x00\x01\x01" + HOST, bytes(7)),
        (b"\x00\x01\x01" + HOST, b"\x00\x00\x00\x01a" + bytes(4)),
        (b"\x00\x01\x02" + HOST, b"\x00\x00\x00\x03a:b\x00\x00\x00\x01c"),
        (b"\x00\x01\x01" + HOST, b"\x00\x00\x00\x01\n\x00\x00\x00\x01c"),
        (b"\x00\x01\x01" + HOST.replace(b"a.", b"A."), bytes(8)),
        (b"\x00\x01\x01" + HOST[:-2] + bytes(2), bytes(8)),
        (b"\x00\x01\x03" + HOST + bytes(4), bytes(63)),
        (b"\x00\x01\x04" + HOST + b"\x00\x00\x00\x02rr", b"\x00\x00\x00\x46" + b"A" * 70 + b"\x00"),
        (b"\x00\x01\x04" + HOST + bytes(4), b"\x00\x00\x00\x46" + b"A" * 69 + b"=\x00"),
        (b"\x00\x01\x04" + HOST + bytes(4), b"\x00\x00\x00\x46" + b"A" * 70 + b"\x03"),
    ],
)
def test_a_checksum_does_not_make_a_wrong_link_right(body: bytes, secret: bytes) -> None:
    with pytest.raises(BadLink):
        route_link.decode(_made(body, secret))


@given(st.text(max_size=80))
def test_nothing_else_is_a_link(text: str) -> None:
    for link in (text, route_link.SCHEME + text):
        with pytest.raises(TrothError):
            route_link.decode(link)


def test_what_cannot_be_said_cannot_be_made() -> None:
    for wrong in (
        lambda: Socks("Proxy.example", 1), lambda: Socks("", 1), lambda: Socks("a", 0), lambda: Socks("a", 65_536),
        lambda: Socks("a", 1, "u"), lambda: Socks("a", 1, "", "p"), lambda: Socks("a", 1, "u" * 256, "p"),
        lambda: Connect("a", 1, "u:", "p"), lambda: Tunnel("a", 1, "", b"s", b"p" * 32), lambda: Obfs4("a", 1, "cert"),
    ):  # fmt: skip
        with pytest.raises(DecodeError):
            wrong()
