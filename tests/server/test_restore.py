"""A restore gives back no more than there can have been, and revives nothing that was erased."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from server import planted, relay_files
from server.relay_files import LATER, alive, bring_back, erase, lose, opened, save, snapshot
from server.talk import NOW, ask, envelope
from troth_protocol.errors import StorageError, UserError
from troth_server import commands, shred
from troth_server.backup.restore import JUMP, Restored
from troth_server.commands import Deposited, Done, Held, Page, Refused
from troth_server.commands import Taken as TakenBundle
from troth_server.erasure.sqlite_pages import PageFile
from troth_server.limits import DAY
from troth_server.shred import SlotFile
from troth_server.storage import Store

data, store = relay_files.data, relay_files.store


def test_a_lost_database_comes_back_without_its_queue(store: Store, data: Path, tmp_path: Path) -> None:
    """[R-11.8-6]"""
    for number in (1, 2):
        planted.live(store, number)
    save(data, tmp_path / "b")
    store.close()
    lose(data, "relay.db", "relay.db-wal", "relay.db-shm")
    assert bring_back(data, tmp_path / "b", replace=False) == Restored(2, 0, 0, NOW)
    store = opened(data)
    box = planted.box(1)
    assert alive(store, 1)
    assert ask(store, commands.LoadOwner(box.hash)) == commands.OwnerKey(planted.mark(1, "stor", 32))
    page = ask(store, commands.LoadQueue(box.hash, 0, 64, LATER))
    assert isinstance(page, Page)
    assert page.rows == ()
    # Sequence numbers go on far above any that can have been given out.
    answer = ask(store, commands.Deposit(box.mailbox, box.token(50), envelope(50), LATER))
    assert isinstance(answer, Deposited)
    assert answer.row is not None
    assert answer.row.number == 6 + JUMP + 1
    # A nonce that was spent before is spent: the same envelope is not queued again, another is refused.
    again = ask(store, commands.Deposit(box.mailbox, box.token(1), planted.mark(1, "env", planted.SIZES[1]), LATER))
    assert again == Deposited(box.hash, None)
    assert ask(store, commands.Deposit(box.mailbox, box.token(1), envelope(7), LATER)) == Refused()
    first = (planted.lookup(1), planted.capability(1), planted.mark(1, "fnon", 16))
    assert ask(store, commands.DepositFirst(*first, planted.mark(1, "env", 4_226), LATER)) == Deposited(box.hash, None)
    assert ask(store, commands.DepositFirst(*first, envelope(8), LATER)) == Refused()
    # No leaf comes back, nor can one be put back.
    assert ask(store, commands.CountHeld(box.hash)) == Held(0, 1)
    bundle = ask(store, commands.TakeBundle(planted.lookup(1), planted.capability(1), LATER))
    assert isinstance(bundle, TakenBundle)
    assert bundle.bundle == planted.mark(1, "bund", 18_432)
    assert bundle.leaf is None
    ask(store, commands.PutLeaves(box.hash, planted.batch(1), tuple(planted.leaf(1, index) for index in range(128))))
    assert ask(store, commands.CountHeld(box.hash)) == Held(0, 1)
    assert ask(store, commands.PutLeaves(box.hash, b"n" * 16, (planted.leaf(1, 0),))) == Done()
    assert ask(store, commands.CountHeld(box.hash)) == Held(1, 1)
    store.close()


def test_a_spare_counts_as_used_when_it_is_restored(store: Store, data: Path, tmp_path: Path) -> None:
    """[R-11.8-6]"""
    box = planted.live(store, 1)
    save(data, tmp_path / "b")
    store.close()
    restored = NOW + 3 * DAY  # without a restore it would have rested long enough
    bring_back(data, tmp_path / "b", now=restored)
    store = opened(data)
    for at, answer in ((restored + 3_600, Refused), (restored + DAY + 3_600, Deposited)):
        use = commands.DepositSpare(box.hash, planted.spare(1), b"n" * 16, envelope(9), at)
        assert isinstance(ask(store, use), answer)
    bundle = ask(store, commands.TakeBundle(planted.lookup(1), planted.spare(1), restored + 3_600))
    assert isinstance(bundle, TakenBundle)
    assert bundle.leaf is None
    store.close()


def test_a_restored_database_holds_no_copy_of_a_row_beside_it(store: Store, data: Path, tmp_path: Path) -> None:
    """What SQLite leaves behind when it fills pages would outlive the row that it is a copy of. [R-11.7-6]"""
    planted.many(store, 150)
    save(data, tmp_path / "b")
    store.close()
    bring_back(data, tmp_path / "b")
    handle = os.open(data / "relay.db", os.O_RDONLY)
    found = PageFile(handle).examine()
    os.close(handle)
    assert found.free > 50_000
    assert found.left == 0


def test_a_card_with_one_use_left_is_used_up(store: Store, data: Path, tmp_path: Path) -> None:
    """[R-11.8-6]"""
    planted.live(store, 1, uses=1)
    planted.live(store, 2, uses=3)
    save(data, tmp_path / "b")
    store.close()
    bring_back(data, tmp_path / "b")
    store = opened(data)
    for number, answer in ((1, Refused), (2, Deposited)):
        delivery = commands.DepositFirst(
            planted.lookup(number), planted.capability(number), b"q" * 16, envelope(1), LATER
        )
        assert isinstance(ask(store, delivery), answer)
    store.close()


def test_a_restored_relay_stops_and_starts_and_advances(store: Store, data: Path, tmp_path: Path) -> None:
    planted.live(store, 1)
    save(data, tmp_path / "b")
    store.close()
    before = SlotFile(data / shred.FILE)
    old = (data / "relay.db").read_bytes()
    bring_back(data, tmp_path / "b")
    after = SlotFile(data / shred.FILE)
    assert after.header.generation > before.header.generation
    before.close()
    after.close()
    for _ in range(2):
        store = opened(data)
        assert alive(store, 1)
        store.close()
    (data / "relay.db").write_bytes(old)  # the database that was replaced is known for an old one
    with pytest.raises(StorageError):
        opened(data)


def test_what_was_erased_since_stays_erased_in_every_backup(store: Store, data: Path, tmp_path: Path) -> None:
    """[R-11.8-1]"""
    for number in (1, 2, 3):
        planted.live(store, number)
    save(data, tmp_path / "b1")
    save(data, tmp_path / "b2")
    erase(store, 2)
    erase(store, 3)
    planted.live(store, 4)  # has the number of a mailbox that was erased, and another key
    store.close()
    for backup in (tmp_path / "b1", tmp_path / "b2"):
        done = bring_back(data, backup)
        assert (done.mailboxes, done.dead) == (1, 2)
        assert done.unknown == 1
    store = opened(data)
    assert [alive(store, number) for number in (1, 2, 3, 4)] == [True, False, False, False]
    store.close()
    assert not planted.found(2, data.iterdir())


def test_the_old_database_is_overwritten_when_it_is_replaced(store: Store, data: Path, tmp_path: Path) -> None:
    planted.live(store, 1)
    save(data, tmp_path / "b")
    planted.live(store, 2)
    store.close()
    watched = (data / "relay.db").open("rb")
    assert b"<002 env>" in watched.read()
    bring_back(data, tmp_path / "b")
    watched.seek(0)
    assert not any(watched.read())
    watched.close()
    assert not planted.found(2, data.iterdir())


def test_a_database_is_replaced_on_demand_only_and_never_under_a_running_relay(
    store: Store, data: Path, tmp_path: Path
) -> None:
    planted.live(store, 1)
    save(data, tmp_path / "b")
    with pytest.raises(UserError, match="running"):
        bring_back(data, tmp_path / "b")
    store.close()
    before = snapshot(data)
    with pytest.raises(UserError, match="--replace"):
        bring_back(data, tmp_path / "b", replace=False)
    assert snapshot(data) == before


def test_an_empty_database_needs_no_permission(store: Store, data: Path, tmp_path: Path) -> None:
    planted.live(store, 1)
    save(data, tmp_path / "b")
    store.close()
    lose(data, "relay.db", "relay.db-wal", "relay.db-shm")
    slots = (data / "slots.bin").read_bytes()
    lose(data, "slots.bin")
    opened(data).close()  # somebody started the relay before restoring: new slots, an empty database
    with pytest.raises(UserError, match="not sealed with these key slots"):
        bring_back(data, tmp_path / "b", replace=False)
    (data / "slots.bin").write_bytes(slots)
    assert bring_back(data, tmp_path / "b", replace=False).mailboxes == 1
