"""Operations of SPEC.md sections 7 and 8 that need no session: chains, headers, message keys, the exchange."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

from troth_protocol import chain, pq_chains, pq_exchange, primitives, ratchet
from troth_protocol.chain import ChainKey, HeaderKey, MessageKey, PqRoot, RootKey
from troth_protocol.encoding import sha256
from troth_protocol.errors import SessionError, UnknownHeader, UserError
from troth_protocol.frame import Kind, Symbols
from troth_protocol.keys import DhPrivateKey, KemPrivateKey, KemPublicKey
from troth_protocol.pq_exchange import Exchange
from troth_protocol.primitives import SystemRandomness

from .value import Given, Operation, Replayed, Results

_HEADER: Final = struct.Struct(">BB32sIIIII")
_HEADER_FIELDS: Final = ("version", "flags", "dh", "pn", "n", "e", "i", "ppn")
_EMPTY: Final = bytes(32)


def _root_step(given: Given) -> Results:
    root, key, header = chain.root_step(RootKey(given.raw("RK")), given.raw("dh"))
    return {"RK": root, "CK": key, "NHK": header}


def _classical_step(given: Given) -> Results:
    following, message = chain.classical_step(ChainKey(given.raw("CK")))
    return {"CK": following, "mk_dr": message}


def _quantum_start(given: Given) -> Results:
    root, a2b, b2a = chain.quantum_start(PqRoot(given.raw("PQROOT")))
    return {"PQROOT": root, "CK_a2b": a2b, "CK_b2a": b2a}


def _quantum_epoch(given: Given) -> Results:
    secret, key_hash, ciphertext = given.raw("ss"), given.raw("ek_hash"), given.raw("ct")
    epoch = given.number("epoch")
    root, a2b, b2a = chain.quantum_epoch(PqRoot(given.raw("PQROOT")), secret, epoch, key_hash, ciphertext)
    return {"PQROOT": root, "CK_a2b": a2b, "CK_b2a": b2a}


def _quantum_step(given: Given) -> Results:
    following, message = chain.quantum_step(ChainKey(given.raw("CK")))
    return {"CK": following, "mk_pq": message}


def _header_seal(given: Given) -> Results:
    values = [given.raw(name) if name == "dh" else given.number(name) for name in _HEADER_FIELDS]
    header, nonce = _HEADER.pack(*values), given.raw("nonce")
    sealed = nonce + primitives.aead_seal(given.raw("header_key"), nonce, header, given.raw("TH"))
    return {"header": header, "enc_hdr": sealed}


def _header_open(given: Given) -> Results:
    """As a session does it that has one header key: which opens, then version and flags."""
    unused = DhPrivateKey.load(bytes(32))
    only = ratchet.start_responder(RootKey(_EMPTY), HeaderKey(given.raw("header_key")), HeaderKey(_EMPTY), unused)
    opened = ratchet.open_header(only, given.raw("enc_hdr"), given.raw("TH"))
    if opened is None:
        raise UnknownHeader("the header does not open")
    fields = dict(zip(_HEADER_FIELDS, _HEADER.unpack(opened[0]), strict=True))
    if (fields.pop("version"), fields.pop("flags")) != (1, 0):
        raise SessionError("header version or flags")
    return fields


def _message_key(given: Given) -> Results:
    quantum, classical = MessageKey(given.raw("mk_pq")), MessageKey(given.raw("mk_dr"))
    header = given.raw("enc_hdr")
    key, commitment = chain.message_key(quantum, classical, given.raw("TH"), header)
    body = primitives.aead_seal(key, bytes(12), given.raw("frame").ljust(given.number("size"), b"\x00"), header)
    return {"key": key, "com": commitment, "message_hash": sha256(header, commitment, body)}


def _may_send(given: Given) -> Results:
    """Whether one more message may go with n and i as they stand."""
    ours = DhPrivateKey.load(bytes(32))
    sending = ratchet.Sending(ours, ChainKey(_EMPTY), HeaderKey(_EMPTY), given.number("n"), 0)
    state = ratchet.Ratchet(RootKey(_EMPTY), HeaderKey(_EMPTY), HeaderKey(_EMPTY), sending, None)
    ratchet.ready_to_send(state, SystemRandomness())
    started = pq_chains.start(ChainKey(_EMPTY), ChainKey(_EMPTY))
    advanced = started._replace(sending=started.sending._replace(i=given.number("i")))
    pq_chains.send_key(advanced)
    return {"may_send": True}


def _forget(given: Given) -> Results:
    """Which skipped keys are left; a chain's keys are given as a run of indices stored at one time."""
    skipped = tuple(
        ratchet.SkippedChain(
            HeaderKey(one.raw("header_key")),
            {one.number("first") + k: (MessageKey(_EMPTY), one.number("stored")) for k in range(one.number("count"))},
        )
        for one in given.parts("chains")
    )
    left = ratchet.prune(skipped, given.number("now"))
    return {"chains": [{"header_key": one.header_key, "first": min(one.keys), "count": len(one.keys)} for one in left]}


