"""A database of every earlier version becomes one of this, with every row; a crash in the middle changes nothing."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Final

import pytest

from server import disk
from server.disk import BATCH, BUNDLE, CARD, LOOKUP, SPARE
from server.relay_files import opened
from server.talk import NOW, Box, ask
from troth_protocol import ownership
from troth_protocol.encoding import sha256
from troth_protocol.wire import Via
from troth_server import commands
from troth_server.commands import Deposited, Done
from troth_server.limits import DAY, EPOCH_AHEAD
from troth_server.shred import Slots
from troth_server.storage import Store, database, migrations
from troth_server.storage.schema import APPLICATION_ID, SCHEMA_VERSION
from troth_server.storage.transaction import Transaction

VERSION_1: Final = """
CREATE TABLE mailboxes (
  number INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, stored BLOB NOT NULL, created INTEGER NOT NULL,
  queued INTEGER NOT NULL DEFAULT 0, queued_bytes INTEGER NOT NULL DEFAULT 0, last INTEGER NOT NULL DEFAULT 0,
  batch BLOB NOT NULL DEFAULT x''
) STRICT;
CREATE TABLE epochs (
  number INTEGER PRIMARY KEY, mailbox INTEGER NOT NULL REFERENCES mailboxes ON DELETE CASCADE, key BLOB NOT NULL,
  expires INTEGER NOT NULL, spent INTEGER NOT NULL DEFAULT 0, UNIQUE (mailbox, key)
) STRICT;
CREATE INDEX epochs_expiry ON epochs (expires);
CREATE TABLE spent (
  epoch INTEGER NOT NULL REFERENCES epochs ON DELETE CASCADE, nonce BLOB NOT NULL, envelope BLOB NOT NULL,
  PRIMARY KEY (epoch, nonce)
) STRICT, WITHOUT ROWID;
CREATE TABLE lookups (
  number INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE,
  mailbox INTEGER NOT NULL REFERENCES mailboxes ON DELETE CASCADE, capability BLOB NOT NULL,
  leaves_left INTEGER NOT NULL, envelopes_left INTEGER NOT NULL, fetches_left INTEGER NOT NULL, batch BLOB NOT NULL,
  bundle BLOB NOT NULL
) STRICT;
CREATE INDEX lookups_mailbox ON lookups (mailbox);
CREATE TABLE firsts (
  lookup INTEGER NOT NULL REFERENCES lookups ON DELETE CASCADE, nonce BLOB NOT NULL, envelope BLOB NOT NULL,
  PRIMARY KEY (lookup, nonce)
) STRICT, WITHOUT ROWID;
CREATE TABLE leaves (
  mailbox INTEGER NOT NULL REFERENCES mailboxes ON DELETE CASCADE, position INTEGER NOT NULL, leaf BLOB,
  PRIMARY KEY (mailbox, position)
) STRICT;
CREATE TABLE spares (
  mailbox INTEGER NOT NULL REFERENCES mailboxes ON DELETE CASCADE, hash BLOB NOT NULL, used INTEGER NOT NULL DEFAULT 0,
  nonce BLOB NOT NULL DEFAULT x'', envelope BLOB NOT NULL DEFAULT x'', fetched INTEGER NOT NULL DEFAULT 0,
  fetches INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (mailbox, hash)
) STRICT, WITHOUT ROWID;
CREATE TABLE envelopes (
  row INTEGER PRIMARY KEY, mailbox INTEGER NOT NULL REFERENCES mailboxes ON DELETE CASCADE, number INTEGER NOT NULL,
  expires INTEGER NOT NULL, via INTEGER NOT NULL, mark BLOB NOT NULL, envelope BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX envelopes_queue ON envelopes (mailbox, number);
CREATE INDEX envelopes_expiry ON envelopes (expires);
"""
"""Frozen: what the first release wrote."""


def version_1(folder: Path, box: Box, other: Box) -> None:
    """A database of the first version with a row, or two, in every table; its log is left as a crash would."""
    sql = sqlite3.connect(folder / "relay.db", isolation_level=None)
    sql.execute("PRAGMA journal_mode=WAL")
    sql.executescript(f"BEGIN; {VERSION_1} PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version=1; COMMIT;")
    rows: list[tuple[str, tuple[int | bytes | None, ...]]] = [
        ("mailboxes", (1, other.hash, ownership.stored(other.secret), NOW - NOW % 3600, 0, 0, 0, b"")),
        ("mailboxes", (7, box.hash, ownership.stored(box.secret), NOW - NOW % 3600, 2, 2_308, 5, BATCH)),
        ("epochs", (3, 7, box.key, NOW + EPOCH_AHEAD, 1)),
        ("epochs", (4, 1, other.key, NOW + EPOCH_AHEAD, 0)),
        ("spent", (3, disk.token(box, 4)[:16], sha256(disk.body(4)))),
        ("lookups", (9, LOOKUP, 7, CARD, 2, 16, 16, BATCH, BUNDLE)),
        ("firsts", (9, disk.nonce(5), sha256(disk.body(5)))),
        ("leaves", (7, 0, None)),
        ("leaves", (7, 1, disk.leaf(1))),
        ("spares", (7, SPARE, NOW - NOW % 3600, disk.nonce(6), sha256(disk.body(6)), 0, 0)),
        ("envelopes", (11, 7, 4, NOW + DAY, Via.TOKEN, disk.token(box, 4)[:16] + bytes(16), disk.body(4))),
        ("envelopes", (12, 7, 5, NOW + DAY, Via.INTRO, LOOKUP, disk.body(5))),
    ]
    for table, values in rows:
        sql.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(values))})", values)
    for path in ("relay.db", "relay.db-wal"):
        (folder / f"{path}.kept").write_bytes((folder / path).read_bytes())
    sql.close()
    for path in ("relay.db", "relay.db-wal"):
        os.replace(folder / f"{path}.kept", folder / path)


def holds_what_version_1_held(store: Store, box: Box, other: Box) -> None:
    assert ask(store, commands.LoadOwner(box.hash)) == commands.OwnerKey(ownership.stored(box.secret))
    assert ask(store, commands.LoadOwner(other.hash)) == commands.OwnerKey(ownership.stored(other.secret))
    rows = disk.page(store, box).rows
    assert [(row.number, row.via, row.envelope) for row in rows] == [
        (4, Via.TOKEN, disk.body(4)), (5, Via.INTRO, disk.body(5))
    ]  # fmt: skip
    assert ask(store, commands.CountHeld(box.hash)) == commands.Held(1, 2)
    for repeat in (
        commands.Deposit(box.mailbox, disk.token(box, 4), disk.body(4), NOW),
        commands.DepositFirst(LOOKUP, CARD, disk.nonce(5), disk.body(5), NOW),
        commands.DepositSpare(box.hash, SPARE, disk.nonce(6), disk.body(6), NOW),
    ):
        outcome = ask(store, repeat)
        assert isinstance(outcome, Deposited)
        assert outcome.row is None
    assert isinstance(disk.send(store, box, 9), Deposited)
    assert disk.page(store, box).rows[-1].number == 6
    assert ask(store, commands.TakeBundle(LOOKUP, CARD, NOW)) == commands.Taken(BUNDLE, disk.leaf(1))
    assert ask(store, commands.TakeBundle(LOOKUP, CARD, NOW)) == commands.Taken(BUNDLE, None)
    assert isinstance(disk.send(store, other, 1), Deposited)


def shape(folder: Path) -> dict[str, object]:
    """Tables, columns, indexes and references, however they were written."""
    sql = sqlite3.connect(folder / "relay.db")
    said: dict[str, object] = {"version": sql.execute("PRAGMA user_version").fetchone()}
    for name, kind, strict, rowid in sql.execute(
        "SELECT name, type, strict, wr FROM pragma_table_list WHERE schema = 'main'"
    ).fetchall():
        said[name] = (
            kind, strict, rowid, sql.execute(f"SELECT * FROM pragma_table_info('{name}')").fetchall(),
            sorted(row[2:] for row in sql.execute(f"SELECT * FROM pragma_foreign_key_list('{name}')")),
            sorted(row[1:] for row in sql.execute(f"SELECT * FROM pragma_index_list('{name}')")),
        )  # fmt: skip
    sql.close()
    return said


def test_version_1_becomes_the_newest_with_every_row(tmp_path: Path) -> None:
    box, other = Box(), Box()
    version_1(tmp_path, box, other)
    store = opened(tmp_path)
    holds_what_version_1_held(store, box, other)
    store.close()
    slots = Slots(tmp_path / "slots.bin", os.urandom)
    assert set(slots.used()) == {1, 7}
    slots.close()
    fresh = tmp_path / "fresh"
    opened(fresh).close()
    assert shape(tmp_path) == shape(fresh)
    store = opened(tmp_path)
    assert ask(store, commands.Erase(box.hash)) == Done()
    assert ask(store, commands.Expire(NOW)) == Done()
    wanted = disk.markers(box)
    assert disk.found(tmp_path, wanted) == {}
    store.close()


def test_no_old_copy_of_a_row_survives_a_migration(tmp_path: Path) -> None:
    """[R-11.7-6]: a mailbox erased right after it, and no page of the old tables holds it."""
    box, other = Box(), Box()
    version_1(tmp_path, box, other)
    assert disk.found(tmp_path, {"envelope": disk.body(4)[:19]})
    store = opened(tmp_path)
    assert ask(store, commands.Forget(box.hash, (4,))) == Done()
    assert ask(store, commands.Expire(NOW)) == Done()
    assert disk.found(tmp_path, {"envelope": disk.body(4)[:19]}) == {}
    store.close()
    assert disk.found(tmp_path, {"envelope": disk.body(4)[:19]}) == {}


@pytest.mark.parametrize("statements", range(1, 60, 7))
def test_a_crash_in_the_middle_of_a_migration_loses_nothing(tmp_path: Path, statements: int) -> None:
    """The process ends after so many statements; the next start begins the step again."""
    box, other = Box(), Box()
    version_1(tmp_path, box, other)
    child = os.fork()
    if not child:
        left = statements
        make = migrations._seal_rows

        def trace(_: str) -> None:
            nonlocal left
            left -= 1
            if not left:
                os._exit(9)

        def step(t: Transaction) -> None:
            t.sql.set_trace_callback(trace)
            make(t)

        vars(database)["MIGRATIONS"] = {**migrations.MIGRATIONS, 1: (2, step)}
        opened(tmp_path)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    store = opened(tmp_path)
    holds_what_version_1_held(store, box, other)
    store.close()


def test_there_is_a_step_from_every_version() -> None:
    for version in range(SCHEMA_VERSION):
        after, _ = migrations.MIGRATIONS[version]
        assert version < after <= SCHEMA_VERSION
