"""Texts that disappear: the timer of a conversation, and the timer that each text carries. SPEC.md sections 9.3, 13.4.

Each text says itself when it disappears, so both sides erase it alike whatever crossed on the way. The conversation's
timer only says which one the next text gets. Nobody can be made to forget: it is a request that our client honours.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from troth_protocol.content import Expiry
from troth_protocol.encoding import u32, u64
from troth_protocol.errors import UserError
from troth_protocol.writing import LEAST_TIMER, MOST_TIMER

from . import chats, outbox
from .events import SetTimer, What
from .journal import Journal

AHEAD: Final = 86_400
"""Seconds by which a contact's clock is believed: a time further on would keep everybody else from setting a timer."""
_UNITS: Final = ((7 * 86_400, "week"), (86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


def spoken(seconds: int) -> str:
    """A length of time in the largest unit that divides it: "90 seconds", "1 week"."""
    size, unit = next((size, unit) for size, unit in _UNITS if seconds % size == 0)
    return f"{seconds // size} {unit}" + ("" if seconds == size else "s")


def _notice(seconds: int, who: str) -> str:
    if seconds:
        return f"{who} set new texts to disappear {spoken(seconds)} after they are read"
    return f"{who} set new texts to stay"


def set_timer(journal: Journal, event: SetTimer) -> None:
    """Set the timer on both sides; UserError outside 0 and 30 seconds to four weeks. [R-9.3-11]"""
    contact = chats.writable(journal, event.contact)
    if event.seconds and not LEAST_TIMER <= event.seconds <= MOST_TIMER:
        raise UserError(f"a timer is off or {spoken(LEAST_TIMER)} to {spoken(MOST_TIMER)}")
    present = chats.chat(journal, contact.fingerprint)
    time = max(journal.now, present.timer_time + 1)
    journal.chats.put(contact.fingerprint, replace(present, timer=event.seconds, timer_time=time))
    chats.notice(journal, contact.fingerprint, _notice(event.seconds, "you"))
    outbox.enqueue(journal, contact.fingerprint, Expiry(event.seconds, time))
    journal.notify(What.CONTACT, contact.fingerprint)


def timer_came(journal: Journal, fingerprint: bytes, said: Expiry) -> None:
    """A contact set the timer; of two settings the later counts, of two at one second the longer. [R-9.3-11]"""
    present = chats.chat(journal, fingerprint)
    time = min(said.time, journal.now + AHEAD)
    if (time, said.seconds) <= (present.timer_time, present.timer):
        return
    journal.chats.put(fingerprint, replace(present, timer=said.seconds, timer_time=time))
    about = b"timer" + fingerprint + u64(time) + u32(said.seconds)
    chats.notice(journal, fingerprint, _notice(said.seconds, "they"), about)
    journal.notify(What.CONTACT, fingerprint)
