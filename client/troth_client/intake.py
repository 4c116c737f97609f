"""What arrives: established messages, and first messages from anybody. SPEC.md sections 6.4, 6.5 and 13.1.

Every envelope is acknowledged once what it changed is saved, or once it is known to change nothing. Nothing here
answers by itself; the only thing a stranger's message can do is to become a request.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from troth_protocol import content, envelope, handshake, pairing, session
from troth_protocol.content import (
    Addressed,
    Content,
    Deletion,
    Edit,
    Expiring,
    Expiry,
    Profile,
    Reaction,
    Receipt,
    Reply,
    Text,
    TopUp,
    Unknown,
    Words,
)
from troth_protocol.encoding import sha256, u64
from troth_protocol.envelope import FIRST_SIZES, FirstMessage, ReturnAddress
from troth_protocol.errors import DecryptError, Duplicate, Mismatch, PeerError, SealError, UnknownHeader
from troth_protocol.frame import STOCK_UNKNOWN, Frame, Tokens
from troth_protocol.manifest import History, Manifest
from troth_protocol.pairing import Change, Pair
from troth_protocol.token import NONCE_SIZE, capability_hash
from troth_protocol.wire import Via
from troth_protocol.wire.answers import Envelope

from . import account, chats, contacts, fading, marks, outbox
from .chats import notice
from .events import AddMessage, MessageKey, MessageState, What
from .journal import PEER_KEY, Journal
from .records import Contact, Generation, Peer, Standing

MOST_TOKENS: Final = 1_024
"""Tokens we keep from one peer; what comes beyond is not needed."""
TOP_UP_DELAY: Final = 8
"""Seconds within which a lone top-up goes, chosen at random, so that it does not answer a message's timing."""


def arrived(journal: Journal, incoming: Envelope) -> None:
    """Read one envelope; a PeerError leaves everything as it was, and the caller acknowledges it all the same."""
    peer = _peer_of(journal, incoming)
    if peer is not None:
        _unwanted(journal, peer.fingerprint)
        try:
            pair, frame = pairing.read(peer.pair, incoming.envelope, journal.now)
        except UnknownHeader:
            if len(incoming.envelope) not in FIRST_SIZES:
                raise
        else:
            _gap(journal, peer.fingerprint, pair.missing - peer.pair.missing)
            _established(journal, replace(peer, pair=pair), frame)
            _spend(journal, incoming)
            return
    elif incoming.via is Via.TOKEN:
        raise Duplicate("the token was spent before, or never issued")
    _first(journal, incoming)
    _spend(journal, incoming)


def _peer_of(journal: Journal, incoming: Envelope) -> Peer | None:
    """Whose token or spare brought this: established messages carry no sender. [R-10.2-7]"""
    if incoming.via is Via.TOKEN:
        given = journal.nonces.get(incoming.mark[:NONCE_SIZE])
        return None if given is None else journal.peers.get(given[:PEER_KEY])
    if incoming.via is Via.SPARE:
        for _, peer in journal.peers.items():
            if capability_hash(peer.spare) == incoming.mark:
                return peer
    return None


def _unwanted(journal: Journal, fingerprint: bytes) -> None:
    """Drop what a blocked contact or a declined stranger sends, whatever brought it."""
    if chats.chat(journal, fingerprint).blocked:
        raise Duplicate("it is from a blocked contact")  # [R-13.5-1]
    if journal.contact(fingerprint).standing is Standing.DECLINED:
        raise Duplicate("this person's request was declined")


def _spend(journal: Journal, incoming: Envelope) -> None:
    if incoming.via is Via.TOKEN:
        journal.nonces.delete(incoming.mark[:NONCE_SIZE])


def _established(journal: Journal, peer: Peer, frame: Frame) -> None:
    said = content.decode(frame.type, frame.content)
    due = peer.top_up_due
    if frame.stock < outbox.LOW_STOCK and due is None and not isinstance(said, TopUp):
        due = journal.now + 1 + journal.randomness.draw(1)[0] % TOP_UP_DELAY
    active = peer.pair.active
    heard = active is not None and active.first_received is not None
    peer = replace(peer, flight=None if heard else peer.flight, announce=None, their_stock=frame.stock, top_up_due=due)
    journal.peers.put(peer.key, peer)
    _keep_tokens(journal, peer.key, frame.tokens)
    contact = journal.contact(peer.fingerprint)
    if contact.standing in {Standing.ASKED, Standing.REFUSED} and heard:
        journal.contacts.put(contact.fingerprint, replace(contact, standing=Standing.ACTIVE))
        journal.notify(What.CONTACT, contact.fingerprint)
    _show(journal, peer, said)
    outbox.pump(journal, peer.key)


def _keep_tokens(journal: Journal, peer: bytes, tokens: Tokens) -> None:
    held = journal.tokens.count(peer)
    for token in tokens.tokens[: max(0, MOST_TOKENS - held)]:
        if tokens.expires > journal.now:
            journal.tokens.put(peer + token, tokens.expires)


