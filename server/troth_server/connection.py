"""The relay's core: one connection, frames in, effects out; it never waits, opens anything or reads a clock.

::

    Fresh --Hello--> Welcomed --Prove--> Proving --right--> Owner
                        ^                   |                 \\__ Fetch: a Subscription
                        |____wrong, spent___|
    any --5 bad frames, 3 requests without a proof, 20 refusals, too many too fast, taken over--> Closed

One answer, REFUSED, covers unknown, deleted, revoked, spent and wrong, and takes the same work: an unknown mailbox is
checked against a decoy. SPEC.md section 11.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, TypeAlias

from troth_protocol import ownership
from troth_protocol.encoding import Reader
from troth_protocol.errors import DecodeError
from troth_protocol.token import capability_hash, mailbox_hash
from troth_protocol.wire import MAX_ENVELOPE, MAX_FRAME, VERSION, Code, Type, answers, blobs, requests, rights

from . import blob_commands, commands
from .admission import OPEN, Admission
from .allowance import Allowance
from .effects import Answer, Ask, Close, CloseCode, Effect, Subscribe
from .limits import BAD_FRAMES, EPOCH_AHEAD, UNPROVED
from .subscription import Subscription

_PAGE_ROOM: Final = MAX_FRAME - 5 - answers.OPERATOR_KEY_SIZE - 9
"""What a ledger page's entries may take: a frame less its head, the operator key, the length and the count."""
_FAILURES: Final = frozenset({Code.REFUSED, Code.AUTH_REQUIRED, Code.BAD_FRAME, Code.UNEXPECTED_TYPE, Code.TOO_LARGE})
"""Answers that say the client errs or guesses; a few are anybody's, many are an attack. [R-11.6-4]"""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this relay is: its operator's fingerprint, the TLS key it serves with, and the ledger as bytes.

    ``decoy`` is a random owner hash that unknown mailboxes are checked against.
    """

    fingerprint: bytes = field(repr=False)
    tls_key_hash: bytes = field(repr=False)
    operator: bytes = field(repr=False)
    entries: tuple[bytes, ...] = field(repr=False)
    policy: bytes = field(repr=False)
    decoy: bytes = field(repr=False)
    older_keys: tuple[bytes, ...] = field(default=(), repr=False)
    """Other TLS keys that clients may be seeing: a certificate is being replaced."""
    admission: Admission = OPEN


@dataclass(frozen=True, slots=True)
class Fresh:
    """Nothing said yet; the server nonce waits."""


@dataclass(frozen=True, slots=True)
class Welcomed:
    """Hello was said. ``nonce`` is None once a proof was tried: it is good for one. [R-10.1-5]"""

    nonce: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Proving:
    """A proof waits for the owner's stored hash."""

    nonce: bytes = field(repr=False)
    proof: requests.Prove


@dataclass(frozen=True, slots=True)
class Owner:
    """The connection speaks for this mailbox (the hash of its id)."""

    mailbox: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Closed:
    """Nothing is read or answered any more."""


State: TypeAlias = Fresh | Welcomed | Proving | Owner | Closed


