"""What a vector says, typed on the way in and plain on the way out; tests/vectors/README.md gives the format.

Byte strings are lower-case hexadecimal, integers are numbers or decimal strings, 64-bit integers always strings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias, TypeVar

from troth_protocol import primitives
from troth_protocol.errors import TrothError, UserError

Results: TypeAlias = Mapping[str, object]
"""Named results, before ``shown``."""
Operation: TypeAlias = "Callable[[Given], Results]"
"""From named inputs to named results; a TrothError is an outcome too."""
Recorded = TypeVar("Recorded")
LARGEST: Final = 2**53
"""Integers above it are written as strings: a JSON reader may hold numbers as doubles."""


class Refusal(TrothError):
    """A check that answers yes or no said no; ``code`` is the name the specification gives to that."""

    def __init__(self, code: str) -> None:
        super().__init__(f"refused: {code}")
        self.code = code


class Given:
    """The named inputs of one operation; UserError where one is missing or of another kind."""

    def __init__(self, fields: object) -> None:
        if not isinstance(fields, Mapping):
            raise UserError("a vector's input is an object")
        self._fields: Mapping[str, object] = fields

    def has(self, name: str) -> bool:
        """Whether the input is there and not null."""
        return self._fields.get(name) is not None

    def _value(self, name: str) -> object:
        if name not in self._fields:
            raise UserError(f"the vector has no input {name}")
        return self._fields[name]

    def _list(self, name: str) -> Sequence[object]:
        value = self._value(name)
        if not isinstance(value, list):
            raise UserError(f"the input {name} is not a list")
        return value

    def raw(self, name: str) -> bytes:
        """A byte string."""
        return as_bytes(self._value(name), name)

    def raws(self, name: str) -> tuple[bytes, ...]:
        """A list of byte strings."""
        return tuple(as_bytes(value, name) for value in self._list(name))

    def number(self, name: str) -> int:
        """An integer, as a number or a decimal string."""
        return as_number(self._value(name), name)

    def numbers(self, name: str) -> tuple[int, ...]:
        """A list of integers."""
        return tuple(as_number(value, name) for value in self._list(name))

    def text(self, name: str) -> str:
        """Text."""
        value = self._value(name)
        if not isinstance(value, str):
            raise UserError(f"the input {name} is not text")
        return value

    def flag(self, name: str) -> bool:
        """True or false."""
        return self._value(name) is True

    def part(self, name: str) -> Given:
        """An object."""
        return Given(self._value(name))

    def parts(self, name: str) -> tuple[Given, ...]:
        """A list of objects."""
        return tuple(Given(value) for value in self._list(name))


def as_bytes(value: object, name: str) -> bytes:
    """The bytes of a hexadecimal string; UserError."""
    try:
        return bytes.fromhex(value if isinstance(value, str) else "?")
    except ValueError:
        raise UserError(f"the input {name} is not hexadecimal") from None


def as_number(value: object, name: str) -> int:
    """The integer of a number or a decimal string; UserError."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    raise UserError(f"the input {name} is not an integer")


def shown(value: object) -> object:
    """A result as JSON has it."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value) if value < LARGEST else str(value)
    if isinstance(value, Mapping):
        return {name: shown(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [shown(inner) for inner in value]
    return value


class Replayed:
    """Randomness that a vector brings: drawn bytes from the front of ``draw``, the rest from lists in order."""

    def __init__(self, given: Given) -> None:
        self._drawn = given.raw("draw") if given.has("draw") else b""
        self._encapsulated = list(given.parts("encapsulate")) if given.has("encapsulate") else []
        self._signed = list(given.raws("sign")) if given.has("sign") else []
        self._sealed = list(given.raws("seal")) if given.has("seal") else []

    def draw(self, count: int) -> bytes:
        """The next bytes."""
        if count > len(self._drawn):
            raise UserError("the vector brings too few random bytes")
        drawn, self._drawn = self._drawn[:count], self._drawn[count:]
        return drawn

    def encapsulate(self, key: primitives.KemPublicHandle) -> tuple[bytes, bytes]:
        """The next recorded secret and ciphertext."""
        del key
        recorded = _next(self._encapsulated)
        return recorded.raw("secret"), recorded.raw("ciphertext")

    def sign(self, key: primitives.DsaPrivateHandle, message: bytes) -> bytes:
        """The next recorded ML-DSA-65 signature."""
        del key, message
        return _next(self._signed)

    def seal(self, key: primitives.SealPublicHandle, info: bytes, plaintext: bytes) -> bytes:
        """The next recorded HPKE message."""
        del key, info, plaintext
        return _next(self._sealed)


def _next(left: list[Recorded]) -> Recorded:
    if not left:
        raise UserError("the vector brings too little recorded randomness")
    return left.pop(0)
