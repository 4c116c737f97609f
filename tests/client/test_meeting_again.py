"""Meeting again by a card: after each has blocked and unblocked the other, and after a request was declined."""

from __future__ import annotations

import pytest

from client.pairs import Pair, strangers
from client.world import RelayCore, settle
from troth_client.events import Add, Block, Decline, SendText, SetVerified, Unblock
from troth_client.records import Standing
from troth_protocol.errors import UserError


def test_two_who_blocked_one_another_meet_again_by_a_card(two: Pair) -> None:
    """[R-13.5-2]: neither can be told of the other's unblocking; a card of a contact out of reach starts anew."""
    one, other = two
    one.handle(SetVerified(other.fingerprint))
    card = other.make_card()
    with pytest.raises(UserError):
        one.handle(Add(card, ""))
    for wish in (Block, Unblock):
        for person, contact in ((one, other), (other, one)):
            person.handle(wish(contact.fingerprint))
            settle(one, other)
    one.send(other, "a")
    other.send(one, "b")
    settle(one, other)
    assert (one.disk.received(), other.disk.received()) == ([], [])
    one.handle(Add(card, ""))
    settle(one, other)
    assert (one.disk.received()[-1], other.disk.received()[-1]) == ("b", "a")
    (known,) = one.messenger.contacts()
    assert (known.standing, known.verified) == (Standing.ACTIVE, True)
    with pytest.raises(UserError):
        one.handle(Add(card, ""))


def test_who_was_declined_can_be_written_to_by_their_card(relay: RelayCore) -> None:
    """A declined request is forgotten with its keys; adding the same person later is a meeting like any other."""
    one, other = strangers(relay)
    one.handle(Add(other.make_card(), ""))
    one.handle(SendText(other.fingerprint, "declined"))
    settle(one, other)
    other.handle(Decline(one.fingerprint))
    settle(one, other)
    assert other.disk.received() == []
    card = one.make_card()
    other.handle(Add(card, "Ann"))
    settle(one, other)
    other.send(one, "after all")
    settle(one, other)
    one.send(other, "good")
    settle(one, other)
    assert one.disk.received()[-1] == "after all"
    assert other.disk.received()[-1] == "good"
    assert "declined" not in other.disk.received()
