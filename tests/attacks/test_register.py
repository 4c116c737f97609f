"""README.md lists every attack and every test of one: those known elsewhere (A) and those thought of here (X)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from register import functions, named_in, rows

HERE: Final = Path(__file__).parent
PAGE: Final = (HERE / "README.md").read_text(encoding="utf-8")
ROWS: Final = rows(PAGE, "| A-", "| X-")
IDS: Final = re.findall(r"[AX]-\d\d", PAGE.split("Ids:")[1].split("|")[0])


def test_every_id_has_one_row() -> None:
    assert len(IDS) == len(set(IDS))
    assert list(ROWS) == IDS
    assert len(re.findall(r"^\| [AX]-", PAGE, re.MULTILINE)) == len(ROWS)


def test_every_row_names_tests_that_exist_or_says_that_there_are_none() -> None:
    for identifier, row in ROWS.items():
        if row == "not built yet":
            continue
        assert named_in(row), identifier
        for test in named_in(row):
            place, _, name = test.partition("::")
            assert name in functions(HERE / place), test


def test_every_test_of_an_attack_is_in_its_row_and_says_its_id() -> None:
    found = 0
    for path in sorted(HERE.glob("test_*.py")):
        for name, said in functions(path).items():
            if match := re.match(r"test_([ax])(\d\d)_", name):
                found += 1
                identifier = f"{match[1].upper()}-{match[2]}"
                assert said.startswith(identifier), name
                assert f"{path.name}::{name}" in named_in(ROWS[identifier]), name
                for other in re.findall(r"[AX]-\d\d", said):
                    assert other in ROWS
    assert found > 120
