"""Every worked example of SPEC.md, computed again from the inputs that stand there: the document cannot rot.

SPEC.md section 1.4 says how a block is written. ``RECIPES`` has one function for each block; it takes the block's
inputs by name and gives its results by name. A block without a recipe, or a recipe without a block, is a failure.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import pytest

from troth_protocol import chain, frame, handshake, labels, ownership, prekeys, primitives, safety, session, token
from troth_protocol.card import Card, JoinLink, RelayAddress
from troth_protocol.chain import ChainKey, MessageKey, PqRoot, RootKey
from troth_protocol.content import Text
from troth_protocol.encoding import lp, sha256, u8, u16, u32
from troth_protocol.frame import Frame, Symbols
from troth_protocol.handshake import Mode, Opening, Party
from troth_protocol.keys import DhPublicKey, KemPrivateKey, SealPrivateKey, VerifyKey, signed_bytes
from troth_protocol.ledger import Descriptor, TlsMode
from troth_protocol.wire import VERSION, Code, answers, blobs, requests

SPEC: Final = Path(__file__).parents[1] / "SPEC.md"
_BLOCK: Final = re.compile(r"^```example ([a-z-]+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)

Value: TypeAlias = bytes | int | str
Recipe: TypeAlias = "Callable[[Block], Mapping[str, Value]]"


@dataclass(frozen=True)
class Block:
    """One example: its inputs and results as they stand in the document."""

    name: str
    inputs: Mapping[str, str]
    results: Mapping[str, str]

    def raw(self, name: str) -> bytes:
        return b"".join(_bytes(part) for part in self.inputs[name].split("+"))

    def number(self, name: str) -> int:
        return int(self.inputs[name])

    def text(self, name: str) -> str:
        return self.raw(name).decode()


def _bytes(part: str) -> bytes:
    part = part.strip()
    if part.startswith('"'):
        return part.strip('"').encode()
    digits, _, times = part.partition("*")
    return bytes.fromhex(digits) * int(times or 1)


def blocks() -> list[Block]:
    found = []
    for name, body in _BLOCK.findall(SPEC.read_text("utf-8")):
        inputs: dict[str, str] = {}
        results: dict[str, str] = {}
        for line in body.splitlines():
            result = line.startswith("=> ")
            key, _, value = line.removeprefix("=> ").partition(" = ")
            (results if result else inputs)[key] = value
        found.append(Block(name, inputs, results))
    return found


def shown(value: Value) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


class Recorded(primitives.SystemRandomness):
    """Randomness that draws what an example says."""

    def __init__(self, drawn: bytes) -> None:
        self.drawn = drawn

    def draw(self, count: int) -> bytes:
        assert count == len(self.drawn)
        return self.drawn


def lp_(block: Block) -> Mapping[str, Value]:  # [R-2-1] [R-2-2]
    return {"u16(1)": u16(1), "LP(x)": lp(block.raw("x"))}


def signature_input(block: Block) -> Mapping[str, Value]:  # [R-3.3-1] [R-3.3-2]
    key_hash = sha256(block.raw("public key"))
    return {"H(public key)": key_hash, "M": signed_bytes(block.raw("purpose"), key_hash, block.raw("m"))}


def fingerprint(block: Block) -> Mapping[str, Value]:  # [R-4.1-1]
    key = VerifyKey(block.raw("public key"))
    return {"account": key.fingerprint(), "operator": key.fingerprint(labels.OPERATOR)}


def leaf(block: Block) -> Mapping[str, Value]:  # [R-4.4-1]
    index, path = block.number("index"), block.raw("path")
    digest = prekeys.leaf_hash(index, block.raw("x25519"), block.raw("kem"))
    nodes = [digest]
    for depth in range(prekeys.DEPTH):
        sibling = path[depth * 32 : depth * 32 + 32]
        pair = (sibling, nodes[-1]) if index >> depth & 1 else (nodes[-1], sibling)
        nodes.append(prekeys.node_hash(*pair))
    return {"leaf hash": digest, "first node": nodes[1], "root": nodes[-1]}


def _relay(block: Block) -> RelayAddress:
    return RelayAddress(block.text("host"), block.number("port"), block.raw("fingerprint"))


def relay_link(block: Block) -> Mapping[str, Value]:  # [R-5.2-1]
    link = _relay(block).link()
    assert RelayAddress.from_link(link) == _relay(block)
    return {"link": link}


def join_link(block: Block) -> Mapping[str, Value]:  # [R-5.2-1]
    joining = JoinLink(_relay(block), block.raw("invitation"))
    assert JoinLink.from_link(joining.link()) == joining
    return {"link": joining.link()}


def card_link(block: Block) -> Mapping[str, Value]:  # [R-5.1-1] [R-5.2-1]
    parts = (block.raw(name) for name in ("lookup", "K_card", "fp", "capability"))
    card = Card(_relay(block), *parts)
    assert Card.from_link(card.link()) == card
    return {"link": card.link()}


def transcript(block: Block) -> Mapping[str, Value]:  # [R-6.2-1] [R-6.2-2]
    def party(who: str) -> Party:
        kem = KemPrivateKey(block.raw(f"KIK_{who} seed")).public
        account, device, manifest = (block.raw(name) for name in (f"fp_{who}", f"id_{who}", f"manifest_{who} hash"))
        return Party(account, device, manifest, DhPublicKey(block.raw(f"DIK_{who}")), kem)

    kem = KemPrivateKey(block.raw("KEM seed")).public_raw
    opk, spk = DhPublicKey(block.raw("OPK_B")), DhPublicKey(block.raw("SPK_B"))
    offer = handshake._Offer(block.raw("statement_B hash"), spk, opk, kem)
    mode = Mode(block.number("mode"))
    opening = Opening(mode, DhPublicKey(block.raw("EK_A")), block.raw("ct"), 0)
    a, b = party("A"), party("B")
    return {
        "H(KIK_A)": sha256(a.kem_identity.raw),
        "H(KIK_B)": sha256(b.kem_identity.raw),
        "H(KEM key)": sha256(kem),
        "TH": handshake.transcript(mode, a, b, offer, opening),
    }


def handshake_keys(block: Block) -> Mapping[str, Value]:  # [R-6.2-3]
    dh = b"".join(block.raw(f"DH{number}") for number in range(1, 5))
    keys = handshake.derive(dh, block.raw("ss"), block.raw("TH"))
    return {
        "RK": keys.root, "HK_A": keys.hk_a, "NHK_B": keys.nhk_b, "PQROOT": keys.pq_root, "AUTH": keys.auth,
        "SID": keys.sid,
    }  # fmt: skip


def classical_ratchet(block: Block) -> Mapping[str, Value]:  # [R-7.1-1] [R-7.1-2]
    root, first, header = chain.root_step(RootKey(block.raw("RK")), block.raw("dh"))
    following, message = chain.classical_step(first)
    return {"RK'": root, "CK": first, "NHK": header, "mk_dr": message, "CK'": following}


def quantum_chains(block: Block) -> Mapping[str, Value]:  # [R-7.2-1] [R-7.2-2] [R-7.2-3]
    root, a2b, b2a = chain.quantum_start(PqRoot(block.raw("PQROOT")))
    following, message = chain.quantum_step(ChainKey(a2b))
    one, a2b_1, b2a_1 = chain.quantum_epoch(root, block.raw("ss_1"), 1, block.raw("H(ek_1)"), block.raw("ct_1"))
    return {
        "PQROOT after chain 0": root, "CK_a2b of chain 0": a2b, "CK_b2a of chain 0": b2a,
        "mk_pq of message 0 from a": message, "CK'": following, "PQROOT after chain 1": one,
        "CK_a2b of chain 1": a2b_1, "CK_b2a of chain 1": b2a_1,
    }  # fmt: skip


def header(block: Block) -> Mapping[str, Value]:  # [R-7.3-1]
    counters = b"".join(u32(block.number(name)) for name in ("pn", "n", "e", "i", "ppn"))
    plain = u8(session.VERSION) + u8(0) + block.raw("dh") + counters
    nonce = block.raw("nonce")
    return {
        "header": plain,
        "enc_hdr": nonce + primitives.aead_seal(block.raw("header key"), nonce, plain, block.raw("TH")),
    }


def message_key(block: Block) -> Mapping[str, Value]:  # [R-7.4-1]
    encrypted = block.raw("enc_hdr")
    mk_pq, mk_dr = MessageKey(block.raw("mk_pq")), MessageKey(block.raw("mk_dr"))
    key, com = chain.message_key(mk_pq, mk_dr, block.raw("TH"), encrypted)
    body = primitives.aead_seal(key, bytes(12), block.raw("frame"), encrypted)
    assert len(encrypted + com + body) == session.WIRE_SIZES[0]
    return {"key": key, "com": com, "H(message)": sha256(encrypted, com, body)}


def authenticator(block: Block) -> Mapping[str, Value]:  # [R-8.2-1] [R-8.2-2] [R-8.2-3]
    auth, mac = chain.authenticator_step(block.raw("AUTH"), block.raw("ss_2"), 2)
    return {
        "AUTH'": auth,
        "mac_2": mac,
        "ciphertext MAC_2": chain.ciphertext_mac(mac, 2, block.raw("H(ek_2)"), block.raw("ct_2")),
        "key MAC_3": chain.key_mac(mac, 3, block.raw("ek_3")),
    }


def frame_(block: Block) -> Mapping[str, Value]:  # [R-9.1-1] [R-9.2-1]
    symbols = Symbols(frame.Kind(block.number("kind")), block.number("start"), b"")
    content = block.raw("content")
    raw = frame.encode(Frame(block.number("type"), content, symbols, block.number("stock")))
    assert raw.rstrip(b"\x00") in raw[: frame.OVERHEAD + len(content)]
    return {"first bytes": raw[: frame.OVERHEAD + len(content)], "size": len(raw), "H(frame)": sha256(raw)}


def text(block: Block) -> Mapping[str, Value]:  # [R-9.3-1] [R-9.3-2]
    return {"content": Text(block.raw("id"), block.number("sent"), block.text("text")).encode()}


def owner_proof(block: Block) -> Mapping[str, Value]:  # [R-10.1-1] [R-10.1-2] [R-10.1-3] [R-10.1-4]
    secret = block.raw("secret")
    names = ("mailbox", "client nonce", "server nonce", "relay fingerprint", "TLS key hash")
    context = [block.raw(name) for name in names]
    proof = ownership.prove(secret, *context)
    assert ownership.verify(ownership.stored(secret), proof, *context)
    return {
        "stored": ownership.stored(secret),
        "proof": proof,
        "mailbox hash": token.mailbox_hash(block.raw("mailbox")),
    }


def token_(block: Block) -> Mapping[str, Value]:  # [R-10.2-1]
    return {"token": token.issue(block.raw("k_mb"), block.raw("mailbox"), block.raw("nonce"))}


def capability(block: Block) -> Mapping[str, Value]:  # [R-10.3-1]
    return {"hash": token.capability_hash(block.raw("capability"))}


def requests_(block: Block) -> Mapping[str, Value]:  # [R-11.2-1]
    assert block.number("version") == VERSION
    return {
        "HELLO with request id 1": requests.encode(1, requests.Hello(VERSION, block.raw("policy"))),
        "LEDGER with request id 2": requests.encode(2, requests.Ledger(block.number("since"))),
        "FETCH with window 64 and request id 3": requests.encode(3, requests.Fetch(64)),
        "ACKNOWLEDGE of 1 and 2 with request id 4": requests.encode(4, requests.Acknowledge((1, 2))),
    }


def answers_(block: Block) -> Mapping[str, Value]:  # [R-11.5-2]
    return {
        "ERROR with request id 4": answers.encode(4, answers.Error(Code(block.number("code")))),
        "OK with request id 4": answers.encode(4, answers.Ok()),
        "COUNTS of 128 leaves and 2 envelopes with request id 5": answers.encode(5, answers.Counts(128, 2)),
    }


def blobs_(block: Block) -> Mapping[str, Value]:  # [R-11.9-1]
    blob, expires = block.raw("blob"), block.number("expires")
    return {
        "BLOB_PUT that asks how far a blob of 4 chunks is, with request id 1": requests.encode(
            1, blobs.BlobPut(blob, 4, expires, 0)
        ),
        "BLOB_GET of chunk 3 with request id 2": requests.encode(2, blobs.BlobGet(blob, 3)),
        "BLOB_STATE of 3 chunks in 4 with request id 1": answers.encode(1, blobs.BlobState(3, 4, expires)),
    }


def descriptor(block: Block) -> Mapping[str, Value]:  # [R-12.2-1]
    hosts = ((block.text("host"), block.number("port")),)
    made = Descriptor(hosts, TlsMode(block.number("mode")), (block.raw("pin"),))
    assert Descriptor.decode(made.encode()) == made
    return {"content": made.encode()}


def safety_number(block: Block) -> Mapping[str, Value]:  # [R-14-1]
    one, other = block.raw("fp_A"), block.raw("fp_B")
    assert safety.safety_number(one, other) == safety.safety_number(other, one)
    return {"safety number": safety.safety_number(one, other)}


RECIPES: Final[Mapping[str, Recipe]] = {
    "lp": lp_,
    "signature-input": signature_input,
    "fingerprint": fingerprint,
    "leaf": leaf,
    "relay-link": relay_link,
    "join-link": join_link,
    "card-link": card_link,
    "transcript": transcript,
    "handshake-keys": handshake_keys,
    "classical-ratchet": classical_ratchet,
    "quantum-chains": quantum_chains,
    "header": header,
    "message-key": message_key,
    "authenticator": authenticator,
    "frame": frame_,
    "text": text,
    "owner-proof": owner_proof,
    "token": token_,
    "capability": capability,
    "requests": requests_,
    "answers": answers_,
    "blobs": blobs_,
    "descriptor": descriptor,
    "safety-number": safety_number,
}


def test_each_example_has_one_recipe_and_each_recipe_an_example() -> None:
    assert sorted(block.name for block in blocks()) == sorted(RECIPES)


@pytest.mark.parametrize("block", blocks(), ids=lambda block: block.name)
def test_an_example_says_what_the_code_computes(block: Block) -> None:
    computed = {name: shown(value) for name, value in RECIPES[block.name](block).items()}
    assert computed == block.results


def test_the_header_of_a_real_message_is_the_one_of_section_7_3() -> None:
    """``session.encrypt`` writes the header that the example builds by hand. [R-7.3-1]"""
    keys = handshake.derive(bytes(128), bytes(32), bytes(32))
    spk, kem = DhPublicKey(bytes([9]).ljust(32, b"\x00")), KemPrivateKey(bytes(64))
    started = session.start_initiator(keys, spk, kem)
    _, message = session.encrypt(started, 1, b"x", randomness=primitives.SystemRandomness())
    nonce, sealed = message[:12], message[12:82]
    plain = primitives.aead_open(keys.hk_a, nonce, sealed, keys.transcript)
    assert plain is not None
    assert plain[:2] + plain[34:] == u8(1) + u8(0) + u32(0) + u32(0) + u32(1) + u32(0) + u32(0)


def test_a_sealed_message_opens_by_section_3_1_without_the_library() -> None:
    """HPKE base mode with X-Wing, written out here from the numbers in SPEC.md. [R-6.3-1]"""
    randomness = primitives.SystemRandomness()
    key, info, plaintext = SealPrivateKey.generate(randomness), labels.SEAL + bytes(32), b"a first message"
    sealed = randomness.seal(key.public.handle, info, plaintext)
    suite = b"HPKE" + u16(0x647A) + u16(1) + u16(3)

    def extract(salt: bytes, label: bytes, ikm: bytes) -> bytes:
        return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + ikm, "sha256")

    def expand(secret: bytes, label: bytes, context: bytes, length: int) -> bytes:
        return hmac.digest(secret, u16(length) + b"HPKE-v1" + suite + label + context + b"\x01", "sha256")[:length]

    kem_ciphertext, ephemeral, body = sealed[:1_088], sealed[1_088:1_120], sealed[1_120:]
    shared = key.kem.decapsulate(kem_ciphertext) + primitives.x25519(key.dh.raw, ephemeral)
    combined = hashlib.sha3_256(shared + ephemeral + key.dh.public.raw + bytes.fromhex("5c2e2f2f5e5c")).digest()
    context = b"\x00" + extract(b"", b"psk_id_hash", b"") + extract(b"", b"info_hash", info)
    secret = extract(combined, b"secret", b"")
    opened = primitives.aead_open(
        expand(secret, b"key", context, 32), expand(secret, b"base_nonce", context, 12), body, b""
    )
    assert opened == plaintext
