"""The one screen: contacts on the left, the open conversation beside them, the state of things below."""

from __future__ import annotations

import time
from typing import ClassVar, Final

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.events import Click
from textual.screen import Screen
from textual.widgets import Footer, OptionList, Static

from troth_protocol.errors import TrothError

from ..display import called, inert, short_fingerprint
from ..events import Accept, Decline, Event, Notify, SendText, What
from ..records import Standing
from ..views import ContactView, Conversations
from . import wording
from .composer import Composer, ComposerArea
from .contact_list import ContactList
from .dialogs import AddContact, Help, MyCard, SafetyNumber
from .message_log import MessageLog
from .relay_panel import RelayEyes, RelayPanel
from .request_form import RequestForm
from .status_bar import StatusBar

_LONG: Final = 30.0
"""Seconds an alarm stays on the screen."""


class MainScreen(Screen[None]):
    """Shows what ``Conversations`` tells and hands over what is typed; decides nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1", "help", "Help", key_display="F1", priority=True),
        Binding("f2", "relay", "Relay", key_display="F2", priority=True),
        Binding("f3", "add", "Add", key_display="F3", priority=True),
        Binding("f4", "card", "Card", key_display="F4", priority=True),
        Binding("f5", "safety", "Safety", key_display="F5", priority=True),
        Binding("ctrl+q", "app.quit", "Quit", priority=True),
        Binding("ctrl+g", "help", show=False, priority=True),
        Binding("ctrl+r", "relay", show=False, priority=True),
        Binding("ctrl+n", "add", show=False, priority=True),
        Binding("ctrl+k", "card", show=False, priority=True),
        Binding("ctrl+t", "safety", show=False, priority=True),
        Binding("escape", "to_list", show=False),
    ]

    def __init__(self, conversations: Conversations, title: str, eyes: RelayEyes | None) -> None:
        super().__init__()
        self._conversations = conversations
        self._title = title
        self._eyes = eyes
        self._contacts: dict[bytes, ContactView] = {}
        self._open: bytes | None = None
        self._drafts: dict[bytes, str] = {}

    def compose(self) -> ComposeResult:
        """Contacts, conversation, panel, status, keys."""
        with Horizontal(id="body"):
            with Vertical(id="side"):
                yield Static(id="me", markup=False)
                yield ContactList(lambda: int(time.time()), id="contacts")
            with Vertical(id="talk"):
                yield Static(id="who", markup=False)
                yield Static(wording.WELCOME, id="welcome", markup=False)
                yield MessageLog(self._conversations, id="log")
                yield Static(id="below", markup=False)
                yield Composer(id="composer")
                yield RequestForm(id="request")
            if self._eyes is not None:
                yield RelayPanel(self._eyes, id="relay")
        yield StatusBar(id="status")
        yield Footer(compact=True)

    def on_mount(self) -> None:
        """Open the newest conversation, if it may be opened without being asked."""
        own = called(self._conversations.own_name, self._conversations.own_fingerprint)
        fingerprint = short_fingerprint(self._conversations.own_fingerprint)
        self.query_one("#me", Static).update(Content.assemble((own, "bold"), "\n", (fingerprint, "dim")))
        self.query_one("#side").border_title = Content(inert(self._title))
        self.refresh_contacts()
        first = next((c for c in self._contacts.values() if c.standing is not Standing.REQUEST), None)
        self._open_contact(first.fingerprint if first else None)
        (self._composer.area if first and len(self._contacts) == 1 else self._contact_list).focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what can be done now."""
        if action == "relay":
            return self._eyes is not None
        if action == "safety":
            return True if self._open is not None else None
        return True

    # What is shown.

    @property
    def _contact_list(self) -> ContactList:
        return self.query_one(ContactList)

    @property
    def _log(self) -> MessageLog:
        return self.query_one(MessageLog)

    @property
    def _composer(self) -> Composer:
        return self.query_one(Composer)

    def take(self, notes: list[Notify]) -> None:
        """Refresh what these notifications are about, once for all of them."""
        for note in notes:
            self.query_one(StatusBar).hear(note)
            if note.what is What.REQUEST:
                self.notify("Somebody new wants to write to you.", markup=False)
            elif note.what in {What.REFUSED, What.ALARM}:
                self._warn(note)
        self.refresh_contacts()
        if any(note.contact == self._open and note.what in {What.MESSAGE, What.STATE} for note in notes):
            self._log.sync()

    def _warn(self, note: Notify) -> None:
        contact = self._contacts.get(note.contact) if note.contact else None
        about = f"{wording.name(contact)}: " if contact else ""
        severe = note.what is What.ALARM
        self.notify(
            about + inert(note.detail or note.code),
            title="Alarm" if severe else "Refused",
            severity="error" if severe else "warning",
            timeout=_LONG if severe else None,
            markup=False,
        )

    def refresh_contacts(self) -> None:
        """Read the contacts again and show what differs."""
        contacts = self._conversations.contacts()
        before = self._contacts.get(self._open) if self._open else None
        self._contacts = {contact.fingerprint: contact for contact in contacts}
        self._contact_list.refill(contacts)
        after = self._contacts.get(self._open) if self._open else None
        if before is not None and after is not None and before != after:
            self._show_contact(after, changed=before.standing is not after.standing)
        elif self._open is not None and (after is None or after.standing is Standing.DECLINED):
            self._open_contact(None)
        self._show_status()

    def _show_contact(self, contact: ContactView | None, *, changed: bool) -> None:
        """The head line, and whether one may write, must decide, or has nobody to write to."""
        if contact is not None and contact.standing is Standing.DECLINED:
            self._open_contact(None)
            return
        asked = contact is not None and contact.standing is Standing.REQUEST
        self.query_one("#welcome").display = contact is None
        self.query_one("#who").display = self._log.display = contact is not None
        self._composer.display = contact is not None and not asked
        form = self.query_one(RequestForm)
        form.display = asked
        if contact is None:
            return
        name = wording.name(contact)
        self.query_one("#who", Static).update(
            Content.assemble(
                (f"{wording.sign(contact)} ", ""), (name, "bold"), (f"  {wording.summary(contact)}", "dim")
            )
        )
        self._log.rename(name)
        if changed and asked:
            form.ask(contact)

    def _show_status(self) -> None:
        self.query_one(StatusBar).say(
            online=self._conversations.online,
            queued=sum(contact.queued for contact in self._contacts.values()),
            contact=self._contacts.get(self._open) if self._open else None,
        )

    # What is opened.

    def _open_contact(self, fingerprint: bytes | None) -> None:
        if self._open is not None:
            self._drafts[self._open] = self._composer.text
        self._open = fingerprint
        contact = self._contacts.get(fingerprint) if fingerprint else None
        self._composer.put(self._drafts.pop(fingerprint, "") if fingerprint else "")
        self._log.show(fingerprint, wording.name(contact) if contact else "")
        self._show_contact(contact, changed=True)
        self._show_status()
        self.refresh_bindings()
        if contact is not None:
            self._contact_list.mark(contact.fingerprint)

    @on(OptionList.OptionSelected, "#contacts")
    def _choose(self, message: OptionList.OptionSelected) -> None:
        if message.option_id is not None:
            self._open_and_focus(bytes.fromhex(message.option_id))

    def _open_and_focus(self, fingerprint: bytes | None) -> None:
        """Open a conversation and go where one answers it."""
        if fingerprint is None:
            return
        self.refresh_contacts()
        if fingerprint in self._contacts:
            self._open_contact(fingerprint)
            asked = self._contacts[fingerprint].standing is Standing.REQUEST
            (self._log if asked else self._composer.area).focus()

    # What is done.

    async def _do(self, event: Event) -> TrothError | None:
        """Hand an event over; what is refused on purpose is returned, anything else is a fault and passes."""
        try:
            await self._conversations.do(event)
        except TrothError as error:
            return error
        self.refresh_contacts()
        return None

    @on(Composer.Submitted)
    async def _send(self, message: Composer.Submitted) -> None:
        contact = self._open
        if contact is None:
            return
        error = await self._do(SendText(contact, message.text))
        if error is None:
            self._log.sync()
            self._log.follow()
        elif contact == self._open:
            self._composer.give_back(message.text, inert(str(error)))
        else:
            self._drafts[contact] = message.text
            self.notify(f"not sent: {inert(str(error))}", severity="error", markup=False)

    @on(RequestForm.Accepted)
    async def _accept(self, message: RequestForm.Accepted) -> None:
        if self._open is not None:
            error = await self._do(Accept(self._open, message.name))
            if error is None:
                self._composer.area.focus()
            else:
                self.query_one(RequestForm).say(inert(str(error)))

    @on(RequestForm.Declined)
    async def _decline(self) -> None:
        if self._open is not None:
            error = await self._do(Decline(self._open))
            if error is None:
                self._contact_list.focus()
            else:
                self.query_one(RequestForm).say(inert(str(error)))

    @on(MessageLog.Seen)
    def _seen(self) -> None:
        contact = self._contacts.get(self._open) if self._open else None
        if contact is not None and contact.unread:
            self._conversations.mark_read(contact.fingerprint)
            self.refresh_contacts()

    @on(MessageLog.Below)
    def _mark_below(self, message: MessageLog.Below) -> None:
        (marker := self.query_one("#below", Static)).display = message.count > 0
        marker.update(f"↓ {message.count} new below (PgDn)")

    @on(Click, "#below")
    def action_newest(self) -> None:
        """Go to the newest message."""
        self._log.follow()

    @on(ComposerArea.Scrolled)
    def _scroll(self, message: ComposerArea.Scrolled) -> None:
        (self._log.scroll_page_up if message.pages < 0 else self._log.scroll_page_down)(animate=False)

    def action_to_list(self) -> None:
        """Go back to the contacts."""
        self._contact_list.focus()

    def action_relay(self) -> None:
        """Show or hide what the relay sees."""
        self.query_one(RelayPanel).toggle()

    def action_add(self) -> None:
        """Open the dialog for a link."""
        self.app.push_screen(AddContact(self._conversations), self._open_and_focus)

    def action_card(self) -> None:
        """Make a card and show it."""
        self.app.push_screen(MyCard(self._conversations))

    def action_safety(self) -> None:
        """Show the safety number of whoever is open."""
        if self._open is not None and self._open in self._contacts:
            self.app.push_screen(SafetyNumber(self._conversations, self._contacts[self._open]))

    def action_help(self) -> None:
        """Show the keys."""
        self.app.push_screen(Help())
