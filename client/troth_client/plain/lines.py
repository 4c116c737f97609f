"""What the line mode prints: one line a thing, inert, without colour or cursor movement.

A message begins with its number in brackets, a further line of it with ``|``, whatever troth says with ``*``: no text
of anybody can begin a line of its own. [R-13.1-8]
"""

from __future__ import annotations

from collections.abc import Iterator

from .. import wording
from ..display import clock, day, full_fingerprint, inert, short_fingerprint
from ..events import MessageState
from ..records import Standing
from ..safety_words import safety_words
from ..views import ContactView, Hit, MessageView

HELP = """\
* Without a slash: what you type is sent to the open conversation. With two slashes a text may begin with one.
* /list                the conversations with their numbers
* /open N or NAME      open one; /next opens the next with something new
* /history N           the newest N messages of the open conversation (20)
* /search WORDS        in all conversations
* /reply N TEXT        answer message N; /edit N TEXT, /delete N, /react N SIGN, /info N
* /resend N            what failed, once more
* /accept NAME, /decline        a request
* /safety, /verified, /unverified   compare the safety number
* /add LINK NAME, /card, /card new
* /timer TIME          new texts disappear after 30s, 5m, 1h, 1d or 4w; off ends it
* /mute, /unmute       whether it says here that something new has come
* /receipts, /noreceipts   whether they are told that their texts have arrived
* /block, /unblock, /read (you have read that their keys changed)
* /quit"""


def message_lines(number: int, message: MessageView, contact: ContactView) -> Iterator[str]:
    """One message: its number, when, who, the words; what it answers before it, what was put under it after it."""
    if message.state is MessageState.NOTICE:
        yield f"* {_flat(message.text)}"
        return
    who = "you" if message.ours else wording.name(contact)
    if message.reply is not None:
        whose = "you" if message.reply.message.ours else "them"
        yield f"* answering {whose}: {_flat(message.reply.text) or 'a message that is not here'}"
    marks = ["edited"] * bool(message.edited) + [f"goes after {wording.span(message.timer)}"] * bool(message.timer)
    state = wording.STATES.get(message.state, ("", ""))[1]
    after = ", ".join([*marks, *([state] if state else [])])
    first, *rest = ("deleted" if message.deleted else inert(message.text, lines=True)).split("\n")
    yield f"[{number}] {clock(message.stored)} {who}{f' ({after})' if after else ''}: {first}"
    yield from (f"| {line}" for line in rest)
    if message.state is MessageState.FAILED and message.why:
        yield f"* [{number}] not sent: {_flat(message.why)}"
    if message.reactions:
        yield f"* [{number}] reactions: {signs(message)}"


def changes(number: int, old: MessageView, new: MessageView | None, contact: ContactView) -> Iterator[str]:
    """What became of a message that was printed."""
    if new is None:
        yield f"* [{number}] is gone"
    elif new.deleted and not old.deleted:
        yield f"* [{number}] was deleted"
    elif new.text != old.text:
        yield f"* [{number}] was edited:"
        yield from message_lines(number, new, contact)
    elif new.state is not old.state and new.state in wording.STATES:
        why = f": {_flat(new.why)}" if new.why else ""
        yield f"* [{number}] {wording.STATES[new.state][1]}{why}"
    elif new.reactions != old.reactions:
        yield f"* [{number}] reactions: {signs(new) or 'none'}"


def signs(message: MessageView) -> str:
    """The reactions under a message."""
    return ", ".join(f"{_flat(each.sign)}{' (you)' * each.ours}" for each in message.reactions)


def contact_lines(contacts: list[ContactView]) -> Iterator[str]:
    """The conversations with their numbers."""
    for number, contact in enumerate(contacts, 1):
        unread = f", {contact.unread} new" if contact.unread else ""
        waiting = f", {contact.queued} queued" if contact.queued else ""
        muted = ", muted" if contact.muted else ""
        yield f"* {number}. {wording.name(contact)}: {wording.summary(contact)}{unread}{waiting}{muted}"
    if not contacts:
        yield "* Nobody yet: /add LINK NAME, or /card for a link to hand out"


def open_lines(contact: ContactView) -> Iterator[str]:
    """Whose conversation is open, and what must be known before writing."""
    yield f"* Conversation with {wording.name(contact)}. {wording.sentence(contact)}"
    if contact.change:
        yield f"* {_flat(contact.change)}"
        yield "* Nothing is sent before you have read this: /read, or /safety to compare"
    if contact.standing is Standing.REQUEST:
        claimed = f"calls themselves {wording.name(contact)}" if contact.claimed.strip() else "gives no name"
        yield f"* A stranger, who {claimed}: {full_fingerprint(contact.fingerprint)}"
        yield "* /accept NAME or /decline"


def safety_lines(number: str, contact: ContactView) -> Iterator[str]:
    """The safety number as digits and words, and the fingerprint."""
    groups, words = number.split(), safety_words(number)
    yield from (f"* {'  '.join(groups[at : at + 4])}" for at in range(0, len(groups), 4))
    yield from (f"* {' '.join(words[at : at + 8])}" for at in range(0, len(words), 8))
    yield f"* their fingerprint begins with {short_fingerprint(contact.fingerprint)}"
    yield f"* {wording.sentence(contact)}"
    yield "* Read it to each other. The same on both sides: /verified"


def hit_line(hit: Hit, name: str, number: int) -> str:
    """One hit of a search."""
    when = f"{day(hit.message.stored)} {clock(hit.message.stored)}"
    return f"[{number}] {when} {name}{' (you)' * hit.message.ours}: {_flat(hit.snippet)}"


def _flat(text: str) -> str:
    return inert(text.replace("\n", " "))
