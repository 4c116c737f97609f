"""How a new message is announced outside the window: not at all unless asked for, and without content unless asked for.

By the terminal's bell, by its notifications (OSC 9), or by notify-send. What is said went through ``inert``; it is an
argument of a program or the inside of one escape sequence, and can end neither.
"""

from __future__ import annotations

import asyncio
import shutil
from asyncio.subprocess import DEVNULL
from collections.abc import Callable
from typing import Final

from ..preferences import Preferences

TITLE: Final = "Troth"
WORDS: Final = "new message"
MOST: Final = 200
"""Characters of an announcement."""
_SECONDS: Final = 5
"""How long notify-send may take before it is given up."""


def words(preferences: Preferences, name: str, text: str) -> str:
    """What is said of a new message; ``name`` and ``text`` are inert and on one line."""
    match preferences.notify_shows:
        case "name":
            return f"{WORDS} from {name}"[:MOST]
        case "text":
            return f"{name}: {text}"[:MOST]
        case _:
            return WORDS


class Announcer:
    """Announces by the means that were chosen; ``write`` puts bytes on the terminal."""

    def __init__(self, preferences: Preferences, write: Callable[[str], None]) -> None:
        self._preferences = preferences
        self._write = write
        self._running: set[asyncio.Task[None]] = set()

    @property
    def silent(self) -> bool:
        """Whether nothing is ever announced."""
        return self._preferences.notify == "off"

    def announce(self, name: str, text: str) -> None:
        """Say that there is a new message."""
        said = words(self._preferences, name, text)
        match self._preferences.notify:
            case "bell":
                self._write("\a")
            case "terminal":
                self._write(f"\x1b]9;{TITLE}: {said}\x1b\\")
            case "desktop":
                task = asyncio.get_running_loop().create_task(_notify_send(said))
                self._running.add(task)
                task.add_done_callback(self._running.discard)
            case _:
                pass


async def _notify_send(said: str) -> None:
    """Run notify-send, whose body reads markup: a text has none."""
    program = shutil.which("notify-send")
    if program is None:
        return
    body = said.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    try:
        arguments = ("--app-name", TITLE, "--", TITLE, body)
        process = await asyncio.create_subprocess_exec(
            program, *arguments, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL
        )
    except OSError:
        return
    try:
        await asyncio.wait_for(process.wait(), _SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
