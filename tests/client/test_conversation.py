"""Two messengers and a real relay core: first contact, order, crossing, decline, and what a crash may cost: nothing."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from client.world import Person, RelayCore, Template, settle
from troth_client.events import (
    Accept,
    Acknowledge,
    Add,
    Arrived,
    Decline,
    Notify,
    Put,
    Save,
    SendText,
    Submit,
    What,
)
from troth_client.records import Standing
from troth_protocol.errors import NotReady, TextTooLong, UserError
from troth_protocol.wire import answers


def two(relay: RelayCore) -> tuple[Person, Person]:
    one, other = Person("Ann", relay), Person("Ben", relay)
    one.connect()
    other.connect()
    settle(one, other)
    return one, other


def standing(person: Person, other: Person) -> Standing:
    return next(c.standing for c in person.messenger.contacts() if c.fingerprint == other.fingerprint)


def test_first_contact_waits_for_a_person(relay: RelayCore) -> None:
    """A stranger's message becomes a request; nothing is sent in answer until it is accepted. [R-13.1-4]"""
    one, other = two(relay)
    one.handle(Add(other.make_card(), "Ben"))
    one.send(other, "before the bundle is here")
    settle(one)
    other.told.clear()
    while other.step():
        assert not any(isinstance(effect, Submit) for effect in other.pending)
    assert standing(other, one) is Standing.REQUEST
    assert other.disk.received() == ["before the bundle is here"]
    assert any(note.what is What.REQUEST for note in other.told)
    with pytest.raises(NotReady):
        other.send(one, "not yet")
    other.handle(Accept(one.fingerprint))
    settle(one, other)
    assert standing(one, other) is standing(other, one) is Standing.ACTIVE
    other.send(one, "hello")
    settle(one, other)
    assert one.disk.received() == ["hello"]


def test_at_most_eight_first_messages_then_the_rest_after_the_answer(relay: RelayCore) -> None:
    """[R-6.3-2]: eight envelopes a card; texts beyond, and long ones, wait for a return address."""
    one, other = two(relay)
    one.handle(Add(other.make_card(), ""))
    texts = [f"first {n}" for n in range(12)] + ["long " * 1_000]
    for text in texts:
        one.send(other, text)
    settle(one, other)
    assert other.disk.received() == texts[:7]  # the profile took one of the eight
    other.handle(Accept(one.fingerprint))
    settle(one, other)
    assert other.disk.received() == texts


def test_declined_means_forgotten(relay: RelayCore) -> None:
    """Declining erases texts and every right; what else comes changes nothing. [R-13.1-4]"""
    one, other = two(relay)
    one.handle(Add(other.make_card(), ""))
    one.send(other, "unwanted")
    settle(one, other)
    other.handle(Decline(one.fingerprint))
    one.send(other, "again")
    settle(one, other)
    assert other.disk.received() == []
    assert other.disk.messages == []
    assert not any(other.disk.rows.get(kind) for kind in ("token", "nonce"))
    assert standing(other, one) is Standing.DECLINED


def test_both_add_each_other_at_once(relay: RelayCore) -> None:
    """A-20, crossing: both first messages are read, one session remains, nobody has to accept. [R-6.5-2]"""
    one, other = two(relay)
    cards = one.make_card(), other.make_card()
    one.handle(Add(cards[1], ""))
    other.handle(Add(cards[0], ""))
    one.send(other, "from one")
    other.send(one, "from other")
    settle(one, other)
    assert other.disk.received() == ["from one"]
    assert one.disk.received() == ["from other"]
    for turn in range(4):
        one.send(other, f"a{turn}")
        settle(one, other)
        other.send(one, f"b{turn}")
        settle(one, other)
    assert other.disk.received() == ["from one", "a0", "a1", "a2", "a3"]
    assert one.disk.received() == ["from other", "b0", "b1", "b2", "b3"]
    assert standing(one, other) is standing(other, one) is Standing.ACTIVE


def test_a_thousand_texts_one_way_are_paid_for_by_top_ups(template: Template, tmp_path: Path) -> None:
    """[R-13.2-2]: somebody who only listens still sends tokens, so the speaker never runs dry for good."""
    relay, one, other = template.begin(tmp_path)
    texts = [f"{n}" for n in range(400)]
    for text in texts:
        one.send(other, text)
    settle(one, other, seconds=300)
    assert other.disk.received() == texts
    relay.store.close()


def test_wrong_uses_change_nothing(template: Template, tmp_path: Path) -> None:
    relay, one, other = template.begin(tmp_path)
    settle(one, other)
    before = one.disk.copy()
    with pytest.raises(TextTooLong):
        one.send(other, "x" * 16_001)
    with pytest.raises(UserError, match="own card"):
        one.handle(Add(one.make_card(), ""))
    with pytest.raises(UserError, match="already"):
        one.handle(Add(other.make_card(), ""))
    one.send(other, "x" * 16_000)
    settle(one, other)
    assert other.disk.received() == ["x" * 16_000]
    assert one.disk.rows["contact"] == before.rows["contact"]
    relay.store.close()


def test_a_used_card_is_refused_and_says_so(relay: RelayCore) -> None:
    """One use pays for one person; the second is told. [R-10.4-2]"""
    one, other = two(relay)
    third = Person("Cleo", relay)
    third.connect()
    settle(third)
    card = other.make_card()
    introduce_by = Add(card, "")
    one.handle(introduce_by)
    settle(one, other)
    for _ in range(8):  # fetches are bounded as well
        third.handle(Add(card, ""))
        settle(third)
    assert standing(third, other) in {Standing.REFUSED, Standing.ASKED}


