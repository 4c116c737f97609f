"""What each verb does: open the vault, ask the driver, print, close."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from troth_protocol.primitives import SystemRandomness

from ..cli import Output
from ..driver import Driver
from ..routes import ROUTES
from ..vault.store import Vault
from . import people, talk
from .account import card, init

__all__ = ["carry_out", "init"]

VERBS: Final[dict[str, Callable[[Driver, argparse.Namespace, Output], Awaitable[int]]]] = {
    "card": card, "add": people.add, "requests": people.requests, "accept": people.accept, "decline": people.decline,
    "contacts": people.contacts, "verify": people.verify, "send": talk.send, "receive": talk.receive,
    "history": talk.history,
}  # fmt: skip


async def carry_out(profile: Path, passphrase: str, options: argparse.Namespace, output: Output) -> int:
    """Open the vault, do one verb, close everything."""
    vault = Vault.open(profile, passphrase)
    driver: Driver | None = None
    try:
        driver = Driver(vault, SystemRandomness(), ROUTES["direct"]())
        if options.verb is None:
            return await _window(driver)
        return await VERBS[options.verb](driver, options, output)
    finally:
        if driver is not None:
            await driver.close()
        vault.close()


async def _window(driver: Driver) -> int:
    """The window, with the driver at work beside it."""
    from .. import tui

    running = asyncio.create_task(driver.run())
    try:
        await tui.run(driver, "troth")
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
    return 0
