"""A page that is a register: a table whose rows say an id, what it is, and which tests show it."""

from __future__ import annotations

import ast
import re
from pathlib import Path


def rows(page: str, *starts: str) -> dict[str, str]:
    """Id -> the last of three cells, of each line that starts so."""
    return {
        cells[0]: cells[2]
        for line in page.splitlines()
        if line.startswith(starts) and len(cells := [cell.strip() for cell in line.strip("|").split("|")]) == 3
    }


def functions(path: Path) -> dict[str, str]:
    """The test functions of a file with their docstrings."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name: ast.get_docstring(node) or "" for node in body if isinstance(node, kinds)}


def named_in(row: str) -> list[str]:
    """The tests a row names."""
    return re.findall(r"`([^`]+)`", row)
