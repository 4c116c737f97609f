"""The list on the left: requests apart, then conversations, those with something new first."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final

from rich.cells import cell_len, set_cell_size
from textual.binding import BindingType
from textual.content import Content
from textual.events import Resize
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from .. import wording
from ..display import clock
from ..records import Standing
from ..views import ContactView
from . import keys

_MIN_FOR_TIMES: Final = 20
"""Cells of a row from which the time of the newest message has room."""


def _row(left: str, right: str, width: int) -> str:
    room = width - cell_len(right) - bool(right)
    if cell_len(left) > room:
        left = set_cell_size(left, max(room - 1, 0)) + "…"
    return set_cell_size(left, width - cell_len(right)) + right


def prompt(contact: ContactView, width: int, now: int) -> Content:
    """Two lines: sign, name and unread count; state and time."""
    unread = f"({contact.unread})" if contact.unread else "✎" if contact.draft else ""
    unread = f"{'muted' * contact.muted} {unread}".strip()
    waiting = f"{contact.queued} queued" if contact.queued and not contact.change else ""
    time = clock(contact.last, now) if contact.last and width >= _MIN_FOR_TIMES else ""
    first = _row(f"{wording.sign(contact)} {wording.name(contact)}", unread, width)
    second = _row(f"  {waiting or wording.summary(contact)}", time, width)
    return Content.assemble((first, "bold" if contact.unread else ""), "\n", (second, ""))


class ContactList(OptionList):
    """Contacts as options; an option's id is the fingerprint in hex."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings(keys.Place.LIST)]

    def __init__(self, now: Callable[[], int], *, id: str | None = None) -> None:
        super().__init__(id=id, markup=False, compact=True)
        self._now = now
        self._contacts: list[ContactView] = []
        self._layout: list[str | None] = []

    def on_resize(self, event: Resize) -> None:
        """Cut the rows to the new width."""
        self._layout = []
        self.refill(self._contacts)

    def refill(self, contacts: list[ContactView]) -> None:
        """Show ``contacts``; rows that have not moved are replaced in place, the highlight stays on its contact."""
        requests = [contact for contact in contacts if contact.standing is Standing.REQUEST]
        others = [contact for contact in contacts if contact.standing in wording.SHOWN - {Standing.REQUEST}]
        old = {contact.fingerprint: contact for contact in self._contacts}
        self._contacts = contacts
        width, now = max(self.scrollable_content_region.width - 2, 8), self._now()
        layout: list[str | None] = [contact.fingerprint.hex() for contact in requests + others]
        if requests:
            layout = [None, *layout[: len(requests)], None, *layout[len(requests) :]]
        if layout == self._layout:
            for contact in requests + others:
                if contact != old.get(contact.fingerprint):
                    self.replace_option_prompt(contact.fingerprint.hex(), prompt(contact, width, now))
            return
        options = [Option(prompt(contact, width, now), contact.fingerprint.hex()) for contact in requests + others]
        if requests:
            options.insert(0, Option(Content("Requests"), disabled=True))
            title = "Contacts" if others else ""
            options.insert(len(requests) + 1, Option(Content(title), disabled=True))
        self._show(options, layout)

    def _show(self, options: list[Option], layout: list[str | None]) -> None:
        marked = self.highlighted_option.id if self.highlighted_option else None
        self._layout = layout
        self.set_options(options)
        if marked in layout and marked is not None:
            self.highlighted = layout.index(marked)
        elif options:
            self.action_first()

    def mark(self, fingerprint: bytes) -> None:
        """Put the highlight on a contact."""
        if fingerprint.hex() in self._layout:
            self.highlighted = self._layout.index(fingerprint.hex())

    def neighbour(self, contact: ContactView | None, by: int) -> bytes | None:
        """The contact so many places below another in the list, round its end; None in an empty list."""
        shown = [each for each in self._layout if each is not None]
        if not shown:
            return None
        here = contact.fingerprint.hex() if contact else ""
        at = shown.index(here) + by if here in shown else 0
        return bytes.fromhex(shown[at % len(shown)])
