"""What a malicious relay does with bundles, leaves and manifests."""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import replace

import pytest

import simulator
from attacks.malicious import MaliciousRelay, Stranger, as_simulated, begin, everything, journal_of, newcomers
from client.world import Person, Template, settle
from simulator import Seeded
from troth_client import account
from troth_client.events import Accept, Add, Submit, Tick, What
from troth_client.records import Standing
from troth_protocol import content, manifest, prekeys
from troth_protocol.card import Card, seal_bundle
from troth_protocol.errors import DecodeError
from troth_protocol.wire import answers, requests

DAY = 86_400


def standing(person: Person, other: Person) -> Standing:
    return next(c.standing for c in person.messenger.contacts() if c.fingerprint == other.fingerprint)


def nothing_began(person: Person, other: Person) -> None:
    """No session, nothing on its way, an alarm."""
    assert standing(person, other) is Standing.REFUSED
    assert not person.disk.rows.get("peer")
    assert not [effect for effect in person.pending if isinstance(effect, Submit)]
    assert any(note.what is What.ALARM for note in person.told)


def given(relay: MaliciousRelay, card: Card, now: int) -> answers.Bundle:
    """What the relay gives whoever asks by this card now."""
    relay.link(now).ask(requests.FetchBundle(card.lookup, card.capability))
    return relay.bundles()[-1]


def serves(relay: MaliciousRelay, bundle: answers.Bundle) -> None:
    """From now on the relay answers every fetch with this one."""
    relay.tamper = lambda answer: (bundle if isinstance(answer, answers.Bundle) else answer,)


def adds(person: Person, card: Card) -> None:
    person.handle(Add(card, ""))
    while person.step():
        pass


def test_a01_a_bundle_for_another_card(relay: MaliciousRelay) -> None:
    """A-01: a relay answers with the bundle of another account, or of another card of the same account."""
    ann, ben, eve = newcomers(relay, "Ann", "Ben", "Eve")
    settle(ann, ben, eve)
    first, second, foreign = ben.make_card(), ben.make_card(), eve.make_card()
    for wrong in (foreign, second):
        lookup = wrong.lookup
        relay.rewrite = lambda request, lookup=lookup, wrong=wrong: (  # type: ignore[misc]
            requests.FetchBundle(lookup, wrong.capability) if isinstance(request, requests.FetchBundle) else request
        )
        adds(ann, first)
        nothing_began(ann, ben)
        assert not relay.asked(requests.DeliverFirst)
    thief = simulator.person("eve")  # somebody else who holds the card, with the relay's help
    mine, source = thief.secrets, Seeded("thief")
    named = prekeys.sign_statement(
        thief.signing, ben.fingerprint, thief.device.id, ben.now, mine, thief.statement.root, source
    )
    entries = ((thief.mailbox, named),)
    own = seal_bundle(first.key, first.lookup, thief.root.public, thief.manifest.raw, entries, source)
    relay.tamper = lambda answer: (answers.Bundle(own, (None,)) if isinstance(answer, answers.Bundle) else answer,)
    adds(ann, ben.make_card())
    adds(ann, first)
    nothing_began(ann, ben)
    relay.honest()
    adds(ann, ben.make_card())
    assert standing(ann, ben) is Standing.ASKED


@pytest.mark.parametrize("count", [0, 2, 5])
def test_x05_no_leaf_or_five(relay: MaliciousRelay, count: int) -> None:
    """X-05: a bundle of one device with no leaf at all, or with five: the first one counts, none means mode 0."""
    ann, ben = newcomers(relay, "Ann", "Ben")
    settle(ann, ben)

    def multiply(answer: answers.Answer) -> tuple[answers.Answer, ...]:
        if isinstance(answer, answers.Bundle):
            return (replace(answer, leaves=answer.leaves[:1] * count),)
        return (answer,)

    card = ben.make_card()
    relay.tamper = multiply
    adds(ann, card)
    ann.send(ben, "hello")
    settle(ann, ben)
    assert ben.disk.received() == ["hello"]
    used = sum(pair is None for pair in account.newest(journal_of(ben)).secrets.one_time)
    assert used == min(count, 1)


