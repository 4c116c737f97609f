"""Asking our relay for something and waiting for the notice that it is done, or for what stands against it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from troth_protocol.errors import NetworkError

from .events import Notify, What

PATIENCE: Final = 30
"""Seconds for one request and its answer."""

Watch = Callable[[Callable[[Notify], None]], Callable[[], None]]


async def outcome(watch: Watch, ask: Callable[[], None], wanted: What) -> str:
    """The detail of the first notice of the wanted kind after ``ask``; NetworkError if it cannot come."""
    told: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def see(note: Notify) -> None:
        if told.done():
            return
        if note.what is wanted:
            told.set_result(note.detail)
        elif note.what in {What.OFFLINE, What.REFUSED} and note.contact is None:
            told.set_exception(NetworkError(note.detail or "the connection to our relay is gone"))

    end = watch(see)
    try:
        ask()
        return await asyncio.wait_for(told, PATIENCE)
    except TimeoutError:
        raise NetworkError("our relay did not answer in time") from None
    finally:
        end()
