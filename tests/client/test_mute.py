"""Muting a conversation: nothing new of it is announced, everything is counted and kept, and nobody else is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Button

from client.fake_conversations import ALICE, BOB, STRANGER, FakeConversations
from client.test_plain import Terminal
from client.windows import window
from client.world import Template, settle
from troth_client.events import Save, SetMuted
from troth_client.preferences import Preferences
from troth_client.terms import Chat
from troth_client.tui import Settings
from troth_client.tui.chat_settings import ChatSettings
from troth_client.verbs.shared import contact_line
from troth_protocol.errors import NoSuchContact, StorageError


def test_a_mute_is_saved_and_nothing_leaves(template: Template, tmp_path: Path) -> None:
    _, one, other = template.begin(tmp_path)
    settle(one, other)
    effects = one.handle(SetMuted(other.fingerprint, on=True))
    assert isinstance(effects[0], Save)
    assert {type(effect).__name__ for effect in effects} == {"Save", "Notify"}
    other.send(one, "still counted")
    settle(one, other)
    assert "still counted" in one.disk.received()
    one.crash()
    assert one.messenger.terms(other.fingerprint).muted
    one.handle(SetMuted(other.fingerprint, on=False))
    assert not one.messenger.terms(other.fingerprint).muted
    with pytest.raises(NoSuchContact):
        one.handle(SetMuted(bytes(32), on=True))


def test_a_chat_kept_before_there_was_a_mute_is_not_muted() -> None:
    chat = Chat(60, 7, 8, True, change="read this", receipts_due=9, keys=bytes(31) + b"k")
    old = b"\x01" + chat.encode()[1:-1]
    assert Chat.decode(old) == chat
    assert Chat.decode(Chat(muted=True).encode()).muted


async def test_what_is_muted_is_counted_and_not_announced() -> None:
    fake = FakeConversations()
    async with window(fake, settings=Settings(Preferences(notify="bell"))) as opened:
        told: list[str] = []
        opened.app.announcer._write = told.append
        await opened.open(BOB)
        await opened.pilot.press("alt+m")
        await opened.shows("Muted: what is new is counted")
        await opened.until(lambda: "muted" in opened.says("#who"))
        await opened.open(ALICE)
        fake.receive(BOB, "psst")
        await opened.shows("muted (1)")
        assert (told, fake.people[BOB].unread) == ([], 1)
        await opened.open(BOB)
        await opened.pilot.press("alt+m")
        await opened.shows("No longer muted")
        await opened.open(ALICE)
        fake.receive(BOB, "and now")
        await opened.until(lambda: told == ["\a"])
    assert fake.events == [SetMuted(BOB, on=True), SetMuted(BOB, on=False)]


async def test_the_settings_mute_and_the_next_with_news_comes_to_it_last() -> None:
    fake = FakeConversations()
    async with window(fake, size=(60, 20)) as opened:
        await opened.open(BOB)
        await opened.until(lambda: fake.people[BOB].unread == 0)
        await opened.pilot.press("f8")
        await opened.until(lambda: isinstance(opened.app.screen, ChatSettings))
        buttons = list(opened.app.screen.query(Button))
        assert [str(button.label) for button in buttons] == ["Tell them", "Mute", "Block", "Close"]
        box = opened.app.screen.query_one(".dialog").content_region
        assert all(box.contains_region(button.region) for button in buttons)
        await opened.pilot.click("#mute")
        await opened.until(lambda: fake.people[BOB].muted)
        await opened.pilot.press("escape")
        await opened.open(STRANGER)
        fake.receive(ALICE, "first")
        fake.receive(BOB, "newer, but muted")
        await opened.shows("2 unread")
        await opened.pilot.press("f9")
        await opened.until(lambda: opened.says("#who").startswith("✓ Alice"))


async def test_a_disk_that_refuses_is_said() -> None:
    fake = FakeConversations()
    async with window(fake) as opened:
        await opened.open(BOB)
        fake.failure = StorageError("the disk is full")
        await opened.pilot.press("alt+m")
        await opened.shows("the disk is full")
        assert not fake.people[BOB].muted


async def test_the_line_mode_mutes() -> None:
    terminal = Terminal()
    await terminal.type("/open Eve", "/open Alice", "/mute", "/open Bob")
    terminal.fake.receive(ALICE, "psst")
    assert not [line for line in terminal.lines if "1 new" in line]
    assert "verified PQ, 1 new, muted" in await terminal.type("/list")
    terminal.fake.receive(STRANGER, "me too")
    assert "Conversation with ‹Eve›" in await terminal.type("/next")
    await terminal.type("/open Alice", "/unmute", "/open Bob")
    terminal.fake.receive(ALICE, "hello")
    assert terminal.lines[-1] == "* Alice: 1 new (/next)"
    assert contact_line(terminal.fake.people[ALICE])["muted"] is False