def test_a02_one_leaf_for_two_people(relay: MaliciousRelay) -> None:
    """A-02: the relay gives two people the same one-time key: the second is told of nothing, Ben sees an alarm."""
    ann, cat, ben = newcomers(relay, "Ann", "Cat", "Ben")
    settle(ann, cat, ben)
    cards = [ben.make_card(), ben.make_card()]
    adds(ann, cards[0])
    leaf = relay.bundles()[-1].leaves
    relay.tamper = lambda answer: (replace(answer, leaves=leaf) if isinstance(answer, answers.Bundle) else answer,)
    adds(cat, cards[1])
    relay.honest()
    ann.send(ben, "first come")
    cat.send(ben, "second")
    settle(ann)
    settle(ben)
    settle(cat)
    settle(ben)
    assert ben.disk.received() == ["first come"]
    assert any(note.code == "SEAL" and "unverified" in note.detail for note in ben.told)
    assert {contact.fingerprint for contact in ben.messenger.contacts()} == {ann.fingerprint}


def test_x06_the_bundle_of_before_under_a_new_card(relay: MaliciousRelay) -> None:
    """X-06: the relay keeps an old bundle and serves it under a lookup id published later: sealed to its own."""
    ann, ben = newcomers(relay, "Ann", "Ben")
    settle(ann, ben)
    adds(ann, ben.make_card())
    old = relay.bundles()[-1]
    card = ben.make_card()
    (cat,) = newcomers(relay, "Cat")
    serves(relay, old)
    adds(cat, card)
    nothing_began(cat, ben)


def test_x07_prekeys_from_last_month(relay: MaliciousRelay) -> None:
    """X-07: under the same card the relay goes on serving prekeys past their 30 days: refused, for good. [R-4.3-2]"""
    ann, ben = newcomers(relay, "Ann", "Ben")
    settle(ann, ben)
    card = ben.make_card()
    old = given(relay, card, ben.now)
    serves(relay, old)
    ann.now += 31 * DAY
    adds(ann, card)
    nothing_began(ann, ben)
    assert any(note.code == "EXPIRED" for note in ann.told)


def test_a05_leaves_withheld_are_in_the_transcript(relay: MaliciousRelay) -> None:
    """A-05: a relay that says there is no leaf forces mode 0, and cannot say another thing to the other side."""
    ann, ben = newcomers(relay, "Ann", "Ben")
    settle(ann, ben)
    relay.tamper = lambda answer: (replace(answer, leaves=(None,)) if isinstance(answer, answers.Bundle) else answer,)
    card = ben.make_card()
    adds(ann, card)
    ann.send(ben, "mode 0")
    settle(ann, ben)
    assert ben.disk.received() == ["mode 0"]
    assert None not in account.newest(journal_of(ben)).secrets.one_time


def second_view(ben: Person, card: Card, version: int, previous: bytes) -> tuple[bytes, simulator.Person]:
    """A bundle of Ben's account, truly signed by his stolen root key, with a device of the thief's."""
    ours, source = ben.messenger.own, Seeded("thief")
    thief = simulator.person("eve")
    raw = manifest.create(ours.root, version, previous, ben.now, (thief.device,), source)
    batch_root, _ = prekeys.make_batch(thief.secrets.one_time)
    statement = prekeys.sign_statement(
        thief.signing, ours.fingerprint, thief.device.id, ben.now, thief.secrets, batch_root, source
    )
    bundle = seal_bundle(card.key, card.lookup, ours.root.public, raw, ((thief.mailbox, statement),), source)
    return bundle, thief


def test_a51_two_views_are_a_fork_at_the_next_message(relay: MaliciousRelay) -> None:
    """A-51: relay and thief of a root key show Ann a second manifest of version 1; Ben's own first message shows it."""
    ann, ben = newcomers(relay, "Ann", "Ben")
    settle(ann, ben)
    card = ben.make_card()
    false, _ = second_view(ben, card, 1, bytes(32))
    relay.tamper = lambda answer: (answers.Bundle(false, (None,)) if isinstance(answer, answers.Bundle) else answer,)
    adds(ann, card)
    assert standing(ann, ben) is Standing.ASKED  # a root key signed it: nothing can tell yet
    relay.honest()
    adds(ben, ann.make_card())
    settle(ben, ann)
    assert any(note.what is What.ALARM and note.code == "FORK" for note in ann.told)
    assert ann.disk.received() == []


