"""Every action that has a key: its name, where it works, its keys, and what the help page says about it.

Preferences may give an action other keys. Two actions that can be reached at the same moment never share a key: what
would clash is refused when the preferences are read, with both names. Arrow keys, Enter, Tab and Escape in a list or a
field are not actions; they do what they do everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Final

from textual.binding import Binding
from textual.keys import Keys, _character_to_key, format_key

from troth_protocol.errors import UserError

from ..preferences import FILE, Preferences


class Place(Enum):
    """Where a key works."""

    EVERYWHERE = "Everywhere"
    LIST = "In the list"
    MESSAGES = "In the messages"
    WRITING = "While writing"


@dataclass(frozen=True, slots=True)
class Action:
    """One thing a key does; ``vim`` are its keys in the vim set, if they differ; ``label`` stands in the footer."""

    name: str
    place: Place
    says: str
    keys: tuple[str, ...]
    vim: tuple[str, ...] = ()
    label: str = ""
    method: str = ""
    """What is called, where it is not the name."""


_E, _L, _M, _W = Place.EVERYWHERE, Place.LIST, Place.MESSAGES, Place.WRITING
ACTIONS: Final = (
    Action("help", _E, "help: every key and sign", ("f1", "ctrl+g"), label="Help"),
    Action("quit", _E, "quit", ("ctrl+q",), label="Quit", method="app.quit"),
    Action("relay", _E, "what the relay sees (in the demo)", ("f2", "ctrl+r"), label="Relay"),
    Action("add", _E, "add a contact from a troth: link", ("f3", "ctrl+n"), label="Add"),
    Action("card", _E, "my card: a link to hand to one person", ("f4", "alt+c"), label="Card"),
    Action("safety", _E, "safety number of the open contact", ("f5", "ctrl+t"), label="Safety"),
    Action("go_to", _E, "go to a conversation by name", ("f6", "ctrl+k", "ctrl+o"), label="Go to"),
    Action("search", _E, "search; again: in all conversations", ("f7", "ctrl+f"), label="Search"),
    Action("next_unread", _E, "the next conversation with news", ("f9", "alt+a")),
    Action("next_chat", _E, "the conversation below in the list", ("alt+down", "ctrl+down")),
    Action("previous_chat", _E, "the conversation above in the list", ("alt+up", "ctrl+up")),
    Action("settings", _E, "settings of the conversation: timer, receipts, mute, block", ("f8", "alt+s")),
    Action("mute", _E, "mute the open conversation, or end that", ("alt+m",)),
    Action("routes", _E, "how our relay is reached", ("alt+r",)),
    Action("editor", _E, "write the message in $EDITOR", ("alt+e",)),
    Action("palette", _E, "all commands", ("ctrl+p",), method="app.command_palette"),
    Action("lock", _E, "lock: ask for the passphrase again", ("f11", "ctrl+l"), method="app.lock"),
    Action("blank", _E, "blank the screen; the same key brings it back", ("f12", "alt+x"), method="app.blank"),
    Action("list_down", _L, "down", ("down",), ("down", "j"), method="cursor_down"),
    Action("list_up", _L, "up", ("up",), ("up", "k"), method="cursor_up"),
    Action("select_previous", _M, "the message above", ("up",), ("up", "k"), method="step(-1)"),
    Action("select_next", _M, "the message below", ("down",), ("down", "j"), method="step(1)"),
    Action("half_up", _M, "half a page up", ("shift+pageup",), ("shift+pageup", "ctrl+u"), method="half(-1)"),
    Action("half_down", _M, "half a page down", ("shift+pagedown",), ("shift+pagedown", "ctrl+d"), method="half(1)"),
    Action("oldest", _M, "the first message", ("home",), ("home", "g")),
    Action("newest", _M, "the newest message", ("end",), ("end", "G")),
    Action("menu", _M, "what can be done with it; so does a second click", ("enter",), method="ask('menu')"),
    Action("reply", _M, "reply", ("r",), method="ask('reply')"),
    Action("react", _M, "react", ("+",), method="ask('react')"),
    Action(
        "edit", _M, "edit what you wrote; if it has not gone, take it back", ("e",), ("e", "c"), method="ask('edit')"
    ),
    Action("resend", _M, "send what failed once more", ("s",), method="ask('resend')"),
    Action("delete", _M, "delete; what is yours for both of you", ("d", "delete"), method="ask('delete')"),
    Action("copy_text", _M, "copy", ("y",), method="ask('copy_text')"),
    Action("info", _M, "everything that is known about it", ("i",), ("I",), method="ask('info')"),
    Action("read_whole", _M, "read all of a long message", ("o",), method="ask('read_whole')"),
    Action("quoted", _M, "go to the message it answers", ("q",), method="ask('quoted')"),
    Action("find", _M, "search in this conversation", ("/",), method="screen.search"),
    Action("write", _M, "back to writing", ("w", "escape"), ("i", "w", "escape")),
    Action("submit", _W, "send", ("enter",)),
    Action("newline", _W, "a new line", ("ctrl+j", "shift+enter", "alt+enter")),
    Action("select_all", _W, "select all that is written", ("alt+w",)),
    Action("log_up", _W, "older messages", ("pageup",), method="scroll_log(-1)"),
    Action("log_down", _W, "newer messages", ("pagedown",), method="scroll_log(1)"),
)
IN_FIELD: Final = frozenset({"submit", "newline"})
"""Done by the field itself, between the letters typed before and those after; a binding would overtake them."""
BY_NAME: Final = {action.name: action for action in ACTIONS}

_NAMED: Final = frozenset(str(key.value) for key in Keys) | {"space", "enter", "escape", "tab", "backspace", "delete"}
_MODIFIERS: Final = frozenset({"ctrl", "alt", "shift", "super"})
_FIXED: Final = {
    Place.EVERYWHERE: frozenset({"enter", "escape", "tab", "shift+tab", "up", "down", "left", "right", "ctrl+c"}),
    Place.LIST: frozenset({"enter", "escape", "tab", "shift+tab"}),
    Place.MESSAGES: frozenset({"tab", "shift+tab"}),
    Place.WRITING: frozenset({"escape", "tab", "shift+tab", "up", "down", "left", "right", "backspace", "delete"}),
}
"""Keys that stay what they are, so that nobody locks themselves out of the window."""


def _plain(key: str) -> str:
    """A key by Textual's name for it: ``+`` is ``plus``."""
    return _character_to_key(key) if len(key) == 1 else key


