"""A relay's folder as its backups, restores and proofs see it: what their tests do to it again and again.

A file of tests has the fixtures by naming them: ``data, store = relay_files.data, relay_files.store``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from server import planted
from server.conftest import no_fatal
from server.talk import NOW, ask
from troth_server import commands
from troth_server.backup.restore import Restored, restore
from troth_server.backup.take import Taken, take
from troth_server.commands import Done
from troth_server.limits import Quotas
from troth_server.storage import STORES, Store

RELAY: Final = b"r" * 32
LATER: Final = NOW + 3_600


def opened(data: Path) -> Store:
    return STORES["sqlite"](data, Quotas(), no_fatal)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def store(data: Path) -> Iterator[Store]:
    store = opened(data)
    yield store
    store.close()


def sweep(store: Store) -> None:
    assert ask(store, commands.Expire(NOW)) == Done()


def save(data: Path, target: Path, *, replace: bool = False) -> Taken:
    return take(data, target, RELAY, NOW, os.urandom, replace=replace)


def bring_back(
    data: Path, target: Path, keys: Path | None = None, *, replace: bool = True, now: int = LATER
) -> Restored:
    return restore(data, target, keys, RELAY, now, os.urandom, replace_database=replace)


def erase(store: Store, number: int) -> None:
    assert ask(store, commands.Erase(planted.box(number).hash)) == Done()


def lose(data: Path, *names: str) -> None:
    for name in names or ("relay.db", "relay.db-wal", "relay.db-shm", "relay.db-reserve", "relay.db-lock", "slots.bin"):
        (data / name).unlink(missing_ok=True)


def alive(store: Store, number: int) -> bool:
    answer = ask(store, commands.LoadOwner(planted.box(number).hash))
    assert isinstance(answer, commands.OwnerKey)
    return answer.stored is not None


def snapshot(data: Path) -> dict[str, bytes]:
    """Every file that matters."""
    files = (path for path in data.iterdir() if path.is_file())
    return {path.name: path.read_bytes() for path in files if not path.name.endswith(("-lock", "-shm"))}
