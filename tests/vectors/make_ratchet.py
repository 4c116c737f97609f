"""Vectors of SPEC.md section 7: chains, headers, message keys, limits, and messages to a side that has read nothing."""

from __future__ import annotations

from simulator import craft
from troth_client.vector.conversation import start
from troth_client.vector.value import Given, shown
from troth_protocol import session
from troth_protocol.encoding import sha256
from troth_protocol.frame import Frame, encode

from .book import DAY, NOW, Book, flipped
from .make_conversation import KEYS

Fields = dict[str, object]


def make(book: Book) -> None:
    """All of section 7."""
    book.chapter("07-ratchets")
    _chains(book)
    _headers(book)
    _limits(book)
    _lone_messages(book)


def _chains(book: Book) -> None:
    book.accept("root-step", "7.1-1", "KDF_RK", "ratchet.root-step", {"RK": "01" * 32, "dh": "02" * 32})
    book.accept("chain-step", "7.1-2", "a classical chain", "ratchet.chain-step", {"CK": "03" * 32})
    book.accept("quantum-step", "7.2-1", "a post-quantum chain", "quantum.chain-step", {"CK": "03" * 32})
    book.accept("quantum-start", "7.2-2", "chain 0", "quantum.start", {"PQROOT": "04" * 32})
    given: Fields = {"PQROOT": "04" * 32, "ss": "05" * 32, "epoch": 2, "ek_hash": "06" * 32, "ct": "07" * 1_088}
    info = b"troth/1 pq epoch\x00\x00\x00\x02" + bytes([6]) * 32 + sha256(bytes([7]) * 1_088)
    book.accept("quantum-epoch", "7.2-3", "chain 2", "quantum.epoch", given, {"info": info})


def _headers(book: Book) -> None:
    dh = bytes([9]).ljust(32, b"\x00")
    given: Fields = {
        "version": 1, "flags": 0, "dh": dh, "pn": 3, "n": 4, "e": 2, "i": 5, "ppn": 6, "header_key": "07" * 32,
        "nonce": "08" * 12, "TH": "d6" * 32,
    }  # fmt: skip
    sealed = book.accept("header", "7.3-1", "54 bytes, sealed", "header.seal", given)["enc_hdr"]
    opened: Fields = {"header_key": "07" * 32, "TH": "d6" * 32, "enc_hdr": sealed}
    book.accept("header-opened", "7.3-1", "opened", "header.open", opened)
    for name, description, change in (
        ("header-other-key", "under another header key", {"header_key": "09" * 32}),
        ("header-other-transcript", "under another TH", {"TH": "d7" * 32}),
    ):
        layer = "ratchet"
        book.refuse(name, "7.3-1", description, "header.open", opened | change, "UNKNOWN_HEADER", layer)
    message: Fields = {
        "mk_pq": "0a" * 32, "mk_dr": "0b" * 32, "TH": "d6" * 32, "enc_hdr": "0c" * 82, "frame": "", "size": 1_024,
    }  # fmt: skip
    salt = {"info": b"troth/1 msg" + sha256(bytes([0xD6]) * 32, bytes([0x0C]) * 82)}
    book.accept("message-key", "7.4-1", "key, commitment and message", "message.key", message, salt)


