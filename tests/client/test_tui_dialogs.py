"""Adding, handing out a card, comparing a safety number: what the dialogs show and what they ask for."""

from __future__ import annotations

import pytest
from textual.events import Paste
from textual.widgets import Button, Input

from client.fake_conversations import BOB, CAROL, OWN, FakeConversations, card, refused
from client.windows import Window, window
from troth_client.display import full_fingerprint
from troth_client.events import Add, SetVerified
from troth_client.tui.add_contact import AddContact
from troth_client.tui.card_dialog import MyCard
from troth_client.tui.dialog import Page, hanging
from troth_client.tui.safety_dialog import SafetyNumber
from troth_protocol.errors import NetworkError, UserError
from troth_protocol.safety import safety_number


async def fill(opened: Window, selector: str, text: str) -> None:
    opened.app.screen.query_one(selector, Input).focus()
    await opened.pilot.pause()
    opened.app.post_message(Paste(text))
    await opened.pilot.pause()
    await opened.pilot.pause()


async def test_adding_a_contact_says_what_is_wrong_and_then_does_it() -> None:
    async with window(FakeConversations()) as opened:
        await opened.pilot.press("ctrl+n")
        await fill(opened, "#link", "troth:AAAA")
        await opened.pilot.press("enter")
        await opened.type("Carol")
        await opened.pilot.press("enter")
        await opened.until(lambda: "the link is" in opened.screen)
        assert isinstance(opened.app.screen, AddContact)
        link = card().link()
        opened.app.screen.query_one("#link", Input).value = ""
        await fill(opened, "#link", f"  {link[:70]}\n{link[70:]} \n")
        await opened.pilot.press("enter", "enter")
        await opened.until(lambda: opened.fake.events == [Add(card(), "Carol")])
        await opened.until(lambda: len(opened.app.screen_stack) == 2)
        await opened.shows("waiting for an answer")
        assert opened.says("#who").startswith("… Carol")
        assert opened.composer.area.has_focus
        assert CAROL in opened.fake.people


@pytest.mark.slow
async def test_adding_needs_a_name_and_shows_the_messengers_no() -> None:
    async with window(FakeConversations()) as opened:
        await opened.pilot.press("f3")
        await fill(opened, "#link", card().link())
        await opened.pilot.click("#add")
        await opened.shows("give them a name first")
        opened.fake.failure = UserError("this is your own card")
        await fill(opened, "#name", "me\x1b[2J\nmyself")
        assert opened.app.screen.query_one("#name", Input).value == "me[2J myself"
        await opened.pilot.click("#add")
        await opened.shows("this is your own card")
        await opened.pilot.press("escape")
        assert len(opened.app.screen_stack) == 2


async def test_a_card_is_made_shown_and_copied() -> None:
    async with window(FakeConversations(), size=(120, 60)) as opened:
        await opened.pilot.press("alt+c")
        await opened.until(lambda: card(OWN).link() in opened.says("#card-link"))
        assert "▀▀▀▀▀▀▀" in opened.screen
        await opened.pilot.press("enter")
        await opened.until(lambda: opened.app.clipboard == card(OWN).link())
        await opened.pilot.resize_terminal(60, 20)
        await opened.until(lambda: "QR code needs a window" in opened.says("#card-code"))
        await opened.pilot.press("escape")
        assert len(opened.app.screen_stack) == 2


@pytest.mark.slow
async def test_no_card_without_a_relay() -> None:
    async with window(refused(NetworkError("our relay cannot be reached"))) as opened:
        await opened.pilot.press("f4")
        await opened.shows("our relay cannot be reached")
        assert opened.app.screen.query_one("#copy", Button).disabled


async def test_the_safety_number_is_shown_and_marked() -> None:
    async with window(FakeConversations()) as opened:
        await opened.open(BOB)
        await opened.pilot.press("ctrl+t")
        groups = safety_number(OWN, BOB).split()
        await opened.shows("   ".join(groups[:4]))
        assert all(group in opened.screen for group in groups)
        assert full_fingerprint(BOB, columns=8).split("\n")[1] in opened.screen
        assert full_fingerprint(OWN, columns=8).split("\n")[1] in opened.screen
        await opened.pilot.click("#mark")
        await opened.until(lambda: opened.fake.events == [SetVerified(BOB, verified=True)])
        await opened.shows("safety number compared")
        await opened.pilot.press("f5")
        await opened.until(lambda: isinstance(opened.app.screen, SafetyNumber))
        await opened.pilot.click("#unmark")
        await opened.shows("safety number not compared")


async def test_help_opens_and_closes() -> None:
    async with window(FakeConversations()) as opened:
        await opened.pilot.press("f1")
        await opened.shows("F3 Ctrl+N")
        assert isinstance(opened.app.screen, Page)
        await opened.pilot.press("escape")
        assert len(opened.app.screen_stack) == 2


async def test_one_dialog_at_a_time() -> None:
    async with window(FakeConversations()) as opened:
        await opened.pilot.press("f4", "f3", "f1", "f5")
        await opened.until(lambda: isinstance(opened.app.screen, MyCard))
        assert len(opened.app.screen_stack) == 3


def test_a_second_column_goes_on_under_itself() -> None:
    text = "Always\n  F1 Ctrl+G  help with every key\n\n  a line that has but one column"
    assert hanging(text, 24).split("\n") == [
        "Always", "  F1 Ctrl+G  help with", "            every key", "", "  a line that has but", "  one column",
    ]  # fmt: skip
    for width in range(30):
        assert hanging(text, width).replace("\n", "").replace(" ", "") == text.replace("\n", "").replace(" ", "")
