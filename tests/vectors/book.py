"""The vectors as they are made, and the randomness that makes them the same every time."""

from __future__ import annotations

import hashlib
import json
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from troth_client.vector import outcome, perform
from troth_client.vector.value import shown
from troth_protocol import primitives
from troth_protocol.errors import TrothError

HERE: Final = Path(__file__).parent
RECORDED: Final = HERE / "recorded.json"
NOW: Final = 1_800_000_000
DAY: Final = 86_400

Fields = Mapping[str, object]


class Recordings:
    """Outputs of the calls whose randomness the library does not let go of: made once, replayed ever after."""

    def __init__(self, *, record: bool) -> None:
        self.record = record
        self.kept: dict[str, str] = {}
        self._before: dict[str, str] = {}
        if RECORDED.exists():
            self._before = json.loads(RECORDED.read_text("utf-8"))

    def replay(self, key: str) -> bytes | None:
        """What was recorded, or None where a recording may be made."""
        if key not in self._before:
            if self.record:
                return None
            raise KeyError(f"{key} is not in {RECORDED.name}: run generate.py --record")
        self.kept[key] = self._before[key]
        return bytes.fromhex(self.kept[key])

    def keep(self, key: str, value: bytes) -> bytes:
        """Record a new output."""
        self.kept[key] = value.hex()
        return value

    def text(self) -> str:
        """The file's content."""
        return json.dumps(self.kept, indent=0, sort_keys=True) + "\n"


class Source:
    """Randomness of one name: SHA-256 of the name and a counter where bytes are drawn, recordings elsewhere."""

    def __init__(self, name: str, recordings: Recordings) -> None:
        self.name = name
        self._recordings = recordings
        self._system = primitives.SystemRandomness()
        self._counter = self._calls = 0
        self._drawn = b""
        self._secrets: list[dict[str, bytes]] = []
        self._signed: list[bytes] = []

    def draw(self, count: int) -> bytes:
        """The next bytes of H(name || 0), H(name || 1), ..."""
        drawn = b""
        while len(drawn) < count:
            drawn += hashlib.sha256(self.name.encode() + self._counter.to_bytes(4, "big")).digest()
            self._counter += 1
        self._drawn += drawn[:count]
        return drawn[:count]

    def _key(self, kind: str, *about: bytes) -> str:
        self._calls += 1
        return f"{kind} {self.name} {self._calls} {hashlib.sha256(b''.join(about)).hexdigest()[:16]}"

    def encapsulate(self, key: primitives.KemPublicHandle) -> tuple[bytes, bytes]:
        """A recorded secret and ciphertext."""
        place = self._key("encapsulate", key.public_bytes_raw())
        both = self._recordings.replay(place)
        if both is None:
            both = self._recordings.keep(place, b"".join(self._system.encapsulate(key)))
        self._secrets.append({"secret": both[:32], "ciphertext": both[32:]})
        return both[:32], both[32:]

    def sign(self, key: primitives.DsaPrivateHandle, message: bytes) -> bytes:
        """A recorded ML-DSA-65 signature."""
        place = self._key("sign", key.public_key().public_bytes_raw(), message)
        signature = self._recordings.replay(place) or self._recordings.keep(place, self._system.sign(key, message))
        self._signed.append(signature)
        return signature

    def seal(self, key: primitives.SealPublicHandle, info: bytes, plaintext: bytes) -> bytes:
        """A recorded HPKE message."""
        place = self._key("seal", info, plaintext)
        return self._recordings.replay(place) or self._recordings.keep(place, self._system.seal(key, info, plaintext))

    def used(self) -> dict[str, object]:
        """What has been given out since the last call, as a vector's ``random`` input."""
        used: dict[str, object] = {"draw": self._drawn}
        if self._secrets:
            used["encapsulate"] = list(self._secrets)
        if self._signed:
            used["sign"] = list(self._signed)
        self._drawn, self._secrets, self._signed = b"", [], []
        return used


@dataclass
class Book:
    """Every vector made so far, by its path."""

    recordings: Recordings
    vectors: dict[str, dict[str, object]] = field(default_factory=dict)
    section: str = ""
    surprises: list[str] = field(default_factory=list)

    def source(self, name: str) -> Source:
        """Randomness of a name."""
        return Source(name, self.recordings)

    def chapter(self, section: str) -> None:
        """The directory of the vectors that follow."""
        self.section = section

    def accept(
        self, name: str, rules: str, description: str, operation: str, given: Fields, intermediate: Fields | None = None
    ) -> dict[str, object]:
        """A vector whose operation succeeds; gives its results."""
        given = _plain(given)
        expected = perform(operation, given)
        self._add(name, rules, description, operation, given, intermediate, {"ok": expected})
        return expected

    def refuse(
        self,
        name: str,
        rules: str,
        description: str,
        operation: str,
        given: Fields,
        code: str,
        layer: str = "",
        at: tuple[str, int] | None = None,
    ) -> None:
        """A vector with one failure: the error's code, its layer, and for a bad encoding the field and offset."""
        given = _plain(given)
        refused = outcome({"operation": operation, "input": given})
        wanted: dict[str, object] = {"code": code, "layer": layer or layer_of(operation, given)}
        if at is not None:
            wanted |= {"field": at[0], "offset": at[1]}
        got = refused.get("error")
        if not isinstance(got, dict) or {**got, "layer": wanted["layer"]} != wanted:
            self.surprises.append(f"{self.section}/{name}: {str(refused)[:300]} where {wanted} was wanted")
        self._add(name, rules, description, operation, given, None, {"error": wanted})

    def _add(
        self,
        name: str,
        rules: str,
        description: str,
        operation: str,
        given: Fields,
        intermediate: Fields | None,
        expect: Fields,
    ) -> None:
        place = f"{self.section}/{name}"
        if place in self.vectors:
            raise ValueError(f"two vectors are called {place}")
        ids = [f"R-{rule}" for rule in rules.split()]
        chapter = self.section.partition("-")[0].lstrip("0")
        section = rules.split(maxsplit=1)[0].rpartition("-")[0] if rules else chapter
        self.vectors[place] = {
            "id": place,
            "section": section,
            "rules": ids,
            "description": description,
            "operation": operation,
            "input": given,
            "intermediate": _plain(intermediate or {}),
            "expect": expect,
        }

    def write(self, directory: Path) -> None:
        """One file for each vector, and the recordings."""
        for place, vector in self.vectors.items():
            path = directory / f"{place}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(vector, indent=1, ensure_ascii=True) + "\n", "utf-8")
        (directory / RECORDED.name).write_text(self.recordings.text(), "utf-8")


def _plain(fields: Fields) -> dict[str, object]:
    plain = shown(fields)
    if not isinstance(plain, dict):
        raise TypeError("fields are an object")
    return plain


def layer_of(operation: str, given: Fields) -> str:
    """The module of troth_protocol in which an operation is refused: the innermost that does more than read bytes."""
    try:
        perform(operation, given)
    except TrothError as error:
        frames = [Path(frame.filename) for frame in traceback.extract_tb(error.__traceback__)]
        modules = [path.stem for path in frames if "troth_protocol" in path.parts]
        telling = [module for module in modules if module != "encoding"]
        if telling or modules:
            return (telling or modules)[-1]
    raise ValueError(f"{operation} is refused in no layer")


def flipped(raw: bytes, at: int, xor: int = 1) -> bytes:
    """The bytes with one of them changed."""
    at %= len(raw)
    return raw[:at] + bytes([raw[at] ^ xor]) + raw[at + 1 :]