def _limits(book: Book) -> None:
    operation = "ratchet.may-send"
    book.accept("chain-last", "7.5-4", "message 65,535 of both chains", operation, {"n": 65_535, "i": 65_535})
    for name, full in (("chain-full", {"n": 65_536, "i": 0}), ("quantum-chain-full", {"n": 0, "i": 65_536})):
        book.refuse(name, "7.5-4", "a chain of 65,536 messages", operation, full, "CHAIN_EXHAUSTED")

    def stored(key: str, count: int, at: int, first: int = 0) -> Fields:
        return {"header_key": key * 32, "first": first, "count": count, "stored": str(at)}

    many = [stored("01", 900, NOW), stored("02", 900, NOW), stored("03", 900, NOW, 5)]
    operation = "ratchet.forget"
    book.accept("forget-oldest", "7.5-2", "2,700 keys: the oldest 700 go", operation, {"chains": many, "now": str(NOW)})
    aged = [stored("01", 2, NOW), stored("02", 2, NOW + 1)]
    given: Fields = {"chains": aged, "now": str(NOW + 7 * DAY)}
    book.accept("forget-old", "7.5-2", "keys of seven days go, younger ones stay", operation, given)
    chains = [stored(f"{number:02x}", 1, NOW) for number in range(66)]
    given = {"chains": chains, "now": str(NOW)}
    book.accept("forget-chains", "7.5-3", "66 old chains: the newest 64 stay", operation, given)


def _lone_messages(book: Book) -> None:
    """Messages from A to a B that has read nothing else; the dishonest ones are made by hand."""
    source = book.source("lone")
    fresh = start(Given(shown(KEYS)))["A"]
    frame = encode(Frame(1, b"hello"))

    def given(*messages: bytes) -> Fields:
        return {"session": KEYS, "messages": list(messages), "now": str(NOW)}

    def crafted(padded: bytes = frame, com: bytes | None = None, **header: int | bytes) -> bytes:
        return craft(fresh, source, padded, com=com, **header)

    operation = "session.receive"
    book.accept("message", "7.4-1", "one message", operation, given(crafted()))
    state, wires = fresh, []
    for number in range(5):
        state, wire = session.encrypt(state, 1, b"%d" % number, randomness=source)
        wires.append(wire)
    far = state
    for _ in range(996):
        far, wire = session.encrypt(far, 1, b"far", randomness=source)
    book.accept("skip-most", "7.5-1", "n = i = 1,000: as many keys as may be skipped", operation, given(wire))
    order = (wires[4], wires[1], wires[0], wires[3])
    book.accept("skipped", "7.5-1", "four keys kept, three used", operation, given(*order))
    low = bytes(32)
    unpadded = frame[:-1] + b"\x01"
    refused = (
        ("size", "9.2-2", "one byte short", crafted()[:-1], "BAD_FRAME", ("message", 0)),
        ("header-version", "7.3-2", "version 2 in a header that opens", crafted(version=2), "SESSION", None),
        ("header-flags", "7.3-2", "flags 1 in a header that opens", crafted(flags=1), "SESSION", None),
        ("skip-too-many", "7.5-1", "n = 1,001 in a new chain", crafted(n=1_001), "TOO_MANY_SKIPPED", None),
        ("quantum-skip-too-many", "7.5-1", "i = 1,001 in chain 0", crafted(i=1_001), "TOO_MANY_SKIPPED", None),
        ("tag-zero", "8.3-4", "tagged 0", crafted(tag=0), "SESSION", None),
        ("tag-ahead", "8.3-4", "tagged 2 to a B whose epoch is 1", crafted(tag=2), "SESSION", None),
        ("ratchet-key-low-order", "3.1-2", "a ratchet key of low order", crafted(dh=low), "BAD_KEY", None),
        ("commitment-other", "7.4-2", "a commitment to another key", crafted(com=bytes(32)), "TAMPERED", None),
        ("frame-padding", "9.1-2", "an authentic frame with padding that carries something", crafted(unpadded),
         "BAD_FRAME", ("frame padding", 25)),
        ("frame-type-zero", "9.1-2", "an authentic frame of type 0", crafted(bytes(2) + frame[2:]), "BAD_FRAME",
         ("frame type", 0)),
    )  # fmt: skip
    for name, rules, description, message, code, at in refused:
        book.refuse(f"lone-{name}", rules, description, operation, given(message), code, at=at)
    survive = given(wires[0], flipped(wires[1], -1), crafted(), wires[1], wires[1])
    description = "a changed message, another under a used key and a repetition change nothing for those after them"
    book.accept("unchanged", "7.4-4", description, "session.survive", survive)
