"""Our own account: founding it, its prekeys, and what our relay must hold of it. SPEC.md sections 4, 10 and 13."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from troth_protocol import manifest, ownership, prekeys, token, wire
from troth_protocol.card import Card, RelayAddress, seal_bundle
from troth_protocol.encoding import sha256, u8, u64
from troth_protocol.envelope import FIRST_TOKENS, ReturnAddress
from troth_protocol.errors import UserError
from troth_protocol.frame import Tokens
from troth_protocol.handshake import Party
from troth_protocol.keys import DhPrivateKey, KemPrivateKey, SigningKey
from troth_protocol.manifest import Device, Manifest
from troth_protocol.prekeys import PrekeySecrets
from troth_protocol.token import MailboxEpoch
from troth_protocol.wire import requests, rights
from troth_protocol.wire.answers import Answer, Counts, Error, Ok

from . import refusals
from .events import OwnerConnected, Reference, Step, What
from .journal import PEER_KEY, Journal
from .records import Account, Generation, OwnCard

EPOCH_LIFE: Final = 2 * token.EPOCH_SECONDS
"""Tokens are issued under a key for 30 days and stay good for 30 more. [R-10.2-3]"""
PAGES: Final = prekeys.BATCH // wire.MAX_LEAVES_PER_REQUEST
WINDOW: Final = wire.MAX_WINDOW
"""Envelopes the relay may send ahead of our acknowledgement: as many as are saved in one transaction."""
_NOT_PUBLISHED: Final = bytes(32)
_HARDLY_LIVE: Final = 86_400
"""Seconds a token key must have left to be put again: a relay refuses one that its own clock calls expired."""


def found(journal: Journal, name: str, relay: RelayAddress, invite: bytes) -> None:
    """Make every key of a new account, its manifest, first prekeys and recovery address."""
    draw, now = journal.randomness.draw, journal.now
    root, signing = SigningKey.generate(journal.randomness), SigningKey.generate(journal.randomness)
    identity, kem = DhPrivateKey.generate(journal.randomness), KemPrivateKey.generate(journal.randomness)
    device = Device(draw(16), signing.public, identity.public, kem.public)
    signed = manifest.create(root, 1, bytes(32), now, (device,), journal.randomness)
    epoch = MailboxEpoch(draw(32), now + EPOCH_LIFE)
    journal.set_account(
        Account(
            name, root, signing, identity, kem, device.id, signed, relay, draw(32), draw(32), (epoch,),
            rotated=True, registered=False, drained=0, next_item=0, invite=invite,
        )
    )  # fmt: skip
    new_generation(journal)
    recovery = OwnCard(draw(32), draw(32), bytes(32), 0, now, _NOT_PUBLISHED)
    journal.cards.put(recovery.lookup, recovery)


def own_manifest(account: Account) -> Manifest:
    """Our manifest, parsed."""
    return manifest.parse(account.manifest, account.root.public)


def own_party(account: Account) -> Party:
    """This device as a transcript names it."""
    ours = own_manifest(account)
    return Party.of(ours.fingerprint, ours.hash, ours.device(account.device_id))


def newest(journal: Journal) -> Generation:
    """The prekeys that new bundles carry."""
    return max((generation for _, generation in journal.generations.items()), key=lambda each: each.number)


def new_generation(journal: Journal) -> None:
    """Sign fresh prekeys; the ones before keep answering until their private halves are erased. [R-4.3-3]"""
    account, now = journal.account, journal.now
    number = 0
    for key, old in list(journal.generations.items()):
        number = max(number, old.number + 1)
        if old.replaced is None:
            journal.generations.put(key, replace(old, replaced=now))
    secrets = PrekeySecrets.generate(journal.randomness)
    root, _ = prekeys.make_batch(secrets.one_time)
    statement = prekeys.sign_statement(
        account.signing, account.fingerprint, account.device_id, now, secrets, root, journal.randomness
    )
    fresh = Generation(
        number,
        secrets,
        statement,
        sha256(statement),
        sha256(account.manifest),
        now,
        now + prekeys.LIFETIME,
        None,
        0,
        {},
    )
    journal.generations.put(u64(number), fresh)


def renew(journal: Journal, due: int) -> None:
    """Renew manifest, prekeys, token key; erase private prekeys whose time is over by ``due``. [R-13.1-9] [R-13.4-2]"""
    account, now = journal.account, journal.now
    ours = own_manifest(account)
    latest = newest(journal)
    if now >= ours.issued + manifest.RENEW_AFTER:  # [R-4.2-3]
        signed = manifest.create(account.root, ours.version + 1, ours.hash, now, ours.devices, journal.randomness)
        journal.set_account(replace(account, manifest=signed))
        new_generation(journal)  # [R-4.3-5]
    elif now >= latest.issued + prekeys.REPLACE_AFTER:
        new_generation(journal)
    account = journal.account
    if now >= account.epochs[-1].expires - token.EPOCH_SECONDS:
        epochs = (*account.epochs, MailboxEpoch(journal.randomness.draw(32), now + EPOCH_LIFE))[-2:]
        journal.set_account(replace(account, epochs=epochs, rotated=False))
    for key, old in list(journal.generations.items()):
        if old.replaced is not None:
            erase_at = max(old.expires, old.replaced) + prekeys.KEEP_PRIVATE
            if due >= erase_at and account.drained >= erase_at:
                journal.generations.delete(key)


def issue_tokens(journal: Journal, peer: bytes, count: int) -> Tokens:
    """``count`` tokens for a peer under the newest epoch; we remember whose each nonce is. [R-10.2-1]"""
    epoch, mailbox = journal.account.epochs[-1], journal.account.mailbox
    issued = []
    for _ in range(count):
        nonce = journal.randomness.draw(token.NONCE_SIZE)
        journal.nonces.put(nonce, peer + u64(epoch.expires))
        issued.append(token.issue(epoch.key, mailbox, nonce))
    return Tokens(epoch.expires if issued else 0, tuple(issued))


def return_address(journal: Journal, peer: bytes) -> ReturnAddress:
    """Where a peer may answer: a fresh spare, the recovery lookup, and 64 tokens. [R-13.2-1]"""
    account = journal.account
    recovery = next(card for _, card in journal.cards.items() if card.uses == 0)
    spare, tokens = journal.randomness.draw(32), issue_tokens(journal, peer, FIRST_TOKENS)
    return ReturnAddress(account.relay, account.mailbox, recovery.lookup, recovery.key, spare, tokens)


def make_card(journal: Journal, uses: int) -> None:
    """A new card; it may be handed over once our relay holds it."""
    draw = journal.randomness.draw
    card = OwnCard(draw(32), draw(32), draw(32), uses, journal.now, _NOT_PUBLISHED)
    journal.cards.put(card.lookup, card)


def revoke_card(journal: Journal, lookup: bytes) -> None:
    """Have our relay forget a card; UserError if it is not one of ours."""
    card = journal.cards.get(lookup)
    if card is None or not card.uses:
        raise UserError("this is not one of your cards")
    journal.cards.put(lookup, replace(card, revoked=True))


def link(account: Account, card: OwnCard) -> str:
    """The ``troth:`` link of one of our cards."""
    return Card(account.relay, card.lookup, card.key, account.fingerprint, card.capability).link()


def erase(journal: Journal) -> None:
    """Have our relay forget our mailbox and all it holds of us; the answer is told with ERASED."""
    journal.ask(Reference(Step.ERASE), rights.Erase())


def connected(journal: Journal, event: OwnerConnected) -> None:
    """Make the mailbox if the relay has none, then prove that it is ours. [R-10.1-3]"""
    account = journal.account
    journal.owner_lost()
    if not account.registered:
        epoch = account.epochs[-1]
        stored = ownership.stored(account.owner_secret)
        create = requests.Create(account.mailbox, stored, epoch.key, epoch.expires, account.invite)
        journal.ask(Reference(Step.CREATE), create)
    client_nonce = journal.randomness.draw(ownership.NONCE_SIZE)
    proof = ownership.prove(
        account.owner_secret, account.mailbox, client_nonce, event.nonce, event.relay, event.tls_key
    )
    journal.ask(Reference(Step.PROVE), requests.Prove(account.mailbox, client_nonce, proof))


def publish(journal: Journal) -> None:
    """Ask our relay for everything it does not hold yet: token key, leaves, bundles, spares, revocations."""
    latest = newest(journal)
    if latest.pages < PAGES and None in latest.secrets.one_time:
        new_generation(journal)  # a leaf was used before the last page was up: the batch cannot be rebuilt
    for reference, request in _wanted(journal):
        journal.ask(reference, request)


def _wanted(journal: Journal) -> Iterator[tuple[Reference, requests.Request]]:
    account, latest = journal.account, newest(journal)
    if not account.rotated:
        for epoch in account.epochs:  # oldest first: one that the relay has already is left as it is
            if epoch.expires > journal.now + _HARDLY_LIVE:
                yield Reference(Step.ROTATE, epoch.key), requests.Rotate(epoch.key, epoch.expires)
    if latest.pages < PAGES:
        _, leaves = prekeys.make_batch(latest.secrets.one_time)
        for page in range(latest.pages, PAGES):
            first = page * wire.MAX_LEAVES_PER_REQUEST
            run = leaves[first : first + wire.MAX_LEAVES_PER_REQUEST]
            yield Reference(Step.LEAVES, u8(page), latest.hash), requests.AddLeaves(latest.secrets.batch, run)
    for _, card in journal.cards.items():
        if card.revoked:
            yield Reference(Step.UNPUBLISH, card.lookup), requests.Unpublish(card.lookup)
        elif card.published != latest.hash:
            bundle = seal_bundle(
                card.key, card.lookup, account.root.public, account.manifest,
                ((account.mailbox, latest.statement),), journal.randomness,
            )  # fmt: skip
            capability = token.capability_hash(card.capability) if card.uses else bytes(32)
            yield (
                Reference(Step.PUBLISH, card.lookup, latest.hash),
                requests.Publish(card.lookup, capability, card.uses, latest.secrets.batch, bundle),
            )
    waiting = [peer for _, peer in journal.peers.items() if peer.spare != bytes(32) and not peer.spare_registered]
    for start in range(0, len(waiting), wire.MAX_SPARES_PER_REQUEST):
        some = waiting[start : start + wire.MAX_SPARES_PER_REQUEST]
        whose, spares = b"".join(peer.key for peer in some), b"".join(peer.spare for peer in some)
        hashes = tuple(token.capability_hash(peer.spare) for peer in some)
        yield Reference(Step.SPARES, whose, spares), requests.Spares(add=hashes)
    yield from refusals.wanted(journal)


def _replenish(journal: Journal, left: int) -> None:
    """New leaves where few are left; where none is, the relay may have been restored: everything again. [R-13.2-5]"""
    if newest(journal).pages < PAGES or left >= prekeys.REPLENISH_BELOW:
        return
    if left == 0:
        journal.set_account(replace(journal.account, rotated=False))
        for key, peer in list(journal.peers.items()):
            journal.peers.put(key, replace(peer, spare_registered=False))
    new_generation(journal)
    publish(journal)


def _spares_registered(journal: Journal, reference: Reference) -> None:
    for place in range(len(reference.about) // PEER_KEY):
        peer = journal.peers.get(reference.about[place * PEER_KEY : (place + 1) * PEER_KEY])
        if peer is not None and peer.spare == reference.state[place * 32 : (place + 1) * 32]:
            journal.peers.put(peer.key, replace(peer, spare_registered=True))


def answered(journal: Journal, reference: Reference, answer: Answer) -> None:
    """Our relay answered; note what it holds now and ask for what comes next."""
    journal.answered(reference)
    account = journal.account
    if isinstance(answer, Error):
        if reference.step is Step.CREATE and answer.code == wire.Code.REFUSED:
            return  # made before a crash that lost the answer: the proof that follows decides
        journal.notify(What.REFUSED, None, f"our relay answered {answer.code_name} to {reference.step.value}")
        return
    match reference.step:
        case Step.CREATE:
            journal.set_account(replace(account, registered=True, invite=b""))
        case Step.PROVE:
            journal.set_account(replace(account, registered=True, invite=b""))
            publish(journal)
            journal.ask(Reference(Step.COUNT), requests.Count())
            journal.ask(Reference(Step.FETCH), requests.Fetch(WINDOW))
            journal.notify(What.ONLINE)
        case Step.ROTATE if reference.about == account.epochs[-1].key:
            journal.set_account(replace(account, rotated=True))
        case Step.LEAVES:
            latest = newest(journal)
            if latest.hash == reference.state:
                journal.generations.put(u64(latest.number), replace(latest, pages=reference.about[0] + 1))
        case Step.PUBLISH:
            card = journal.cards.get(reference.about)
            if card is not None and isinstance(answer, Ok):
                journal.cards.put(card.lookup, replace(card, published=reference.state))
                if card.uses and card.published == _NOT_PUBLISHED:
                    journal.notify(What.CARD, None, link(account, card))
        case Step.UNPUBLISH:
            journal.cards.delete(reference.about)
        case Step.SPARES:
            _spares_registered(journal, reference)
        case Step.REFUSE:
            refusals.answered(journal, reference)
            publish(journal)
        case Step.ERASE:
            journal.notify(What.ERASED)
        case Step.COUNT if isinstance(answer, Counts):
            _replenish(journal, answer.leaves)
        case _:
            pass
