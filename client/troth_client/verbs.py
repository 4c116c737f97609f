"""What each verb does: open the vault, ask the driver, print, close."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Final

from troth_protocol.card import Card, RelayAddress
from troth_protocol.content import normalize_name
from troth_protocol.errors import NetworkError, NoSuchContact, NotReady, TrothError, TrustError, UserError
from troth_protocol.primitives import SystemRandomness
from troth_protocol.wire import MAX_CARD_USES

from .cli import Output
from .display import clock, full_fingerprint, inert, short_fingerprint
from .driver import Driver
from .events import Accept, Add, Decline, MessageState, Notify, RevokeCard, Save, SendText, SetVerified, What
from .messenger import Messenger
from .records import Standing
from .routes import ROUTES
from .vault.store import Vault
from .views import ContactView, MessageView

SETTLE_SECONDS: Final = 40
"""How long a verb waits for a relay before it leaves the rest for later: one connection attempt and one answer."""
_STANDINGS: Final = {
    Standing.ADDING: "not reached yet",
    Standing.ASKED: "has not answered yet",
    Standing.REQUEST: "wrote first; waits for your answer",
    Standing.ACTIVE: "contact",
    Standing.DECLINED: "declined",
    Standing.REFUSED: "card refused; ask for a new one",
}


async def init(profile: Path, passphrase: str, options: argparse.Namespace, output: Output) -> int:
    """Make an account; if the relay cannot be reached, nothing is left behind."""
    relay = RelayAddress.from_link(options.relay)
    name = normalize_name(options.name)
    randomness = SystemRandomness()
    vault = Vault.create(profile, passphrase, randomness)
    try:
        for effect in Messenger(randomness).found(name, relay, _now()):
            if isinstance(effect, Save):
                vault.apply(effect.changes)
        driver = Driver(vault, randomness, ROUTES["direct"]())
        await driver.read_ledger(relay)
        await driver.fetch(until_drained=True)
        await driver.close()
    except TrothError:
        vault.close()
        for made in ("vault.key", "vault.db", "vault.db-wal", "vault.db-shm"):
            (profile / made).unlink(missing_ok=True)
        raise
    fingerprint = driver.own_fingerprint
    vault.close()
    output.result(
        f"Your account is ready. Fingerprint: {full_fingerprint(fingerprint)}\nNext: troth card",
        {"type": "account", "fingerprint": fingerprint.hex()},
    )
    return 0


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
    from . import tui

    running = asyncio.create_task(driver.run())
    try:
        await tui.run(driver, "troth")
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
    return 0


def _called(view: ContactView, typed: str) -> bool:
    return view.name.casefold() == typed.strip().casefold()


def find(driver: Driver, typed: str, *standings: Standing) -> ContactView:
    """The contact with this name, or whose fingerprint starts so; NoSuchContact."""
    views = [view for view in driver.contacts() if not standings or view.standing in standings]
    if not standings and any(_called(view, typed) for view in views if view.standing is not Standing.REQUEST):
        views = [view for view in views if view.standing is not Standing.REQUEST]  # strangers claim any name they like
    start = typed.replace(" ", "").casefold()
    named = [view for view in views if _called(view, typed)]
    if not named and len(start) >= 4:
        named = [view for view in views if view.fingerprint.hex().startswith(start)]
    if not named:
        raise NoSuchContact("nobody here has this name or fingerprint")
    if len(named) > 1:
        raise NoSuchContact("more than one contact has this name: use the start of the fingerprint")
    return named[0]


async def _card(driver: Driver, options: argparse.Namespace, output: Output) -> int:
    if options.list:
        for link in driver.cards():
            output.result(link, {"type": "card", "link": link})
        return 0
    if not 1 <= options.uses <= MAX_CARD_USES:
        raise UserError(f"a card is for 1 to {MAX_CARD_USES} people")
    async with _online(driver):
        if options.revoke:
            await driver.do(RevokeCard(Card.from_link(options.revoke).lookup))
            await driver.flush(SETTLE_SECONDS)
            output.remark("The card is revoked.", {"type": "revoked"})
            return 0
        link = await driver.make_card(options.uses)
    output.result(link, {"type": "card", "link": link, "uses": options.uses})
    if options.qr and not output.as_json:
        import segno

        segno.make(link, error="l").terminal(compact=True)
    output.remark("Hand this to one person, by a way you trust." if options.uses == 1 else "", {"type": "hint"})
    return 0


@contextlib.asynccontextmanager
async def _online(driver: Driver) -> AsyncIterator[None]:
    """Be connected to our relay for a while; NetworkError or TrustError if that fails."""
    reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def see(note: Notify) -> None:
        if not reached.done() and note.what is What.ONLINE:
            reached.set_result(None)
        elif not reached.done() and note.what in {What.OFFLINE, What.ALARM} and driver.last_failure is not None:
            reached.set_exception(driver.last_failure)

    end = driver.watch(see)
    running = asyncio.create_task(driver.run())
    try:
        await asyncio.wait_for(reached, SETTLE_SECONDS)
        yield
    except TimeoutError:
        raise NetworkError(f"our relay did not answer within {SETTLE_SECONDS} s") from None
    finally:
        end()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def _add(driver: Driver, options: argparse.Namespace, output: Output) -> int:
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
    if view.standing is Standing.ADDING or driver.unsent:
        _explain(driver, "the card is kept and tried again with the next  troth receive")
    output.result(f"{inert(view.name)}: {_STANDINGS[view.standing]}. They will see a request from you.", _contact(view))
    return 0


def _explain(driver: Driver, kept: str) -> None:
    failure = driver.last_failure
    if failure is not None:
        error = type(failure).__new__(type(failure))
        Exception.__init__(error, f"{failure}; {kept}")
        raise error


async def _requests(driver: Driver, _: argparse.Namespace, output: Output) -> int:
    for view in driver.contacts():
        if view.standing is Standing.REQUEST:
            claimed = f"calls themselves {inert(view.claimed)!r}" if view.claimed else "gives no name"
            output.result(f"{short_fingerprint(view.fingerprint)}  {claimed}", _contact(view))
            for message in driver.history(view.fingerprint, limit=10):
                _print(output, view, message)
    return 0


async def _accept(driver: Driver, options: argparse.Namespace, output: Output) -> int:
    view = find(driver, options.contact, Standing.REQUEST)
    await driver.do(Accept(view.fingerprint, options.name))
    await driver.settle(SETTLE_SECONDS)
    view = next(each for each in driver.contacts() if each.fingerprint == view.fingerprint)
    if driver.unsent:
        _explain(driver, "the answer is kept and sent later")
    output.result(f"{inert(view.name)} is a contact now.", _contact(view))
    return 0


async def _decline(driver: Driver, options: argparse.Namespace, output: Output) -> int:
    view = find(driver, options.contact, Standing.REQUEST)
    await driver.do(Decline(view.fingerprint))
    output.remark("Declined; what they sent is erased.", {"type": "declined"})
    return 0


async def _contacts(driver: Driver, _: argparse.Namespace, output: Output) -> int:
    for view in driver.contacts():
        if view.standing is Standing.DECLINED:
            continue
        marks = ["verified"] if view.verified else ["not verified"]
        marks += ["post-quantum confirmed"] if view.confirmed else []
        marks += [f"{view.unread} unread"] if view.unread else []
        marks += [f"{view.queued} queued"] if view.queued else []
        line = f"{inert(view.name)}  {short_fingerprint(view.fingerprint)}  {_STANDINGS[view.standing]}; "
        output.result(line + ", ".join(marks), _contact(view))
    return 0


async def _send(driver: Driver, options: argparse.Namespace, output: Output) -> int:
    view = find(driver, options.contact)
    for text in _texts(options):
        await driver.do(SendText(view.fingerprint, text))
        await asyncio.sleep(0)  # what is queued leaves while the next line is read
    await driver.settle(SETTLE_SECONDS)
    view = next(each for each in driver.contacts() if each.fingerprint == view.fingerprint)
    if view.queued:
        _explain(driver, "the message is kept and sent later")
        why = _STANDINGS[view.standing] if view.standing is not Standing.ACTIVE else "no token left"
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


async def _receive(driver: Driver, options: argparse.Namespace, output: Output) -> int:
    def show(note: Notify) -> None:
        if note.what is What.MESSAGE:
            _print_unread(driver, output)
        elif note.what is What.REQUEST:
            output.remark("Somebody new has written: see  troth requests", {"type": "request"})
        elif note.what in {What.ALARM, What.REFUSED}:
            output.remark(f"! {note.detail}", {"type": "alarm", "code": note.code, "message": note.detail})
        elif note.what is What.OFFLINE and options.follow and note.detail:
            output.remark(f"- {note.detail}", {"type": "offline", "message": note.detail})

    _print_unread(driver, output)
    end = driver.watch(show)
    try:
        if options.follow:
            await driver.run()
        await driver.fetch(until_drained=True)
        await driver.settle(SETTLE_SECONDS)
    finally:
        end()
    _print_unread(driver, output)
    return 0


def _print_unread(driver: Driver, output: Output) -> None:
    for view in driver.contacts():
        if view.unread and view.standing in {Standing.ACTIVE, Standing.ASKED}:
            newest = [line for line in driver.history(view.fingerprint, limit=100_000) if not line.ours]
            for message in newest[-view.unread :]:
                _print(output, view, message)
            driver.mark_read(view.fingerprint)


async def _history(driver: Driver, options: argparse.Namespace, output: Output) -> int:
    view = find(driver, options.contact)
    for message in driver.history(view.fingerprint, limit=max(1, options.limit)):
        _print(output, view, message)
    return 0


async def _verify(driver: Driver, options: argparse.Namespace, output: Output) -> int:
    view = find(driver, options.contact)
    if options.mark or options.unmark:
        await driver.do(SetVerified(view.fingerprint, verified=options.mark))
    number = driver.safety_number(view.fingerprint)
    groups = number.split()
    grid = "\n".join("  ".join(groups[row : row + 4]) for row in range(0, len(groups), 4))
    verified = options.mark or (view.verified and not options.unmark)
    state = "marked as compared" if verified else "not compared yet: read it to each other, then  troth verify --mark"
    output.result(f"{grid}\n{state}", {"type": "safety number", "number": number, "verified": verified})
    return 0


def _contact(view: ContactView) -> dict[str, object]:
    return {
        "type": "contact", "name": view.name, "claimed": view.claimed, "fingerprint": view.fingerprint.hex(),
        "standing": view.standing.name.lower(), "verified": view.verified, "confirmed": view.confirmed,
        "epoch": view.epoch, "unread": view.unread, "queued": view.queued,
    }  # fmt: skip


def _print(output: Output, view: ContactView, message: MessageView) -> None:
    """One line of a conversation; others' text is inert. [R-13.1-8]"""
    who = {MessageState.NOTICE: "*", MessageState.RECEIVED: inert(view.name)}.get(message.state, "you")
    state = {MessageState.QUEUED: " (queued)", MessageState.FAILED: " (failed)"}.get(message.state, "")
    words = inert(message.text, lines=True)
    output.result(
        f"{clock(message.sent)} {who}: {words}{state}",
        {
            "type": "message", "contact": view.fingerprint.hex(), "name": view.name, "id": message.id.hex(),
            "state": message.state.name.lower(), "sent": message.sent, "text": message.text,
        },
    )  # fmt: skip


def _now() -> int:
    import time

    return int(time.time())


VERBS: Final[dict[str, Callable[[Driver, argparse.Namespace, Output], Awaitable[int]]]] = {
    "card": _card, "add": _add, "requests": _requests, "accept": _accept, "decline": _decline, "contacts": _contacts,
    "send": _send, "receive": _receive, "history": _history, "verify": _verify,
}  # fmt: skip
