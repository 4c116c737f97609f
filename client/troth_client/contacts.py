"""Contacts: writing first, answering a request or not, comparing a safety number. SPEC.md sections 5, 6 and 13."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from troth_protocol import content, handshake, prekeys, session
from troth_protocol.card import BundleEntry, Card, open_bundle
from troth_protocol.content import Profile
from troth_protocol.envelope import Prefix
from troth_protocol.errors import NotReady, PeerError, TrustError, UserError
from troth_protocol.manifest import Device, History, Manifest
from troth_protocol.pairing import Pair, initiate
from troth_protocol.wire import Code, requests
from troth_protocol.wire.answers import Answer, Bundle, Error

from . import account, chats, outbox
from .events import Accept, Add, Decline, EraseMessages, SetVerified, What
from .journal import Journal
from .records import Contact, Flight, Peer, Standing

BUNDLE: Final = b"B"
"""A bundle fetch's reference is this and the fingerprint."""
_NONE: Final = bytes(32)


def check_name(journal: Journal, name: str, fingerprint: bytes) -> str:
    """A name we may give, perhaps none, and nobody else's; UserError or BadText."""
    normal = content.normalize_name(name)
    for _, other in journal.contacts.items():
        if normal and other.fingerprint != fingerprint and other.name.casefold() == normal.casefold():
            raise UserError("another contact has this name already")
    return normal


def adopt_name(journal: Journal, contact: Contact) -> Contact:
    """The contact under the name they claim, if it has none of ours, may be used and is nobody else's. [R-13.1-10]"""
    if contact.name:
        return contact
    try:
        return replace(contact, name=check_name(journal, contact.claimed, contact.fingerprint))
    except UserError:
        return contact


def add(journal: Journal, event: Add) -> None:
    """Keep the card and fetch the bundle behind it; nothing of ours goes out before it is verified.

    A card of somebody who is a contact starts a new session if no token to write to them is left. [R-13.5-2]
    """
    card = event.card
    if card.fingerprint == journal.account.fingerprint:
        raise UserError("this is your own card")
    known = journal.contacts.get(card.fingerprint)
    stranded = known is not None and known.standing is Standing.ACTIVE and _stranded(journal, card.fingerprint)
    if known is not None and known.standing is Standing.ACTIVE and not stranded:
        raise UserError("this person is a contact already")
    if known is not None and known.standing is Standing.REQUEST:
        raise UserError("this person has written already: accept the request")
    name = check_name(journal, event.name, card.fingerprint)
    fresh = Contact(
        card.fingerprint, name, known.claimed if known else "", Standing.ADDING, verified=False, stale=False,
        since=journal.now, history=known.history if known else History(), card=card.link(),
    )  # fmt: skip
    if known is not None and stranded:
        fresh = replace(known, name=name or known.name, standing=Standing.ADDING, card=card.link())
    journal.contacts.put(card.fingerprint, fresh)
    fetch(journal, fresh)
    journal.notify(What.CONTACT, card.fingerprint)


def _stranded(journal: Journal, fingerprint: bytes) -> bool:
    """Whether a contact, not blocked, cannot be written to: as after each has blocked and unblocked the other."""
    peers = [key for key, _ in journal.peers.group(fingerprint)]
    return not chats.held(journal, fingerprint) and not any(journal.tokens.count(key) for key in peers)


def fetch(journal: Journal, contact: Contact) -> None:
    """Ask for the bundle of a contact we are adding."""
    card = contact.contact_card()
    journal.submit(card.relay, BUNDLE + card.fingerprint, requests.FetchBundle(card.lookup, card.capability))


def bundle_answered(journal: Journal, fingerprint: bytes, answer: Answer) -> None:
    """Verify a bundle and start a session with each device in it, or say why not and send nothing. [R-5.3-2]"""
    contact = journal.contacts.get(fingerprint)
    if contact is None or contact.standing is not Standing.ADDING:
        return
    if isinstance(answer, Bundle):
        try:
            started = _start(journal, contact, contact.contact_card(), answer)
        except (PeerError, TrustError) as error:
            journal.rollback()
            journal.contacts.put(fingerprint, replace(contact, standing=Standing.REFUSED))
            journal.notify(What.ALARM, fingerprint, f"what the relay served does not verify: {error}", error.code)
            return
        journal.contacts.put(fingerprint, started)
        outbox.enqueue(journal, fingerprint, Profile(journal.account.name))
        outbox.adopt(journal, fingerprint)
        journal.notify(What.CONTACT, fingerprint)
    elif isinstance(answer, Error) and answer.code == Code.REFUSED:
        journal.contacts.put(fingerprint, replace(contact, standing=Standing.REFUSED))
        journal.notify(What.REFUSED, fingerprint, "the card is unknown to its relay, used up or revoked", "REFUSED")


