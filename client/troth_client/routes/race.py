"""A race with staggered starts: each attempt begins after its pause, or when nothing runs any more (RFC 8305, 5)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import TypeAlias, TypeVar

T = TypeVar("T")
Attempt: TypeAlias = Callable[[], Coroutine[None, None, T | None]]


async def race(attempts: Sequence[tuple[float, Attempt[T]]], discard: Callable[[T], None]) -> T | None:
    """The first result that is not None, or None when every attempt has given None or was cancelled.

    Each attempt stands with the seconds between the start of the one before it and its own. When one has won the others
    are cancelled, and ``discard`` gets whatever they won in the same moment.
    """
    loop = asyncio.get_running_loop()
    waiting = list(attempts)
    running: set[asyncio.Task[T | None]] = set()
    winner: T | None = None
    due = loop.time() + (waiting[0][0] if waiting else 0)
    try:
        while winner is None and (waiting or running):
            if waiting and (not running or loop.time() >= due):
                running.add(asyncio.create_task(waiting.pop(0)[1]()))
                due = loop.time() + (waiting[0][0] if waiting else 0)
            timeout = max(0.0, due - loop.time()) if waiting else None
            done, running = await asyncio.wait(running, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                won = None if task.cancelled() else task.result()
                if won is not None and winner is not None:
                    discard(won)
                elif won is not None:
                    winner = won
    except BaseException:
        if winner is not None:
            discard(winner)
        raise
    finally:
        for task in running:
            task.cancel()
        for left in await asyncio.gather(*running, return_exceptions=True):
            if left is not None and not isinstance(left, BaseException):
                discard(left)
    return winner
