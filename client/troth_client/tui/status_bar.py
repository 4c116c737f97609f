"""One line at the bottom: the connection, what waits, how things stand with whoever is open."""

from __future__ import annotations

from textual.widgets import Static

from ..events import Notify, What
from ..views import ContactView
from . import wording


class StatusBar(Static):
    """Says it in words; the sign before the connection is one more."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, markup=False)
        self._unreachable = False

    def hear(self, note: Notify) -> None:
        """Learn whether our relay was tried in vain: until then we are connecting, not offline."""
        if note.what is What.OFFLINE:
            self._unreachable = True
        elif note.what in {What.ONLINE, What.DRAINED}:
            self._unreachable = False

    def say(self, *, online: bool, queued: int, contact: ContactView | None) -> None:
        """Show how things stand."""
        parts = ["● online" if online else "○ offline" if self._unreachable else "◌ connecting"]
        if queued:
            parts.append(f"{queued} queued")
        if contact is not None:
            parts.append(wording.sentence(contact))
        self.update(" · ".join(parts))
        self.set_class(not online, "-offline")
