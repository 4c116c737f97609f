"""Two people who know each other, made once for all tests of attacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from attacks.malicious import MaliciousRelay
from client.world import Template


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return Template.make(tmp_path_factory.mktemp("acquainted"))


@pytest.fixture
def relay(tmp_path: Path) -> MaliciousRelay:
    return MaliciousRelay(tmp_path / "relay")
