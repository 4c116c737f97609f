"""What several verbs need: whom is meant, how a contact and a line are printed, and why something had to wait."""

from __future__ import annotations

from typing import Final

from troth_protocol.errors import NoSuchContact

from ..cli import Output
from ..display import clock, inert
from ..driver import Driver
from ..events import MessageState
from ..records import Standing
from ..views import ContactView, MessageView

SETTLE_SECONDS: Final = 40
"""How long a verb waits for a relay before it leaves the rest for later: one connection attempt and one answer."""
MOST_LINES: Final = 2**31 - 1
"""More than a vault holds; the database knows no number beyond 64 bits."""
STANDINGS: Final = {
    Standing.ADDING: "not reached yet",
    Standing.ASKED: "has not answered yet",
    Standing.REQUEST: "wrote first; waits for your answer",
    Standing.ACTIVE: "contact",
    Standing.DECLINED: "declined",
    Standing.REFUSED: "card refused; ask for a new one",
}


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


def bounded(typed: int) -> int:
    """A number of lines as it was typed, within what can be asked for."""
    return min(max(1, typed), MOST_LINES)


def again(driver: Driver, view: ContactView) -> ContactView:
    """The contact as it stands now."""
    return next(each for each in driver.contacts() if each.fingerprint == view.fingerprint)


def explain(driver: Driver, output: Output, kept: str) -> None:
    """If the network or trust failed: say what is kept, then raise the failure."""
    if driver.last_failure is not None:
        output.remark(kept, {"type": "kept", "message": kept})
        raise driver.last_failure


def contact_line(view: ContactView) -> dict[str, object]:
    """A contact as one JSON object."""
    return {
        "type": "contact", "name": view.name, "claimed": view.claimed, "fingerprint": view.fingerprint.hex(),
        "standing": view.standing.name.lower(), "verified": view.verified, "confirmed": view.confirmed,
        "epoch": view.epoch, "unread": view.unread, "queued": view.queued, "blocked": view.blocked,
        "change": view.change, "confusable": view.confusable, "timer": view.timer, "receipts": view.receipts,
        "muted": view.muted,
    }  # fmt: skip


_MARKS: Final = {MessageState.QUEUED: " (queued)", MessageState.DELIVERED: " (delivered)"}


def message_line(view: ContactView, message: MessageView) -> dict[str, object]:
    """A line of a conversation as one JSON object."""
    reply = message.reply
    return {
        "type": "message", "contact": view.fingerprint.hex(), "name": view.name, "id": message.id.hex(),
        "state": message.state.name.lower(), "sent": message.sent, "stored": message.stored, "text": message.text,
        "edited": message.edited, "deleted": message.deleted, "timer": message.timer, "expires": message.expires,
        "why": message.why,
        "reply": None if reply is None else {"ours": reply.message.ours, "id": reply.message.id.hex()},
        "reactions": [{"ours": each.ours, "sign": each.sign} for each in message.reactions],
    }  # fmt: skip


def print_line(output: Output, view: ContactView, message: MessageView, *, ids: bool = False) -> None:
    """One line of a conversation; others' text is inert. [R-13.1-8]"""
    who = {MessageState.NOTICE: "*", MessageState.RECEIVED: inert(view.name)}.get(message.state, "you")
    words = "(taken back)" if message.deleted else inert(message.text, lines=True)
    if message.reply is not None and not message.deleted:
        words = f"(to \u201c{inert(message.reply.text[:40]) or 'what is not here'}\u201d) {words}"
    marks = _MARKS.get(message.state, "")
    if message.state is MessageState.FAILED:
        marks = f" (failed: {message.why})" if message.why else " (failed)"
    marks += " (edited)" if message.edited and not message.deleted else ""
    marks += "".join(f" [{'you' if each.ours else 'they'}: {inert(each.sign)}]" for each in message.reactions)
    start = f"{message.id.hex()[:8]}  " if ids else ""
    output.result(f"{start}{clock(message.sent)} {who}: {words}{marks}", message_line(view, message))
