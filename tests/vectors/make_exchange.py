"""Vectors of SPEC.md section 8: symbols, authenticator, MACs, and each state of the exchange."""

from __future__ import annotations

from troth_protocol import chain
from troth_protocol.encoding import sha256
from troth_protocol.keys import KemPrivateKey

from .book import Book, flipped

Fields = dict[str, object]
_KEYS: Fields = {"PQROOT": "01" * 32, "AUTH": "02" * 32}
_MAC = bytes([3]) * 32
_SEED = bytes([4]) * 64


def make(book: Book) -> None:
    """All of section 8; conversations through epochs 1 to 3 are with section 7."""
    book.chapter("08-exchange")
    _authenticator(book)
    source = book.source("exchange")
    key = KemPrivateKey(_SEED)
    secret, ciphertext = source.encapsulate(key.public.handle)
    random = source.used()
    _, mac_key = chain.authenticator_step(bytes([2]) * 32, secret, 2)
    whole_ct = ciphertext + chain.ciphertext_mac(mac_key, 2, sha256(key.public_raw), ciphertext)
    whole_key = key.public_raw + chain.key_mac(_MAC, 2, key.public_raw)
    _sending(book, key, random, whole_key)
    _receiving(book, whole_ct, whole_key, secret)


def _authenticator(book: Book) -> None:
    given: Fields = {"AUTH": "0d" * 32, "ss": "0e" * 32, "epoch": 2}
    book.accept("authenticator", "8.2-1", "AUTH' and mac_2", "exchange.authenticator", given)
    given = {"mac_key": "0f" * 32, "epoch": 2, "ek_hash": "10" * 32, "ct": "11" * 1_088}
    book.accept("ciphertext-mac", "8.2-2", "of a ciphertext", "exchange.ciphertext-mac", given)
    given = {"mac_key": "0f" * 32, "epoch": 3, "ek": "12" * 1_184}
    book.accept("key-mac", "8.2-3", "of the key of epoch 3, under mac_2", "exchange.key-mac", given)


def _sending(book: Book, key: KemPrivateKey, random: object, whole_key: bytes) -> None:
    operation = "exchange.send"

    def given(state: Fields, room: int, random: object) -> Fields:
        return _KEYS | {"state": state, "room": room, "random": random}

    idle: Fields = {"name": "Idle", "epoch": 2, "mac_key": _MAC}
    drawn = {"draw": _SEED}
    first = book.accept("idle", "8.3-2 8.1-1", "Idle makes a key", operation, given(idle, 25, drawn))
    sending: Fields = {"name": "SendKey", "epoch": 2, "key_seed": _SEED, "payload": whole_key}
    symbols = first["symbols"]
    if not isinstance(symbols, dict) or symbols["hash"] != sha256(whole_key[: 25 * 32]).hex():
        raise ValueError("the key's symbols are not the first of the key")
    last = sending | {"position": 25}
    book.accept("key-wraps", "8.1-1", "25 symbols from 25 wrap past 37", operation, given(last, 25, {"draw": ""}))
    later, start = sending | {"position": 38}, {"draw": (38 * 7 + 11).to_bytes(4, "big")}
    description = "after the first round, a random start"
    book.accept("key-later-round", "8.1-2", description, operation, given(later, 25, start))
    description = "room for 100, but no more than all 38"
    book.accept("key-all", "8.1-2", description, operation, given(sending | {"position": 0}, 100, {"draw": ""}))
    have: Fields = {"name": "HaveKey", "epoch": 2, "key": key.public_raw}
    description = "HaveKey encapsulates, and chain 2 is agreed"
    book.accept("have-key", "8.3-2 8.2-1 8.2-2", description, operation, given(have, 5, random))
    waiting: Fields = {"name": "ReceiveKey", "epoch": 2, "mac_key": _MAC}
    book.accept("nothing-to-send", "8.3-2", "ReceiveKey sends nothing", operation, given(waiting, 25, {"draw": ""}))
    no_room = "no recorded encapsulation of a key that is not reduced: it never becomes HaveKey"
    bad = have | {"key": b"\xff\xff\xff" + key.public_raw[3:]}
    book.refuse("have-bad-key", "8.2-4", no_room, operation, given(bad, 5, random), "BAD_KEY")


