"""The first run: three screens, each mistake said with what to do, nothing asked twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from textual.events import Paste
from textual.pilot import Pilot
from textual.widgets import Checkbox, Input

from client.fake_conversations import OWN, FakeConversations, card
from client.windows import Window
from troth_client.tui import Settings
from troth_client.tui.welcome import Welcome
from troth_client.views import Conversations
from troth_protocol.errors import BadLink, NetworkError, TrothError

LINK = "troth-relay:somewhere"


class Founding:
    """A founder that can be made to fail."""

    def __init__(self) -> None:
        self.failure: TrothError | None = None
        self.asked: list[tuple[str, str]] = []
        self.routes: list[tuple[str, bool]] = []
        self.made = FakeConversations()

    async def found(self, relay_link: str, passphrase: str, route: str, *, proxies_only: bool) -> Conversations:
        self.asked.append((relay_link, passphrase))
        self.routes.append((route, proxies_only))
        if self.failure is not None:
            raise self.failure
        return self.made


@asynccontextmanager
async def first_run(founding: Founding, size: tuple[int, int] = (80, 24)) -> AsyncIterator[tuple[Welcome, Window]]:
    app = Welcome(founding, Settings())
    async with app.run_test(size=size, notifications=True) as pilot:
        yield app, Window(app, founding.made, _untyped(pilot))  # type: ignore[arg-type]


def _untyped(pilot: Pilot[None]) -> Pilot[None]:
    return pilot


async def fill(opened: Window, first: str, again: str) -> None:
    opened.app.screen.query_one("#first", Input).value = first
    opened.app.screen.query_one("#again", Input).value = again
    opened.app.screen.query_one("#again").focus()
    await opened.pilot.press("enter")


async def test_from_nothing_to_a_card() -> None:
    founding = Founding()
    async with first_run(founding) as (app, opened):
        await opened.shows("1 of 3")
        await fill(opened, "", "")
        await opened.shows("A passphrase is needed")
        await fill(opened, "short", "short")
        await opened.shows("Too easy to guess")
        await fill(opened, "correct horse battery", "correct horse")
        await opened.shows("not the same")
        await fill(opened, "correct horse battery", "correct horse battery")
        await opened.shows("2 of 3")
        assert "correct" not in opened.screen
        founding.failure = BadLink("the link is cut short")
        opened.app.screen.query_one("#relay-link", Input).value = "troth-relay:x"
        await opened.pilot.press("enter")
        await opened.shows("the link is cut short. Next: ask for the link again")
        founding.failure = NetworkError("our relay cannot be reached")
        opened.app.screen.query_one("#relay-link", Input).value = LINK
        await opened.pilot.press("enter")
        await opened.shows("our relay cannot be reached")
        founding.failure = None
        await opened.pilot.press("enter")
        await opened.shows("3 of 3")
        await opened.shows(card(OWN, 0).link()[:40])
        assert founding.asked[-1] == (LINK, "correct horse battery")
        assert app.made is founding.made
        assert opened.app.screen.query_one("#first", Input).value == ""
        await opened.pilot.press("enter")
    assert app.fault is None


async def test_a_route_and_proxies_only_come_before_the_first_packet() -> None:
    """Nothing is asked of anybody before; what was typed stays when it fails, and is gone once it worked. [R-19.1-2]"""
    founding = Founding()
    founding.failure = NetworkError("the proxy does not answer")
    async with first_run(founding) as (app, opened):
        await fill(opened, "correct horse battery", "correct horse battery")
        await opened.shows("2 of 3")
        await opened.shows("Proxies only")
        screen = opened.app.screen
        screen.query_one("#relay-link", Input).value = LINK
        await opened.pilot.press("tab")
        assert screen.focused is screen.query_one("#route-link")
        screen.post_message(Paste("troth-route:ab\n cd#ef"))
        assert "X" not in opened.screen
        await opened.pilot.press("tab", "space")
        await opened.shows("X")
        assert screen.query_one(Checkbox).value
        assert founding.asked == []
        await opened.pilot.press("tab", "enter")
        await opened.shows("the proxy does not answer")
        founding.failure = None
        screen.query_one("#route-link").focus()
        await opened.pilot.press("enter")
        await opened.shows("3 of 3")
        assert founding.routes == [("troth-route:abcd#ef", True)] * 2
        assert screen.query_one("#route-link", Input).value == ""
    assert app.fault is None


@pytest.mark.slow
async def test_an_account_without_a_card_is_an_account() -> None:
    founding = Founding()
    founding.made.failure = NetworkError("the relay went away")
    async with first_run(founding, size=(60, 20)) as (app, opened):
        await fill(opened, "correct horse battery", "correct horse battery")
        await opened.shows("2 of 3")
        opened.app.screen.query_one("#relay-link", Input).value = LINK
        await opened.pilot.press("enter")
        await opened.shows("Your account is ready")
        assert app.made is founding.made


async def test_it_can_be_left() -> None:
    founding = Founding()
    async with first_run(founding) as (app, opened):
        await opened.pilot.click("#leave")
    assert app.made is None
    assert founding.asked == []
