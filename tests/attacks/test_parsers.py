"""Bytes from anywhere, into every decoder: nothing but the refusals a caller expects comes out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import NOW, TEXT, Seeded, accept, craft, first_flight, open_sessions, person
from troth_protocol import (
    address,
    card,
    content,
    envelope,
    frame,
    labels,
    ledger,
    manifest,
    ownership,
    prekeys,
    session,
    wire,
)
from troth_protocol.encoding import Reader, lp, u8, u32
from troth_protocol.errors import BadLink, PeerError, SealError, TrustError
from troth_protocol.frame import Frame
from troth_protocol.primitives import aead_seal, hkdf
from troth_protocol.wire import answers, requests

ALICE, BOB = person("alice"), person("bob")
SOURCE = Seeded("parsers")
FLIGHT = first_flight(ALICE, BOB, SOURCE)
EMPTY = ledger.Ledger(ALICE.root.public.fingerprint(labels.OPERATOR))
ENTRY = ledger.sign(ALICE.root, EMPTY, ledger.Kind.DESCRIPTOR, b"x", NOW, NOW, SOURCE)
SENDER, RECEIVER = open_sessions("parsers")
_, MESSAGE = session.encrypt(SENDER, 1, b"", randomness=SOURCE)
SIZE: Final = 16_514 - 1_136


def read_request(raw: bytes) -> object:
    """As a relay does."""
    reader = Reader(raw)
    reader.u32("request id")
    kind = reader.u8("type")
    return requests.decode_body(kind, reader) if requests.is_request(kind) else None


def read_sealed(raw: bytes) -> object:
    """A plaintext that a stranger sealed to Bob."""
    padded = raw[:SIZE].ljust(SIZE, b"\x00")
    return accept(BOB, SOURCE.seal(BOB.statement.seal.handle, labels.SEAL + BOB.statement.hash, padded))


def read_bundle(raw: bytes) -> object:
    """A plaintext that a holder of the card's key sealed."""
    padded = raw[: wire.BUNDLE_SIZE - 28].ljust(wire.BUNDLE_SIZE - 28, b"\x00")
    key = hkdf(bytes(32), BOB.card.key, labels.BUNDLE_KEY, 32)
    sealed = bytes(12) + aead_seal(key, bytes(12), padded, BOB.card.lookup)
    return card.open_bundle(BOB.card.key, BOB.card.lookup, BOB.fingerprint, sealed)


def read_frame_of_a_peer(raw: bytes) -> object:
    """A frame that an authenticated peer filled as it liked."""
    return session.decrypt(RECEIVER, craft(SENDER, SOURCE, raw[:1_024].ljust(1_024, b"\x00")), now=NOW)


DECODERS: Final[dict[str, tuple[Callable[[bytes], object], bytes]]] = {
    "frame": (frame.decode, frame.encode(Frame(TEXT, b"words"))),
    "frame of a peer": (read_frame_of_a_peer, frame.encode(Frame(TEXT, b"words"))),
    "content": (lambda raw: content.decode(raw[0] if raw else 1, raw[1:]), b"\x01" + bytes(24) + lp(b"x")),
    "addressed": (lambda raw: content.decode(15, raw), content.wrap(FLIGHT.prefix.address, 14, b"\x01")[1]),
    "return address": (envelope.ReturnAddress.decode, FLIGHT.prefix.address.encode()),
    "message": (
        lambda raw: session.decrypt(RECEIVER, raw, now=NOW),
        session.encrypt(SENDER, 1, b"", randomness=SOURCE)[1],
    ),
    "first message": (lambda raw: accept(BOB, raw), FLIGHT.sealed),
    "sealed plaintext": (read_sealed, FLIGHT.prefix.encode() + lp(FLIGHT.message)),
    "manifest": (lambda raw: manifest.parse(raw, ALICE.root.public), ALICE.manifest.raw),
    "statement": (lambda raw: prekeys.parse_statement(raw, BOB.fingerprint, BOB.device), BOB.statement.raw),
    "leaf": (lambda raw: prekeys.open_leaf(raw, BOB.statement.root), BOB.leaves[7]),
    "bundle": (lambda raw: card.open_bundle(BOB.card.key, BOB.card.lookup, BOB.fingerprint, raw), BOB.bundle()),
    "bundle plaintext": (
        read_bundle,
        BOB.root.public.raw + lp(BOB.manifest.raw) + u8(1) + BOB.mailbox + lp(BOB.statement.raw),
    ),
    "ledger entry": (lambda raw: EMPTY.extend(raw, ALICE.root.public), ENTRY),
    "descriptor": (ledger.Descriptor.decode, b"\x01" + lp(b"h") + b"\x00\x01\x01\x01" + bytes(32)),
    "request": (read_request, requests.encode(1, requests.AddLeaves(bytes(16), BOB.leaves[:2]))),
    "answer": (answers.decode, answers.encode(1, answers.Bundle(bytes(18_432), (BOB.leaves[0],)))),
    "certificate": (ownership.tls_key_hash, b"\x30\x82\x01\x00\x30\x03\xa0\x01\x02"),
}