def _authenticator(given: Given) -> Results:
    auth, mac = chain.authenticator_step(given.raw("AUTH"), given.raw("ss"), given.number("epoch"))
    return {"AUTH": auth, "mac": mac}


def _ciphertext_mac(given: Given) -> Results:
    epoch, key_hash, ciphertext = given.number("epoch"), given.raw("ek_hash"), given.raw("ct")
    return {"mac": chain.ciphertext_mac(given.raw("mac_key"), epoch, key_hash, ciphertext)}


def _key_mac(given: Given) -> Results:
    return {"mac": chain.key_mac(given.raw("mac_key"), given.number("epoch"), given.raw("ek"))}


def _state(given: Given) -> pq_exchange.State:
    epoch, have = given.number("epoch"), {}
    if given.has("have"):
        have = {one.number("index"): one.raw("symbol") for one in given.parts("have")}
    position = given.number("position") if given.has("position") else 0
    match given.text("name"):
        case "Idle":
            return pq_exchange.Idle(epoch, given.raw("mac_key"))
        case "SendKey":
            key = KemPrivateKey(given.raw("key_seed"))
            return pq_exchange.SendKey(epoch, key, given.raw("payload"), position)
        case "ReceiveCiphertext":
            return pq_exchange.ReceiveCiphertext(epoch, KemPrivateKey(given.raw("key_seed")), have)
        case "ReceiveKey":
            return pq_exchange.ReceiveKey(epoch, given.raw("mac_key"), have)
        case "HaveKey":
            return pq_exchange.HaveKey(epoch, KemPublicKey(given.raw("key")))
        case "SendCiphertext":
            return pq_exchange.SendCiphertext(epoch, given.raw("mac_key"), given.raw("payload"), position)
        case other:
            raise UserError(f"there is no state {other}")


def _exchange(given: Given) -> Exchange:
    return Exchange(PqRoot(given.raw("PQROOT")), given.raw("AUTH"), _state(given.part("state")))


def _exchange_shown(after: Exchange, agreed: pq_exchange.NewChain | None) -> dict[str, object]:
    state = after.state
    shown: dict[str, object] = {"name": type(state).__name__, "epoch": state.epoch}
    if isinstance(state, pq_exchange.SendKey | pq_exchange.SendCiphertext):
        shown |= {"position": state.position, "payload_hash": sha256(state.payload)}
    if isinstance(state, pq_exchange.ReceiveCiphertext | pq_exchange.ReceiveKey):
        shown |= {"have": sorted(state.have)}
    if isinstance(state, pq_exchange.HaveKey):
        shown |= {"key_hash": sha256(state.key.raw)}
    if isinstance(state, pq_exchange.Idle | pq_exchange.ReceiveKey | pq_exchange.SendCiphertext):
        shown |= {"mac_key": state.mac_key}
    agreement = {"CK_a2b": agreed.a2b, "CK_b2a": agreed.b2a} if agreed else None
    return {"PQROOT": after.root, "AUTH": after.auth, "state": shown, "agreed": agreement}


def _exchange_send(given: Given) -> Results:
    after, symbols, agreed = pq_exchange.send(
        _exchange(given), given.number("room"), Replayed(given.part("random"))
    )  # fmt: skip
    run = {"kind": symbols.kind, "start": symbols.start, "count": len(symbols.data) // 32, "hash": sha256(symbols.data)}
    return {"symbols": run, **_exchange_shown(after, agreed)}


def _exchange_receive(given: Given) -> Results:
    tag = given.number("tag")
    symbols = Symbols(Kind(given.number("kind")), given.number("start"), given.raw("data"))
    before = _exchange(given)
    pq_exchange.check_tag(before, tag)
    return _exchange_shown(*pq_exchange.receive(before, tag, symbols))


OPERATIONS: Final[Mapping[str, Operation]] = {
    "ratchet.root-step": _root_step,
    "ratchet.chain-step": _classical_step,
    "ratchet.may-send": _may_send,
    "ratchet.forget": _forget,
    "quantum.start": _quantum_start,
    "quantum.epoch": _quantum_epoch,
    "quantum.chain-step": _quantum_step,
    "header.seal": _header_seal,
    "header.open": _header_open,
    "message.key": _message_key,
    "exchange.authenticator": _authenticator,
    "exchange.ciphertext-mac": _ciphertext_mac,
    "exchange.key-mac": _key_mac,
    "exchange.send": _exchange_send,
    "exchange.receive": _exchange_receive,
}
