"""The test vectors: what is committed is what the generator writes, and ``troth vector`` gives what they expect.

tests/vectors/README.md describes them; tests/vectors/run.py drives another implementation over them.
"""

from __future__ import annotations

import functools
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest

from test_spec_examples import blocks
from troth_client.vector import OPERATIONS, outcome
from troth_protocol import errors
from troth_protocol.wire import Code
from vectors.book import HERE, RECORDED
from vectors.generate import every_vector
from vectors.run import differences, paths

SPEC: Final = Path(__file__).parents[1] / "SPEC.md"
README: Final = HERE / "README.md"
SECTIONS: Final = (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14)
LEAST: Final = 120
LARGEST: Final = 3_500_000
WORKED: Final = {
    "04-identity/leaf-hash": "leaf",
    "05-first-contact/relay-link": "relay-link",
    "05-first-contact/card-link": "card-link",
    "06-handshake/derive": "handshake-keys",
    "07-ratchets/root-step": "classical-ratchet",
    "07-ratchets/header": "header",
    "07-ratchets/message-key": "message-key",
    "10-mailboxes/proof": "owner-proof",
    "10-mailboxes/token": "token",
    "14-safety-number/number": "safety-number",
}
"""Vectors with the inputs of an example of SPEC.md."""
KEYS: Final = {"id", "section", "rules", "description", "operation", "input", "intermediate", "expect"}


@functools.cache
def vectors() -> dict[str, dict[str, Any]]:
    """Every committed vector by its id."""
    return {f"{path.parent.name}/{path.stem}": json.loads(path.read_text("utf-8")) for path in paths()}


def section(vector: dict[str, Any]) -> int:
    return int(vector["id"].partition("-")[0])


def test_the_generator_writes_what_is_committed(tmp_path: Path) -> None:
    every_vector().write(tmp_path)
    written = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*.json")}
    committed = {path.relative_to(HERE): path.read_bytes() for path in (*paths(), RECORDED)}
    assert sorted(written) == sorted(committed)
    assert [str(name) for name, content in written.items() if committed[name] != content] == []


@pytest.mark.parametrize("number", SECTIONS)
def test_troth_vector_gives_what_is_expected(number: int) -> None:
    wrong = {
        name: found
        for name, vector in vectors().items()
        if section(vector) == number and (found := list(differences(vector["expect"], outcome(vector), strict=True)))
    }
    assert wrong == {}


def test_the_worked_bytes_of_the_specification_are_among_them() -> None:
    examples = {block.name: set(block.results.values()) for block in blocks()}
    for name, example in WORKED.items():
        results = vectors()[name]["expect"]["ok"]
        found = {str(value) for value in results.values()} & examples[example]
        assert len(found) == min(len(results), len(examples[example])), (name, found)


def test_an_outcome_does_not_depend_on_what_is_expected() -> None:
    for vector in list(vectors().values())[::29]:
        bare = {"operation": vector["operation"], "input": vector["input"]}
        assert outcome(bare) == outcome({**vector, "expect": {"ok": {}}})


def test_every_section_has_vectors_that_succeed_and_that_fail() -> None:
    ends = Counter((section(vector), next(iter(vector["expect"]))) for vector in vectors().values())
    assert {number for number, _ in ends} == set(SECTIONS)
    assert [number for number in SECTIONS if not ends[number, "ok"] or not ends[number, "error"]] == []
    assert len(vectors()) >= LEAST


def test_a_vector_has_its_form_one_outcome_and_one_named_failure() -> None:
    codes = {one.code for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.TrothError)}
    codes |= {code.name for code in Code}
    spec = SPEC.read_text("utf-8")
    for name, vector in vectors().items():
        assert set(vector) == KEYS, name
        assert vector["id"] == name
        assert vector["operation"] in OPERATIONS
        assert len(vector["expect"]) == 1, name
        assert all(f"**[{rule}]**" in spec for rule in vector["rules"]), name
        error = vector["expect"].get("error")
        if error is not None:
            assert error["code"] in codes, name
            assert error["layer"], name
            assert ("field" in error) == ("offset" in error) == (error["code"] == "BAD_FRAME"), name


def test_every_operation_is_used_and_described() -> None:
    used = {vector["operation"] for vector in vectors().values()}
    described = set(re.findall(r"^\| `([a-z0-9.-]+)` \|", README.read_text("utf-8"), re.MULTILINE))
    assert used == set(OPERATIONS)
    assert described == used


def _altered(value: Any) -> Any:
    """Another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, str):
        return ("1" if value[:1] != "1" else "2") + value[1:]
    if isinstance(value, list):
        return [*value[:-1], _altered(value[-1])] if value else [0]
    if isinstance(value, dict):
        last = next(reversed(value), "new")
        return {**value, last: _altered(value.get(last))}
    return 0


def test_a_flipped_expectation_is_seen() -> None:
    for name, vector in list(vectors().items())[::7]:
        got = outcome(vector)
        kind, expected = next(iter(vector["expect"].items()))
        for key in expected if kind == "ok" else ("code",):
            flipped = {kind: {**expected, key: _altered(expected[key])}}
            assert list(differences(flipped, got)), f"{name} {key}"
        other = {"error": {"code": "MISMATCH"}} if kind == "ok" else {"ok": {}}
        assert list(differences(other, got)), name


def test_hexadecimal_is_in_lower_case_and_the_files_are_small() -> None:
    assert sum(path.stat().st_size for path in (*paths(), RECORDED)) < LARGEST
    for path in paths():
        assert [
            word for word in re.findall(r'"([0-9a-fA-F]{32,})"', path.read_text("utf-8")) if word != word.lower()
        ] == []


def test_the_runner_drives_a_command_and_counts() -> None:
    command = [sys.executable, "-m", "troth_client", "vector"]
    runner = [sys.executable, str(HERE / "run.py"), "--only", "14-safety-number/other", "--"]
    done = subprocess.run([*runner, *command], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "2 passed, 0 failed\n")
    liar = [sys.executable, "-c", "print('{\"ok\": {}}')"]
    done = subprocess.run([*runner, *liar], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stdout.endswith("0 passed, 2 failed\n")


def test_the_verb_refuses_what_is_no_vector(tmp_path: Path) -> None:
    for text in ("", "[]", "{}", '{"operation": "none", "input": {}}', '{"operation": "safety.number", "input": {}}'):
        path = tmp_path / "vector.json"
        path.write_text(text)
        done = subprocess.run(
            [sys.executable, "-m", "troth_client", "vector", str(path)],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("troth: ")