class Connection:
    """One client's connection; ``nonce`` is 32 fresh random bytes, ``allowance`` what it may still ask."""

    __slots__ = ("_allowance", "_bad", "_identity", "_nonce", "_state", "_subscription", "_unproved")

    def __init__(self, nonce: bytes, identity: Identity, allowance: Allowance) -> None:
        self._nonce = nonce
        self._identity = identity
        self._allowance = allowance
        self._state: State = Fresh()
        self._subscription: Subscription | None = None
        self._bad = 0
        self._unproved = 0

    @property
    def greeted(self) -> bool:
        """Whether Hello was said."""
        return not isinstance(self._state, Fresh)

    @property
    def mailbox(self) -> bytes | None:
        """The hash of the mailbox this connection speaks for, if it has proved one."""
        return self._state.mailbox if isinstance(self._state, Owner) else None

    def receive(self, frame: bytes, now: int) -> list[Effect]:
        """One binary message from the client."""
        return [] if isinstance(self._state, Closed) else self._judged(self._received(frame, now), now)

    def _received(self, frame: bytes, now: int) -> list[Effect]:
        request_id, reader = 0, Reader(frame)
        try:
            request_id, kind = reader.u32("request id"), reader.u8("type")
            if not requests.is_request(kind):
                return self._bad_frame(request_id, Code.UNEXPECTED_TYPE if kind & 0x80 else Code.UNSUPPORTED_VERSION)
            request = requests.decode_body(kind, reader)
        except DecodeError as error:
            if error.field == "envelope length" and len(frame) >= error.offset + 4:
                return self._bad_frame(request_id, Code.TOO_LARGE)
            return self._bad_frame(request_id, Code.BAD_FRAME, error.field, error.offset)
        if isinstance(request, requests.Hello):
            return self._hello(request_id, request)
        if isinstance(self._state, Fresh):
            return self._no_proof(request_id)
        return self._request(request_id, request, now)

    def result(self, ask: Ask, outcome: commands.Outcome, now: int) -> list[Effect]:
        """What the store made of a command."""
        return [] if isinstance(self._state, Closed) else self._judged(self._result(ask, outcome, now), now)

    def _result(self, ask: Ask, outcome: commands.Outcome, now: int) -> list[Effect]:
        answer: answers.Answer
        match outcome:
            case commands.OwnerKey():
                return self._proved(ask.request_id, outcome.stored)
            case commands.Page():
                return self._subscription.loaded(ask, outcome, now) if self._subscription else []
            case commands.Deposited() | commands.Done():
                answer = answers.Ok()
            case blob_commands.BlobAt():
                answer = blobs.BlobState(outcome.stored, outcome.chunks, outcome.expires)
            case blob_commands.BlobChunk():
                answer = blobs.BlobPart(outcome.chunks, outcome.index, outcome.chunk)
            case blob_commands.Oversize():
                answer = answers.Error(Code.TOO_LARGE, limit=outcome.most * blobs.CHUNK)
            case commands.Held():
                answer = answers.Counts(outcome.leaves, outcome.envelopes)
            case commands.Taken():
                answer = answers.Bundle(outcome.bundle, (outcome.leaf,))
            case commands.Uninvited():
                answer = answers.Error(Code.INVITE_REQUIRED)
            case commands.Full():
                answer = answers.Error(Code.QUOTA)
            case commands.Rejected():
                answer = answers.Error(Code.PREKEY_REJECTED)
            case commands.Failed():
                if isinstance(self._state, Proving):
                    self._state = Welcomed(None)
                answer = answers.Error(outcome.code)
            case commands.Refused() | commands.Views() | blob_commands.BlobRow():
                answer = answers.Error(Code.REFUSED)
        effects = _answer(ask.request_id, answer)
        if isinstance(ask.command, commands.LoadQueue):  # no page: the client is told, and may ask again
            self._subscription = None
        if isinstance(ask.command, commands.Erase) and isinstance(outcome, commands.Done):
            self._state, self._subscription = Welcomed(None), None
        if isinstance(ask.command, commands.Forget) and isinstance(outcome, commands.Done) and self._subscription:
            effects += self._subscription.forgotten(ask.command.numbers, now)
        return effects

    def deposited(self, row: commands.Queued | None, now: int) -> list[Effect]:
        """Something new lies in the mailbox this connection is subscribed to; ``row`` is it, or None to load it."""
        return self._subscription.wake(row, now) if self._subscription else []

    def taken_over(self) -> list[Effect]:
        """Another connection has proved and fetched the same mailbox: this one, perhaps half dead, ends."""
        return self._close(CloseCode.TAKEN_OVER, "TAKEN_OVER")

    def erased(self) -> list[Effect]:
        """The mailbox was erased on another connection; what may be made under its id is somebody else's. [R-11.7-5]"""
        return self._close(CloseCode.ERASED, "ERASED")

    def _request(self, request_id: int, request: requests.Request, now: int) -> list[Effect]:
        """A request that parses, after Hello: first what anybody may ask, then what only an owner may. [R-11.3-1]"""
        if wait := self._allowance.spend(request, self.mailbox, now):
            return self._limited(request_id, wait, now)
        command: commands.Command
        match request:
            case requests.Deliver(mailbox, token, envelope):
                command = commands.Deposit(mailbox, token, envelope, now)
            case requests.DeliverSpare(mailbox, spare, nonce, envelope):
                spare_hash = capability_hash(spare)
                command = commands.DepositSpare(mailbox_hash(mailbox), spare_hash, nonce, envelope, now)
            case requests.DeliverFirst(lookup, capability, slot, nonce, envelope):
                if slot != 0:  # one mailbox to a lookup id, until accounts have several devices
                    return _error(request_id, Code.REFUSED)
                card = capability_hash(capability)
                command = commands.DepositFirst(mailbox_hash(lookup), card, nonce, envelope, now)
            case requests.FetchBundle(lookup, capability):
                command = commands.TakeBundle(mailbox_hash(lookup), capability_hash(capability), now)
            case blobs.BlobGet(blob, index):
                command = blob_commands.ReadBlob(capability_hash(blob), index, now)
            case requests.Ledger(since):
                return self._ledger(request_id, since)
            case requests.Create():
                return self._create(request_id, request, now)
            case requests.Prove():
                return self._prove(request_id, request)
            case _:
                if not isinstance(self._state, Owner):
                    return self._no_proof(request_id)
                return self._owner_request(request_id, self._state.mailbox, request, now)
        return [Ask(request_id, command)]

    def _owner_request(self, request_id: int, mailbox: bytes, request: requests.Request, now: int) -> list[Effect]:
        """A request of the proved owner of ``mailbox``."""
        command: commands.Command
        match request:
            case requests.Acknowledge(numbers):
                if self._subscription is None or not self._subscription.knows(numbers):
                    return self._in_vain(request_id, answers.Error(Code.ACK_UNKNOWN), now)
                if not self._subscription.waits(numbers):  # gone already: the store need not hear of it
                    return self._in_vain(request_id, answers.Ok(), now)
                command = commands.Forget(mailbox, numbers)
            case requests.Fetch(window):
                self._subscription = Subscription(request_id, mailbox, window)
                return [Subscribe(mailbox), *self._subscription.load(now)]
            case requests.Rotate(key, expires):
                if not now < expires <= now + EPOCH_AHEAD:
                    return self._bad_frame(request_id, Code.BAD_FRAME, "expires")
                command = commands.AddEpoch(mailbox, key, expires)
            case requests.Publish(lookup, capability, uses, batch, bundle):
                command = commands.PutBundle(mailbox, mailbox_hash(lookup), capability, uses, batch, bundle)
            case requests.Unpublish(lookup):
                command = commands.RemoveBundle(mailbox, mailbox_hash(lookup))
            case requests.AddLeaves(batch, leaves):
                command = commands.PutLeaves(mailbox, batch, leaves)
            case requests.Spares(add, remove):
                command = commands.ChangeSpares(mailbox, add, remove)
            case requests.Count():
                command = commands.CountHeld(mailbox)
            case blobs.BlobPut(blob, chunks, expires, index, chunk):
                if expires <= now:
                    return self._bad_frame(request_id, Code.BAD_FRAME, "expires")
                name = capability_hash(blob)
                command = blob_commands.PutBlob(mailbox, name, chunks, expires, index, chunk, now)
            case blobs.BlobDelete(blob):
                command = blob_commands.RemoveBlob(mailbox, capability_hash(blob))
            case rights.Refuse(nonces):
                command = commands.RefuseNonces(mailbox, nonces)
            case rights.Erase():
                command = commands.Erase(mailbox)
            case _:
                return self._bad_frame(request_id, Code.UNEXPECTED_TYPE)
        return [Ask(request_id, command)]

    def _hello(self, request_id: int, hello: requests.Hello) -> list[Effect]:
        if not isinstance(self._state, Fresh):
            return self._bad_frame(request_id, Code.UNEXPECTED_TYPE)
        if hello.version != VERSION:
            return [
                *_error(request_id, Code.UNSUPPORTED_VERSION),
                *self._close(CloseCode.POLICY, "UNSUPPORTED_VERSION"),
            ]
        self._state = Welcomed(self._nonce)
        identity = self._identity
        return _answer(
            request_id,
            answers.Welcome(VERSION, identity.fingerprint, self._nonce, len(identity.entries), identity.policy),
        )

    def _create(self, request_id: int, request: requests.Create, now: int) -> list[Effect]:
        if not now < request.expires <= now + EPOCH_AHEAD:
            return self._bad_frame(request_id, Code.BAD_FRAME, "expires")
        mailbox = mailbox_hash(request.mailbox)
        ticket = self._identity.admission.ticket(request.invite, now)
        if (ticket is None or ticket.uses) and (wait := self._allowance.make(now)):
            return self._limited(request_id, wait, now)
        command = commands.CreateMailbox(mailbox, request.stored, request.epoch_key, request.expires, now, ticket)
        return [Ask(request_id, command)]

    def _prove(self, request_id: int, proof: requests.Prove) -> list[Effect]:
        if not isinstance(self._state, Welcomed) or self._state.nonce is None:
            return _error(request_id, Code.REFUSED)
        self._state = Proving(self._state.nonce, proof)
        return [Ask(request_id, commands.LoadOwner(mailbox_hash(proof.mailbox)))]

    def _proved(self, request_id: int, stored: bytes | None) -> list[Effect]:
        """Check the proof; the work is the same whether the mailbox is known or not. [R-11.5-2]"""
        if not isinstance(self._state, Proving):
            return []
        proof, nonce, identity = self._state.proof, self._state.nonce, self._identity
        kept = identity.decoy if stored is None else stored
        rights = [  # each key is tried, whichever fits
            ownership.verify(kept, proof.proof, proof.mailbox, proof.client_nonce, nonce, identity.fingerprint, key)
            for key in (identity.tls_key_hash, *identity.older_keys)
        ]
        right = any(rights)
        mailbox = mailbox_hash(proof.mailbox)
        if right and stored is not None:
            self._state = Owner(mailbox)
            return _answer(request_id, answers.Ok())
        self._state = Welcomed(None)
        return _error(request_id, Code.REFUSED)

    def _ledger(self, request_id: int, since: int) -> list[Effect]:
        """As many entries from ``since`` on as fit one frame."""
        page: list[bytes] = []
        room = _PAGE_ROOM
        for entry in self._identity.entries[since : since + answers.MAX_ENTRIES_PER_PAGE]:
            room -= 4 + len(entry)
            if room < 0:
                break
            page.append(entry)
        length = len(self._identity.entries)
        return _answer(request_id, answers.LedgerPage(self._identity.operator, length, tuple(page)))

    def _judged(self, effects: list[Effect], now: int) -> list[Effect]:
        """Close after too many refusals. [R-11.6-4]"""
        first = effects[0] if effects else None
        if not isinstance(first, Answer) or first.frame[4] != Type.ERROR:
            return effects
        failed = int.from_bytes(first.frame[5:7], "big") in _FAILURES
        if failed and self._allowance.failed(now) and not isinstance(self._state, Closed):
            return [*effects, *self._close(CloseCode.POLICY, "TOO_MANY_FAILURES")]
        return effects

    def _in_vain(self, request_id: int, answer: answers.Answer, now: int) -> list[Effect]:
        """An acknowledgement that does nothing: unlike the others, these can be sent without end."""
        wait = self._allowance.again(now)
        return self._limited(request_id, wait, now) if wait else _answer(request_id, answer)

    def _limited(self, request_id: int, wait: int, now: int) -> list[Effect]:
        """Too many, too fast; nothing was done. Whoever goes on regardless is closed. [R-11.6-3]"""
        refusal = _error(request_id, Code.RATE_LIMITED, wait)
        return [*refusal, *self._close(CloseCode.POLICY, "RATE_LIMITED")] if self._allowance.insists(now) else refusal

    def _bad_frame(self, request_id: int, code: Code, name: str = "", offset: int = 0) -> list[Effect]:
        """Name the field and the offset; close at the fifth. [R-11.5-1]"""
        self._bad += 1
        limit = {Code.UNSUPPORTED_VERSION: VERSION, Code.TOO_LARGE: MAX_ENVELOPE}.get(code, 0)
        refusal = _answer(request_id, answers.Error(code, name, offset, limit))
        return refusal if self._bad < BAD_FRAMES else [*refusal, *self._close(CloseCode.POLICY, code.name)]

    def _no_proof(self, request_id: int) -> list[Effect]:
        self._unproved += 1
        refusal = _error(request_id, Code.AUTH_REQUIRED)
        return refusal if self._unproved < UNPROVED else [*refusal, *self._close(CloseCode.POLICY, "AUTH_REQUIRED")]

    def _close(self, code: CloseCode, reason: str) -> list[Effect]:
        self._state, self._subscription = Closed(), None
        return [Close(code, reason)]


def _answer(request_id: int, answer: answers.Answer) -> list[Effect]:
    return [Answer(answers.encode(request_id, answer))]


def _error(request_id: int, code: Code, retry_after: int = 0) -> list[Effect]:
    limit = VERSION if code is Code.UNSUPPORTED_VERSION else 0
    return _answer(request_id, answers.Error(code, limit=limit, retry_after=retry_after))
