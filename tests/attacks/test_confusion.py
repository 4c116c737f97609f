"""Attacks by confusion: one thing passed off as another, a weaker version for a stronger one."""

from __future__ import annotations

import ast
import base64
import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import troth_protocol
from simulator import HEADER, NOW, TEXT, Seeded, accept, craft, first_flight, open_sessions, person
from troth_protocol import card, envelope, frame, keys, labels, ledger, manifest, ownership, prekeys, session, token
from troth_protocol.encoding import lp, sha256, u16
from troth_protocol.errors import BadLink, BadSignature, DecodeError, Mismatch, PeerError, SessionError, UnknownHeader
from troth_protocol.frame import Frame
from troth_protocol.primitives import SEAL_OVERHEAD

ALICE, BOB, EVE = person("alice"), person("bob"), person("eve")
SOURCE = Seeded("confusion")
PACKAGE = Path(troth_protocol.__file__).parent


def calls(name: str) -> Iterator[tuple[str, ast.Call]]:
    """Every call of a method or function of this name in the package, with its file."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = node.func
                if (called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")) == name:
                    yield path.name, node


def label_uses() -> Iterator[tuple[str, str]]:
    """Every mention of a label outside the registry, with the function it stands in."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(function, ast.FunctionDef):
                for node in ast.walk(function):
                    if (
                        isinstance(node, ast.Attribute)
                        and isinstance(node.value, ast.Name)
                        and node.value.id == "labels"
                    ):
                        yield node.attr, f"{path.name}:{function.name}"


def test_a03_one_signed_thing_for_another() -> None:
    """A-03 (Bhargavan et al. F3): every pair of purposes, and every length, differs in what is signed. [R-3.3-1]"""
    for made, asked in itertools.permutations(labels.SIGN_PURPOSES, 2):
        signature = EVE.root.sign(made, b"body", SOURCE)
        with pytest.raises(BadSignature):
            EVE.root.public.verify(asked, b"body", signature, "thing")
    one = keys.signed_bytes(b"manifest", bytes(32), b"ab")
    assert one != keys.signed_bytes(b"manifest", bytes(32), b"a") + b"b"
    body = EVE.statement.raw[: prekeys.STATEMENT_BODY_SIZE]
    as_manifest = EVE.signing.sign(b"manifest", body, SOURCE)
    with pytest.raises(BadSignature):
        prekeys.parse_statement(body + as_manifest, EVE.fingerprint, EVE.device)
    raw = EVE.manifest.raw[: -keys.SIGNATURE_SIZE]
    with pytest.raises(BadSignature):
        manifest.parse(raw + EVE.root.sign(b"prekeys", raw, SOURCE), EVE.root.public)


def test_a03_one_prekey_for_another() -> None:
    """A-03: the place of a key in the statement and the type byte of a leaf are signed. [R-4.3-1] [R-4.4-1]"""
    statement = BOB.statement
    body = statement.raw[: prekeys.STATEMENT_BODY_SIZE]
    swapped = body[:98] + body[98 + 1_184 : 98 + 2_368] + body[98:1_282] + body[2_466:]
    assert len(swapped) == len(body)
    with pytest.raises(BadSignature):
        prekeys.parse_statement(swapped + statement.raw[len(body) :], BOB.fingerprint, BOB.device)
    leaf = BOB.leaves[0]
    for dh, kem in ((statement.spk.raw, leaf[33:1_217]), (leaf[1:33], statement.pqspk.raw)):
        with pytest.raises(Mismatch):
            prekeys.open_leaf(leaf[:1] + dh + kem + leaf[1_217:], statement.root)
    assert prekeys.LEAF_TYPE == 1


def test_a15_suite_stripped_or_changed() -> None:
    """A-15 (SPQR version 0, Olm versions 1 and 2): there is one suite, signed and hashed everywhere. [R-2-5]"""
    for suite in (0, 2, 0xFFFF):
        body = u16(suite) + EVE.manifest.raw[2 : -keys.SIGNATURE_SIZE]
        with pytest.raises(DecodeError, match="manifest suite"):
            manifest.parse(body + EVE.root.sign(b"manifest", body, SOURCE), EVE.root.public)
        body = u16(suite) + EVE.statement.raw[2 : prekeys.STATEMENT_BODY_SIZE]
        with pytest.raises(DecodeError, match="prekey suite"):
            prekeys.parse_statement(body + EVE.signing.sign(b"prekeys", body, SOURCE), EVE.fingerprint, EVE.device)
        empty = ledger.Ledger(EVE.root.public.fingerprint(labels.OPERATOR))
        body = (
            u16(suite)
            + ledger.sign(EVE.root, empty, ledger.Kind.NOTICE, b"", NOW, NOW, SOURCE)[2 : -keys.SIGNATURE_SIZE]
        )
        with pytest.raises(DecodeError, match="ledger suite"):
            empty.extend(body + EVE.root.sign(b"ledger", body, SOURCE), EVE.root.public)
        body = u16(suite) + ALICE.card.relay.encode()
        checked = body + sha256(labels.LINK_CHECKSUM, body)[:4]
        with pytest.raises(BadLink, match="another version"):
            card.RelayAddress.from_link("troth-relay:" + base64.urlsafe_b64encode(checked).rstrip(b"=").decode())


