"""What stands between us and a contact beside keys: a block, a change of keys not yet read, whether receipts go.

Every word of ours passes ``writable`` before it is queued, and ``held`` before it leaves. SPEC.md section 13.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from troth_protocol.encoding import sha256
from troth_protocol.errors import NotReady, TrustError
from troth_protocol.manifest import Manifest
from troth_protocol.writing import MESSAGE_ID_SIZE

from .events import AcknowledgeChange, AddMessage, MessageState, SetMuted, SetReceipts, What
from .journal import Journal
from .records import Contact, Standing
from .terms import Chat, Receipts, Settings
from .views import Terms

_NO_KEYS: Final = bytes(32)
CHANGE: Final = (
    "their devices or keys have changed, signed by the same account. If you did not expect that, ask them in another "
    "way before you write"
)


def chat(journal: Journal, fingerprint: bytes) -> Chat:
    """How we stand in a conversation; the default if nothing was ever decided."""
    return journal.chats.get(fingerprint) or Chat()


def settings(journal: Journal) -> Settings:
    """What holds for every conversation."""
    return journal.settings.get(b"") or Settings()


def terms(journal: Journal, fingerprint: bytes) -> Terms:
    """What a window shows of it."""
    held = chat(journal, fingerprint)
    return Terms(held.blocked, held.change, held.timer, receipts(journal, fingerprint), held.muted)


def receipts(journal: Journal, fingerprint: bytes) -> bool:
    """Whether we tell this contact what has arrived. [R-9.3-10]"""
    chosen = chat(journal, fingerprint).receipts
    return settings(journal).receipts if chosen is Receipts.AS_ALL else chosen is Receipts.ON


def set_receipts(journal: Journal, event: SetReceipts) -> None:
    """Opt in or out, for one contact or for all that were not decided one by one. [R-9.3-10]"""
    if event.contact is None:
        journal.settings.put(b"", replace(settings(journal), receipts=event.on))
        return
    contact = journal.contact(event.contact)
    chosen = Receipts.ON if event.on else Receipts.OFF
    journal.chats.put(contact.fingerprint, replace(chat(journal, contact.fingerprint), receipts=chosen))
    journal.notify(What.CONTACT, contact.fingerprint)


def set_muted(journal: Journal, event: SetMuted) -> None:
    """Announce nothing new of a contact from now on, or announce it again; NoSuchContact."""
    contact = journal.contact(event.contact)
    journal.chats.put(contact.fingerprint, replace(chat(journal, contact.fingerprint), muted=event.on))
    journal.notify(What.CONTACT, contact.fingerprint)


def writable(journal: Journal, fingerprint: bytes) -> Contact:
    """A contact we may write to now; NoSuchContact, NotReady, or TrustError if their keys changed. [R-13.1-13]"""
    contact = journal.contact(fingerprint)
    held = chat(journal, fingerprint)
    if contact.standing is Standing.REQUEST:
        raise NotReady("accept the request before you answer")
    if contact.standing is Standing.DECLINED:
        raise NotReady("this person's request was declined")
    if held.blocked:
        raise NotReady("this contact is blocked: unblock them before you write")
    if held.change:
        raise TrustError(held.change)
    return contact


def held(journal: Journal, fingerprint: bytes) -> bool:
    """Whether nothing at all may leave to this contact now. [R-13.1-13] [R-13.5-1]"""
    present = chat(journal, fingerprint)
    return present.blocked or bool(present.change)


def note_keys(journal: Journal, manifest: Manifest) -> None:
    """Compare the devices of a contact's newest manifest with those known; a difference waits to be read. [R-13.1-13]

    A renewal with the same devices is not a change.
    """
    keys = sha256(*sorted(device.encode() for device in manifest.devices))
    present = chat(journal, manifest.fingerprint)
    if present.keys == keys:
        return
    if present.keys == _NO_KEYS:
        journal.chats.put(manifest.fingerprint, replace(present, keys=keys))
        return
    journal.chats.put(manifest.fingerprint, replace(present, keys=keys, change=CHANGE))
    notice(journal, manifest.fingerprint, CHANGE, b"keys" + keys)
    journal.notify(What.CHANGED, manifest.fingerprint, CHANGE)


def acknowledge_change(journal: Journal, event: AcknowledgeChange) -> None:
    """The notice was read; what waited may go. NotReady without one."""
    contact = journal.contact(event.contact)
    present = chat(journal, contact.fingerprint)
    if not present.change:
        raise NotReady("no change of keys waits to be read")
    journal.chats.put(contact.fingerprint, replace(present, change=""))
    journal.notify(What.CONTACT, contact.fingerprint)


def notice(journal: Journal, contact: bytes, text: str, about: bytes | None = None) -> None:
    """A line in a conversation that nobody wrote; ``about`` the same thing it is shown once."""
    notice_id = journal.randomness.draw(MESSAGE_ID_SIZE) if about is None else sha256(about)[:MESSAGE_ID_SIZE]
    journal.remember(AddMessage(contact, notice_id, MessageState.NOTICE, journal.now, journal.now, text))
