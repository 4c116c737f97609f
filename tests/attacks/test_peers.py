"""What a dishonest contact may try."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from attacks.malicious import (
    MaliciousRelay,
    begin,
    journal_of,
    newcomers,
    peer_of,
    say,
)
from client.world import START, Person, Template, introduce, settle
from troth_client.events import (
    Accept,
    Add,
    AddMessage,
    MarkMessage,
    MessageState,
    RevokeCard,
    SetVerified,
    Submit,
    What,
)
from troth_client.vault.store import Vault
from troth_protocol import content, envelope, token
from troth_protocol.card import RelayAddress
from troth_protocol.content import ContentType, Profile, Text
from troth_protocol.errors import UserError
from troth_protocol.frame import Tokens
from troth_protocol.primitives import SystemRandomness
from troth_protocol.wire import Code, answers, requests

DAY = 86_400


def texts_of(person: Person) -> list[tuple[MessageState, str]]:
    return [(message.state, message.text) for message in person.disk.messages]


def alarms(person: Person) -> list[str]:
    return [note.code for note in person.told if note.what is What.ALARM]


def begins_again(person: Person, other: Person) -> None:
    """Forget the other and start anew with a new card, as after losing everything but the account."""
    for kind in ("contact", "peer", "item", "token", "nonce"):
        for key in list(person.disk.rows.get(kind, {})):
            if key[:32] == other.fingerprint or kind in {"item", "nonce"}:
                del person.disk.rows[kind][key]
    person.crash()
    person.connect()
    person.handle(Add(other.make_card(), ""))
    person.send(other, "again")
    settle(person, other)


def test_a78_a_loop_of_resets_ends_after_the_first(template: Template, tmp_path: Path) -> None:
    """A-78: a contact starts anew three times in a day: the first is told and used, the others refused. [R-6.5-3]"""
    _, one, other = begin(template, tmp_path)
    settle(one, other)
    begins_again(one, other)
    assert other.disk.received() == ["again"]
    assert sum("started anew" in text for _, text in texts_of(other)) == 1
    held = peer_of(other, one).pair.active
    assert held is not None
    for _ in range(2):
        begins_again(one, other)
    after = peer_of(other, one).pair.active
    assert after is not None
    assert after.session.sid == held.session.sid
    assert other.disk.received() == ["again"]
    assert "SESSION" in alarms(other)
    for person in (one, other):
        person.now += DAY
    begins_again(one, other)
    assert other.disk.received() == ["again", "again"]


def redirect(relay: RelayAddress, mailbox: bytes, tokens: Tokens) -> bytes:
    """ADDRESSED content with another address than one's own."""
    address = envelope.ReturnAddress(relay, mailbox, bytes(32), bytes(32), b"s" * 32, tokens)
    return content.wrap(address, ContentType.TEXT, Text(b"r" * 16, START, "moved").encode())[1]


def test_x09_a_contact_moves_their_return_address(template: Template, tmp_path: Path) -> None:
    """X-09: a contact names another relay and mailbox: followed, for an authenticated session said so. [R-9.3-4]

    It sends our answers, still sealed to the contact's session, where the contact wants them; nobody else can.
    """
    relay, one, other = begin(template, tmp_path)
    settle(one, other)
    elsewhere = RelayAddress("elsewhere.example", 7443, b"e" * 32)
    raw = redirect(elsewhere, b"m" * 32, Tokens(other.now + DAY, (b"t" * 32,)))
    say(one, other, ContentType.ADDRESSED, raw)
    settle(one)
    while other.owner is not None and other.owner.incoming:
        other.step()
    other.pending.clear()
    assert other.disk.received() == ["moved"]
    other.send(one, "to the new place")
    (sent,) = [effect for effect in other.pending if isinstance(effect, Submit)]
    assert sent.relay == elsewhere
    relay.store.close()


