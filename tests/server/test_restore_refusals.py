"""A backup that is not whole, or not this relay's, is refused in one line and nothing is half restored."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
from pathlib import Path

import pytest

from server import planted, relay_files
from server.disk import files
from server.relay_files import LATER, alive, bring_back, opened, save, snapshot
from server.talk import ask
from troth_protocol.errors import StorageError, TrothError, UserError
from troth_server import commands, shred
from troth_server.backup import keys_copy, leavings
from troth_server.backup.restore import restore
from troth_server.backup.sealed import BackupFile
from troth_server.backup.take import take
from troth_server.commands import Done
from troth_server.commands import Taken as TakenBundle
from troth_server.shred import SlotFile
from troth_server.storage import Store

data, store = relay_files.data, relay_files.store


def test_any_change_to_a_backup_is_seen_and_nothing_is_half_restored(store: Store, data: Path, tmp_path: Path) -> None:
    """[R-11.8-4]"""
    for number in (1, 2, 3):
        planted.live(store, number)
    save(data, tmp_path / "b")
    store.close()
    good = (tmp_path / "b").read_bytes()
    before = snapshot(data)
    chance = random.Random(3)
    start = 14 + int.from_bytes(good[10:14], "big")
    length = (len(good) - start - 33) // 3
    records = [good[start + place * length : start + (place + 1) * length] for place in range(3)]
    swapped = good[:start] + records[1] + records[0] + records[2] + good[-33:]
    bad = {
        "swapped": swapped,
        "dropped": good[:start] + records[0] + records[2] + good[-33:],
        "doubled": good[:start] + records[0] + records[0] + records[1] + records[2] + good[-33:],
        "longer": good + b"\0",
        "empty": b"",
        "noise": chance.randbytes(5_000),
        "version": good[:9] + b"\2" + good[10:],
        **{f"cut {at}": good[:at] for at in (1, 9, 13, 60, start, start + 10, len(good) - 33, len(good) - 1)},
        **{
            f"bit {at}": good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
            for at in chance.sample(range(len(good)), 60)
        },
    }
    for name, content in bad.items():
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(TrothError) as refused:
            bring_back(data, tmp_path / "bad")
        assert len(str(refused.value)) < 100, name
        assert "\n" not in str(refused.value)
        assert snapshot(data) == before, name
    assert bring_back(data, tmp_path / "b").mailboxes == 3


def test_another_relays_backup_and_keys_are_refused(store: Store, data: Path, tmp_path: Path) -> None:
    planted.live(store, 1)
    save(data, tmp_path / "b")
    store.close()
    before = snapshot(data)
    with pytest.raises(UserError, match="of another relay"):
        restore(data, tmp_path / "b", None, b"x" * 32, LATER, os.urandom, replace_database=True)
    other = opened(tmp_path / "other")
    other.close()
    keys_copy.refresh(tmp_path / "other" / shred.FILE, tmp_path / "keys", make=True)
    with pytest.raises(UserError, match="not sealed with these key slots"):
        bring_back(tmp_path / "new", tmp_path / "b", tmp_path / "keys")
    assert not (tmp_path / "new" / "relay.db").exists()
    assert snapshot(data) == before


def test_a_mailbox_that_was_moved_into_another_slot_does_not_open(store: Store, data: Path, tmp_path: Path) -> None:
    """Each record names its slot and its place: under the very key, elsewhere, it is dead."""
    planted.live(store, 1)
    save(data, tmp_path / "b")
    slots = SlotFile(data / shred.FILE)
    key = slots.find(1)
    slots.close()
    file = BackupFile(tmp_path / "b")
    assert [record.row is not None for record in file.records(lambda _: key)] == [True]
    file.close()
    raw = bytearray((tmp_path / "b").read_bytes())
    at = 14 + int.from_bytes(raw[10:14], "big") + 1
    raw[at : at + 8] = (2).to_bytes(8, "big")
    (tmp_path / "b").write_bytes(raw)
    file = BackupFile(tmp_path / "b")
    assert [record.row is not None for record in file.records(lambda _: key)] == [False]
    file.close()


def test_hashes_that_two_records_claim_are_given_to_the_first(store: Store, data: Path, tmp_path: Path) -> None:
    """A lookup id that moved between mailboxes while the backup was taken must not stop the restore."""
    planted.live(store, 1)
    planted.live(store, 2)
    assert ask(store, commands.RemoveBundle(planted.box(2).hash, planted.lookup(2))) == Done()
    real = take.__globals__["_mailbox"]

    def move(source: object, slots: SlotFile, number: int) -> object:
        row = real(source, slots, number)
        if number == 1:
            box1, box2 = planted.box(1), planted.box(2)
            assert ask(store, commands.RemoveBundle(box1.hash, planted.lookup(1))) == Done()
            bundle = commands.PutBundle(box2.hash, planted.lookup(1), b"c" * 32, 1, b"b" * 16, b"B" * 18_432)
            assert ask(store, bundle) == Done()
        return row

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(take.__globals__, "_mailbox", move)
        save(data, tmp_path / "b")
    store.close()
    assert bring_back(data, tmp_path / "b").mailboxes == 2
    store = opened(data)
    answer = ask(store, commands.TakeBundle(planted.lookup(1), planted.capability(1), LATER))
    assert isinstance(answer, TakenBundle)
    store.close()


def crashed(data: Path, to: Path) -> Path:
    """The files of a relay that was killed: what they are while it runs."""
    to.mkdir()
    for path in files(data):
        (to / path.name).write_bytes(path.read_bytes())
    return to


def test_a_log_that_somebody_reads_is_not_thrown_away(
    store: Store, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leavings, "BUSY", 0.1)
    planted.live(store, 1)
    save(data, tmp_path / "b")
    planted.live(store, 2)
    old = crashed(data, tmp_path / "old")
    reader = sqlite3.connect(old / "relay.db", isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM mailboxes").fetchone() == (2,)
    with pytest.raises(StorageError, match="another process reads"):
        bring_back(old, tmp_path / "b")
    reader.execute("COMMIT")
    assert reader.execute("SELECT count(*) FROM mailboxes").fetchone() == (2,)
    reader.close()
    assert bring_back(old, tmp_path / "b").mailboxes == 1
    assert not planted.found(2, old.iterdir())


def test_a_database_beyond_repair_is_replaced_with_its_log(store: Store, data: Path, tmp_path: Path) -> None:
    planted.live(store, 1)
    save(data, tmp_path / "b")
    planted.live(store, 2)
    old = crashed(data, tmp_path / "old")
    (old / "relay.db").write_bytes(b"noise" * 2_000)
    assert planted.found(2, old.iterdir())
    with pytest.raises(UserError, match="--replace"):
        bring_back(old, tmp_path / "b", replace=False)
    assert bring_back(old, tmp_path / "b").mailboxes == 1
    assert not (old / "relay.db-wal").exists()
    again = opened(old)
    assert alive(again, 1)
    assert not alive(again, 2)
    again.close()
    assert not planted.found(2, old.iterdir())


def test_a_full_disk_leaves_what_there_was(store: Store, data: Path, tmp_path: Path) -> None:
    for number in range(1, 9):
        planted.live(store, number)
    save(data, tmp_path / "b")
    store.close()
    small = tmp_path / "small"
    small.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a tmpfs here")
    try:
        slots = (data / shred.FILE).read_bytes()
        (small / shred.FILE).write_bytes(slots)
        (small / "relay.db-lock").touch()
        (small / "filler").write_bytes(bytes(800_000))
        with pytest.raises(StorageError, match="cannot be made"):
            bring_back(small, tmp_path / "b", replace=False)
        assert {path.name for path in small.iterdir()} == {shred.FILE, "relay.db-lock", "filler"}
        assert (small / shred.FILE).read_bytes() == slots
        (small / "filler").unlink()
        assert bring_back(small, tmp_path / "b", replace=False).mailboxes == 8
    finally:
        subprocess.run(["umount", "--lazy", str(small)], check=True)
