"""Operations of SPEC.md section 11: every request and answer, between fields and frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Final

from troth_protocol.encoding import Reader, sha256
from troth_protocol.errors import DecodeError, UserError
from troth_protocol.wire import MAX_ENVELOPE, Type, Via, answers, blobs, requests, rights

from .inside import padded
from .value import Given, Operation, Refusal, Results

_LONG: Final = frozenset({"expires", "sequence", "sequences", "since", "ledger_length", "length"})
"""Fields of 64 bits, written as strings."""
_HASHED: Final = frozenset({"bundle", "envelope", "operator", "chunk"})
"""Fields that are shown by size and hash, because they are long and opaque here."""


def _shown(message: requests.Request | answers.Answer) -> dict[str, object]:
    shown: dict[str, object] = {}
    for field in fields(message):
        value: object = getattr(message, field.name)
        if field.name in _LONG:
            value = [str(one) for one in value] if isinstance(value, tuple) else str(value)
        elif isinstance(value, bytes) and field.name in _HASHED:
            value = {"size": len(value), "hash": sha256(value)}
        elif field.name in {"leaves", "entries"} and isinstance(value, tuple):
            value = [None if one is None else {"size": len(one), "hash": sha256(one)} for one in value]
        shown[field.name] = value
    return shown


def _request_decode(given: Given) -> Results:
    """What a relay reads, with the error code it would answer."""
    frame = padded(given)
    reader = Reader(frame)
    request_id, kind = reader.u32("request id"), reader.u8("type")
    if not requests.is_request(kind):
        raise Refusal("UNEXPECTED_TYPE" if kind & 0x80 else "UNSUPPORTED_VERSION")
    try:
        request = requests.decode_body(kind, reader)
    except DecodeError as error:
        if error.field == "envelope length" and len(frame) > MAX_ENVELOPE:
            raise Refusal("TOO_LARGE") from None
        raise
    return {"request_id": request_id, "type": Type(kind).name, "fields": _shown(request)}


def _answer_decode(given: Given) -> Results:
    request_id, answer = answers.decode(padded(given))
    return {"request_id": request_id, "type": Type(answer.TYPE).name, "fields": _shown(answer)}


def _request(name: str, given: Given) -> requests.Request:
    raw, number = given.raw, given.number
    match name:
        case "HELLO":
            return requests.Hello(number("version"), raw("policy"))
        case "CREATE":
            mailbox, stored, key = raw("mailbox"), raw("stored"), raw("epoch_key")
            return requests.Create(mailbox, stored, key, number("expires"), raw("invite"))
        case "PROVE":
            return requests.Prove(raw("mailbox"), raw("client_nonce"), raw("proof"))
        case "ROTATE":
            return requests.Rotate(raw("epoch_key"), number("expires"))
        case "PUBLISH":
            lookup, capability, uses = raw("lookup"), raw("capability"), number("uses")
            return requests.Publish(lookup, capability, uses, raw("batch"), raw("bundle"))
        case "UNPUBLISH":
            return requests.Unpublish(raw("lookup"))
        case "ADD_LEAVES":
            return requests.AddLeaves(raw("batch"), given.raws("leaves"))
        case "COUNT":
            return requests.Count()
        case "FETCH_BUNDLE":
            return requests.FetchBundle(raw("lookup"), raw("capability"))
        case "DELIVER_FIRST":
            lookup, capability, slot = raw("lookup"), raw("capability"), number("slot")
            return requests.DeliverFirst(lookup, capability, slot, raw("nonce"), raw("envelope"))
        case "DELIVER":
            return requests.Deliver(raw("mailbox"), raw("token"), raw("envelope"))
        case "DELIVER_SPARE":
            return requests.DeliverSpare(raw("mailbox"), raw("spare"), raw("nonce"), raw("envelope"))
        case "FETCH":
            return requests.Fetch(number("window"))
        case "ACKNOWLEDGE":
            return requests.Acknowledge(given.numbers("sequences"))
        case "LEDGER":
            return requests.Ledger(number("since"))
        case "SPARES":
            return requests.Spares(given.raws("add"), given.raws("remove"))
        case "ERASE":
            return rights.Erase()
        case "REFUSE":
            return rights.Refuse(given.raws("nonces"))
        case "BLOB_PUT":
            blob, chunks, expires = raw("blob"), number("chunks"), number("expires")
            return blobs.BlobPut(blob, chunks, expires, number("index"), raw("chunk"))
        case "BLOB_GET":
            return blobs.BlobGet(raw("blob"), number("index"))
        case "BLOB_DELETE":
            return blobs.BlobDelete(raw("blob"))
    raise UserError(f"there is no request {name}")


def _answer(name: str, given: Given) -> answers.Answer:
    raw, number = given.raw, given.number
    match name:
        case "WELCOME":
            version, length = number("version"), number("ledger_length")
            return answers.Welcome(version, raw("relay"), raw("nonce"), length, raw("policy"))
        case "OK":
            return answers.Ok()
        case "ERROR":
            code, name, offset = number("code"), given.text("field_name"), number("offset")
            return answers.Error(code, name, offset, number("limit"), number("retry_after"))
        case "COUNTS":
            return answers.Counts(number("leaves"), number("envelopes"))
        case "BUNDLE":
            leaves = tuple(leaf or None for leaf in given.raws("leaves"))
            return answers.Bundle(raw("bundle"), leaves)
        case "ENVELOPE":
            return answers.Envelope(number("sequence"), Via(number("via")), raw("mark"), raw("envelope"))
        case "DRAINED":
            return answers.Drained()
        case "LEDGER_PAGE":
            return answers.LedgerPage(raw("operator"), number("length"), given.raws("entries"))
        case "BLOB_STATE":
            return blobs.BlobState(number("stored"), number("chunks"), number("expires"))
        case "BLOB_PART":
            return blobs.BlobPart(number("chunks"), number("index"), raw("chunk"))
    raise UserError(f"there is no answer {name}")


def _framed(frame: bytes) -> Results:
    """A frame in full where it is short, else its front, size and hash."""
    shown = {"frame": frame} if len(frame) <= 512 else {"front": frame[:64]}
    return {**shown, "size": len(frame), "hash": sha256(frame)}


def _request_encode(given: Given) -> Results:
    return _framed(requests.encode(given.number("request_id"), _request(given.text("type"), given.part("fields"))))


def _answer_encode(given: Given) -> Results:
    return _framed(answers.encode(given.number("request_id"), _answer(given.text("type"), given.part("fields"))))


OPERATIONS: Final[Mapping[str, Operation]] = {
    "request.encode": _request_encode,
    "request.decode": _request_decode,
    "answer.encode": _answer_encode,
    "answer.decode": _answer_decode,
}
