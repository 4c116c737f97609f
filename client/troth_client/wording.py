"""What a contact's state and a failure are called wherever they are shown: every sign has words, every failure a step.

Shared by the windows and the line mode; names and details of others are inert here already.
"""

from __future__ import annotations

from typing import Final

from troth_protocol.errors import TrothError

from .display import called, inert, short_fingerprint
from .events import MessageState
from .records import Standing
from .views import ContactView

SHOWN: Final = frozenset(Standing) - {Standing.DECLINED}

STATES: Final = {
    MessageState.QUEUED: ("○", "queued"),
    MessageState.AT_RELAY: ("✓", "at relay"),
    MessageState.DELIVERED: ("✓✓", "delivered"),
    MessageState.FAILED: ("✗", "failed"),
}
"""The sign and the word for where a message of ours is."""

NEXT: Final = {
    "BAD_LINK": "ask for the link again and copy all of it",
    "TEXT_TOO_LONG": "send it in two parts",
    "NO_SUCH_CONTACT": "choose somebody from the list",
    "BAD_PASSPHRASE": "try again; nobody can reset it",
    "VAULT_BUSY": "close the other troth that has this profile open",
    "VAULT_EXISTS": "use another --profile",
    "CHAIN_EXHAUSTED": "wait for an answer from them: it renews the keys",
    "TLS_PIN_MISMATCH": "do not go on; ask the relay's operator by another way",
    "TLS_INTERCEPTED": "use another network or a route through a proxy",
    "TRUST": "read what changed, then decide",
    "ROLLBACK": "ask the relay's operator why it shows an older state",
    "FORK": "ask the relay's operator why it shows two states",
    "SESSION": "ask them for a new card and compare the safety number again",
    "NETWORK": "nothing is lost: it is tried again by itself",
    "RELAY_BUSY": "nothing is lost: it is tried again by itself",
    "DIRECT_FORBIDDEN": "add a proxy, or allow direct connections",
    "NO_ROUTE": "add a route: troth routes add LINK",
    "HOST_UNKNOWN": "check the network's name server, or use a route with a proxy",
    "CONNECTION_REFUSED": "the relay may be down: it is tried again by itself",
    "CAPTIVE_PORTAL": "sign in to this network with a browser first",
    "UPGRADE_STRIPPED": "this network changes connections: use a route with a proxy",
    "CLOCK_SKEW": "set this machine's clock",
    "PROXY_ERROR": "check the proxy, or use another route",
    "PT_FAILED": "install the transport's program, or use another route",
    "STORAGE": "make room on the disk, then try again",
    "STORAGE_UNTRUSTED": "stop, and restore from a backup",
}
"""What to do next, by an error's code (SPEC.md section 15); nothing where the error's own sentence says it."""


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
            if contact.stale:
                parts.append("stale: they first wrote under an expired list of devices")
            return " · ".join(parts)


TIMERS: Final = (0, 30, 300, 3_600, 28_800, 86_400, 604_800, 2_419_200)
"""The times after which texts may disappear that a window offers; any from 30 s to 4 weeks is possible."""


def span(seconds: int) -> str:
    """A length of time in words, in the largest unit that divides it: 5 minutes, 4 weeks; 0 is never."""
    if not seconds:
        return "never"
    units = ((604_800, "week"), (86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))
    size, unit = next((size, unit) for size, unit in units if seconds % size == 0)
    return f"{seconds // size} {unit}{'s' * (seconds != size)}"
