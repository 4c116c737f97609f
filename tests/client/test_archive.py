"""Conversations in the vault: migration, search, paging, counters, and words that are gone for good."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.world import Disk
from troth_client.events import (
    AddMessage,
    Change,
    DeleteMessage,
    EditMessage,
    EraseMessage,
    EraseMessages,
    MarkMessage,
    MessageKey,
    MessageState,
    PutReaction,
    Save,
)
from troth_client.vault import key as vault_key
from troth_client.vault import search, store
from troth_client.vault.messages import MANY
from troth_client.vault.store import Vault
from troth_client.views import ChatCounts, Reaction
from troth_protocol.errors import StorageError
from troth_protocol.primitives import SystemRandomness

ANN, BEN = b"a" * 32, b"b" * 32
SCHEMA_1 = """
CREATE TABLE record (kind TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID;
CREATE TABLE message (
  row INTEGER PRIMARY KEY AUTOINCREMENT, contact BLOB NOT NULL, side INTEGER NOT NULL, id BLOB NOT NULL,
  state INTEGER NOT NULL, sent INTEGER NOT NULL, stored INTEGER NOT NULL, text TEXT NOT NULL,
  UNIQUE (contact, side, id)
);
CREATE INDEX message_of ON message (contact, row);
CREATE TABLE seen (contact BLOB PRIMARY KEY, row INTEGER NOT NULL) WITHOUT ROWID;
PRAGMA user_version = 1;
"""


def create(folder: Path) -> Vault:
    return Vault.create(folder, "pass", SystemRandomness(), operations=1, memory=64 * 1024)


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return create(tmp_path)


def said(number: int, text: str, contact: bytes = ANN, *, ours: bool = False, timer: int = 0) -> AddMessage:
    state = MessageState.QUEUED if ours else MessageState.RECEIVED
    return AddMessage(contact, number.to_bytes(16, "big"), state, number, number, text, timer)


def named(number: int, *, ours: bool = False) -> MessageKey:
    return MessageKey(ours, number.to_bytes(16, "big"))


def old_vault(folder: Path, version: int = 1) -> None:
    """A vault as the first release wrote it."""
    key_file, page_key = vault_key.make("pass", SystemRandomness(), 1, 64 * 1024)
    db = store._connect(folder / "vault.db", page_key)
    db.execute(SCHEMA_1)
    db.execute("INSERT INTO record VALUES ('peer', x'00', x'01')")
    rows = [(1, ANN, 1, 0, "queued"), (2, ANN, 0, 3, "received one"), (3, ANN, 0, 4, "a notice"),
            (4, BEN, 1, 1, "at relay"), (5, ANN, 0, 3, "received two"), (6, ANN, 1, 2, "failed")]  # fmt: skip
    for row, contact, side, state, text in rows:
        values = (row, contact, side, bytes([row]) * 16, state, 7, 8, text)
        db.execute("INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
    db.execute("INSERT INTO seen VALUES (?, 2)", (ANN,))
    db.pragma("user_version", version)
    db.close()
    (folder / "vault.key").write_bytes(key_file.encode())


def test_a_vault_of_the_first_release_opens_with_everything_in_it(tmp_path: Path) -> None:
    """Schema 1 to 2: rows keep their numbers, what was read stays read, old words are found."""
    old_vault(tmp_path)
    for _ in range(2):  # migrated, then as it is
        vault = Vault.open(tmp_path, "pass")
        assert vault.load() == {"peer": {b"\x00": b"\x01"}}
        lines = vault.history(ANN, None, 10)
        assert [(m.row, m.text, m.state, m.ours) for m in lines] == [
            (1, "queued", MessageState.QUEUED, True), (2, "received one", MessageState.RECEIVED, False),
            (3, "a notice", MessageState.NOTICE, False), (5, "received two", MessageState.RECEIVED, False),
            (6, "failed", MessageState.FAILED, True),
        ]  # fmt: skip
        assert vault.counts(ANN) == ChatCounts(5, 1, 8, 5)
        assert vault.counts(BEN) == ChatCounts(1, 0, 8)
        assert [hit.message.row for hit in vault.search("received", None, None, 9)] == [5, 2]
        assert vault.search("notice", None, None, 9) == []
        vault.close()
    vault = Vault.open(tmp_path, "pass")
    vault.apply((said(99, "new"),))
    assert vault.history(ANN, None, 1)[0].row == 7
    vault.close()


def test_a_vault_of_a_later_release_is_left_alone(tmp_path: Path) -> None:
    old_vault(tmp_path, version=3)
    before = (tmp_path / "vault.db").read_bytes()
    with pytest.raises(StorageError, match="newer"):
        Vault.open(tmp_path, "pass")
    assert (tmp_path / "vault.db").read_bytes() == before


def test_search_finds_words_and_beginnings_without_case_or_accents(vault: Vault) -> None:
    vault.apply(
        (
            said(1, "The Müller's café in Zürich"), said(2, "nothing here"), said(3, "ZURICH again", BEN),
            said(4, "we go to cafe", ours=True), said(5, "line one\nzurich line two"),
        )
    )  # fmt: skip

    def rows(typed: str, contact: bytes | None = None, before: int | None = None) -> list[int]:
        return [hit.message.row for hit in vault.search(typed, contact, before, 50)]

    assert rows("zurich") == [5, 3, 1]
    assert rows("zürich", ANN) == [5, 1]
    assert rows("ZUR") == [5, 3, 1]
    assert rows("caf") == [4, 1]
    assert rows("cafe zurich") == [1]
    assert rows("zurich", None, 5) == [3, 1]
    assert rows("müller's") == [1]
    assert rows("zurich", b"?" * 32) == []
    hit = vault.search("zurich", ANN, None, 1)[0]
    assert (hit.contact, hit.snippet) == (ANN, "line one zurich line two")
    assert [hit.snippet[start:end] for start, end in hit.found] == ["zurich"]


def test_what_is_typed_into_a_search_is_words_and_no_language(vault: Vault) -> None:
    vault.apply((said(1, "alpha beta"), said(2, "beta NOT gamma"), said(3, 'say "quoted" words \ufdd0 x \ufdd1')))
    assert [hit.message.row for hit in vault.search("beta NOT gamma", None, None, 9)] == [2]
    assert [hit.message.row for hit in vault.search('"quoted"', None, None, 9)] == [3]
    assert vault.search("words x", None, None, 9)[0].snippet == 'say "quoted" words  x '
    for odd in ("*", '"', "((", "a AND", "NEAR(a b)", "text:alpha", "^alpha", "-alpha", "a OR b", "\x00", "☃", ""):
        for hit in vault.search(odd, None, None, 9):
            assert all(word.strip('^-*"()').casefold() in hit.message.text.casefold() for word in odd.split(":"))


@given(st.text(max_size=400))
@settings(max_examples=150, deadline=None)
def test_no_search_is_an_error(typed: str) -> None:
    if not _OPEN:
        db = apsw.Connection(":memory:")
        db.execute("CREATE VIRTUAL TABLE words USING fts5(text, prefix='2 3')")
        db.execute("INSERT INTO words VALUES ('some words a b c')")
        _OPEN.append(db)
    asked = search.query(typed)
    if asked:
        list(_OPEN[0].execute("SELECT rowid FROM words WHERE words MATCH ?", (asked,)))


_OPEN: list[apsw.Connection] = []


def without_cipher(path: Path, _: bytes) -> apsw.Connection:
    """``store._connect`` but for the cipher, so that a test reads what the pages hold, used or not."""
    db = apsw.Connection(str(path))
    db.pragma("secure_delete", True)
    db.pragma("journal_mode", "WAL")
    return db


def files(folder: Path) -> bytes:
    return b"".join((folder / name).read_bytes() for name in ("vault.db", "vault.db-wal"))


GONE = "xylophonic"


@pytest.mark.parametrize("how", ["delete", "edit", "erase", "fade", "conversation", "draft", "many"])
def test_words_that_are_gone_are_in_no_page(tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """[R-13.4-1]: not in the message, not in the index, not in what the database keeps unused, not in its log."""
    monkeypatch.setattr(store, "_connect", without_cipher)
    vault = create(tmp_path)
    vault.apply(tuple(said(number, f"ordinary words {number}") for number in range(50)))
    many = MANY + 20 if how == "many" else 1
    vault.apply(tuple(said(1_000 + number, f"{GONE} {number}", BEN, timer=60) for number in range(many)))
    vault.mark_read(BEN, 100)
    vault.save_draft(BEN, f"{GONE} draft" if how == "draft" else "")
    assert GONE.encode() in files(tmp_path)
    key = named(1_000)
    changes: dict[str, Change] = {
        "delete": DeleteMessage(BEN, key, 5), "edit": EditMessage(BEN, key, 1, 5, "plain"),
        "erase": EraseMessage(BEN, key), "conversation": EraseMessages(BEN), "many": EraseMessages(BEN),
    }  # fmt: skip
    if how in changes:
        vault.apply((changes[how],))
    elif how == "draft":
        vault.save_draft(BEN, "")
        vault.apply((EraseMessages(BEN),))
    else:
        assert vault.fade(160) == [BEN]
    vault.tidy()
    assert vault.search(GONE, None, None, 9) == []
    assert GONE.encode() not in files(tmp_path)
    assert (tmp_path / "vault.db-wal").stat().st_size == 0
    assert [hit.message.text for hit in vault.search("ordinary 49", None, None, 9)] == ["ordinary words 49"]
    vault._db.execute("INSERT INTO words (words) VALUES ('integrity-check')")
    vault.close()


def test_paging_goes_both_ways_and_counters_are_true(vault: Vault) -> None:
    vault.apply(tuple(said(number, f"{number}", ANN if number % 2 else BEN) for number in range(1, 101)))
    assert [m.text for m in vault.history(ANN, None, 3)] == ["95", "97", "99"]
    assert [m.text for m in vault.history(ANN, 95, 2)] == ["91", "93"]
    assert [m.text for m in vault.history(ANN, None, 2, after=93)] == ["95", "97"]
    assert vault.counts(ANN) == ChatCounts(50, 50, 99, 1)
    vault.mark_read(ANN, 0, 41)
    assert vault.counts(ANN) == ChatCounts(50, 29, 99, 43)
    vault.mark_read(ANN, 0, 11)  # never backwards
    assert vault.counts(ANN).unread == 29
    vault.apply((EraseMessage(ANN, named(43)), EraseMessage(ANN, named(1)), said(200, "ours", ours=True)))
    assert vault.counts(ANN) == ChatCounts(49, 28, 200, 45)
    assert [m.text for m in vault.unread(ANN)][:2] == ["45", "47"]
    vault.mark_read(ANN, 0)
    assert vault.counts(ANN) == ChatCounts(49, 0, 200, 0)


def test_what_is_freed_is_overwritten(vault: Vault) -> None:
    """[R-13.4-1]: the test above reads a file without a cipher; this is the setting with one."""
    assert vault._db.pragma("secure_delete") == 1


def test_drafts_come_back(vault: Vault) -> None:
    vault.save_draft(ANN, "half a sent")
    assert vault.counts(ANN) == ChatCounts(draft="half a sent")
    vault.save_draft(ANN, "")
    assert vault.counts(ANN) == ChatCounts()
    vault.save_draft(BEN, "")
    assert vault._messages.chat(BEN) == 0


def test_states_move_forward_only(vault: Vault) -> None:
    """A late answer of a relay does not take back what the contact has confirmed."""
    vault.apply((said(1, "mine", ours=True, timer=60),))

    def mark(state: MessageState, at: int) -> tuple[MessageState, int]:
        vault.apply((MarkMessage(ANN, named(1).id, state, at),))
        (line,) = vault.history(ANN, None, 1)
        return line.state, line.expires

    assert mark(MessageState.DELIVERED, 100) == (MessageState.DELIVERED, 160)
    assert mark(MessageState.AT_RELAY, 200) == (MessageState.DELIVERED, 160)
    assert mark(MessageState.FAILED, 200) == (MessageState.DELIVERED, 160)
    assert mark(MessageState.QUEUED, 200) == (MessageState.DELIVERED, 160)


CHANGES: list[Change] = [
    said(1, "one"), EditMessage(ANN, named(1), 1, 5, "first"), EditMessage(ANN, named(1), 2, 6, "second"),
    PutReaction(ANN, named(1), True, 5, "a"), PutReaction(ANN, named(1), True, 6, "b"),
    PutReaction(ANN, named(1), False, 6, ""), PutReaction(ANN, named(1), False, 5, "c"),
]  # fmt: skip


@given(st.lists(st.sampled_from(CHANGES[1:]), max_size=12))
@settings(max_examples=60, deadline=None)
def test_changes_in_any_order_and_number_leave_the_same(order: list[Change]) -> None:
    """[R-9.3-7] [R-9.3-9]"""
    disk = Disk()
    disk.apply(Save((CHANGES[0], *order, *CHANGES[1:])))
    (line,) = disk.lines(ANN)
    assert (line.text, line.revision, line.reactions) == ("second", 2, (Reaction(True, "b"),))
