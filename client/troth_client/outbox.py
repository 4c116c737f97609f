"""What waits to be sent: one message at a time to each device, in order, encrypted once. SPEC.md section 13.2.

An item is saved with its wire bytes and its right of delivery before it leaves, and the same bytes go again until a
relay has answered; so a crash at any point sends a message once or again, never another under the same key.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from troth_protocol import content, envelope, frame, session
from troth_protocol.card import RelayAddress
from troth_protocol.content import Edit, Inner, Reaction, TopUp
from troth_protocol.encoding import u8
from troth_protocol.errors import ChainExhausted, SessionError
from troth_protocol.frame import NO_TOKENS
from troth_protocol.keys import SealPublicKey
from troth_protocol.token import NONCE_SIZE
from troth_protocol.wire import ENVELOPES_PER_USE, SPARE_SECONDS, Code, requests
from troth_protocol.wire.answers import Answer, Error, Ok

from . import account, chats
from .events import MarkMessage, MessageState, What
from .journal import PEER_KEY, Journal
from .records import Flight, Item, Peer, Right, Standing

ITEM: Final = b"I"
"""A delivery's reference is this and the item's number."""
FULL_STOCK: Final = 256
"""Tokens a contact may hold unspent; topped up from slack. [R-13.2-2]"""
LOW_STOCK: Final = 16
RESCUE: Final = 64
"""Tokens given beyond what we count as unspent when a contact says it has nearly none: some were lost."""
NOT_STARTED: Final = bytes(16)
"""The device id under which items wait until a session exists."""
RETRY: Final = 30
"""Seconds before a delivery that a relay put off, or that got no answer, is tried again."""


def enqueue(
    journal: Journal, fingerprint: bytes, inner: Inner, message_id: bytes = b"", right: Right = Right.NONE
) -> None:
    """Queue a content for every device of a contact, and send what can be sent; ``right`` NONE, or LEFT."""
    keys = [key for key, _ in journal.peers.group(fingerprint)] or [fingerprint + NOT_STARTED]
    for key in keys:
        _queue(journal, key, inner.TYPE, inner.encode(), message_id, right)
        pump(journal, key)


def _queue(journal: Journal, peer: bytes, kind: int, raw: bytes, message_id: bytes, right: Right = Right.NONE) -> None:
    ours = journal.account
    item = Item(ours.next_item, peer, kind, raw, message_id, right=right)
    journal.items.put(item.key, item)
    journal.set_account(replace(ours, next_item=ours.next_item + 1))


def adopt(journal: Journal, fingerprint: bytes) -> None:
    """Hand what waited for a first session to the devices that have one now."""
    for key, item in list(journal.items.group(fingerprint + NOT_STARTED)):
        journal.items.delete(key)
        for peer, _ in list(journal.peers.group(fingerprint)):
            _queue(journal, peer, item.type, item.content, item.message_id, item.right)


def take_back(journal: Journal, fingerprint: bytes, message_id: bytes) -> bool:
    """Forget what waits of a message if none of it can have left; whether it was forgotten. [R-13.1-2]"""
    found = [item for item in waiting(journal, fingerprint) if item.message_id == message_id]
    if not found or any(item.wire or item.right is Right.LEFT for item in found):
        return False
    drop_unsent(journal, fingerprint, message_id)
    return True


def drop_unsent(journal: Journal, fingerprint: bytes, message_id: bytes) -> None:
    """Let no word of a message leave that has not been encrypted: neither its own nor those of its edits. [R-13.1-2]"""
    edit, reaction = message_id, u8(True) + message_id
    for item in waiting(journal, fingerprint):
        ours = item.message_id == message_id
        ours = ours or (item.type == Edit.TYPE and item.content.startswith(edit))
        ours = ours or (item.type == Reaction.TYPE and item.content.startswith(reaction))
        if ours and not item.wire:
            journal.items.delete(item.key)


def start_over(journal: Journal, key: bytes) -> None:
    """A new session was started with a device: what waits for it is encrypted anew, under that one."""
    for number, item in list(journal.items.group(key)):
        left = Right.LEFT if item.wire or item.right is Right.LEFT else Right.NONE
        journal.items.put(number, replace(item, wire=b"", right=left, permit=b""))


def pump(journal: Journal, key: bytes) -> None:
    """Send the oldest item to a device if nothing is on its way there and there is a right to send it."""
    peer = journal.peers.get(key)
    if peer is None or chats.held(journal, peer.fingerprint):  # [R-13.1-13]
        return
    item = next((item for _, item in journal.items.group(key)), None)
    if item is None or journal.flying(ITEM + item.key) or journal.waiting(key):
        return
    if item.right is Right.INTRO and peer.flight is None:
        # They answered while this was on its way: the same bytes may go by any right. [R-13.1-2]
        item = replace(item, right=Right.NONE, permit=b"")
    if item.wire == b"" or item.right is Right.NONE:
        prepared = _prepare(journal, peer, item)
        if prepared is None:
            return
        item = prepared
        peer = journal.peers.get(key) or peer
    request, relay = _request(peer, item)
    journal.submit(relay, ITEM + item.key, request)


def _prepare(journal: Journal, peer: Peer, item: Item) -> Item | None:
    """The item with its right and its wire bytes, saved; None if it has to wait."""
    if peer.flight is not None:
        return _prepare_first(journal, peer, peer.flight, item)
    right, permit = _right(journal, peer)
    if right is Right.NONE:
        return None
    if right is Right.SPARE:
        peer = replace(peer, spare_used=journal.now)
    wire = item.wire
    if wire == b"":
        kind, raw = item.type, item.content
        if peer.announce is not None:
            kind, raw = content.wrap(peer.announce, kind, raw)
        gift = NO_TOKENS if peer.address is None else _gift(journal, peer, len(raw))
        stock = min(journal.tokens.count(peer.key), frame.STOCK_UNKNOWN - 1)
        if peer.pair.active is None:
            return None
        try:
            moved, wire = session.encrypt(
                peer.pair.active.session, kind, raw, randomness=journal.randomness, tokens=gift, stock=stock
            )
        except ChainExhausted as error:
            journal.notify(What.ALARM, peer.fingerprint, str(error), error.code)
            return None
        peer = replace(peer, pair=replace(peer.pair, active=replace(peer.pair.active, session=moved)))
    prepared = replace(item, wire=wire, right=right, permit=permit)
    journal.peers.put(peer.key, peer)
    journal.items.put(item.key, prepared)
    return prepared


def _prepare_first(journal: Journal, peer: Peer, flight: Flight, item: Item) -> Item | None:
    """A first-flight envelope: at most eight, each in a 1,024-byte frame; the rest waits. [R-6.3-2] [R-6.3-5]"""
    held = peer.pair.active
    if flight.sent >= ENVELOPES_PER_USE or len(item.content) > frame.CAPACITIES[0] or held is None:
        return None
    pair, sealed = peer.pair, item.wire
    if sealed == b"":  # else it was refused before: the same bytes again, not others under another number [R-13.1-2]
        moved, message = session.encrypt(held.session, item.type, item.content, randomness=journal.randomness)
        sealed = envelope.seal(
            flight.prefix, message, SealPublicKey(flight.seal), flight.statement_hash, journal.randomness
        )
        pair = replace(peer.pair, active=replace(held, session=moved))
    journal.peers.put(peer.key, replace(peer, pair=pair, flight=replace(flight, sent=flight.sent + 1)))
    prepared = replace(item, wire=sealed, right=Right.INTRO, permit=journal.randomness.draw(NONCE_SIZE))
    journal.items.put(item.key, prepared)
    return prepared


def _right(journal: Journal, peer: Peer) -> tuple[Right, bytes]:
    """A token if there is one, else the spare once a day. [R-13.2-3] [R-13.2-4]"""
    if peer.address is None:
        return Right.NONE, b""
    usable = ((expires, key) for key, expires in journal.tokens.group(peer.key) if expires > journal.now)
    first = min(usable, default=None)
    if first is not None:
        key = first[1]
        journal.tokens.delete(key)
        return Right.TOKEN, key[PEER_KEY:]
    if peer.spare_used is None or journal.now >= peer.spare_used + SPARE_SECONDS:
        return Right.SPARE, journal.randomness.draw(NONCE_SIZE)
    return Right.NONE, b""


def _gift(journal: Journal, peer: Peer, length: int) -> frame.Tokens:
    """Tokens for the contact from this frame's slack, up to 256 unspent. [R-13.2-2]"""
    unspent = journal.nonces.count(peer.key)
    allowed = FULL_STOCK - unspent
    if peer.their_stock < LOW_STOCK and unspent < FULL_STOCK + 4 * RESCUE:
        allowed = max(allowed, RESCUE)
    count = max(0, min(frame.token_room(length), allowed))
    return account.issue_tokens(journal, peer.key, count) if count else NO_TOKENS


