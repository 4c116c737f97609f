"""Vectors of SPEC.md sections 10, 12 and 14: ownership, tokens, capabilities, ledgers, safety numbers."""

from __future__ import annotations

from troth_protocol import labels, ledger, safety
from troth_protocol.encoding import lp, u8, u16, u64
from troth_protocol.keys import SigningKey
from troth_protocol.ledger import Descriptor, Kind, Ledger, TlsMode

from .book import DAY, NOW, Book, Source, flipped

Fields = dict[str, object]


def make(book: Book) -> None:
    """Sections 10, 12 and 14."""
    book.chapter("10-mailboxes")
    _owner(book)
    _tokens(book)
    book.chapter("12-relay-identity")
    _descriptors(book)
    _ledgers(book)
    book.chapter("14-safety-number")
    _safety(book)


def _owner(book: Book) -> None:
    names = ("mailbox", "client_nonce", "server_nonce", "relay", "tls_key_hash")
    context: Fields = {name: f"{number}" * 32 for number, name in enumerate(names, 22)}
    made = book.accept("proof", "10.1-2 10.1-3", "an owner's proof", "owner.prove", context | {"secret": "21" * 32})
    given = context | {"stored": made["stored"], "proof": made["proof"]}
    book.accept("proof-checked", "10.1-4", "checked by the relay", "owner.check", given)
    for name, description in (
        ("proof", "one bit of the proof is wrong"),
        ("mailbox", "for another mailbox"),
        ("client_nonce", "with another client nonce"),
        ("server_nonce", "for another connection"),
        ("relay", "for another relay"),
        ("tls_key_hash", "passed on by somebody in between with another TLS key"),
    ):
        changed = given | {name: flipped(bytes.fromhex(str(given[name])), 0).hex()}
        label = f"proof-other-{name.replace('_', '-')}"
        book.refuse(label, "10.1-4", description, "owner.check", changed, "REFUSED", "ownership")
    inner = bytes.fromhex("a003020102") + bytes.fromhex("020101") + bytes.fromhex("3000") * 4
    key = bytes.fromhex("3007") + b"\x03\x05\x00spki"
    body = inner + key
    certificate = b"\x30" + u8(len(body) + 4) + b"\x30" + u8(len(body) + 2) + body + b"\x05\x00"
    operation = "owner.tls-key"
    description = "the seventh element of a certificate's body"
    book.accept("tls-key", "10.1-3", description, operation, {"certificate": certificate}, {"spki": key})
    cut = {"certificate": certificate[:12]}
    book.refuse("tls-key-cut", "10.1-3", "a certificate cut short", operation, cut, "BAD_FRAME", at=("certificate", 0))


def _tokens(book: Book) -> None:
    given: Fields = {"k_mb": "31" * 32, "mailbox": "22" * 32, "nonce": "32" * 16}
    token = str(book.accept("token", "10.2-1", "a token", "token.issue", given)["token"])
    epochs = [{"k_mb": "30" * 32, "expires": str(NOW)}, {"k_mb": "31" * 32, "expires": str(NOW + DAY)}]
    check: Fields = {"epochs": epochs, "mailbox": "22" * 32, "token": token, "now": str(NOW)}
    operation = "token.check"
    book.accept("token-checked", "10.2-2", "under the newer of two keys", operation, check)
    last = check | {"now": str(NOW + DAY - 1)}
    book.accept("token-last-second", "10.2-2", "in the last second of its key", operation, last)
    old = [epochs[1], {"k_mb": "33" * 32, "expires": str(NOW + 31 * DAY)}]
    book.accept("token-older-key", "10.2-2", "under the older of two keys", operation, check | {"epochs": old})
    for name, description, change in (
        ("token-expired", "at the expiry of its key", {"now": str(NOW + DAY)}),
        ("token-other-mailbox", "for another mailbox", {"mailbox": "23" * 32}),
        ("token-mac", "one bit of the MAC is wrong", {"token": flipped(bytes.fromhex(token), -1).hex()}),
        ("token-nonce", "one bit of the nonce is wrong", {"token": flipped(bytes.fromhex(token), 0).hex()}),
        ("token-no-key", "under no live key", {"epochs": epochs[:1]}),
    ):
        book.refuse(name, "10.2-2", description, operation, check | change, "REFUSED", "token")
    both = {"mailbox": "22" * 32, "capability": "33" * 32}
    book.accept("hashes", "10.1-1 10.3-1 10.4-1", "what a relay keeps", "mailbox.hashes", both)


def _descriptors(book: Book) -> None:
    hosts = [{"host": "relay.example", "port": 7443}, {"host": "192.0.2.1", "port": 443}]
    pinned: Fields = {"hosts": hosts, "mode": 1, "pins": ["41" * 32, "42" * 32]}
    webpki: Fields = {"hosts": hosts[:1], "mode": 2, "pins": []}
    read = "descriptor.decode"
    for name, description, given in (("pin", "two hosts, two pins", pinned), ("webpki", "mode 2, no pin", webpki)):
        made = book.accept(f"descriptor-{name}", "12.2-1", description, "descriptor.encode", given)
        book.accept(f"descriptor-{name}-read", "12.2-1", f"{description}, read", read, made)
    host, pin = lp(b"relay.example") + u16(7443), u8(1) + bytes([0x41]) * 32
    for name, description, content, at in (
        ("no-pin", "mode 1 without a pin", u8(1) + host + u8(1) + u8(0), ("pin count", 21)),
        ("no-host", "no host", u8(0) + u8(1) + pin, ("host count", 0)),
        ("nine-hosts", "nine hosts", u8(9) + host * 9 + u8(1) + pin, ("host count", 0)),
        ("mode", "mode 3", u8(1) + host + u8(3) + pin, ("tls mode", 20)),
        ("port", "port 0", u8(1) + lp(b"relay.example") + u16(0) + u8(1) + pin, ("port", 18)),
        ("five-pins", "five pins", u8(1) + host + u8(1) + u8(5) + bytes(160), ("pin count", 21)),
        ("trailing", "a byte after it", u8(1) + host + u8(1) + pin + b"\x00", ("end", 54)),
    ):
        given = {"content": content}
        book.refuse(f"descriptor-{name}", "12.2-1", description, read, given, "BAD_FRAME", at=at)