def test_a15_version_flags_and_mode_of_messages() -> None:
    """A-15: every value of the version and flag bytes but the one. [R-7.3-2] [R-6.2-2]"""
    alice, bob = open_sessions("version")
    padded = frame.encode(Frame(TEXT, b"x"))
    assert HEADER.size == 54
    for version, flags in [
        *((value, 0) for value in range(256) if value != 1),
        *((1, value) for value in range(1, 256)),
    ]:
        with pytest.raises(SessionError, match="header version"):
            session.decrypt(bob, craft(alice, SOURCE, padded, version=version, flags=flags), now=NOW)
    flight = first_flight(ALICE, BOB, SOURCE)
    plain = flight.prefix.encode() + lp(flight.message)
    for at, values in ((0, (1,)), (1, (0, 2, 255)), (2, (0, 2, 255))):
        for value in values:
            changed = plain[:at] + bytes([value]) + plain[at + 1 :]
            padded = changed.ljust(16_514 - SEAL_OVERHEAD, b"\x00")
            sealed = SOURCE.seal(BOB.statement.seal.handle, labels.SEAL + BOB.statement.hash, padded)
            with pytest.raises((DecodeError, UnknownHeader)):
                accept(BOB, sealed)


def test_a17_each_purpose_is_signed_once_and_verified_once() -> None:
    """A-17 (Threema, 2023): no signature or MAC of one part is of use in another. [R-3.3-1]"""
    signed = Counter(
        ast.unparse(call.args[0])
        for name, call in calls("sign")
        if name != "keys.py" and call.args and ast.unparse(call.args[0]).startswith("labels.")
    )
    verified = Counter(
        ast.unparse(call.args[0])
        for _, call in calls("verify")
        if call.args and ast.unparse(call.args[0]).startswith("labels.")
    )
    expected = {"labels.SIGN_MANIFEST", "labels.SIGN_PREKEYS", "labels.SIGN_LEDGER"}
    assert set(signed) == set(verified) == expected
    assert set(signed.values()) == set(verified.values()) == {1}


def test_a17_relay_secrets_are_no_account_keys() -> None:
    """A-17: what authenticates to a relay is a random secret, and its proof is no token and no capability."""
    secret, mailbox = SOURCE.draw(32), SOURCE.draw(32)
    proof = ownership.prove(secret, mailbox, *(bytes(32),) * 4)
    kept = {ownership.stored(secret), token.capability_hash(secret), token.mailbox_hash(secret)}
    assert len(kept) == 3
    epochs = (token.MailboxEpoch(secret, NOW + 1),)
    assert not token.valid(epochs, mailbox, proof, NOW)


def test_a18_replay_of_an_owners_proof() -> None:
    """A-18 (Threema, 2023): a proof is bound to both nonces, the relay and the TLS key. [R-10.1-4]"""
    secret, mailbox, client, server, relay, tls = (SOURCE.draw(32) for _ in range(6))
    proof = ownership.prove(secret, mailbox, client, server, relay, tls)
    kept = ownership.stored(secret)
    assert ownership.verify(kept, proof, mailbox, client, server, relay, tls)
    assert not ownership.verify(kept, proof, mailbox, client, SOURCE.draw(32), relay, tls)  # another connection
    assert not ownership.verify(kept, proof, mailbox, client, server, SOURCE.draw(32), tls)  # another relay
    assert not ownership.verify(kept, proof, mailbox, client, server, relay, SOURCE.draw(32))  # a relay between


def test_a40_each_label_has_one_use() -> None:
    """A-40: unique and prefix-free (tests/protocol/test_labels.py), and used in one place or in its pair. [R-3.3-1]"""
    uses: dict[str, set[str]] = {}
    for name, place in label_uses():
        uses.setdefault(name, set()).add(place)
    pairs = {
        "ACCOUNT": {"keys.py:fingerprint", "card.py:open_bundle"},
        "SEAL": {"envelope.py:seal", "envelope.py:unseal"},
        "LINK_CHECKSUM": {"address.py:to_link", "address.py:from_link", "route_link.py:_checksum"},
        "OPERATOR": {"ledger.py:parse"},
        "SIGN_MANIFEST": {"manifest.py:create", "manifest.py:parse"},
        "SIGN_PREKEYS": {"prekeys.py:sign_statement", "prekeys.py:parse_statement"},
        "SIGN_LEDGER": {"ledger.py:sign", "ledger.py:parse"},
    }
    for name, places in uses.items():
        assert places == pairs.get(name, places), name
        assert name in pairs or len(places) == 1, (name, places)
    written = {value for name, value in vars(labels).items() if name.isupper() and isinstance(value, bytes)}
    used = {getattr(labels, name) for name in uses}
    assert written - used <= {labels.VAULT_KEY, labels.SIGNATURE, labels.ROW_SEAL, labels.BACKUP}


def test_a60_a_relay_adds_a_device() -> None:
    """A-60 (OMEMO): devices come from the signed manifest and from nowhere else. [R-4.2-2]"""
    body = EVE.manifest.raw[: -keys.SIGNATURE_SIZE]
    grown = body[:90] + b"\x02" + body[91:] + ALICE.device.encode()
    for signature in (EVE.manifest.raw[-keys.SIGNATURE_SIZE :], ALICE.root.sign(b"manifest", grown, SOURCE)):
        with pytest.raises(BadSignature):
            manifest.parse(grown + signature, EVE.root.public)
    statement = EVE.statement
    with pytest.raises(PeerError):
        prekeys.parse_statement(statement.raw, EVE.fingerprint, ALICE.device)
    other = envelope.unseal(first_flight(ALICE, BOB, SOURCE).sealed, [(BOB.secrets.seal, BOB.statement.hash)]).prefix
    with pytest.raises(Mismatch):
        BOB.manifest.device(other.device_a)
