"""Who may know whom, what a core may never do, and the rules of style that a program can check.

Everything is read from the source with ``ast``; nothing is imported. The tables come first, the checks after them, and
``BROKEN`` holds a sample that each check must refuse.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Final, TypeAlias

import pytest

ROOT: Final = Path(__file__).parents[1]
HOMES: Final = {"troth_protocol": "protocol", "troth_server": "server", "troth_client": "client"}


def words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# The protocol is one line: a module may import those before it and nothing after it.
PROTOCOL: Final = words(
    "errors encoding labels token ownership veil address wire wire.rights wire.blobs wire.requests wire.answers "
    "route_link primitives keys ledger manifest prekeys card chain handshake frame ratchet pq_chains pq_exchange "
    "session envelope writing marks content pairing safety snapshot"
)
STANDARD_ONLY: Final = PROTOCOL[: PROTOCOL.index("primitives")]
"""All that a serving relay loads; these import the standard library and each other."""
CIPHERS: Final = ("nacl", "cryptography")
DOOR: Final = "troth_protocol.primitives"
SERVED: Final = tuple(f"troth_protocol.{name}" for name in STANDARD_ONLY)
RELAY_CORE: Final = tuple(
    f"troth_server.{name}"
    for name in words("limits blob_commands commands effects deposit subscription admission gate allowance")
)


@dataclass(frozen=True)
class May:
    """What a module may import beside the standard library: patterns of our modules, names of libraries.

    ``late`` may be imported inside a function only, so that it is not loaded before it is asked for.
    """

    ours: Sequence[str] = ()
    libraries: Sequence[str] = ()
    late: Sequence[str] = ()


# The first pattern that fits a module decides. A client module without a row of its own is part of the core.
ARROWS: Final[Mapping[str, May]] = {
    "troth_protocol": May(),
    DOOR: May(SERVED, CIPHERS),
    **{
        f"troth_protocol.{name}": May(tuple(f"troth_protocol.{before}" for before in PROTOCOL[:place]))
        for place, name in enumerate(PROTOCOL)
        if f"troth_protocol.{name}" != DOOR
    },
    "troth_server": May(),
    "troth_server.__main__": May(words("troth_server.cli")),
    "troth_server.cli": May(words("troth_protocol.errors troth_server.verbs*")),
    "troth_server.verbs*": May(
        (
            *words("troth_protocol.errors troth_server.config troth_server.ledger_file troth_server.verbs*"),
            *words("troth_server.admission troth_server.files"),
        ),
        late=words("troth_server.* troth_protocol.* segno uvloop"),
    ),
    "troth_server.operator": May(
        (
            *words("troth_protocol.* troth_server.config troth_server.ledger_file troth_server.tls"),
            *words("troth_server.admission troth_server.files"),
        )
    ),
    "troth_server.limits": May(),
    "troth_server.blob_commands": May(),
    "troth_server.commands": May((*SERVED, "troth_server.blob_commands")),
    "troth_server.effects": May(words("troth_server.commands")),
    "troth_server.deposit": May((*SERVED, "troth_server.limits")),
    "troth_server.subscription": May((*SERVED, *words("troth_server.commands troth_server.effects"))),
    "troth_server.gate": May(words("troth_server.limits")),
    "troth_server.allowance": May((*SERVED, *words("troth_server.limits troth_server.gate"))),
    "troth_server.connection": May((*SERVED, *RELAY_CORE)),
    "troth_server.storage*": May(
        (*SERVED, *RELAY_CORE, *words("troth_server.storage* troth_server.shred")), late=words("asyncpg")
    ),
    "troth_server.files": May(words("troth_protocol.errors")),
    "troth_server.shred": May((*SERVED, "troth_server.files")),
    "troth_server.backup*": May(
        (
            *words("troth_protocol.* troth_server.backup* troth_server.shred troth_server.limits"),
            *words("troth_server.storage* troth_server.files"),
        )
    ),
    "troth_server.erasure*": May(
        (*SERVED, *words("troth_server.erasure* troth_server.backup* troth_server.shred troth_server.storage*"))
    ),
    "troth_server.config": May(
        (
            *words("troth_protocol.errors troth_server.limits troth_server.admission troth_server.config_text"),
            "troth_server.config_table",
        )
    ),
    "troth_server.config_table": May(words("troth_protocol.errors")),
    "troth_server.config_text": May(),
    "troth_server.ledger_file": May((*SERVED, "troth_server.files")),
    "troth_server.tls": May(SERVED),
    "troth_server.metrics": May(),
    "troth_server.scrape": May(words("troth_protocol.errors troth_server.metrics")),
    "troth_server.quiet": May(words("troth_protocol.errors")),
    "troth_server.notify": May(words("troth_protocol.errors")),
    "troth_server.admission": May((*SERVED, "troth_server.commands")),
    "troth_server.pages": May(words("troth_server.page_text troth_server.config troth_server.ledger_file")),
    "troth_server.page_text": May(
        (*SERVED, *words("troth_server.config troth_server.ledger_file troth_server.limits troth_server.admission")),
        late=words("segno"),
    ),
    "troth_server.standing": May(
        (
            *SERVED, *words("troth_server.config troth_server.ledger_file troth_server.tls troth_server.admission"),
            "troth_server.pages",
        )
    ),
    "troth_server.probe": May((*SERVED, "troth_server.config")),
    "troth_server.status": May(
        words("troth_server.probe troth_server.standing troth_server.tls troth_server.config troth_server.metrics")
    ),
    "troth_server.doctor": May(
        (*SERVED, *words("troth_server.probe troth_server.standing troth_server.tls troth_server.config"))
    ),
    "troth_server.service": May(
        (
            *SERVED, *words("troth_server.config troth_server.listener troth_server.metrics troth_server.scrape"),
            *words("troth_server.notify troth_server.quiet troth_server.standing troth_server.storage"),
            *words("troth_server.limits troth_server.memory troth_server.tls troth_server.storage.apart"),
        )
    ),
    **{
        f"troth_server.forwarder.{name}": May(("troth_protocol.veil", *words("troth_server.forwarder.limits")))
        for name in words("limits judge places targets decoy")
    },
    "troth_server.forwarder.relays": May(
        (
            *SERVED, *words("troth_protocol.ledger troth_protocol.keys troth_server.ledger_file troth_server.quiet"),
            "troth_server.forwarder.*",
        ),
        words("websockets"),
    ),
    "troth_server.forwarder.settings": May(
        (*SERVED, DOOR, *words("troth_server.tls troth_server.files troth_server.forwarder.*"))
    ),
    "troth_server.forwarder.start": May(
        (
            *SERVED, DOOR, *words("troth_server.quiet troth_server.notify troth_server.scrape"),
            *words("troth_server.ledger_file troth_server.forwarder.*"),
        ),
        late=words("segno uvloop"),
    ),
    "troth_server.forwarder*": May((*SERVED, *words("troth_server.metrics troth_server.forwarder.*"))),
    "troth_server.observer": May(SERVED),
    "troth_server.messages": May(libraries=words("websockets")),
    "troth_server.transports": May(),
    "troth_server.memory": May(),
    "troth_server.guard": May((*SERVED, *RELAY_CORE, "troth_server.quiet"), words("websockets")),
    "troth_server.peer": May(
        (
            *SERVED, *RELAY_CORE, *words("troth_server.guard troth_server.messages troth_server.metrics"),
            "troth_server.transports",
        ),
        words("websockets"),
    ),
    "troth_server.session": May((*SERVED, *RELAY_CORE, *words("troth_server.connection troth_server.peer"))),
    "troth_server.tally": May((*SERVED, *RELAY_CORE, "troth_server.metrics")),
    "troth_server.reception": May(
        (*SERVED, *words("troth_server.metrics troth_server.pages troth_server.peer")), words("websockets")
    ),
    "troth_server.acceptor": May((*SERVED, *RELAY_CORE, "troth_server.metrics"), words("websockets")),
    "troth_server.listener": May(
        (
            *SERVED, *RELAY_CORE, *words("troth_server.connection troth_server.session troth_server.peer"),
            *words("troth_server.storage troth_server.config troth_server.ledger_file troth_server.tls"),
            *words("troth_server.observer troth_server.acceptor troth_server.reception troth_server.tally"),
            *words("troth_server.metrics troth_server.pages troth_server.standing troth_server.quiet"),
        ),
        words("websockets"),
    ),
    "troth_client": May(),
    "troth_client.__main__": May(words("troth_client.cli")),
    "troth_client.cli": May(
        words("troth_protocol.errors troth_client.cli troth_client.steps"),
        late=words("troth_client.verbs troth_client.demo troth_client.vector"),
    ),
    "troth_client.verbs*": May(
        (*SERVED, DOOR, *words("troth_protocol.card troth_protocol.content troth_client.*")),
        late=words("troth_protocol.* troth_client.tui segno uvloop"),
    ),
    "troth_client.demo*": May(
        (
            *words("troth_protocol.* troth_client.* troth_server.listener troth_server.config troth_server.operator"),
            *words("troth_server.storage troth_server.ledger_file troth_server.tls troth_server.observer"),
            *words("troth_server.commands"),
        ),
        late=words("uvloop"),
    ),
    "troth_client.tui*": May(
        (
            *words("troth_protocol.errors troth_protocol.content troth_protocol.card troth_client.tui*"),
            *words("troth_client.driver troth_client.views troth_client.events troth_client.records"),
            *words("troth_client.display troth_client.wording troth_client.preferences troth_client.safety_words"),
            "troth_client.route_views",
        ),
        words("textual rich segno"),
    ),
    "troth_client.driver": May(
        (
            *SERVED, DOOR, *words("troth_protocol.card troth_protocol.ledger troth_client.messenger"),
            *words("troth_client.events troth_client.views troth_client.lanes troth_client.vault* troth_client.doors"),
            *words("troth_client.owner troth_client.records troth_client.routes* troth_client.route_desk"),
            *words("troth_client.submissions troth_client.overview troth_client.outcome troth_client.again"),
            *words("troth_client.pacing troth_client.steady"),
        )
    ),
    "troth_client.again": May(("troth_protocol.errors",)),
    "troth_client.submissions": May((*SERVED, *words("troth_protocol.card troth_client.events troth_client.lanes"))),
    "troth_client.overview": May(
        (
            *words("troth_client.lookalikes troth_client.messenger troth_client.records troth_client.vault.store"),
            "troth_client.views",
        )
    ),
    "troth_client.outcome": May(words("troth_protocol.errors troth_client.events")),
    "troth_client.pacing": May(words("troth_protocol.errors")),
    "troth_client.steady": May(),
    "troth_client.doors": May(
        (
            *SERVED, *words("troth_protocol.card troth_protocol.ledger troth_client.events troth_client.messenger"),
            *words("troth_client.lanes troth_client.records troth_client.routes*"),
        )
    ),
    "troth_client.owner": May((*SERVED, *words("troth_client.events troth_client.lanes"))),
    "troth_client.lanes": May((*SERVED, *words("troth_client.again troth_client.routes*"))),
    "troth_client.route_desk": May(
        (
            *SERVED, DOOR, *words("troth_client.events troth_client.route_book troth_client.route_records"),
            *words("troth_client.route_views troth_client.routes*"),
        )
    ),
    "troth_client.routes*": May(
        (
            *SERVED, *words("troth_client.routes* troth_client.ranking troth_client.route_records"),
            "troth_client.route_views",
        ),
        words("websockets"),
    ),
    "troth_client.vault*": May(
        (
            *SERVED, DOOR, *words("troth_protocol.snapshot troth_protocol.writing troth_client.vault*"),
            *words("troth_client.events troth_client.views"),
        ),
        words("apsw"),
    ),
    "troth_client.vector*": May(words("troth_protocol.* troth_client.vector*")),
    "troth_client.views": May(words("troth_client.events troth_client.records")),
    "troth_client.display": May(),
    "troth_client.safety_words": May(),
    "troth_client.steps": May(),
    "troth_client.preferences": May(words("troth_protocol.errors")),
    "troth_client.wording": May(
        (
            *words("troth_protocol.errors troth_client.display troth_client.events troth_client.records"),
            *words("troth_client.steps troth_client.views"),
        )
    ),
    "troth_client.plain*": May(
        (
            *words("troth_protocol.errors troth_protocol.card troth_client.views troth_client.events"),
            *words("troth_client.records troth_client.display troth_client.wording troth_client.safety_words"),
            "troth_client.plain*",
        )
    ),
    "troth_client.*": May(
        (
            "troth_protocol.*",
            *words("troth_client.events troth_client.records troth_client.journal troth_client.messenger"),
            *words("troth_client.account troth_client.contacts troth_client.intake troth_client.outbox"),
            *words("troth_client.wishes troth_client.terms troth_client.views troth_client.chats troth_client.texts"),
            *words("troth_client.marks troth_client.fading troth_client.refusals troth_client.blocking"),
            "troth_client.route_records",
        )
    ),
}  # fmt: skip

FORWARDER_CORE: Final = tuple(f"troth_server.forwarder.{name}" for name in words("limits judge places targets decoy"))
CORES: Final = ("troth_protocol.*", *RELAY_CORE, *FORWARDER_CORE, "troth_server.connection")
"""...and each client module that has no row of its own."""
CORE_REFUSES: Final = words("asyncio time random secrets socket ssl threading subprocess sqlite3 select")
WAY_OUT: Final = "troth_client.routes.dial"
OPENS: Final = re.compile(
    r"connect|_NoRedirects|(.*\.)?(socket\.socket|create_connection|create_datagram_endpoint|open_connection|getaddrinfo"
    r"|gethostbyname|getfqdn|urlopen|sock_connect)"
)
CORE_CALLS: Final = re.compile(r"(.*\.)?open|input|print|os\.urandom|(datetime\.)?(datetime|date)\.(now|utcnow|today)")
EXCUSED: Final = {DOOR: {"os.urandom"}}
"""The one production randomness."""
ASYNC: Final = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)

LINES: Final = 300
CORE_LINES: Final = 400
NAMELESS: Final = words("util utils helper helpers manager managers base common misc")
MARKERS: Final = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
WEAKENING: Final = re.compile(
    r"--?[a-z-]*(insecure|plain-?text|unencrypted|trust-?all|(no|skip|disable)-?(encrypt|verif|tls|pin|check))[a-z-]*"
)


@dataclass(frozen=True)
class Module:
    """One source file."""

    name: str
    text: str
    is_package: bool = False


@cache
def parse(text: str) -> ast.Module:
    return ast.parse(text)


@cache
def modules() -> tuple[Module, ...]:
    found = []
    for package, home in HOMES.items():
        for path in sorted((ROOT / home / package).rglob("*.py")):
            parts = path.relative_to(ROOT / home).with_suffix("").parts
            is_package = parts[-1] == "__init__"
            found.append(Module(".".join(parts[:-1] if is_package else parts), path.read_text("utf-8"), is_package))
    return tuple(found)


@cache
def names() -> frozenset[str]:
    return frozenset(module.name for module in modules())


def imports(module: Module) -> Iterator[tuple[str, bool]]:
    """What a module imports, and whether only inside a function."""
    tree = parse(module.text)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    late = {id(inner) for function in functions for inner in ast.walk(function)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in late) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = module.name.split(".")
            up = node.level - module.is_package
            home = parts[: len(parts) - up] if node.level else []
            base = ".".join([*home, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield inner if inner in names() else base, id(node) in late


def row(name: str) -> str:
    """The row of ARROWS that speaks for a module, or the empty string."""
    return next((pattern for pattern in ARROWS if fnmatchcase(name, pattern)), "")


def is_core(name: str) -> bool:
    return row(name) == "troth_client.*" or any(fnmatchcase(name, pattern) for pattern in CORES)


# Checks: each takes a module and says what is wrong with it.


def arrows(module: Module) -> Iterator[str]:
    may = ARROWS.get(row(module.name))
    if may is None:
        yield "has no row in ARROWS: say what it may import"
        return
    for name, late in imports(module):
        root = name.partition(".")[0]
        if root in sys.stdlib_module_names or name == module.name:
            continue
        allowed = (*may.ours, *may.libraries, *(may.late if late else ()))
        if not any(fnmatchcase(name if root in HOMES else root, pattern) for pattern in allowed):
            yield f"imports {name}" + ("" if late else " with the file")


def one_door(module: Module) -> Iterator[str]:
    if module.name != DOOR:
        yield from (f"imports {name}" for name, _ in imports(module) if name.partition(".")[0] in CIPHERS)


def one_way_out(module: Module) -> Iterator[str]:
    """The client opens connections and resolves names in one place, which proxies-only can close. [R-19.1-2]"""
    if not module.name.startswith("troth_client") or module.name == WAY_OUT:
        return
    for node in ast.walk(parse(module.text)):
        if not isinstance(node, ast.Call) or any(keyword.arg == "sock" for keyword in node.keywords):
            continue
        if OPENS.fullmatch(ast.unparse(node.func)):
            yield f"line {node.lineno}: {ast.unparse(node.func)}()"


def core_is_pure(module: Module) -> Iterator[str]:
    if not is_core(module.name):
        return
    yield from (f"imports {name}" for name, _ in imports(module) if name.partition(".")[0] in CORE_REFUSES)
    for node in ast.walk(parse(module.text)):
        if isinstance(node, ASYNC):
            yield f"line {node.lineno}: {type(node).__name__}"
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if CORE_CALLS.fullmatch(called) and called not in EXCUSED.get(module.name, set()):
                yield f"line {node.lineno}: {called}()"


def short(module: Module) -> Iterator[str]:
    lines, most = len(module.text.splitlines()), CORE_LINES if is_core(module.name) else LINES
    if lines > most:
        yield f"{lines} lines; {most} is the limit"


def says_what_it_is(module: Module) -> Iterator[str]:
    if module.name.rpartition(".")[2].strip("_") in NAMELESS:
        yield "a name that says nothing"
    if ast.get_docstring(parse(module.text)) is None:
        yield "no docstring that gives its law"


def no_any(module: Module) -> Iterator[str]:
    for node in ast.walk(parse(module.text)):
        if isinstance(node, ast.Name | ast.Attribute) and "Any" in {getattr(node, "id", ""), getattr(node, "attr", "")}:
            yield f"line {node.lineno}: Any"


def nothing_left_over(module: Module) -> Iterator[str]:
    yield from (f"a note to do later: {found[0]}" for found in MARKERS.finditer(module.text))


def nothing_weakens(module: Module) -> Iterator[str]:
    for node in ast.walk(parse(module.text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and WEAKENING.fullmatch(node.value):
            yield f"line {node.lineno}: the option {node.value}"


Check: TypeAlias = Callable[[Module], Iterator[str]]
CHECKS: Final[Sequence[Check]] = (
    arrows, one_door, one_way_out, core_is_pure, short, says_what_it_is, no_any, nothing_left_over, nothing_weakens,
)  # fmt: skip

BROKEN: Final[Sequence[tuple[Check, str, str]]] = (
    (arrows, "troth_protocol.errors", "from .keys import SigningKey"),
    (arrows, "troth_protocol.encoding", "import nacl"),
    (arrows, "troth_protocol.wire.answers", "from ..primitives import hkdf"),
    (arrows, "troth_protocol.ratchet", "from . import session"),
    (arrows, "troth_protocol", "from . import errors"),
    (arrows, "troth_protocol.newnoun", "x = 1"),
    (arrows, "troth_server.connection", "from troth_protocol import primitives"),
    (arrows, "troth_server.connection", "from .listener import Listener"),
    (arrows, "troth_server.connection", "import websockets"),
    (arrows, "troth_server.listener", "from . import operator"),
    (arrows, "troth_server.cli", "from . import operator"),
    (arrows, "troth_server.storage.sqlite", "from troth_protocol.keys import SigningKey"),
    (arrows, "troth_server.storage.sqlite", "def late():\n    from troth_server.backup import take"),
    (arrows, "troth_server.shred", "from troth_protocol import primitives"),
    (arrows, "troth_server.erasure.proof", "from troth_protocol import primitives"),
    (arrows, "troth_client.messenger", "import apsw"),
    (arrows, "troth_client.vault.store", "from troth_protocol import session"),
    (arrows, "troth_client.tui.app", "from troth_protocol.keys import SigningKey"),
    (arrows, "troth_client.driver", "from troth_server.listener import Listener"),
    (one_door, "troth_protocol.keys", "from nacl import bindings"),
    (one_door, "troth_client.cli", "def verb():\n    import cryptography"),
    (one_way_out, "troth_client.routes.wire", "await connect('wss://relay.example', proxy=None)"),
    (one_way_out, "troth_client.routes.socks", "loop.getaddrinfo(host, port)"),
    (one_way_out, "troth_client.driver", "socket.socket()"),
    (core_is_pure, "troth_protocol.session", "import random"),
    (core_is_pure, "troth_protocol.session", "import os\nx = os.urandom(12)"),
    (core_is_pure, "troth_server.connection", "async def receive(): ..."),
    (core_is_pure, "troth_client.outbox", "import datetime\nx = datetime.datetime.now()"),
    (core_is_pure, "troth_client.newnoun", "x = open('vault.db')"),
    (short, "troth_server.listener", "\n" * 301),
    (short, "troth_protocol.session", "\n" * 401),
    (says_what_it_is, "troth_client.utils", '"""Odds and ends."""'),
    (says_what_it_is, "troth_client.outbox", "x = 1"),
    (no_any, "troth_protocol.keys", "from typing import Any\nx: Any = 1"),
    (nothing_left_over, "troth_protocol.keys", "# TO" + "DO: check"),
    (nothing_weakens, "troth_client.cli", "parser.add_argument('--no-encryption')"),
    (nothing_weakens, "troth_client.cli", "parser.add_argument('--insecure')"),
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_house_keeps_its_rules(check: Check) -> None:
    wrong = {module.name: found for module in modules() if (found := list(check(module)))}
    assert wrong == {}


@pytest.mark.parametrize(("check", "name", "text"), BROKEN, ids=lambda part: getattr(part, "__name__", part)[:40])
def test_a_breach_is_seen(check: Check, name: str, text: str) -> None:
    assert list(check(Module(name, text, is_package="." not in name)))


def test_what_serves_never_reaches_a_cipher() -> None:
    """From everything a serving relay loads, no chain of imports, early or late, leads to the door."""
    by_name = {module.name: module for module in modules()}
    reached, left = set(), ["troth_server.service", "troth_server.storage.sqlite"]
    while left:
        name = left.pop()
        if name not in reached:
            reached.add(name)
            left += [imported for imported, _ in imports(by_name[name])] if name in by_name else []
    assert {"troth_server.listener", "troth_server.page_text", "troth_server.storage.writer"} <= reached
    assert not {name for name in reached if name == DOOR or name.partition(".")[0] in CIPHERS}
