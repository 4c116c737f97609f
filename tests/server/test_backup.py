"""Backups: whole, sealed by mailbox, and accounting for every column of the database."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from server import planted, relay_files
from server.relay_files import opened, save
from server.talk import ask
from troth_protocol.errors import StorageError, UserError
from troth_server import commands, shred
from troth_server.backup.kept import LEFT_OUT, MAILBOX
from troth_server.backup.rows import Row, Table
from troth_server.backup.sealed import BackupFile
from troth_server.commands import Done
from troth_server.shred import SlotFile
from troth_server.storage import Store
from troth_server.storage.schema import TABLES

data, store = relay_files.data, relay_files.store


def columns(table: Table) -> Iterator[str]:
    """Every column that a table of the backup accounts for."""
    for name in (*table.columns, *(seal.column for seal in table.seals), table.own, table.above):
        if name:
            yield f"{table.name}.{name}"
    for below in table.below:
        yield from columns(below)


def test_every_column_of_the_database_is_kept_or_left_out_with_a_reason() -> None:
    """[R-11.8-3]"""
    sql = sqlite3.connect(":memory:")
    sql.executescript(TABLES)
    there = {
        f"{table}.{column}"
        for (table,) in sql.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (column,) in sql.execute("SELECT name FROM pragma_table_info(?)", (table,))
    }
    sql.close()
    out = {name for name in there if name in LEFT_OUT or name.partition(".")[0] in LEFT_OUT}
    kept = set(columns(MAILBOX))
    assert there - out == kept
    assert not out & kept
    assert {name.partition(".")[0] for name in LEFT_OUT} <= {name.partition(".")[0] for name in there}
    assert all(len(reason) > 40 for reason in LEFT_OUT.values())


def test_nothing_of_a_mailbox_is_in_clear_and_no_queue_is_in_it_at_all(
    store: Store, data: Path, tmp_path: Path
) -> None:
    """[R-11.8-2]"""
    for number in range(1, 6):
        planted.live(store, number)
    assert save(data, tmp_path / "b").records == 5
    raw = (tmp_path / "b").read_bytes()
    assert not planted.anybody(raw)
    assert all(planted.box(number).hash not in raw for number in range(1, 6))
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o600
    slots = SlotFile(data / shred.FILE)
    file = BackupFile(tmp_path / "b")
    rows = [record.row for record in file.records(slots.find) if record.row is not None]
    assert "<00" not in repr(rows)  # nor in a traceback
    values = [each for row in rows for each in every(row)]
    assert planted.mark(3, "stor", 32) in values
    assert not any(b" env>" in each or b"leaf>" in each for each in values)
    file.close()
    slots.close()


def every(row: Row) -> Iterator[bytes]:
    yield from (value for value in row.values.values() if isinstance(value, bytes))
    for below in row.below:
        yield from every(below)


def test_sizes_say_little(store: Store, data: Path, tmp_path: Path) -> None:
    """[R-11.8-4]"""
    for number in range(1, 4):
        planted.live(store, number)
    assert ask(store, commands.ChangeSpares(planted.box(1).hash, (b"another".ljust(32),), ())) == Done()
    save(data, tmp_path / "b")
    sizes = [len(raw) for raw in sealed_parts(tmp_path / "b")]
    assert len(sizes) == 3
    assert len(set(sizes)) == 1
    assert (sizes[0] - 16).bit_count() == 1


def sealed_parts(path: Path) -> list[bytes]:
    raw = path.read_bytes()
    at = 14 + int.from_bytes(raw[10:14], "big")
    parts = []
    while raw[at] == 1:
        size = int.from_bytes(raw[at + 21 : at + 25], "big")
        parts.append(raw[at + 25 : at + 25 + size])
        at += 25 + size
    return parts


def test_a_row_whose_seal_does_not_fit_is_left_out_and_counted(store: Store, data: Path, tmp_path: Path) -> None:
    planted.live(store, 1)
    planted.live(store, 2)
    store.close()
    sql = sqlite3.connect(data / "relay.db")
    sql.execute("UPDATE epochs SET expires = expires + 1 WHERE mailbox = 1")
    sql.execute("UPDATE mailboxes SET stored = zeroblob(32) WHERE number = 2")
    sql.commit()
    sql.close()
    taken = save(data, tmp_path / "b")
    assert (taken.records, taken.damaged) == (1, 3)


def test_an_existing_file_is_replaced_on_demand_only(store: Store, data: Path, tmp_path: Path) -> None:
    planted.live(store, 1)
    target = tmp_path / "b"
    target.write_bytes(b"precious")
    with pytest.raises(UserError, match="--force"):
        save(data, target)
    assert target.read_bytes() == b"precious"
    with pytest.raises(UserError, match="no backup"):  # nor is anything but a backup ever replaced
        save(data, target, replace=True)
    assert target.read_bytes() == b"precious"
    target.write_bytes(b"trthback, and older")
    save(data, target, replace=True)
    assert len(target.read_bytes()) > 4_096
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "data"]


def test_a_full_disk_leaves_no_part_of_a_file(
    store: Store, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted.live(store, 1)
    real = os.open

    def on_a_full_disk(path: Path, *rest: int) -> int:
        return real("/dev/full", os.O_WRONLY) if str(path).endswith("b.new") else real(path, *rest)

    monkeypatch.setattr(os, "open", on_a_full_disk)
    with pytest.raises(StorageError, match="No space left"):
        save(data, tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_a_database_of_another_version_is_not_backed_up(tmp_path: Path, data: Path) -> None:
    with pytest.raises(StorageError, match="missing"):
        save(data, tmp_path / "b")
    opened(data).close()
    sql = sqlite3.connect(data / "relay.db")
    sql.execute("PRAGMA user_version = 1")
    sql.close()
    with pytest.raises(StorageError, match="start the relay once"):
        save(data, tmp_path / "b")


def test_a_mailbox_without_a_sound_key_is_counted_and_the_others_are_kept(
    store: Store, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2, 3):
        planted.live(store, number)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    with (data / shred.FILE).open("r+b") as file:
        file.seek(shred.place(2))
        file.write(b"damaged")
        file.seek(shred.place(3))
        file.write(bytes(shred.SLOT))
    taken = save(data, tmp_path / "b")
    assert (taken.records, taken.unsealed) == (1, 2)


def test_rows_are_never_sealed_under_the_key_of_the_next_mailbox(store: Store, data: Path, tmp_path: Path) -> None:
    """The slot's key is looked at before and after the rows: here it changes in between, once."""
    planted.live(store, 1)
    slots = shred.Slots(data / shred.FILE, os.urandom)
    seen: list[bytes | None] = []
    real = SlotFile.find

    def find(self: SlotFile, slot: int) -> bytes | None:
        seen.append(real(self, slot))
        if len(seen) == 1:
            slots.fill([1])
        return seen[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SlotFile, "find", find)
        assert save(data, tmp_path / "b").records == 1
    assert len(set(seen)) == 2
    file = BackupFile(tmp_path / "b")
    assert [record.row is not None for record in file.records(lambda _: seen[0])] == [False]
    assert [record.row is not None for record in file.records(lambda _: seen[-1])] == [True]
    file.close()
    slots.close()