def _receiving(book: Book, whole_ct: bytes, whole_key: bytes, secret: bytes) -> None:
    operation = "exchange.receive"

    def given(state: Fields, tag: int, kind: int, start: int, data: bytes) -> Fields:
        return _KEYS | {"state": state, "tag": tag, "kind": kind, "start": start, "data": data}

    def have(whole: bytes, *indices: int) -> list[Fields]:
        return [{"index": index, "symbol": whole[index * 32 : index * 32 + 32]} for index in indices]

    waiting: Fields = {"name": "ReceiveCiphertext", "epoch": 2, "key_seed": _SEED}
    key_state: Fields = {"name": "ReceiveKey", "epoch": 2, "mac_key": _MAC}
    sent: Fields = {"name": "SendCiphertext", "epoch": 2, "mac_key": _MAC, "payload": whole_ct, "position": 35}
    sending: Fields = {"name": "SendKey", "epoch": 2, "key_seed": _SEED, "payload": whole_key, "position": 38}
    most = waiting | {"have": have(whole_ct, *range(33))}
    ct_run, key_run = whole_ct[33 * 32 :], whole_key[30 * 32 :] + whole_key[: 2 * 32]
    most_key = key_state | {"have": have(whole_key, *range(2, 30))}
    accepted = (
        ("first-symbol", "8.3-3", "SendKey meets the first ciphertext symbol, which counts",
         given(sending, 2, 2, 3, whole_ct[96:160])),
        ("ciphertext-whole", "8.3-3 8.2-2", "the last two of 35: chain 2 is agreed, epoch 3 begins",
         given(most, 2, 2, 33, ct_run)),
        ("ciphertext-missing", "8.3-3", "34 of 35", given(most, 2, 2, 33, ct_run[:32])),
        ("key-whole", "8.3-3 8.2-3", "the last ten of 38, wrapping", given(most_key, 2, 1, 30, key_run)),
        ("tag-moves-on", "8.3-3", "SendCiphertext meets the next tag", given(sent, 3, 0, 0, b"")),
        ("old-tag", "8.3-3", "symbols of an old epoch do not count", given(waiting, 1, 2, 0, whole_ct[:32])),
        ("other-kind", "8.3-3", "key symbols do not count where a ciphertext is awaited",
         given(waiting, 2, 1, 0, whole_key[:32])),
        ("seen-symbol", "8.3-3", "a symbol that is there already stays as it was",
         given(most, 2, 2, 0, bytes(32))),
    )  # fmt: skip
    for name, rules, description, fields in accepted:
        book.accept(name, rules, description, operation, fields, {"ss": secret} if "whole" in name else None)
    bad_mac, bad_key_mac = flipped(ct_run, -1), flipped(key_run, 7 * 32)
    unreduced = b"\xff\xff\xff" + whole_key[3:1_184]
    bad_key = unreduced + chain.key_mac(_MAC, 2, unreduced)
    forged = key_state | {"have": have(bad_key, *range(30))}
    refused = (
        ("ciphertext-mac-wrong", "8.2-4", "the ciphertext's MAC is wrong", given(most, 2, 2, 33, bad_mac)),
        ("ciphertext-wrong", "8.2-4", "a symbol of the ciphertext is wrong",
         given(waiting | {"have": have(flipped(whole_ct, 0), *range(33))}, 2, 2, 33, ct_run)),
        ("key-mac-wrong", "8.2-4", "the key's MAC is wrong", given(most_key, 2, 1, 30, bad_key_mac)),
        ("key-not-reduced", "8.2-4", "a key that is not reduced, with the right MAC",
         given(forged, 2, 1, 30, bad_key[30 * 32 :])),
        ("tag-too-high", "8.3-4", "tag 3 in ReceiveCiphertext(2)", given(waiting, 3, 0, 0, b"")),
        ("tag-two-ahead", "8.3-4", "tag 4 in SendCiphertext(2)", given(sent, 4, 0, 0, b"")),
        ("tag-none", "8.3-4", "tag 0", given(waiting, 0, 0, 0, b"")),
    )  # fmt: skip
    for name, rules, description, fields in refused:
        book.refuse(name, rules, description, operation, fields, "SESSION")
