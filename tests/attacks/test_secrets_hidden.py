"""What a log, a traceback or a debugger's line could show of a secret; and how secrets are compared."""

from __future__ import annotations

import ast
import base64
import dataclasses
import hmac
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

import troth_protocol
from simulator import NOW, TEXT, Seeded, accept, craft, first_flight, open_sessions, person, ping_pong
from troth_protocol import (
    card,
    envelope,
    frame,
    handshake,
    keys,
    manifest,
    prekeys,
    primitives,
    session,
    snapshot,
    token,
)
from troth_protocol.content import Addressed, Profile, Text
from troth_protocol.errors import TrothError
from troth_protocol.frame import Frame, Symbols, Tokens
from troth_protocol.pairing import Held, Pair
from troth_protocol.wire import Via, answers, requests

ALICE, BOB = person("alice"), person("bob")
SOURCE = Seeded("hidden")
FLIGHT = first_flight(ALICE, BOB, SOURCE)
A_SESSION, B_SESSION = ping_pong(open_sessions("hidden"), 9, SOURCE)
TREE: Final = [
    (path.name, ast.parse(path.read_text(encoding="utf-8")))
    for path in sorted(Path(troth_protocol.__file__).parent.rglob("*.py"))
]


def secrets_in(value: object, depth: int = 0) -> Iterator[bytes]:
    """Every byte string of 12 bytes or more inside a value."""
    if isinstance(value, bytes):
        if len(value) >= 12:
            yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from secrets_in(item, depth + 1)
    elif isinstance(value, tuple):
        for item in value:
            yield from secrets_in(item, depth + 1)
    elif dataclasses.is_dataclass(value) and depth < 9:
        for field in dataclasses.fields(value):
            yield from secrets_in(getattr(value, field.name), depth + 1)


def shows(text: str, secret: bytes) -> bool:
    """Whether eight bytes of a secret can be read off a text, in any usual spelling."""
    for at in range(0, len(secret) - 7, 8):
        part = secret[at : at + 8]
        if part.count(part[0]) == 8:
            continue
        spelled = (repr(part)[2:-1], part.hex(), base64.b64encode(part).decode()[:-2], str(list(part))[1:-1])
        if any(one in text for one in spelled):
            return True
    return False


SAMPLES: Final[list[object]] = [
    ALICE.root, ALICE.signing, ALICE.identity, ALICE.kem_identity, BOB.secrets, BOB.secrets.seal,
    BOB.secrets.one_time[0], keys.SealPrivateKey.generate(SOURCE), FLIGHT.secrets, FLIGHT.prefix, FLIGHT.session,
    FLIGHT.prefix.opening, FLIGHT.prefix.address, FLIGHT.prefix.address.tokens,
    envelope.FirstMessage(FLIGHT.prefix, FLIGHT.message),
    A_SESSION, A_SESSION.ratchet, A_SESSION.ratchet.sending, A_SESSION.ratchet.receiving, B_SESSION.ratchet.sending,
    A_SESSION.chains, A_SESSION.chains.sending, A_SESSION.chains.receiving, A_SESSION.exchange,
    A_SESSION.exchange.state, B_SESSION.exchange.state, Pair(Held(A_SESSION, own=True), Held(B_SESSION, own=False)),
    Frame(TEXT, b"secret words indeed"), Tokens(1, (SOURCE.draw(32),)), Symbols(frame.Kind.KEY, 0, SOURCE.draw(64)),
    token.MailboxEpoch(SOURCE.draw(32), 1), ALICE.card, ALICE.card.relay,
    Text(SOURCE.draw(16), 0, "secret words indeed"), Addressed(FLIGHT.prefix.address, Profile("secret name")),
    BOB.party, BOB.manifest, BOB.statement, prekeys.OneTimeSecret(SOURCE.draw(32), SOURCE.draw(64)),
    requests.Create(SOURCE.draw(32), SOURCE.draw(32), SOURCE.draw(32), 1, SOURCE.draw(32)),
    requests.Prove(*(SOURCE.draw(32) for _ in range(3))), requests.Rotate(SOURCE.draw(32), 1),
    requests.Publish(SOURCE.draw(32), SOURCE.draw(32), 1, SOURCE.draw(16), SOURCE.draw(64)),
    requests.Unpublish(SOURCE.draw(32)), requests.FetchBundle(SOURCE.draw(32), SOURCE.draw(32)),
    requests.DeliverFirst(SOURCE.draw(32), SOURCE.draw(32), 0, SOURCE.draw(16), SOURCE.draw(64)),
    requests.Deliver(*(SOURCE.draw(32) for _ in range(3))),
    requests.DeliverSpare(SOURCE.draw(32), SOURCE.draw(32), SOURCE.draw(16), SOURCE.draw(64)),
    requests.Spares((SOURCE.draw(32),), (SOURCE.draw(32),)), answers.Bundle(SOURCE.draw(64), (SOURCE.draw(64),)),
    answers.Envelope(1, Via.TOKEN, SOURCE.draw(32), SOURCE.draw(64)),
]  # fmt: skip


def spoilt(raw: bytes) -> bytes:
    """The same with its last bit turned."""
    return raw[:-1] + bytes((raw[-1] ^ 1,))


@pytest.mark.parametrize("value", SAMPLES, ids=lambda value: type(value).__name__)
def test_a74_no_representation_shows_a_secret(value: object) -> None:
    """A-74: repr, str and format of every type that holds keys, tokens, ids or words."""
    held = list(secrets_in(value))
    texts = (repr(value), str(value), f"{value}", f"{[value]}", "%s %r" % (value, value))  # noqa: UP031
    for text in texts:
        assert not any(shows(text, secret) for secret in held)
        assert "secret" not in text
        assert "relay.example" not in text


