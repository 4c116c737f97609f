"""What the relay sees, beside the conversation it carries: ids, sizes, times, ciphertext."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from rich.cells import set_cell_size
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static

from ..display import clock, day, inert

REFRESH: Final = 0.5
"""Seconds between two looks while the panel is open: quick for an eye, nothing for a processor."""
SHOWN_EVENTS: Final = 100
"""Events drawn: a demonstration scrolls back no further."""


@dataclass(frozen=True, slots=True)
class MailboxLine:
    """A mailbox as its relay knows it: the start of its id's hash in hex, what is queued, when the oldest goes."""

    mailbox: str
    queued: int
    size: int
    oldest_expiry: int | None


@dataclass(frozen=True, slots=True)
class EventLine:
    """One request: when, which kind, the start of a mailbox's or lookup's hash or "-", bytes, 24 of them in hex."""

    time: int
    kind: str
    about: str
    size: int
    ciphertext: str


class RelayEyes(Protocol):
    """A relay that lets itself be looked at."""

    def mailboxes(self) -> list[MailboxLine]:
        """Every mailbox it has."""

    def events(self) -> list[EventLine]:
        """What was asked of it, newest last."""


class RelayPanel(Vertical):
    """Looks at a relay twice a second while it is shown."""

    def __init__(self, eyes: RelayEyes, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._eyes = eyes
        self._timer: Timer | None = None
        self._drawn: tuple[list[MailboxLine], list[EventLine], int] | None = None

    def compose(self) -> ComposeResult:
        """A sentence, the mailboxes, the requests."""
        yield Static("This is all the relay has: ids, sizes, times, ciphertext.", id="relay-law", markup=False)
        yield Static(id="relay-mailboxes", markup=False)
        with VerticalScroll(id="relay-scroll", can_focus=True):
            yield Static(id="relay-events", markup=False)

    def on_mount(self) -> None:
        """Begin hidden."""
        self.display = False
        self.border_title = "What the relay sees"
        self._timer = self.set_interval(REFRESH, self.look, pause=True)

    def toggle(self) -> None:
        """Show and look, or hide and stop looking."""
        self.display = not self.display
        if self._timer is not None:
            (self._timer.resume if self.display else self._timer.pause)()
        if self.display:
            self.call_after_refresh(self.look)

    def look(self) -> None:
        """Draw what the relay has, if it has changed."""
        width = self.query_one("#relay-scroll").scrollable_content_region.width
        seen = self._eyes.mailboxes(), self._eyes.events()[-SHOWN_EVENTS:], width
        if seen == self._drawn:
            return
        self._drawn = seen
        mailboxes, events, _ = seen
        self.query_one("#relay-mailboxes", Static).update(_mailboxes(mailboxes, width))
        self.query_one("#relay-events", Static).update(_events(events, width))
        self.query_one("#relay-scroll", VerticalScroll).scroll_end(animate=False)


def _mailboxes(mailboxes: list[MailboxLine], width: int) -> Content:
    head = f"{'mailbox':12} {'queued':>6} {'bytes':>9}  expires"
    lines = [
        f"{inert(line.mailbox)[:12]:12} {line.queued:>6,} {line.size:>9,}  "
        + (day(line.oldest_expiry) if line.oldest_expiry is not None else "-")
        for line in mailboxes
    ]
    cut = "\n".join(set_cell_size(line, width) for line in lines or ["none yet"])
    return Content.assemble((set_cell_size(head, width), "bold"), "\n", cut)


def _events(events: list[EventLine], width: int) -> Content:
    head = f"{'time':5}  {'request':16} {'about':12} {'bytes':>7}"
    parts: list[tuple[str, str]] = [(set_cell_size(head, width), "bold")]
    for line in events:
        asked = f"{clock(line.time)}  {inert(line.kind)[:16]:16} {inert(line.about)[:12]:12} {line.size:>7,}"
        parts.append(("\n" + set_cell_size(asked, width), ""))
        if line.ciphertext:
            parts.append(("\n" + set_cell_size(f"       {inert(line.ciphertext)}", width), "dim"))
    return Content.assemble(*parts)