def _start(journal: Journal, contact: Contact, card: Card, answer: Bundle) -> Contact:
    opened = open_bundle(card.key, card.lookup, card.fingerprint, answer.bundle)
    opened.manifest.check_time(journal.now)
    history = contact.history.check_served(opened.manifest)
    chats.note_keys(journal, opened.manifest)
    leaves = (*answer.leaves, None)
    # The first device only: relays deliver first messages to slot 0 until linking is built (SPEC.md section 18.7).
    _start_device(journal, card, opened.manifest, opened.manifest.devices[0], opened.entries[0], leaves[0], 0)
    return replace(contact, standing=Standing.ASKED, history=history, card="")


def _start_device(
    journal: Journal,
    card: Card,
    manifest: Manifest,
    device: Device,
    entry: BundleEntry,
    raw_leaf: bytes | None,
    slot: int,
) -> None:
    ours, statement = journal.account, entry.statement
    statement.check_time(journal.now)
    leaf = None if raw_leaf is None else prekeys.open_leaf(raw_leaf, statement.root)
    theirs = handshake.Party.of(manifest.fingerprint, manifest.hash, device)
    opening, secrets = handshake.initiate(
        account.own_party(ours), ours.identity, theirs, statement, leaf, journal.randomness
    )
    started = session.start_initiator(secrets, statement.spk, ours.kem_identity)
    key = manifest.fingerprint + device.id
    address = account.return_address(journal, key)
    prefix = Prefix(
        opening, ours.device_id, device.id, manifest.hash, statement.hash, ours.root.public, ours.manifest, address
    )
    flight = Flight(
        prefix.encode(), statement.seal.raw, statement.hash, card.relay, card.lookup, card.capability, slot, 0
    )
    before = journal.peers.get(key)
    pair = initiate(before.pair if before else Pair(), started, journal.now)
    peer = Peer(
        manifest.fingerprint, device.id, pair, None, flight, None, address.spare, spare_registered=False,
        spare_used=None, their_stock=0, top_up_due=None,
    )  # fmt: skip
    journal.peers.put(key, peer)
    outbox.start_over(journal, key)
    account.publish(journal)


def accept(journal: Journal, event: Accept) -> None:
    """Answer a request: from now on they may know that we read, and have our address. [R-13.1-4]"""
    contact = journal.contact(event.contact)
    if contact.standing is not Standing.REQUEST:
        raise NotReady("there is no open request from this person")
    name = check_name(journal, event.name, contact.fingerprint)
    accepted = adopt_name(journal, replace(contact, standing=Standing.ACTIVE, name=name))
    journal.contacts.put(contact.fingerprint, accepted)
    announce(journal, contact.fingerprint)
    journal.notify(What.CONTACT, contact.fingerprint)


def announce(journal: Journal, fingerprint: bytes) -> None:
    """Give every device of a contact our return address, repeated until they write without a prefix. [R-9.3-4]"""
    for key, peer in list(journal.peers.group(fingerprint)):
        if peer.announce is None:
            address = account.return_address(journal, key)
            journal.peers.put(key, replace(peer, announce=address, spare=address.spare, spare_registered=False))
    account.publish(journal)
    outbox.enqueue(journal, fingerprint, Profile(journal.account.name))


def decline(journal: Journal, event: Decline) -> None:
    """Erase what a stranger sent and every right between us; what else they send is dropped unseen.

    The session stays, without a use: should we write to them one day, theirs and ours have crossed, and theirs may win.
    """
    contact = journal.contact(event.contact)
    if contact.standing is not Standing.REQUEST:
        raise NotReady("there is no open request from this person")
    for key, _ in list(journal.peers.group(contact.fingerprint)):
        for nonce, _given in list(journal.nonces.group(key)):
            journal.nonces.delete(nonce)
        for token, _expires in list(journal.tokens.group(key)):
            journal.tokens.delete(token)
    journal.remember(EraseMessages(contact.fingerprint))
    declined = replace(contact, standing=Standing.DECLINED, name="", claimed="")
    journal.contacts.put(contact.fingerprint, declined)
    journal.notify(What.CONTACT, contact.fingerprint)


def set_verified(journal: Journal, event: SetVerified) -> None:
    """Note that the safety number was compared, or was not after all. [R-14-1]"""
    contact = journal.contact(event.contact)
    journal.contacts.put(contact.fingerprint, replace(contact, verified=event.verified))
    journal.notify(What.CONTACT, contact.fingerprint)
