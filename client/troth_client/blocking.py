"""Blocking: a contact's means to write are taken back at our relay, and what still comes is dropped unseen.

SPEC.md section 13.5.
"""

from __future__ import annotations

from dataclasses import replace

from troth_protocol.errors import NotReady

from . import account, chats, contacts, refusals
from .events import Block, Unblock, What
from .journal import Journal
from .records import Standing


def block(journal: Journal, event: Block) -> None:
    """Block a contact; NotReady if they are none yet, or are blocked."""
    contact = journal.contact(event.contact)
    present = chats.chat(journal, contact.fingerprint)
    if contact.standing is Standing.REQUEST:
        raise NotReady("decline the request instead")
    if contact.standing is not Standing.ACTIVE:
        raise NotReady("this person is not a contact yet")
    if present.blocked:
        raise NotReady("this contact is blocked already")
    journal.chats.put(contact.fingerprint, replace(present, blocked=True, receipts_due=None))
    for key, _ in list(journal.receipts.group(contact.fingerprint)):
        journal.receipts.delete(key)
    refusals.refuse(journal, contact.fingerprint)
    account.publish(journal)
    journal.notify(What.CONTACT, contact.fingerprint)


def unblock(journal: Journal, event: Unblock) -> None:
    """Give a blocked contact new tokens and a new spare with the next message that goes to them. [R-13.5-2]"""
    contact = journal.contact(event.contact)
    present = chats.chat(journal, contact.fingerprint)
    if not present.blocked:
        raise NotReady("this contact is not blocked")
    journal.chats.put(contact.fingerprint, replace(present, blocked=False))
    contacts.announce(journal, contact.fingerprint)
    journal.notify(What.CONTACT, contact.fingerprint)
