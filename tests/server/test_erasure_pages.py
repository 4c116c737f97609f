"""The database file byte by byte, and the disk beneath it, seen without asking SQLite."""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
from pathlib import Path

import pytest

from server import planted, relay_files
from server.relay_files import erase, opened, sweep
from server.talk import ask
from troth_protocol.errors import StorageError
from troth_server import commands
from troth_server.erasure import medium
from troth_server.erasure.page import parse
from troth_server.erasure.sqlite_pages import Found, PageFile
from troth_server.storage import Store

data, store = relay_files.data, relay_files.store


def examined(path: Path) -> Found:
    handle = os.open(path, os.O_RDONLY)
    try:
        return PageFile(handle).examine()
    finally:
        os.close(handle)


@pytest.mark.parametrize("where", ["gap", "free page", "beyond the end", "overflow slack"])
def test_each_unallocated_byte_counts(store: Store, data: Path, where: str) -> None:
    for number in (1, 2):
        planted.live(store, number)
    erase(store, 2)
    store.close()
    path = data / "relay.db"
    assert examined(path).left == 0
    raw = bytearray(path.read_bytes())
    trunk = int.from_bytes(raw[32:36], "big")
    first_leaf = int.from_bytes(raw[(trunk - 1) * 4_096 + 8 : (trunk - 1) * 4_096 + 12], "big")
    if where == "gap":
        at, leaves = 0, [place for place in range(4_096, len(raw), 4_096) if raw[place] == 0x0D]
        page = bytes(raw[leaves[0] : leaves[0] + 4_096])
        start, end = parse(page, 0, 4_096).blank[0]
        at = leaves[0] + (start + end) // 2
    elif where == "free page":
        at = (first_leaf - 1) * 4_096 + 2_000
    elif where == "beyond the end":
        at = len(raw)
    else:  # the last page of a chain points nowhere, and is not full
        pages = [place for place in range(4_096, len(raw), 4_096) if not any(raw[place : place + 4])]
        at = next(place + 4_090 for place in pages if b" env>" in raw[place : place + 4_096] and not raw[place + 4_095])
    raw[at : at + 6] = b"secret"
    path.write_bytes(raw)
    assert examined(path).left == 6


