"""Getting somewhere: search, the switcher, what is new, the palette, other conversations, the unread mark."""

from __future__ import annotations

import pytest
from textual.command import CommandPalette
from textual.widgets import Input, OptionList

from client.fake_conversations import ALICE, BOB, LONG, STRANGER, FakeConversations
from client.windows import Window, window
from troth_client.events import MessageState, Notify, What
from troth_client.route_views import RouteStatus, RouteView
from troth_client.tui import Settings
from troth_client.tui.contact_list import prompt
from troth_client.tui.search_screen import SearchScreen, hit_line
from troth_client.tui.switcher import Switcher, fits
from troth_client.views import Hit, MessageView


def options(opened: Window, selector: str) -> list[str]:
    return [str(option.prompt) for option in opened.app.screen.query_one(selector, OptionList).options]


async def test_search_here_then_everywhere_then_there() -> None:
    async with window(FakeConversations(LONG)) as opened:
        await opened.open(BOB)
        await opened.pilot.press("ctrl+f")
        await opened.until(lambda: isinstance(opened.app.screen, SearchScreen))
        await opened.type("message")
        await opened.shows("nothing found")
        await opened.pilot.press("ctrl+f")
        await opened.shows("Search everywhere")
        await opened.until(lambda: len(options(opened, "#hits")) == 50)
        assert "50+ found" in opened.screen
        opened.app.screen.query_one(Input).value = f"message {LONG - 700}"
        await opened.until(lambda: len(options(opened, "#hits")) == 1)
        await opened.pilot.press("enter")
        await opened.shows(f"▶ message {LONG - 700}")
        assert opened.says("#who").startswith("✓ Alice")
        assert opened.log.loaded <= 200
        await opened.pilot.press("end")
        await opened.shows(f"message {LONG}")


@pytest.mark.slow
async def test_more_hits_come_as_one_walks_down() -> None:
    async with window(FakeConversations(300)) as opened:
        await opened.open(ALICE)
        await opened.pilot.press("f7")
        await opened.until(lambda: isinstance(opened.app.screen, SearchScreen))
        await opened.type("message")
        await opened.until(lambda: len(options(opened, "#hits")) == 50)
        await opened.pilot.press("down", "end")
        await opened.until(lambda: len(options(opened, "#hits")) == 100)


@pytest.mark.slow
async def test_a_hit_that_is_gone_is_said() -> None:
    async with window(FakeConversations()) as opened:
        await opened.open(BOB)
        await opened.pilot.press("f7")
        await opened.until(lambda: isinstance(opened.app.screen, SearchScreen))
        await opened.type("there")
        await opened.until(lambda: len(options(opened, "#hits")) == 1)
        opened.fake.histories[BOB].kept.pop()
        opened.app.main._go_to_hit(Hit(BOB, MessageView(99, b"", MessageState.RECEIVED, 0, 0, ""), "", ()))
        await opened.shows("not here any more")


def test_a_hit_is_inert() -> None:
    """[R-13.1-8]"""
    view = MessageView(1, b"", MessageState.RECEIVED, 0, 0, "")
    line = hit_line(Hit(BOB, view, "a\x1b[2J [b]x[/b]\u202e\nfake", ((0, 1), (4, 9))), {BOB: "Bob"}, everywhere=True)
    assert "␛[2J [b]x[/b]‹U+202E› fake" in line.plain
    assert not any(char in line.plain for char in "\x1b\n\u202e")


@pytest.mark.slow
async def test_the_switcher_finds_by_name_and_fingerprint() -> None:
    async with window(FakeConversations()) as opened:
        await opened.open(BOB)
        await opened.pilot.press("ctrl+o")
        await opened.until(lambda: isinstance(opened.app.screen, Switcher))
        assert len(options(opened, "#names")) == 3
        await opened.type("LIC")
        await opened.until(lambda: len(options(opened, "#names")) == 1)
        await opened.pilot.press("enter")
        await opened.until(lambda: opened.says("#who").startswith("✓ Alice"))
        bob = opened.fake.people[BOB]
        assert fits(bob, "b0b0")
        assert not fits(bob, "b0")
        await opened.pilot.press("f6")
        await opened.type("nobody")
        await opened.pilot.press("down", "enter", "escape")
        await opened.until(lambda: len(opened.app.screen_stack) == 2)


@pytest.mark.slow
async def test_the_next_with_something_new() -> None:
    async with window(FakeConversations()) as opened:
        await opened.open(ALICE)
        await opened.pilot.press("alt+a")
        await opened.until(lambda: "Bob" in opened.says("#who") or "Eve" in opened.says("#who"))
        await opened.pilot.pause(0.4)
        await opened.pilot.press("f9")
        await opened.pilot.pause(0.4)
        await opened.pilot.press("f9")
        await opened.shows("Nothing new.")
        assert opened.fake.people[BOB].unread == opened.fake.people[STRANGER].unread == 0


@pytest.mark.slow
async def test_the_conversations_above_and_below() -> None:
    async with window(FakeConversations()) as opened:
        await opened.open(BOB)
        await opened.pilot.press("alt+down")
        await opened.until(lambda: "Alice" in opened.says("#who"))
        await opened.pilot.press("alt+up")
        await opened.until(lambda: "Bob" in opened.says("#who"))


