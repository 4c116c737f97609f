"""Every screen as text, compared with the one that was looked at; ``python tests/client/test_screens.py`` draws anew.

What is drawn anew is to be looked at before it is kept: ``git diff tests/client/screens``.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from rich.color import Color
from textual.widgets import Input

sys.path.insert(0, str(Path(__file__).parents[1]))

from client.fake_conversations import ALICE, BOB, STRANGER, FakeConversations
from client.test_tui import Eyes
from client.test_tui_lock import LOCKABLE
from client.test_welcome import LINK, Founding, fill, first_run
from client.windows import Window, window
from troth_client.events import MessageState
from troth_client.preferences import Preferences
from troth_client.tui import Settings
from troth_client.views import Quote, Reaction

FOLDER: Final = Path(__file__).parent / "screens"
Steps = Callable[[Window], Awaitable[None]]
SIZES: Final = {"60": (60, 20), "80": (80, 24), "250": (250, 80)}


def a_conversation() -> FakeConversations:
    """Alice's conversation has one of everything."""
    fake = FakeConversations(4)
    theirs = fake.receive(ALICE, "Shall we meet at the fair?\nI have two tickets.")
    fake.alter(ALICE, theirs.key, reactions=(Reaction(True, "👍"), Reaction(False, "❤️")), edited=fake.clock)
    quote = Quote(theirs.key, theirs.row, "Shall we meet at the fair? I have two tickets.")
    states = (MessageState.DELIVERED, MessageState.AT_RELAY, MessageState.QUEUED, MessageState.FAILED)
    for number, state in enumerate(states):
        ours = fake.receive(ALICE, f"Answer {number}", state)
        fake.alter(ALICE, ours.key, reply=None if number else quote, why="the relay refused it" * (number == 3))
    fake.receive(ALICE, "Alice's device list changed.", MessageState.NOTICE)
    fake.alter(ALICE, fake.receive(ALICE, "").key, deleted=True)
    fake.alter(ALICE, fake.receive(ALICE, "gone in an hour").key, timer=3_600)
    fake.receive(ALICE, "abc\u202efdp.exe \x1b[2J می‌خواهم 👨‍👩‍👧")
    fake.mark_read(ALICE)
    return fake


async def nothing(_: Window) -> None:
    """As it opens."""


def opening(contact: bytes, *keys: str) -> Steps:
    async def steps(opened: Window) -> None:
        await opened.open(contact)
        await opened.pilot.pause(0.3)
        for key in keys:
            await opened.pilot.press(key)
            await opened.pilot.pause()

    return steps


def changed(contact: bytes, **changes: object) -> Steps:
    async def steps(opened: Window) -> None:
        opened.fake.change(contact, **changes)
        await opened.open(contact)
        await opened.pilot.pause(0.3)

    return steps


async def searching(opened: Window) -> None:
    await opened.open(ALICE)
    await opened.pilot.press("f7")
    await opened.pilot.pause()
    opened.app.screen.query_one(Input).value = "answer"
    await opened.until(lambda: "4 found" in opened.screen)


async def locked(opened: Window) -> None:
    await opened.open(ALICE)
    opened.app.action_lock()
    await opened.shows("Troth is locked")


async def relay(opened: Window) -> None:
    await opened.open(ALICE)
    await opened.pilot.press("f2")
    await opened.shows("9f3ac211b7de")


async def nobody(opened: Window) -> None:
    opened.fake.people.clear()
    opened.app.main.refresh_contacts()
    await opened.shows("No conversation is open")


SCENES: Final[dict[str, Steps]] = {
    "first": nothing,
    "nobody": nobody,
    "chat": opening(ALICE),
    "selected": opening(ALICE, "up", "up"),
    "reply": opening(ALICE, "up", "r"),
    "react": opening(ALICE, "up", "plus"),
    "delete": opening(ALICE, "up", "d"),
    "info": opening(ALICE, "up", "i"),
    "request": opening(STRANGER),
    "changed": changed(BOB, change="Bob has a new device. Its keys were signed by Bob's account."),
    "blocked": changed(BOB, blocked=True),
    "lookalike": changed(BOB, confusable=True, draft="a draft"),
    "help": opening(ALICE, "f1"),
    "add": opening(ALICE, "f3"),
    "card": opening(ALICE, "f4"),
    "safety": opening(ALICE, "f5"),
    "safety-words": opening(ALICE, "f5", "w"),
    "safety-code": opening(ALICE, "f5", "w", "w"),
    "go-to": opening(ALICE, "f6"),
    "search": searching,
    "settings": opening(ALICE, "f8"),
    "palette": opening(ALICE, "ctrl+p"),
    "lock": locked,
    "relay": relay,
}


