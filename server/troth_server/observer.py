"""What a demo may watch: each request as the relay sees it. ``serve`` has no observer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from troth_protocol.encoding import Reader
from troth_protocol.errors import DecodeError
from troth_protocol.token import capability_hash, mailbox_hash
from troth_protocol.wire import Type, blobs, requests

HEAD: Final = 24


@dataclass(frozen=True, slots=True)
class SeenEvent:
    """One request: its kind, the hash of the mailbox or lookup id it names (or speaks for), its size and time."""

    kind: Type
    subject: bytes | None
    size: int
    time: int
    head: bytes = b""
    """The first bytes of an envelope's ciphertext."""


Observer: TypeAlias = Callable[[SeenEvent], None]


def see(frame: bytes, owner: bytes | None, now: int) -> SeenEvent | None:
    """What ``frame`` shows on a connection that speaks for ``owner``; None if it is no request."""
    reader = Reader(frame)
    try:
        reader.u32("request id")
        kind = reader.u8("type")
        if not requests.is_request(kind):
            return None
        request = requests.decode_body(kind, reader)
    except DecodeError:
        return None
    subject, head = owner, b""
    if isinstance(request, requests.Deliver | requests.DeliverSpare | requests.DeliverFirst):
        head = request.envelope[:HEAD]
    match request:
        case requests.Create() | requests.Prove() | requests.Deliver() | requests.DeliverSpare():
            subject = mailbox_hash(request.mailbox)
        case requests.FetchBundle() | requests.DeliverFirst() | requests.Publish() | requests.Unpublish():
            subject = mailbox_hash(request.lookup)
        case requests.Hello() | requests.Ledger():
            subject = None
        case blobs.BlobGet():
            subject = capability_hash(request.blob)
        case _:
            pass
    return SeenEvent(Type(kind), subject, len(frame), now, head)
