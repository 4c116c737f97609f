"""The one copy of the key slots: refreshed where it lies, and what it means for what was erased."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from server import planted, relay_files
from server.relay_files import alive, bring_back, erase, lose, opened, save
from troth_protocol.errors import StorageError, UserError
from troth_server import shred
from troth_server.backup import keys_copy
from troth_server.shred import SlotFile
from troth_server.storage import Store

data, store = relay_files.data, relay_files.store


def test_a_lost_disk_is_restored_from_the_copy_of_the_keys(store: Store, data: Path, tmp_path: Path) -> None:
    """[R-11.8-5]"""
    for number in (1, 2):
        planted.live(store, number)
    copy = tmp_path / "keys"
    save(data, tmp_path / "b")
    assert keys_copy.refresh(data / shred.FILE, copy, make=True) == keys_copy.Refreshed(2, 0)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    check_key = (data / shred.FILE).read_bytes()[27:59]
    assert check_key not in copy.read_bytes()
    store.close()
    lose(data)
    with pytest.raises(UserError, match="--keys"):
        bring_back(data, tmp_path / "b")
    assert bring_back(data, tmp_path / "b", copy).mailboxes == 2
    store = opened(data)
    assert alive(store, 1)
    assert check_key not in (data / shred.FILE).read_bytes()
    erase(store, 1)
    save(data, tmp_path / "b2")
    assert keys_copy.refresh(data / shred.FILE, copy, make=True) == keys_copy.Refreshed(1, 1)
    store.close()


def test_an_erased_mailbox_is_dead_once_the_copy_is_refreshed(store: Store, data: Path, tmp_path: Path) -> None:
    """[R-11.8-5]"""
    for number in (1, 2):
        planted.live(store, number)
    copy = tmp_path / "keys"
    save(data, tmp_path / "b")
    keys_copy.refresh(data / shred.FILE, copy, make=True)
    inode = copy.stat().st_ino
    erased = SlotFile(copy).find(1)
    assert erased is not None
    erase(store, 1)
    stale = copy.read_bytes()
    assert erased in stale
    store.close()
    elsewhere = tmp_path / "elsewhere"
    assert bring_back(elsewhere, tmp_path / "b", copy).mailboxes == 2  # said in the help: until the copy is refreshed
    assert keys_copy.refresh(data / shred.FILE, copy, make=True) == keys_copy.Refreshed(1, 1)
    assert erased not in copy.read_bytes()
    assert copy.stat().st_ino == inode
    done = bring_back(tmp_path / "third", tmp_path / "b", copy)
    assert (done.mailboxes, done.dead) == (1, 1)


def test_a_copy_is_refreshed_where_it_lies_and_no_other_file_is_touched(
    store: Store, data: Path, tmp_path: Path
) -> None:
    planted.live(store, 1)
    own = data / shred.FILE
    with pytest.raises(UserError, match="own"):
        keys_copy.refresh(own, own, make=True)
    other = tmp_path / "other"
    keys_copy.refresh(own, other, make=True)
    opened(tmp_path / "relay2").close()
    before = other.read_bytes()
    with pytest.raises(UserError, match="another relay"):
        keys_copy.refresh(tmp_path / "relay2" / shred.FILE, other, make=True)
    (tmp_path / "noise").write_bytes(b"noise" * 2_000)
    with pytest.raises(StorageError, match="not a relay's"):
        keys_copy.refresh(own, tmp_path / "noise", make=True)
    assert other.read_bytes() == before
    assert (tmp_path / "noise").read_bytes() == b"noise" * 2_000


def test_the_copy_is_not_used_where_the_keys_are(store: Store, data: Path, tmp_path: Path) -> None:
    planted.live(store, 1)
    save(data, tmp_path / "b")
    keys_copy.refresh(data / shred.FILE, tmp_path / "keys", make=True)
    store.close()
    with pytest.raises(UserError, match="are here"):
        bring_back(data, tmp_path / "b", tmp_path / "keys")


def test_a_copy_whose_medium_is_not_there_is_not_made_elsewhere(store: Store, data: Path, tmp_path: Path) -> None:
    """[R-11.8-5]"""
    planted.live(store, 1)
    for copy in (tmp_path / "keys", tmp_path / "stick" / "keys"):
        with pytest.raises(UserError, match="medium"):
            keys_copy.refresh(data / shred.FILE, copy, make=copy.parent != tmp_path)
        assert not copy.exists()


def test_a_key_that_is_damaged_here_is_kept_in_the_copy(store: Store, data: Path, tmp_path: Path) -> None:
    """It was not erased: after the loss of the disk the older backups of that mailbox open."""
    for number in (1, 2):
        planted.live(store, number)
    own, copy = data / shred.FILE, tmp_path / "keys"
    save(data, tmp_path / "b")
    keys_copy.refresh(own, copy, make=True)
    with own.open("r+b") as file:
        file.seek(shred.place(1))
        file.write(b"damaged")
    assert keys_copy.refresh(own, copy, make=False) == keys_copy.Refreshed(1, 0)
    assert bring_back(tmp_path / "new", tmp_path / "b", copy).mailboxes == 2
