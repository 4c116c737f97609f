"""The proof of erasure: it holds after an erasure, and each thing that can be wrong is found."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from server import planted, relay_files
from server.relay_files import RELAY, erase, opened, save, sweep
from troth_server import operator, shred
from troth_server.backup import keys_copy
from troth_server.cli import main
from troth_server.config import Config
from troth_server.erasure import proof
from troth_server.erasure.log import frames
from troth_server.erasure.proof import Finding, place, prove
from troth_server.ledger_file import LedgerFile
from troth_server.storage import Store

data, store = relay_files.data, relay_files.store


def found(
    data: Path, backup: Path | None = None, keys: Path | None = None, sleep: Callable[[float], None] = time.sleep
) -> dict[str, Finding]:
    with place(data, sleep) as at:
        return {finding.name: finding for finding in prove(at, backup, keys, RELAY)}


def test_all_holds_after_an_erasure_and_a_sweep_also_beside_the_running_relay(
    store: Store, data: Path, tmp_path: Path
) -> None:
    """[R-11.8-7]"""
    for number in range(1, 7):
        planted.live(store, number)
    save(data, tmp_path / "b")
    for number in (2, 5):
        erase(store, number)
    sweep(store)
    for running in (True, False):
        checks = found(data, tmp_path / "b")
        assert [name for name, check in checks.items() if not check.holds] == []
        assert list(checks) == ["log", "pages", "files", "blobs", "slots", "backup"]
        assert checks["backup"].numbers == {"records": 6, "open": 4, "dead": 2, "revived": 0}
        assert checks["slots"].numbers == {"mailboxes": 4, "used": 4, "orphans": 0, "bare": 0}
        assert checks["pages"].numbers["bytes"] == (data / "relay.db").stat().st_size
        assert checks["pages"].numbers["free"] > 0
        if running:
            store.close()
    assert not planted.found(2, data.iterdir())
    assert planted.found(1, data.iterdir())


def test_a_deleted_row_that_was_not_overwritten_is_found(store: Store, data: Path) -> None:
    """[R-11.8-7]"""
    planted.live(store, 1)
    store.close()
    sql = sqlite3.connect(data / "relay.db")
    sql.execute("PRAGMA secure_delete = OFF")
    sql.execute("DELETE FROM envelopes")
    sql.commit()
    sql.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    sql.close()
    check = found(data)["pages"]
    assert not check.holds
    assert check.numbers["left"] > 1_000


def test_what_a_crash_left_in_the_log_is_found(store: Store, data: Path, tmp_path: Path) -> None:
    planted.live(store, 1)
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    for path in (each for each in data.iterdir() if each.is_file()):
        (crashed / path.name).write_bytes(path.read_bytes())
    assert frames(crashed / "relay.db-wal").frames > 0
    check = found(crashed)["log"]
    assert not check.holds
    assert "start and stop" in check.said
    opened(crashed).close()
    assert found(crashed)["log"].holds


def test_a_running_relays_log_must_be_swept_within_a_minute(store: Store, data: Path) -> None:
    planted.live(store, 1)
    waited: list[float] = []
    assert not found(data, sleep=waited.append)["log"].holds
    assert waited.count(1) >= proof.SWEEP
    done: list[float] = []

    def sweeping(seconds: float) -> None:
        done.append(seconds)
        if len(done) == 5:
            sweep(store)
            planted.live(store, 2)  # what comes after the sweep is young, and no reason to wait

    check = found(data, sleep=sweeping)["log"]
    assert check.holds
    assert check.numbers["seconds"] == 5


def test_a_key_without_a_mailbox_and_a_mailbox_without_a_key_are_found(store: Store, data: Path) -> None:
    for number in (1, 2):
        planted.live(store, number)
    store.close()
    slots = shred.Slots(data / shred.FILE, os.urandom)
    slots.fill([9])
    assert found(data)["slots"].numbers["orphans"] == 1
    slots.erase([9, 1])
    check = found(data)["slots"]
    assert (check.holds, check.numbers["bare"], check.numbers["orphans"]) == (False, 1, 0)
    slots.close()


def test_a_backup_that_would_bring_somebody_back_is_found(store: Store, data: Path, tmp_path: Path) -> None:
    """The key of an erased mailbox was put back by hand, with the mailbox gone: its record opens again."""
    for number in (1, 2):
        planted.live(store, number)
    save(data, tmp_path / "b")
    held = (data / shred.FILE).read_bytes()
    erase(store, 2)
    store.close()
    assert found(data, tmp_path / "b")["backup"].holds
    with (data / shred.FILE).open("r+b") as file:
        file.seek(shred.place(2))
        file.write(held[shred.place(2) : shred.place(3)])
    checks = found(data, tmp_path / "b")
    assert not checks["backup"].holds
    assert checks["backup"].numbers["revived"] == 1
    assert not checks["slots"].holds


def test_a_stale_copy_of_the_keys_is_found(store: Store, data: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        planted.live(store, number)
    keys_copy.refresh(data / shred.FILE, tmp_path / "keys", make=True)
    erase(store, 2)
    sweep(store)
    check = found(data, keys=tmp_path / "keys")["copy"]
    assert (check.holds, check.numbers) == (False, {"keys": 2, "stale": 1})
    keys_copy.refresh(data / shred.FILE, tmp_path / "keys", make=True)
    assert found(data, keys=tmp_path / "keys")["copy"].holds


@pytest.mark.parametrize("name", ["relay.db.restoring", "relay.db.replaced", "relay.db-journal", "slots.bin.new"])
def test_what_an_interrupted_restore_left_is_named(store: Store, data: Path, name: str) -> None:
    store.close()
    (data / name).write_bytes(b"left")
    check = found(data)["files"]
    assert not check.holds
    assert name in check.said


def test_looking_changes_nothing(store: Store, data: Path, tmp_path: Path) -> None:
    planted.live(store, 1)
    save(data, tmp_path / "b")
    store.close()
    before = {path.name: path.read_bytes() for path in data.iterdir() if path.is_file()}
    found(data, tmp_path / "b")
    assert {path.name: path.read_bytes() for path in data.iterdir() if path.is_file()} == before


def test_the_verb_says_each_check_and_fails_if_one_does(
    founded: tuple[Config, LedgerFile], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, _ = founded
    data = tmp_path / "relay"
    data.mkdir()
    for name in ("relay.toml", "ledger.bin", "tls-cert.pem", "tls-key.pem"):
        (data / name).write_bytes((config.data / name).read_bytes())
    arguments = ["--data", str(data)]
    store = opened(data)
    for number in (1, 2):
        planted.live(store, number)
    copy, backup = str(tmp_path / "keys"), str(tmp_path / "b")
    assert main(["backup", *arguments, backup, "--keys", copy]) == 1
    assert "--make-copy" in capsys.readouterr().err
    (tmp_path / "b").unlink()
    assert main(["backup", *arguments, backup, "--keys", copy, "--make-copy"]) == 0
    assert "2 mailboxes" in capsys.readouterr().out
    assert main(["backup", *arguments, backup]) == 1
    assert "--force" in capsys.readouterr().err
    erase(store, 2)
    store.close()
    assert main(["verify-erasure", *arguments, "--backup", backup, "--keys", copy]) == 4
    out = capsys.readouterr().out
    assert "1 open, 1 open under no key" in out
    assert "refresh it with troth-relay backup --keys" in out
    assert main(["backup", *arguments, str(tmp_path / "b2"), "--keys", copy]) == 0
    assert main(["restore", *arguments, backup]) == 1
    assert "--replace" in capsys.readouterr().err
    assert main(["restore", *arguments, backup, "--replace"]) == 0
    assert "1 records open under no key" in capsys.readouterr().out
    assert main(["verify-erasure", *arguments, "--backup", backup, "--keys", copy, "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line.get("check") for line in lines] == ["log", "pages", "files", "blobs", "slots", "copy", "backup", None]
    assert all(line["holds"] for line in lines)
    assert main(["verify-erasure", "--data", str(tmp_path / "nowhere")]) == 1
    assert operator.KEY_FILE not in {path.name for path in data.iterdir()}
