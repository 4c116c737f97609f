"""The bench runs: its own part and the floor, without the peers and without a clock."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench import protocol


@pytest.mark.parametrize("row", protocol.COUNTS)
def test_our_rows_run(row: str) -> None:
    for table in (protocol.OURS, protocol.FLOOR):
        run = table[row](3)
        run()
        run()  # a prepared run keeps its starting state


def test_the_rows_are_the_same_everywhere(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(protocol.OURS) == list(protocol.FLOOR) == list(protocol.COUNTS)
    protocol.main(["--quick"])
    lines = capsys.readouterr().out.splitlines()
    assert [line[:20].strip() for line in lines[1:]] == list(protocol.COUNTS)


@pytest.mark.slow
def test_the_client_rows_run() -> None:
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("client.py"), "--quick"], capture_output=True, text=True, check=True
    )
    assert len(done.stdout.splitlines()) == 18
