"""Going to a conversation by typing a part of its name."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from .. import wording
from ..views import ContactView
from .dialog import Dialog
from .fields import MAX_NAME


class Switcher(Dialog[bytes]):
    """A field and the names that hold it; answers with the fingerprint."""

    TITLE_TEXT = "Go to"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "move(1)", show=False, priority=True),
        Binding("up", "move(-1)", show=False, priority=True),
    ]

    def __init__(self, contacts: list[ContactView]) -> None:
        super().__init__()
        self._contacts = [contact for contact in contacts if contact.standing in wording.SHOWN]

    def inside(self) -> ComposeResult:
        """The field and the names, those with something new first."""
        yield Input(placeholder="a part of the name or fingerprint", id="part", max_length=MAX_NAME)
        names = OptionList(id="names", markup=False, compact=True)
        names.can_focus = False
        yield names

    def on_mount(self) -> None:
        """Type at once."""
        self.query_one(Input).focus()
        self._fill()

    @on(Input.Changed)
    def _fill(self) -> None:
        part = self.query_one(Input).value.strip().casefold()
        found = [contact for contact in self._contacts if fits(contact, part)]
        names = self.query_one(OptionList)
        names.set_options([Option(_line(contact), contact.fingerprint.hex()) for contact in found])
        if found:
            names.highlighted = 0

    def action_move(self, by: int) -> None:
        """Choose another name without leaving the field."""
        names = self.query_one(OptionList)
        if names.option_count:
            names.highlighted = ((names.highlighted or 0) + by) % names.option_count

    @on(Input.Submitted)
    def _go(self) -> None:
        option = self.query_one(OptionList).highlighted_option
        if option is not None and option.id is not None:
            self.dismiss(bytes.fromhex(option.id))

    @on(OptionList.OptionSelected)
    def _chosen(self, message: OptionList.OptionSelected) -> None:
        if message.option_id is not None:
            self.dismiss(bytes.fromhex(message.option_id))


def fits(contact: ContactView, part: str) -> bool:
    """Whether a contact is meant by a part of its name, or by the start of its fingerprint."""
    digits = part.replace(" ", "")
    return part in contact.name.casefold() or (len(digits) >= 4 and contact.fingerprint.hex().startswith(digits))


def _line(contact: ContactView) -> Content:
    unread = f"  ({contact.unread})" if contact.unread else ""
    name = f"{wording.sign(contact)} {wording.name(contact)}{unread}"
    return Content.assemble((name, "bold" if contact.unread else ""), (f"  {wording.summary(contact)}", ""))
