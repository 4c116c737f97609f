"""Doing it again by the next route when a path has died under it. SPEC.md section 19.3.

By then the chooser has put the dead path behind the others. Only a path that went silent or was cut is a reason to
begin again: after any other failure every route has just been tried in vain.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from troth_protocol.errors import ConnectionReset, PathSilent

AGAIN_SECONDS: Final = 20
"""After this no new beginning: two dead paths, and a third that works. [R-19.3-6]"""
PAUSE_SECONDS: Final = 0.5
"""Before a new beginning, and twice as long before each further one: where all are cut at once it is five, no flood."""
DIED: Final = (PathSilent, ConnectionReset)


async def insist(work: Callable[[], Awaitable[None]]) -> None:
    """Do ``work``, from the beginning each time its path dies; raises what it raises, and a path's death at the end."""
    loop = asyncio.get_running_loop()
    until, pause = loop.time() + AGAIN_SECONDS, PAUSE_SECONDS
    while True:
        try:
            return await work()
        except DIED:
            if loop.time() + pause >= until:
                raise
        await asyncio.sleep(pause)
        pause *= 2