_FOLDER: list[Template] = []


class Crashing(RuleBasedStateMachine):
    """A-69: processes die and connections break between any two steps; every text arrives once, in order.

    [R-13.1-1] [R-13.1-2] [R-13.1-3] [R-13.2-3]
    """

    def __init__(self) -> None:
        super().__init__()
        if not _FOLDER:
            _FOLDER.append(Template.make(Path(tempfile.mkdtemp(prefix="troth-template-"))))
        self.relay, *people = _FOLDER[0].begin(Path(tempfile.mkdtemp(prefix="troth-crashing-")))
        self.people = people
        self.sent: list[list[str]] = [[], []]

    @rule(who=st.integers(0, 1))
    def write(self, who: int) -> None:
        text = f"{who}:{len(self.sent[who])}"
        self.sent[who].append(text)
        self.people[who].send(self.people[1 - who], text)

    @rule(who=st.integers(0, 1), steps=st.integers(1, 12), answer=st.booleans())
    def work(self, who: int, steps: int, answer: bool) -> None:
        for _ in range(steps):
            self.people[who].step(answer=answer)

    @rule(who=st.integers(0, 1))
    def crash(self, who: int) -> None:
        self.people[who].crash()

    @rule(who=st.integers(0, 1))
    def lose(self, who: int) -> None:
        self.people[who].lose()

    @precondition(lambda self: any(person.owner is None for person in self.people))
    @rule()
    def reconnect(self) -> None:
        for person in self.people:
            if person.owner is None:
                person.connect()

    @invariant()
    def nothing_is_shown_twice_or_out_of_order(self) -> None:
        for who, person in enumerate(self.people):
            shown = person.disk.received()
            assert shown == self.sent[1 - who][: len(shown)]

    def teardown(self) -> None:
        for person in self.people:
            if person.owner is None:
                person.connect()
        settle(*self.people)
        for who, person in enumerate(self.people):
            assert person.disk.received() == self.sent[1 - who]
            assert not person.disk.rows.get("item")
        self.relay.store.close()


Crashing.TestCase.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestCrashing = Crashing.TestCase


def test_memory_equals_disk_after_every_event(template: Template, tmp_path: Path) -> None:
    """A reload at any point gives the messenger that was there: nothing lives in memory alone."""
    relay, one, other = template.begin(tmp_path)
    for turn in range(6):
        one.send(other, f"{turn}")
        while one.step() or other.step():
            for person in (one, other):
                reloaded = person.messenger.load(person.disk.rows, person.messenger._journal.randomness)
                for table, again in zip(person.messenger._journal._tables, reloaded._journal._tables, strict=True):
                    assert {k: table._encode(v) for k, v in table._rows.items()} == {  # type: ignore[arg-type]
                        k: again._encode(v)  # type: ignore[arg-type]
                        for k, v in again._rows.items()
                    }
    relay.store.close()


def test_a_failing_event_leaves_everything(template: Template, tmp_path: Path) -> None:
    relay, one, other = template.begin(tmp_path)
    before = {kind: dict(rows) for kind, rows in one.disk.rows.items()}
    with pytest.raises(UserError):
        one.handle(SendText(b"?" * 32, "nobody"))
    assert not [note for note in one.told if isinstance(note, Notify) and note.what is What.MESSAGE]
    assert {kind: rows for kind, rows in one.disk.rows.items() if kind != "account"} == {
        kind: rows for kind, rows in before.items() if kind != "account"
    }
    relay.store.close()
    assert other.disk.received() == []


def test_a_batch_is_one_save_and_each_event_whole_or_not_at_all(template: Template, tmp_path: Path) -> None:
    """[R-13.1-1] [R-13.1-3]: what one event of many gets wrong is undone alone, and nothing leaves before the save."""
    relay, one, other = template.begin(tmp_path)
    settle(one, other)
    for number in range(4):
        one.send(other, f"{number}")
        while one.step():
            pass
    assert other.owner is not None
    waiting = [answer for _, answer in other.owner.incoming if isinstance(answer, answers.Envelope)]
    broken = bytes((waiting[1].envelope[0] ^ 1,)) + waiting[1].envelope[1:]
    waiting[1] = replace(waiting[1], envelope=broken)
    for envelope in waiting:
        other.messenger.take(Arrived(envelope), other.now)
    with pytest.raises(UserError):
        other.messenger.take(SendText(b"?" * 32, "nobody"), other.now)
    effects = other.messenger.effects()
    assert [place for place, effect in enumerate(effects) if isinstance(effect, Save)] == [0]
    assert [e.sequences[0] for e in effects if isinstance(e, Acknowledge)] == [e.sequence for e in waiting]
    (save,) = (effect for effect in effects if isinstance(effect, Save))
    assert [change.kind for change in save.changes if isinstance(change, Put)].count("peer") == 1
    other.perform(effects)
    assert other.disk.received() == ["0", "2", "3"]
    reloaded = other.messenger.load(other.disk.rows, other.messenger._journal.randomness, other.disk)
    assert reloaded._journal.peers._rows == other.messenger._journal.peers._rows
    assert other.messenger.effects() == []
    relay.store.close()