def test_a74_the_scan_finds_what_is_shown() -> None:
    """A-74: the check above is one that can fail."""
    raw = ALICE.identity.raw
    for text in (repr(raw), raw.hex(), base64.b64encode(raw).decode(), str(list(raw)), f"x{raw.hex()[16:40]}y"):
        assert shows(text, raw)


def failures() -> list[Callable[[], object]]:
    """Ways to make every layer refuse, with secrets all around."""
    padded = frame.encode(Frame(TEXT, b"secret words indeed"))
    message = craft(A_SESSION, SOURCE, padded)
    raw, statement = BOB.manifest.raw, BOB.statement.raw
    used = dataclasses.replace(BOB.secrets, one_time=(None,) * 128)
    opening = FLIGHT.prefix.opening
    return [
        lambda: session.decrypt(B_SESSION, spoilt(message), now=NOW),
        lambda: session.decrypt(B_SESSION, bytes(82) + message[82:], now=NOW),
        lambda: session.decrypt(B_SESSION, craft(A_SESSION, SOURCE, padded, n=9_999), now=NOW),
        lambda: session.decrypt(B_SESSION, craft(A_SESSION, SOURCE, padded, tag=99), now=NOW),
        lambda: session.decrypt(B_SESSION, craft(A_SESSION, SOURCE, padded, version=9), now=NOW),
        lambda: session.decrypt(B_SESSION, craft(A_SESSION, SOURCE, b"\x09" * 1_024), now=NOW),
        lambda: accept(BOB, spoilt(FLIGHT.sealed)),
        lambda: accept(BOB, FLIGHT.sealed, BOB.manifest.expires + 10**8),
        lambda: handshake.respond(ALICE.party, BOB.party, BOB.identity, used, BOB.statement.hash, opening),
        lambda: manifest.parse(spoilt(raw), BOB.root.public),
        lambda: prekeys.parse_statement(spoilt(statement), BOB.fingerprint, BOB.device),
        lambda: prekeys.open_leaf(ALICE.leaves[0], BOB.statement.root),
        lambda: card.open_bundle(BOB.card.key, bytes(32), BOB.fingerprint, BOB.bundle()),
        lambda: card.Card.from_link(BOB.card.link()[:-1] + "_"),
        lambda: card.RelayAddress("Relay.Example", 1, BOB.card.key),
        lambda: keys.DhPublicKey(b"\xff" * 32),
        lambda: snapshot.decode_pair(snapshot.encode_pair(Pair(Held(A_SESSION, own=True)))[:-1]),
        lambda: envelope.ReturnAddress.decode(FLIGHT.prefix.address.encode()[:-1]),
    ]


@pytest.mark.parametrize("number", range(len(failures())))
def test_a74_no_error_carries_a_secret(number: int) -> None:
    """A-74: not its message, not its arguments, not what caused it, not its formatted traceback."""
    held = [secret for sample in SAMPLES for secret in secrets_in(sample)]
    held += [BOB.card.key, BOB.card.lookup, BOB.card.capability, FLIGHT.sealed[:64]]
    with pytest.raises(TrothError) as caught:
        failures()[number]()
    shown: BaseException | None = caught.value
    while shown is not None:
        text = f"{shown!r} {shown} {shown.args} {vars(shown)}" + "".join(traceback.format_exception(shown))
        assert not any(shows(text, secret) for secret in held)
        assert "secret words" not in text
        assert BOB.card.link()[6:40] not in text
        assert "Relay.Example" not in f"{shown!r} {shown}"
        shown = shown.__cause__ or (None if shown.__suppress_context__ else shown.__context__)


GUARDED: Final = {"mac", "commitment", "expected", "proof", "kept", "secret", "shared", "checked_mac"}


def test_a73_macs_and_commitments_are_compared_in_constant_time() -> None:
    """A-73: by primitives.equal or hmac.compare_digest, never by == or !=; the rest of timing is the libraries'."""
    assert primitives.equal is hmac.compare_digest
    for name, tree in TREE:
        for node in ast.walk(tree):
            if isinstance(node, ast.Compare) and any(isinstance(one, ast.Eq | ast.NotEq) for one in node.ops):
                for side in (node.left, *node.comparators):
                    label = side.attr if isinstance(side, ast.Attribute) else getattr(side, "id", "")
                    assert label not in GUARDED or name == "encoding.py", f"{name}:{node.lineno}"


def test_a73_the_three_secret_comparisons_are_there() -> None:
    """A-73: commitment, MAC of a key, MAC of a ciphertext; tokens and proofs in their own files. [R-7.4-2]"""
    calls = [
        (name, ast.unparse(node.args[0]))
        for name, tree in TREE
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("primitives.equal", "hmac.compare_digest")
    ]
    found = {name: sum(1 for other, _ in calls if other == name) for name, _ in calls}
    assert found == {"session.py": 1, "pq_exchange.py": 2, "token.py": 1, "ownership.py": 1, "veil.py": 1}


def test_a73_randomness_comes_from_the_system_alone() -> None:
    """A-73: no module of the protocol imports a generator of its own."""
    for name, tree in TREE:
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
                assert not names & {"random", "secrets", "uuid", "time"}, name
                assert "os" not in names or name == "primitives.py"
