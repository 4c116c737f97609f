"""The lock and the blank: nothing of a conversation is on the screen, and only the passphrase brings it back."""

from __future__ import annotations

import asyncio

import pytest
from textual.widgets import Input

from client.fake_conversations import ALICE, BOB, FakeConversations
from client.windows import Window, window
from troth_client.events import SendText, What
from troth_client.preferences import Preferences
from troth_client.tui import Settings
from troth_client.tui.lock_screen import Cover

RIGHT = "correct horse"


async def unlocks(passphrase: str) -> bool:
    await asyncio.sleep(0)
    return passphrase == RIGHT


LOCKABLE = Settings(unlocks=unlocks)


async def give(opened: Window, passphrase: str) -> None:
    opened.app.screen.query_one(Input).value = passphrase
    await opened.pilot.press("enter")
    await opened.pilot.pause()


async def test_locked_nothing_is_shown_read_done_or_announced() -> None:
    async with window(FakeConversations(), settings=LOCKABLE) as opened:
        await opened.open(ALICE)
        await opened.type("draft")
        await opened.pilot.press("ctrl+l")
        await opened.until(lambda: isinstance(opened.app.screen, Cover))
        opened.fake.receive(ALICE, "while locked")
        opened.fake.tell(What.ALARM, BOB, "an alarm")
        for key in ("ctrl+p", "f1", "f3", "f6", "f7", "ctrl+l", "f12", "alt+a", "pageup", "escape", "tab"):
            await opened.pilot.press(key)
        await opened.pilot.pause(0.3)
        assert isinstance(opened.app.screen, Cover)
        for words in ("Alice", "Bob", "message", "draft", "while locked", "alarm", "Mira", "unread"):
            assert words not in opened.screen
        assert opened.fake.people[ALICE].unread == 1
        await give(opened, "wrong")
        await opened.shows("not the passphrase")
        assert "wrong" not in opened.screen
        assert opened.app.screen.query_one(Input).value == ""
        await give(opened, RIGHT)
        await opened.shows("while locked")
        await opened.shows("an alarm")
        assert opened.composer.text == "draft"
        await opened.until(lambda: opened.fake.people[ALICE].unread == 0)


async def test_the_blank_shows_nothing_and_its_key_brings_it_back() -> None:
    async with window(FakeConversations(), settings=LOCKABLE) as opened:
        await opened.open(ALICE)
        await opened.pilot.press("f12")
        await opened.until(lambda: isinstance(opened.app.screen, Cover))
        assert opened.screen.strip() == ""
        await opened.pilot.press("f12")
        await opened.shows("message 40")


async def test_any_other_key_on_the_blank_leads_to_the_lock() -> None:
    async with window(FakeConversations(), settings=LOCKABLE) as opened:
        await opened.open(ALICE)
        await opened.pilot.press("f12", "x")
        await opened.shows("Troth is locked")
        assert opened.app.screen.query_one(Input).value == ""
        await opened.pilot.press("f12")
        assert "message 40" not in opened.screen
        await give(opened, RIGHT)
        await opened.shows("message 40")


@pytest.mark.slow
async def test_without_a_passphrase_there_is_only_the_blank() -> None:
    async with window(FakeConversations()) as opened:
        await opened.pilot.press("ctrl+l")
        await opened.shows("no passphrase here")
        await opened.pilot.press("f12")
        await opened.until(lambda: isinstance(opened.app.screen, Cover))
        await opened.pilot.press("x")
        await opened.until(lambda: not isinstance(opened.app.screen, Cover))


async def test_idle_minutes_lock_and_keys_put_it_off() -> None:
    settings = Settings(Preferences(lock_minutes=1), unlocks)
    async with window(FakeConversations(), settings=settings) as opened:
        await opened.open(ALICE)
        opened.app._lock_if_idle()
        assert not opened.app.locked
        opened.app._touched -= 59
        await opened.pilot.press("a")
        opened.app._lock_if_idle()
        assert not opened.app.locked
        opened.app._touched -= 60
        opened.app._lock_if_idle()
        await opened.shows("Troth is locked")
        assert not any(isinstance(event, SendText) for event in opened.fake.events)


@pytest.mark.slow
async def test_a_dialog_under_the_lock_is_still_there_afterwards() -> None:
    async with window(FakeConversations(), settings=LOCKABLE) as opened:
        await opened.open(BOB)
        await opened.pilot.press("f5")
        await opened.shows("Compare with Bob")
        opened.app.action_lock()
        await opened.shows("Troth is locked")
        assert "Compare" not in opened.screen
        await give(opened, RIGHT)
        await opened.shows("Compare with Bob")
