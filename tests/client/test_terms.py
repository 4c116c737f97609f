"""Timers, blocks and changes of keys: what stands between two people beside their keys."""

from __future__ import annotations

from dataclasses import replace

import pytest

from client.pairs import Pair, last, slip, strangers, texts
from client.world import Link, Person, RelayCore, introduce, settle
from troth_client import chats
from troth_client.events import (
    AcknowledgeChange,
    Add,
    Block,
    Decline,
    DeleteForAll,
    EditText,
    MessageState,
    SendText,
    SetTimer,
    Submit,
    Unblock,
    What,
)
from troth_client.fading import AHEAD, spoken
from troth_client.lookalikes import confusable, skeleton
from troth_client.records import Standing
from troth_client.terms import Chat
from troth_protocol import manifest
from troth_protocol.content import Expiring, Expiry, Text
from troth_protocol.encoding import sha256
from troth_protocol.errors import DecodeError, NotReady, TrustError, UserError
from troth_protocol.keys import SigningKey
from troth_protocol.manifest import Device
from troth_protocol.primitives import SystemRandomness
from troth_protocol.wire import Code, answers, requests, rights


def notices(person: Person, other: Person) -> list[str]:
    return [m.text for m in person.disk.lines(other.fingerprint) if m.state is MessageState.NOTICE]


def test_a_timer_goes_with_each_text_and_both_sides_erase(two: Pair) -> None:
    """[R-9.3-11] [R-13.4-1]: ours counts from the relay's answer, theirs from reading."""
    one, other = two
    one.handle(SetTimer(other.fingerprint, 3_600))
    one.send(other, "gone in an hour")
    assert last(one, other).expires == 0
    settle(one, other)
    assert other.messenger.terms(one.fingerprint).timer == one.messenger.terms(other.fingerprint).timer == 3_600
    assert "1 hour" in notices(one, other)[-1]
    assert "1 hour" in notices(other, one)[-1]
    mine, theirs = last(one, other), last(other, one)
    assert (mine.timer, theirs.timer, theirs.expires) == (3_600, 3_600, 0)
    assert one.now - 600 <= mine.expires - 3_600 <= one.now
    other.now += 10_000
    assert other.disk.tables.fade(other.now) == []  # not read: it waits
    other.disk.tables.mark_read(one.fingerprint, None, other.now)
    assert last(other, one).expires == other.now + 3_600
    assert other.disk.tables.fade(other.now + 3_599) == []
    assert other.disk.tables.fade(other.now + 3_600) == [one.fingerprint]
    assert one.disk.tables.fade(mine.expires) == [other.fingerprint]
    assert texts(one, other) == texts(other, one) == []
    other.handle(SetTimer(one.fingerprint, 0))
    settle(one, other)
    one.send(other, "stays")
    settle(one, other)
    assert (last(other, one).timer, last(one, other).timer) == (0, 0)


def test_timers_that_cross_end_alike(two: Pair) -> None:
    """[R-9.3-11]: the later one counts on both sides; of two at one second the longer."""
    one, other = two
    other.now = one.now
    one.handle(SetTimer(other.fingerprint, 60))
    other.handle(SetTimer(one.fingerprint, 90))
    settle(one, other)
    assert one.messenger.terms(other.fingerprint).timer == other.messenger.terms(one.fingerprint).timer == 90
    before = len(notices(other, one))
    slip(one, other, Expiry(30, 5))  # an old one
    assert other.messenger.terms(one.fingerprint).timer == 90
    assert len(notices(other, one)) == before
    slip(one, other, Expiry(30, 2**62))  # from the far future: it counts, and holds nobody for ever
    assert other.messenger.terms(one.fingerprint).timer == 30
    one.now = other.now = other.now + AHEAD + 60
    one.handle(SetTimer(other.fingerprint, 120))
    settle(one, other)
    assert other.messenger.terms(one.fingerprint).timer == 120
    for wrong in (1, 29, 28 * 86_400 + 1, -5):
        with pytest.raises(UserError):
            one.handle(SetTimer(other.fingerprint, wrong))
    assert [spoken(s) for s in (1, 90, 3_600, 86_400, 14 * 86_400)] == [
        "1 second", "90 seconds", "1 hour", "1 day", "2 weeks",
    ]  # fmt: skip


