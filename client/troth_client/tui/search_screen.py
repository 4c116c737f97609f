"""Search: words in the open conversation or in all of them, the newest hit first, one key to go there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from ..display import clock, day, inert
from ..views import Conversations, Hit
from . import keys
from .dialog import Dialog

_PAGE: Final = 50
"""Hits fetched at a time: more than a screen shows."""
_REST: Final = 0.15
"""Seconds after the last letter until the vault is asked."""
MAX_WORDS: Final = 200
"""Characters of a search."""


class SearchScreen(Dialog[Hit]):
    """A field and its hits; answers with the hit to go to."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "to_hits", show=False),
        Binding("tab", "to_hits", show=False, priority=True),
        Binding(",".join(keys.BY_NAME["search"].keys), "widen", show=False, priority=True, id="search"),
    ]

    def __init__(self, conversations: Conversations, names: Mapping[bytes, str], contact: bytes | None) -> None:
        super().__init__()
        self._conversations = conversations
        self._names = names
        self._here = contact
        self._contact = contact
        self._hits: list[Hit] = []
        self._more = False
        self._timer: Timer | None = None

    def heading(self) -> str:
        """Where it looks."""
        return "Search everywhere" if self._contact is None else f"Search with {self._names.get(self._contact, '')}"

    def inside(self) -> ComposeResult:
        """The field, how many there are, the hits."""
        yield Input(placeholder="words, or beginnings of words", id="words", max_length=MAX_WORDS)
        yield Static(id="found", markup=False)
        yield OptionList(id="hits", markup=False, compact=True)

    def on_mount(self) -> None:
        """Type at once."""
        self.query_one(Input).focus()

    def action_widen(self) -> None:
        """Look in all conversations instead of one, or in the one again."""
        self._contact = None if self._contact is not None else self._here
        self.query_one(".dialog").border_title = Content(self.heading())
        self._look()

    @on(Input.Changed, "#words")
    def _typed(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(_REST, self._look)

    def _look(self) -> None:
        words = self.query_one(Input).value.strip()
        self._hits, self._more = [], False
        if words:
            self._hits = self._conversations.search(words, contact=self._contact, limit=_PAGE)
            self._more = len(self._hits) == _PAGE
        hits = self.query_one(OptionList)
        hits.set_options(self._options(self._hits))
        self.query_one("#found", Static).update(self._count(words))

    def _count(self, words: str) -> str:
        if not words:
            return ""
        return "nothing found" if not self._hits else f"{len(self._hits)}{'+' * self._more} found, newest first"

    def _options(self, hits: list[Hit]) -> list[Option]:
        return [Option(hit_line(hit, self._names, everywhere=self._contact is None)) for hit in hits]

    @on(OptionList.OptionHighlighted)
    def _near_end(self, message: OptionList.OptionHighlighted) -> None:
        if self._more and message.option_index >= len(self._hits) - 2:
            words, before = self.query_one(Input).value.strip(), self._hits[-1].message.row
            hits = self._conversations.search(words, contact=self._contact, before=before, limit=_PAGE)
            self._more = len(hits) == _PAGE
            self._hits += hits
            self.query_one(OptionList).add_options(self._options(hits))
            self.query_one("#found", Static).update(self._count(words))

    def action_to_hits(self) -> None:
        """From the field to the hits."""
        self._look()
        if self._hits:
            self.query_one(OptionList).focus()
            self.query_one(OptionList).action_first()

    @on(Input.Submitted, "#words")
    def _first(self) -> None:
        self._look()
        if self._hits:
            self.dismiss(self._hits[0])

    @on(OptionList.OptionSelected, "#hits")
    def _chosen(self, message: OptionList.OptionSelected) -> None:
        self.dismiss(self._hits[message.option_index])


def hit_line(hit: Hit, names: Mapping[bytes, str], *, everywhere: bool) -> Content:
    """When, who, and the words around, the found ones marked; inert."""
    parts: list[tuple[str, str]] = [(f"{day(hit.message.stored)} {clock(hit.message.stored)} ", "")]
    if everywhere:
        parts.append((f"{names.get(hit.contact, '')}: ", "bold"))
    elif hit.message.ours:
        parts.append(("you: ", "bold"))
    at = 0
    for start, end in hit.found:
        parts += [(_flat(hit.snippet[at:start]), ""), (_flat(hit.snippet[start:end]), "bold underline")]
        at = end
    parts.append((_flat(hit.snippet[at:]), ""))
    return Content.assemble(*(part for part in parts if cell_len(part[0])))


def _flat(text: str) -> str:
    return inert(text.replace("\n", " "))
