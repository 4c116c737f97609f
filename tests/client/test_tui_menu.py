"""What can be done with a message, for whoever has a mouse and no keys in mind."""

from __future__ import annotations

from textual.widgets import OptionList

from client.fake_conversations import BOB, STRANGER, FakeConversations
from client.windows import Window, window
from troth_client.events import MessageKey, MessageState, SendText
from troth_client.preferences import Preferences
from troth_client.tui import Settings
from troth_client.tui.dialog import Confirm
from troth_client.tui.message_menu import MessageMenu, doings
from troth_client.views import MessageView, Quote


async def click(opened: Window, text: str) -> None:
    """Click on the first line of the screen that holds this text, where it stands."""
    y, line = next((y, line) for y, line in enumerate(opened.lines) if text in line)
    await opened.pilot.click(offset=(line.index(text) + 1, y))


async def test_a_second_click_offers_what_fits_and_does_it() -> None:
    async with window(FakeConversations(), size=(60, 20)) as opened:
        await opened.open(BOB)
        await click(opened, "hi, it is Bob")
        await opened.shows("▶ hi, it is Bob")
        assert not isinstance(opened.app.screen, MessageMenu)
        await click(opened, "hi, it is Bob")
        await opened.until(lambda: isinstance(opened.app.screen, MessageMenu))
        await opened.shows("r  reply")
        await click(opened, "r  reply")
        await opened.shows("↪ reply to: hi, it is Bob")
        await opened.type("hello")
        await opened.pilot.press("enter")
        await opened.until(lambda: bool(opened.fake.events))
        assert opened.fake.events == [SendText(BOB, "hello", MessageKey(False, (1).to_bytes(16, "big")))]


async def test_enter_offers_it_with_the_keys_as_they_are_bound() -> None:
    chosen = Settings(Preferences(bind={"copy_text": ("Y",)}))
    async with window(FakeConversations(), settings=chosen) as opened:
        await opened.open(BOB)
        await opened.pilot.press("up")
        await opened.until(lambda: opened.log.has_focus)
        await opened.pilot.press("enter")
        await opened.until(lambda: isinstance(opened.app.screen, MessageMenu))
        lines = [str(option.prompt) for option in opened.app.screen.query_one(OptionList).options]
        assert [line.split()[0] for line in lines] == ["r", "+", "Y", "o", "i", "d"]
        await opened.pilot.press("escape")
        await opened.until(lambda: opened.log.has_focus)
        await opened.pilot.press("enter")
        await opened.until(lambda: isinstance(opened.app.screen, MessageMenu))
        opened.fake.histories[BOB].kept.pop()
        opened.log.sync()
        await opened.pilot.press("enter")
        await opened.until(lambda: not isinstance(opened.app.screen, MessageMenu))
        assert "reply to" not in opened.screen


async def test_a_stranger_is_not_answered_by_a_click() -> None:
    async with window(FakeConversations()) as opened:
        await opened.open(STRANGER)
        for _ in range(2):
            await click(opened, "hello, we met")
        await opened.pilot.press("enter")
        assert not isinstance(opened.app.screen, MessageMenu)
        assert opened.fake.events == []


async def test_keys_typed_ahead_of_a_dialog_open_no_second_one() -> None:
    async with window(FakeConversations()) as opened:
        await opened.open(BOB)
        await opened.pilot.press("up")
        await opened.until(lambda: opened.log.has_focus)
        await opened.type("did+")
        await opened.until(lambda: isinstance(opened.app.screen, Confirm))
        await opened.pilot.pause(0.2)
        assert len(opened.app.screen_stack) == 3
        await opened.pilot.press("escape")
        await opened.until(lambda: opened.log.has_focus)


def test_only_what_fits_is_offered() -> None:
    def view(state: MessageState, *, deleted: bool = False, reply: Quote | None = None) -> MessageView:
        return MessageView(1, b"i" * 16, state, 0, 0, "x", deleted=deleted, reply=reply)

    every = {"reply", "react", "copy_text", "read_whole", "info", "delete"}
    quote = Quote(MessageKey(True, b"q" * 16), 0, "q")
    assert set(doings(view(MessageState.RECEIVED))) == every
    assert set(doings(view(MessageState.RECEIVED, reply=quote))) == every | {"quoted"}
    assert set(doings(view(MessageState.AT_RELAY))) == every | {"edit"}
    assert set(doings(view(MessageState.FAILED))) == every | {"edit", "resend"}
    assert set(doings(view(MessageState.NOTICE))) == {"info", "delete"}
    assert set(doings(view(MessageState.AT_RELAY, deleted=True))) == {"info", "delete"}