def _is_key(key: str) -> bool:
    *modifiers, last = key.split("+") if key not in {"+"} else [key]
    return all(part in _MODIFIERS for part in modifiers) and (
        (len(last) == 1 and last.isprintable()) or last in _NAMED or key in _NAMED
    )


def _types(key: str) -> bool:
    """Whether pressing it in a field writes a character."""
    return len(key) == 1 or key == "space"


def bound(preferences: Preferences) -> dict[str, tuple[str, ...]]:
    """The keys of every action; UserError on an unknown action, an impossible key, or two actions with one key."""
    for name in preferences.bind:
        if name not in BY_NAME:
            raise UserError(f"{FILE}: bind.{ascii(name)[1:-1]} is not an action; these are: {', '.join(BY_NAME)}")
    keys: dict[str, tuple[str, ...]] = {}
    for action in ACTIONS:
        own = (action.vim or action.keys) if preferences.keys == "vim" else action.keys
        keys[action.name] = preferences.bind.get(action.name, own)
        if action.name in preferences.bind:
            for key in keys[action.name]:
                _check(action, key)
    _refuse_clashes(keys)
    return keys


def _check(action: Action, key: str) -> None:
    shown = ascii(key)[1:-1]
    if not _is_key(key):
        raise UserError(f"{FILE}: bind.{action.name}: {shown} is not a key; write f6, ctrl+f, alt+a, G or such")
    if action.place in {Place.EVERYWHERE, Place.WRITING} and _types(key):
        raise UserError(f"{FILE}: bind.{action.name}: {shown} writes a character in the message field")
    if key in _FIXED[action.place] and key not in action.keys:
        raise UserError(f"{FILE}: bind.{action.name}: {shown} keeps its meaning")


def _refuse_clashes(keys: Mapping[str, tuple[str, ...]]) -> None:
    taken: dict[tuple[Place, str], str] = {}
    for action in ACTIONS:  # those that work everywhere stand first
        for key in keys[action.name]:
            other = taken.get((Place.EVERYWHERE, _plain(key))) or taken.get((action.place, _plain(key)))
            if other is not None and other != action.name:
                raise UserError(f"{FILE}: {key} is bound to both {other} and {action.name}; give one of them another")
            taken[action.place, _plain(key)] = action.name


def keymap(keys: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """What differs from the actions' own keys, for Textual."""
    changed = {name: each for name, each in keys.items() if each != BY_NAME[name].keys}
    return {name: ",".join(_plain(key) for key in each) for name, each in changed.items()}


def bindings(place: Place) -> list[Binding]:
    """The bindings of a place with their own keys; the keymap replaces these."""
    return [
        Binding(
            ",".join(_plain(key) for key in action.keys), action.method or action.name, action.label,
            show=bool(action.label), key_display=_brief(action.keys[0]), id=action.name,
            priority=place in {Place.EVERYWHERE, Place.WRITING},
        )
        for action in ACTIONS
        if action.place is place and action.name not in IN_FIELD
    ]  # fmt: skip


def _brief(key: str) -> str:
    """A key as the footer has room for it: F1, ^Q."""
    return shown(key).replace("Ctrl+", "^")


@lru_cache
def shown(key: str) -> str:
    """A key as a person reads it: Ctrl+F, Alt+↓, F6, +."""
    if key == "+":
        return key
    names = {"pageup": "PgUp", "pagedown": "PgDn", "escape": "Esc", "delete": "Del", "enter": "Enter"}
    *modifiers, last = key.split("+")
    if (last[0] == "f" and last[1:].isdigit()) or (modifiers and len(last) == 1):
        last = last.upper()
    elif len(last) > 1:
        last = names.get(last, format_key(last).capitalize())
    return "+".join([*(modifier.capitalize() for modifier in modifiers), last])


def welcome(keys: Mapping[str, tuple[str, ...]]) -> str:
    """What stands where no conversation is open."""
    lines = ("add", "card", "help")
    return "No conversation is open.\n\n" + "\n".join(
        f"{' or '.join(map(shown, keys[name])):<16} {'all keys' if name == 'help' else BY_NAME[name].says}"
        for name in lines
    )


def page(keys: Mapping[str, tuple[str, ...]]) -> str:
    """The help page's table of keys, as they are bound now."""
    parts = []
    for place in Place:
        lines = [
            f"  {' '.join(map(shown, keys[action.name])):<17}  {action.says}"
            for action in ACTIONS
            if action.place is place
        ]
        parts.append("\n".join([place.value, *lines]))
    return "\n\n".join(parts)
