"""Replies, edits, deletions, reactions and receipts between two messengers; late, twice, crossed, and malicious."""

from __future__ import annotations

import pytest

from client.pairs import Pair, last, slip, texts
from client.world import settle
from troth_client.events import (
    DeleteForAll,
    DeleteMessage,
    EditText,
    EraseHere,
    MessageKey,
    MessageState,
    React,
    Resend,
    SendText,
    SetReceipts,
    Submit,
    Submitted,
    What,
    Withdraw,
)
from troth_client.vault.messages import MOST_TOMBSTONES
from troth_client.views import Reaction
from troth_protocol import content
from troth_protocol.content import Deletion, Edit, Receipt, Reply, Text
from troth_protocol.errors import BadText, NotReady, UserError
from troth_protocol.wire import Code, answers


def test_a_reply_names_what_it_answers_on_both_sides(two: Pair) -> None:
    """[R-9.3-6]"""
    one, other = two
    one.send(other, "shall we?")
    settle(one, other)
    asked = last(other, one)
    other.handle(SendText(one.fingerprint, "yes", asked.key))
    settle(one, other)
    for person, peer, ours in ((other, one, False), (one, other, True)):
        quote = last(person, peer).reply
        assert quote is not None
        assert (quote.message, quote.text) == (MessageKey(ours, asked.id), "shall we?")
        assert person.disk.message(peer.fingerprint, quote.message) is not None
    with pytest.raises(UserError, match="no such message"):
        other.handle(SendText(one.fingerprint, "to nothing", MessageKey(ours=False, id=b"?" * 16)))
    slip(one, other, Reply(b"r" * 16, one.now, True, b"?" * 16, "an answer to what never came"))
    quote = last(other, one).reply
    assert quote is not None
    assert (quote.row, quote.text) == (0, "")


def test_an_edit_changes_the_words_on_both_sides_and_the_newest_wins(two: Pair) -> None:
    """[R-9.3-7]: late, twice and out of order."""
    one, other = two
    one.send(other, "frist")
    settle(one, other)
    mine = last(one, other)
    one.handle(EditText(other.fingerprint, mine.id, "first"))
    settle(one, other)
    assert [(m.text, m.revision) for m in (last(one, other), last(other, one))] == [("first", 1)] * 2
    slip(
        one, other, Edit(mine.id, 7, one.now, "seventh"), Edit(mine.id, 3, one.now, "third"),
        Edit(mine.id, 7, one.now, "seventh again"), Edit(b"?" * 16, 1, one.now, "of nothing"),
    )  # fmt: skip
    assert (last(other, one).text, last(other, one).revision) == ("seventh", 7)
    assert len(texts(other, one)) == 1
    with pytest.raises(UserError):
        one.handle(EditText(other.fingerprint, b"?" * 16, "nothing"))
    with pytest.raises(BadText):
        one.handle(EditText(other.fingerprint, mine.id, ""))
    with pytest.raises(UserError):  # theirs
        other.handle(EditText(one.fingerprint, mine.id, "not mine to change"))


def test_a_contact_reaches_only_what_it_wrote(two: Pair) -> None:
    """[R-9.3-7] [R-9.3-8]: the ids of our messages are known to it, and name its own in its mouth."""
    one, other = two
    one.send(other, "mine")
    settle(one, other)
    mine = last(one, other)
    slip(other, one, Edit(mine.id, 9, other.now, "forged"), Deletion(mine.id, other.now))
    assert (last(one, other).text, last(one, other).deleted) == ("mine", False)
    one.send(other, "another")
    settle(one, other)
    slip(other, one, Text(last(one, other).id, other.now, "the same id from the other side"))
    assert [(m.text, m.ours) for m in texts(one, other)] == [
        ("mine", True), ("another", True), ("the same id from the other side", False),
    ]  # fmt: skip


def test_deleted_for_all_leaves_a_line_without_words(two: Pair) -> None:
    """[R-9.3-8]"""
    one, other = two
    one.send(other, "regretted")
    settle(one, other)
    mine = last(one, other)
    other.handle(React(one.fingerprint, last(other, one).key, "👍"))
    settle(one, other)
    one.handle(DeleteForAll(other.fingerprint, mine.id))
    settle(one, other)
    for person, peer in ((one, other), (other, one)):
        line = last(person, peer)
        assert (line.text, line.deleted, line.reactions) == ("", True, ())
    slip(one, other, Edit(mine.id, 9, one.now, "back again"), Text(mine.id, one.now, "back again"))
    assert [m.text for m in texts(other, one)] == [""]
    with pytest.raises(UserError):
        one.handle(EditText(other.fingerprint, mine.id, "too late"))
    with pytest.raises(UserError):
        other.handle(React(one.fingerprint, MessageKey(ours=False, id=mine.id), "👍"))


def test_a_text_that_comes_after_its_deletion_is_not_shown(two: Pair) -> None:
    """[R-9.3-8]; what a relay could make us remember is bounded."""
    one, other = two
    slip(one, other, Deletion(b"d" * 16, one.now), Text(b"d" * 16, one.now, "deleted before it came"))
    assert texts(other, one) == []
    for number in range(MOST_TOMBSTONES + 40):
        slip_only = Deletion(number.to_bytes(16, "big"), one.now)
        other.disk.tables.apply(
            gone(one.fingerprint, slip_only, other.now)  # straight to the table: 300 messages take long
        )
    assert other.disk.db.execute("SELECT count(*) FROM tombstone").get == MOST_TOMBSTONES


