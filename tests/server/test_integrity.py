"""Damage on disk: no altered byte is served, no right is taken from it, and what is whole goes on. [R-11.7-3]

Each damage is done to a closed database with another SQLite connection or by writing bytes, as a failing disk would.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

import pytest

from server import disk
from server.disk import BUNDLE, CARD, LOOKUP, SPARE, furnish, home, send
from server.relay_files import opened
from server.talk import NOW, Box, ask
from troth_protocol import ownership
from troth_server import commands
from troth_server.commands import Deposited, Done, Outcome, Refused
from troth_server.storage import Store
from troth_server.storage.seals import Seals
from troth_server.storage.writer import Writer

Damage: TypeAlias = str


def damaged(folder: Path, *statements: str) -> tuple[Store, Box, Box]:
    """A furnished mailbox and another, closed, changed behind the relay's back, and opened again."""
    store = opened(folder)
    box, other = home(store), home(store)
    furnish(store, box)
    send(store, other, 50)
    store.close()
    sql = sqlite3.connect(folder / "relay.db")
    sql.create_function("flip", 1, lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]))
    for statement in statements:
        sql.executescript(statement)
    sql.commit()
    sql.close()
    return opened(folder), box, other


ENVELOPES: Final[dict[str, tuple[str, tuple[int, ...]]]] = {
    "a changed body": ("UPDATE envelopes SET envelope = flip(envelope) WHERE number = 2", (1, 3)),
    "a changed mark": ("UPDATE envelopes SET mark = zeroblob(32) WHERE number = 2", (1, 3)),
    "a changed right": ("UPDATE envelopes SET via = 1 WHERE mailbox = 1 AND number = 1", (2, 3)),
    "a right that is none": ("UPDATE envelopes SET via = 77 WHERE mailbox = 1 AND number = 1", (2, 3)),
    "a body cut short": ("UPDATE envelopes SET envelope = substr(envelope, 1, 1000) WHERE number = 3", (1, 2)),
    "no body": ("UPDATE envelopes SET envelope = x'' WHERE number = 3", (1, 2)),
    "exchanged bodies": (
        "CREATE TEMP TABLE old AS SELECT * FROM envelopes; UPDATE envelopes SET envelope = (SELECT envelope FROM old"
        " WHERE old.mailbox = 1 AND old.number = 3 - envelopes.number) WHERE mailbox = 1 AND number < 3", (3,),
    ),
    "another's envelope": ("UPDATE envelopes SET mailbox = 1, number = 9 WHERE mailbox = 2", (1, 2, 3)),
    "another number": ("UPDATE envelopes SET number = 8 WHERE mailbox = 1 AND number = 2", (1, 3)),
}  # fmt: skip


@pytest.mark.parametrize("damage", ENVELOPES)
def test_a_damaged_envelope_is_never_served_and_the_others_are(tmp_path: Path, damage: str) -> None:
    """[R-11.7-4]"""
    statement, left = ENVELOPES[damage]
    store, box, _ = damaged(tmp_path, statement)
    before = disk.page(store, box)
    assert [row.number for row in before.rows] == list(left)
    assert {row.envelope for row in before.rows} == {disk.body(number) for number in left}
    again = disk.page(store, box)
    assert again.rows == before.rows
    assert len(store.view(9)[1].envelopes) == len(left)  # gone from the disk too
    assert isinstance(send(store, box, 60), Deposited)
    assert disk.page(store, box).rows[-1].envelope == disk.body(60)
    store.close()


def test_a_page_of_nothing_but_damage_does_not_end_a_queue(tmp_path: Path) -> None:
    """[R-11.4-4]: the next page follows."""
    store, box, _ = damaged(tmp_path, "UPDATE envelopes SET mark = x'' WHERE mailbox = 1 AND number < 3")
    first = disk.page(store, box, count=2)
    assert (first.rows, first.more) == ((), True)
    assert [row.number for row in disk.page(store, box, count=2).rows] == [3]
    store.close()


