"""The long conversation of the test vectors, followed key by key with what SPEC.md sections 7 and 8 say.

Written out from the document: HKDF and HMAC from the standard library, none of ``chain``, ``ratchet`` or ``session``.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import struct
from pathlib import Path
from typing import Any, Final

from troth_protocol import primitives
from troth_protocol.keys import KemPrivateKey

VECTOR: Final = Path(__file__).parent / "vectors" / "07-ratchets" / "conversation.json"


def hkdf(salt: bytes, ikm: bytes, info: bytes, length: int) -> list[bytes]:
    """RFC 5869, cut into pieces of 32 bytes."""
    key, blocks, block = hmac.digest(salt, ikm, "sha256"), b"", b""
    for counter in range(1, length // 32 + 1):
        block = hmac.digest(key, block + info + bytes([counter]), "sha256")
        blocks += block
    return [blocks[at : at + 32] for at in range(0, length, 32)]


def h(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def test_each_key_of_the_conversation_follows_from_the_specification() -> None:  # [R-7.1-3] [R-7.2-3] [R-7.4-1]
    vector: dict[str, Any] = json.loads(VECTOR.read_text("utf-8"))
    start = {name: bytes.fromhex(value) for name, value in vector["input"]["session"].items()}
    root, th = start["RK"], start["TH"]
    next_header = {"A": start["HK_A"], "B": start["NHK_B"]}
    pq_root, *first = hkdf(bytes(32), start["PQROOT"], b"troth/1 pq start", 96)
    chains = {("A", 0): first[0], ("B", 0): first[1]}
    indices, public = dict.fromkeys(chains, 0), primitives.x25519_public(start["spk_private"])
    ek, epoch = KemPrivateKey(start["kik_seed"]).public_raw, 0
    seen = 0
    steps = zip(vector["input"]["steps"], vector["intermediate"]["steps"], vector["expect"]["ok"]["steps"], strict=True)
    for step, keys, result in steps:
        if step["do"] == "receive":
            continue
        by, draw, head = step["by"], bytes.fromhex(step["random"]["draw"]), bytes.fromhex(result["head"])
        root, ck, following = hkdf(root, primitives.x25519(draw[:32], public), b"troth/1 dr root", 96)
        header_key, next_header[by], public = next_header[by], following, primitives.x25519_public(draw[:32])
        if len(draw) >= 32 + 64 + 12:
            ek = KemPrivateKey(draw[32:96]).public_raw
        for encapsulated in step["random"].get("encapsulate", ()):
            epoch += 1
            ss, ct = bytes.fromhex(encapsulated["secret"]), bytes.fromhex(encapsulated["ciphertext"])
            info = b"troth/1 pq epoch" + struct.pack(">I", epoch) + h(ek) + h(ct)
            pq_root, chains["A", epoch], chains["B", epoch] = hkdf(pq_root, ss, info, 96)
            indices |= {("A", epoch): 0, ("B", epoch): 0}
        plain = primitives.aead_open(header_key, head[:12], head[12:82], th)
        assert plain is not None
        _, _, dh, _, n, tag, i, _ = struct.unpack(">BB32sIIIII", plain)
        place = (by, tag - 1)
        mk_pq = hmac.digest(chains[place], b"troth/1 pq mk", "sha256")
        chains[place] = hmac.digest(chains[place], b"troth/1 pq ck", "sha256")
        mk_dr = hmac.digest(ck, b"troth/1 dr mk", "sha256")
        assert (dh, n, i) == (public, 0, indices[place])
        indices[place] += 1
        assert hkdf(mk_pq, mk_dr, b"troth/1 msg" + h(th, head[:82]), 64)[1] == head[82:]
        assert (keys["CK"], keys["mk_dr"], keys["mk_pq"]) == (ck.hex(), mk_dr.hex(), mk_pq.hex())
        assert (keys["RK"], keys["HK"], keys["tag"]) == (root.hex(), header_key.hex(), tag)
        seen += 1
    assert seen == 32
    assert epoch >= 3
