"""Vectors of SPEC.md section 11: every request and every answer, and malformed ones."""

from __future__ import annotations

from troth_protocol.encoding import lp, u8, u16, u32, u64
from troth_protocol.wire import Via, answers, blobs, requests, rights

from .book import NOW, Book
from .people import Person

Fields = dict[str, object]
_ENVELOPE = bytes(1_154)
_LOOKUP, _MAILBOX, _HASH, _NONCE = (bytes([number]) * size for number, size in ((1, 32), (2, 32), (3, 32), (4, 16)))


def make(book: Book, alice: Person) -> None:
    """All of section 11 that is bytes; what a relay does is for its own tests."""
    book.chapter("11-relay-protocol")
    _requests(book, alice)
    _answers(book, alice)
    _bad_requests(book, alice)
    _bad_answers(book)


def _named(message: requests.Request | answers.Answer) -> Fields:
    """The fields of a message as the input of an encode operation."""
    fields: Fields = {}
    for name in getattr(message, "__slots__", ()):
        value = getattr(message, name)
        if isinstance(value, tuple):
            value = [b"" if one is None else one for one in value]
            value = [str(one) for one in value] if name == "sequences" else value
        fields[name] = str(value) if name in {"expires", "since", "sequence", "ledger_length", "length"} else value
    return fields


def _read(frame: bytes) -> Fields:
    """A frame as input, without the zeros at its end if they are many."""
    short = frame.rstrip(b"\x00")
    return {"frame": frame} if len(frame) - len(short) < 64 else {"frame": short, "size": len(frame)}


def _requests(book: Book, alice: Person) -> None:
    bundle = bytes(18_432)
    made: tuple[requests.Request, ...] = (
        requests.Hello(1), requests.Create(_MAILBOX, _HASH, _LOOKUP, NOW, b"invite"),
        requests.Prove(_MAILBOX, _LOOKUP, _HASH), requests.Rotate(_HASH, NOW),
        requests.Publish(_LOOKUP, _HASH, 100, _NONCE, bundle), requests.Unpublish(_LOOKUP),
        requests.AddLeaves(_NONCE, alice.leaves[:2]), requests.Count(), requests.FetchBundle(_LOOKUP, _HASH),
        requests.DeliverFirst(_LOOKUP, _HASH, 0, _NONCE, bytes(16_514)), requests.Deliver(_MAILBOX, _HASH, _ENVELOPE),
        requests.DeliverSpare(_MAILBOX, _HASH, _NONCE, _ENVELOPE), requests.Fetch(64), requests.Acknowledge((1, 2)),
        requests.Ledger(7), requests.Spares((_HASH, _LOOKUP), (_MAILBOX,)), rights.Erase(),
        rights.Refuse((_NONCE, bytes([0x2F]) * 16)), blobs.BlobPut(_LOOKUP, 2_048, NOW, 7),
        blobs.BlobGet(_LOOKUP, 2_047), blobs.BlobDelete(_LOOKUP),
    )  # fmt: skip
    for number, request in enumerate(made, 1):
        name = request.TYPE.name.lower().replace("_", "-")
        given = {"request_id": number, "type": request.TYPE.name, "fields": _named(request)}
        rules = (
            "11.9-1"
            if "BLOB" in request.TYPE.name
            else "11.2-3"
            if "DELIVER" in request.TYPE.name
            else "11.2-1"
            if number == 1
            else "2-1"
        )
        book.accept(f"request-{name}", rules, f"{request.TYPE.name} as a frame", "request.encode", given)
        frame = _read(requests.encode(number, request))
        book.accept(f"request-{name}-read", rules, f"{request.TYPE.name}, read", "request.decode", frame)
    chunk = _read(requests.encode(9, blobs.BlobPut(_LOOKUP, 2_048, NOW, 7, bytes(blobs.CHUNK))))
    book.accept("request-blob-put-chunk-read", "11.9-1", "BLOB_PUT with a chunk, read", "request.decode", chunk)


