"""Operations of SPEC.md sections 6.1 to 6.4: the handshake and the first message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from troth_protocol import envelope, handshake, session
from troth_protocol.encoding import sha256
from troth_protocol.errors import Mismatch
from troth_protocol.handshake import Mode, Opening, Party, Secrets
from troth_protocol.keys import DhPrivateKey, DhPublicKey, KemPrivateKey, KemPublicKey, SealPrivateKey, SealPublicKey
from troth_protocol.prekeys import BATCH, Leaf, OneTimeSecret, PrekeySecrets, PrekeyStatement

from .inside import address_shown, frame_shown
from .value import Given, Operation, Replayed, Results


def party(given: Given) -> Party:
    """A device as the transcript names it."""
    identity, kem = DhPublicKey(given.raw("identity")), KemPublicKey(given.raw("kem_identity"))
    return Party(given.raw("fingerprint"), given.raw("device_id"), given.raw("manifest_hash"), identity, kem)


def secrets_shown(secrets: Secrets) -> Results:
    """The six keys and TH."""
    return {
        "TH": secrets.transcript,
        "RK": secrets.root,
        "HK_A": secrets.hk_a,
        "NHK_B": secrets.nhk_b,
        "PQROOT": secrets.pq_root,
        "AUTH": secrets.auth,
        "SID": secrets.sid,
    }


def _derive(given: Given) -> Results:
    dh = b"".join(given.raw(f"DH{number}") for number in range(1, 5))
    return secrets_shown(handshake.derive(dh, given.raw("ss"), given.raw("TH")))


def _offer(given: Given) -> PrekeyStatement:
    """A verified statement, of which the handshake uses SPK, PQSPK and the hash."""
    spk, pqspk = DhPublicKey(given.raw("spk")), KemPublicKey(given.raw("pqspk"))
    seal, none = SealPublicKey(pqspk.raw + spk.raw), bytes(32)
    return PrekeyStatement(none, none[:16], 0, 1, spk, pqspk, seal, none[:16], none, b"", given.raw("statement_hash"))


def _initiate(given: Given) -> Results:
    one_time = given.part("one_time") if given.has("one_time") else None
    leaf = None
    if one_time is not None:
        pair = DhPublicKey(one_time.raw("x25519")), KemPublicKey(one_time.raw("kem"))
        leaf = Leaf(one_time.number("index"), *pair)
    opening, secrets = handshake.initiate(
        party(given.part("A")),
        DhPrivateKey.load(given.raw("identity_private")),
        party(given.part("B")),
        _offer(given),
        leaf,
        Replayed(given.part("random")),
    )
    sent = {"mode": opening.mode, "ephemeral": opening.ephemeral.raw, "ciphertext_hash": sha256(opening.ciphertext)}
    return {**sent, "leaf_index": opening.leaf_index, **secrets_shown(secrets)}


def _prekey_secrets(given: Given) -> PrekeySecrets:
    """The private halves a responder holds; every pair but the one given has been used."""
    spk, pqspk = DhPrivateKey.load(given.raw("spk_private")), KemPrivateKey(given.raw("pqspk_seed"))
    pairs: list[OneTimeSecret | None] = [None] * BATCH
    if given.has("one_time"):
        one_time = given.part("one_time")
        pairs[one_time.number("index")] = OneTimeSecret(one_time.raw("x25519_private"), one_time.raw("kem_seed"))
    return PrekeySecrets(spk, pqspk, SealPrivateKey(pqspk, spk), bytes(16), tuple(pairs))


def _respond(given: Given) -> Results:
    opening = Opening(
        Mode(given.number("mode")),
        DhPublicKey(given.raw("ephemeral")),
        given.raw("ciphertext"),
        given.number("leaf_index"),
    )
    identity, prekeys = DhPrivateKey.load(given.raw("identity_private")), _prekey_secrets(given)
    a, b = party(given.part("A")), party(given.part("B"))
    return secrets_shown(handshake.respond(a, b, identity, prekeys, given.raw("statement_hash"), opening))


def _unseal(given: Given) -> envelope.FirstMessage:
    candidates = [
        (
            SealPrivateKey(KemPrivateKey(one.raw("kem_seed")), DhPrivateKey.load(one.raw("x25519"))),
            one.raw("statement_hash"),
        )
        for one in given.parts("seal_keys")
    ]
    return envelope.unseal(given.raw("sealed"), candidates)


def _open(given: Given) -> Results:
    first = _unseal(given)
    prefix = first.prefix
    return {
        "mode": prefix.opening.mode,
        "device_a": prefix.device_a,
        "device_b": prefix.device_b,
        "ephemeral": prefix.opening.ephemeral.raw,
        "ciphertext_hash": sha256(prefix.opening.ciphertext),
        "manifest_b": prefix.manifest_b,
        "statement_b": prefix.statement_b,
        "leaf_index": prefix.opening.leaf_index,
        "root_key_hash": prefix.root_a.key_hash,
        "manifest_a_hash": sha256(prefix.manifest_a),
        "address": address_shown(prefix.address),
        "message": first.message,
    }


def _accept(given: Given) -> Results:
    first, b, now = _unseal(given), given.part("B"), given.number("now")
    prefix, ours = first.prefix, party(b)
    statement_hash = given.raw("statement_hash")
    if (prefix.device_b, prefix.manifest_b, prefix.statement_b) != (ours.device_id, ours.manifest_hash, statement_hash):
        raise Mismatch("the first message is for other keys than those that opened it")
    manifest, a, stale = envelope.verify_sender(prefix, now)
    prekeys, identity = _prekey_secrets(given), DhPrivateKey.load(given.raw("identity_private"))
    secrets = handshake.respond(a, ours, identity, prekeys, statement_hash, prefix.opening)
    started = session.start_responder(secrets, prekeys.spk, a.kem_identity)
    _, received = session.decrypt(started, first.message, now=now)
    who = {"fingerprint": manifest.fingerprint, "device_a": a.device_id, "stale": stale}
    return {**who, "SID": secrets.sid, "frame": frame_shown(received)}


OPERATIONS: Final[Mapping[str, Operation]] = {
    "handshake.derive": _derive,
    "handshake.initiate": _initiate,
    "handshake.respond": _respond,
    "first.open": _open,
    "first.accept": _accept,
}