def test_a_random_life_leaves_nothing_behind_in_the_file(data: Path) -> None:
    """Inserts and deletes of every kind: nothing unallocated but SQLite's bookkeeping, nothing of what is gone."""
    chance = random.Random(11)
    store = opened(data)
    alive: set[int] = set()
    for number in range(1, 25):
        planted.live(store, number)
        alive.add(number)
        for nonce in range(5, chance.randrange(6, 14)):
            planted.deliver(store, number, nonce)
        if chance.random() < 0.5:
            gone = chance.choice(sorted(alive))
            erase(store, gone)
            alive.remove(gone)
        if chance.random() < 0.5:
            one = chance.choice(sorted(alive or {number}))
            ask(store, commands.Forget(planted.box(one).hash, tuple(chance.sample(range(1, 14), 6))))
    sweep(store)
    assert (data / "relay.db-wal").stat().st_size == 0
    result = examined(data / "relay.db")
    store.close()
    assert result.left == 0
    raw = b"".join(path.read_bytes() for path in data.iterdir() if path.is_file())
    assert planted.anybody(raw) == {f"{number:03d}".encode() for number in alive}
    sql = sqlite3.connect(data / "relay.db")
    assert sql.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    pages, free = (sql.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_count", "freelist_count"))
    sql.close()
    assert result.pages == pages
    assert result.free >= free * 4_090


def test_rows_that_moved_between_pages_leave_no_copy(store: Store, data: Path) -> None:
    planted.many(store, 150)
    sweep(store)
    assert examined(data / "relay.db").left == 0


@pytest.mark.parametrize("damage", ["twice", "outside", "kind", "freelist", "magic"])
def test_a_file_that_contradicts_itself_is_said_to_be_damaged(store: Store, data: Path, damage: str) -> None:
    for number in range(1, 4):
        planted.live(store, number)
    erase(store, 3)
    store.close()
    path = data / "relay.db"
    raw = bytearray(path.read_bytes())
    if damage == "magic":
        raw[0] = 0
    elif damage == "freelist":
        raw[36:40] = (9_999).to_bytes(4, "big")
    elif damage == "kind":
        raw[4_096] = 0x77
    else:
        interior = next(at for at in range(4_096, len(raw), 4_096) if raw[at] == 0x05)
        other = int.from_bytes(raw[interior + 8 : interior + 12], "big") if damage == "outside" else 2
        raw[interior + 8 : interior + 12] = (other + 10_000 if damage == "outside" else other).to_bytes(4, "big")
    path.write_bytes(raw)
    with pytest.raises(StorageError, match=r"damaged|not SQLite"):
        examined(path)


def test_random_damage_never_ends_in_anything_but_a_clear_error(store: Store, data: Path) -> None:
    for number in range(1, 4):
        planted.live(store, number)
    store.close()
    path = data / "relay.db"
    good = path.read_bytes()
    chance = random.Random(5)
    for _ in range(150):
        raw = bytearray(good)
        for _ in range(chance.randrange(1, 4)):
            at = chance.randrange(len(raw) // 4_096) * 4_096 + chance.choice(
                (0, 1, 3, 5, 8, 12, 40, chance.randrange(4_096))
            )
            raw[at] = chance.randrange(256)
        path.write_bytes(raw)
        with contextlib.suppress(StorageError):
            examined(path)


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        ("ext4", "rw", None),
        ("ext4", "rw,data=journal", "journal"),
        ("btrfs", "rw", "elsewhere"),
        ("zfs", "rw", "elsewhere"),
        ("overlay", "rw", "container"),
        ("nfs4", "rw", "decided elsewhere"),
        ("fuse.sshfs", "rw", "decided elsewhere"),
        ("tmpfs", "rw", None),
    ],
)
def test_the_medium_is_named(tmp_path: Path, kind: str, options: str, said: str | None) -> None:
    folder = tmp_path / "a b" / "relay"
    folder.mkdir(parents=True)
    number = folder.stat().st_dev
    disk = tmp_path / "sys" / f"{os.major(number)}:{os.minor(number)}" / "queue"
    disk.mkdir(parents=True)
    (disk / "rotational").write_text("1\n")
    point = str(tmp_path / "a b").replace(" ", "\\040")
    mounts = tmp_path / "mountinfo"
    lines = [
        "22 1 254:0 / / rw,relatime shared:1 - vfat /dev/vda rw",
        f"23 22 0:40 / {point} rw,relatime shared:2 - {kind} source {options}",
        "24 22 0:41 / /elsewhere rw - btrfs source rw",
    ]
    mounts.write_text("\n".join(lines) + "\n")
    beneath = medium.beneath(folder, mounts, tmp_path / "sys")
    assert beneath.kind == kind
    assert (beneath.warnings == ()) if said is None else any(said in warning for warning in beneath.warnings)
    (disk / "rotational").write_text("0\n")
    flash = medium.beneath(folder, mounts, tmp_path / "sys").warnings
    assert any("flash" in warning for warning in flash) == (kind != "tmpfs")


def test_what_cannot_be_seen_is_said_to_be_unknown(tmp_path: Path) -> None:
    beneath = medium.beneath(tmp_path, tmp_path / "nothing")
    assert beneath.kind == "unknown"
    assert beneath.warnings


def test_bytes_behind_the_last_cell_count() -> None:
    page = bytearray(4_096)
    page[0:8] = bytes((0x0D, 0, 0, 0, 1, *(4_000).to_bytes(2, "big"), 0))
    page[8:10] = (4_000).to_bytes(2, "big")
    page[4_000:4_007] = bytes((5, 1)) + b"alive"
    page[4_050:4_056] = b"secret"
    assert parse(bytes(page), 0, 4_096).left(bytes(page)) == (6, 0)
