"""What a person may set for the windows: one small TOML file, read once, refused whole if anything in it is unknown.

``preferences.toml`` is looked for in the profile directory, then in ``$XDG_CONFIG_HOME/troth`` (``~/.config/troth``).
Nothing in it weakens what is sent or kept; without a file everything has the default below.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from troth_protocol.errors import StorageError, UserError

FILE: Final = "preferences.toml"
MOST_BYTES: Final = 65_536
"""A file larger than this is not somebody's preferences."""
MOST_MINUTES: Final = 1_440
"""A lock that waits longer than a day is no lock."""

_THEME: Final = re.compile(r"^theme[ \t]*=[^\n]*\n?", re.MULTILINE)
KEY_SETS: Final = ("plain", "vim")
THEMES: Final = ("dark", "light", "contrast")
NOTIFY: Final = ("off", "bell", "terminal", "desktop")
NOTIFY_SHOWS: Final = ("nothing", "name", "text")


@dataclass(frozen=True, slots=True)
class Preferences:
    """One file's worth; ``bind`` maps the name of an action to the keys it has instead of its own."""

    keys: str = "plain"
    theme: str = "dark"
    notify: str = "off"
    """How a new message is announced: not at all, by the bell, by OSC 9, or by notify-send."""
    notify_shows: str = "nothing"
    """What the announcement says: that there is a message, from whom, or its text."""
    lock_minutes: int = 0
    """Idle minutes after which the passphrase is asked for again; 0 is never."""
    bind: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def find(profile: Path, environment: Mapping[str, str] = os.environ) -> Path | None:
    """The file that counts, or None."""
    config = environment.get("XDG_CONFIG_HOME") or "~/.config"
    places = (profile / FILE, Path(config).expanduser() / "troth" / FILE)
    return next((place for place in places if place.is_file()), None)


def load(profile: Path, environment: Mapping[str, str] = os.environ) -> Preferences:
    """The preferences of a profile; UserError that names the line or the key."""
    place = find(profile, environment)
    if place is None:
        return Preferences()
    try:
        with place.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UserError(f"{FILE} cannot be read: {error.strerror}") from None
    if len(raw) > MOST_BYTES:
        raise UserError(f"{FILE} is larger than {MOST_BYTES:,} bytes")
    return parse(raw)


def keep_theme(profile: Path, theme: str, environment: Mapping[str, str] = os.environ) -> None:
    """Put the theme into the file that counts, or into a new one of the profile; every other line stays as it is.

    UserError if the file cannot be understood, StorageError if the disk refuses; the file is as it was then.
    """
    place = find(profile, environment) or profile / FILE
    try:
        raw = place.read_bytes() if place.is_file() else b""
        before, line = parse(raw), f'theme = "{theme}"\n'
        text = raw.decode("utf-8")
        kept = _THEME.sub(lambda _: line, text, count=1) if _THEME.search(text) else line + text
        if parse(kept.encode()) != replace(before, theme=theme):
            raise UserError(f"{FILE} was not changed: put the line  {line.strip()}  at its beginning")
        new = place.with_name(f"{FILE}.new")
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(kept)
            file.flush()
            os.fsync(file.fileno())
        new.replace(place)
    except OSError as error:
        raise StorageError(f"{FILE} cannot be written: {error.strerror}") from None


def parse(raw: bytes) -> Preferences:
    """The preferences in a file's bytes; UserError."""
    try:
        table: Mapping[str, object] = tomllib.loads(raw.decode("utf-8"))
    except UnicodeDecodeError:
        raise UserError(f"{FILE} is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{FILE} is not TOML: {ascii(str(error))[1:-1]}") from None
    unknown = [ascii(key)[1:-1] for key in table if key not in _READERS]
    if unknown:
        raise UserError(f"{FILE}: {unknown[0]} is not known; these are: {', '.join(_READERS)}")
    read = {key: _READERS[key](key, value) for key, value in table.items()}
    return Preferences(**read)  # type: ignore[arg-type]


def _choice(choices: tuple[str, ...]) -> Callable[[str, object], object]:
    def read(key: str, value: object) -> str:
        if value not in choices:
            raise UserError(f"{FILE}: {key} is one of {', '.join(choices)}")
        return str(value)

    return read


def _minutes(key: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_MINUTES:
        raise UserError(f"{FILE}: {key} is a number of minutes from 0 (never) to {MOST_MINUTES:,}")
    return value


def _bindings(key: str, value: object) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, dict):
        raise UserError(f'{FILE}: {key} is a table such as  [{key}]  with lines such as  search = ["f6"]')
    bound = {}
    for action, keys in value.items():
        names = [keys] if isinstance(keys, str) else keys
        if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
            raise UserError(f'{FILE}: {key}.{ascii(action)[1:-1]} is a key such as "f6", or a list of keys')
        bound[str(action)] = tuple(str(name) for name in names)
    return bound


_READERS: Final[Mapping[str, Callable[[str, object], object]]] = {
    "keys": _choice(KEY_SETS),
    "theme": _choice(THEMES),
    "notify": _choice(NOTIFY),
    "notify_shows": _choice(NOTIFY_SHOWS),
    "lock_minutes": _minutes,
    "bind": _bindings,
}
