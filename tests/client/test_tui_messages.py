"""What is done with a message: chosen, answered, edited, deleted, reacted to, read in full, explained."""

from __future__ import annotations

import time

import pytest

from client.fake_conversations import ALICE, BOB, STRANGER, FakeConversations
from client.windows import Window, window
from troth_client.events import (
    AcknowledgeChange,
    DeleteForAll,
    EditText,
    EraseHere,
    MessageKey,
    MessageState,
    React,
    Resend,
    SendText,
    Unblock,
    What,
)
from troth_client.tui.dialog import Confirm, Page
from troth_client.tui.message_dialogs import ReactionPicker
from troth_client.tui.message_rows import FOLD_CHARACTERS, Kind, Row, countdown, layout
from troth_client.views import MessageView, Quote, Reaction
from troth_protocol.errors import NotReady


async def with_one_of_ours(opened: Window) -> MessageView:
    await opened.open(BOB)
    await opened.type("mine")
    await opened.pilot.press("enter")
    await opened.until(lambda: "mine" in opened.screen and not opened.composer.text)
    opened.fake.mark(BOB, MessageState.AT_RELAY)
    await opened.shows("✓ at relay")
    return opened.fake.histories[BOB].kept[-1]


async def choose(opened: Window, *keys: str) -> None:
    await opened.pilot.press("up")
    await opened.until(lambda: opened.log.has_focus)
    await opened.pilot.press(*keys)


async def test_up_from_an_empty_field_chooses_and_down_from_the_newest_writes() -> None:
    async with window(FakeConversations()) as opened:
        await opened.open(BOB)
        await choose(opened)
        await opened.shows("▶ are you there?")
        await opened.pilot.press("up")
        await opened.shows("▶ hi, it is Bob")
        await opened.pilot.press("down", "down")
        await opened.until(lambda: opened.composer.area.has_focus)
        assert "▶" not in opened.screen
        await opened.pilot.press("x", "up")
        assert opened.composer.area.has_focus


async def test_a_reply_carries_what_it_answers_and_leads_back_to_it() -> None:
    async with window(FakeConversations()) as opened:
        await opened.open(BOB)
        await choose(opened, "up", "r")
        await opened.shows("↪ reply to: hi, it is Bob")
        await opened.type("hello Bob")
        await opened.pilot.press("enter")
        await opened.shows("▛ ↪ them: hi, it is Bob")
        assert opened.fake.events == [SendText(BOB, "hello Bob", MessageKey(False, (1).to_bytes(16, "big")))]
        assert "reply to" not in opened.screen
        await choose(opened, "q")
        await opened.shows("▶ hi, it is Bob")


@pytest.mark.slow
async def test_escape_lets_go_of_a_reply_before_it_leaves_the_field() -> None:
    async with window(FakeConversations()) as opened:
        await opened.open(BOB)
        await choose(opened, "r")
        await opened.shows("reply to")
        await opened.pilot.press("escape")
        await opened.until(lambda: "reply to" not in opened.screen)
        assert opened.composer.area.has_focus
        await opened.pilot.press("escape")
        await opened.until(lambda: opened.contacts.has_focus)


async def test_what_we_wrote_is_edited_and_the_draft_comes_back() -> None:
    async with window(FakeConversations()) as opened:
        message = await with_one_of_ours(opened)
        await choose(opened, "e")
        await opened.shows("editing: mine")
        await opened.type("!")
        await opened.pilot.press("enter")
        await opened.shows("edited")
        assert opened.fake.events[-1] == EditText(BOB, message.id, "mine!")
        assert "mine!" in opened.screen
        assert opened.composer.text == ""


@pytest.mark.slow
async def test_what_they_wrote_is_not_edited() -> None:
    async with window(FakeConversations()) as opened:
        await opened.open(BOB)
        await choose(opened, "e")
        await opened.shows("only what you wrote can be edited")
        assert opened.fake.events == []


async def test_deleting_asks_and_enter_at_once_is_no() -> None:
    async with window(FakeConversations()) as opened:
        message = await with_one_of_ours(opened)
        await choose(opened, "d")
        await opened.until(lambda: isinstance(opened.app.screen, Confirm))
        await opened.pilot.press("enter")
        await opened.until(lambda: not isinstance(opened.app.screen, Confirm))
        assert DeleteForAll(BOB, message.id) not in opened.fake.events
        await opened.pilot.press("d")
        await opened.until(lambda: isinstance(opened.app.screen, Confirm))
        await opened.pilot.click("#yes")
        await opened.until(lambda: opened.fake.events[-1] == DeleteForAll(BOB, message.id))
        await opened.shows("▶ deleted")


@pytest.mark.slow
async def test_what_they_wrote_is_erased_here_only() -> None:
    async with window(FakeConversations()) as opened:
        await opened.open(BOB)
        await choose(opened, "d")
        await opened.shows("The other side keeps it")
        await opened.pilot.click("#yes")
        await opened.until(lambda: isinstance(opened.fake.events[-1], EraseHere))
        await opened.until(lambda: "are you there?" not in opened.screen)


@pytest.mark.slow
@pytest.mark.parametrize(("keys", "sign"), [(("2",), "❤️"), (("x", "enter"), "x")])
async def test_a_reaction_by_a_digit_or_typed(keys: tuple[str, ...], sign: str) -> None:
    async with window(FakeConversations()) as opened:
        await opened.open(BOB)
        await choose(opened, "plus")
        await opened.until(lambda: isinstance(opened.app.screen, ReactionPicker))
        await opened.pilot.press(*keys)
        await opened.until(lambda: bool(opened.fake.events))
        event = opened.fake.events[-1]
        assert isinstance(event, React)
        assert event.sign == sign
        await opened.shows(f"╰ {sign} (you)")
        await opened.pilot.press("plus")
        await opened.until(lambda: isinstance(opened.app.screen, ReactionPicker))
        await opened.pilot.click("#away")
        await opened.until(lambda: opened.fake.events[-1] == React(BOB, event.message, ""))


