"""Daily chat: reply, edit, delete, react, expire, resend, withdraw, receipts, search."""

from __future__ import annotations

import argparse
import re
from typing import Final

from troth_protocol.errors import UserError

from ..cli import Output
from ..display import clock, inert
from ..driver import Driver
from ..events import (
    DeleteForAll,
    EditText,
    EraseHere,
    Event,
    MessageState,
    React,
    Resend,
    SendText,
    SetReceipts,
    SetTimer,
    Withdraw,
)
from ..fading import spoken
from ..views import ContactView, MessageView
from ..wording import seconds
from .shared import SETTLE_SECONDS, again, bounded, explain, find, message_line

_START: Final = re.compile(r"[0-9a-f]{4,32}")


def _message(driver: Driver, view: ContactView, typed: str, *, ours: bool | None) -> MessageView:
    """The message whose id starts so, or with ``last`` the newest one of that side; UserError."""
    start = "" if typed == "last" else typed.casefold()
    if start and not _START.fullmatch(start):
        raise UserError("name a message by `last` or by 4 or more digits of its id, as  troth history --ids  shows it")
    found = driver.find(view.fingerprint, start, ours=ours)
    if not found:
        raise UserError("there is no such message" if ours is None else "there is no such message on that side")
    if start and len(found) > 1:
        raise UserError("more than one message begins so: give more of the id")
    return found[0]


async def _carry_out(driver: Driver, view: ContactView, event: Event, output: Output, done: str) -> int:
    await driver.do(event)
    await driver.settle(SETTLE_SECONDS)
    if driver.waits(view.fingerprint):
        explain(driver, output, "It is kept and sent later.")
        output.result("queued", {"type": "queued", "queued": again(driver, view).queued})
    else:
        output.remark(done, {"type": "done"})
    return 0


async def reply(driver: Driver, options: argparse.Namespace, output: Output) -> int:
    """Answer one message."""
    view = find(driver, options.contact)
    about = _message(driver, view, options.message, ours=False if options.message == "last" else None)
    return await _carry_out(driver, view, SendText(view.fingerprint, options.text, about.key), output, "at the relay")


async def edit(driver: Driver, options: argparse.Namespace, output: Output) -> int:
    """Change a text of ours."""
    view = find(driver, options.contact)
    message = _message(driver, view, options.message, ours=True)
    return await _carry_out(driver, view, EditText(view.fingerprint, message.id, options.text), output, "edited")


async def delete(driver: Driver, options: argparse.Namespace, output: Output) -> int:
    """Take a text of ours back for all, or erase any on this device."""
    view = find(driver, options.contact)
    if options.here:
        message = _message(driver, view, options.message, ours=None)
        await driver.do(EraseHere(view.fingerprint, message.key))
        driver.fade()
        output.remark("Erased here.", {"type": "erased"})
        return 0
    message = _message(driver, view, options.message, ours=True)
    done = "Taken back, as far as their client obeys."
    return await _carry_out(driver, view, DeleteForAll(view.fingerprint, message.id), output, done)


async def react(driver: Driver, options: argparse.Namespace, output: Output) -> int:
    """Put a sign under a message, or take ours away."""
    view = find(driver, options.contact)
    if bool(options.sign) == options.remove:
        raise UserError("give one sign, or --remove")
    message = _message(driver, view, options.message, ours=False if options.message == "last" else None)
    event = React(view.fingerprint, message.key, "" if options.remove else options.sign)
    return await _carry_out(driver, view, event, output, "removed" if options.remove else "reacted")


async def resend(driver: Driver, options: argparse.Namespace, output: Output) -> int:
    """Send a failed text again."""
    view = find(driver, options.contact)
    message = _message(driver, view, options.message, ours=True)
    return await _carry_out(driver, view, Resend(view.fingerprint, message.id), output, "at the relay")


async def withdraw(driver: Driver, options: argparse.Namespace, output: Output) -> int:
    """Forget a queued text that was not encrypted yet."""
    view = find(driver, options.contact)
    message = _message(driver, view, options.message, ours=True)
    await driver.do(Withdraw(view.fingerprint, message.id))
    output.remark("Withdrawn; it was never sent.", {"type": "withdrawn"})
    return 0


async def expire(driver: Driver, options: argparse.Namespace, output: Output) -> int:
    """Set after what time new texts disappear, or show it."""
    view = find(driver, options.contact)
    if options.time is None:
        said = f"New texts disappear {spoken(view.timer)} after they are read." if view.timer else "New texts stay."
        output.result(said, {"type": "timer", "seconds": view.timer})
        return 0
    return await _carry_out(
        driver, view, SetTimer(view.fingerprint, seconds(options.time)), output, "set on both sides"
    )


async def receipts(driver: Driver, options: argparse.Namespace, output: Output) -> int:
    """Whether contacts are told that their texts have arrived."""
    contact = None if options.contact is None else find(driver, options.contact).fingerprint
    await driver.do(SetReceipts(contact, on=options.switch == "on"))
    whom = "everybody not decided one by one" if contact is None else "this contact"
    said = f"From now on {whom} is{'' if options.switch == 'on' else ' not'} told what has arrived."
    output.remark(said, {"type": "receipts", "on": options.switch == "on"})
    return 0


async def search(driver: Driver, options: argparse.Namespace, output: Output) -> int:
    """Messages with all the words, newest first."""
    within = None if options.within is None else find(driver, options.within).fingerprint
    names = {view.fingerprint: view for view in driver.contacts()}
    hits = driver.search(" ".join(options.words), contact=within, limit=bounded(options.limit))
    if not hits:
        output.nothing("Nothing found.")
    for hit in hits:
        view, message = names[hit.contact], hit.message
        who = "you" if message.state is not MessageState.RECEIVED else inert(view.name)
        output.result(
            f"{inert(view.name)}  {message.id.hex()[:8]}  {clock(message.sent)} {who}: {inert(hit.snippet)}",
            {**message_line(view, message), "type": "hit", "snippet": hit.snippet, "row": message.row},
        )
    return 0