def _keep_address(journal: Journal, peer: Peer, address: ReturnAddress) -> Peer:
    """Take over a return address; one that is repeated brings its tokens once, for some of them are spent."""
    bare = replace(address, tokens=Tokens())
    if peer.address != bare:
        _keep_tokens(journal, peer.key, address.tokens)
        peer = replace(peer, address=bare, spare_used=None)
        journal.peers.put(peer.key, peer)
    return peer


def _show(journal: Journal, peer: Peer, said: Content) -> None:
    """Put what was said where a person sees it."""
    if isinstance(said, Addressed):
        peer = _keep_address(journal, peer, said.address)
        said = said.inner
    contact = journal.contact(peer.fingerprint)
    if isinstance(said, Expiring) and not isinstance(said.inner, Unknown):
        _words(journal, contact.fingerprint, said.inner, said.seconds)
    elif isinstance(said, Text | Reply):
        _words(journal, contact.fingerprint, said, 0)
    elif isinstance(said, Edit | Deletion | Reaction | Receipt):
        marks.came(journal, contact.fingerprint, said)
    elif isinstance(said, Expiry):
        fading.timer_came(journal, contact.fingerprint, said)
    elif isinstance(said, Profile) and said.name != contact.claimed:
        known = replace(contact, claimed=said.name)
        known = known if contact.standing is Standing.REQUEST else contacts.adopt_name(journal, known)
        journal.contacts.put(contact.fingerprint, known)
        journal.notify(What.CONTACT, contact.fingerprint)
    elif isinstance(said, Expiring) or (isinstance(said, Unknown) and not said.ignorable):
        notice(journal, contact.fingerprint, "a message of a kind this version of troth does not know")


def _words(journal: Journal, contact: bytes, said: Words, timer: int) -> None:
    """Store a text; what a reply names is seen from our side. [R-9.3-6]"""
    reply = MessageKey(ours=not said.own, id=said.about) if isinstance(said, Reply) else None
    journal.remember(
        AddMessage(contact, said.id, MessageState.RECEIVED, said.sent, journal.now, said.text, timer, reply)
    )
    marks.received(journal, contact, said.id)


def _gap(journal: Journal, contact: bytes, grown: int) -> None:
    """Say that earlier messages have not come: a relay that loses or holds some back is seen. [R-13.1-12]"""
    if grown > 0:
        what = "1 earlier message has" if grown == 1 else f"{grown} earlier messages have"
        notice(journal, contact, f"{what} not arrived: lost, or held back on the way")


def _first(journal: Journal, incoming: Envelope) -> None:
    """A first message: known by its replay digest, or a new session. [R-13.1-5]"""
    generations = {generation.hash: generation for _, generation in journal.generations.items()}
    candidates = [(each.secrets.seal, each.hash) for each in generations.values()]
    first = envelope.unseal(incoming.envelope, candidates)
    prefix = first.prefix
    generation = generations.get(prefix.statement_b)
    if generation is None or prefix.manifest_b != generation.manifest_hash:
        raise Mismatch("the first message was made for prekeys or a manifest that are not ours")
    if prefix.device_b != journal.account.device_id:
        raise Mismatch("the first message is for another device")
    digest = sha256(prefix.opening.ephemeral.raw, prefix.opening.ciphertext)
    sid = generation.seen.get(digest)
    if sid is None:
        _open(journal, first, generation, digest)
    else:
        _repeated(journal, first, sid)


def _repeated(journal: Journal, first: FirstMessage, sid: bytes) -> None:
    """The handshake was done before: only the inner message counts, and only in the session it belongs to. [R-6.4-3]"""
    for _, peer in journal.peers.items():
        for held in (peer.pair.active, peer.pair.draining):
            if held is not None and held.session.sid == sid:
                _unwanted(journal, peer.fingerprint)
                pair, frame = pairing.read(peer.pair, first.message, journal.now)
                _gap(journal, peer.fingerprint, pair.missing - peer.pair.missing)
                moved = replace(peer, pair=pair)
                journal.peers.put(moved.key, moved)
                _show(journal, moved, content.decode(frame.type, frame.content))
                _request_arrived(journal, moved.fingerprint)
                return
    raise Duplicate("the session of this first message is gone")


