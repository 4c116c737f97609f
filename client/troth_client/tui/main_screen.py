"""The one screen and its keys: each action that works everywhere, and what it opens."""

from __future__ import annotations

from typing import ClassVar, Final

from textual import on
from textual.app import SuspendNotSupported
from textual.binding import Binding, BindingType

from troth_protocol.errors import TrothError

from .. import wording
from ..events import SetMuted
from ..records import Standing
from ..views import Hit
from . import editor, keys
from .add_contact import AddContact
from .card_dialog import MyCard
from .chat_pane import ChatPane
from .chat_settings import ChatSettings
from .help_page import help_page
from .message_actions import MessageActions
from .message_log import MessageLog
from .overview import Overview
from .relay_panel import RelayPanel
from .routes_page import routes_page
from .safety_dialog import SafetyNumber
from .search_screen import SearchScreen
from .switcher import Switcher

_NEED_CONTACT: Final = frozenset({"safety", "settings", "mute", "editor"})


class MainScreen(Overview):
    """What the keys do."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *keys.bindings(keys.Place.EVERYWHERE),
        Binding("escape", "to_list", show=False),
    ]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what can be done now."""
        if action == "relay":
            return self._eyes is not None
        if action == "routes":
            return self.troth.settings.routes is not None
        if action in _NEED_CONTACT:
            return True if self.chat.contact is not None else None
        return True

    @on(MessageLog.Asked)
    async def _act_on_message(self, message: MessageLog.Asked) -> None:
        if self.app.screen is self and self.chat.messages.has_focus:  # else a key before this one opened something
            await MessageActions(self.chat).carry_out(message.action, message.message)

    # Going somewhere.

    def action_go_to(self) -> None:
        """Choose a conversation by its name."""
        self.app.push_screen(Switcher(list(self._contacts.values())), self.open_and_focus)

    def action_next_unread(self) -> None:
        """Open the next conversation with something new, those that are muted last."""
        seen = self.chat.contact if self.chat.messages.is_on_screen else None
        here = seen.fingerprint if seen is not None else None
        waiting = [contact for contact in self._contacts.values() if contact.unread and not contact.blocked]
        waiting.sort(key=lambda contact: contact.muted)
        others = [contact.fingerprint for contact in waiting if contact.fingerprint != here]
        if others:
            self.open_and_focus(others[0])
        elif waiting:
            self.chat.messages.follow()
        else:
            self.notify("Nothing new.", markup=False)

    def action_next_chat(self) -> None:
        """Open the conversation below this one in the list."""
        self.open_and_focus(self._list.neighbour(self.chat.contact, 1))

    def action_previous_chat(self) -> None:
        """Open the conversation above this one in the list."""
        self.open_and_focus(self._list.neighbour(self.chat.contact, -1))

    def action_search(self) -> None:
        """Search in the open conversation."""
        contact = self.chat.contact
        here = contact.fingerprint if contact is not None and contact.standing is not Standing.REQUEST else None
        self.app.push_screen(SearchScreen(self._conversations, self.names(), here), self._go_to_hit)

    def _go_to_hit(self, hit: Hit | None) -> None:
        if hit is None:
            return
        if self.chat.contact is None or self.chat.contact.fingerprint != hit.contact:
            self.open_and_focus(hit.contact)
        self.set_class(True, "-in-chat")
        if not self.chat.messages.go_to(hit.message.row):
            self.notify("This message is not here any more.", markup=False)
        self.call_after_refresh(self.chat.messages.focus)

    # Dialogs.

    def action_relay(self) -> None:
        """Show or hide what the relay sees."""
        self.query_one(RelayPanel).toggle()

    def action_add(self) -> None:
        """Open the dialog for a link."""
        self.app.push_screen(AddContact(self._conversations), self.open_and_focus)

    def action_card(self) -> None:
        """Show my card."""
        self.app.push_screen(MyCard(self._conversations))

    @on(ChatPane.Compare)
    def action_safety(self) -> None:
        """Show the safety number of whoever is open."""
        if self.chat.contact is not None:
            self.app.push_screen(SafetyNumber(self._conversations, self.chat.contact), self._dialog_gone)

    def action_settings(self) -> None:
        """Show what is set for whoever is open."""
        if self.chat.contact is not None:
            self.app.push_screen(ChatSettings(self._conversations, self.chat.contact), self._dialog_gone)

    async def action_mute(self) -> None:
        """Announce nothing new of whoever is open, or announce it again."""
        contact = self.chat.contact
        if contact is not None:
            error = await self.chat.do(SetMuted(contact.fingerprint, on=not contact.muted))
            done = wording.muting(on=not contact.muted)
            self.notify(wording.advice(error) if error else done, markup=False)

    def _dialog_gone(self, _: None) -> None:
        self.refresh_contacts()

    def action_routes(self) -> None:
        """Show how our relay is reached."""
        if self.troth.settings.routes is not None:
            self.app.push_screen(routes_page(self.troth.settings.routes()))

    def action_help(self) -> None:
        """Show the keys."""
        self.app.push_screen(help_page(self.troth.bound))

    # The editor.

    async def action_editor(self) -> None:
        """Write the message in an editor, while the relay goes on being read."""
        if self.chat.contact is None or not self.chat.composer.display or self.in_editor:
            return
        self.run_worker(self._edit(), exit_on_error=True)

    async def _edit(self) -> None:
        text = self.chat.composer.text
        self.in_editor = True
        try:
            with self.app.batch_update(), self.app.suspend():
                text = await editor.edit(text)
        except SuspendNotSupported:
            self.notify("This terminal cannot be lent to an editor.", severity="error", markup=False)
        except TrothError as error:
            self.notify(wording.advice(error), severity="error", markup=False)
        finally:
            self.in_editor = False
        self.chat.composer.put(text)
        self.chat.focus_where_one_answers()