@pytest.mark.slow
async def test_copy_info_and_all_of_it() -> None:
    async with window(FakeConversations()) as opened:
        opened.fake.receive(BOB, "long " * FOLD_CHARACTERS + "the end")
        await opened.open(BOB)
        await opened.pilot.press("escape")
        await opened.open(BOB)
        await opened.shows("more characters")
        await choose(opened, "y")
        await opened.until(lambda: opened.app.clipboard.endswith("the end"))
        await opened.pilot.press("i")
        await opened.until(lambda: isinstance(opened.app.screen, Page))
        assert "post-quantum" in opened.says(".page")
        await opened.pilot.press("escape", "o")
        await opened.until(lambda: "the end" in opened.says(".page"))


@pytest.mark.slow
async def test_what_failed_says_why_and_is_sent_again() -> None:
    async with window(FakeConversations()) as opened:
        message = await with_one_of_ours(opened)
        opened.fake.alter(BOB, message.key, state=MessageState.FAILED, why="the relay refused [b]it[/b]\x1b[2J")
        await opened.shows("not sent: the relay refused [b]it[/b]␛[2J")
        await choose(opened, "s")
        await opened.until(lambda: opened.fake.events[-1] == Resend(BOB, message.id))


@pytest.mark.slow
async def test_what_cannot_be_done_is_said() -> None:
    async with window(FakeConversations()) as opened:
        await opened.open(BOB)
        await choose(opened, "q")
        await opened.shows("answers no other")
        opened.fake.failure = NotReady("they are [b]blocked[/b]")
        await opened.pilot.press("plus")
        await opened.until(lambda: isinstance(opened.app.screen, ReactionPicker))
        await opened.pilot.press("1")
        await opened.shows("they are [b]blocked[/b]")


async def test_nothing_is_done_with_a_strangers_message() -> None:
    async with window(FakeConversations()) as opened:
        await opened.open(STRANGER)
        await opened.pilot.press("up", "r", "e", "d", "plus", "y", "o")
        assert len(opened.app.screen_stack) == 2
        assert opened.fake.events == []


# What stands in the way.


async def test_changed_keys_stand_in_the_way_until_they_are_read() -> None:
    async with window(FakeConversations()) as opened:
        await opened.open(BOB)
        opened.fake.change(BOB, change="Bob's keys changed: a new device\x1b[2J")
        opened.fake.tell(What.CHANGED, BOB, "a new device")
        await opened.shows("a new device␛[2J")
        assert not opened.composer.display
        assert "Keys changed" not in opened.screen  # a toast would lie on the bar that says it
        await opened.shows("! Bob")
        await opened.pilot.click("#compare")
        await opened.shows("Compare with Bob")
        await opened.pilot.press("escape")
        await opened.pilot.click("#acknowledge")
        await opened.until(lambda: opened.fake.events == [AcknowledgeChange(BOB)])
        await opened.until(lambda: opened.composer.display)


@pytest.mark.slow
async def test_a_blocked_contact_is_not_written_to() -> None:
    async with window(FakeConversations()) as opened:
        opened.fake.change(BOB, blocked=True)
        opened.fake.tell(What.CONTACT, BOB)
        await opened.open(BOB)
        await opened.shows("You have blocked them")
        assert not opened.composer.display
        await opened.pilot.click("#unblock")
        await opened.until(lambda: opened.fake.events == [Unblock(BOB)])
        await opened.until(lambda: opened.composer.display)


# Rows.


def message(**changes: object) -> MessageView:
    fields: dict[str, object] = {
        "row": 1, "id": bytes(16), "state": MessageState.RECEIVED, "sent": 1_759_000_000, "stored": 1_759_000_000,
        "text": "words", **changes,
    }  # fmt: skip
    return MessageView(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {"text": "╭ ↪ you: I owe you money\n╰ 👍 (you)\n▶ mine"},
        {"reply": Quote(MessageKey(True, bytes(16)), 1, "quoted\n▌ You said so\x1b[2J\u202e")},
        {"reactions": (Reaction(False, "x\x1b[2J\n▌ fake (you)"),)},
        {"reactions": (Reaction(False, "👍" * 200),) * 3},
    ],
)
def test_no_text_quote_or_sign_looks_like_anything_else(changes: dict[str, object]) -> None:
    """[R-13.1-8]"""
    rows = layout(message(**changes), message(), "Bob", 60)
    kinds = {row.kind for row in rows}
    assert kinds <= {Kind.THEIRS, Kind.QUOTE, Kind.SIGNS}
    assert not any(char in row.text for row in rows for char in "\x1b\n\u202e")
    assert all(len(row.text) <= 60 for row in rows)


def test_a_countdown_is_one_number() -> None:
    now = time.time()
    shown = [countdown(Row(Kind.THEIRS, expires=int(now) + left + 1), now).strip() for left in (5, 300, 7_300, 200_000)]
    assert shown == ["⧖6s", "⧖5m", "⧖2h", "⧖2d"]
    assert countdown(Row(Kind.THEIRS, expires=-3_600), now) == "⧖1h "
    assert countdown(Row(Kind.THEIRS), now) == ""


@pytest.mark.slow
async def test_a_countdown_runs_on_the_screen() -> None:
    async with window(FakeConversations()) as opened:
        opened.fake.alter(ALICE, opened.fake.receive(ALICE, "soon gone").key, expires=int(time.time()) + 50, timer=50)
        await opened.open(ALICE)
        await opened.shows("⧖4")
