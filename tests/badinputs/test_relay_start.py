"""Rows B071 and B072 of the register: what a start finds, said in one line, and the files left as they are."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from server import crash, disk
from server.conftest import no_fatal
from server.disk import home, queued, send
from server.talk import NOW, ask
from troth_protocol.errors import StorageError, StorageUntrusted, TrothError, UserError
from troth_server import commands
from troth_server.limits import Quotas
from troth_server.storage import STORES, Store

BOX: Final = crash.BOX


def opened(folder: Path, *, accept_loss: bool = False) -> Store:
    return STORES["sqlite"](folder, Quotas(), no_fatal, accept_loss=accept_loss)


def left(folder: Path, *, clean: bool, envelopes: int = 20) -> Path:
    """A relay's folder with a mailbox and its queue, as a clean stop or a kill leaves it."""
    child = os.fork()
    if not child:
        store = opened(folder)
        home(store, BOX)
        for number in range(1, envelopes + 1):
            send(store, BOX, number)
        if clean:
            store.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    return folder


def bodies(numbers: range) -> list[bytes]:
    return [disk.body(number) for number in numbers]


# B071 and B072: what a start finds.


def flip(path: Path, at: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1
    path.write_bytes(raw)


def flip_page(folder: Path) -> None:
    """One bit in the header of the page in the middle that holds the queue's index."""
    raw = bytearray((folder / "relay.db").read_bytes())
    leaves = [at for at in range(4_096, len(raw), 4_096) if raw[at] == 0x0A and raw[at + 4]]
    raw[leaves[0] + 5] ^= 1
    (folder / "relay.db").write_bytes(raw)


def flip_name(folder: Path) -> None:
    """The highest bit of a letter before a table's statement: what SQLite says of it is no UTF-8."""
    raw = bytearray((folder / "relay.db").read_bytes())
    raw[raw.index(b"CREATE TABLE") - 12] ^= 0x80
    (folder / "relay.db").write_bytes(raw)


def zero_page(folder: Path) -> None:
    raw = bytearray((folder / "relay.db").read_bytes())
    at = next(at for at in range(4_096, len(raw), 4_096) if raw[at] == 0x0D)
    raw[at : at + 4_096] = bytes(4_096)
    (folder / "relay.db").write_bytes(raw)


def old_put_back(folder: Path) -> None:
    """Two runs later the first file is put back."""
    before = (folder / "relay.db").read_bytes()
    for number in (100, 101):
        store = opened(folder)
        send(store, BOX, number)
        store.close()
    (folder / "relay.db").write_bytes(before)


def same_run_put_back(folder: Path) -> None:
    """A copy made while the relay ran, put back after it stopped."""
    store = opened(folder)
    ask(store, commands.Expire(NOW))
    before = (folder / "relay.db").read_bytes()
    send(store, BOX, 100)
    store.close()
    (folder / "relay.db").write_bytes(before)


def other_slots(folder: Path) -> None:
    opened(folder / "other").close()
    shutil.copy(folder / "other" / "slots.bin", folder / "slots.bin")


def old_slots(folder: Path) -> None:
    before = (folder / "slots.bin").read_bytes()
    for _ in range(3):
        opened(folder).close()
    (folder / "slots.bin").write_bytes(before)


def newer(folder: Path) -> None:
    sql = sqlite3.connect(folder / "relay.db")
    sql.execute("PRAGMA user_version = 99")
    sql.close()


def newer_in_the_log(folder: Path) -> None:
    """The change is in the log alone, as a crash of a newer relay would leave it."""
    child = os.fork()
    if not child:
        sql = sqlite3.connect(folder / "relay.db")
        sql.execute("PRAGMA wal_autocheckpoint=0")
        sql.execute("PRAGMA user_version = 99")
        os._exit(0)
    os.waitpid(child, 0)
    assert (folder / "relay.db-wal").stat().st_size


def foreign(folder: Path) -> None:
    (folder / "relay.db").unlink()
    sql = sqlite3.connect(folder / "relay.db")
    sql.execute("CREATE TABLE t (x)")
    sql.close()


def of_another_user(folder: Path) -> None:
    os.chown(folder / "relay.db", 12_345, 12_345)


def linked(folder: Path) -> None:
    (folder / "relay.db").rename(folder / "elsewhere.db")
    (folder / "relay.db").symlink_to(folder / "elsewhere.db")


Spoil = Callable[[Path], None]
CLOSED: Final[dict[str, tuple[Spoil, type[TrothError], int, str]]] = {
    "a flipped bit in a page": (flip_page, StorageUntrusted, 70, "database is damaged"),
    "a zeroed page": (zero_page, StorageUntrusted, 70, "database is damaged"),
    "a file cut short": (
        lambda folder: os.truncate(folder / "relay.db", 5 * 4_096), StorageUntrusted, 70, "database is damaged"),
    "a flipped bit in a table's name": (flip_name, StorageUntrusted, 70, "a name in it is no text"),
    "a header of noise": (lambda folder: flip(folder / "relay.db", 3), StorageUntrusted, 70, "is damaged"),
    "an empty database": (lambda folder: os.truncate(folder / "relay.db", 0), StorageUntrusted, 70, "empty or missing"),
    "no database": (lambda folder: (folder / "relay.db").unlink(), StorageUntrusted, 70, "empty or missing"),
    "an old database": (old_put_back, StorageUntrusted, 70, "older than the key slots.*troth-relay restore"),
    "a copy of the same run": (same_run_put_back, StorageUntrusted, 70, "older than the key slots"),
    "no key slots": (lambda folder: (folder / "slots.bin").unlink(), StorageUntrusted, 70, "key slots are missing"),
    "another's key slots": (other_slots, StorageUntrusted, 70, "another relay's"),
    "old key slots": (old_slots, StorageUntrusted, 70, "slots are older"),
    "a newer schema": (newer, UserError, 1, "schema 99; this relay knows"),
    "a newer schema in the log": (newer_in_the_log, UserError, 1, "schema 99; this relay knows"),
    "another program's database": (foreign, UserError, 1, "not a relay's"),
    "a symbolic link": (linked, StorageError, 3, "not a file"),
}  # fmt: skip


@pytest.mark.parametrize("what", CLOSED)
def test_b071_b072_a_start_says_what_is_wrong_and_leaves_the_files(tmp_path: Path, what: str) -> None:
    """[R-11.7-2]"""
    spoil, kind, code, said = CLOSED[what]
    left(tmp_path, clean=True)
    spoil(tmp_path)
    before = disk.snapshot(tmp_path)
    for _ in range(2):
        with pytest.raises(kind, match=said) as caught:
            opened(tmp_path)
        assert type(caught.value) is kind
        assert caught.value.exit_code == code
        assert "\n" not in str(caught.value)
        assert disk.snapshot(tmp_path) == before


def commits(folder: Path) -> list[int]:
    """Where each commit's last frame begins in the log."""
    raw = (folder / "relay.db-wal").read_bytes()
    return [at for at in range(32, len(raw), 4_120) if any(raw[at + 4 : at + 8])]


def zero_log(folder: Path) -> None:
    raw = bytearray((folder / "relay.db-wal").read_bytes())
    raw[:4_096] = bytes(4_096)
    (folder / "relay.db-wal").write_bytes(raw)


def flip_frame(folder: Path) -> None:
    """In a commit that others follow."""
    flip(folder / "relay.db-wal", commits(folder)[3] + 99)


CRASHED: Final[dict[str, tuple[Spoil, str]]] = {
    "no log": (lambda folder: (folder / "relay.db-wal").unlink(), "log is missing"),
    "a flipped bit in the log": (flip_frame, "log is damaged"),
    "a flipped bit in the log's header": (lambda folder: flip(folder / "relay.db-wal", 9), "log is damaged"),
    "a zeroed page of the log": (zero_log, "log is damaged"),
}


@pytest.mark.parametrize("what", CRASHED)
def test_b071_a_lost_log_is_noticed_and_accepted_on_the_operators_word(tmp_path: Path, what: str) -> None:
    """[R-11.7-2]"""
    spoil, said = CRASHED[what]
    left(tmp_path, clean=False)
    spoil(tmp_path)
    before = disk.snapshot(tmp_path)
    for _ in range(2):
        with pytest.raises(StorageUntrusted, match=f"{said}.*--accept-loss") as caught:
            opened(tmp_path)
        assert caught.value.exit_code == 70
        assert disk.snapshot(tmp_path) == before
    try:
        store = opened(tmp_path, accept_loss=True)
    except StorageUntrusted as error:  # all of it was in the log
        assert "mailboxes have keys" in str(error)  # noqa: PT017
        return
    if isinstance(ask(store, commands.CountHeld(BOX.hash)), commands.Held):
        here = queued(store, BOX)
        assert here == bodies(range(1, len(here) + 1))
    store.close()


def test_b071_an_unfinished_last_commit_is_a_crash_and_no_damage(tmp_path: Path) -> None:
    left(tmp_path, clean=False)
    last = commits(tmp_path)[-1]
    os.truncate(tmp_path / "relay.db-wal", last + 2_000)
    store = opened(tmp_path)
    assert queued(store, BOX) == bodies(range(1, 20))
    store.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
def test_b072_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    left(tmp_path, clean=True)
    of_another_user(tmp_path)
    with pytest.raises(StorageError, match=r"relay\.db belongs to another user"):
        opened(tmp_path)


def test_b072_files_that_others_may_read_are_closed_to_them(tmp_path: Path) -> None:
    left(tmp_path, clean=True)
    for name in ("relay.db", "slots.bin", "relay.db-reserve"):
        (tmp_path / name).chmod(0o644)
    store = opened(tmp_path)
    assert all(path.stat().st_mode & 0o077 == 0 for path in disk.files(tmp_path))
    store.close()


def test_b072_a_database_that_another_process_has_locked(tmp_path: Path) -> None:
    left(tmp_path, clean=True)
    sql = sqlite3.connect(tmp_path / "relay.db", isolation_level=None)
    sql.execute("PRAGMA locking_mode=EXCLUSIVE")
    sql.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StorageError, match="another process has the database locked"):
        opened(tmp_path)
    sql.close()
    lock = os.open(tmp_path / "relay.db-lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with pytest.raises(StorageError, match="another relay"):
        opened(tmp_path)
    os.close(lock)
    store = opened(tmp_path)
    assert queued(store, BOX) == bodies(range(1, 21))
    store.close()