def _request(peer: Peer, item: Item) -> tuple[requests.Request, RelayAddress]:
    flight, address = peer.flight, peer.address
    if item.right is Right.INTRO and flight is not None:
        first = requests.DeliverFirst(flight.lookup, flight.capability, flight.slot, item.permit, item.wire)
        return first, flight.relay
    if address is None:
        raise SessionError("there is no address to deliver to")
    if item.right is Right.SPARE:
        return requests.DeliverSpare(address.mailbox, address.spare, item.permit, item.wire), address.relay
    return requests.Deliver(address.mailbox, item.permit, item.wire), address.relay


def answered(journal: Journal, number: bytes, answer: Answer) -> None:
    """A relay answered a delivery: done, try another right with the same bytes, wait, or give up. [R-13.2-3]"""
    journal.landed(ITEM + number)
    item = journal.items.get(number)
    if item is None:
        return
    fingerprint = item.peer[:32]
    if isinstance(answer, Ok):
        _finish(journal, item, MessageState.AT_RELAY)
    elif isinstance(answer, Error) and answer.code == Code.REFUSED:
        _refused(journal, item)
    elif isinstance(answer, Error) and answer.code in _PUT_OFF:
        journal.wait(item.peer, journal.now + max(answer.retry_after, RETRY))
    else:
        _finish(journal, item, MessageState.FAILED, "their relay will not take it")
        journal.notify(What.ALARM, fingerprint, "the relay will not take this message", "RELAY")
    pump(journal, item.peer)


