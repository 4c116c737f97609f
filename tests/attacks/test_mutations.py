"""Take one defence away, and its tests fail: otherwise they show nothing. The fast test keeps the list from rotting."""

from __future__ import annotations

import functools
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from attacks.mutations import EQUIVALENT, MUTATIONS, Mutation

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("protocol/troth_protocol", "server/troth_server", "client/troth_client")
MEMORY: Final = 3 << 30
SECONDS: Final = 240


@functools.cache
def places() -> dict[str, list[str]]:
    """Attack id -> its tests."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "tests/attacks").glob("test_*.py")):
        for letter, number, rest in re.findall(
            r"^(?:async )?def test_([ax])(\d\d)(\w*)", path.read_text(), re.MULTILINE
        ):
            test = f"{path.relative_to(ROOT)}::test_{letter}{number}{rest}"
            found.setdefault(f"{letter.upper()}-{number}", []).append(test)
    return found


def noticing(mutation: Mutation) -> list[str]:
    """What must fail under a mutation."""
    named: list[str] = []
    for word in mutation.noticed.split():
        named += places()[word] if re.fullmatch(r"[AX]-\d\d", word) else [f"tests/{word}"]
    return named


def copied(folder: Path) -> Path:
    """The three packages, alone."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python on the copied packages, with little memory and time."""
    path = os.pathsep.join(str(folder / package.split("/")[0]) for package in PACKAGES)
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
        timeout=SECONDS, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)),
    )  # fmt: skip


def check(folder: Path, tests: list[str]) -> subprocess.CompletedProcess[str]:
    """Run tests on a copy, up to the first failure."""
    return run(folder, "-m", "pytest", "-x", "-p", "no:cacheprovider", "--no-header", "--tb=line", *tests)


def applied(mutation: Mutation, folder: Path) -> Path:
    """A copy with one mutation."""
    path = copied(folder) / mutation.file
    text = path.read_text(encoding="utf-8")
    assert text.count(mutation.old) == 1
    path.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
    return folder


def test_each_mutation_still_names_one_place_and_tests_that_exist() -> None:
    assert len(MUTATIONS) >= 60
    assert len({(each.file, each.old, each.new) for each in MUTATIONS}) == len(MUTATIONS)
    for mutation in (*MUTATIONS, EQUIVALENT):
        text = (ROOT / mutation.file).read_text(encoding="utf-8")
        assert text.count(mutation.old) == 1, mutation
        assert mutation.old != mutation.new
        compile(text.replace(mutation.old, mutation.new), mutation.file, "exec")
        for test in noticing(mutation):
            assert (ROOT / test.split("::")[0]).is_file(), test


@pytest.mark.slow
def test_the_copy_is_what_runs_and_passes(tmp_path: Path) -> None:
    """The command, proved on the unchanged copy and on a mutant that changes nothing."""
    folder = copied(tmp_path / "unchanged")
    shown = (
        "import troth_protocol as p, troth_server as s, troth_client as c; print(p.__file__, s.__file__, c.__file__)"
    )
    files = run(folder, "-c", shown).stdout.split()
    assert len(files) == 3
    assert all(file.startswith(str(folder)) for file in files)
    tests = sorted({test.split("::")[0] for mutation in MUTATIONS for test in noticing(mutation)})
    unchanged = check(folder, tests)
    assert unchanged.returncode == 0, unchanged.stdout
    same = check(applied(EQUIVALENT, tmp_path / "equivalent"), noticing(EQUIVALENT))
    assert same.returncode == 0, same.stdout


@pytest.mark.slow
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: f"{Path(m.file).stem}-{m.noticed.split('::')[0]}")
def test_a_defence_that_is_taken_away_is_missed(mutation: Mutation, tmp_path: Path) -> None:
    """One mutation: its tests fail, and do so as tests, not because nothing could be imported."""
    ran = check(applied(mutation, tmp_path / "mutant"), noticing(mutation))
    assert ran.returncode == 1, f"{mutation}\n{ran.stdout[-2_000:]}"
    assert "FAILED" in ran.stdout or "AssertionError" in ran.stdout, ran.stdout[-2_000:]
