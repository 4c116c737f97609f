"""What a malicious relay does to a queue: drop, delay, reorder, repeat, swap, roll back, forge."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from pathlib import Path

import pytest

from attacks.malicious import Withholding, begin, everything, newcomers, peer_of
from client.world import Person, Template, introduce, settle
from troth_client.events import AddMessage, Arrived, Ask, MessageState, Submit
from troth_protocol.token import capability_hash
from troth_protocol.wire import Via, answers, requests


def notices(person: Person) -> list[str]:
    return [message.text for message in person.disk.messages if message.state is MessageState.NOTICE]


def written(one: Person, other: Person, texts: list[str]) -> None:
    """Send texts and let them reach the relay, not the reader."""
    for text in texts:
        one.send(other, text)
    while any(isinstance(effect, Submit) for effect in one.pending):
        one.step()


def hand_over(reader: Person, envelopes: list[answers.Envelope]) -> None:
    for envelope in envelopes:
        reader.handle(Arrived(envelope))


def test_a50_what_a_relay_drops_is_missed_at_the_next_message(template: Template, tmp_path: Path) -> None:
    """A-50: of five messages the relay drops two; the reader is told at each next one how many have not come.

    What is dropped at the end shows only when something follows. [R-13.1-12]
    """
    relay, one, other = begin(template, tmp_path)
    settle(one, other)
    relay.tamper = drops = Withholding()
    written(one, other, ["1", "2", "3", "4", "5"])
    queued = list(drops.held)
    assert len(queued) == 5
    before = len(notices(other))
    hand_over(other, [queued[0], queued[2], queued[3]])
    assert other.disk.received() == ["1", "3", "4"]
    (told,) = notices(other)[before:]
    assert told.startswith("1 earlier message has not arrived")
    written(one, other, ["6", "7"])
    hand_over(other, [drops.held[-1]])
    assert notices(other)[-1].startswith("2 earlier messages have not arrived")  # 5 and 6
    shown = [message.text for message in other.disk.messages if message.state is not MessageState.AT_RELAY]
    assert shown[-2:] == [notices(other)[-1], "7"]  # the notice stands before what follows the gap
    hand_over(other, [queued[1], queued[4]])
    assert other.disk.received() == ["1", "3", "4", "7", "2", "5"]
    assert len(notices(other)) == before + 2


@pytest.mark.parametrize("seed", range(4))
def test_a50_delay_reorder_and_repeat_show_each_message_once(template: Template, tmp_path: Path, seed: int) -> None:
    """A-50: whatever order and however often, each text is shown once and none is changed. [R-13.1-5]"""
    relay, one, other = begin(template, tmp_path)
    settle(one, other)
    chance = random.Random(seed)
    relay.tamper = holding = Withholding()
    said = {name: [f"{name}{number}" for number in range(12)] for name in "ab"}
    for number in range(12):
        written(one, other, [said["a"][number]])
        written(other, one, [said["b"][number]])
    for_other = [envelope for envelope in holding.held if envelope.mark[:16] in other.disk.rows["nonce"]]
    for_one = [envelope for envelope in holding.held if envelope.mark[:16] in one.disk.rows["nonce"]]
    assert len(for_other) == len(for_one) == 12
    for person, envelopes in ((other, for_other), (one, for_one)):
        twice = envelopes * 2
        chance.shuffle(twice)
        hand_over(person, twice)
    assert sorted(other.disk.received()) == sorted(said["a"])
    assert sorted(one.disk.received()) == sorted(said["b"])


def test_a50_a_queue_rolled_back_shows_nothing_twice(template: Template, tmp_path: Path) -> None:
    """A-50: the relay goes back to files from before the acknowledgements; the old queue is read in silence."""
    relay, one, other = begin(template, tmp_path / "relay")
    settle(one, other)
    other.lose()
    written(one, other, ["one", "two"])
    relay.photograph(tmp_path / "old")
    other.connect()
    settle(one, other)
    written(one, other, ["three"])
    settle(one, other)
    before, alarms = everything(other.disk), len(other.told)
    other.lose()
    relay.go_back(tmp_path / "old")
    other.connect()
    for _ in range(30):
        other.step()
    assert other.disk.received() == ["one", "two", "three"]
    changed = everything(other.disk)
    for kind in ("peer", "nonce", "contact", "generation"):
        assert changed[kind] == before[kind], kind
    assert len(other.told) >= alarms
    written(one, other, ["four"])
    settle(one, other)
    assert other.disk.received() == ["one", "two", "three", "four"]


def test_a50_the_relay_says_ok_and_stores_nothing(template: Template, tmp_path: Path) -> None:
    """A-50: a lie to the sender: their text says it is at the relay; the reader hears of the gap at the next one."""
    relay, one, other = begin(template, tmp_path)
    settle(one, other)
    relay.lie = lambda request: answers.Ok() if isinstance(request, requests.Deliver) else None
    written(one, other, ["swallowed"])
    assert one.disk.messages[-1].state is MessageState.AT_RELAY  # the state's name promises no more than that
    relay.honest()
    written(one, other, ["next"])
    settle(one, other)
    assert other.disk.received() == ["next"]
    assert "1 earlier message has not arrived" in notices(other)[-1]


def test_a42_silence_to_probes_of_every_kind(template: Template, tmp_path: Path) -> None:
    """A-42 (Careless Whisper 2024): no probe, forged, stale or replayed, makes a device send or ask anything."""
    relay, one, other = begin(template, tmp_path)
    settle(one, other)
    written(one, other, ["real"])
    settle(one, other)
    real = relay.envelopes()[-1]
    unused, spare = next(iter(other.disk.rows["nonce"])), capability_hash(peer_of(other, one).spare)
    marks = [
        (Via.TOKEN, unused + bytes(16)),
        (Via.TOKEN, bytes(32)),
        (Via.SPARE, spare),
        (Via.INTRO, bytes(32)),
        (Via.SPARE, bytes(32)),
    ]
    chance, asked = random.Random(42), len(relay.log)
    for number, (via, mark) in zip(range(1_000), itertools.cycle(marks), strict=False):
        size = chance.choice((1_154, 4_226, 16_514))
        body = real.envelope if number % 4 == 0 else chance.randbytes(size)
        wanted = other.handle(Arrived(answers.Envelope(number + 1, via, mark, body)))
        assert not any(isinstance(effect, Submit | Ask) for effect in wanted)
    other.pending.clear()
    settle(one, other)
    assert len(relay.log) == asked
    assert other.disk.received() == ["real"]


def test_x01_a_message_under_the_mark_of_another(template: Template, tmp_path: Path) -> None:
    """X-01: an established message of one contact handed out under the spare mark or token of another contact."""
    relay, one, other = begin(template, tmp_path)
    (third,) = newcomers(relay, "third")
    settle(one, other, third)
    introduce(third, other)
    relay.tamper = holding = Withholding()
    written(one, other, ["from one"])
    (envelope,) = holding.held
    before = everything(other.disk)
    foreign = next(nonce for nonce, given in other.disk.rows["nonce"].items() if given[:32] == third.fingerprint)
    for via, mark in (
        (Via.SPARE, capability_hash(peer_of(other, third).spare)),
        (Via.TOKEN, foreign + bytes(16)),
        (Via.INTRO, bytes(32)),
    ):
        hand_over(other, [replace(envelope, via=via, mark=mark)])
    assert everything(other.disk) == before
    hand_over(other, [envelope])
    assert other.disk.received() == ["from one"]
    assert {m.contact for m in other.disk.messages if m.text == "from one"} == {one.fingerprint}
    relay.store.close()


def test_x02_an_old_number_with_another_envelope(template: Template, tmp_path: Path) -> None:
    """X-02: queue numbers repeat, run backwards or jump to 2^64-1; the client trusts the messages' own counters."""
    relay, one, other = begin(template, tmp_path)
    settle(one, other)
    relay.tamper = holding = Withholding()
    written(one, other, ["a", "b", "c"])
    numbers = (2**64 - 1, 0, 1)
    for envelope, number in zip(list(holding.held), numbers, strict=True):
        hand_over(other, [replace(envelope, sequence=number)])
    assert other.disk.received() == ["a", "b", "c"]
    for envelope in list(holding.held):
        hand_over(other, [replace(envelope, sequence=1)])
    assert other.disk.received() == ["a", "b", "c"]