def test_a62_an_old_manifest_after_a_newer_one(relay: MaliciousRelay) -> None:
    """A-62: Ann knows version 2; the relay serves the bundle of version 1 again, under its own card. [R-4.2-5]"""
    ann, ben = newcomers(relay, "Ann", "Ben")
    settle(ann, ben)
    card = ben.make_card()
    old = given(relay, card, ben.now)
    for person in (ann, ben):
        person.now += 20 * DAY
    ben.now = ann.now
    ours = account.own_manifest(ben.messenger.own)
    raw = manifest.create(ben.messenger.own.root, 2, ours.hash, ben.now, ours.devices, Seeded("renewed"))
    journal = journal_of(ben)
    journal.set_account(replace(journal.account, manifest=raw))
    account.new_generation(journal)
    account.publish(journal)
    ben.perform(journal.commit())
    settle(ann, ben)
    adds(ann, ben.make_card())
    assert standing(ann, ben) is Standing.ASKED
    serves(relay, old)
    before = everything(ann.disk)["peer"]
    adds(ann, card)
    assert standing(ann, ben) is Standing.REFUSED
    assert any(note.code == "ROLLBACK" for note in ann.told)
    assert everything(ann.disk)["peer"] == before


def test_a62_a_manifest_frozen_by_silence_runs_out(
    template: Template, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A-62: a relay that serves nothing newer can do so for 90 days, then the bundle is refused by its own time."""
    relay, one, other = begin(template, tmp_path_factory.mktemp("frozen"))
    settle(one, other)
    (late,) = newcomers(relay, "Late")
    settle(late)
    card = other.make_card()
    old = given(relay, card, other.now)
    serves(relay, old)
    late.now = other.now + 91 * DAY
    adds(late, card)
    nothing_began(late, other)


def test_a59_keys_of_a_device_that_is_in_no_manifest(relay: MaliciousRelay) -> None:
    """A-59 (Nebuchadnezzar, 2022): prekeys or first messages of a device its account's manifest does not name."""
    ann, ben = newcomers(relay, "Ann", "Ben")
    settle(ann, ben)
    card = ben.make_card()
    ours, thief, source = ben.messenger.own, simulator.person("eve"), Seeded("unlisted")
    batch_root, _ = prekeys.make_batch(thief.secrets.one_time)
    statement = prekeys.sign_statement(
        thief.signing, ours.fingerprint, thief.device.id, ben.now, thief.secrets, batch_root, source
    )
    false = seal_bundle(card.key, card.lookup, ours.root.public, ours.manifest, ((bytes(32), statement),), source)
    relay.tamper = lambda answer: (replace(answer, bundle=false) if isinstance(answer, answers.Bundle) else answer,)
    adds(ann, card)
    nothing_began(ann, ben)
    relay.honest()
    stranger = Stranger("alice", as_simulated(ben, card))
    for device in (bytes(16), thief.device.id):
        assert stranger.delivers(relay, stranger.forges("unlisted", device_a=device)) == answers.Ok()
    settle(ben)
    assert ben.messenger.contacts() == []
    assert ben.disk.received() == []


def test_a59_no_message_carries_keys_of_devices_or_sessions() -> None:
    """A-59: there is no key to ask for or forward: no content type that a client acts upon holds one."""
    for kind, length in itertools.product(range(1, 40), (0, 16, 200)):
        with contextlib.suppress(DecodeError):
            said = content.decode(kind, bytes(length))
            assert isinstance(said, content.Unknown | content.TopUp | content.Profile)


def test_x08_a_peer_freezes_their_own_manifest(relay: MaliciousRelay) -> None:
    """X-08: a first message under manifest version 2^64-1: read; it pins nobody but its own root key's owner."""
    ann, ben = newcomers(relay, "Ann", "Ben")
    settle(ann, ben)
    card = ben.make_card()
    stranger = Stranger("alice", as_simulated(ben, card))
    alice = stranger.account
    raw = manifest.create(alice.root, 2**64 - 1, bytes(32), ben.now, (alice.device,), Seeded("fast"))
    fast = replace(alice, manifest=manifest.parse(raw, alice.root.public))
    said = content.Text(bytes(16), ben.now, "far ahead").encode()
    flight = simulator.first_flight(fast, stranger.victim, stranger.source, None, said)
    assert stranger.delivers(relay, flight.sealed, ben.now) == answers.Ok()
    settle(ben)
    assert [contact.history.pin for contact in ben.messenger.contacts()] == [2**64 - 1]
    assert ben.disk.received() == ["far ahead"]
    ben.crash()  # the record survives the disk
    assert [contact.history.pin for contact in ben.messenger.contacts()] == [2**64 - 1]
    ben.connect()
    adds(ann, ben.make_card())
    settle(ann, ben)
    ben.handle(Accept(ann.fingerprint))
    ben.handle(Tick())