def _entry(
    operator: SigningKey, source: Source, sequence: int, previous: bytes, content: bytes, kind: int = 1
) -> bytes:
    """An entry that says what it is told to."""
    body = u16(1) + u64(sequence) + previous + u8(kind) + u64(NOW) + u64(NOW + DAY) + lp(content)
    return body + operator.sign(labels.SIGN_LEDGER, body, source)


def _ledgers(book: Book) -> None:
    source = book.source("operator")
    operator, other = SigningKey.generate(source), SigningKey.generate(source)
    relay = operator.public.fingerprint(labels.OPERATOR)
    content = Descriptor((("relay.example", 7443),), TlsMode.PIN, (bytes([0x41]) * 32,)).encode()
    source.used()
    first = ledger.sign(operator, Ledger(relay), Kind.DESCRIPTOR, content, NOW, NOW + DAY, source)
    signed: Fields = {
        "ed25519_seed": operator.ed25519_seed, "mldsa_seed": operator.mldsa_seed, "sequence": "0",
        "previous": bytes(32), "kind": 1, "content": content, "issued": str(NOW), "expires": str(NOW + DAY),
        "random": source.used(),
    }  # fmt: skip
    book.accept("entry-made", "12.1-1", "the first entry", "ledger.sign", signed)
    last = Ledger(relay).extend(first, operator.public).last
    policy = _entry(operator, source, 1, last, b"a policy", 200)
    given: Fields = {"relay": relay, "operator_key": operator.public.raw, "now": str(NOW)}
    operation, none = "ledger.read", bytes(32)
    book.accept("ledger", "12.1-2", "one descriptor", operation, given | {"entries": [first]})
    two = given | {"entries": [first, policy]}
    book.accept("ledger-unknown-kind", "12.1-2", "an entry of an unknown kind keeps its place", operation, two)
    refused: tuple[tuple[str, str, str, Fields, str, tuple[str, int] | None], ...] = (
        ("other-operator", "12.1-2", "another operator than the link names",
         {"operator_key": other.public.raw, "entries": [first]}, "MISMATCH", None),
        ("signature", "12.1-2", "signed by another key", {"entries": [_entry(other, source, 0, none, content)]},
         "BAD_SIGNATURE", None),
        ("gap", "12.1-2", "begins at sequence 1", {"entries": [policy]}, "ROLLBACK", None),
        ("repeated", "12.1-2", "an entry twice", {"entries": [first, first]}, "ROLLBACK", None),
        ("fork", "12.1-2", "does not name the entry before it",
         {"entries": [first, _entry(operator, source, 1, none, content)]}, "FORK", None),
        ("expired", "12.2-2", "the descriptor has expired", {"entries": [first], "now": str(NOW + DAY)}, "EXPIRED",
         None),
        ("no-descriptor", "12.2-2", "holds no descriptor", {"entries": []}, "MISMATCH", None),
        ("kind-zero", "12.1-1", "kind 0", {"entries": [_entry(operator, source, 0, none, content, 0)]}, "BAD_FRAME",
         ("ledger kind", 42)),
        ("suite", "2-5", "suite 2", {"entries": [b"\x00\x02" + first[2:]]}, "BAD_FRAME", ("ledger suite", 0)),
        ("cut", "2-3", "cut short", {"entries": [first[:3_400]]}, "BAD_FRAME", ("ledger previous", 10)),
    )  # fmt: skip
    for name, rules, description, change, code, at in refused:
        book.refuse(f"ledger-{name}", rules, description, operation, given | change, code, at=at)
    longer = {"read": "3", "served": "5"}
    book.accept("ledger-grown", "12.1-3", "has grown by two", "ledger.length", longer)
    shorter = {"read": "3", "served": "2"}
    book.refuse("ledger-shorter", "12.1-3", "is shorter than what was read", "ledger.length", shorter, "ROLLBACK")


def _safety(book: Book) -> None:
    one, other = bytes([0x51]) * 32, bytes([0x52]) * 32
    number = safety.safety_number(one, other)
    for name, description, a, b in (
        ("number", "of two fingerprints", one, other),
        ("number-swapped", "the same the other way round", other, one),
        ("number-high-bit", "compared as unsigned bytes", bytes([0xFF]) * 32, bytes([0x01]) * 32),
    ):
        book.accept(name, "14-1", description, "safety.number", {"fp_A": a, "fp_B": b})
    given: Fields = {"fp_A": one, "fp_B": other}
    operation = "safety.compare"
    book.accept("compared", "14-1", "the number the other person reads out", operation, given | {"number": number})
    for name, description, said in (
        ("other-digit", "one digit differs", number[:-1] + str((int(number[-1]) + 1) % 10)),
        ("no-leading-zeros", "written without its leading zeros", number.lstrip("0")),
        ("other-account", "with somebody in between", safety.safety_number(one, bytes([0x53]) * 32)),
    ):
        book.refuse(name, "14-1", description, operation, given | {"number": said}, "MISMATCH", "safety")
