"""Writing: Enter sends, Ctrl+J breaks the line, a paste never sends, and no text is lost."""

from __future__ import annotations

import pytest
from textual.events import Paste
from textual.pilot import Pilot

from client.fake_conversations import ALICE, BOB, FakeConversations
from client.windows import Window, window
from troth_client.events import MessageState, SendText
from troth_client.tui import TrothApp
from troth_client.tui.composer import MAX_PASTE, MAX_TEXT, size_of
from troth_protocol.errors import StorageError


def sent(fake: FakeConversations) -> list[SendText]:
    return [event for event in fake.events if isinstance(event, SendText)]


async def paste(opened: Window, text: str) -> None:
    opened.composer.area.focus()
    await opened.pilot.pause()
    opened.app.post_message(Paste(text))
    await opened.pilot.pause()
    await opened.pilot.pause()


async def test_enter_sends_and_empties_the_field() -> None:
    async with window(FakeConversations()) as opened:
        await opened.open(BOB)
        await opened.type("good morning")
        await opened.pilot.press("enter")
        await opened.shows("○ queued")
        assert sent(opened.fake) == [SendText(BOB, "good morning")]
        assert opened.composer.text == ""
        opened.fake.mark(BOB, MessageState.AT_RELAY)
        await opened.shows("✓ at relay")
        opened.fake.mark(BOB, MessageState.FAILED)
        await opened.shows("✗ failed")


@pytest.mark.slow
async def test_a_line_can_be_broken() -> None:
    async with window(FakeConversations()) as opened:
        await opened.open(BOB)
        await opened.pilot.press("a", "ctrl+j", "b", "shift+enter", "c", "alt+enter", "d", "enter")
        await opened.until(lambda: bool(sent(opened.fake)))
        assert sent(opened.fake)[0].text == "a\nb\nc\nd"


@pytest.mark.slow
async def test_blanks_are_not_sent() -> None:
    async with window(FakeConversations()) as opened:
        await opened.open(BOB)
        await opened.pilot.press("space", "ctrl+j", "enter")
        await opened.pilot.pause()
        assert sent(opened.fake) == []


async def test_a_paste_never_sends_and_brings_no_controls() -> None:
    async with window(FakeConversations()) as opened:
        await opened.open(BOB)
        await paste(opened, "one\r\ntwo\r\x1b[2Jthree\u202e\n")
        assert opened.composer.text == "one\ntwo\n[2Jthree\n"
        assert sent(opened.fake) == []


async def test_room_is_counted_near_the_limit() -> None:
    async with window(FakeConversations()) as opened:
        await opened.open(BOB)
        await paste(opened, "é" * 7_500)
        assert "left" not in opened.screen
        await opened.type("x")
        await opened.shows("999 bytes left")


async def test_a_text_that_is_too_long_is_refused_and_kept() -> None:
    async with window(FakeConversations()) as opened:
        await opened.open(BOB)
        text = "x" * (MAX_TEXT + 1)
        await paste(opened, text)
        await opened.shows("1 bytes too long")
        await opened.pilot.press("enter")
        await opened.shows("not sent: 1 bytes too long")
        assert opened.composer.text == text
        assert sent(opened.fake) == []
        await opened.pilot.press("backspace", "enter")
        await opened.until(lambda: bool(sent(opened.fake)))
        assert size_of(sent(opened.fake)[0].text) == MAX_TEXT


async def test_a_paste_far_too_large_is_not_taken() -> None:
    async with window(FakeConversations()) as opened:
        await opened.open(BOB)
        await opened.type("kept")
        await paste(opened, "y" * (MAX_PASTE + 1))
        await opened.shows("64,001 characters were not pasted")
        assert opened.composer.text == "kept"


async def test_a_refused_text_comes_back_with_the_reason() -> None:
    async with window(FakeConversations()) as opened:
        await opened.open(BOB)
        opened.fake.failure = StorageError("the disk is [b]full[/b]\x1b[2J")
        await opened.type("precious")
        await opened.pilot.press("enter")
        await opened.shows("not sent: the disk is [b]full[/b]␛[2J")
        assert opened.composer.text == "precious"
        opened.fake.failure = None
        await opened.pilot.press("enter")
        await opened.until(lambda: bool(sent(opened.fake)))


async def test_a_draft_waits_with_its_contact() -> None:
    async with window(FakeConversations()) as opened:
        await opened.open(BOB)
        await opened.type("for bob")
        await opened.open(ALICE)
        assert opened.composer.text == ""
        await opened.open(BOB)
        assert opened.composer.text == "for bob"


async def test_the_conversation_scrolls_while_writing() -> None:
    async with window(FakeConversations()) as opened:
        await opened.open(ALICE)
        end = opened.log.scroll_offset.y
        await opened.pilot.press("pageup")
        await opened.pilot.pause()
        assert opened.log.scroll_offset.y < end
        await opened.pilot.press("pagedown")
        await opened.pilot.pause()
        assert opened.log.scroll_offset.y == end


async def send(fake: FakeConversations, text: str) -> TrothApp:
    async with window(fake) as opened:
        await opened.open(BOB)
        await opened.type(text)
        await opened.pilot.press("enter")
        await opened.pilot.pause()
    return opened.app


async def test_a_fault_is_not_swallowed_and_shows_no_texts(capsys: pytest.CaptureFixture[str]) -> None:
    fake = FakeConversations()
    fake.failure = RuntimeError("a fault")
    with pytest.raises(RuntimeError, match="a fault"):
        await send(fake, "secret")
    assert "secret" not in "".join(capsys.readouterr())


async def test_whoever_runs_the_window_gets_the_fault(capsys: pytest.CaptureFixture[str]) -> None:
    fake = FakeConversations()
    app = TrothApp(fake, "Troth")

    async def write(pilot: Pilot[object]) -> None:
        await pilot.press("enter", *"secret")
        fake.failure = RuntimeError("a fault")
        await pilot.press("enter")

    await app.run_async(headless=True, auto_pilot=write)
    assert str(app.fault) == "a fault"
    assert "secret" not in "".join(capsys.readouterr())


async def test_the_window_survives_any_size() -> None:
    """Also one in which the field has no width at all, for the moment until the list has made room."""
    async with window(FakeConversations(), size=(250, 60)) as opened:
        await opened.open(BOB)
        for size in ((40, 10), (10, 3), (1, 1), (36, 4), (250, 60)):
            await opened.pilot.resize_terminal(*size)
            await opened.pilot.pause()
        await opened.type("still here")
        await opened.shows("still here")


@pytest.mark.slow
async def test_all_that_is_written_is_selected_by_one_key() -> None:
    async with window(FakeConversations()) as opened:
        await opened.open(BOB)
        opened.composer.put("two\nlines")
        await opened.pilot.press("alt+w", "backspace")
        assert opened.composer.text == ""


async def test_a_window_that_shrinks_keeps_the_pane_in_use() -> None:
    async with window(FakeConversations(), size=(120, 30)) as opened:
        await opened.until(lambda: opened.contacts.has_focus)
        await opened.pilot.press("tab", "tab")
        await opened.type("half a sent")
        await opened.pilot.resize_terminal(60, 20)
        await opened.type("ence")
        await opened.shows("half a sentence")
        await opened.pilot.resize_terminal(120, 30)
        await opened.pilot.press("escape")
        await opened.until(lambda: opened.contacts.has_focus)
        await opened.pilot.resize_terminal(60, 20)
        await opened.shows("Requests")
