"""Texts of ours: written, sent once more, or taken back before they leave. SPEC.md sections 9.3 and 13."""

from __future__ import annotations

from troth_protocol.content import MESSAGE_ID_SIZE, Expiring, Reply, Text, Words, normalize
from troth_protocol.errors import NotReady, UserError

from . import chats, outbox
from .events import (
    AddMessage,
    EraseHere,
    EraseMessage,
    MarkMessage,
    MessageKey,
    MessageState,
    Resend,
    SendText,
    What,
    Withdraw,
)
from .journal import Journal
from .records import Right
from .views import MessageView


def line(journal: Journal, contact: bytes, key: MessageKey) -> MessageView:
    """A message that can be spoken about; UserError if there is none or it was taken back."""
    found = journal.archive.message(contact, key)
    if found is None or found.deleted or found.state is MessageState.NOTICE:
        raise UserError("there is no such message any more")
    return found


def _words(message_id: bytes, sent: int, text: str, reply: MessageKey | None, timer: int) -> Words | Expiring:
    said = Text(message_id, sent, text) if reply is None else Reply(message_id, sent, reply.ours, reply.id, text)
    return Expiring(timer, said) if timer else said


def send(journal: Journal, event: SendText) -> None:
    """Queue a text for every device of a contact; TextTooLong, BadText, NotReady, UserError, TrustError. [R-9.3-6]"""
    contact = chats.writable(journal, event.contact)
    text = normalize(event.text)
    if event.reply is not None:
        line(journal, contact.fingerprint, event.reply)
    timer, now = chats.chat(journal, contact.fingerprint).timer, journal.now
    message_id = journal.randomness.draw(MESSAGE_ID_SIZE)
    journal.remember(
        AddMessage(contact.fingerprint, message_id, MessageState.QUEUED, now, now, text, timer, event.reply)
    )
    outbox.enqueue(journal, contact.fingerprint, _words(message_id, now, text, event.reply, timer), message_id)


def resend(journal: Journal, event: Resend) -> None:
    """Queue a failed text again under its id, so that it is shown once even if it did arrive; NotReady, UserError."""
    contact = chats.writable(journal, event.contact)
    present = line(journal, contact.fingerprint, MessageKey(ours=True, id=event.id))
    if present.state is not MessageState.FAILED:
        raise NotReady("only a text that failed is sent again")
    reply = None if present.reply is None else present.reply.message
    said = _words(event.id, present.sent, present.text, reply, present.timer)
    journal.remember(MarkMessage(contact.fingerprint, event.id, MessageState.QUEUED, journal.now))
    outbox.enqueue(journal, contact.fingerprint, said, event.id, Right.LEFT)
    journal.notify(What.STATE, contact.fingerprint)


def withdraw(journal: Journal, event: Withdraw) -> None:
    """Forget a text of ours of which nothing can have left; NotReady once it may have. [R-13.1-2]"""
    contact = journal.contact(event.contact)
    if not outbox.take_back(journal, contact.fingerprint, event.id):
        raise NotReady("this text is on its way already, or not there: delete it for all")
    journal.remember(EraseMessage(contact.fingerprint, MessageKey(ours=True, id=event.id)))


def erase_here(journal: Journal, event: EraseHere) -> None:
    """Erase a message on this device; NotReady while it waits to be sent, UserError if it is not there."""
    contact = journal.contact(event.contact)
    present = journal.archive.message(contact.fingerprint, event.message)
    if present is None:
        raise UserError("there is no such message any more")
    if present.state is MessageState.QUEUED:
        raise NotReady("this text waits to be sent: withdraw it first")
    journal.remember(EraseMessage(contact.fingerprint, event.message))
