"""A TOML table as the configuration reads it: key by key, each of its kind, and nothing left over."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TypeVar

from troth_protocol.errors import UserError

_Choice = TypeVar("_Choice", bound=Enum)


def filled(given: dict[str, object], default: dict[str, object]) -> dict[str, object]:
    """What a file says, and the defaults for what it does not: one that an earlier version wrote goes on working."""
    whole = default | given
    for key, value in default.items():
        said = given.get(key)
        if isinstance(value, dict) and isinstance(said, dict):
            whole[key] = filled(said, value)
    return whole


class Table:
    """A TOML table that is read key by key and may hold nothing else."""

    def __init__(self, path: Path, raw: dict[str, object]) -> None:
        self._path = path
        self._raw = dict(raw)

    def text(self, key: str, most: int = 4_096) -> str:
        """A string of at most ``most`` characters."""
        value = self._raw.pop(key)
        if not isinstance(value, str) or "\0" in value:
            raise UserError(f"{self._path}: {key} must be a string")
        if len(value) > most:
            raise UserError(f"{self._path}: {key} is longer than {most} characters")
        return value

    def flag(self, key: str) -> bool:
        """True or false."""
        value = self._raw.pop(key)
        if not isinstance(value, bool):
            raise UserError(f"{self._path}: {key} must be true or false")
        return value

    def choice(self, key: str, kind: type[_Choice]) -> _Choice:
        """One of a few words."""
        value = self.text(key)
        for each in kind:
            if each.value == value:
                return each
        raise UserError(f"{self._path}: {key} must be one of {', '.join(str(each.value) for each in kind)}")

    def number(self, key: str, least: int, most: int = 2**40) -> int:
        """An integer within ``least``..``most``."""
        value = self._raw.pop(key)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise UserError(f"{self._path}: {key} must be a number from {least} to {most}")
        return value

    def table(self, key: str) -> Table:
        """A table inside this one."""
        value = self._raw.pop(key)
        if not isinstance(value, dict):
            raise UserError(f"{self._path}: [{key}] must be a table")
        return Table(self._path, value)

    def end(self) -> None:
        """Refuse what nobody asked for: a mistyped limit must not be a default in silence."""
        if self._raw:
            raise UserError(f"{self._path}: unknown setting {min(self._raw)}")
