"""Drive any implementation over the vectors: ``python tests/vectors/run.py [--strict] [--only TEXT] -- COMMAND...``.

COMMAND gets the path of a vector as its last argument and prints one JSON object, ``{"ok": {...}}`` or
``{"error": {"code": ...}}``. It needs nothing but the standard library. Exit code 0 if every vector passed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
PATIENCE: Final = 60
"""Seconds a command may take for one vector."""


def differences(expect: Mapping[str, object], got: object, *, strict: bool = False) -> Iterator[str]:
    """What is wrong with an outcome: every key of ``expect.ok`` must be there and equal, an error's code the same.

    With ``strict`` the field and the offset of a bad encoding are compared too. The layer is for people.
    """
    if not isinstance(got, dict):
        yield "the outcome is not an object"
    elif isinstance(wanted := expect.get("ok"), dict):
        results = got.get("ok")
        if not isinstance(results, dict):
            yield f"refused with {got.get('error')}, but should succeed"
            return
        for name, value in wanted.items():
            if name not in results:
                yield f"has no {name}"
            elif results[name] != value:
                yield f"{name} is {str(results[name])[:100]}, not {str(value)[:100]}"
    elif isinstance(wanted := expect.get("error"), dict):
        error = got.get("error")
        if not isinstance(error, dict):
            yield f"succeeded, but should be refused with {wanted['code']}"
            return
        for name in ("code", "field", "offset") if strict else ("code",):
            if error.get(name) != wanted.get(name):
                yield f"{name} is {error.get(name)}, not {wanted.get(name)}"
    else:
        yield "the vector expects nothing"


def paths() -> list[Path]:
    """Every vector's file."""
    return sorted(HERE.glob("*/*.json"))


def ask(command: list[str], path: Path) -> object:
    """The outcome that a command prints, or a sentence about why there is none."""
    try:
        done = subprocess.run([*command, str(path)], capture_output=True, timeout=PATIENCE, check=False)
        outcome: object = json.loads(done.stdout)
        return outcome
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        return f"no outcome: {type(error).__name__}"


def run(vectors: list[Path], answer: Callable[[Path], object], *, strict: bool, jobs: int) -> int:
    """Compare each outcome and print what failed; the number of failures."""
    failed = 0
    with ThreadPoolExecutor(jobs) as pool:
        for path, got in zip(vectors, pool.map(answer, vectors), strict=True):
            wrong = list(differences(json.loads(path.read_text("utf-8"))["expect"], got, strict=strict))
            if wrong:
                failed += 1
                print(f"FAILED {path.parent.name}/{path.stem}: {got if isinstance(got, str) else '; '.join(wrong)}")
    print(f"{len(vectors) - failed} passed, {failed} failed")
    return failed


def main() -> int:
    """Parse the command line; 1 if anything failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strict", action="store_true", help="compare field and offset of bad encodings too")
    parser.add_argument("--only", default="", metavar="TEXT", help="vectors whose path or operation holds TEXT")
    parser.add_argument("--jobs", type=int, default=4, metavar="N", help="so many at a time (4)")
    parser.add_argument("command", nargs="+", metavar="COMMAND")
    options = parser.parse_args()
    wanted = [
        path
        for path in paths()
        if options.only in f"{path.parent.name}/{path.stem}"
        or options.only in json.loads(path.read_text("utf-8"))["operation"]
    ]
    failed = run(wanted, lambda path: ask(options.command, path), strict=options.strict, jobs=options.jobs)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