def _open(journal: Journal, first: FirstMessage, generation: Generation, digest: bytes) -> None:
    """Check manifest, then keys, rebuild the transcript, read the inner message; keep all or nothing. [R-6.4-1]"""
    ours, prefix, now = journal.account, first.prefix, journal.now
    manifest, theirs, stale = envelope.verify_sender(prefix, now)
    if manifest.fingerprint == ours.fingerprint:
        raise Mismatch("the first message claims to be from us")
    contact = journal.contacts.get(manifest.fingerprint)
    if contact is not None and contact.standing is Standing.DECLINED:
        raise Duplicate("this person's request was declined")
    if chats.chat(journal, manifest.fingerprint).blocked:
        raise Duplicate("it is from a blocked contact")  # [R-13.5-1]
    history = (contact.history if contact else History()).check_queued(manifest)
    try:
        secrets = handshake.respond(
            theirs, account.own_party(ours), ours.identity, generation.secrets, generation.hash, prefix.opening
        )
    except Mismatch:
        # The one-time key is gone: said with the fingerprint, and nothing is done by itself. [R-6.4-4]
        raise SealError(f"unreadable first message from {manifest.fingerprint.hex()[:16]} (unverified)") from None
    started = session.start_responder(secrets, generation.secrets.spk, theirs.kem_identity)
    moved, frame = session.decrypt(started, first.message, now=now)
    said = content.decode(frame.type, frame.content)
    key = manifest.fingerprint + prefix.device_a
    before = journal.peers.get(key)
    pair, change = pairing.accept(before.pair if before else Pair(), moved, now)
    _use_up(journal, generation, prefix.opening, digest, secrets.sid)
    peer = before or Peer(
        manifest.fingerprint, prefix.device_a, pair, None, None, None, bytes(32), spare_registered=True,
        spare_used=None, their_stock=STOCK_UNKNOWN, top_up_due=None,
    )  # fmt: skip
    theirs_now = pair.active is not None and not pair.active.own
    peer = replace(peer, pair=pair, flight=None if theirs_now else peer.flight)
    journal.peers.put(key, peer)
    contact = _introduce(journal, contact, manifest, history, stale=stale)
    if manifest.version == history.pin:
        chats.note_keys(journal, manifest)
    peer = _keep_address(journal, peer, prefix.address)
    _gap(journal, contact.fingerprint, moved.missing)
    _show(journal, peer, said)
    if change is Change.REPLACED:
        notice(journal, contact.fingerprint, "the session was started anew from their side")
    if contact.standing in {Standing.ADDING, Standing.ASKED, Standing.REFUSED} or (
        change is Change.REPLACED and contact.standing is Standing.ACTIVE
    ):
        # We wrote to them first, or know them already: that is our consent.
        journal.contacts.put(
            contact.fingerprint, replace(journal.contact(contact.fingerprint), standing=Standing.ACTIVE, card="")
        )
        outbox.adopt(journal, contact.fingerprint)
        contacts.announce(journal, contact.fingerprint)
    _request_arrived(journal, contact.fingerprint)


def _use_up(journal: Journal, generation: Generation, opening: handshake.Opening, digest: bytes, sid: bytes) -> None:
    """Erase the one-time pair and remember the handshake, in the transaction that stores the session. [R-6.4-2]"""
    secrets = generation.secrets
    if opening.mode is handshake.Mode.ONE_TIME:
        index = opening.leaf_index
        one_time = (*secrets.one_time[:index], None, *secrets.one_time[index + 1 :])
        secrets = replace(secrets, one_time=one_time)
    used = replace(generation, secrets=secrets, seen={**generation.seen, digest: sid})
    journal.generations.put(u64(generation.number), used)


def _introduce(
    journal: Journal, contact: Contact | None, manifest: Manifest, history: History, *, stale: bool
) -> Contact:
    if contact is None:
        contact = Contact(
            manifest.fingerprint, "", "", Standing.REQUEST, verified=False, stale=stale, since=journal.now,
            history=history, card="",
        )  # fmt: skip
    else:
        contact = replace(contact, history=history, stale=stale)
    journal.contacts.put(manifest.fingerprint, contact)
    return contact


def _request_arrived(journal: Journal, fingerprint: bytes) -> None:
    """A stranger's message waits for a decision and is answered by nothing. [R-13.1-4]"""
    standing = journal.contact(fingerprint).standing
    journal.notify(What.REQUEST if standing is Standing.REQUEST else What.CONTACT, fingerprint)


def refused(journal: Journal, incoming: Envelope, error: PeerError) -> None:
    """After a rollback: let go of what cannot be read, and say so where a person must know.

    What was read before, or belongs to nobody, is let go in silence, unless it came by a token not used before: then
    the contact sent something that is lost, as after their vault was put back to an older copy. One token, one notice.
    [R-13.1-11]
    """
    journal.acknowledge(incoming.sequence)
    peer = _peer_of(journal, incoming)
    unknown = isinstance(error, DecryptError) and error.code in {"DUPLICATE", "UNKNOWN_HEADER"}
    if unknown and (peer is None or incoming.via is not Via.TOKEN or len(incoming.envelope) in FIRST_SIZES):
        return
    journal.notify(What.ALARM, peer.fingerprint if peer else None, str(error), error.code)
    if peer is not None and not isinstance(error, SealError):
        notice(journal, peer.fingerprint, f"a message could not be read: {error}", incoming.mark)
