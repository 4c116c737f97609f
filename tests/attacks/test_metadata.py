"""What lengths, ids and compression could tell a relay."""

from __future__ import annotations

import ast
import itertools
import random
from pathlib import Path

import pytest

from simulator import NOW, Seeded, open_sessions, person
from troth_protocol import content, frame, session, wire
from troth_protocol.content import ContentType, Profile, Text, TopUp
from troth_protocol.frame import Tokens
from troth_protocol.wire import requests

ROOT = Path(__file__).parents[2]
PACKAGES = ("protocol/troth_protocol", "server/troth_server", "client/troth_client")
SOURCE = Seeded("metadata")


def sources() -> list[tuple[Path, ast.Module]]:
    """Every module of the three packages."""
    paths = itertools.chain.from_iterable((ROOT / package).rglob("*.py") for package in PACKAGES)
    return [(path, ast.parse(path.read_text(encoding="utf-8"))) for path in paths]


def test_a44_lookup_ids_cannot_be_enumerated() -> None:
    """A-44 (three and a half billion accounts enumerated, 2025): 32 random bytes, and no directory to ask."""
    assert len(person("alice").card.lookup) == wire.ID_SIZE == 32
    assert len({person(name).card.lookup for name in ("alice", "bob", "eve")}) == 3
    asked = {name for name in vars(requests) if name.startswith(("Find", "Search", "List", "Directory"))}
    assert asked == set()
    assert requests.FetchBundle(bytes(32), bytes(32)).body() == bytes(64)  # a lookup id and its capability, no less


@pytest.mark.parametrize("length", [0, 60, 844, 3_916, 16_204])
def test_a45_lengths_do_not_tell_the_phase_of_the_exchange(length: int) -> None:
    """A-45: through every state, with and without tokens, a content of one length has one wire length. [R-9.1-3]"""
    sides, sizes, states = list(open_sessions("phases")), set(), set()
    chance = random.Random(1)
    for turn in range(40):
        side = 1 - turn % 2
        count = chance.randint(0, frame.token_room(length))
        tokens = Tokens(NOW, (bytes(32),) * count) if count else frame.NO_TOKENS
        sides[side], message = session.encrypt(
            sides[side], 1, bytes(length), randomness=SOURCE, tokens=tokens, stock=chance.randint(0, 300)
        )
        states.add(type(sides[side].exchange.state))
        sizes.add(len(message))
        sides[1 - side], received = session.decrypt(sides[1 - side], message, now=NOW)
        assert received.tokens == tokens
    assert sizes == {frame.bucket_for(length) + session.WIRE_OVERHEAD}
    assert len(states) >= 3


def test_a45_lengths_do_not_tell_the_type() -> None:
    """A-45: short contents of all types are 1,154 bytes; nothing is any other length. [R-9.2-2]"""
    alice, _ = open_sessions("types")
    address = person("alice").address(SOURCE)
    short: list[content.Inner] = [Text(bytes(16), 0, "ok"), Profile("Ann"), Profile(""), TopUp()]
    contents = [(int(one.TYPE), one.encode()) for one in short]
    contents += [(int(kind), bytes(20)) for kind in ContentType] + [(0x8001, b"")]
    for kind, raw in contents:
        assert len(session.encrypt(alice, kind, raw, randomness=SOURCE)[1]) == 1_154
    for one in short:
        kind, raw = content.wrap(address, one.TYPE, one.encode())
        assert len(session.encrypt(alice, kind, raw, randomness=SOURCE)[1]) == 4_226
    chance = random.Random(2)
    for _ in range(60):
        text = Text(bytes(16), 0, "x" * chance.randint(1, 16_000))
        assert len(session.encrypt(alice, text.TYPE, text.encode(), randomness=SOURCE)[1]) in wire.ENVELOPE_SIZES


def test_a46_nothing_is_compressed() -> None:
    """A-46 (CRIME; Threema's backups): no package imports a compressor, and WebSockets are told not to."""
    modules = sources()
    assert len(modules) > 20
    for path, tree in modules:
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names = {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names = {(node.module or "").split(".")[0]}
            else:
                continue
            assert not names & {"zlib", "gzip", "lzma", "bz2", "zipfile", "zstandard", "compression", "brotli"}, path


def test_a46_websockets_run_without_compression() -> None:
    """A-46: every call of websockets' connect and serve says compression=None."""
    for path, tree in sources():
        imported = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("websockets")
            for alias in node.names
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if called in imported & {"connect", "serve"} or called.endswith(
                    ("websockets.connect", "websockets.serve")
                ):
                    said = {word.arg: ast.unparse(word.value) for word in node.keywords}
                    assert said.get("compression") == "None", f"{path}:{node.lineno}"
