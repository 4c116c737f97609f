"""Messages: send, receive, history."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterator
from functools import partial

from ..again import insist
from ..cli import Output
from ..display import inert
from ..driver import Driver
from ..events import Notify, SendText, What
from ..records import Standing
from .shared import SETTLE_SECONDS, STANDINGS, again, bounded, explain, find, print_line


async def send(driver: Driver, options: argparse.Namespace, output: Output) -> int:
    """Queue a text and see it to the relay, or say why it waits."""
    view = find(driver, options.contact)
    for text in _texts(options):
        await driver.do(SendText(view.fingerprint, text))
        await asyncio.sleep(0)  # what is queued leaves while the next line is read
    await driver.settle(SETTLE_SECONDS)
    view = again(driver, view)
    if view.queued:
        explain(driver, output, "The message is kept and sent later.")
        why = STANDINGS[view.standing] if view.standing is not Standing.ACTIVE else "no token left"
        output.result(f"queued ({why})", {"type": "queued", "queued": view.queued})
    else:
        output.remark("at the relay", {"type": "sent"})
    return 0


def _texts(options: argparse.Namespace) -> Iterator[str]:
    """The argument, all of standard input, or each of its lines; undecodable bytes are refused further on."""
    if options.lines:
        for line in sys.stdin.buffer:
            text = line.decode("utf-8", "surrogateescape").rstrip("\n")
            if text:
                yield text
    elif options.text == "-":
        yield sys.stdin.buffer.read().decode("utf-8", "surrogateescape").removesuffix("\n")
    else:
        yield options.text


async def receive(driver: Driver, options: argparse.Namespace, output: Output) -> int:
    """Fetch what waits and print it; with ``--follow`` stay."""

    strangers: set[bytes | None] = set()

    def show(note: Notify) -> None:
        if note.what is What.MESSAGE:
            _print_unread(driver, output)
        elif note.what is What.REQUEST and note.contact not in strangers:
            strangers.add(note.contact)
            output.remark("Somebody new has written: see  troth requests", {"type": "request"})
        elif note.what in {What.ALARM, What.REFUSED, What.CHANGED}:
            about = next((view for view in driver.contacts() if view.fingerprint == note.contact), None)
            line = {"type": "alarm", "code": note.code, "message": note.detail}
            who = f"{inert(about.name)}: " if about else ""
            output.remark(f"! {who}{note.detail}", {**line, "contact": about.fingerprint.hex() if about else None})
        elif note.what is What.OFFLINE and options.follow and note.detail:
            output.remark(f"- {note.detail}", {"type": "offline", "message": note.detail})

    _print_unread(driver, output)
    end = driver.watch(show)
    try:
        if options.follow:
            await driver.run()
        await insist(partial(driver.fetch, until_drained=True))  # [R-19.3-6]
        await driver.settle(SETTLE_SECONDS)
        driver.fade()
    finally:
        end()
    _print_unread(driver, output)
    return 0


def _print_unread(driver: Driver, output: Output) -> None:
    for view in driver.contacts():
        if view.unread and view.standing in {Standing.ACTIVE, Standing.ASKED}:
            for message in driver.unread(view.fingerprint):
                print_line(output, view, message)
            driver.mark_read(view.fingerprint)


async def history(driver: Driver, options: argparse.Namespace, output: Output) -> int:
    """The newest lines of a conversation."""
    view = find(driver, options.contact)
    lines = driver.history(view.fingerprint, limit=bounded(options.limit))
    for message in lines:
        print_line(output, view, message, ids=options.ids)
    if not lines:
        output.nothing("Nothing has been written yet.")
    return 0
