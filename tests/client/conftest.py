"""A relay core of one's own, and two people who know each other, for the client's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from client.world import RelayCore, Template


@pytest.fixture
def relay(tmp_path: Path) -> RelayCore:
    return RelayCore(tmp_path)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return Template.make(tmp_path_factory.mktemp("template"))
