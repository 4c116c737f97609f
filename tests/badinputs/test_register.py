"""README.md has a row for each bad input of the relay, and names every test of it; nothing that it names is missing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from register import functions, named_in, rows

HERE: Final = Path(__file__).parent
PAGE: Final = (HERE / "README.md").read_text(encoding="utf-8")
ROWS: Final = rows(PAGE, "| B")
IDS: Final = re.findall(r"B\d\d\d", PAGE.split("Ids:")[1].split("|")[0])
EVERY: Final = re.findall(
    r"\d+",
    "001 002 003 005 006 008 010 011 013 015 016 018 019 020 021 023 024 026 028 029 030 032 033 034 035 037 038 039 "
    "040 041 042 043 045 046 048 049 050 052 053 054 056 057 059 060 061 062 064 066",
)


def test_every_row_is_there_once() -> None:
    assert [identifier[1:] for identifier in IDS] == EVERY
    assert list(ROWS) == IDS
    assert len(re.findall(r"^\| B\d", PAGE, re.MULTILINE)) == len(IDS)


def test_every_row_names_tests_that_exist() -> None:
    for identifier, row in ROWS.items():
        assert named_in(row), identifier
        for test in named_in(row):
            place, _, name = test.partition("::")
            assert name in functions(HERE / place), test


def test_every_test_named_after_a_row_is_in_it() -> None:
    found = 0
    for path in sorted(HERE.glob("test_*.py")):
        for name, said in functions(path).items():
            numbers = re.findall(r"_b(\d\d\d)", name)
            for identifier in {f"B{number}" for number in numbers} & set(IDS):
                found += 1
                assert f"{path.name}::{name}" in named_in(ROWS[identifier]), name
            if numbers and f"B{numbers[0]}" in IDS and path.name != "test_relay_storage.py":
                for identifier in set(re.findall(r"B\d\d\d", said)) & set(IDS):
                    assert f"{path.name}::{name}" in named_in(ROWS[identifier]), (name, identifier)
    assert found > 40
