"""The help page: all keys as they are bound now, and what the signs mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from . import keys
from .dialog import Page

SIGNS: Final = """\
Signs
  ?   a request: a stranger wrote; nothing goes back until you accept
  …   waiting for their answer
  ✗   their card is not valid
  ✓   safety number compared
  ·   safety number not compared
  !   their keys changed: read about it before you write
  ⊘   blocked
  ✎   a draft waits
  PQ  proved against a quantum computer
  ○   queued: waits here
  ✓   at relay: stored there
  ✓✓  delivered: their client has it
  ✗   failed, and why
  ⧖   disappears: ⧖5m in five minutes
  ‹U+202E›, ␛ and the like stand for characters that would hide something or command your terminal."""
ALWAYS: Final = """\
Always
  Tab, Shift+Tab     from the list to the messages to the field
  ↑ ↓ Enter          choose a conversation, open it
  ↑ in an empty field  choose a message; then a key from below
  Esc                back: from the field to the list
  the mouse          does all of this too
  preferences.toml   in the profile's folder: other keys, vim's, theme, notifications, lock (see the README)"""


def help_page(bound: Mapping[str, tuple[str, ...]]) -> Page:
    """The page for these keys."""
    return Page("Help", "\n\n".join((ALWAYS, keys.page(bound), SIGNS)), columns=True)
