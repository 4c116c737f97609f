"""Every rule of SPEC.md is obeyed somewhere and tested somewhere, and every citation is of a rule.

A definition is ``**[R-x.y-n]**`` at the head of a list item in section x.y; a citation is ``[R-x.y-n]``, alone or
several in a row, in a comment or docstring of a package or a test.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
PACKAGES: Final = ("protocol", "server", "client")
_ID: Final = r"R-\d+(?:\.\d+)?-\d+"
DEFINITION: Final = re.compile(rf"^- \*\*\[({_ID})\]\*\* (.*)$", re.MULTILINE)
BRACKETED: Final = re.compile(rf"\[({_ID})\]")
HEADING: Final = re.compile(r"^#{2,3} (\d+(?:\.\d+)?)\.? ", re.MULTILINE)


def definitions(spec: str) -> list[tuple[str, str]]:
    """Each definition's id and sentence, in order."""
    return DEFINITION.findall(spec)


def cited(files: Iterable[Path]) -> Mapping[str, set[str]]:
    """Each cited id with the files that cite it."""
    found: dict[str, set[str]] = {}
    for path in files:
        for rule in BRACKETED.findall(path.read_text("utf-8")):
            found.setdefault(rule, set()).add(path.name)
    return found


def sources(*folders: str) -> Iterator[Path]:
    """The Python files under these folders of the repository."""
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


SPEC: Final = (ROOT / "SPEC.md").read_text("utf-8")
RULES: Final = {rule for rule, _ in definitions(SPEC)}
IN_CODE: Final = cited(sources(*PACKAGES))
IN_TESTS: Final = cited(sources("tests"))


def listed(rules: Iterable[str]) -> list[str]:
    """Ids in the order of the document."""
    return sorted(rules, key=lambda rule: [int(part) for part in re.findall(r"\d+", rule)])


def test_each_rule_is_defined_once() -> None:
    counts = Counter(rule for rule, _ in definitions(SPEC))
    assert listed(rule for rule, count in counts.items() if count > 1) == []


def test_the_document_brackets_an_id_only_to_define_it() -> None:
    assert Counter(BRACKETED.findall(SPEC)) == Counter(rule for rule, _ in definitions(SPEC))


def test_a_rule_is_one_sentence_that_obliges() -> None:
    wrong = [
        rule
        for rule, sentence in definitions(SPEC)
        if "MUST" not in sentence or not sentence.endswith(".") or re.search(r"\. [A-Z]", sentence)
    ]
    assert wrong == []


def test_a_rule_stands_in_its_section() -> None:
    marks = sorted([*HEADING.finditer(SPEC), *DEFINITION.finditer(SPEC)], key=lambda mark: mark.start())
    section, misplaced = "", []
    for mark in marks:
        if mark.re is HEADING:
            section = mark[1]
        elif mark[1].rpartition("-")[0] != f"R-{section}":
            misplaced.append(mark[1])
    assert misplaced == []


def test_each_rule_is_cited_where_code_obeys_it() -> None:
    assert listed(RULES - IN_CODE.keys()) == []


def test_each_rule_is_cited_where_a_test_checks_it() -> None:
    assert listed(RULES - IN_TESTS.keys()) == []


def test_each_citation_is_of_a_rule() -> None:
    unknown = {rule: files for found in (IN_CODE, IN_TESTS) for rule, files in found.items() if rule not in RULES}
    assert unknown == {}
