"""Killed at each step: a backup, a copy of the keys and a restore leave the old state or the new one, and go on."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from server import planted
from server.relay_files import alive, bring_back, erase, lose, opened, save
from server.talk import NOW, ask
from troth_protocol.errors import StorageUntrusted
from troth_server import commands, shred
from troth_server.backup import keys_copy
from troth_server.backup.restore import restore
from troth_server.backup.sealed import BackupFile
from troth_server.shred import SlotFile

STEPS: Final = ("open", "pwrite", "fsync", "fdatasync", "link", "replace", "unlink", "chown")
"""Calls by which anything of this reaches the disk; SQLite's own writes go to a file that has no name yet."""


def killed(work: Callable[[], object], step: int) -> bool:
    """Run ``work`` in a child that is killed before its ``step``-th call; whether it got so far."""
    child = os.fork()
    if child == 0:
        left = step

        def counted(real: Callable[..., object]) -> Callable[..., object]:
            def call(*arguments: object, **named: object) -> object:
                nonlocal left
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*arguments, **named)

            return call

        for name in STEPS:
            setattr(os, name, counted(getattr(os, name)))
        try:
            work()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def each_step(work: Callable[[], object], stride: int) -> Iterator[int]:
    """Kill at the first step, a later one, ... until it is through; the caller puts back what there was."""
    step = 0
    while killed(work, step):
        yield step
        step += stride
    assert step > 4


@pytest.fixture(params=[3, pytest.param(1, marks=pytest.mark.slow)])
def stride(request: pytest.FixtureRequest) -> int:
    """Every third step, or every one."""
    stride: int = request.param
    return stride


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """A relay with three mailboxes that was stopped after one of them was erased; ``b`` knows all three."""
    data = tmp_path / "before"
    store = opened(data)
    for number in (1, 2, 3):
        planted.live(store, number)
    save(data, tmp_path / "b")
    keys_copy.refresh(data / shred.FILE, tmp_path / "keys", make=True)
    erase(store, 2)
    planted.deliver(store, 1, 9)
    store.close()
    return data


def fresh(before: Path) -> Path:
    data = before.with_name("data")
    shutil.rmtree(data, ignore_errors=True)
    shutil.copytree(before, data)
    return data


def test_a_restore_over_a_database_leaves_the_old_one_or_the_new_one(before: Path, tmp_path: Path, stride: int) -> None:
    """[R-11.8-6]"""
    data, states = fresh(before), set[int]()
    for _ in each_step(lambda: bring_back(data, tmp_path / "b"), stride):
        store = opened(data)
        assert [alive(store, number) for number in (1, 2, 3)] == [True, False, True]
        page = ask(store, commands.LoadQueue(planted.box(1).hash, 0, 64, NOW))
        assert isinstance(page, commands.Page)
        states.add(len(page.rows))
        store.close()
        assert bring_back(data, tmp_path / "b").mailboxes == 2  # and the next one goes through, and tidies up
        assert {path.name for path in data.iterdir()} <= {
            "relay.db", "relay.db-lock", "relay.db-reserve", "slots.bin", "blobs",
        }  # fmt: skip
        assert not planted.found(2, data.iterdir())
        fresh(before)
    assert states == {0, 7}


def test_a_restore_into_an_empty_folder_leaves_nothing_or_all(before: Path, tmp_path: Path, stride: int) -> None:
    data = fresh(before)
    lose(data)
    for _ in each_step(lambda: bring_back(data, tmp_path / "b", tmp_path / "keys", replace=False), stride):
        if (data / "relay.db").exists():
            store = opened(data)
            assert [alive(store, number) for number in (1, 2, 3)] == [True, True, True]  # the copy was not refreshed
            store.close()
        elif (data / shred.FILE).exists():
            with pytest.raises(StorageUntrusted, match="restore"):
                opened(data)  # the keys are there: no empty database may take their place
            assert bring_back(data, tmp_path / "b", replace=False).mailboxes == 3
        else:
            assert bring_back(data, tmp_path / "b", tmp_path / "keys", replace=False).mailboxes == 3
        lose(data, *(path.name for path in data.iterdir() if path.is_file()))


def test_a_backup_is_there_whole_or_the_one_before(before: Path, tmp_path: Path, stride: int) -> None:
    target = tmp_path / "target"
    old = (tmp_path / "b").read_bytes()
    target.write_bytes(old)
    slots = SlotFile(before / shred.FILE)
    for _ in each_step(lambda: save(before, target, replace=True), stride):
        file = BackupFile(target)
        file.check(None, slots.header.identity, slots.header.backup_key)
        records = len(list(file.records(slots.find)))
        assert records == (3 if target.read_bytes() == old else 2)
        file.close()
        target.write_bytes(old)
    slots.close()


def test_a_copy_of_the_keys_opens_at_every_step_and_the_next_refresh_mends_it(
    before: Path, tmp_path: Path, stride: int
) -> None:
    """[R-11.8-5]"""
    old = (tmp_path / "keys").read_bytes()
    copy = tmp_path / "copy"
    copy.write_bytes(old)
    for _ in each_step(lambda: keys_copy.refresh(before / shred.FILE, copy, make=True), stride):
        file = SlotFile(copy)
        assert {1, 3} <= set(file.used()) <= {1, 2, 3}
        file.close()
        keys_copy.refresh(before / shred.FILE, copy, make=True)
        assert copy.read_bytes()[shred.place(2) : shred.place(3)] == bytes(shred.SLOT)
        copy.write_bytes(old)


def test_no_file_of_root_keeps_the_relay_out(before: Path, tmp_path: Path) -> None:
    """An operator restores with sudo; the relay runs as the folder's owner."""
    if os.geteuid() != 0:
        pytest.skip("only root makes files for others")
    data = fresh(before)
    lose(data)
    os.chown(data, 4_242, 4_343)
    restore(data, tmp_path / "b", tmp_path / "keys", None, NOW, os.urandom, replace_database=False)
    assert {(path.stat().st_uid, path.stat().st_gid) for path in data.iterdir() if path.is_file()} == {(4_242, 4_343)}