def fetch_by_card(store: Store, _: Box) -> Outcome:
    return ask(store, commands.TakeBundle(LOOKUP, CARD, NOW))


def fetch_by_spare(store: Store, _: Box) -> Outcome:
    return ask(store, commands.TakeBundle(LOOKUP, SPARE, NOW))


def deliver_first(store: Store, _: Box) -> Outcome:
    return ask(store, commands.DepositFirst(LOOKUP, CARD, disk.nonce(70), disk.body(70), NOW))


def deliver_spare(store: Store, box: Box) -> Outcome:
    return ask(store, commands.DepositSpare(box.hash, SPARE, disk.nonce(71), disk.body(71), NOW + 90_000))


def deliver(store: Store, box: Box) -> Outcome:
    return send(store, box, 72)


def deliver_again(store: Store, box: Box) -> Outcome:
    return send(store, box, 3)


RIGHTS: Final[dict[str, tuple[str, Callable[[Store, Box], Outcome]]]] = {
    "a bundle": ("UPDATE lookups SET bundle = flip(bundle)", fetch_by_card),
    "a bundle, for a spare": ("UPDATE lookups SET bundle = flip(bundle)", fetch_by_spare),
    "a card's capability": ("UPDATE lookups SET capability = zeroblob(32)", fetch_by_card),
    "a card's fetches": ("UPDATE lookups SET fetches_left = 1000000", fetch_by_card),
    "a card's leaves": ("UPDATE lookups SET leaves_left = 1000000", fetch_by_card),
    "a card's envelopes": ("UPDATE lookups SET envelopes_left = 1000000", deliver_first),
    "a card's batch": ("UPDATE lookups SET batch = zeroblob(16)", fetch_by_card),
    "a card of another": ("UPDATE lookups SET mailbox = 2", deliver_first),
    "a spare's use": ("UPDATE spares SET used = 0", deliver_spare),
    "a spare's fetches": ("UPDATE spares SET fetches = 3", fetch_by_spare),
    "a spare of another": ("UPDATE spares SET mailbox = 2", deliver_spare),
    "a token key's end": ("UPDATE epochs SET expires = 9000000000000", deliver),
    "a token key's end, for a repeat": ("UPDATE epochs SET expires = 9000000000000", deliver_again),
    "a token key": ("UPDATE epochs SET key = zeroblob(32) WHERE mailbox = 1", deliver),
    "a token key of another": ("UPDATE epochs SET mailbox = 3 - mailbox", deliver),
}  # fmt: skip


@pytest.mark.parametrize("damage", RIGHTS)
def test_a_damaged_right_is_refused_like_an_unknown_one(tmp_path: Path, damage: str) -> None:
    """[R-11.5-2]"""
    statement, use = RIGHTS[damage]
    store, box, other = damaged(tmp_path, statement)
    assert use(store, box) == Refused()
    if "epochs" not in statement:
        assert isinstance(send(store, other, 51), Deposited)
    store.close()


@pytest.mark.parametrize("row", RIGHTS)
def test_without_damage_each_of_these_rights_is_good(tmp_path: Path, row: str) -> None:
    """The control: what is refused above is refused for the damage."""
    store, box, _ = damaged(tmp_path)
    assert isinstance(RIGHTS[row][1](store, box), Deposited | commands.Taken)
    store.close()


@pytest.mark.parametrize(
    "damage", ["stored = zeroblob(32)", "created = 1", "active = 1", "batch = zeroblob(16)", "seal = zeroblob(16)"]
)
def test_a_damaged_owner_is_nobody(tmp_path: Path, damage: str) -> None:
    store, box, other = damaged(tmp_path, f"UPDATE mailboxes SET {damage} WHERE number = 1")
    assert ask(store, commands.LoadOwner(box.hash)) == commands.OwnerKey(None)
    assert ask(store, commands.PutLeaves(box.hash, b"n" * 16, (disk.leaf(0),))) == Refused()
    again = commands.CreateMailbox(box.hash, ownership.stored(box.secret), box.key, NOW + 9, NOW)
    assert ask(store, again) == Refused()
    assert ask(store, commands.LoadOwner(other.hash)) == commands.OwnerKey(ownership.stored(other.secret))
    store.close()


