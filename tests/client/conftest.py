"""A relay core of one's own, and two people who know each other, for the client's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from client.pairs import Pair
from client.world import RelayCore, Template, settle


@pytest.fixture
def relay(tmp_path: Path) -> RelayCore:
    return RelayCore(tmp_path)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return Template.make(tmp_path_factory.mktemp("template"))


@pytest.fixture
def two(template: Template, tmp_path: Path) -> Pair:
    """Two people who know each other, connected, with nothing left to do."""
    _, one, other = template.begin(tmp_path)
    settle(one, other)
    return one, other
