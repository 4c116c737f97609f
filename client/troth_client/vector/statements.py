"""Operations of SPEC.md sections 4 and 5: fingerprints, manifests, prekeys, leaves, links, bundles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from troth_protocol import card, labels, manifest, prekeys
from troth_protocol.card import Card, RelayAddress
from troth_protocol.encoding import sha256
from troth_protocol.keys import DhPublicKey, KemPrivateKey, VerifyKey
from troth_protocol.manifest import Device, History, Manifest

from .value import Given, Operation, Replayed, Results

_BASE_POINT: Final = bytes([9]).ljust(32, b"\x00")


def _fingerprint(given: Given) -> Results:
    key = VerifyKey(given.raw("public_key"))
    return {"account": key.fingerprint(), "operator": key.fingerprint(labels.OPERATOR)}


def manifest_shown(parsed: Manifest) -> Results:
    """The fields of a manifest; keys by their hash."""
    devices = [
        {
            "id": device.id,
            "signing_hash": device.signing.key_hash,
            "identity": device.identity.raw,
            "kem_identity_hash": sha256(device.kem_identity.raw),
            "capabilities": device.capabilities,
        }
        for device in parsed.devices
    ]
    return {
        "fingerprint": parsed.fingerprint,
        "version": str(parsed.version),
        "previous": parsed.previous,
        "issued": str(parsed.issued),
        "expires": str(parsed.expires),
        "devices": devices,
        "hash": parsed.hash,
    }


def _manifest(given: Given) -> Results:
    parsed = manifest.parse(given.raw("manifest"), VerifyKey(given.raw("root_key")))
    if given.has("now"):
        parsed.check_time(given.number("now"), given.number("grace") if given.has("grace") else 0)
    return manifest_shown(parsed)


def _manifest_time(given: Given) -> Results:
    issued, expires = given.number("issued"), given.number("expires")
    timed = Manifest(bytes(32), 1, bytes(32), issued, expires, (), b"", bytes(32))
    now = given.number("now")
    timed.check_time(now, given.number("grace"))
    return {"stale": now >= expires}


def _history(given: Given) -> Results:
    known = {entry.number("version"): entry.raw("hash") for entry in given.parts("known")}
    version, previous, digest = given.number("version"), given.raw("previous"), given.raw("hash")
    met = Manifest(bytes(32), version, previous, 0, 1, (), b"", digest)
    history = History(known)
    grown = history.check_queued(met) if given.flag("queued") else history.check_served(met)
    return {"pin": str(grown.pin), "known": [str(number) for number in sorted(grown.known)]}


def _device(given: Given) -> Device:
    """Only the id and the signing key of a device matter to its prekeys."""
    signing = VerifyKey(given.raw("signing_key"))
    return Device(given.raw("device_id"), signing, DhPublicKey(_BASE_POINT), KemPrivateKey(bytes(64)).public)


def statement_shown(parsed: prekeys.PrekeyStatement) -> Results:
    """The fields of a statement; the large keys by their hash."""
    return {
        "issued": str(parsed.issued),
        "expires": str(parsed.expires),
        "spk": parsed.spk.raw,
        "pqspk_hash": sha256(parsed.pqspk.raw),
        "seal_hash": sha256(parsed.seal.raw),
        "batch": parsed.batch,
        "batch_root": parsed.root,
        "hash": parsed.hash,
    }


def _statement(given: Given) -> Results:
    parsed = prekeys.parse_statement(given.raw("statement"), given.raw("fingerprint"), _device(given))
    if given.has("now"):
        parsed.check_time(given.number("now"))
    return statement_shown(parsed)


def _leaf_hash(given: Given) -> Results:
    digest = prekeys.leaf_hash(given.number("index"), given.raw("x25519"), given.raw("kem"))
    return {"leaf_hash": digest}


def _leaf(given: Given) -> Results:
    leaf = prekeys.open_leaf(given.raw("leaf"), given.raw("batch_root"))
    return {"index": leaf.index, "x25519": leaf.dh.raw, "kem_hash": sha256(leaf.kem.raw)}


def _address(given: Given) -> RelayAddress:
    return RelayAddress(given.text("host"), given.number("port"), given.raw("relay"))


def _address_shown(address: RelayAddress) -> dict[str, object]:
    return {"host": address.host, "port": address.port, "relay": address.fingerprint}


def _relay_link(given: Given) -> Results:
    return {"link": _address(given).link()}


def _relay_read(given: Given) -> Results:
    return _address_shown(RelayAddress.from_link(given.text("link")))


def _card_link(given: Given) -> Results:
    parts = (given.raw(name) for name in ("lookup", "card_key", "fingerprint", "capability"))
    return {"link": Card(_address(given), *parts).link()}


def _card_read(given: Given) -> Results:
    read = Card.from_link(given.text("link"))
    return {
        **_address_shown(read.relay),
        "lookup": read.lookup,
        "card_key": read.key,
        "fingerprint": read.fingerprint,
        "capability": read.capability,
    }


def _bundle_seal(given: Given) -> Results:
    entries = tuple((entry.raw("mailbox"), entry.raw("statement")) for entry in given.parts("entries"))
    root = VerifyKey(given.raw("root_key"))
    sealed = card.seal_bundle(
        given.raw("card_key"), given.raw("lookup"), root, given.raw("manifest"), entries, Replayed(given.part("random"))
    )
    return {"size": len(sealed), "hash": sha256(sealed)}


def _bundle_open(given: Given) -> Results:
    card_key, lookup = given.raw("card_key"), given.raw("lookup")
    opened = card.open_bundle(card_key, lookup, given.raw("fingerprint"), given.raw("bundle"))
    return {
        "root_key_hash": opened.root.key_hash,
        "manifest_hash": opened.manifest.hash,
        "entries": [{"mailbox": one.mailbox, "statement_hash": one.statement.hash} for one in opened.entries],
    }


OPERATIONS: Final[Mapping[str, Operation]] = {
    "identity.fingerprint": _fingerprint,
    "manifest.parse": _manifest,
    "manifest.time": _manifest_time,
    "manifest.history": _history,
    "statement.parse": _statement,
    "leaf.hash": _leaf_hash,
    "leaf.open": _leaf,
    "link.relay": _relay_link,
    "link.relay-read": _relay_read,
    "link.card": _card_link,
    "link.card-read": _card_read,
    "bundle.seal": _bundle_seal,
    "bundle.open": _bundle_open,
}
