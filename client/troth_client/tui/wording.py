"""What a contact's state is called, wherever it is shown: every sign has words beside it."""

from __future__ import annotations

from typing import Final

from ..display import called
from ..records import Standing
from ..views import ContactView

SHOWN: Final = frozenset(Standing) - {Standing.DECLINED}
WELCOME: Final = """\
No conversation is open.

F3 or Ctrl+N  add someone by their link
F4 or Ctrl+K  make a card for someone
F1 or Ctrl+G  all keys"""


def name(contact: ContactView) -> str:
    """Their name, inert; between quotation marks while only they say that it is theirs."""
    shown = called(contact.name, contact.fingerprint)
    return f"‹{shown}›" if contact.standing is Standing.REQUEST else shown


def sign(contact: ContactView) -> str:
    """One cell before the name; a name is never drawn there."""
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
            if contact.stale:
                parts.append("stale: they first wrote under an expired list of devices")
            return " · ".join(parts)
