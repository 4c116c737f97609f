"""Operations of SPEC.md section 9: frames, buckets, content."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from troth_protocol import content, frame
from troth_protocol.encoding import sha256
from troth_protocol.envelope import ReturnAddress
from troth_protocol.frame import NO_TOKENS, Frame, Kind, Symbols, Tokens

from .value import Given, Operation, Results


def tokens_of(given: Given) -> Tokens:
    """Tokens and the second at which they stop working; none if they are not given."""
    return Tokens(given.number("expires"), given.raws("tokens")) if given.has("tokens") else NO_TOKENS


def frame_shown(read: Frame) -> Results:
    """The fields of a frame; symbols by the hash of their run."""
    symbols = {
        "kind": read.symbols.kind,
        "start": read.symbols.start,
        "count": len(read.symbols.data) // frame.SYMBOL,
        "hash": sha256(read.symbols.data),
    }
    tokens = {"expires": str(read.tokens.expires), "tokens": read.tokens.tokens}
    return {"type": read.type, "content": read.content, "symbols": symbols, "stock": read.stock, **tokens}


def address_shown(address: ReturnAddress) -> Results:
    """The fields of a return address; its tokens by count and hash."""
    return {
        "host": address.relay.host,
        "port": address.relay.port,
        "relay": address.relay.fingerprint,
        "mailbox": address.mailbox,
        "lookup": address.lookup,
        "card_key": address.key,
        "spare": address.spare,
        "token_count": len(address.tokens.tokens),
        "expires": str(address.tokens.expires),
        "tokens_hash": sha256(*address.tokens.tokens),
    }


def _frame_encode(given: Given) -> Results:
    symbols = Symbols()
    if given.has("symbols"):
        run = given.part("symbols")
        symbols = Symbols(Kind(run.number("kind")), run.number("start"), run.raw("data"))
    made = Frame(given.number("type"), given.raw("content"), symbols, given.number("stock"), tokens_of(given))
    raw = frame.encode(made)
    return {"size": len(raw), "frame": raw.rstrip(b"\x00"), "hash": sha256(raw)}


def _frame_decode(given: Given) -> Results:
    return frame_shown(frame.decode(padded(given)))


def padded(given: Given) -> bytes:
    """The input ``frame`` with zeros after it up to ``size``, so that a vector need not hold them."""
    raw = given.raw("frame")
    return raw.ljust(given.number("size"), b"\x00") if given.has("size") else raw


def _bucket(given: Given) -> Results:
    length, tokens = given.number("content_length"), given.number("token_count")
    bucket = frame.bucket_for(length)
    return {"bucket": bucket, "token_room": frame.token_room(length), "symbol_room": frame.symbol_room(length, tokens)}


def _text(given: Given) -> Results:
    normal = content.normalize(given.text("text"))
    return {"content": content.Text(given.raw("id"), given.number("sent"), normal).encode()}


def _name(given: Given) -> Results:
    return {"content": content.Profile(content.normalize_name(given.text("name"))).encode()}


def _inner_shown(read: content.Content) -> dict[str, object]:
    match read:
        case content.Text():
            return {"kind": "text", "id": read.id, "sent": str(read.sent), "text": read.text}
        case content.Profile():
            return {"kind": "profile", "name": read.name}
        case content.TopUp():
            return {"kind": "top-up", "padding": read.padding}
        case content.Reply():
            named = {"own": read.own, "about": read.about}
            return {"kind": "reply", "id": read.id, "sent": str(read.sent), **named, "text": read.text}
        case content.Edit():
            ordered = {"revision": read.revision, "edited": str(read.edited)}
            return {"kind": "edit", "id": read.id, **ordered, "text": read.text}
        case content.Deletion():
            return {"kind": "deletion", "id": read.id, "deleted": str(read.deleted)}
        case content.Reaction():
            named = {"own": read.own, "id": read.id}
            return {"kind": "reaction", **named, "time": str(read.time), "sign": read.sign}
        case content.Receipt():
            return {"kind": "receipt", "ids": read.ids}
        case content.Expiry():
            return {"kind": "expiry", "seconds": read.seconds, "time": str(read.time)}
        case content.Expiring():
            return {"kind": "expiring", "seconds": read.seconds, "inner": _inner_shown(read.inner)}
        case content.Unknown():
            return {"kind": "unknown", "type": read.type, "ignorable": read.ignorable}
        case content.Addressed():
            return {"kind": "addressed", "address": address_shown(read.address), "inner": _inner_shown(read.inner)}


def _decode(given: Given) -> Results:
    return _inner_shown(content.decode(given.number("type"), given.raw("content")))


def _return_address(given: Given) -> Results:
    return address_shown(ReturnAddress.decode(given.raw("address")))


OPERATIONS: Final[Mapping[str, Operation]] = {
    "frame.encode": _frame_encode,
    "frame.decode": _frame_decode,
    "frame.bucket": _bucket,
    "content.text": _text,
    "content.name": _name,
    "content.decode": _decode,
    "content.return-address": _return_address,
}