async def test_unread_opens_at_its_mark_and_is_read_as_it_is_seen() -> None:
    fake = FakeConversations(300)
    for number in range(200):
        fake.receive(ALICE, f"new {number}")
    fake.receive(BOB, "so that Bob is opened first")
    fake.change(ALICE, last=1)
    async with window(fake) as opened:
        await opened.open(ALICE)
        await opened.shows("── new ──")
        assert "new 0" in opened.screen
        assert "new 199" not in opened.screen
        await opened.until(lambda: fake.people[ALICE].unread < 200)
        assert fake.people[ALICE].unread > 150
        await opened.shows("new below")
        await opened.pilot.press("pagedown", "pagedown")
        await opened.until(lambda: fake.people[ALICE].unread < 185)
        await opened.pilot.press("up", "end")
        await opened.until(lambda: fake.people[ALICE].unread == 0)
        await opened.shows("new 199")


async def test_behind_the_list_on_a_narrow_screen_nothing_is_read() -> None:
    async with window(FakeConversations(), size=(60, 20)) as opened:
        await opened.open(BOB)
        await opened.until(lambda: not opened.fake.people[BOB].unread)
        await opened.pilot.press("escape")
        await opened.until(lambda: opened.contacts.has_focus)
        opened.fake.receive(BOB, "psst")
        await opened.shows("(1)")
        await opened.pilot.pause(0.4)
        assert opened.fake.people[BOB].unread == 1
        await opened.pilot.press("f9")
        await opened.until(lambda: not opened.fake.people[BOB].unread)


async def test_nothing_is_read_while_nobody_looks() -> None:
    async with window(FakeConversations()) as opened:
        await opened.open(ALICE)
        opened.app.app_focus = False
        opened.fake.receive(ALICE, "while away")
        await opened.shows("while away")
        await opened.pilot.pause(0.4)
        assert opened.fake.people[ALICE].unread == 1
        opened.app.app_focus = True
        opened.app.main.looked_at()
        await opened.until(lambda: opened.fake.people[ALICE].unread == 0)


async def test_the_palette_has_commands_and_contacts_and_obeys_no_name() -> None:
    fake = FakeConversations()
    fake.change(BOB, name="[b]Zoe[/b]")
    async with window(fake) as opened:
        await opened.open(ALICE)
        await opened.pilot.press("ctrl+p")
        await opened.until(lambda: isinstance(opened.app.screen, CommandPalette))
        await opened.type("Zoe")
        await opened.shows("Conversation with [b]Zoe[/b]")
        await opened.pilot.press("down", "enter")
        await opened.until(lambda: "[b]Zoe[/b]" in opened.says("#who"))
        await opened.pilot.press("ctrl+p")
        await opened.type("Theme: light")
        await opened.shows("Theme: light")
        await opened.pilot.press("down", "enter")
        await opened.until(lambda: opened.app.theme == "light")


@pytest.mark.slow
async def test_names_that_look_alike_show_their_fingerprints() -> None:
    async with window(FakeConversations()) as opened:
        opened.fake.change(BOB, confusable=True)
        opened.fake.tell(What.CONTACT, BOB)
        await opened.shows("Bob [b0b0 b0b0]")


def test_a_draft_is_marked() -> None:
    fake = FakeConversations()
    fake.change(ALICE, draft="later")
    assert "✎" in str(prompt(fake.people[ALICE], 30, 0))


@pytest.mark.slow
async def test_a_draft_is_kept_at_the_end() -> None:
    fake = FakeConversations()
    async with window(fake) as opened:
        await opened.open(BOB)
        await opened.type("half a tho")
    assert fake.people[BOB].draft == "half a tho"
    async with window(fake) as opened:
        await opened.open(BOB)
        assert opened.composer.text == "half a tho"


SLOW = pytest.mark.slow


@SLOW
@pytest.mark.parametrize(
    "size",
    [
        (20, 5),
        (21, 6),
        (40, 12),
        (250, 80),
    ],
)
async def test_no_size_is_too_small_for_it_to_live(size: tuple[int, int]) -> None:
    async with window(FakeConversations(500), size=(80, 24)) as opened:
        await opened.open(ALICE)
        await opened.pilot.resize_terminal(*size)
        await opened.pilot.pause()
        for key in ("f1", "f4", "f5", "f6", "f7", "f8", "f12"):
            await opened.pilot.press(key, "escape")
        await opened.open(BOB)
        await opened.pilot.press("a", "enter", "up", "up", "escape")
        await opened.pilot.resize_terminal(80, 24)
        await opened.until(lambda: "Bob" in opened.screen)


@pytest.mark.slow
async def test_the_routes_are_listed_with_what_came_of_them() -> None:
    proxy = RouteView(1, "socks", "proxy\x1b[2J:1080", False, "CAPTIVE_PORTAL", "a page came instead", 0, 0)
    status = RouteStatus((proxy, RouteView(0, "direct", "", True, "OK", "worked in 0.3 s", 0, 0)), False)
    async with window(FakeConversations(), settings=Settings(routes=lambda: status)) as opened:
        await opened.pilot.press("alt+r")
        await opened.shows("0. direct   in use")
        assert "1. socks proxy␛[2J:1080" in opened.screen
        assert "sign in to this network" in opened.screen


async def test_the_status_bar_says_why_and_what_next() -> None:
    async with window(FakeConversations(), size=(160, 24)) as opened:
        opened.fake.online = False
        for watcher in opened.fake.watchers:
            watcher(Notify(What.OFFLINE, None, "the clocks differ\x1b[2J by 3 days", "CLOCK_SKEW"))
        await opened.shows("unread · the clocks differ␛[2J by 3 days. Next: set this machine's clock.")
        assert "○ offline · " in opened.screen
