"""Stores and relays for the relay's tests; everything lives in a temporary folder and on loopback."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from server.served import Served, founded_at
from server.talk import Relay
from troth_protocol.primitives import SystemRandomness
from troth_server import operator, tls
from troth_server.config import Config
from troth_server.ledger_file import LedgerFile
from troth_server.limits import Quotas
from troth_server.listener import Listener, listening_socket
from troth_server.storage import STORES, OpenStore, Store
from troth_server.storage.apart import Apart


def no_fatal(reason: str) -> None:
    raise AssertionError(reason)


@pytest.fixture(params=sorted(STORES))
def engine(request: pytest.FixtureRequest) -> OpenStore:
    """Each engine, to be opened by the test."""
    return STORES[request.param]


@pytest.fixture(params=[(name, apart) for name in sorted(STORES) for apart in (False, True)], ids=str)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Each engine, in this process and in one of its own, with small quotas: the contract."""
    quotas = Quotas(envelopes=4, envelope_bytes=20_000, cards=3, spares=3)
    name, apart = request.param
    opened = (
        Apart(lambda fatal: STORES[name](tmp_path, quotas, fatal), no_fatal)
        if apart
        else STORES[name](tmp_path, quotas, no_fatal)
    )
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, LedgerFile]:
    """A relay's files, made once; port 9 stands in the descriptor, tests listen where there is room."""
    config = Config(tmp_path_factory.mktemp("relay"), port=9)
    return config, operator.found(config, ("127.0.0.1",), int(time.time()), SystemRandomness())


@contextlib.asynccontextmanager
async def serving(config: Config, ledger: LedgerFile, folder: Path, *, plain: bool = False) -> AsyncIterator[Relay]:
    """A relay on loopback, with TLS unless ``plain``, and a store of its own in ``folder``."""
    served = None if plain else tls.load(config.certificate, config.certificate_key)
    store = STORES["sqlite"](folder, config.quotas, no_fatal)
    events: list[object] = []
    sock = listening_socket("127.0.0.1", 0)
    try:
        async with Listener(config, store, ledger, served, sock=sock, on_event=events.append) as listener:
            yield Relay(listener, store, ledger, events)
    finally:
        store.close()


@pytest.fixture
async def relay(founded: tuple[Config, LedgerFile], tmp_path: Path) -> AsyncIterator[Relay]:
    """A relay as most tests want it."""
    async with serving(*founded, tmp_path) as relay:
        yield relay


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A relay to be started as a process of its own."""
    with founded_at(tmp_path / "relay") as relay:
        yield relay