def _answers(book: Book, alice: Person) -> None:
    leaves = (alice.leaves[0],)
    made: tuple[answers.Answer, ...] = (
        answers.Welcome(1, _HASH, _LOOKUP, 3, bytes(32)), answers.Ok(), answers.Error(1, "leaf count", 21),
        answers.Counts(128, 2), answers.Bundle(bytes(18_432), leaves),
        answers.Envelope(9, Via.SPARE, _HASH, _ENVELOPE), answers.Drained(),
        answers.LedgerPage(alice.root.public.raw, 2, (b"one", b"another")), blobs.BlobState(7, 2_048, NOW),
    )  # fmt: skip
    for number, answer in enumerate(made, 1):
        name = answer.TYPE.name.lower().replace("_", "-")
        given = {"request_id": number, "type": answer.TYPE.name, "fields": _named(answer)}
        rules = "5.3-3" if name == "bundle" else "11.9-2" if "blob" in name else "11.5-1" if name == "error" else "2-1"
        book.accept(f"answer-{name}", rules, f"{answer.TYPE.name} as a frame", "answer.encode", given)
        frame = _read(answers.encode(number, answer))
        book.accept(f"answer-{name}-read", rules, f"{answer.TYPE.name}, read", "answer.decode", frame)
    without = answers.encode(9, answers.Bundle(bytes(18_432), (None,)))
    description = "a bundle without a leaf has the size of one with a leaf"
    book.accept("answer-bundle-no-leaf-read", "5.3-3", description, "answer.decode", _read(without))
    part = answers.encode(9, blobs.BlobPart(2_048, 7, bytes(blobs.CHUNK)))
    book.accept("answer-blob-part-read", "11.9-1", "BLOB_PART, read", "answer.decode", _read(part))
    for code in (5, 999):
        frame = _read(answers.encode(9, answers.Error(code)))
        book.accept(f"answer-error-{code}-read", "11.5-2", f"error code {code}", "answer.decode", frame)


def _bad_requests(book: Book, alice: Person) -> None:
    def framed(kind: int, *parts: bytes) -> bytes:
        return u32(7) + u8(kind) + b"".join(parts)

    one, two = alice.leaves[1], alice.leaves[2]
    outside = b"\x80" + one[1:]
    bad = (
        ("empty", "no bytes at all", b"", ("request id", 0)),
        ("no-type", "a request id alone", u32(7), ("type", 4)),
        ("hello-short", "HELLO cut short", framed(1, u16(1), bytes(31)), ("policy", 7)),
        ("hello-long", "a byte after HELLO", framed(1, u16(1), bytes(33)), ("end", 39)),
        ("create-invite", "CREATE with an invite of 65 bytes", framed(2, bytes(96), u64(1), lp(bytes(65))),
         ("invite length", 109)),
        ("prove-short", "PROVE without its proof", framed(3, bytes(64)), ("proof", 69)),
        ("rotate-short", "ROTATE with a short expiry", framed(4, bytes(32), bytes(7)), ("expires", 37)),
        ("publish-uses", "PUBLISH for 101 uses", framed(5, bytes(64), u16(101), bytes(16), lp(b"")), ("uses", 69)),
        ("publish-bundle", "PUBLISH of a bundle of 18,431 bytes",
         framed(5, bytes(64), u16(1), bytes(16), lp(bytes(18_431))), ("bundle", 18_522)),
        ("publish-bundle-length", "PUBLISH of 57,345 bytes, none of them there",
         framed(5, bytes(64), u16(1), bytes(16), u32(57_345)), ("bundle length", 87)),
        ("unpublish-short", "UNPUBLISH cut short", framed(6, bytes(31)), ("lookup", 5)),
        ("leaves-none", "ADD_LEAVES of none", framed(7, bytes(16), u8(0)), ("leaf count", 21)),
        ("leaves-33", "ADD_LEAVES of 33", framed(7, bytes(16), u8(33)), ("leaf count", 21)),
        ("leaves-order", "ADD_LEAVES that descend", framed(7, bytes(16), u8(2), two, one), ("leaf", 2_904)),
        ("leaves-twice", "ADD_LEAVES with one twice", framed(7, bytes(16), u8(2), one, one), ("leaf", 2_904)),
        ("leaves-index", "ADD_LEAVES with index 128", framed(7, bytes(16), u8(1), outside), ("leaf", 1_463)),
        ("count-long", "COUNT with a body", framed(8, b"\x00"), ("end", 5)),
        ("fetch-bundle-short", "FETCH_BUNDLE without its capability", framed(9, bytes(32)), ("capability", 37)),
        ("first-slot", "DELIVER_FIRST to slot 5", framed(10, bytes(64), u8(5), bytes(16), lp(_ENVELOPE)), ("slot", 69)),
        ("deliver-size", "DELIVER of 1,155 bytes", framed(11, bytes(64), lp(bytes(1_155))), ("envelope", 1_228)),
        ("deliver-short", "DELIVER with its envelope cut short", framed(11, bytes(64), u32(1_154), bytes(1_153)),
         ("envelope", 73)),
        ("spare-short", "DELIVER_SPARE with a short nonce", framed(12, bytes(64), bytes(15)), ("nonce", 69)),
        ("fetch-window-0", "FETCH with a window of 0", framed(13, u16(0)), ("window", 5)),
        ("fetch-window-65", "FETCH with a window of 65", framed(13, u16(65)), ("window", 5)),
        ("acknowledge-none", "ACKNOWLEDGE of none", framed(14, u16(0)), ("count", 5)),
        ("acknowledge-257", "ACKNOWLEDGE of 257", framed(14, u16(257)), ("count", 5)),
        ("ledger-short", "LEDGER cut short", framed(15, bytes(7)), ("since", 5)),
        ("spares-65", "SPARES that adds 65", framed(16, u8(65)), ("add count", 5)),
        ("erase-long", "ERASE with a body", framed(17, b"\x00"), ("end", 5)),
        ("refuse-none", "REFUSE of nothing", framed(18, u16(0)), ("refused count", 5)),
        ("refuse-513", "REFUSE of 513", framed(18, u16(513)), ("refused count", 5)),
        ("blob-chunks-0", "BLOB_PUT of no chunks", framed(19, bytes(32), u16(0), u64(1), u16(0), lp(b"")),
         ("chunks", 37)),
        ("blob-chunks-3", "BLOB_PUT of 3 chunks", framed(19, bytes(32), u16(3), u64(1), u16(0), lp(b"")),
         ("chunks", 37)),
        ("blob-chunks-4096", "BLOB_PUT of 4,096 chunks", framed(19, bytes(32), u16(4_096), u64(1), u16(0), lp(b"")),
         ("chunks", 37)),
        ("blob-index", "BLOB_PUT of chunk 4 of 4", framed(19, bytes(32), u16(4), u64(1), u16(4), lp(bytes(65_552))),
         ("index", 47)),
        ("blob-chunk-short", "BLOB_PUT of a chunk of 65,551 bytes",
         framed(19, bytes(32), u16(4), u64(1), u16(0), lp(bytes(65_551))), ("chunk", 65_604)),
        ("blob-get-2048", "BLOB_GET of chunk 2,048", framed(20, bytes(32), u16(2_048)), ("index", 37)),
        ("blob-delete-long", "a byte after BLOB_DELETE", framed(21, bytes(33)), ("end", 37)),
        ("spares-no-second-list", "SPARES without what to remove", framed(16, u8(0)), ("remove count", 6)),
    )  # fmt: skip
    for name, description, frame, at in bad:
        given = _read(frame)
        book.refuse(f"bad-{name}", "11.5-1", description, "request.decode", given, "BAD_FRAME", at=at)
    oversize = framed(11, bytes(64), u32(65_667), bytes(65_667))
    for name, rules, description, frame, code in (
        ("type-unknown", "11.5-1", "an unknown type below 0x80", framed(0x7F), "UNSUPPORTED_VERSION"),
        ("type-answer", "11.5-1", "an answer's type", framed(0x82), "UNEXPECTED_TYPE"),
        ("envelope-too-large", "11.2-3", "an envelope of 65,667 bytes", oversize, "TOO_LARGE"),
    ):
        book.refuse(f"bad-{name}", rules, description, "request.decode", _read(frame), code, "wire")


