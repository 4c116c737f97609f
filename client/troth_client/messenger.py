"""The client's core: an event in, effects out; no socket, no disk, no clock. SPEC.md section 13.

``handle`` is a transaction: it returns one Save before everything that leaves, or raises and has changed nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import assert_never

from troth_protocol import labels, pairing, session
from troth_protocol.card import RelayAddress
from troth_protocol.errors import PeerError, TrustError
from troth_protocol.keys import VerifyKey
from troth_protocol.ledger import Ledger
from troth_protocol.pairing import Held, Pair
from troth_protocol.primitives import Randomness
from troth_protocol.safety import safety_number
from troth_protocol.wire.answers import Envelope

from . import account, blocking, chats, contacts, fading, intake, marks, outbox, refusals, texts
from .events import (
    Accept,
    AcknowledgeChange,
    Add,
    Arrived,
    Block,
    Decline,
    DeleteForAll,
    Drained,
    EditText,
    Effect,
    EraseAccount,
    EraseHere,
    Event,
    LedgerRead,
    MakeCard,
    OwnerAnswered,
    OwnerConnected,
    OwnerLost,
    React,
    Resend,
    RevokeCard,
    SendText,
    SetMuted,
    SetReceipts,
    SetTimer,
    SetVerified,
    SubmitFailed,
    Submitted,
    Tick,
    Unblock,
    What,
    Wish,
    Withdraw,
)
from .journal import Archive, Journal, NoArchive
from .records import Account, Contact, KnownRelay, Standing
from .views import Terms

HOUSEKEEPING = 3_600
"""Seconds between looks at what has expired or must be renewed."""


class Messenger:
    """Everything one account knows, and what it does about what happens."""

    def __init__(self, randomness: Randomness, archive: Archive | None = None) -> None:
        self._journal = Journal(randomness, archive or NoArchive())
        self._kept_house = 0
        self._due: int | None = None

    @classmethod
    def load(
        cls, rows: Mapping[str, Mapping[bytes, bytes]], randomness: Randomness, archive: Archive | None = None
    ) -> Messenger:
        """The messenger of a vault's records; DecodeError or BadKey if one does not parse."""
        messenger = cls(randomness, archive)
        messenger._journal.load(rows)
        return messenger

    def found(self, name: str, relay: RelayAddress, now: int, invite: bytes = b"") -> list[Effect]:
        """Make a new account, with an invitation if the relay wants one; the Save that founds the vault."""
        self._journal.now = now
        account.found(self._journal, name, relay, invite)
        return self._journal.commit()

    def handle(self, event: Event, now: int) -> list[Effect]:
        """What to do about ``event``: one Save, then what leaves, then what to show. TrothError changes nothing."""
        self.take(event, now)
        return self._journal.commit()

    def effects(self) -> list[Effect]:
        """What to do about all events since the last time: one Save, then what leaves, then what to show."""
        return self._journal.commit()

    def take(self, event: Event, now: int) -> None:
        """Take an event in; what to do about it comes with ``effects``. TrothError changes nothing."""
        journal = self._journal
        journal.begin(now)
        try:
            self._dispatch(event)
        except PeerError as error:
            journal.rollback()
            if not isinstance(event, Arrived):
                raise
            intake.refused(journal, event.envelope, error)
        except TrustError as error:
            journal.rollback()
            if not isinstance(event, Arrived):
                raise
            journal.acknowledge(event.envelope.sequence)
            journal.notify(What.ALARM, None, str(error), error.code)
        except BaseException:
            journal.rollback()
            raise
        journal.keep()

    def _dispatch(self, event: Event) -> None:
        journal = self._journal
        match event:
            case Arrived(incoming):
                self._arrived(incoming)
            case Submitted(reference, answer) if reference[:1] == contacts.BUNDLE:
                journal.landed(reference)
                contacts.bundle_answered(journal, reference[1:], answer)
            case Submitted(reference, answer):
                outbox.answered(journal, outbox.item_key(reference), answer)
            case SubmitFailed(reference):
                journal.landed(reference)
                if reference[:1] == outbox.ITEM:
                    outbox.failed(journal, outbox.item_key(reference))
            case OwnerConnected():
                journal.reconnected()
                account.connected(journal, event)
                self._tick()  # a client that is run now and then has its clock here: a top-up may be long due
            case OwnerAnswered(reference, answer):
                account.answered(journal, reference, answer)
            case OwnerLost():
                journal.owner_lost()
                journal.notify(What.OFFLINE)
            case Drained():
                journal.set_account(replace(journal.account, drained=journal.now))
                journal.notify(What.DRAINED)
            case LedgerRead():
                self._ledger_read(event)
            case Tick(due):
                self._due = due
                self._tick()
            case _:
                self._wished(event)

    def _wished(self, wish: Wish) -> None:
        journal = self._journal
        match wish:
            case SendText():
                texts.send(journal, wish)
            case EditText():
                marks.edit(journal, wish)
            case DeleteForAll():
                marks.delete(journal, wish)
            case React():
                marks.react(journal, wish)
            case EraseHere():
                texts.erase_here(journal, wish)
            case Resend():
                texts.resend(journal, wish)
            case Withdraw():
                texts.withdraw(journal, wish)
            case SetTimer():
                fading.set_timer(journal, wish)
            case SetReceipts():
                chats.set_receipts(journal, wish)
            case SetMuted():
                chats.set_muted(journal, wish)
            case Add():
                contacts.add(journal, wish)
            case Accept():
                contacts.accept(journal, wish)
            case Decline(contact):
                refusals.refuse(journal, contact)
                contacts.decline(journal, wish)
                account.publish(journal)
            case Block():
                blocking.block(journal, wish)
            case Unblock():
                blocking.unblock(journal, wish)
            case SetVerified():
                contacts.set_verified(journal, wish)
            case AcknowledgeChange(contact):
                chats.acknowledge_change(journal, wish)
                for key, _ in list(journal.peers.group(contact)):
                    outbox.pump(journal, key)
            case MakeCard(uses):
                account.make_card(journal, uses)
                account.publish(journal)
            case RevokeCard(lookup):
                account.revoke_card(journal, lookup)
                account.publish(journal)
            case EraseAccount():
                account.erase(journal)
            case _:
                assert_never(wish)

    def _arrived(self, incoming: Envelope) -> None:
        intake.arrived(self._journal, incoming)
        self._journal.acknowledge(incoming.sequence)

    def _resume(self) -> None:
        """Send again whatever has no answer yet."""
        journal = self._journal
        for _, contact in list(journal.contacts.items()):
            if contact.standing is Standing.ADDING:
                contacts.fetch(journal, contact)
        outbox.pump_all(journal)

    def _tick(self) -> None:
        journal, now = self._journal, self._journal.now
        for _, peer in list(journal.peers.items()):
            if peer.top_up_due is not None and now >= peer.top_up_due:
                outbox.top_up(journal, peer)
        marks.tick(journal)
        if now >= self._kept_house + HOUSEKEEPING:
            self._keep_house()
            self._kept_house = now
        self._resume()

    def _keep_house(self) -> None:
        """Renew what is due, erase what is over. [R-13.4-2]"""
        journal, now = self._journal, self._journal.now
        now = now if self._due is None else min(now, self._due)
        account.renew(journal, now)
        refusals.keep_house(journal, now)
        for key, peer in list(journal.peers.items()):
            pair = pairing.tick(peer.pair, now)
            kept = Pair(_forget(pair.active, now), _forget(pair.draining, now), pair.replaced)
            if kept != peer.pair:
                journal.peers.put(key, replace(peer, pair=kept))
        for nonce, given in list(journal.nonces.items()):
            if int.from_bytes(given[-8:], "big") <= now:
                journal.nonces.delete(nonce)
        for key, expires in list(journal.tokens.items()):
            if expires <= now:
                journal.tokens.delete(key)

    def _ledger_read(self, event: LedgerRead) -> None:
        """Verify ledger entries to the fingerprint that a link or card named; keep the descriptor. [R-12.3-1]"""
        journal, address = self._journal, event.relay
        known = journal.relays.get(address.fingerprint)
        ledger = known.ledger if known else Ledger(address.fingerprint)
        ledger.check_length(event.length)
        operator = VerifyKey(event.operator)
        if event.entries:
            for raw in event.entries:
                ledger = ledger.extend(raw, operator)
        journal.relays.put(address.fingerprint, KnownRelay(address, ledger))

    # What the shells look up; nothing here changes anything.

    @property
    def own(self) -> Account:
        """Our account."""
        return self._journal.account

    def relay(self, fingerprint: bytes) -> KnownRelay | None:
        """What we know of a relay."""
        return self._journal.relays.get(fingerprint)

    def contacts(self) -> list[Contact]:
        """All contacts."""
        return [contact for _, contact in self._journal.contacts.items()]

    def card_links(self) -> list[str]:
        """The links of our cards, without the recovery address and what is revoked."""
        cards = [card for _, card in self._journal.cards.items() if card.uses and not card.revoked]
        return [account.link(self._journal.account, card) for card in cards]

    def terms(self, fingerprint: bytes) -> Terms:
        """What was agreed or decided about a conversation."""
        return chats.terms(self._journal, fingerprint)

    def epoch(self, fingerprint: bytes) -> int:
        """The lowest post-quantum epoch of a contact's active sessions, 0 without one."""
        pairs = [peer.pair for _, peer in self._journal.peers.group(fingerprint)]
        return min((pair.active.session.epoch for pair in pairs if pair.active is not None), default=0)

    def queued(self, fingerprint: bytes) -> int:
        """How many of our texts to a contact have not reached a relay."""
        return outbox.queued(self._journal, fingerprint)

    def waits(self, fingerprint: bytes) -> bool:
        """Whether anything of ours to a contact has not reached a relay, or their bundle has not reached us."""
        adding = self._journal.contact(fingerprint).standing is Standing.ADDING
        return adding or bool(outbox.waiting(self._journal, fingerprint))

    def safety_number(self, fingerprint: bytes) -> str:
        """80 digits to compare with a contact."""
        self._journal.contact(fingerprint)
        return safety_number(self._journal.account.fingerprint, fingerprint)


def _forget(held: Held | None, now: int) -> Held | None:
    return None if held is None else replace(held, session=session.forget(held.session, now))


def relay_fingerprint(operator: bytes) -> bytes:
    """The fingerprint of an operator's public key, 32 bytes."""
    return VerifyKey(operator).fingerprint(labels.OPERATOR)