def test_x10_tokens_of_another_mailbox(template: Template, tmp_path: Path) -> None:
    """X-10: a contact gives 255 tokens of a third person's mailbox: they buy nothing there, and our text arrives."""
    relay, one, other = begin(template, tmp_path)
    settle(one, other)
    (third,) = newcomers(relay, "third")
    settle(third)
    theirs = journal_of(third).account
    forged = tuple(token.issue(theirs.epochs[-1].key, theirs.mailbox, n.to_bytes(16, "big")) for n in range(255))
    journal = journal_of(one)
    address = journal.account
    ours = envelope.ReturnAddress(
        address.relay, address.mailbox, bytes(32), bytes(32), peer_of(one, other).spare, Tokens(other.now + DAY, forged)
    )
    say(one, other, *content.wrap(ours, ContentType.TEXT, Text(b"t" * 16, START, "gift").encode()))
    settle(one, other)
    assert other.disk.received() == ["gift"]
    relay.log.clear()
    other.send(one, "answer")
    settle(one, other, seconds=1_200)
    assert one.disk.received() == ["answer"]
    assert third.disk.received() == []
    delivered = relay.asked(requests.Deliver)
    assert 1 <= len(delivered) <= 257
    assert all(isinstance(request, requests.Deliver) and request.mailbox == address.mailbox for request in delivered)
    assert not relay.envelopes()[-1].mark.startswith(forged[0][:16])


def test_x10_nobody_makes_us_hoard_tokens(template: Template, tmp_path: Path) -> None:
    """X-10: a contact gives tokens without end: 1,024 are kept, then no more."""
    _, one, other = begin(template, tmp_path)
    settle(one, other)
    journal = journal_of(one)
    for number in range(7):
        gift = Tokens(other.now + DAY, tuple(bytes((number, n)).ljust(32) for n in range(255)))
        account = journal.account
        address = envelope.ReturnAddress(
            account.relay, account.mailbox, bytes(32), bytes(32), bytes((number + 1,)) * 32, gift
        )
        raw = Text(bytes((number,)) * 16, START, "more").encode()
        say(one, other, *content.wrap(address, ContentType.TEXT, raw))
        settle(one, other, seconds=20)
    assert len(other.disk.received()) == 7
    assert len(other.disk.rows["token"]) == 1_024


def test_x12_a_message_id_used_twice(template: Template, tmp_path: Path) -> None:
    """X-12: a contact repeats an id, theirs or ours: nothing shown is changed, marked or hidden, only not repeated."""
    relay, one, other = begin(template, tmp_path)
    settle(one, other)
    other.send(one, "mine")
    settle(one, other)
    ours = next(message.id for message in other.disk.messages if message.text == "mine")
    for number, said in ((ours, "with your id"), (b"i" * 16, "first"), (b"i" * 16, "second"), (b"j" * 16, "third")):
        say(one, other, ContentType.TEXT, Text(number, START, said).encode())
        settle(one, other)
    shown = texts_of(other)
    assert (MessageState.AT_RELAY, "mine") in shown
    assert [text for state, text in shown if state is MessageState.RECEIVED] == ["with your id", "first", "third"]
    relay.store.close()


def test_x12_a_message_id_used_twice_in_the_vault(tmp_path: Path) -> None:
    """X-12: the vault itself keeps the first text under an id of one side, and marks only what is ours."""
    vault = Vault.create(tmp_path / "v", "a passphrase", SystemRandomness(), operations=1, memory=8_192)
    line = AddMessage(b"c" * 32, b"i" * 16, MessageState.RECEIVED, START, START, "shown")
    ours = replace(line, state=MessageState.QUEUED, text="mine")
    vault.apply((line, ours, replace(line, text="other"), replace(ours, text="not mine")))
    vault.apply((MarkMessage(b"c" * 32, b"i" * 16, MessageState.FAILED),))
    shown = [(view.state, view.text) for view in vault.history(b"c" * 32, None, 10)]
    assert shown == [(MessageState.RECEIVED, "shown"), (MessageState.FAILED, "mine")]
    vault.close()