def gone(contact: bytes, said: Deletion, now: int) -> DeleteMessage:
    return DeleteMessage(contact, MessageKey(ours=False, id=said.id), now)


def test_one_reaction_a_side_and_the_latest_counts(two: Pair) -> None:
    """[R-9.3-9]"""
    one, other = two
    one.send(other, "look")
    settle(one, other)
    key = last(other, one).key
    for sign in ("👍", "❤️", "🎉"):  # three within a second
        other.handle(React(one.fingerprint, key, sign))
    one.handle(React(other.fingerprint, last(one, other).key, "👀"))
    settle(one, other)
    assert last(one, other).reactions == (Reaction(False, "🎉"), Reaction(True, "👀"))
    assert last(other, one).reactions == (Reaction(False, "👀"), Reaction(True, "🎉"))
    slip(other, one, content.Reaction(False, key.id, 5, "🕰"), content.Reaction(False, b"?" * 16, other.now, "🕳"))
    assert last(one, other).reactions[0].sign == "🎉"
    other.handle(React(one.fingerprint, key, ""))
    settle(one, other)
    assert last(one, other).reactions == (Reaction(True, "👀"),)
    for wrong in ("x" * 41, "a b", "\x1b", "\n\n\x00"):
        with pytest.raises(BadText):
            other.handle(React(one.fingerprint, key, wrong))


def test_receipts_go_only_if_asked_for_late_and_together(two: Pair) -> None:
    """[R-9.3-10]"""
    one, other = two
    one.send(other, "unconfirmed")
    settle(one, other)
    assert last(one, other).state is MessageState.AT_RELAY
    other.handle(SetReceipts(None, on=True))
    for number in range(5):
        one.send(other, f"{number}")
    while one.step() or other.step():
        assert not [e for e in other.pending if isinstance(e, Submit)]  # nothing at once
    settle(one, other)
    assert [m.state for m in texts(one, other)] == [MessageState.AT_RELAY] + [MessageState.DELIVERED] * 5
    other.handle(SetReceipts(one.fingerprint, on=False))
    one.send(other, "unconfirmed again")
    settle(one, other)
    assert last(one, other).state is MessageState.AT_RELAY
    slip(other, one, Receipt((b"?" * 16,) * 64))
    assert not other.disk.rows.get("receipt")


def test_a_failed_text_is_sent_again_or_erased(two: Pair) -> None:
    one, other = two
    one.send(other, "will fail")
    submit = next(effect for effect in one.pending if isinstance(effect, Submit))
    one.pending.clear()
    one.handle(Submitted(submit.reference, answers.Error(Code.TOO_LARGE)))
    failed = last(one, other)
    assert failed.state is MessageState.FAILED
    assert failed.why
    with pytest.raises(NotReady):
        one.handle(EditText(other.fingerprint, failed.id, "no"))
    one.handle(Resend(other.fingerprint, failed.id))
    settle(one, other)
    assert (last(one, other).state, last(one, other).why) == (MessageState.AT_RELAY, "")
    assert [m.text for m in texts(other, one)] == ["will fail"]
    with pytest.raises(NotReady):
        one.handle(Resend(other.fingerprint, failed.id))
    one.handle(EraseHere(other.fingerprint, failed.key))
    assert texts(one, other) == []
    assert len(texts(other, one)) == 1


def test_only_what_was_not_encrypted_is_withdrawn(two: Pair) -> None:
    """[R-13.1-2]"""
    one, other = two
    one.send(other, "on its way")
    one.send(other, "behind it")
    first, second = texts(one, other)
    with pytest.raises(NotReady):
        one.handle(Withdraw(other.fingerprint, first.id))
    with pytest.raises(NotReady):
        one.handle(EraseHere(other.fingerprint, second.key))
    one.handle(Withdraw(other.fingerprint, second.id))
    settle(one, other)
    assert [m.text for m in texts(other, one)] == [m.text for m in texts(one, other)] == ["on its way"]
    one.send(other, "third")
    one.send(other, "never said")
    one.handle(DeleteForAll(other.fingerprint, last(one, other).id))
    settle(one, other)
    assert [m.text for m in texts(other, one)] == ["on its way", "third"]
    assert last(one, other).deleted


def test_a_time_beyond_any_column_is_kept_as_the_largest(two: Pair) -> None:
    """B-series: 64 bits of nonsense in every time stop nothing."""
    one, other = two
    most = 2**64 - 1
    slip(
        one, other, Text(b"t" * 16, most, "far ahead"), Edit(b"t" * 16, 2**32 - 1, most, "edited"),
        content.Reaction(True, b"t" * 16, most, "x"), Deletion(b"u" * 16, most), content.Expiry(0, most),
    )  # fmt: skip
    assert last(other, one).text == "edited"
    assert not [note for note in other.told if note.what is What.ALARM]
