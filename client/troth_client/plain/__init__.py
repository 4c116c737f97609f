"""The line mode, ``troth --plain``: for screen readers, dumb terminals and pipes. Lines in, lines out, nothing else.

It is one more shell over ``Conversations``: the windows and it make the same events.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Iterator
from typing import Final

from ..events import Notify
from ..views import Conversations
from .desk import Desk

__all__ = ["Desk", "run"]

MAX_LINE: Final = 70_000
"""Bytes of a line that is read: four messages' worth; a longer one is refused whole."""
_CHUNK: Final = 65_536
"""Bytes read at once: what a pipe holds."""
LAST_SECONDS: Final = 30.0
"""How long the end of the input waits for what is queued to reach a relay."""


async def run(conversations: Conversations) -> int:
    """Read standard input until its end or ``/quit``; the exit code."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    desk = Desk(conversations, lambda line: print(line, flush=True))
    told: asyncio.Queue[bytes | Notify] = asyncio.Queue()
    end = conversations.watch(told.put_nowait)
    _read_beside(told, asyncio.get_running_loop())
    await desk.obey("/list")
    print("* /help lists the commands", flush=True)
    try:
        while True:
            item = await told.get()
            if isinstance(item, Notify):
                desk.heard(item)
            elif not item:
                break
            elif len(item) > MAX_LINE:
                print(f"* a line longer than {MAX_LINE:,} bytes was not read", flush=True)
            elif not await desk.obey(item.decode("utf-8", "surrogateescape").rstrip("\r\n")):
                return 0
        await _settle(conversations, desk, told)
    finally:
        end()
    return 0


def _read_beside(told: asyncio.Queue[bytes | Notify], loop: asyncio.AbstractEventLoop) -> None:
    """Read lines in a thread of their own, which nobody waits for; an empty one is the end.

    It reads the descriptor and not ``sys.stdin``: whoever waits in that when the program ends holds a lock that Python
    wants, and Python aborts.
    """
    descriptor = sys.stdin.fileno()

    def read() -> None:
        for line in lines_of(descriptor):
            try:
                loop.call_soon_threadsafe(told.put_nowait, line)
            except RuntimeError:  # the window is closed
                return

    threading.Thread(target=read, name="standard input", daemon=True).start()


def lines_of(descriptor: int) -> Iterator[bytes]:
    """Lines with their ends, then an empty one; of a line longer than ``MAX_LINE`` only as much as shows that."""
    held = b""
    try:
        while chunk := os.read(descriptor, _CHUNK):
            *ended, rest = chunk.split(b"\n")
            for part in ended:
                yield (held + part)[: MAX_LINE + 1] + b"\n"
                held = b""
            held = (held + rest)[: MAX_LINE + 1]
    except OSError:
        pass  # the terminal has gone: that is the end too
    if held:
        yield held
    yield b""


async def _settle(conversations: Conversations, desk: Desk, told: asyncio.Queue[bytes | Notify]) -> None:
    """Go on until nothing is queued, for a while."""
    try:
        async with asyncio.timeout(LAST_SECONDS):
            while any(view.queued for view in conversations.contacts()):
                item = await told.get()
                if isinstance(item, Notify):
                    desk.heard(item)
    except TimeoutError:
        print("* what is queued is kept and sent later", flush=True)