def only_refusals(name: str, raw: bytes) -> None:
    """Decodes, or raises what the caller of this decoder handles."""
    try:
        DECODERS[name][0](raw)
    except (PeerError, SealError, TrustError):
        return


@pytest.mark.parametrize("name", DECODERS)
@settings(max_examples=40, deadline=None)
@given(data=st.binary(max_size=3_000))
def test_a71_random_bytes(name: str, data: bytes) -> None:
    """A-71: [R-2-3]"""
    only_refusals(name, data)


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "insert", "huge", "repeat"]), st.integers(0, 70_000), st.binary(max_size=6)
    ),
    min_size=1,
    max_size=4,
)


def mutate(raw: bytes, changes: list[tuple[str, int, bytes]]) -> bytes:
    """A good value after a few ill deeds."""
    for deed, where, extra in changes:
        at = where % (len(raw) + 1)
        if deed == "flip":
            raw = raw[:at] + bytes(byte ^ 0x55 for byte in raw[at : at + 1]) + raw[at + 1 :]
        elif deed == "cut":
            raw = raw[:at]
        elif deed == "insert":
            raw = raw[:at] + extra + raw[at:]
        elif deed == "huge":
            raw = raw[:at] + u32(0xFFFF_FFFF) + raw[at + 4 :]
        else:
            raw = raw[:at] + raw[max(at - 40, 0) :]
    return raw


@pytest.mark.parametrize("name", DECODERS)
@settings(max_examples=60, deadline=None)
@given(changes=CHANGES)
def test_a71_good_values_after_a_few_changes(name: str, changes: list[tuple[str, int, bytes]]) -> None:
    """A-71: duplicates, trailing bytes, giant lengths, wrong types. [R-2-3]"""
    only_refusals(name, mutate(DECODERS[name][1], changes))


@pytest.mark.slow
@pytest.mark.parametrize("name", DECODERS)
@settings(max_examples=3_000, deadline=None)
@given(changes=CHANGES)
def test_a71_good_values_after_many_changes(name: str, changes: list[tuple[str, int, bytes]]) -> None:
    """A-71: the same, for longer. [R-2-3]"""
    only_refusals(name, mutate(DECODERS[name][1], changes))


@pytest.mark.parametrize(
    "name",
    ["content", "addressed", "return address", "manifest", "statement", "leaf", "descriptor", "request", "answer"],
)
def test_a71_trailing_bytes(name: str) -> None:
    """A-71: one value has one encoding. [R-2-3]"""
    decode, good = DECODERS[name]
    decode(good)
    with pytest.raises(PeerError):
        decode(good + b"\x00")


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=700), st.binary(max_size=500).map(lambda raw: address.to_link("troth:", raw))))
def test_a71_links(text: str) -> None:
    """A-71: a link is a person's input, so its one refusal is BadLink. [R-5.2-1]"""
    for read in (card.Card.from_link, address.RelayAddress.from_link, address.JoinLink.from_link):
        for candidate in (text, f"troth:{text}", f"troth-relay:{text}"):
            try:
                read(candidate)
            except BadLink:
                continue
