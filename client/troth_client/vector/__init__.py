"""``troth vector FILE``: carry out a test vector's operation and print the outcome as one JSON object.

Only ``operation`` and ``input`` are read, never ``expect``; tests/vectors/README.md describes each operation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from troth_protocol.errors import DecodeError, TrothError, UserError

from . import conversation, inside, mailbox, opening, primitive, ratchets, relay, statements
from .value import Given, Operation, shown

OPERATIONS: Final[Mapping[str, Operation]] = {
    **primitive.OPERATIONS,
    **statements.OPERATIONS,
    **opening.OPERATIONS,
    **ratchets.OPERATIONS,
    **conversation.OPERATIONS,
    **inside.OPERATIONS,
    **mailbox.OPERATIONS,
    **relay.OPERATIONS,
}
"""Every operation by name."""


class Unusable(UserError):
    """The file is not a vector, or names an operation that does not exist."""


def perform(operation: str, given: Mapping[str, object]) -> dict[str, object]:
    """The results of an operation as JSON has them; a TrothError if it refuses."""
    if operation not in OPERATIONS:
        raise Unusable(f"there is no operation {operation}")
    return {name: shown(value) for name, value in OPERATIONS[operation](Given(given)).items()}


def outcome(vector: Mapping[str, object]) -> dict[str, object]:
    """``{"ok": {...}}`` or ``{"error": {...}}``; UserError where the vector itself cannot be used."""
    operation, given = vector.get("operation"), vector.get("input")
    if not isinstance(operation, str) or not isinstance(given, Mapping):
        raise Unusable("a vector has an operation and an input")
    try:
        return {"ok": perform(operation, given)}
    except DecodeError as error:
        return {"error": {"code": error.code, "field": error.field, "offset": error.offset}}
    except TrothError as error:
        if type(error) in {UserError, Unusable}:
            raise
        return {"error": {"code": error.code}}


def run(path: Path) -> int:
    """Print the outcome of the vector in a file; 0 if its operation could be carried out at all."""
    try:
        vector: object = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise Unusable("the vector cannot be read") from None
    if not isinstance(vector, dict):
        raise Unusable("a vector is one JSON object")
    print(json.dumps(outcome(vector), ensure_ascii=True, sort_keys=True), flush=True)
    return 0
