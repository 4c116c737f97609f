"""The relay's page: what it says, what it refuses to say, and how it looks in a real browser (Chromium)."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import hashlib
import html
import itertools
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.conftest import serving
from server.talk import Relay, unverified
from troth_protocol.address import JoinLink
from troth_protocol.errors import DecodeError
from troth_protocol.ledger import Kind
from troth_protocol.primitives import SystemRandomness
from troth_server import operator, page_text, pages, standing
from troth_server.admission import Mode
from troth_server.config import Config, Page
from troth_server.ledger_file import LedgerFile
from troth_server.limits import DAY
from troth_server.metrics import Count
from troth_server.storage import schema

NOW = 1_800_000_000


def shown(
    config: Config, ledger: LedgerFile, *, name: str = "", operator: str = "", contact: str = "", about: str = ""
) -> str:
    changed = dataclasses.replace(config, page=Page(True, name, operator, contact, about))
    return pages.site(changed, ledger).home.body.decode()


def test_the_page_says_what_one_wants_to_know(founded: tuple[Config, LedgerFile]) -> None:
    config, ledger = founded
    text = shown(config, ledger, name="Ours", operator="Ann", contact="ann@example", about="For us.\nAll of us.")
    for wanted in ("<h1>Ours</h1>", "Ann", "Contact: ann@example", "For us.\nAll of us.", "Open to everybody"):
        assert wanted in text
    assert "4,096, together 64 MiB" in text
    assert "dropped after 14 days" in text
    (link,) = {JoinLink.from_link(found) for found in re.findall(r"troth-relay:[\w-]+", text)}
    assert (link.relay.host, link.relay.port, link.relay.fingerprint) == ("127.0.0.1", 9, ledger.fingerprint)
    assert ledger.fingerprint.hex() in text.replace(" ", "")
    assert "Where it is reached" in text
    assert len(text) < 60_000


def test_admission_decides_how_to_join(founded: tuple[Config, LedgerFile]) -> None:
    config, ledger = founded
    invited = shown(dataclasses.replace(config, admission=Mode.INVITATION), ledger)
    closed = shown(dataclasses.replace(config, admission=Mode.CLOSED), ledger)
    assert "By invitation" in invited
    assert "Closed" in closed
    for text in (invited, closed):
        assert "troth-relay:" not in text
        assert "<svg" not in text


def test_every_table_of_the_store_is_explained() -> None:
    """Whoever adds a table says here, in plain words, what it keeps of people."""
    tables = set(re.findall(r"CREATE TABLE (\w+)", schema.TABLES))
    assert tables - {"relay"} == set(page_text.STORED)  # ``relay`` is about the relay itself


def test_what_an_operator_writes_is_text(founded: tuple[Config, LedgerFile]) -> None:
    nasty = "</p><script>alert(1)</script>\" onload='x' &amp; \x1b[31m \x00 <style>"
    text = shown(*founded, name=nasty, operator=nasty, contact=nasty, about=nasty)
    assert text.count("<script") == 0
    assert text.count("<style>") == 1
    assert "onload='" not in text
    assert "\x1b" not in text
    assert "\x00" not in text
    assert html.escape("&amp;") in text
    bare = shown(*founded)
    assert "has not said so here" in bare
    long = shown(*founded, about="x" * 2_000, name="y" * 2_000)
    assert len(long) < 70_000


def test_nothing_comes_from_elsewhere(founded: tuple[Config, LedgerFile]) -> None:
    home = pages.site(*founded).home
    text, headers = home.body.decode(), dict(home.headers)
    assert not re.search(r"<(script|link|img|iframe|form|object|embed|a)\b", text)
    assert not re.search(r"\b(src|href|action|style|on\w+)=", text)
    assert not re.findall(r"https?://", text)
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert headers["Content-Security-Policy"].startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert "url(" not in style
    assert "@import" not in style
    assert not {"Set-Cookie", "Server", "Date", "Strict-Transport-Security"} & headers.keys()


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first: str, second: str) -> float:
    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [0, 1])
def test_every_text_stands_out(scheme: int) -> None:
    """WCAG 2.2, 1.4.3: 4.5 to 1; ours has 7 for what is not secondary."""
    assert round(contrast("#000000", "#ffffff")) == 21
    colour = {name: pair[scheme] for name, pair in page_text.COLOURS.items()}
    for text, ground in itertools.product(("ink", "soft", "mark"), ("paper", "card")):
        assert contrast(colour[text], colour[ground]) >= (7 if text == "ink" else 4.5), (text, ground)


def test_the_ledger_in_plain_words(founded: tuple[Config, LedgerFile]) -> None:
    config, ledger = founded
    keys, system = operator.Operator.read(config.data / operator.KEY_FILE), SystemRandomness()
    grown = ledger
    for kind in (Kind.POLICY, Kind.NOTICE):
        grown = keys.extend(grown, kind, b"<b>text</b>", NOW, NOW + DAY, system)
    lines = page_text.entries(grown)
    assert [line.split(",")[0] for line in lines] == ["Where it is reached", "Policy", "Notice"]
    assert "signed 15 January 2027, good until 16 January 2027" in lines[1]
    many = LedgerFile(grown.operator, grown.entries * 40)
    assert shown(config, many).count("<li value=") == page_text.ENTRIES_SHOWN
    assert "<li value=120>" in shown(config, many)
    with pytest.raises(DecodeError):
        pages.site(config, LedgerFile(ledger.operator, (*ledger.entries, b"noise")))


# Over the wire.


@pytest.fixture
async def site(founded: tuple[Config, LedgerFile], tmp_path: Path) -> AsyncIterator[Relay]:
    config, ledger = founded
    config = dataclasses.replace(config, page=Page(True, "Ours", "Ann Ames", "ann@example", "For us."))
    async with serving(config, ledger, tmp_path) as relay:
        relay.listener.renew(standing.read(config, relay.listener.now()))
        yield relay


async def ask(port: int, request: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=unverified())
    writer.write(request.encode())
    try:
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()


async def test_pages_are_served_beside_clients(site: Relay) -> None:
    port = site.listener.port
    client = await site.client()
    home = await ask(port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert home.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Ann Ames" in home
    assert (await ask(port, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")).endswith(b"\r\n\r\nok\n")
    assert site.listener.metrics.exact(Count.PAGES) == 2
    await client.close()


async def test_whatever_else_is_asked_gets_one_answer(site: Relay) -> None:
    """Byte for byte, the relay's own path without a WebSocket included."""
    found = set()
    for line, more in (
        ("GET /nothing", ""), ("GET /troth", ""), ("GET /index.html", ""), ("GET /healthz/", ""), ("GET //", ""),
        ("GET /?x", ""), ("GET /metrics", ""), ("GET /.well-known/x", ""), ("GET /" + "x" * 2_000, ""),
        ("POST /", "Content-Length: 0\r\n"), ("HEAD /", ""), ("OPTIONS /troth", "Origin: https://x.example\r\n"),
        ("GET /other", "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"),
        ("GET /nothing", "Origin: https://x.example\r\nCookie: a=b\r\n"),
    ):  # fmt: skip
        found.add(await ask(site.listener.port, f"{line} HTTP/1.1\r\nHost: x\r\n{more}\r\n"))
    assert len(found) == 1
    (answer,) = found
    assert answer.startswith(b"HTTP/1.1 404 Not Found\r\n")
    assert answer.endswith(b"\r\n\r\nNot found.\n")


async def test_a_page_that_is_not_wanted_is_not_there(site: Relay, founded: tuple[Config, LedgerFile]) -> None:
    config = dataclasses.replace(founded[0], page=Page(show=False))
    site.listener.renew(standing.read(config, site.listener.now()))
    hidden = await ask(site.listener.port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert hidden == await ask(site.listener.port, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n")


def test_health_is_the_stores() -> None:
    site = pages.Site(pages.NOT_FOUND)
    assert site.answer("GET", "/healthz", healthy=True) is pages.HEALTHY
    assert site.answer("GET", "/healthz", healthy=False).status == 503
    assert site.answer("POST", "/healthz", healthy=True) is pages.NOT_FOUND
