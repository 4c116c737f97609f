"""What a contact's state and a failure are called wherever they are shown: every sign has words, every failure a step.

Shared by the windows and the line mode; names and details of others are inert here already.
"""

from __future__ import annotations

import re
from typing import Final

from troth_protocol.errors import TrothError, UserError

from .display import called, inert, short_fingerprint
from .events import MessageState
from .records import Standing
from .steps import NEXT
from .views import ContactView

SHOWN: Final = frozenset(Standing) - {Standing.DECLINED}

STATES: Final = {
    MessageState.QUEUED: ("○", "queued"),
    MessageState.AT_RELAY: ("✓", "at relay"),
    MessageState.DELIVERED: ("✓✓", "delivered"),
    MessageState.FAILED: ("✗", "failed"),
}
"""The sign and the word for where a message of ours is."""


def advice(error: TrothError) -> str:
    """What went wrong and what to do about it, inert, on one line."""
    return explain(str(error), error.code)


def explain(detail: str, code: str) -> str:
    """The same for what a notification says."""
    step, said = NEXT.get(code, ""), inert(detail) or code.lower().replace("_", " ")
    return f"{said}. Next: {step}." if step and step not in said else said


def name(contact: ContactView) -> str:
    """Their name, inert; between quotation marks while only they say that it is theirs; beside a lookalike, told apart.

    The start of the fingerprint stands beside a name that could be taken for another contact's.
    """
    shown = called(contact.name, contact.fingerprint)
    shown = f"‹{shown}›" if contact.standing is Standing.REQUEST else shown
    return f"{shown} [{short_fingerprint(contact.fingerprint)[:9]}]" if contact.confusable else shown


def sign(contact: ContactView) -> str:
    """One cell before the name; a name is never drawn there."""
    if contact.change:
        return "!"
    if contact.blocked:
        return "⊘"
    match contact.standing:
        case Standing.REQUEST:
            return "?"
        case Standing.ADDING | Standing.ASKED:
            return "…"
        case Standing.REFUSED | Standing.DECLINED:
            return "✗"
        case Standing.ACTIVE:
            return "✓" if contact.verified else "·"


def summary(contact: ContactView) -> str:
    """A few words under the name in the list."""
    if contact.change:
        return "keys changed: read"
    if contact.blocked:
        return "blocked"
    match contact.standing:
        case Standing.REQUEST:
            return "wants to write"
        case Standing.ADDING:
            return "fetching keys"
        case Standing.ASKED:
            return "no answer yet"
        case Standing.REFUSED:
            return "card not valid"
        case Standing.DECLINED:
            return "declined"
        case Standing.ACTIVE:
            known = "verified" if contact.verified else "unverified"
            return " ".join([known, *["PQ"] * contact.confirmed, *["stale"] * contact.stale])


def muting(*, on: bool) -> str:
    """What it means that a conversation is muted from now on, or is not any more."""
    return "Muted: what is new is counted, not announced." if on else "No longer muted."


def sentence(contact: ContactView) -> str:
    """The contact's state in full, for the status bar."""
    if contact.change:
        return "their keys changed: nothing is sent until you have read about it"
    if contact.blocked:
        return "blocked: what they send is dropped, and they are not told"
    match contact.standing:
        case Standing.REQUEST:
            return "a message request: nothing is sent before you accept"
        case Standing.ADDING:
            return "fetching their keys"
        case Standing.ASKED:
            return "waiting for an answer"
        case Standing.REFUSED:
            return "their card is no longer valid: ask for a new one"
        case Standing.DECLINED:
            return "declined"
        case Standing.ACTIVE:
            parts = [
                "safety number compared" if contact.verified else "safety number not compared",
                "post-quantum confirmed" if contact.confirmed else "post-quantum not yet confirmed",
            ]
            if contact.timer:
                parts.append(f"disappears after {span(contact.timer)}")
            parts += ["muted"] * contact.muted
            if contact.stale:
                parts.append("stale: they first wrote under an expired list of devices")
            return " · ".join(parts)


TIMERS: Final = (0, 30, 300, 3_600, 28_800, 86_400, 604_800, 2_419_200)
"""The times after which texts may disappear that a window offers; any from 30 s to 4 weeks is possible."""


_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400}


def span(seconds: int) -> str:
    """A length of time in words, in the largest unit that divides it: 5 minutes, 4 weeks; 0 is never."""
    if not seconds:
        return "never"
    units = ((604_800, "week"), (86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))
    size, unit = next((size, unit) for size, unit in units if seconds % size == 0)
    return f"{seconds // size} {unit}{'s' * (seconds != size)}"


def seconds(typed: str) -> int:
    """``off``, or a number and a unit: 30s, 5m, 1h, 1d, 4w; UserError."""
    if typed == "off":
        return 0
    parsed = re.fullmatch(r"([0-9]{1,7})([smhdw])", typed)
    if parsed is None:
        raise UserError("a time is `off`, or a number and one of s, m, h, d, w: 30s, 1h, 4w")
    return int(parsed[1]) * _UNITS[parsed[2]]
