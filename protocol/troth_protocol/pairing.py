"""Which of a device pair's sessions is in use: at most one active and one draining. SPEC.md section 6.5."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

from .errors import DecryptError, SessionError, UnknownHeader
from .frame import Frame
from .session import Session, decrypt

HOUR: Final = 3_600
DAY: Final = 24 * HOUR
DRAIN_AFTER_RECEIPT: Final = DAY
"""A replaced session receives for a day after the new one has: what was on its way arrives. [R-6.5-4]"""
DRAIN_AT_MOST: Final = 14 * DAY
"""...and never longer than an envelope may queue. [R-6.5-4]"""
REPLACE_EVERY: Final = DAY
"""A peer may replace the active session once a day; more would be a reset loop. [R-6.5-3]"""
CROSSING_PATIENCE: Final = DAY
"""How long our own session is preferred by SID while only the peer's is heard. [R-6.5-2]"""


@dataclass(frozen=True, slots=True)
class Held:
    """A session and what decides its fate; ``own`` if we initiated it."""

    session: Session
    own: bool
    first_received: int | None = None
    drains_until: int | None = None
    revivable: bool = False


class Change(Enum):
    """What a first message did to the pair."""

    FIRST = "first"
    CROSSED = "crossed"
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True)
class Pair:
    """The sessions of one device pair; ``replaced`` is when a peer last replaced the active one."""

    active: Held | None = None
    draining: Held | None = None
    replaced: int | None = field(default=None)

    @property
    def missing(self) -> int:
        """How many earlier messages of theirs have not come, as far as later ones told."""
        return sum(held.session.missing for held in (self.active, self.draining) if held is not None)


def initiate(pair: Pair, session: Session, now: int) -> Pair:
    """We start a session; whatever was active drains."""
    draining = _set_aside(pair.active, now) if pair.active else pair.draining
    return replace(pair, active=Held(session, own=True), draining=draining)


def accept(pair: Pair, session: Session, now: int) -> tuple[Pair, Change]:
    """A valid first message made ``session``, already advanced by it; SessionError if they replace too often.

    Crossing: while our own session has heard nothing, the smaller SID is active. [R-6.5-2]
    """
    theirs = Held(session, own=False, first_received=now)
    own = pair.active
    if own is None:
        return replace(pair, active=theirs), Change.FIRST
    if own.own and own.first_received is None:
        before = pair.draining
        if before is not None and not before.own and now < (before.first_received or 0) + REPLACE_EVERY:  # [R-6.5-3]
            raise SessionError("the peer started two sessions within a day")
        if own.session.sid < session.sid:
            held = replace(theirs, drains_until=now + DRAIN_AT_MOST)
            return replace(pair, draining=held), Change.CROSSED
        aside = replace(own, drains_until=now + DRAIN_AT_MOST, revivable=True)
        return replace(pair, active=theirs, draining=aside), Change.CROSSED
    if pair.replaced is not None and now < pair.replaced + REPLACE_EVERY:  # [R-6.5-3]
        raise SessionError("the peer replaced this session less than a day ago")
    aside = replace(own, drains_until=now + DRAIN_AFTER_RECEIPT)
    return Pair(theirs, aside, now), Change.REPLACED


def _set_aside(held: Held, now: int) -> Held:
    return replace(held, drains_until=now + DRAIN_AT_MOST, revivable=False)


def read(pair: Pair, message: bytes, now: int) -> tuple[Pair, Frame]:
    """Decrypt under the active session, then the draining one; the pair and the frame, or a PeerError. [R-6.5-1]"""
    failure: DecryptError = UnknownHeader("there is no session with this contact")
    for held in (pair.active, pair.draining):
        if held is None or (held.drains_until is not None and now >= held.drains_until):
            continue
        try:
            session, received = decrypt(held.session, message, now=now)
        except UnknownHeader as error:
            failure = error
            continue
        return _received(pair, held, session, now), received
    raise failure


def _received(pair: Pair, held: Held, session: Session, now: int) -> Pair:
    first = held.first_received is None
    advanced = replace(held, session=session, first_received=now if first else held.first_received)
    if held is pair.active:
        draining = pair.draining
        if first and draining is not None and draining.drains_until is not None and not draining.revivable:
            draining = replace(draining, drains_until=min(draining.drains_until, now + DRAIN_AFTER_RECEIPT))
        return replace(pair, active=advanced, draining=draining)
    if held.revivable and pair.active is not None:  # set aside only by the SID rule: it comes back, once [R-6.5-5]
        back = replace(advanced, drains_until=None, revivable=False)
        return replace(pair, active=back, draining=_set_aside(pair.active, now))
    return replace(pair, draining=advanced)


def tick(pair: Pair, now: int) -> Pair:
    """Erase a drained session; end a crossing in which only the peer's session is heard. [R-6.5-2] [R-6.5-4]"""
    active, draining = pair.active, pair.draining
    if draining is None or draining.drains_until is None:
        return pair
    unheard = active is not None and active.own and active.first_received is None
    heard = draining.first_received
    if unheard and active is not None and not draining.own and heard is not None and now >= heard + CROSSING_PATIENCE:
        theirs = replace(draining, drains_until=None)
        return replace(pair, active=theirs, draining=_set_aside(active, now))
    if now >= draining.drains_until:
        return replace(pair, draining=None)
    return pair
