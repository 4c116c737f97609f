"""What is SQLite's own: file modes, versions, group commit, failures of the disk, and that deleted bytes are gone."""

from __future__ import annotations

import contextlib
import os
import queue
import sqlite3
import stat
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from server.conftest import no_fatal
from server.disk import files
from server.talk import NOW, Box, ask, envelope
from server.test_store import deliver, made, queued, stored
from troth_protocol.errors import StorageError, StorageUntrusted, UserError
from troth_protocol.wire import Code
from troth_server import commands
from troth_server.commands import Done, Failed, Outcome
from troth_server.limits import Quotas
from troth_server.storage import running
from troth_server.storage.clock import UNKNOWN
from troth_server.storage.database import Database
from troth_server.storage.log import WIPED
from troth_server.storage.schema import SCHEMA_VERSION
from troth_server.storage.sqlite import SqliteStore
from troth_server.storage.transaction import Transaction
from troth_server.storage.writer import Writer


def opened(folder: Path) -> SqliteStore:
    return SqliteStore(folder / "relay.db", Quotas(), no_fatal, running, accept_loss=False)


def test_files_are_the_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    old = os.umask(0)
    try:
        store = opened(folder)
        deliver(store, made(store), 1)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        for path in folder.iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
        store.close()
    finally:
        os.umask(old)


def test_pragmas_are_what_the_promises_need(tmp_path: Path) -> None:
    database = Database(tmp_path / "relay.db")
    for pragma, wanted in {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1, "foreign_keys": 1}.items():
        assert database.sql.execute(f"PRAGMA {pragma}").fetchone()[0] == wanted
    tables = database.sql.execute("SELECT name, strict FROM pragma_table_list WHERE schema = 'main'").fetchall()
    assert all(strict for name, strict in tables if not name.startswith("sqlite_"))
    database.close()


def test_a_newer_schema_and_foreign_files_are_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    opened(tmp_path).close()
    sql = sqlite3.connect(path)
    sql.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    sql.close()
    before = path.read_bytes()
    with pytest.raises(UserError, match=f"schema {SCHEMA_VERSION + 1}; this relay knows {SCHEMA_VERSION}"):
        opened(tmp_path)
    assert path.read_bytes() == before
    foreign = tmp_path / "foreign" / "relay.db"
    foreign.parent.mkdir()
    sql = sqlite3.connect(foreign)
    sql.execute("CREATE TABLE t (x)")
    sql.close()
    with pytest.raises(UserError, match="not a relay's"):
        opened(foreign.parent)
    (tmp_path / "noise").mkdir()
    (tmp_path / "noise" / "relay.db").write_bytes(b"noise" * 1_000)
    with pytest.raises(StorageUntrusted, match="cannot be used"):
        opened(tmp_path / "noise")


def test_an_empty_file_is_a_new_database(tmp_path: Path) -> None:
    (tmp_path / "relay.db").write_bytes(b"")
    store = opened(tmp_path)
    made(store)
    store.close()


def test_one_process_at_a_time(tmp_path: Path) -> None:
    store = opened(tmp_path)
    with pytest.raises(StorageError, match="another relay"):
        opened(tmp_path)
    store.close()
    opened(tmp_path).close()


def test_what_was_stored_is_there_after_reopening(tmp_path: Path) -> None:
    store = opened(tmp_path)
    box = made(store)
    for number in range(5):
        deliver(store, box, number)
    store.close()
    store = opened(tmp_path)
    assert [row.envelope for row in queued(store, box).rows] == [envelope(n) for n in range(5)]
    assert not stored(deliver(store, box, 4))
    store.close()


def test_no_id_key_or_secret_is_in_the_files_that_should_not_be(tmp_path: Path) -> None:
    store = opened(tmp_path)
    box = made(store)
    deliver(store, box, 1)
    raw = b"".join(path.read_bytes() for path in files(tmp_path))
    store.close()
    assert box.mailbox not in raw
    assert box.secret not in raw
    assert box.key in raw  # the relay needs it to check tokens
    assert box.hash in raw


def test_an_acknowledged_envelope_is_in_no_file_after_a_sweep(tmp_path: Path) -> None:
    """[R-11.4-6]"""
    store = opened(tmp_path)
    box = made(store)
    marker = b"PLANTED-MARKER-IN-A-CIPHERTEXT"
    for number in range(50):
        deliver(store, box, number, marker + envelope(number)[len(marker) :])
    assert any(marker in path.read_bytes() for path in files(tmp_path))
    assert ask(store, commands.Forget(box.hash, tuple(range(1, 51)))) == Done()
    assert ask(store, commands.Expire(NOW)) == Done()
    for path in files(tmp_path):
        assert marker not in path.read_bytes(), path
    assert (tmp_path / "relay.db-wal").stat().st_size == 0
    deliver(store, box, 99)
    store.close()
    store = opened(tmp_path)
    assert [row.number for row in queued(store, box).rows] == [51]
    store.close()


def test_the_log_is_overwritten_before_it_is_truncated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = opened(tmp_path)
    deliver(store, made(store), 1)
    seen: list[bytes] = []
    fsync = os.fsync

    def spy(handle: int) -> None:
        fsync(handle)
        seen.append((tmp_path / "relay.db-wal").read_bytes())

    monkeypatch.setattr(os, "fsync", spy)
    ask(store, commands.Expire(NOW))
    head, rest = seen[0], seen[-1]
    assert len(head) == len(rest) > 4_096
    assert head.startswith(WIPED)
    assert any(head[len(WIPED) :])
    assert not any(rest[len(WIPED) :])
    store.close()


