"""Operations of SPEC.md sections 10, 12 and 14: ownership, tokens, capabilities, ledgers, safety numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from troth_protocol import ownership, safety, token
from troth_protocol.errors import Mismatch
from troth_protocol.keys import SigningKey, VerifyKey
from troth_protocol.ledger import Descriptor, Kind, Ledger, TlsMode, sign
from troth_protocol.token import MailboxEpoch

from .value import Given, Operation, Refusal, Replayed, Results

_CONTEXT: Final = ("mailbox", "client_nonce", "server_nonce", "relay", "tls_key_hash")


def _prove(given: Given) -> Results:
    secret = given.raw("secret")
    proof = ownership.prove(secret, *(given.raw(name) for name in _CONTEXT))
    return {"stored": ownership.stored(secret), "proof": proof}


def _check_proof(given: Given) -> Results:
    context = (given.raw(name) for name in _CONTEXT)
    if not ownership.verify(given.raw("stored"), given.raw("proof"), *context):
        raise Refusal("REFUSED")
    return {"valid": True}


def _tls_key(given: Given) -> Results:
    return {"hash": ownership.tls_key_hash(given.raw("certificate"))}


def _issue(given: Given) -> Results:
    return {"token": token.issue(given.raw("k_mb"), given.raw("mailbox"), given.raw("nonce"))}


def _check_token(given: Given) -> Results:
    epochs = [MailboxEpoch(epoch.raw("k_mb"), epoch.number("expires")) for epoch in given.parts("epochs")]
    if not token.valid(epochs, given.raw("mailbox"), given.raw("token"), given.number("now")):
        raise Refusal("REFUSED")
    return {"valid": True}


def _hashes(given: Given) -> Results:
    mailbox, capability = token.mailbox_hash(given.raw("mailbox")), token.capability_hash(given.raw("capability"))
    return {"mailbox_hash": mailbox, "capability_hash": capability}


def _descriptor_shown(descriptor: Descriptor) -> Results:
    hosts = [{"host": host, "port": port} for host, port in descriptor.hosts]
    return {"hosts": hosts, "mode": descriptor.mode, "pins": descriptor.pins}


def _descriptor_encode(given: Given) -> Results:
    hosts = tuple((one.text("host"), one.number("port")) for one in given.parts("hosts"))
    return {"content": Descriptor(hosts, TlsMode(given.number("mode")), given.raws("pins")).encode()}


def _descriptor_decode(given: Given) -> Results:
    return _descriptor_shown(Descriptor.decode(given.raw("content")))


def _ledger(given: Given) -> Results:
    operator, ledger = VerifyKey(given.raw("operator_key")), Ledger(given.raw("relay"))
    for entry in given.raws("entries"):
        ledger = ledger.extend(entry, operator)
    shown = _descriptor_shown(ledger.pinned(given.number("now"))) if given.has("now") else None
    return {"length": str(ledger.length), "last": ledger.last, "descriptor": shown}


def _ledger_length(given: Given) -> Results:
    Ledger(bytes(32), given.number("read")).check_length(given.number("served"))
    return {"new_entries": str(given.number("served") - given.number("read"))}


def _ledger_sign(given: Given) -> Results:
    operator = SigningKey(given.raw("ed25519_seed"), given.raw("mldsa_seed"))
    ledger = Ledger(bytes(32), given.number("sequence"), given.raw("previous"))
    kind, issued, expires = Kind(given.number("kind")), given.number("issued"), given.number("expires")
    return {
        "entry": sign(operator, ledger, kind, given.raw("content"), issued, expires, Replayed(given.part("random")))
    }


def _safety(given: Given) -> Results:
    return {"number": safety.safety_number(given.raw("fp_A"), given.raw("fp_B"))}


def _safety_compare(given: Given) -> Results:
    if safety.safety_number(given.raw("fp_A"), given.raw("fp_B")) != given.text("number"):
        raise Mismatch("the safety numbers differ")
    return {"same": True}


OPERATIONS: Final[Mapping[str, Operation]] = {
    "owner.prove": _prove,
    "owner.check": _check_proof,
    "owner.tls-key": _tls_key,
    "token.issue": _issue,
    "token.check": _check_token,
    "mailbox.hashes": _hashes,
    "descriptor.encode": _descriptor_encode,
    "descriptor.decode": _descriptor_decode,
    "ledger.read": _ledger,
    "ledger.length": _ledger_length,
    "ledger.sign": _ledger_sign,
    "safety.number": _safety,
    "safety.compare": _safety_compare,
}