def _bad_answers(book: Book) -> None:
    def framed(kind: int, *parts: bytes) -> bytes:
        return u32(7) + u8(kind) + b"".join(parts)

    whole = answers.encode(7, answers.Bundle(bytes(18_432), (None,)))
    bad = (
        ("type", "a request's type", framed(1), ("type", 4)),
        ("ok-long", "OK with a body", framed(0x82, b"\x00"), ("end", 5)),
        ("error-name", "a field name of 65 bytes", framed(0x83, u16(1), lp(bytes(65))), ("field length", 7)),
        ("counts-short", "COUNTS cut short", framed(0x84, bytes(5)), ("envelopes", 7)),
        ("bundle-size", "a bundle answer one byte short", whole[:-1], ("bundle", 18_441)),
        ("bundle-padding", "padding that carries something", whole[:-1] + b"\x01", ("padding", 19_884)),
        ("via-0", "an envelope by no right", framed(0x86, u64(1), u8(0), bytes(32), lp(_ENVELOPE)), ("via", 13)),
        ("via-4", "an envelope by an unknown right", framed(0x86, u64(1), u8(4), bytes(32), lp(_ENVELOPE)),
         ("via", 13)),
        ("blob-state", "more chunks stored than there are", framed(0x89, u16(5), u16(4), u64(1)), ("stored", 5)),
        ("blob-part-short", "a chunk of 65,551 bytes", framed(0x8A, u16(4), u16(3), lp(bytes(65_551))),
         ("chunk length", 9)),
        ("blob-part-index", "chunk 4 of 4", framed(0x8A, u16(4), u16(4), lp(bytes(65_552))), ("index", 7)),
        ("page-17", "17 entries", framed(0x88, bytes(1_984), u64(17), u8(17)), ("entry count", 1_997)),
        ("page-entry", "an entry of 24,577 bytes", framed(0x88, bytes(1_984), u64(1), u8(1), u32(24_577)),
         ("entry length", 1_998)),
    )  # fmt: skip
    for name, description, frame, at in bad:
        given = _read(frame)
        book.refuse(f"bad-answer-{name}", "2-3", description, "answer.decode", given, "BAD_FRAME", at=at)