class Faulty:
    """A ``perform`` that writes a row for each command and fails as told."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.fail: dict[int, Exception] = {}

    def __call__(self, t: Transaction, group: Sequence[commands.Command]) -> list[Outcome]:
        return [self._one(t, command) for command in group]

    def _one(self, t: Transaction, command: commands.Command) -> Outcome:
        assert isinstance(command, commands.Look)
        number = command.limit
        if number == 0:
            self.gate.wait(5)  # lets the test fill a group behind this one
            return Done()
        t.sql.execute(
            "INSERT INTO mailboxes (hash, stored, created, active, seal) VALUES (?, x'', ?, 0, x'')",
            (bytes([number]), number),
        )
        if number in self.fail:
            raise self.fail[number]
        return Done()


def begin(database: Database) -> Transaction:
    return Transaction(database.sql, database.seals, Quotas(), UNKNOWN)


def disk_error(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("disk")
    error.sqlite_errorcode = code
    return error


def run_group(tmp_path: Path, fail: dict[int, Exception], count: int) -> tuple[list[Outcome], set[int], list[str]]:
    """Outcomes of commands 1..count given as one group, the rows that are on disk, and what was fatal."""
    faulty, fatal = Faulty(), list[str]()
    faulty.fail = fail
    writer = Writer(Database(tmp_path / "relay.db"), begin, faulty, lambda names: None, fatal.append, running)
    results: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    for number in range(count + 1):
        writer.submit(commands.Look(number), results.put)
    faulty.gate.set()
    outcomes = [results.get(timeout=10) for _ in range(count + 1)][1:]
    writer.close()
    sql = sqlite3.connect(tmp_path / "relay.db")
    rows = {row[0] for row in sql.execute("SELECT created FROM mailboxes")}
    sql.close()
    return outcomes, rows, fatal


def test_one_commands_failure_is_its_own(tmp_path: Path) -> None:
    outcomes, rows, fatal = run_group(tmp_path, {3: disk_error(sqlite3.SQLITE_FULL), 5: ZeroDivisionError()}, 8)
    assert outcomes[2] == Failed(Code.STORAGE_FULL)
    assert outcomes[4] == Failed(Code.UNAVAILABLE)
    assert outcomes.count(Done()) == 6
    assert rows == {1, 2, 4, 6, 7, 8}
    assert fatal == []


@pytest.mark.parametrize("code", [sqlite3.SQLITE_IOERR, sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_CORRUPT])
def test_after_an_input_or_output_error_nothing_is_promised_any_more(tmp_path: Path, code: int) -> None:
    outcomes, rows, fatal = run_group(tmp_path, {3: disk_error(code)}, 8)
    assert outcomes == [Failed(Code.UNAVAILABLE)] * 8
    assert rows == set()
    assert len(fatal) == 1


def test_a_full_disk_is_answered_and_recovered_from(tmp_path: Path) -> None:
    store = opened(tmp_path)
    box = made(store)
    kept = 0
    sql = store._writer._database.sql  # the page limit is the connection's own
    pages = sql.execute("PRAGMA page_count").fetchone()[0]
    sql.execute(f"PRAGMA max_page_count = {pages + 10}")
    outcomes = [deliver(store, box, number) for number in range(60)]
    kept = sum(1 for outcome in outcomes if isinstance(outcome, commands.Deposited))
    assert 0 < kept < 60
    assert Failed(Code.STORAGE_FULL) in outcomes
    assert len(queued(store, box).rows) == kept
    assert ask(store, commands.Forget(box.hash, tuple(range(1, kept)))) == Done()
    assert stored(in_time(store, box, 100))
    store.close()


def in_time(store: SqliteStore, box: Box, number: int) -> Outcome:
    """Deliver until there is room, which must be noticed within 5 s."""
    end = time.monotonic() + 5
    while (outcome := deliver(store, box, number)) == Failed(Code.STORAGE_FULL) and time.monotonic() < end:
        time.sleep(0.2)
    return outcome


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB; needs the right to mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", disk], check=False).returncode:
        pytest.skip("may not mount a tmpfs here")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


def test_on_a_full_disk_owners_still_read_and_acknowledge_and_room_is_noticed(small_disk: Path) -> None:
    store, full = opened(small_disk), Failed(Code.STORAGE_FULL)
    box = made(store)
    with (small_disk / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(bytes(65_536))
    os.truncate(small_disk / "filler", (small_disk / "filler").stat().st_size - 400_000)
    outcomes = [deliver(store, box, number, envelope(number, 4_226)) for number in range(300)]
    promised = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, commands.Deposited)]
    assert 10 < len(promised) < 300
    assert {outcome for outcome in outcomes if not isinstance(outcome, commands.Deposited)} == {full}
    assert deliver(store, box, 300, envelope(300, 4_226)) == full
    page = queued(store, box, count=1_000)
    assert [row.envelope for row in page.rows] == [envelope(number, 4_226) for number in promised[: len(page.rows)]]
    assert ask(store, commands.Forget(box.hash, tuple(range(1, 11)))) == Done()
    assert ask(store, commands.CountHeld(box.hash)) == commands.Held(0, len(promised) - 10)
    (small_disk / "filler").unlink()
    assert stored(in_time(store, box, 999))
    store.close()
    store = opened(small_disk)
    assert len(queued(store, box, count=1_000).rows) > 0
    assert ask(store, commands.CountHeld(box.hash)) == commands.Held(0, len(promised) - 9)
    store.close()
