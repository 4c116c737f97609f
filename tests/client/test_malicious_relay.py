"""What a relay may try with a client: bundles changed field by field, replays, foreign marks, nonsense, silence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from client import pairs
from client.world import Link, Person, RelayCore, Template, settle
from troth_client.events import Accept, Acknowledge, Add, Arrived, Submit, Submitted, What
from troth_client.records import Standing
from troth_protocol.card import Card
from troth_protocol.wire import NONCE_SIZE, Via, answers, requests


def strangers(relay: RelayCore) -> tuple[Person, Person, Card]:
    one, other = pairs.strangers(relay)
    return one, other, other.make_card()


def honest(one: Person, card: Card) -> tuple[Submit, answers.Bundle]:
    """The pending fetch and the answer an honest relay gives it."""
    one.handle(Add(card, ""))
    fetch = next(effect for effect in one.pending if isinstance(effect, Submit))
    one.pending.remove(fetch)
    link = Link(one.relay, one.now)
    link.ask(fetch.request)
    answer = link.incoming.popleft()[1]
    assert isinstance(answer, answers.Bundle)
    return fetch, answer


def flipped(raw: bytes, at: int) -> bytes:
    return raw[:at] + bytes((raw[at] ^ 1,)) + raw[at + 1 :]


def standing(one: Person, card: Card) -> Standing:
    return next(c.standing for c in one.messenger.contacts() if c.fingerprint == card.fingerprint)


TAMPERINGS: dict[str, Callable[[answers.Bundle, answers.Bundle], answers.Bundle]] = {
    "first byte": lambda good, _: replace(good, bundle=flipped(good.bundle, 0)),
    "last byte": lambda good, _: replace(good, bundle=flipped(good.bundle, -1 % len(good.bundle))),
    "another person's bundle": lambda good, foreign: replace(good, bundle=foreign.bundle),
    "another person's leaf": lambda good, foreign: replace(good, leaves=foreign.leaves),
    "a leaf with another index": lambda good, _: replace(good, leaves=(flipped(good.leaves[0] or b"", 0),)),
    "a leaf with another X25519 key": lambda good, _: replace(good, leaves=(flipped(good.leaves[0] or b"", 5),)),
    "a leaf with another KEM key": lambda good, _: replace(good, leaves=(flipped(good.leaves[0] or b"", 500),)),
    "a leaf with another path": lambda good, _: replace(good, leaves=(flipped(good.leaves[0] or b"", 1_300),)),
}


@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_a_tampered_bundle_starts_nothing(relay: RelayCore, tampering: str) -> None:
    """A-01, A-02 and B058 at the client: an alarm, no session, no bytes out, the text kept. [R-5.3-2]"""
    one, other, card = strangers(relay)
    third = Person("Eve", relay)
    third.connect()
    settle(third)
    _, foreign = honest(third, other.make_card() if tampering != "another person's leaf" else third_card(relay))
    fetch, good = honest(one, card)
    one.send(other, "kept")
    one.pending.clear()
    one.handle(Submitted(fetch.reference, TAMPERINGS[tampering](good, foreign)))
    assert standing(one, card) is Standing.REFUSED
    assert not one.disk.rows.get("peer")
    assert not one.pending
    assert any(note.what is What.ALARM for note in one.told)
    assert [message.text for message in one.disk.messages] == ["kept"]
    # With an honest answer to a new card the same text goes out.
    one.handle(Add(other.make_card(), ""))
    settle(one, other)
    assert other.disk.received() == ["kept"]


def third_card(relay: RelayCore) -> Card:
    """A card of somebody else altogether."""
    stranger = Person("Mallory", relay)
    stranger.connect()
    settle(stranger)
    return stranger.make_card()


def test_without_a_leaf_the_handshake_says_so_and_works(relay: RelayCore) -> None:
    """A-05: no leaf means last-resort mode, in the transcript; the conversation begins all the same. [R-6.2-2]"""
    one, other, card = strangers(relay)
    fetch, good = honest(one, card)
    one.handle(Submitted(fetch.reference, replace(good, leaves=(None,))))
    one.send(other, "mode 0")
    settle(one, other)
    assert other.disk.received() == ["mode 0"]


def arrivals(person: Person) -> list[answers.Envelope]:
    """Envelopes the relay has sent and the person has not read."""
    assert person.owner is not None
    return [answer for _, answer in person.owner.incoming if isinstance(answer, answers.Envelope)]


def test_a_replayed_first_message_is_read_once(relay: RelayCore) -> None:
    """A-06: at once, after acceptance, after a restart and after new prekeys, it changes nothing. [R-13.1-5]"""
    one, other, card = strangers(relay)
    one.handle(Add(card, ""))
    one.send(other, "once")
    settle(one)
    first = arrivals(other)
    assert len(first) == 2
    settle(other)
    other.handle(Accept(one.fingerprint))
    settle(one, other)

    def replay() -> None:
        before = {kind: dict(rows) for kind, rows in other.disk.rows.items()}
        for envelope in first:
            other.handle(Arrived(envelope))
        other.pending.clear()
        assert other.disk.received() == ["once"]
        assert {kind: dict(rows) for kind, rows in other.disk.rows.items()} == before

    replay()
    other.crash()
    replay()
    other.now += 8 * 86_400
    other.connect()
    settle(other)
    assert len(other.disk.rows["generation"]) == 2
    replay()


def test_foreign_marks_and_old_envelopes_change_nothing(template: Template, tmp_path: Path) -> None:
    """B077: a relay that hands out envelopes under other marks, twice, or to somebody else. [R-10.2-7] [R-13.1-11]"""
    relay, one, other = template.begin(tmp_path)
    settle(one, other)
    one.send(other, "first")
    one.send(other, "second")
    while one.step():
        pass
    queued = arrivals(other)
    settle(other)
    assert other.disk.received() == ["first", "second"]
    before = {kind: dict(rows) for kind, rows in other.disk.rows.items()}
    unused = next(iter(other.disk.rows["nonce"]))
    for envelope in queued:
        assert other.handle(Arrived(envelope)) == [Acknowledge((envelope.sequence,))]
        other.handle(Arrived(replace(envelope, mark=unused + bytes(16))))
        other.handle(Arrived(replace(envelope, via=Via.INTRO, mark=bytes(32))))
        other.handle(Arrived(replace(envelope, via=Via.SPARE, mark=bytes(32))))
        other.handle(Arrived(replace(envelope, envelope=flipped(envelope.envelope, 100), mark=unused + bytes(16))))
        one.handle(Arrived(envelope))
    other.pending.clear()
    one.pending.clear()
    assert {kind: dict(rows) for kind, rows in other.disk.rows.items()} == before
    assert one.disk.received() == []
    one.send(other, "third")
    settle(one, other)
    assert other.disk.received() == ["first", "second", "third"]
    assert len(unused) == NONCE_SIZE
    relay.store.close()


def test_a_thousand_probes_get_no_answer(template: Template, tmp_path: Path) -> None:
    """A-42: nothing leaves for anything unauthenticated, failed or replayed."""
    relay, one, other = template.begin(tmp_path)
    settle(one, other)
    one.send(other, "real")
    while one.step():
        pass
    (envelope,) = arrivals(other)
    settle(other)
    for number in range(1_000):
        body = flipped(envelope.envelope, number % len(envelope.envelope))
        via = (Via.TOKEN, Via.SPARE, Via.INTRO)[number % 3]
        for effect in other.handle(Arrived(replace(envelope, sequence=number, via=via, envelope=body))):
            assert not isinstance(effect, Submit)
    relay.store.close()


def test_a_lying_relay_is_heard_but_not_believed(template: Template, tmp_path: Path) -> None:
    """Errors, nonsense and answers to nothing leave what is queued where it is. B075"""
    relay, one, other = template.begin(tmp_path)
    settle(one, other)
    one.send(other, "stays")
    submit = next(effect for effect in one.pending if isinstance(effect, Submit))
    one.pending.clear()
    for code in (7, 8, 9, 10):
        one.handle(Submitted(submit.reference, answers.Error(code, retry_after=5)))
        one.handle(Submitted(b"I" + bytes(8), answers.Ok()))
        one.handle(Submitted(b"B" + bytes(32), answers.Ok()))
    assert one.messenger.queued(other.fingerprint) == 1
    one.connect()
    settle(one, other)
    assert other.disk.received() == ["stays"]
    assert isinstance(submit.request, requests.Deliver)
    relay.store.close()