def test_x03_an_envelope_in_the_wrong_mailbox(template: Template, tmp_path: Path) -> None:
    """X-03: the relay gives the sender their own envelope back, and another person somebody else's."""
    relay, one, other = begin(template, tmp_path)
    (third,) = newcomers(relay, "third")
    settle(one, other, third)
    relay.tamper = holding = Withholding()
    written(one, other, ["for other alone"])
    (envelope,) = holding.held
    for wrong in (one, third):
        before = everything(wrong.disk)
        hand_over(wrong, [envelope])
        assert everything(wrong.disk) == before
        assert wrong.disk.received() == []


def test_x04_answers_of_the_wrong_kind(template: Template, tmp_path: Path) -> None:
    """X-04: every request answered with a well-formed answer to something else; nothing counts as sent or made."""
    relay, one, other = begin(template, tmp_path)
    settle(one, other)
    wrong: list[answers.Answer] = [
        answers.Counts(0, 0), answers.Drained(), answers.LedgerPage(bytes(1_984), 2**64 - 1, ()),
        answers.Welcome(1, bytes(32), bytes(32), 0, bytes(32)), answers.Error(65_535),
    ]  # fmt: skip
    for number, answer in enumerate(wrong):
        relay.lie = lambda request, answer=answer: answer if isinstance(request, requests.Deliver) else None  # type: ignore[misc]
        written(one, other, [f"text {number}"])
        assert not any(m.state is MessageState.AT_RELAY and m.text == f"text {number}" for m in one.disk.messages)
    relay.honest()
    one.now += 60
    written(one, other, ["honest again"])
    settle(one, other)
    assert other.disk.received()[-1] == "honest again"
    assert all(isinstance(message, AddMessage) for message in other.disk.messages)


def test_x18_a_relay_writes_no_second_notice_about_one_token(template: Template, tmp_path: Path) -> None:
    """X-18: a relay spoils a message and hands it out a hundred times: one line in the conversation, not a hundred."""
    relay, one, other = begin(template, tmp_path)
    settle(one, other)
    relay.tamper = holding = Withholding()
    written(one, other, ["spoilt"])
    (envelope,) = holding.held
    before = len(notices(other))
    for number in range(100):
        at = 82 + number * 7
        spoilt = envelope.envelope[:at] + bytes((envelope.envelope[at] ^ 1,)) + envelope.envelope[at + 1 :]
        hand_over(other, [replace(envelope, envelope=spoilt)])
    assert len(notices(other)) == before + 1
    hand_over(other, [envelope])
    assert other.disk.received() == ["spoilt"]
