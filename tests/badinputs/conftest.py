"""A relay's files, made once; the relays themselves are made by ``raw.serving``."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from badinputs.raw import serving
from server.talk import Relay
from troth_protocol.primitives import SystemRandomness
from troth_server import operator
from troth_server.config import Config
from troth_server.ledger_file import LedgerFile


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, LedgerFile]:
    """Port 9 stands in the descriptor; tests listen where there is room."""
    config = Config(tmp_path_factory.mktemp("relay"), port=9)
    return config, operator.found(config, ("127.0.0.1",), int(time.time()), SystemRandomness())


@pytest.fixture
async def relay(founded: tuple[Config, LedgerFile], tmp_path: Path) -> AsyncIterator[Relay]:
    """A relay as most tests want it."""
    async with serving(*founded, tmp_path) as relay:
        yield relay