def test_x14_another_name_after_verification(template: Template, tmp_path: Path) -> None:
    """X-14: a verified contact renames themselves, as another contact or in disguise: the name shown stays."""
    relay, one, other = begin(template, tmp_path)
    (third,) = newcomers(relay, "third")
    settle(one, other, third)
    introduce(third, other)
    other.handle(SetVerified(one.fingerprint))
    names = {contact.fingerprint: contact.name for contact in other.messenger.contacts()}
    for name in ("third", "THIRD", "", "one\u200b"):
        say(one, other, ContentType.PROFILE, Profile(name).encode())
        settle(one, other)
    after = {contact.fingerprint: contact for contact in other.messenger.contacts()}
    assert {fingerprint: contact.name for fingerprint, contact in after.items()} == names
    assert after[one.fingerprint].verified
    assert len({contact.name for contact in after.values()}) == 2
    with pytest.raises(UserError):
        other.handle(Add(replace(third.make_card(), fingerprint=bytes(32)), "THIRD"))


def test_x19_a_card_taken_back_in_the_middle_of_a_first_flight(relay: MaliciousRelay) -> None:
    """X-19: Ben revokes the card between Ann's first messages: nothing is lost, shown twice or called lost."""
    ann, ben = newcomers(relay, "Ann", "Ben")
    settle(ann, ben)
    card = ben.make_card()
    ann.handle(Add(card, ""))
    ann.send(ben, "before")
    settle(ann, ben)
    ben.handle(RevokeCard(card.lookup))
    settle(ben)
    ann.send(ben, "after")
    settle(ann, ben, seconds=400)
    assert ben.disk.received() == ["before"]
    refused = [request for request in relay.asked(requests.DeliverFirst) if isinstance(request, requests.DeliverFirst)]
    assert len(refused) == 8  # and then she waits: a card pays for no more
    assert len({request.envelope for request in refused}) == 3
    ben.handle(Accept(ann.fingerprint))
    settle(ann, ben, seconds=400)
    assert ben.disk.received() == ["before", "after"]
    assert [text for state, text in texts_of(ben) if state is MessageState.NOTICE] == []


def test_x19_a_new_card_after_a_refused_flight(relay: MaliciousRelay) -> None:
    """X-19: the same, and Ann gets another card before Ben answers: what waited goes under the new session, once."""
    ann, ben = newcomers(relay, "Ann", "Ben")
    settle(ann, ben)
    card = ben.make_card()
    ann.handle(Add(card, ""))
    settle(ann, ben)
    ben.handle(RevokeCard(card.lookup))
    settle(ben)
    ann.send(ben, "waits")
    settle(ann, ben, seconds=200)
    ann.handle(Add(ben.make_card(), ""))
    settle(ann, ben, seconds=400)
    assert ben.disk.received() == ["waits"]
    ben.handle(Accept(ann.fingerprint))
    settle(ann, ben)
    ben.send(ann, "hello")
    ann.send(ben, "goes on")
    settle(ann, ben)
    assert ben.disk.received() == ["waits", "goes on"]
    assert ann.disk.received() == ["hello"]


def test_x19_a_flight_that_never_arrived_begins_anew(relay: MaliciousRelay) -> None:
    """X-19: the relay refuses the whole first flight; with another card it is one session, not two."""
    ann, ben = newcomers(relay, "Ann", "Ben")
    settle(ann, ben)
    relay.lie = lambda request: answers.Error(Code.REFUSED) if isinstance(request, requests.DeliverFirst) else None
    ann.handle(Add(ben.make_card(), ""))
    ann.send(ben, "waits")
    settle(ann, ben, seconds=50)
    relay.honest()
    ann.handle(Add(ben.make_card(), ""))
    settle(ann, ben, seconds=400)
    assert texts_of(ben) == [(MessageState.RECEIVED, "waits")]
    assert peer_of(ben, ann).pair.draining is None
