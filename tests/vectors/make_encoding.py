"""Vectors of SPEC.md section 2."""

from __future__ import annotations

from .book import Book

_FIELDS = [
    {"name": "suite", "kind": "u16", "most": 1, "least": 1},
    {"name": "name", "kind": "text", "most": 16, "least": 1},
    {"name": "id", "kind": "fixed", "length": 4},
    {"name": "time", "kind": "u64"},
    {"name": "padding", "kind": "zeros", "length": 3},
]
_GOOD = "0001" + "00000003616263" + "0a0b0c0d" + "00000000713fb300" + "000000"


def make(book: Book) -> None:
    """Integers, LP, and a structure read field by field."""
    book.chapter("02-encoding")
    for width, value in ((1, 255), (2, 1), (4, 65_536)):
        description = f"{value} in {width} bytes, big-endian"
        book.accept(f"u{width * 8}", "2-1", description, "encoding.integer", {"width": width, "value": value})
    largest = str(2**64 - 1)
    book.accept("u64", "2-1", "the largest u64", "encoding.integer", {"width": 8, "value": largest})
    book.accept("lp", "2-2", "length as u32, then the bytes", "encoding.lp", {"value": "010203"})
    book.accept("lp-empty", "2-2", "the empty string still has its length", "encoding.lp", {"value": ""})

    def read(data: str) -> dict[str, object]:
        return {"data": data, "fields": _FIELDS}

    operation = "encoding.read"
    book.accept("structure", "2-1 2-2 2-4 2-5", "a structure of five fields", operation, read(_GOOD))
    bad = (
        ("short", "2-3", "cut short by two bytes", _GOOD[:-4], ("padding", 21)),
        ("trailing", "2-3", "a byte after the last field", _GOOD + "00", ("end", 24)),
        ("suite-2", "2-5", "suite 2", "0002" + _GOOD[4:], ("suite", 0)),
        ("padding-not-zero", "2-4", "padding that carries something", _GOOD[:-2] + "01", ("padding", 21)),
        ("length-over-limit", "2-2", "a length above the field's limit, with no content behind it", "000100000011",
         ("name length", 2)),
        ("length-past-the-end", "2-3", "a length within the limit, but past the end", "00010000000461", ("name", 6)),
        ("not-utf-8", "2-3", "an overlong form in a text", _GOOD.replace("616263", "c0af63"), ("name", 2)),
        ("surrogate", "2-3", "an encoded surrogate in a text", _GOOD.replace("616263", "eda080"), ("name", 2)),
    )  # fmt: skip
    for name, rules, description, data, at in bad:
        book.refuse(name, rules, description, operation, read(data), "BAD_FRAME", at=at)
