""" "It was never sent" is true whenever it is said: no word of a text that was withdrawn has left, nor leaves later."""

from __future__ import annotations

import pytest

from client.pairs import Pair, texts
from client.world import Person, settle
from troth_client import outbox
from troth_client.events import (
    DeleteForAll,
    EditText,
    MessageKey,
    MessageState,
    React,
    Resend,
    Submit,
    Submitted,
    Withdraw,
)
from troth_client.records import Item, Right
from troth_client.views import MessageView
from troth_protocol.errors import NotReady
from troth_protocol.wire import Code, answers


def waiting(person: Person) -> list[Item]:
    return [item for _, item in person.messenger._journal.items.items()]


@pytest.mark.parametrize("wish", [Withdraw, DeleteForAll])
def test_the_words_of_an_edit_do_not_leave_without_their_text(
    two: Pair, wish: type[Withdraw] | type[DeleteForAll]
) -> None:
    """[R-13.1-2] [R-9.3-8]: what hangs on a text that waits goes with it, and nothing of other texts does."""
    one, other = two
    one.send(other, "on its way")
    one.send(other, "secret")
    one.send(other, "stays")
    first, second, third = texts(one, other)
    one.handle(EditText(other.fingerprint, second.id, "another secret"))
    one.handle(React(other.fingerprint, second.key, "x"))
    one.handle(EditText(other.fingerprint, third.id, "stays, edited"))
    one.handle(React(other.fingerprint, MessageKey(ours=True, id=first.id), "y"))
    one.handle(wish(other.fingerprint, second.id))
    assert not [item for item in waiting(one) if b"secret" in item.content]
    assert len(waiting(one)) == 4
    settle(one, other)
    assert [m.text for m in texts(other, one)] == ["on its way", "stays, edited"]
    assert [len(m.reactions) for m in texts(other, one)] == [1, 0]
    one.crash()
    assert waiting(one) == []


def test_what_may_have_left_under_an_earlier_session_is_not_called_unsent(two: Pair) -> None:
    """A new session encrypts it anew, but a copy under the old one may be at their relay."""
    one, other = two
    one.send(other, "may have left")
    one.send(other, "has not")
    first, second = texts(one, other)
    key = next(key for key, _ in one.messenger._journal.peers.group(other.fingerprint))
    for _ in range(2):  # twice over is no less
        one.messenger._journal.now = one.now
        outbox.start_over(one.messenger._journal, key)
        one.perform(one.messenger._journal.commit())
        one.crash()  # and it is on the disk
    assert [(item.wire, item.right) for item in waiting(one)] == [(b"", Right.LEFT), (b"", Right.NONE)]
    with pytest.raises(NotReady):
        one.handle(Withdraw(other.fingerprint, first.id))
    one.handle(Withdraw(other.fingerprint, second.id))
    one.handle(DeleteForAll(other.fingerprint, first.id))
    assert not [item for item in waiting(one) if b"may have left" in item.content]
    one.connect()
    settle(one, other)
    assert texts(other, one) == []
    assert [m.deleted for m in texts(one, other)] == [True]


def failed(one: Person, other: Person) -> MessageView:
    """A text that arrives, while its sender is told that it failed."""
    one.send(other, "failed, or not")
    submit = next(effect for effect in one.pending if isinstance(effect, Submit))
    one.relay.link(one.now).ask(submit.request)
    one.pending.clear()
    one.handle(Submitted(submit.reference, answers.Error(Code.TOO_LARGE)))
    (line,) = texts(one, other)
    assert line.state is MessageState.FAILED
    return line


def test_what_failed_and_is_queued_again_is_not_called_unsent(two: Pair) -> None:
    one, other = two
    line = failed(one, other)
    one.send(other, "in front")
    one.handle(Resend(other.fingerprint, line.id))
    with pytest.raises(NotReady):
        one.handle(Withdraw(other.fingerprint, line.id))
    settle(one, other)
    assert [m.text for m in texts(other, one)] == ["failed, or not", "in front"]


def test_what_failed_is_taken_back_where_it_arrived_all_the_same(two: Pair) -> None:
    """[R-9.3-8]: a relay that lies, or an answer that was for another copy, leaves no words there."""
    one, other = two
    line = failed(one, other)
    one.handle(DeleteForAll(other.fingerprint, line.id))
    settle(one, other)
    assert [m.deleted for m in texts(other, one)] == [True]
