"""What the one screen shows: conversations on the left, the open one beside them, the state of things below."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.events import DescendantFocus
from textual.screen import Screen
from textual.widgets import Footer, OptionList, Static

from .. import wording
from ..display import called, inert, short_fingerprint
from ..events import MessageState, Notify, What
from ..records import Standing
from ..views import ContactView, Conversations
from . import keys
from .chat_pane import ChatPane
from .contact_list import ContactList
from .message_rows import one_line
from .relay_panel import RelayEyes, RelayPanel
from .status_bar import StatusBar

if TYPE_CHECKING:
    from .app import TrothApp

_LONG: Final = 30.0
"""Seconds an alarm stays on the screen."""
_SHOWN: Final = 160
"""Characters of a message in an announcement, where they are wanted there."""


class Overview(Screen[None]):
    """Shows what ``Conversations`` tells; decides nothing."""

    def __init__(
        self,
        conversations: Conversations,
        title: str,
        eyes: RelayEyes | None,
        bound: Mapping[str, tuple[str, ...]],
    ) -> None:
        super().__init__()
        self._conversations = conversations
        self._title = title
        self._eyes = eyes
        self._contacts: dict[bytes, ContactView] = {}
        self._held: list[Notify] = []
        """Alarms that came while the screen was covered."""
        self.in_editor = False
        self.chat = ChatPane(conversations, bound, id="talk")

    @property
    def troth(self) -> TrothApp:
        """The application."""
        return self.app  # type: ignore[return-value]

    def compose(self) -> ComposeResult:
        """Contacts, conversation, panel, status, keys."""
        with Horizontal(id="body"):
            with Vertical(id="side"):
                yield Static(id="me", markup=False)
                yield ContactList(lambda: int(time.time()), id="contacts")
            yield self.chat
            if self._eyes is not None:
                yield RelayPanel(self._eyes, id="relay")
        yield StatusBar(id="status")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Open the first conversation, if it may be opened without being asked and there is room beside the list."""
        own = called(self._conversations.own_name or "me", self._conversations.own_fingerprint)
        fingerprint = short_fingerprint(self._conversations.own_fingerprint)
        self.query_one("#me", Static).update(Content.assemble((own, "bold"), "\n", (fingerprint, "$text-muted")))
        self.query_one("#side").border_title = Content(inert(self._title))
        self.query_one("#welcome", Static).update(keys.welcome(self.troth.bound))
        self.refresh_contacts()
        shown = [contact for contact in self._contacts.values() if contact.standing in wording.SHOWN]
        first = next((contact for contact in shown if contact.standing is not Standing.REQUEST), None)
        alone = first is not None and len(shown) == 1
        wide = self.app.size.width >= 80
        self.chat.open(first if wide or alone else None)
        self.set_class(alone, "-in-chat")
        self._after_opening()
        self.call_after_refresh(self.chat.focus_where_one_answers if alone else self._list.focus)

    def on_unmount(self) -> None:
        """Nothing that was typed is lost."""
        self.chat.save_draft()

    # What is shown.

    @property
    def _list(self) -> ContactList:
        return self.query_one(ContactList)

    def names(self) -> dict[bytes, str]:
        """What everybody that is shown is called, inert."""
        return {
            contact.fingerprint: wording.name(contact)
            for contact in self._contacts.values()
            if contact.standing in wording.SHOWN
        }

    def take(self, notes: list[Notify]) -> None:
        """Refresh what these notifications are about, once for all of them."""
        for note in notes:
            self.query_one(StatusBar).hear(note)
            known = note.what is What.REQUEST and note.contact in self._contacts
            if note.what in {What.REQUEST, What.REFUSED, What.ALARM, What.CHANGED} and not known:
                self._held.append(note)
        before = self._contacts
        self.refresh_contacts()
        self._say_held()
        self._announce(before)
        here = self.chat.contact.fingerprint if self.chat.contact else None
        if any(note.contact == here and note.what in {What.MESSAGE, What.STATE, What.ALTERED} for note in notes):
            self.chat.messages.sync()

    def _say_held(self) -> None:
        """Say what a person must know, once it can be seen."""
        if self.troth.locked:
            return
        held, self._held = self._held, []
        if any(note.what is What.REQUEST for note in held):
            self.notify("Somebody new wants to write to you.", markup=False)
        here = self.chat.contact.fingerprint if self.chat.contact else None
        for note in held:
            told = note.what is What.CHANGED and note.contact == here  # by the bar, which this would cover
            if note.what is not What.REQUEST and not told:
                self._warn(note)

    def _warn(self, note: Notify) -> None:
        contact = self._contacts.get(note.contact) if note.contact else None
        about = f"{wording.name(contact)}: " if contact else ""
        severe = note.what is not What.REFUSED
        titles = {What.ALARM: "Alarm", What.CHANGED: "Keys changed"}
        self.notify(
            about + wording.explain(note.detail, note.code),
            title=titles.get(note.what, "Refused"),
            severity="error" if severe else "warning",
            timeout=_LONG if severe else None,
            markup=False,
        )

    def _announce(self, before: dict[bytes, ContactView]) -> None:
        """Tell what came where nobody was looking."""
        if self.troth.announcer.silent:
            return
        looking = self.chat.messages.in_sight and self.chat.messages.at_end
        for contact in self._contacts.values():
            old = before.get(contact.fingerprint)
            here = self.chat.contact is not None and self.chat.contact.fingerprint == contact.fingerprint
            quiet = contact.blocked or contact.muted or (here and looking)
            if contact.unread > (old.unread if old else 0) and not quiet:
                newest = self._conversations.history(contact.fingerprint, limit=1)
                told = newest and newest[-1].state is MessageState.RECEIVED
                text = one_line(newest[-1].text, _SHOWN) if told else ""
                self.troth.announcer.announce(wording.name(contact), text)
                return

    def refresh_contacts(self) -> None:
        """Read the contacts again and show what differs."""
        contacts = self._conversations.contacts()
        self._contacts = {contact.fingerprint: contact for contact in contacts}
        self._list.refill(contacts)
        self.set_class(not self.names(), "-empty")
        was = self.chat.contact
        now = self._contacts.get(was.fingerprint) if was is not None else None
        if was is not None and (now is None or now.standing is Standing.DECLINED):
            self.open_contact(None)
            self.action_to_list()
        elif was is not None and now is not None and was != now:
            self.chat.show(now, changed=was.standing is not now.standing)
        self._show_status()

    def _show_status(self) -> None:
        queued = sum(contact.queued for contact in self._contacts.values())
        unread = sum(contact.unread for contact in self._contacts.values())
        bar = self.query_one(StatusBar)
        bar.say(online=self._conversations.online, queued=queued, unread=unread, contact=self.chat.contact)

    @on(ChatPane.Done)
    def _done(self) -> None:
        self.refresh_contacts()

    def uncovered(self) -> None:
        """The lock is gone: say what it hid."""
        self._say_held()
        self.looked_at()

    def looked_at(self) -> None:
        """Somebody is looking: what stands on the screen is read."""
        self.call_after_refresh(self.chat.messages.look)

    def on_screen_resume(self) -> None:
        """A dialog has gone."""
        self.looked_at()

    # What is opened.

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """Where a window that shrinks has room for one pane only, it is the one in use."""
        self.set_class(self.chat in event.widget.ancestors_with_self, "-in-chat")

    def open_contact(self, fingerprint: bytes | None) -> None:
        """Show a conversation, or none."""
        self.chat.open(self._contacts.get(fingerprint) if fingerprint else None)
        self._after_opening()

    def _after_opening(self) -> None:
        contact = self.chat.contact
        self.set_class(contact is not None and (self.has_class("-in-chat")), "-in-chat")
        self._show_status()
        self.refresh_bindings()
        if contact is not None:
            self._list.mark(contact.fingerprint)

    @on(OptionList.OptionSelected, "#contacts")
    def _choose(self, message: OptionList.OptionSelected) -> None:
        if message.option_id is not None:
            self.open_and_focus(bytes.fromhex(message.option_id))

    def open_and_focus(self, fingerprint: bytes | None) -> None:
        """Open a conversation and go where one answers it."""
        if fingerprint is None:
            return
        self.refresh_contacts()
        if fingerprint in self._contacts:
            self.set_class(True, "-in-chat")
            self.open_contact(fingerprint)
            self.call_after_refresh(self.chat.focus_where_one_answers)

    def action_to_list(self) -> None:
        """Let go of what is answered or edited, then go back to the conversations."""
        if self._list.has_focus or not self.chat.stop_writing_about():
            self.chat.save_draft()
            self.set_class(False, "-in-chat")
            self.call_after_refresh(self._list.focus)
