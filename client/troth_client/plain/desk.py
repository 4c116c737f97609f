"""The line mode's commands: a line in, lines out. It knows what is open and what the numbers stand for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from troth_protocol.card import Card
from troth_protocol.errors import NoSuchContact, TrothError, UserError

from .. import wording
from ..events import (
    Accept,
    Add,
    DeleteForAll,
    EditText,
    Event,
    MessageState,
    Notify,
    React,
    Resend,
    SendText,
    SetTimer,
    What,
)
from ..views import ContactView, Conversations, MessageView
from . import lines
from .simple import SIMPLE

REMEMBERED: Final = 500
"""Messages whose numbers still mean something: more than anybody scrolls back to by ear."""
SHOWN: Final = 20
"""Messages printed when a conversation is opened."""
MOST_SHOWN: Final = 1_000
"""Messages printed at once."""


@dataclass(slots=True)
class Printed:
    """A message that has a number."""

    contact: bytes = field(repr=False)
    message: MessageView


class Desk:
    """One person at a line-based terminal; ``say`` prints a line."""

    def __init__(self, conversations: Conversations, say: Callable[[str], None]) -> None:
        self._conversations = conversations
        self._say = say
        self._open: bytes | None = None
        self._listed: list[bytes] = []
        self._printed: dict[int, Printed] = {}
        self._next = 1
        self._last = 0
        self._unread: dict[bytes, int] = {}

    # What is typed.

    async def obey(self, line: str) -> bool:
        """One line; False if it was ``/quit``. What is refused is said with what to do next."""
        try:
            if not line.startswith("/") or line.startswith("//"):
                await self._send(line.removeprefix("/") if line.startswith("//") else line)
                return True
            name, _, rest = line[1:].partition(" ")
            if name == "quit":
                return False
            command = self._commands().get(name)
            if command is None:
                raise UserError("there is no such command: /help lists them")
            await command(rest.strip())
        except TrothError as error:
            self._say(f"* {wording.advice(error)}")
        return True

    def _commands(self) -> dict[str, Callable[[str], Awaitable[None]]]:
        return {
            "help": self._help, "list": self._list, "open": self._open_one, "next": self._open_next,
            "history": self._history, "search": self._search, "reply": self._reply, "edit": self._edit,
            "delete": self._delete, "react": self._react, "resend": self._resend, "info": self._info,
            "accept": self._accept, "safety": self._safety, "add": self._add, "card": self._card, "timer": self._timer,
            **{name: self._simply(make) for name, make in SIMPLE.items()},
        }  # fmt: skip

    def _simply(self, make: Callable[[bytes], Event]) -> Callable[[str], Awaitable[None]]:
        async def carry_out(_: str) -> None:
            await self._conversations.do(make(self._here().fingerprint))
            self._say("* done")

        return carry_out

    async def _help(self, _: str) -> None:
        self._print(lines.HELP.split("\n"))

    # Conversations.

    def _contacts(self) -> list[ContactView]:
        return [view for view in self._conversations.contacts() if view.standing in wording.SHOWN]

    def _here(self) -> ContactView:
        view = next((view for view in self._contacts() if view.fingerprint == self._open), None)
        if view is None:
            raise NoSuchContact("no conversation is open: /list, then /open N")
        return view

    def _name(self, contact: bytes | None) -> str:
        return next((wording.name(view) for view in self._contacts() if view.fingerprint == contact), "")

    async def _list(self, _: str) -> None:
        contacts = self._contacts()
        self._listed = [view.fingerprint for view in contacts]
        self._print(lines.contact_lines(contacts))

    async def _open_one(self, who: str) -> None:
        contacts = self._contacts()
        if who.isdecimal() and 0 < int(who[:9]) <= len(self._listed):
            found = [view for view in contacts if view.fingerprint == self._listed[int(who) - 1]]
        else:
            found = [view for view in contacts if view.name.casefold() == who.casefold()]
        if len(found) != 1:
            raise NoSuchContact("that is nobody, or more than one: /list gives each a number")
        self._show(found[0])

    async def _open_next(self, _: str) -> None:
        waiting = [view for view in self._contacts() if view.unread and not view.blocked]
        if waiting:
            self._show(min(waiting, key=lambda view: view.muted))
        else:
            self._say("* Nothing new")

    def _show(self, view: ContactView) -> None:
        self._open, self._last = view.fingerprint, 0
        self._print(lines.open_lines(view))
        if view.first_unread:
            page = self._conversations.history(view.fingerprint, after=view.first_unread - 1, limit=MOST_SHOWN)
        else:
            page = self._conversations.history(view.fingerprint, limit=SHOWN)
        self._print_messages(view, page)

    async def _history(self, how_many: str) -> None:
        view = self._here()
        limit = int(how_many[:9]) if how_many.isdecimal() else SHOWN
        self._print_messages(view, self._conversations.history(view.fingerprint, limit=max(1, min(limit, MOST_SHOWN))))

    async def _search(self, words: str) -> None:
        hits = self._conversations.search(words, limit=SHOWN)
        for hit in hits:
            self._say(lines.hit_line(hit, self._name(hit.contact), self._number(hit.contact, hit.message)))
        if not hits:
            self._say("* nothing found")

    # Messages.

    def _number(self, contact: bytes, message: MessageView) -> int:
        """The next number, which names this message; a notice has none, and nothing becomes of it."""
        if message.state is MessageState.NOTICE:
            return 0
        number, self._next = self._next, self._next + 1
        self._printed[number] = Printed(contact, message)
        self._printed.pop(number - REMEMBERED, None)
        return number

    def _print(self, out: Iterable[str]) -> None:
        for line in out:
            self._say(line)

    def _print_messages(self, view: ContactView, page: list[MessageView]) -> None:
        for message in page:
            self._print(lines.message_lines(self._number(view.fingerprint, message), message, view))
        if page:
            self._last = max(self._last, page[-1].row)
            self._conversations.mark_read(view.fingerprint, page[-1].row)
            self._unread.pop(view.fingerprint, None)

    def _meant(self, rest: str) -> tuple[Printed, str]:
        number, _, text = rest.partition(" ")
        printed = self._printed.get(int(number[:9])) if number.isdecimal() else None
        if printed is None:
            raise UserError("no message has this number: it stands in brackets before each")
        return printed, text.strip()

    async def _send(self, text: str) -> None:
        if text.strip():
            await self._conversations.do(SendText(self._here().fingerprint, text))

    async def _reply(self, rest: str) -> None:
        printed, text = self._meant(rest)
        await self._act(printed, SendText(printed.contact, text, printed.message.key))

    async def _edit(self, rest: str) -> None:
        printed, text = self._meant(rest)
        if not printed.message.ours:
            raise UserError("only what you wrote can be edited")
        await self._act(printed, EditText(printed.contact, printed.message.id, text))

    async def _delete(self, rest: str) -> None:
        printed, _ = self._meant(rest)
        if not printed.message.ours:
            raise UserError("only what you wrote can be deleted for both of you")
        await self._act(printed, DeleteForAll(printed.contact, printed.message.id))

    async def _react(self, rest: str) -> None:
        printed, sign = self._meant(rest)
        await self._act(printed, React(printed.contact, printed.message.key, sign))

    async def _resend(self, rest: str) -> None:
        printed, _ = self._meant(rest)
        await self._act(printed, Resend(printed.contact, printed.message.id))

    async def _act(self, printed: Printed, event: Event) -> None:
        """Carry out something about a message; where another conversation is open, nothing else tells of it."""
        await self._conversations.do(event)
        if printed.contact != self._open:
            self._say(f"* done, in the conversation with {self._name(printed.contact)}")

    async def _info(self, rest: str) -> None:
        printed, _ = self._meant(rest)
        message = printed.message
        state = wording.STATES.get(message.state, ("", "received"))[1]
        self._say(f"* {state}, {len(message.text):,} characters, id {message.id[:8].hex()}")

    # People.

    async def _accept(self, name: str) -> None:
        await self._conversations.do(Accept(self._here().fingerprint, name))
        self._say("* accepted: you can write now")

    async def _safety(self, _: str) -> None:
        view = self._here()
        self._print(lines.safety_lines(self._conversations.safety_number(view.fingerprint), view))

    async def _add(self, rest: str) -> None:
        link, _, name = rest.partition(" ")
        if not name.strip():
            raise UserError("give them a name: /add LINK NAME")
        card = Card.from_link(link)
        await self._conversations.do(Add(card, name.strip()))
        self._open = card.fingerprint
        self._print(lines.open_lines(self._here()))

    async def _card(self, how: str) -> None:
        cards = self._conversations.cards()
        self._say(f"* {cards[-1] if cards and how != 'new' else await self._conversations.make_card()}")
        self._say("* Whoever has this link can write to you once: hand it over privately")

    async def _timer(self, time: str) -> None:
        seconds = int(time[:9]) if time.isdecimal() else wording.seconds(time)
        await self._conversations.do(SetTimer(self._here().fingerprint, seconds))

    # What happens.

    def heard(self, note: Notify) -> None:
        """Print what is new where one is, and say that there is something elsewhere."""
        match note.what:
            case What.MESSAGE | What.STATE | What.ALTERED if note.contact == self._open:
                self._update()
            case What.MESSAGE | What.REQUEST:
                self._say_unread()
            case What.ONLINE | What.OFFLINE:
                detail = f": {wording.explain(note.detail, note.code)}" if note.detail else ""
                self._say(f"* {note.what.value}{detail}")
            case What.REFUSED | What.ALARM | What.CHANGED:
                about = f"{self._name(note.contact)}: " if self._name(note.contact) else ""
                self._say(f"* {note.what.value}: {about}{wording.explain(note.detail, note.code)}")
            case _:
                pass

    def _update(self) -> None:
        view = next((view for view in self._contacts() if view.fingerprint == self._open), None)
        if view is None:
            return
        for number, printed in list(self._printed.items()):
            if printed.contact == view.fingerprint:
                now = self._conversations.message(view.fingerprint, printed.message.key)
                if now != printed.message:
                    self._print(lines.changes(number, printed.message, now, view))
                    if now is None:
                        del self._printed[number]
                    else:
                        printed.message = now
        page = self._conversations.history(view.fingerprint, after=self._last, limit=MOST_SHOWN)
        self._print_messages(view, page)

    def _say_unread(self) -> None:
        for view in self._contacts():
            quiet = view.muted or view.fingerprint == self._open
            if view.unread > self._unread.get(view.fingerprint, 0) and not quiet:
                self._say(f"* {wording.name(view)}: {view.unread} new (/next)")
            self._unread[view.fingerprint] = view.unread
