"""B010 to B018: what an HTTP request can do to the relay. Each is answered in one way, and hung up on."""

from __future__ import annotations

import asyncio

import pytest

from badinputs.raw import CLOSE, MEBIBYTE, PING, Raw, frame, head
from server.talk import Relay
from troth_protocol.wire import PATH
from troth_server.limits import HEAD_BYTES
from troth_server.metrics import Count


async def status(relay: Relay, request: bytes) -> int:
    """What a request gets, and that the relay hangs up afterwards."""
    raw = await Raw.open(relay.listener.port)
    raw.send(request)
    got, headers = await raw.response()
    assert await raw.gone(8)
    assert "server" not in headers
    await raw.close()
    return got


async def test_the_good_request_is_taken(relay: Relay) -> None:
    await (await Raw.upgraded(relay.listener.port)).close()


@pytest.mark.parametrize(
    "request_",
    [
        head(PATH, "X: " + "x" * MEBIBYTE),
        head(PATH, *(f"X-{n}: y" for n in range(2_000))),
        head(PATH, *(f"X-{n}: {'y' * 200}" for n in range(120))),
        head(PATH, "X: " + "x" * HEAD_BYTES)[:-4],
    ],
    ids=["B010 a line of 1 MiB", "B011 2,000 headers", "120 headers of 200 bytes", "no end"],
)
async def test_b010_a_head_that_is_too_large(relay: Relay, request_: bytes) -> None:
    """B010, B011: 431, at 16 KiB in all; the library alone would hold a mebibyte. [R-11.6-5]"""
    assert await status(relay, request_) == 431


async def test_b010_a_path_that_is_too_long(relay: Relay) -> None:
    """B010: 414 or 431, whichever is found first."""
    assert await status(relay, head("/" + "x" * 9_000)) in {414, 431}


@pytest.mark.parametrize(
    "request_",
    [
        head(PATH, "Content-Length: 4", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
        head(PATH, "Content-Length: 4", "Content-Length: 5") + b"GET /",
        head(PATH, "Transfer-Encoding: chunked") + b"0\r\n\r\n",
        head(PATH, "Transfer-Encoding : chunked"),
        head(PATH, "X: y", " folded"),
        head(PATH).replace(b"\r\n", b"\n"),
        head(PATH, "X: a\x00b"),
        head(PATH, "X\x00: b"),
        head(PATH, "no colon"),
        head(PATH, ": no name"),
        head(PATH, "X: a\rb"),
        b"GET /troth\r\n\r\n",
        b"GET\r\n\r\n",
        b"\r\n\r\n",
        head("http://relay/troth"),
        head("relay:443", method="CONNECT"),
        head("*", method="OPTIONS"),
        head(PATH, "Host: other"),
        head(PATH, without="Host"),
        head(PATH, version="HTTP/2.0"),
        head(PATH, version="HTTP/1.1 x"),
        head(PATH, version="http/1.1"),
        head("/tr\xf6th"),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\xff" * 100 + b"\r\n\r\n",
    ],
    ids=lambda request: request[:40].decode("latin-1").strip(),
)
async def test_b013_what_is_no_proper_request(relay: Relay, request_: bytes) -> None:
    """B013: two lengths, folded lines, bare line feeds, NUL, HTTP/0.9, absolute form, no host or two: 400."""
    assert await status(relay, request_) == 400


async def test_b013_nothing_behind_the_first_request_is_read(relay: Relay) -> None:
    """B013: a second request in the same bytes is nobody's; frames may not come before the answer either."""
    for behind in (head("/"), frame(PING) * 1_000, frame(3, b"x"), frame(CLOSE)):
        raw = await Raw.open(relay.listener.port)
        raw.send(head() + behind)
        assert (await raw.response())[0] == 400
        rest = await asyncio.wait_for(raw.reader.read(), 8)
        assert b"HTTP/1.1" not in rest
        await raw.close()
    assert relay.listener.metrics.exact(Count.UNHANDLED) == 0


@pytest.mark.parametrize(
    ("request_", "wanted"),
    [
        (head(PATH, without="Sec-WebSocket-Key"), 400),
        (head(PATH, "Sec-WebSocket-Key: short", without="Sec-WebSocket-Key"), 400),
        (head(PATH, "Sec-WebSocket-Key: !!!!", without="Sec-WebSocket-Key"), 400),
        (head(PATH, "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="), 400),
        (head(PATH, "Sec-WebSocket-Version: 99", without="Sec-WebSocket-Version"), 400),
        (head(PATH, without="Sec-WebSocket-Version"), 400),
        (head(PATH, without="Connection"), 426),
        (head(PATH, "Upgrade: h2c", without="Upgrade"), 426),
        (head(PATH, without="Upgrade"), 404),
        (head(PATH, method="POST"), 404),
        (head(PATH, method="HEAD"), 404),
        (head(PATH, version="HTTP/1.0"), 505),
        (head("/other"), 404),
        (head("/troth/"), 404),
        (head("/%74roth"), 404),
        (head("//troth"), 404),
    ],
)
async def test_b015_no_websocket(relay: Relay, request_: bytes, wanted: int) -> None:
    """B015: 400 or 426; without an upgrade the path is one like any other. [R-11.1-2]"""
    assert await status(relay, request_) == wanted


@pytest.mark.parametrize("origin", ["https://evil.example", "https://relay", "null", "", "file://"])
async def test_b016_browsers_are_not_supported(relay: Relay, origin: str) -> None:
    """B016: whatever page it is on, a browser says Origin; 403. [R-11.1-2]"""
    assert await status(relay, head(PATH, f"Origin: {origin}")) == 403


@pytest.mark.parametrize("said", [10, 10_000_000, 2**63])
async def test_b018_bodies(relay: Relay, said: int) -> None:
    """B018: a request with a body is refused before the body, whatever its length is or says it is."""
    body = b"x" * 700_000
    assert await status(relay, head(PATH, f"Content-Length: {said}", method="POST") + body[: min(said, 700_000)]) == 400
    assert await status(relay, head("/", f"Content-Length: {said}", method="POST")) == 400
    assert await status(relay, head(PATH, "Content-Length: -1", method="POST")) == 400


async def test_b018_bytes_before_the_answer_are_bounded(relay: Relay) -> None:
    """A client that does not wait for 101 is no client, wherever the packets are cut."""
    for cut in range(1, 5):
        raw = await Raw.open(relay.listener.port)
        whole = head()
        raw.send(whole[:-cut])
        await asyncio.sleep(0.02)
        raw.send(whole[-cut:] + b"\x82" * HEAD_BYTES)
        assert (await raw.response())[0] == 400
        await raw.close()
