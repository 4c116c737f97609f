"""One lab for all scenarios, and the table of what came of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import pytest

from disruption.lab import Lab, missing
from disruption.world import Outcome, World

ROWS: list[Outcome] = []


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    reason = missing()
    if reason:
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("lab")
    with Lab(folder) as lab:
        world = World(lab, folder)
        world.set_up()
        yield world


@pytest.fixture(autouse=True)
def freedom(world: World) -> Iterator[None]:
    """Every scenario begins and ends without a censor."""
    yield
    world.lab.permit()
    world.lab.lie({})


@pytest.fixture
def row() -> Iterator[list[Outcome]]:
    """Rows of a scenario, for the table at the end."""
    rows: list[Outcome] = []
    yield rows
    ROWS.extend(rows)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table; it is kept as ``disruption/table`` in pytest's cache."""
    if not ROWS:
        return
    cache = terminalreporter.config.cache
    if cache is not None:
        cache.set("disruption/table", [asdict(row) for row in ROWS])
    terminalreporter.section("disruption lab")
    lines = [("scenario", "route", "first message", "lost", "direct bytes", "said")]
    lines += [(row.scenario, row.route, f"{row.seconds:.1f} s", str(row.lost), row.direct, row.said) for row in ROWS]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        terminalreporter.write_line("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)))