def text(opened: Window) -> str:
    return "\n".join(line.rstrip() for line in opened.lines) + "\n"


async def draw(scene: str, size: tuple[int, int], settings: Settings = LOCKABLE) -> Window:
    """A scene on a screen of a size."""
    eyes = Eyes() if scene == "relay" else None
    async with window(a_conversation(), size=size, settings=settings, eyes=eyes) as opened:
        await SCENES[scene](opened)
        await opened.pilot.pause(0.1)
        opened.drawn = text(opened)
    return opened


async def draw_first_run(step: int, size: tuple[int, int]) -> str:
    founding = Founding()
    async with first_run(founding, size=size) as (_, opened):
        await opened.shows("1 of 3")
        if step > 1:
            await fill(opened, "correct horse battery", "correct horse battery")
            await opened.shows("2 of 3")
        if step > 2:
            opened.app.screen.query_one("#relay-link", Input).value = LINK
            await opened.pilot.press("enter")
            await opened.until(lambda: bool(opened.says("#first-card")))
        await opened.pilot.pause(0.1)
        return text(opened)


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        patch.delenv("NO_COLOR", raising=False)
        time.tzset()
        yield
    time.tzset()


ALL: Final = [(scene, width) for scene in SCENES for width in ("60", "80")] + [("chat", "250")]
FIRST_RUN: Final = [(step, width) for step in (1, 2, 3) for width in ("60", "80")]


@pytest.mark.slow
@pytest.mark.parametrize(("scene", "width"), ALL)
async def test_a_screen_looks_as_it_did(scene: str, width: str) -> None:
    assert (await draw(scene, SIZES[width])).drawn == (FOLDER / f"{scene}-{width}.txt").read_text("utf-8")


@pytest.mark.parametrize("scene", ["chat", "request"])
async def test_the_screens_one_sees_most_look_as_they_did(scene: str) -> None:
    assert (await draw(scene, SIZES["80"])).drawn == (FOLDER / f"{scene}-80.txt").read_text("utf-8")


@pytest.mark.slow
@pytest.mark.parametrize(("step", "width"), FIRST_RUN)
async def test_the_first_run_looks_as_it_did(step: int, width: str) -> None:
    assert await draw_first_run(step, SIZES[width]) == (FOLDER / f"first-run-{step}-{width}.txt").read_text("utf-8")


def test_no_screen_is_left_over() -> None:
    names = {f"{scene}-{width}.txt" for scene, width in ALL} | {f"first-run-{a}-{b}.txt" for a, b in FIRST_RUN}
    assert {path.name for path in FOLDER.iterdir()} == names


# Without colours, and with as much contrast as there can be.


def luminance(color: Color) -> float:
    parts = [channel / 255 for channel in color.get_truecolor()]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: Color, other: Color) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.slow
@pytest.mark.parametrize(("theme", "least"), [("contrast", 7.0), ("dark", 3.0), ("light", 3.0)])
async def test_every_word_can_be_read(theme: str, least: float) -> None:
    """WCAG's contrast of text and ground: 7 to 1 in the theme made for it."""
    async with window(a_conversation(), settings=Settings(Preferences(theme=theme))) as opened:
        for steps in (SCENES["chat"], SCENES["request"], SCENES["changed"]):
            await steps(opened)
            for strip in opened.app.screen._compositor.render_strips():
                for segment in strip:
                    style = segment.style
                    if style is None or style.color is None or style.bgcolor is None or not segment.text.strip():
                        continue
                    if any(char.isalnum() for char in segment.text) and not style.dim:
                        assert contrast(style.color, style.bgcolor) >= least, (segment.text, style)


@pytest.mark.slow
async def test_no_colour_is_sent_where_none_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with window(a_conversation()) as opened:
        for steps in (SCENES["selected"], SCENES["card"]):
            await steps(opened)
            for strip in opened.app.screen._compositor.render_strips():
                for segment in strip.apply_filter(opened.app._filters[-1], opened.app.screen.background_colors[1]):
                    style = segment.style
                    assert style is None or all(c is None or c.is_default for c in (style.color, style.bgcolor))
            await opened.pilot.press("escape")


if __name__ == "__main__":
    os.environ["TZ"] = "UTC"
    time.tzset()
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.iterdir():
        path.unlink()
    for scene, width in ALL:
        (FOLDER / f"{scene}-{width}.txt").write_text(asyncio.run(draw(scene, SIZES[width])).drawn, "utf-8")
    for step, width in FIRST_RUN:
        drawn = asyncio.run(draw_first_run(step, SIZES[width]))
        (FOLDER / f"first-run-{step}-{width}.txt").write_text(drawn, "utf-8")
