"""The registry of labels: unique, prefix-free, all of this protocol, and nowhere else."""

from __future__ import annotations

import ast
import itertools
from pathlib import Path

import troth_protocol
from troth_protocol import labels

PACKAGE = Path(troth_protocol.__file__).parent


def test_labels_are_unique_and_none_is_a_prefix_of_another() -> None:
    """[R-3.2-1]"""
    ordered = sorted(labels.ALL)
    assert len(set(ordered)) == len(ordered)
    for one, following in itertools.pairwise(ordered):
        assert not following.startswith(one), (one, following)


def test_every_label_says_the_protocol_and_version() -> None:
    """[R-3.2-1]"""
    assert all(label.startswith(b"troth/1 ") and len(label) > 8 for label in labels.ALL)


def test_the_registry_is_complete() -> None:
    """Every constant of the file is in ALL; purposes are there behind the signature label. [R-3.3-1]"""
    named = {value for value in vars(labels).values() if isinstance(value, bytes)}
    purposes = set(labels.SIGN_PURPOSES)
    whole = {labels.SIGNATURE + purpose + b"\x00" for purpose in purposes}
    assert named - purposes - {labels.SIGNATURE} | whole == set(labels.ALL)


def test_no_label_is_written_out_elsewhere() -> None:
    for path in PACKAGE.rglob("*.py"):
        if path.name == "labels.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, bytes):
                assert not node.value.startswith(b"troth/1"), (path.name, node.lineno)
