"""Opening the window on a fake and reading what it shows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from textual.events import Key
from textual.pilot import Pilot
from textual.widgets import Static

from client.fake_conversations import FakeConversations
from troth_client.tui import RelayEyes, Settings, TrothApp
from troth_client.tui.chat_pane import ChatPane
from troth_client.tui.composer import Composer
from troth_client.tui.contact_list import ContactList
from troth_client.tui.message_log import MessageLog


@dataclass
class Window:
    """A running window, its fake and its pilot."""

    app: TrothApp
    fake: FakeConversations
    pilot: Pilot[None]
    drawn: str = ""
    """What was on the screen at the end."""

    @property
    def lines(self) -> list[str]:
        """The screen as text."""
        strips = self.app.screen._compositor.render_strips()
        return ["".join(segment.text for segment in strip) for strip in strips]

    @property
    def screen(self) -> str:
        return "\n".join(self.lines)

    @property
    def chat(self) -> ChatPane:
        return self.app.screen_stack[1].query_one(ChatPane)

    @property
    def log(self) -> MessageLog:
        return self.app.screen_stack[1].query_one(MessageLog)

    @property
    def composer(self) -> Composer:
        return self.app.screen_stack[1].query_one(Composer)

    @property
    def contacts(self) -> ContactList:
        return self.app.screen_stack[1].query_one(ContactList)

    def says(self, selector: str) -> str:
        return str(self.app.screen.query_one(selector, Static).content)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until the window has taken over what happened."""
        for _ in range(500):
            if condition():
                await self.pilot.pause()
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"this never came true on\n{self.screen}")

    async def shows(self, text: str) -> None:
        await self.until(lambda: text in self.screen)

    async def open(self, fingerprint: bytes) -> None:
        """Choose a contact in the list."""
        self.contacts.focus()
        self.contacts.mark(fingerprint)
        await self.pilot.press("enter")
        await self.pilot.pause()

    async def type(self, text: str) -> None:
        for char in text:
            self.app.post_message(Key("space" if char == " " else char, char))
        await self.pilot.pause()


@asynccontextmanager
async def window(
    fake: FakeConversations,
    *,
    size: tuple[int, int] = (80, 24),
    eyes: RelayEyes | None = None,
    settings: Settings | None = None,
) -> AsyncIterator[Window]:
    app = TrothApp(fake, "Troth", eyes, settings)
    async with app.run_test(size=size, notifications=True) as pilot:
        await pilot.pause()
        yield Window(app, fake, pilot)