_PUT_OFF: Final = frozenset({Code.QUOTA, Code.RATE_LIMITED, Code.STORAGE_FULL, Code.UNAVAILABLE})


def _finish(journal: Journal, item: Item, state: MessageState, why: str = "") -> None:
    journal.items.delete(item.key)
    if item.message_id:
        journal.remember(MarkMessage(item.peer[:32], item.message_id, state, journal.now, why))
    journal.notify(What.STATE, item.peer[:32])


def _refused(journal: Journal, item: Item) -> None:
    contact = journal.contact(item.peer[:32])
    if item.right is Right.INTRO:
        # The card no longer pays. What was written stays queued for a new one.
        journal.contacts.put(contact.fingerprint, replace(contact, standing=Standing.REFUSED))
        journal.items.put(item.key, replace(item, right=Right.NONE, permit=b""))
        journal.notify(What.REFUSED, contact.fingerprint, "their card is used up or revoked", "REFUSED")
        journal.wait(item.peer, journal.now + RETRY)
        return
    journal.items.put(item.key, replace(item, right=Right.NONE, permit=b""))


def failed(journal: Journal, number: bytes) -> None:
    """No answer: the same bytes go again later. [R-13.1-2]"""
    journal.landed(ITEM + number)
    item = journal.items.get(number)
    if item is not None:
        journal.wait(item.peer, journal.now + RETRY)


def top_up(journal: Journal, peer: Peer) -> None:
    """Send tokens alone to a contact that has nearly none, after a random delay. [R-13.2-2]"""
    journal.peers.put(peer.key, replace(peer, top_up_due=None))
    if next(iter(journal.items.group(peer.key)), None) is None:  # whatever is queued carries tokens anyway
        top = TopUp(frame.CAPACITIES[1])  # one byte past the second bucket: the third has room for 255 tokens
        _queue(journal, peer.key, top.TYPE, top.encode(), b"")
    pump(journal, peer.key)


def pump_all(journal: Journal) -> None:
    """Send whatever can be sent."""
    for key in dict.fromkeys(item.peer for _, item in journal.items.items()):
        pump(journal, key)


def item_key(reference: bytes) -> bytes:
    """The item number in a delivery's reference."""
    return reference[len(ITEM) :]


def waiting(journal: Journal, fingerprint: bytes) -> list[Item]:
    """What waits for the devices of a contact."""
    keys = [key for key, _ in journal.peers.group(fingerprint)] + [fingerprint + NOT_STARTED]
    return [item for key in keys for _, item in journal.items.group(key)]


def queued(journal: Journal, fingerprint: bytes) -> int:
    """How many texts of ours to a contact have not reached a relay."""
    return len({item.message_id for item in waiting(journal, fingerprint)} - {b""})
