"""What a stranger with a card, or with none, may try."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import simulator
from attacks.malicious import (
    MaliciousRelay,
    Stranger,
    as_simulated,
    begin,
    everything,
    newcomers,
    peer_of,
)
from client.world import START, Person, Template, settle
from troth_client.events import Accept, Add, Decline, What
from troth_client.records import Standing
from troth_protocol import keys, labels
from troth_protocol.content import Text
from troth_protocol.encoding import sha256
from troth_protocol.wire import ENVELOPES_PER_USE, Code, answers, requests


def alarms(person: Person) -> list[str]:
    return [note.code for note in person.told if note.what is What.ALARM]


def test_x09_a_stranger_cannot_move_it(template: Template, tmp_path: Path) -> None:
    """X-09: a first message in the contact's name but without their keys changes no address and shows nothing."""
    relay, one, other = begin(template, tmp_path)
    settle(one, other)
    card = other.make_card()
    stranger = Stranger("eve", as_simulated(other, card))
    theirs, before = as_simulated(one, card), peer_of(other, one)
    for changes in (
        {"root_a": theirs.root.public, "manifest_a": theirs.manifest.raw, "device_a": theirs.device.id},
        {"root_a": theirs.root.public, "manifest_a": theirs.manifest.raw},
        {"manifest_a": theirs.manifest.raw, "device_a": theirs.device.id},
        {"root_a": theirs.root.public},
    ):
        assert stranger.delivers(relay, stranger.forges("I am one", **changes)) == answers.Ok()
    settle(other)
    assert peer_of(other, one) == before
    assert other.disk.received() == []
    assert [contact.fingerprint for contact in other.messenger.contacts()] == [one.fingerprint]
    assert len(alarms(other)) >= 3


def test_x11_a_known_fingerprint_with_another_root_key(relay: MaliciousRelay) -> None:
    """X-11: a first message whose root key, manifest and device come from different accounts names nobody."""
    (ben,) = newcomers(relay, "Ben")
    settle(ben)
    card = ben.make_card()
    stranger, alice = Stranger("eve", as_simulated(ben, card)), simulator.person("alice")
    before = everything(ben.disk)
    for changes in (
        {"root_a": alice.root.public},
        {"manifest_a": alice.manifest.raw},
        {"root_a": alice.root.public, "manifest_a": alice.manifest.raw},
        {"device_a": alice.device.id},
        {"device_b": alice.device.id},
        {"manifest_b": bytes(32)},
        {"manifest_a": alice.manifest.raw[:-1] + bytes((alice.manifest.raw[-1] ^ 1,)), "root_a": alice.root.public},
    ):
        assert stranger.delivers(relay, stranger.forges("who am I", **changes)) == answers.Ok()
    # Eve's own root key signs a manifest that names Alice's account: every signature is good.
    eve = stranger.account
    body = eve.manifest.raw[:2] + alice.fingerprint + eve.manifest.raw[34 : -keys.SIGNATURE_SIZE]
    raw = body + eve.root.sign(labels.SIGN_MANIFEST, body, stranger.source)
    posing = replace(eve, manifest=replace(eve.manifest, fingerprint=alice.fingerprint, raw=raw, hash=sha256(raw)))
    said = Text(bytes(16), START, "I am Alice").encode()
    flight = simulator.first_flight(posing, stranger.victim, stranger.source, None, said)
    assert stranger.delivers(relay, flight.sealed) == answers.Ok()
    settle(ben)
    assert ben.messenger.contacts() == []
    assert ben.disk.rows["generation"] == before["generation"]


def test_x13_one_stranger_and_many_requests(relay: MaliciousRelay) -> None:
    """X-13: a card for one use brings eight envelopes at most, whoever writes them; one account makes one request."""
    (ben,) = newcomers(relay, "Ben")
    settle(ben)
    card = ben.make_card()
    victim = as_simulated(ben, card)
    stranger = Stranger("eve", victim, simulator.Seeded("many"))
    guess = requests.DeliverFirst(card.lookup, b"g" * 32, 0, b"n" * 16, stranger.writes("no card").sealed)
    link = relay.link(START)
    link.ask(guess)
    assert link.incoming.popleft()[1] == answers.Error(Code.REFUSED)
    answered = [stranger.delivers(relay, stranger.writes(f"again {n}").sealed) for n in range(12)]
    assert answered == [answers.Ok()] * ENVELOPES_PER_USE + [answers.Error(Code.REFUSED)] * 4
    settle(ben)
    (contact,) = ben.messenger.contacts()
    assert contact.standing is Standing.REQUEST
    assert len(ben.disk.received()) == 2  # the first, and the one replacement a day; the rest was refused
    assert not relay.asked(requests.Deliver)
    ben.handle(Decline(contact.fingerprint))
    assert ben.disk.received() == []
    assert not any(ben.disk.rows.get(kind) for kind in ("token", "nonce"))


def test_x15_a_declined_person_comes_back(relay: MaliciousRelay) -> None:
    """X-15: after a refusal the same account writes again by the same card, on new handshakes: dropped unseen."""
    (ben,) = newcomers(relay, "Ben")
    settle(ben)
    stranger = Stranger("eve", as_simulated(ben, ben.make_card()))
    assert stranger.delivers(relay, stranger.writes("please").sealed) == answers.Ok()
    settle(ben)
    ben.handle(Decline(stranger.account.fingerprint))
    told = len(ben.told)
    before = everything(ben.disk)
    for _ in range(5):
        assert stranger.delivers(relay, stranger.writes("please!").sealed) == answers.Ok()
    settle(ben)
    assert {kind: rows for kind, rows in everything(ben.disk).items() if kind != "account"} == {
        kind: rows for kind, rows in before.items() if kind != "account"
    }
    assert not [note for note in ben.told[told:] if note.what in {What.REQUEST, What.MESSAGE}]


def test_x16_a_request_is_answered_by_nothing(relay: MaliciousRelay) -> None:
    """X-16: a stranger learns from no envelope whether they were read, waited for or declined. [R-13.1-4]"""
    ann, ben = newcomers(relay, "Ann", "Ben")
    settle(ann, ben)
    ann.handle(Add(ben.make_card(), ""))
    for number in range(20):
        ann.send(ben, f"{number}")
    settle(ann, ben)
    assert len(ben.disk.received()) == ENVELOPES_PER_USE - 1  # the first one carries the name
    assert not [seen for seen in relay.log if isinstance(seen.request, requests.Deliver)]
    assert ann.disk.received() == []
    assert len(relay.asked(requests.DeliverFirst)) == ENVELOPES_PER_USE  # she asks for no ninth
    assert [contact.standing for contact in ann.messenger.contacts()] == [Standing.ASKED]
    ben.handle(Accept(ann.fingerprint))
    settle(ann, ben)
    assert ben.disk.received() == [str(number) for number in range(20)]
