"""Contacts: add, requests, accept, decline, contacts, verify."""

from __future__ import annotations

import argparse

from troth_protocol.card import Card
from troth_protocol.errors import NetworkError, NotReady, RelayError, TrustError

from ..cli import Output
from ..display import inert, short_fingerprint
from ..driver import Driver
from ..events import Accept, AcknowledgeChange, Add, Block, Decline, Notify, SetMuted, SetVerified, Unblock, What
from ..records import Standing
from ..wording import muting
from .account import online
from .shared import SETTLE_SECONDS, STANDINGS, again, contact_line, explain, find, print_line


async def add(driver: Driver, options: argparse.Namespace, output: Output) -> int:
    """Fetch the bundle behind a card, verify it, and write first; exit 4 if it does not verify."""
    card = Card.from_link(options.link)
    alarms: list[Notify] = []
    end = driver.watch(alarms.append)
    await driver.do(Add(card, options.name))
    await driver.settle(SETTLE_SECONDS)
    end()
    view = next(view for view in driver.contacts() if view.fingerprint == card.fingerprint)
    if view.standing is Standing.REFUSED:
        told = next(note for note in alarms if note.what in {What.ALARM, What.REFUSED})
        if told.what is What.ALARM:
            raise TrustError(told.detail)
        raise NotReady(told.detail)
    if driver.waits(view.fingerprint):
        explain(driver, output, "The card is kept and tried again with the next  troth receive")
    output.result(
        f"{inert(view.name)}: {STANDINGS[view.standing]}. They will see a request from you.", contact_line(view)
    )
    return 0


async def requests(driver: Driver, _: argparse.Namespace, output: Output) -> int:
    """Strangers who wrote, with what they wrote."""
    waiting = [view for view in driver.contacts() if view.standing is Standing.REQUEST]
    if not waiting:
        output.nothing("Nobody new has written.")
    for view in waiting:
        claimed = f"calls themselves {inert(view.claimed)!r}" if view.claimed else "gives no name"
        output.result(f"{short_fingerprint(view.fingerprint)}  {claimed}", contact_line(view))
        for message in driver.history(view.fingerprint, limit=10):
            print_line(output, view, message)
    return 0


async def accept(driver: Driver, options: argparse.Namespace, output: Output) -> int:
    """Answer a request."""
    view = find(driver, options.contact, Standing.REQUEST)
    await driver.do(Accept(view.fingerprint, options.name))
    await driver.settle(SETTLE_SECONDS)
    view = again(driver, view)
    if driver.waits(view.fingerprint):
        explain(driver, output, "The answer is kept and sent later.")
    output.result(f"{inert(view.name)} is a contact now.", contact_line(view))
    return 0


async def decline(driver: Driver, options: argparse.Namespace, output: Output) -> int:
    """Refuse a request and erase it."""
    view = find(driver, options.contact, Standing.REQUEST)
    await driver.do(Decline(view.fingerprint))
    output.remark("Declined; what they sent is erased.", {"type": "declined"})
    return 0


async def contacts(driver: Driver, _: argparse.Namespace, output: Output) -> int:
    """One line for each contact."""
    known = [view for view in driver.contacts() if view.standing is not Standing.DECLINED]
    if not known:
        output.nothing("Nobody yet: hand out a link (troth card), or take one (troth add LINK).")
    for view in known:
        marks = ["verified"] if view.verified else ["not verified"]
        marks += ["post-quantum confirmed"] if view.confirmed else []
        marks += ["blocked"] if view.blocked else []
        marks += ["muted"] if view.muted else []
        marks += ["keys changed: see troth verify"] if view.change else []
        marks += ["name looks like another contact's"] if view.confusable else []
        marks += [f"{view.unread} unread"] if view.unread else []
        marks += [f"{view.queued} queued"] if view.queued else []
        line = f"{inert(view.name)}  {short_fingerprint(view.fingerprint)}  {STANDINGS[view.standing]}; "
        output.result(line + ", ".join(marks), contact_line(view))
    return 0


async def block(driver: Driver, options: argparse.Namespace, output: Output) -> int:
    """Take from a contact every means to write; our relay is told now, or at the next connection."""
    view = find(driver, options.contact)
    await driver.do(Block(view.fingerprint))
    try:
        async with online(driver):
            await driver.flush(SETTLE_SECONDS)
    except (NetworkError, RelayError):
        output.remark("Blocked here; the relay is told at the next connection.", {"type": "kept"})
    output.result(f"{inert(view.name)} is blocked, and is not told.", contact_line(again(driver, view)))
    return 0


async def unblock(driver: Driver, options: argparse.Namespace, output: Output) -> int:
    """Give a contact new means to write."""
    view = find(driver, options.contact)
    await driver.do(Unblock(view.fingerprint))
    try:
        async with online(driver):
            await driver.flush(SETTLE_SECONDS)
            await driver.settle(SETTLE_SECONDS)
        unsaid = driver.waits(view.fingerprint)
    except (NetworkError, RelayError):
        unsaid = True
    if unsaid:
        output.remark("The rest is kept and sent later.", {"type": "kept"})
    output.result(f"{inert(view.name)} can write to you again.", contact_line(again(driver, view)))
    return 0


async def mute(driver: Driver, options: argparse.Namespace, output: Output) -> int:
    """Announce nothing new of a contact, or with ``unmute`` announce it again."""
    view = find(driver, options.contact)
    on = options.verb == "mute"
    await driver.do(SetMuted(view.fingerprint, on=on))
    output.result(muting(on=on), contact_line(again(driver, view)))
    return 0


async def verify(driver: Driver, options: argparse.Namespace, output: Output) -> int:
    """The safety number, and whether it was compared."""
    view = find(driver, options.contact)
    if view.change:
        output.result(f"! {view.change}", {"type": "change", "message": view.change})
    if options.accept_change:
        await driver.do(AcknowledgeChange(view.fingerprint))
    if options.mark or options.unmark:
        await driver.do(SetVerified(view.fingerprint, verified=options.mark))
    number = driver.safety_number(view.fingerprint)
    groups = number.split()
    grid = "\n".join("  ".join(groups[row : row + 4]) for row in range(0, len(groups), 4))
    verified = options.mark or (view.verified and not options.unmark)
    hint = "not compared yet: read it to each other, then  troth verify NAME --mark"
    state = "marked as compared" if verified else hint
    output.result(f"{grid}\n{state}", {"type": "safety number", "number": number, "verified": verified})
    return 0
