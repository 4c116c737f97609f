"""Vectors of SPEC.md section 6.5: which of two sessions is in use."""

from __future__ import annotations

from .book import DAY, NOW, Book

_LOW, _MIDDLE, _HIGH = ("10" * 32, "20" * 32, "30" * 32)


def _step(do: str, sid: str = "", after: int = 0) -> dict[str, object]:
    step: dict[str, object] = {"do": do, "now": str(NOW + after)}
    return step | ({"SID": sid} if sid else {})


def make(book: Book) -> None:
    """Crossing, replacement, draining; ``after`` is in seconds from the start."""
    book.chapter("06-session-pairs")
    accepted = (
        ("first", "6.5-1", "their first message, none of ours", (_step("accept", _LOW),)),
        ("own", "6.5-1", "ours is answered", (_step("initiate", _LOW), _step("hear", _LOW, 5))),
        ("crossing-ours", "6.5-2", "crossing, and ours has the smaller SID",
         (_step("initiate", _LOW), _step("accept", _HIGH, 5), _step("hear", _HIGH, 6), _step("hear", _LOW, 7))),
        ("crossing-theirs", "6.5-2", "crossing, and theirs has the smaller SID",
         (_step("initiate", _HIGH), _step("accept", _LOW, 5), _step("hear", _LOW, 6))),
        ("crossing-revived", "6.5-5", "ours was set aside by its SID and comes back when it is heard",
         (_step("initiate", _HIGH), _step("accept", _LOW, 5), _step("hear", _HIGH, 6), _step("hear", _LOW, 7),
          _step("hear", _HIGH, 8))),
        ("crossing-patience", "6.5-2", "24 hours after the first receipt on theirs, ours unheard: theirs is active",
         (_step("initiate", _LOW), _step("accept", _HIGH, 5), _step("tick", after=DAY + 4),
          _step("tick", after=DAY + 5))),
        ("replacement", "6.5-3 6.5-4", "they replace an active session, which drains for 24 hours",
         (_step("accept", _HIGH), _step("accept", _LOW, DAY), _step("hear", _HIGH, DAY + 9),
          _step("tick", after=2 * DAY - 1), _step("tick", after=2 * DAY))),
        ("replacement-twice", "6.5-3", "again after a day",
         (_step("accept", _HIGH), _step("accept", _MIDDLE, 1), _step("accept", _LOW, DAY + 1))),
        ("initiate-drains", "6.5-4", "we start again: the old one drains for 24 hours from the first receipt",
         (_step("accept", _HIGH), _step("initiate", _LOW, 10), _step("hear", _HIGH, 11), _step("hear", _LOW, 20),
          _step("tick", after=DAY + 19), _step("tick", after=DAY + 20))),
        ("drains-fourteen-days", "6.5-4", "with no receipt on the new one, the old one drains for 14 days",
         (_step("accept", _HIGH), _step("initiate", _LOW, 10), _step("tick", after=14 * DAY + 9),
          _step("tick", after=14 * DAY + 10))),
        ("never-back", "6.5-5", "a replaced session is heard and stays aside",
         (_step("accept", _LOW), _step("accept", _HIGH, DAY), _step("hear", _LOW, DAY + 5))),
    )  # fmt: skip
    for name, rules, description, steps in accepted:
        book.accept(name, rules, description, "pair.run", {"steps": list(steps)})
    refused = (
        ("replaced-too-soon", "6.5-3", "a second replacement within a day", "SESSION",
         (_step("accept", _HIGH), _step("accept", _MIDDLE, 1), _step("accept", _LOW, DAY))),
        ("drained", "6.5-4", "a message on a session that has drained", "UNKNOWN_HEADER",
         (_step("accept", _HIGH), _step("accept", _LOW, 1), _step("hear", _HIGH, DAY + 1))),
        ("crossed-too-often", "6.5-3", "two first messages within a day while ours is unheard", "SESSION",
         (_step("initiate", _LOW), _step("accept", _MIDDLE, 1), _step("accept", _HIGH, 2))),
    )  # fmt: skip
    for name, rules, description, code, steps in refused:
        book.refuse(name, rules, description, "pair.run", {"steps": list(steps)}, code)
