"""People, requests, dialogs and states, driven by the keyboard as a person would."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from textual.widgets import Input

from client.fake_conversations import ALICE, BOB, STRANGER, FakeConversations
from client.windows import window
from troth_client.display import full_fingerprint
from troth_client.events import Accept, Decline, Notify, What
from troth_client.records import Standing
from troth_client.tui.contact_list import prompt
from troth_client.tui.relay_panel import EventLine, MailboxLine
from troth_client.wording import sentence, sign, summary
from troth_protocol.errors import UserError


class Eyes:
    """A relay with one mailbox."""

    def __init__(self) -> None:
        self.looks = 0
        self.seen = [EventLine(0, "deliver", "ab12cd34", 16_384, "00ff" * 12)]

    def mailboxes(self) -> list[MailboxLine]:
        self.looks += 1
        return [MailboxLine("9f3ac211b7de", 3, 49_152, 0), MailboxLine("01b2ffee0012", 0, 0, None)]

    def events(self) -> list[EventLine]:
        return self.seen


# Contacts.


async def test_requests_stand_apart_and_the_newest_is_first() -> None:
    async with window(FakeConversations()) as opened:
        order = [opened.screen.index(word) for word in ("Requests", "? ‹Eve›", "Contacts", "│ · Bob   ", "│ ✓ Alice ")]
        assert order == sorted(order)
        opened.fake.receive(ALICE, "now me")
        await opened.until(lambda: opened.screen.index("│ ✓ Alice ") < opened.screen.index("│ · Bob   "))
        await opened.shows("(1)")


async def test_the_list_is_walked_with_arrows() -> None:
    async with window(FakeConversations()) as opened:
        await opened.open(BOB)
        await opened.pilot.press("escape", "down", "enter")
        await opened.shows("message 39")
        assert opened.says("#who").startswith("✓ Alice")


async def test_only_what_changed_is_drawn_again() -> None:
    async with window(FakeConversations()) as opened:
        await opened.open(BOB)
        before = {option.id: option.prompt for option in opened.contacts.options}
        opened.fake.change(ALICE, queued=3)
        opened.fake.tell(What.CONTACT, ALICE)
        await opened.shows("3 queued")
        after = {option.id: option.prompt for option in opened.contacts.options}
        assert [key for key in after if after[key] is not before[key]] == [ALICE.hex()]


async def test_unread_messages_are_read_when_they_are_shown() -> None:
    fake = FakeConversations()
    fake.receive(ALICE, "newest, so opened first")
    async with window(fake) as opened:
        await opened.pilot.pause()
        assert fake.people[ALICE].unread == 0
        assert fake.people[BOB].unread == 2
        await opened.open(BOB)
        await opened.until(lambda: fake.people[BOB].unread == 0)


async def test_nobody_yet() -> None:
    fake = FakeConversations()
    fake.people.clear()
    async with window(fake) as opened:
        await opened.shows("No conversation is open")
        await opened.pilot.press("f5", "enter", "tab")
        assert len(opened.app.screen_stack) == 2


@pytest.mark.parametrize("standing", list(Standing))
def test_every_standing_has_a_sign_and_words(standing: Standing) -> None:
    fake = FakeConversations()
    fake.change(BOB, standing=standing)
    contact = fake.people[BOB]
    assert len(sign(contact)) == 1
    assert summary(contact)
    assert sentence(contact)
    assert all(len(line) == 16 for line in str(prompt(contact, 16, 0)).split("\n"))


# What the status bar says.


async def test_the_connection_is_said_in_words() -> None:
    fake = FakeConversations()
    fake.online = False
    async with window(fake) as opened:
        await opened.shows("◌ connecting")
        fake.connect(True)
        await opened.shows("● online")
        fake.connect(False)
        fake.change(BOB, queued=2)
        fake.tell(What.STATE, BOB)
        await opened.shows("○ offline · 2 queued")


WORDS: list[tuple[dict[str, object], str]] = [
    ({"confirmed": True}, "safety number not compared · post-quantum confirmed"),
    ({"verified": True, "confirmed": False}, "safety number compared · post-quantum not yet confirmed"),
    ({"standing": Standing.ASKED}, "waiting for an answer"),
    ({"standing": Standing.ADDING}, "fetching their keys"),
    ({"standing": Standing.REFUSED}, "their card is no longer valid: ask for a new one"),
    ({"standing": Standing.ACTIVE, "stale": True}, "stale"),
]


async def test_the_contact_is_said_in_words() -> None:
    async with window(FakeConversations(), size=(160, 24)) as opened:
        await opened.open(BOB)
        for changes, words in WORDS:
            opened.fake.change(BOB, **changes)
            opened.fake.tell(What.CONTACT, BOB)
            await opened.until(lambda words=words: words in opened.says("#status"))  # type: ignore[misc]


async def test_alarms_are_shown_inert() -> None:
    async with window(FakeConversations()) as opened:
        opened.fake.tell(What.ALARM, BOB, "bad [b]x[/b]\x1b[2J")
        await opened.shows("Bob: bad [b]x[/b]␛[2J")


# Requests.


async def test_a_request_shows_who_they_say_they_are_and_nothing_can_be_written() -> None:
    async with window(FakeConversations()) as opened:
        opened.fake.change(STRANGER, name="Bob\x1b[1m", claimed="Bob\x1b[1m")
        opened.fake.tell(What.CONTACT, STRANGER)
        await opened.open(STRANGER)
        await opened.shows("calls themselves ‹Bob␛[1m›")
        assert "hello, we met at the fair" in opened.screen
        assert opened.app.screen.query_one("#request-name", Input).value == ""
        assert opened.says("#request-fingerprint") == full_fingerprint(STRANGER)
        assert not opened.composer.display
        await opened.pilot.press("tab", "tab", "x")
        assert opened.fake.events == []


async def test_accepting_gives_a_name_and_a_composer() -> None:
    async with window(FakeConversations()) as opened:
        await opened.open(STRANGER)
        await opened.type("hello")
        await opened.pilot.press("enter", "tab")
        await opened.type("Fair Eve")
        await opened.pilot.press("enter")
        assert opened.fake.events == []
        await opened.pilot.press("enter")
        await opened.until(lambda: opened.composer.display)
        assert opened.fake.events == [Accept(STRANGER, "Fair Eve")]
        assert "Requests" not in opened.screen
        await opened.type("hello")
        await opened.pilot.press("enter")
        await opened.shows("○ queued")


async def test_accepting_by_the_button_pins_the_name_they_claim() -> None:
    async with window(FakeConversations()) as opened:
        await opened.open(STRANGER)
        await opened.pilot.click("#accept")
        await opened.until(lambda: opened.fake.events == [Accept(STRANGER, "Eve")])


@pytest.mark.slow
async def test_a_name_that_is_refused_is_said() -> None:
    async with window(FakeConversations()) as opened:
        await opened.open(STRANGER)
        opened.fake.failure = UserError("another contact has this name already")
        await opened.pilot.press("tab", "B", "enter", "enter")
        await opened.shows("another contact has this name")
        assert not opened.composer.display


async def test_declining_forgets_them() -> None:
    async with window(FakeConversations()) as opened:
        await opened.open(STRANGER)
        await opened.pilot.press("tab", "tab", "tab", "enter")
        await opened.until(lambda: opened.fake.events == [Decline(STRANGER)])
        await opened.until(lambda: "Eve" not in opened.screen)


async def test_a_new_request_is_announced_and_not_opened() -> None:
    async with window(FakeConversations()) as opened:
        await opened.open(BOB)
        opened.fake.people.pop(STRANGER)
        opened.app.main.refresh_contacts()
        opened.fake.people[STRANGER] = FakeConversations().people[STRANGER]
        opened.fake.tell(What.REQUEST, STRANGER)
        await opened.shows("Somebody new wants to write")
        assert opened.says("#who").startswith("· Bob")


# The relay's side.


@pytest.mark.parametrize("size", [(60, 20), pytest.param((200, 50), marks=pytest.mark.slow)])
async def test_the_relay_panel_is_toggled_and_looks_only_while_shown(size: tuple[int, int]) -> None:
    eyes = Eyes()
    async with window(FakeConversations(), size=size, eyes=eyes) as opened:
        assert eyes.looks == 0
        await opened.pilot.press("f2")
        await opened.shows("00ff" * 8)
        assert "9f3ac211b7de      3    49,152" in opened.screen
        eyes.seen = [*eyes.seen, EventLine(0, "fet\x1bch", "-", 93, "ab" * 24)]
        await opened.shows("fet␛ch")
        await opened.pilot.press("f2")
        looks = eyes.looks
        await opened.pilot.pause(0.6)
        assert eyes.looks == looks
        assert "This is all the relay has" not in opened.screen


async def test_no_panel_without_a_relay_to_look_at() -> None:
    async with window(FakeConversations()) as opened:
        assert "F2" not in opened.lines[-1]
        await opened.pilot.press("f2")
        assert "What the relay sees" not in opened.screen


# Sizes.


@pytest.mark.slow
async def test_everything_fits_on_a_small_terminal() -> None:
    async with window(FakeConversations(), size=(60, 20)) as opened:
        await opened.open(BOB)
        assert len(opened.lines) == 20
        assert "^Q Quit" in opened.lines[-1]
        for key in ("f1", "f3", "f4", "f5"):
            await opened.pilot.press(key)
            await opened.shows("Esc closes")
            await opened.pilot.press("escape")
            await opened.until(lambda: "Esc closes" not in opened.screen)


async def test_states_are_said_without_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with window(FakeConversations()) as opened:
        await opened.open(ALICE)
        for words in ("You", "▌ message 39", "│ message 38", "✓ at relay", "verified PQ", "● online"):
            assert words in opened.screen


async def test_what_is_heard_before_the_window_stands_is_not_lost() -> None:
    fake = FakeConversations()
    watch = fake.watch

    def watch_and_hear(callback: Callable[[Notify], None]) -> Callable[[], None]:
        stop = watch(callback)
        fake.receive(BOB, "at once")
        return stop

    fake.watch = watch_and_hear  # type: ignore[method-assign]
    async with window(fake) as opened:
        await opened.shows("at once")
