"""One line at the bottom: the connection, what waits, how things stand with whoever is open."""

from __future__ import annotations

from textual.widgets import Static

from .. import wording
from ..events import Notify, What
from ..views import ContactView


class StatusBar(Static):
    """Says it in words; the sign before the connection is one more."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, markup=False)
        self._unreachable = False
        self._trouble = ""

    def hear(self, note: Notify) -> None:
        """Learn whether our relay was tried in vain: until then we are connecting, not offline."""
        if note.what is What.OFFLINE:
            self._unreachable = True
        elif note.what in {What.ONLINE, What.DRAINED}:
            self._unreachable = False
        if note.what is What.ROUTE or (note.what is What.OFFLINE and note.detail):
            self._trouble = wording.explain(note.detail, note.code) if note.detail else ""

    def say(self, *, online: bool, queued: int, unread: int, contact: ContactView | None) -> None:
        """Show how things stand."""
        parts = ["● online" if online else "○ offline" if self._unreachable else "◌ connecting"]
        if queued:
            parts.append(f"{queued} queued")
        if unread:
            parts.append(f"{unread} unread")
        if self._unreachable and not online and self._trouble:
            parts.append(self._trouble)
        if contact is not None:
            parts.append(wording.sentence(contact))
        self.update(" · ".join(parts))
        self.set_class(not online, "-offline")
