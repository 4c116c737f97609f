"""The conversation: opened at its end, paged as it is scrolled, never moved under the reader."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from client.fake_conversations import ALICE, BOB, LONG, START, FakeConversations, History
from client.windows import Window, window
from troth_client.events import MessageState, What
from troth_client.tui.message_rows import Kind, layout, wrap
from troth_client.tui.message_window import KEPT, PAGE
from troth_client.views import MessageView

HOSTILE = [
    "\x1b[31mred\x1b]0;title\x07\x1b[2J",
    "abc\u202efdp.exe\u2066",
    "nul\x00 del\x7f \x9b5m",
    "[verified] [bold red]Bob[/] [link=file:///x]y[/link] [/nothing]",
    "e" + "\u0301" * 500,
    "line\n\nYou\n▌ fake",
    "👨\u200d👩\u200d👧\u200d👦 ❤\ufe0f 日本語",
    "\u200d\ufe0f\u0301",
    "w" * 1_000_000,
    "漢" * 5_000,
]


def message(text: str, row: int = 0, state: MessageState = MessageState.RECEIVED, **times: int) -> MessageView:
    return MessageView(row, bytes(16), state, times.get("sent", START), times.get("stored", START), text)


def top(opened: Window) -> str:
    """The first text on the screen of the conversation."""
    return next(
        row.text for row in opened.log._window.rows[opened.log.scroll_offset.y :] if row.text.startswith("message")
    )


async def test_opening_a_long_conversation_loads_one_page_and_takes_a_moment() -> None:
    fake = FakeConversations(LONG)
    async with window(fake) as opened:
        fake.history_calls.clear()
        began = time.perf_counter()
        await opened.open(ALICE)
        await opened.shows(f"message {LONG}")
        assert time.perf_counter() - began < 2
        assert len(fake.history_calls) <= 2
        assert opened.log.loaded <= 2 * PAGE


async def test_scrolling_up_pages_older_and_keeps_the_place() -> None:
    fake = FakeConversations(LONG)
    async with window(fake) as opened:
        await opened.open(ALICE)
        opened.log.focus()
        calls, loaded = len(fake.history_calls), opened.log.loaded
        opened.log.scroll_to(y=3 * opened.log.size.height, animate=False)
        while opened.log.loaded == loaded:
            before = opened.log.scroll_offset.y
            await opened.pilot.press("pageup")
            assert opened.log.scroll_offset.y != before
            seen = top(opened)
            await opened.pilot.pause()
        assert top(opened) == seen
        assert opened.log.loaded == loaded + PAGE
        assert len(fake.history_calls) == calls + 1
        for _ in range(5):
            await opened.pilot.press("home")
            await opened.pilot.pause()
        assert opened.log.loaded < LONG / 50


@pytest.mark.slow
async def test_the_beginning_is_a_key_away_and_everything_lies_between() -> None:
    fake = FakeConversations(220)
    async with window(fake) as opened:
        await opened.open(ALICE)
        opened.log.focus()
        await opened.pilot.press("home")
        await opened.shows("message 1 ")
        assert opened.log.loaded == PAGE
        calls = len(fake.history_calls)
        await opened.pilot.press("pageup", "pageup")
        assert len(fake.history_calls) == calls
        seen: set[int] = set()
        while not opened.log.at_end:
            await opened.pilot.press("pagedown")
            seen |= {message.row for message in opened.log._window.messages}
            rows = [message.row for message in opened.log._window.messages]
            assert rows == list(range(rows[0], rows[-1] + 1))
        assert seen == set(range(1, 221))


@pytest.mark.slow
async def test_what_is_loaded_has_a_bound_in_both_directions() -> None:
    async with window(FakeConversations(LONG)) as opened:
        await opened.open(ALICE)
        opened.log.focus()
        for key in ("pageup", "pagedown"):
            for _ in range(12):
                opened.log.scroll_to(y=0 if key == "pageup" else opened.log.max_scroll_y, animate=False)
                await opened.pilot.press(key)
            assert opened.log.loaded <= KEPT + PAGE


async def test_a_new_message_is_followed_at_the_end() -> None:
    async with window(FakeConversations()) as opened:
        await opened.open(ALICE)
        opened.fake.receive(ALICE, "something new")
        await opened.shows("something new")
        await opened.until(lambda: opened.fake.people[ALICE].unread == 0)


async def test_a_new_message_waits_below_while_reading_above() -> None:
    async with window(FakeConversations()) as opened:
        await opened.open(ALICE)
        await opened.pilot.press("pageup", "pageup")
        await opened.pilot.pause()
        place = opened.log.scroll_offset.y
        opened.fake.receive(ALICE, "first new")
        opened.fake.receive(ALICE, "second new")
        await opened.shows("2 new below")
        assert opened.log.scroll_offset.y == place
        assert opened.fake.people[ALICE].unread == 2
        await opened.pilot.click("#below")
        await opened.shows("second new")
        await opened.until(lambda: "new below" not in opened.screen and opened.fake.people[ALICE].unread == 0)


async def test_the_messages_of_a_backlog_arrive_together() -> None:
    fake = FakeConversations()
    async with window(fake) as opened:
        await opened.open(ALICE)
        calls = fake.contacts_calls
        for number in range(1_000):
            fake.receive(ALICE, f"backlog {number}")
        await opened.shows("backlog 999")
        assert fake.contacts_calls - calls < 20
        texts = [row.text for row in opened.log._window.rows if row.text.startswith("backlog")]
        assert texts[-1] == "backlog 999"
        assert texts == [f"backlog {number}" for number in range(1_000 - len(texts), 1_000)]
        assert opened.log.loaded <= KEPT


@pytest.mark.slow
async def test_a_resized_window_wraps_again_and_stays_at_the_end() -> None:
    async with window(FakeConversations(LONG)) as opened:
        await opened.open(ALICE)
        for size in ((60, 20), (200, 50), (80, 24)):
            await opened.pilot.resize_terminal(*size)
            await opened.shows(f"message {LONG}")
            assert all(cell_len(line) == size[0] for line in opened.lines)


@pytest.mark.slow
async def test_a_resized_window_keeps_what_was_being_read() -> None:
    async with window(FakeConversations(LONG)) as opened:
        await opened.open(ALICE)
        opened.log.focus()
        await opened.pilot.press(*["pageup"] * 3)
        await opened.pilot.pause()
        seen = top(opened).split()[1]
        await opened.pilot.resize_terminal(120, 24)
        await opened.pilot.pause()
        assert abs(int(top(opened).split()[1]) - int(seen)) <= 1


async def test_an_erased_conversation_is_empty() -> None:
    async with window(FakeConversations()) as opened:
        await opened.open(BOB)
        opened.fake.histories[BOB] = History()
        opened.fake.tell(What.MESSAGE, BOB)
        await opened.until(lambda: "are you there?" not in opened.screen)


@pytest.mark.parametrize("size", [(80, 24), pytest.param((60, 20), marks=pytest.mark.slow)])
async def test_hostile_texts_and_names_stay_text(size: tuple[int, int]) -> None:
    """[R-13.1-8]"""
    fake = FakeConversations()
    async with window(fake, size=size) as opened:
        await opened.open(BOB)
        for text in HOSTILE:
            fake.change(BOB, name=text[:60], claimed=text[:60])
            fake.receive(BOB, text)
            fake.receive(BOB, text, MessageState.NOTICE)
            await opened.pilot.pause(0.05)
            assert not any(char in opened.screen for char in "\x00\x07\x1b\x7f\x9b\u202e\u2066")
            assert all(cell_len(line) == size[0] for line in opened.lines)
        assert len(opened.log._window.rows) < 100_000


async def test_markup_is_not_obeyed() -> None:
    """[R-13.1-8]"""
    async with window(FakeConversations()) as opened:
        opened.fake.change(BOB, name="[b]Bob[/b]")
        opened.fake.receive(BOB, "[verified] [red]x[/red]")
        await opened.open(BOB)
        await opened.shows("[verified] [red]x[/red]")
        assert "[b]Bob[/b]" in opened.screen


async def test_marked_text_is_copied_without_its_frame() -> None:
    async with window(FakeConversations()) as opened:
        await opened.open(BOB)
        opened.app.screen.text_select_all()
        text = opened.app.screen.get_selected_text() or ""
        assert "hi, it is Bob\nare you there?" in text
        await opened.pilot.pause()


@given(st.text(st.sampled_from("ab 漢👍\n"), max_size=200), st.integers(2, 40))
def test_wrapped_lines_fit_and_lose_only_blanks(text: str, width: int) -> None:
    lines = list(wrap(text, width))
    assert all(cell_len(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace("\n", "").replace(" ", "")


@pytest.mark.parametrize("text", ["x\n── Tue 2025-09-30 ──", "x\nYou\n▌ not you", "\nthe safety number changed"])
def test_no_text_can_pass_for_what_the_window_says(text: str) -> None:
    """[R-13.1-8]"""
    rows = layout(message(text), message("before"), "Bob", 40)
    assert {row.kind for row in rows} == {Kind.THEIRS}


def test_a_sender_cannot_date_a_message_as_they_like() -> None:
    def meta(sent: int) -> str:
        return layout(message("x", sent=sent), None, "Bob", 60)[-1].meta

    honest = meta(START)
    assert meta(START + 86_400 * 365) == honest
    assert meta(2**64 - 1) == honest
    assert meta(0) == honest
    assert meta(START - 86_400).endswith(honest)
    assert meta(START - 86_400) != honest