def test_a_text_may_carry_a_timer_of_its_own(two: Pair) -> None:
    """[R-9.3-11]: whatever the conversation's timer says, both sides go by the text's own."""
    one, other = two
    slip(one, other, Expiring(45, Text(b"e" * 16, one.now, "45 seconds")))
    assert last(other, one).timer == 45


def test_a_blocked_contact_reaches_nobody_and_is_not_told(two: Pair) -> None:
    """[R-13.5-1] [R-13.5-2]"""
    one, other = two
    one.send(other, "under way when blocked")
    while one.step():
        pass
    other.handle(Block(one.fingerprint))
    settle(one, other)
    one.send(other, "while blocked")
    settle(one, other)
    assert texts(other, one) == []
    assert one.messenger.queued(other.fingerprint) == 1  # each token and the spare were refused: it waits
    assert not [note for note in other.told if note.what is What.ALARM]
    assert other.messenger.terms(one.fingerprint).blocked
    assert not other.disk.rows.get("refusal")  # our relay has said that it refuses them
    with pytest.raises(NotReady, match="blocked"):
        other.send(one, "nor do we write")
    with pytest.raises(NotReady):
        other.handle(Block(one.fingerprint))
    other.crash()
    other.connect()
    settle(one, other)
    other.handle(Unblock(one.fingerprint))
    settle(one, other)
    one.send(other, "after")
    settle(one, other)
    assert [m.text for m in texts(other, one)] == ["while blocked", "after"]  # what waited at theirs comes now
    other.send(one, "hello again")
    settle(one, other)
    assert last(one, other).text == "hello again"
    with pytest.raises(NotReady):
        other.handle(Unblock(one.fingerprint))


def test_a_refused_token_is_answered_like_any_that_is_spent(two: Pair) -> None:
    """[R-10.2-8]: the holder learns nothing, and what was spent already stays as it was."""
    one, other = two
    tokens = [key[48:] for key in one.disk.rows["token"]]
    one.send(other, "spends the first")
    submit = next(effect for effect in one.pending if isinstance(effect, Submit))
    assert isinstance(submit.request, requests.Deliver)
    settle(one, other)
    tokens.remove(submit.request.token)
    owner = other.owner
    assert owner is not None
    nonces = tuple(token[:16] for token in (*tokens[:5], submit.request.token))
    owner.incoming.clear()
    for _ in range(2):
        owner.ask(rights.Refuse(nonces))
    assert [answer for _, answer in owner.incoming] == [answers.Ok()] * 2
    link = Link(other.relay, other.now)
    mailbox, envelope = submit.request.mailbox, bytes(1_154)
    refused = answers.Error(Code.REFUSED)
    for token, wanted in (
        (tokens[0], refused), (tokens[4], refused), (bytes(32), refused), (tokens[5], answers.Ok()),
        (submit.request.token, refused),
    ):  # fmt: skip
        link.ask(requests.Deliver(mailbox, token, envelope))
        assert link.incoming.pop()[1] == wanted
    link.ask(submit.request)  # the very same delivery as before: the same answer as before
    assert link.incoming.pop()[1] == answers.Ok()
    link.ask(rights.Refuse(nonces))
    assert link.incoming.pop()[1] == answers.Error(Code.AUTH_REQUIRED)


def test_a_first_message_of_a_blocked_contact_is_dropped(relay: RelayCore) -> None:
    """[R-13.5-1]: a new card and a new session are no way round."""
    one, other = strangers(relay)
    introduce(one, other)
    other.handle(Block(one.fingerprint))
    other.told.clear()
    card = other.make_card()
    fingerprint = other.fingerprint
    contact = next(c for c in one.messenger.contacts() if c.fingerprint == fingerprint)
    one.messenger._journal.contacts.put(fingerprint, replace(contact, standing=Standing.REFUSED))
    one.perform(one.messenger._journal.commit())
    one.handle(Add(card, ""))
    one.send(other, "by another way")
    settle(one, other)
    assert texts(other, one) == []
    assert not [note for note in other.told if note.what in {What.REQUEST, What.ALARM}]


def test_who_may_not_be_blocked(relay: RelayCore) -> None:
    one, other = strangers(relay)
    one.handle(Add(other.make_card(), ""))
    one.send(other, "hello")
    settle(one, other)
    with pytest.raises(NotReady, match="decline"):
        other.handle(Block(one.fingerprint))
    with pytest.raises(NotReady):
        one.handle(Block(other.fingerprint))
    other.handle(Decline(one.fingerprint))


