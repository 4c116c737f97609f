"""What each verb does: open the vault, ask the driver, print, close."""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from troth_protocol.primitives import SystemRandomness

from ..cli import Output
from ..driver import Driver
from ..route_desk import RouteDesk
from ..vault.store import Vault
from . import chat, erasing, people, talk, window
from .account import card, init
from .erasing import erase_profile
from .routes import routes
from .window import first_run

__all__ = ["carry_out", "erase_profile", "first_run", "init"]

VERBS: Final[dict[str, Callable[[Driver, argparse.Namespace, Output], Awaitable[int]]]] = {
    "card": card, "add": people.add, "requests": people.requests, "accept": people.accept, "decline": people.decline,
    "contacts": people.contacts, "verify": people.verify, "send": talk.send, "receive": talk.receive,
    "history": talk.history, "routes": routes, "block": people.block, "unblock": people.unblock,
    "mute": people.mute, "unmute": people.mute, "reply": chat.reply,
    "edit": chat.edit, "delete": chat.delete, "react": chat.react, "resend": chat.resend, "withdraw": chat.withdraw,
    "expire": chat.expire, "receipts": chat.receipts, "search": chat.search, "account": erasing.account,
}  # fmt: skip


async def carry_out(profile: Path, passphrase: str, options: argparse.Namespace, output: Output) -> int:
    """Open the vault, do one verb, close everything."""
    vault = Vault.open(profile, passphrase)
    driver: Driver | None = None
    try:
        desk = RouteDesk(vault, profile, SystemRandomness())
        driver = Driver(vault, SystemRandomness(), desk.chooser, routes=desk)
        driver.fade()  # whatever this verb shows, nothing of it has had its time
        if options.verb is None:
            return await window.show(driver, profile, plain=getattr(options, "plain", False))
        code = await VERBS[options.verb](driver, options, output)
    finally:
        if driver is not None:
            await driver.close()
        vault.close()
    if options.verb == "account" and options.step == "erase":  # the relay has done its part, or this is not reached
        erasing.wipe_alone(profile)
        output.remark("The profile is erased.", {"type": "erased", "where": "here"})
    return code
