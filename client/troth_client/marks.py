"""What is said about messages that are there: edits, deletions, reactions, receipts; ours going out, theirs coming in.

A contact names its own messages and ours by id, inside the conversation its session belongs to: it can reach nothing of
another conversation, and nothing of ours but the place for its one reaction. SPEC.md section 9.3.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from troth_protocol.content import Deletion, Edit, Reaction, Receipt, normalize, normalize_sign
from troth_protocol.errors import NotReady
from troth_protocol.marks import MAX_RECEIPTS

from . import chats, outbox, texts
from .events import (
    DeleteForAll,
    DeleteMessage,
    EditMessage,
    EditText,
    MarkMessage,
    MessageKey,
    MessageState,
    PutReaction,
    React,
    What,
)
from .journal import Journal
from .records import Standing

RECEIPT_DELAY: Final = 16
"""Seconds within which a receipt goes, chosen at random: it gathers what comes and does not time a single text."""
MOST_RECEIPTS: Final = 4_096
"""Receipts that wait for one contact; what comes beyond is never confirmed."""


def edit(journal: Journal, event: EditText) -> None:
    """Change a text of ours on both sides; UserError, NotReady, BadText, TextTooLong. [R-9.3-7]"""
    contact = chats.writable(journal, event.contact)
    text, key = normalize(event.text), MessageKey(ours=True, id=event.id)
    present = texts.line(journal, contact.fingerprint, key)
    if present.state is MessageState.FAILED:
        raise NotReady("this text was never sent: send it again or erase it")
    if text == present.text:
        return
    revision = present.revision + 1
    journal.remember(EditMessage(contact.fingerprint, key, revision, journal.now, text))
    outbox.enqueue(journal, contact.fingerprint, Edit(event.id, revision, journal.now, text))


def delete(journal: Journal, event: DeleteForAll) -> None:
    """Take back a text of ours; what has not been encrypted yet, its edits included, is not sent at all. [R-9.3-8]"""
    contact = chats.writable(journal, event.contact)
    key = MessageKey(ours=True, id=event.id)
    texts.line(journal, contact.fingerprint, key)
    unsent = outbox.take_back(journal, contact.fingerprint, event.id)
    journal.remember(DeleteMessage(contact.fingerprint, key, journal.now))
    if not unsent:  # one that failed may have arrived all the same, its answer lost
        outbox.drop_unsent(journal, contact.fingerprint, event.id)
        outbox.enqueue(journal, contact.fingerprint, Deletion(event.id, journal.now))


def react(journal: Journal, event: React) -> None:
    """Put a sign under a message, or take ours away; UserError, NotReady, BadText. [R-9.3-9]"""
    contact = chats.writable(journal, event.contact)
    sign = normalize_sign(event.sign)
    texts.line(journal, contact.fingerprint, event.message)
    present = chats.chat(journal, contact.fingerprint)
    time = max(journal.now, present.reacted + 1)  # two within a second are in order too
    journal.chats.put(contact.fingerprint, replace(present, reacted=time))
    journal.remember(PutReaction(contact.fingerprint, event.message, ours=True, time=time, sign=sign))
    outbox.enqueue(journal, contact.fingerprint, Reaction(event.message.ours, event.message.id, time, sign))


def came(journal: Journal, fingerprint: bytes, said: Edit | Deletion | Reaction | Receipt) -> None:
    """A contact speaks of its own messages, or of ours that it has. [R-9.3-7] [R-9.3-8] [R-9.3-9]"""
    match said:
        case Edit():
            theirs = MessageKey(ours=False, id=said.id)
            journal.remember(EditMessage(fingerprint, theirs, said.revision, said.edited, said.text))
        case Deletion():
            journal.remember(DeleteMessage(fingerprint, MessageKey(ours=False, id=said.id), journal.now))
        case Reaction():
            key = MessageKey(ours=not said.own, id=said.id)
            journal.remember(PutReaction(fingerprint, key, ours=False, time=said.time, sign=said.sign))
        case Receipt():
            for message_id in said.ids:
                journal.remember(MarkMessage(fingerprint, message_id, MessageState.DELIVERED, journal.now))
            journal.notify(What.STATE, fingerprint)


def received(journal: Journal, fingerprint: bytes, message_id: bytes) -> None:
    """A contact's text is stored: say so a little later, if the person wants that. [R-9.3-10]"""
    if not chats.receipts(journal, fingerprint) or journal.contact(fingerprint).standing is not Standing.ACTIVE:
        return
    waiting = journal.receipts.count(fingerprint)
    if waiting >= MOST_RECEIPTS:
        return
    journal.receipts.put(fingerprint + message_id, b"")
    present = chats.chat(journal, fingerprint)
    if present.receipts_due is None:
        due = journal.now + 2 + journal.randomness.draw(1)[0] % RECEIPT_DELAY
        journal.chats.put(fingerprint, replace(present, receipts_due=due))


def tick(journal: Journal) -> None:
    """Send the receipts that are due."""
    for fingerprint, present in list(journal.chats.items()):
        if present.receipts_due is None or journal.now < present.receipts_due or chats.held(journal, fingerprint):
            continue
        journal.chats.put(fingerprint, replace(present, receipts_due=None))
        waiting = [key for key, _ in journal.receipts.group(fingerprint)]
        for key in waiting:
            journal.receipts.delete(key)
        if not chats.receipts(journal, fingerprint):
            continue  # they opted out meanwhile
        for start in range(0, len(waiting), MAX_RECEIPTS):
            ids = tuple(key[32:] for key in waiting[start : start + MAX_RECEIPTS])
            outbox.enqueue(journal, fingerprint, Receipt(ids))