def changed(person: Person, other: Person) -> None:
    """A newer manifest of ``other`` with another device comes to ``person``."""
    root = other.messenger.own.root
    ours = manifest.parse(other.messenger.own.manifest, root.public)
    (device,) = ours.devices
    signing = SigningKey.generate(SystemRandomness()).public
    added = Device(b"2" * 16, signing, device.identity, device.kem_identity)
    raw = manifest.create(root, 2, ours.hash, person.now, (device, added), SystemRandomness())
    journal = person.messenger._journal
    journal.now = person.now
    chats.note_keys(journal, manifest.parse(raw, root.public))
    person.perform(journal.commit())


def test_a_change_of_keys_holds_everything_until_it_is_read(two: Pair) -> None:
    """[R-13.1-13]: shown once, blocking, and what waited goes afterwards."""
    one, other = two
    one.send(other, "before")
    settle(one, other)
    one.send(other, "encrypted before the change")
    one.send(other, "queued before the change")
    changed(one, other)
    assert one.messenger.terms(other.fingerprint).change
    assert [note.what for note in one.told].count(What.CHANGED) == 1
    assert len([text for text in notices(one, other) if "changed" in text]) == 1
    for wish in (
        SendText(other.fingerprint, "no"), EditText(other.fingerprint, b"?" * 16, "no"),
        DeleteForAll(other.fingerprint, b"?" * 16), SetTimer(other.fingerprint, 60),
    ):  # fmt: skip
        with pytest.raises(TrustError):
            one.handle(wish)
    one.lose()
    one.connect()
    for _ in range(20):
        while one.step() or other.step():
            assert not [effect for effect in one.pending if isinstance(effect, Submit)]
        one.now += 30
    one.crash()
    assert one.messenger.terms(other.fingerprint).change
    one.handle(AcknowledgeChange(other.fingerprint))
    one.connect()
    settle(one, other)
    assert [m.text for m in texts(other, one)] == [
        "before", "encrypted before the change", "queued before the change",
    ]  # fmt: skip
    with pytest.raises(NotReady):
        one.handle(AcknowledgeChange(other.fingerprint))


def test_a_renewed_manifest_with_the_same_devices_is_no_change(two: Pair) -> None:
    """[R-13.1-13]"""
    one, other = two
    root = other.messenger.own.root
    ours = manifest.parse(other.messenger.own.manifest, root.public)
    raw = manifest.create(root, 2, ours.hash, one.now, ours.devices, SystemRandomness())
    chats.note_keys(one.messenger._journal, manifest.parse(raw, root.public))
    one.perform(one.messenger._journal.commit())
    assert not one.messenger.terms(other.fingerprint).change


def test_the_record_of_a_chat_reads_back_and_nothing_else_does() -> None:
    chat = Chat(60, 7, 8, True, change="read this", receipts_due=9, keys=sha256(b"k"))
    assert Chat.decode(chat.encode()) == chat
    assert Chat.decode(Chat().encode()) == Chat()
    for wrong in (b"", b"\x03" + chat.encode()[1:], chat.encode() + b"\x00", chat.encode()[:-1]):
        with pytest.raises(DecodeError):
            Chat.decode(wrong)


def test_names_that_look_alike_share_a_form() -> None:
    """R-13.1-10's companion: partial, and it errs on the side of warning."""
    alike = [
        ("paypal", "p\u0430yp\u0430l"), ("Ann", "\u0391nn"), ("Jürgen", "Jurgen"), ("Bill", "BiIl"),
        ("modern", "modem"), ("Ann", "ann "), ("Zoe", "\u2124oe"), ("alice", "a1ice"),
    ]  # fmt: skip
    for one, other in alike:
        assert skeleton(one) == skeleton(other), (one, other)
    for one, other in (
        ("Ann", "Anna"),
        ("Ben", "Len"),
        ("\u041c\u0430\u0440\u0438\u044f", "\u0414\u0430\u0440\u044c\u044f"),
    ):
        assert skeleton(one) != skeleton(other)
    assert confusable(["Ann", "\u0410nn", "Ben", ""]) == {skeleton("Ann")}
    assert confusable(["", ""]) == frozenset()