def test_exchanged_owners_open_neither_mailbox(tmp_path: Path) -> None:
    swap = (
        "CREATE TEMP TABLE old AS SELECT * FROM mailboxes; UPDATE mailboxes SET stored ="
        " (SELECT stored FROM old WHERE old.number = 3 - mailboxes.number)"
    )
    store, box, other = damaged(tmp_path, swap)
    for each in (box, other):
        assert ask(store, commands.LoadOwner(each.hash)) == commands.OwnerKey(None)
    store.close()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE leaves SET leaf = flip(leaf) WHERE position = 1",
        "UPDATE leaves SET leaf = (SELECT leaf FROM leaves WHERE position = 2) WHERE position = 1",
    ],
)
def test_a_damaged_leaf_is_passed_over(tmp_path: Path, damage: str) -> None:
    store, _, _ = damaged(tmp_path, damage)
    assert ask(store, commands.TakeBundle(LOOKUP, CARD, NOW)) == commands.Taken(BUNDLE, disk.leaf(2))
    store.close()


def test_an_owner_mends_a_damaged_card_by_publishing_again(tmp_path: Path) -> None:
    store, box, _ = damaged(tmp_path, "UPDATE lookups SET fetches_left = 99")
    assert fetch_by_card(store, box) == Refused()
    assert ask(store, commands.PutBundle(box.hash, LOOKUP, CARD, 1, disk.BATCH, BUNDLE)) == Done()
    assert fetch_by_card(store, box) == commands.Taken(BUNDLE, disk.leaf(1))
    store.close()


def test_the_operator_is_told_of_damage_without_a_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store, box, _ = damaged(tmp_path, "UPDATE envelopes SET mark = x'' WHERE mailbox = 1")
    disk.page(store, box)
    store.close()
    (record,) = [record for record in caplog.records if "damaged rows" in record.getMessage()]
    assert record.getMessage() == "3 damaged rows were not used; check the disk"


def test_a_store_that_fails_for_an_unknown_reason_says_its_kind_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(tmp_path)
    box = home(store)

    def fails(*_: object) -> list[Outcome]:
        raise UnicodeDecodeError("utf-8", b"planted", 0, 1, "planted")

    monkeypatch.setattr(Writer, "_transact", fails)
    for _ in range(3):
        assert isinstance(ask(store, commands.CountHeld(box.hash)), commands.Failed)
    monkeypatch.undo()
    assert isinstance(ask(store, commands.CountHeld(box.hash)), commands.Held)
    store.close()
    said = [record.getMessage() for record in caplog.records if "store failed" in record.getMessage()]
    assert said == ["the store failed, said once: UnicodeDecodeError 0"]


def test_a_seal_is_of_one_row_of_one_table_under_one_key() -> None:
    seals = Seals(b"k" * 32)
    seal = seals.make("leaves", (1,), b"ab", b"c")
    assert len(seal) == 16
    assert seals.fits(seal, "leaves", (1,), b"ab", b"c")
    assert not seals.fits(seal, "leaves", (1,), b"a", b"bc")
    assert not seals.fits(seal, "leaves", (2,), b"ab", b"c")
    assert not seals.fits(seal, "spares", (1,), b"ab", b"c")
    assert not Seals(b"K" * 32).fits(seal, "leaves", (1,), b"ab", b"c")
    for value in (None, 1.5, "text", -(2**70)):
        assert not seals.fits(seal, "leaves", (value,), b"ab", b"c")  # type: ignore[arg-type]
        assert not seals.fits(seal, "leaves", (1,), value, b"c")  # type: ignore[arg-type]
        assert not seals.fits(value, "leaves", (1,), b"ab", b"c")  # type: ignore[arg-type]
