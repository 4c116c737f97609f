"""Cores in each state, for tests that read lists of effects."""

from __future__ import annotations

from server.talk import NOW, Box
from troth_protocol import ownership
from troth_protocol.wire import VERSION, answers, requests
from troth_server import commands
from troth_server.allowance import Allowance, Shared
from troth_server.connection import Connection, Identity
from troth_server.effects import Answer, Ask, Effect
from troth_server.gate import Visit
from troth_server.limits import Bucket, Rates

RELAY, PIN = b"r" * 32, b"p" * 32
NONCE = b"n" * 32
IDENTITY = Identity(RELAY, PIN, b"o" * answers.OPERATOR_KEY_SIZE, (b"a" * 9_000,) * 20, bytes(32), b"d" * 32)
BOX = Box(b"m" * 32, b"s" * 32, b"k" * 32)


def allowed(creations: Bucket | None = None, rates: Rates | None = None) -> Allowance:
    """What a connection from nowhere may ask."""
    return Allowance(Shared(rates or Rates(), creations or Bucket(100, 1)), Visit())


def fresh(rates: Rates | None = None) -> Connection:
    return Connection(NONCE, IDENTITY, allowed(rates=rates))


def say(core: Connection, request: requests.Request, request_id: int = 7) -> list[Effect]:
    return core.receive(requests.encode(request_id, request), NOW)


def welcomed() -> Connection:
    core = fresh()
    say(core, requests.Hello(VERSION))
    return core


def proof(secret: bytes = BOX.secret, nonce: bytes = NONCE, relay: bytes = RELAY, pin: bytes = PIN) -> requests.Prove:
    shown = ownership.prove(secret, BOX.mailbox, b"c" * 32, nonce, relay, pin)
    return requests.Prove(BOX.mailbox, b"c" * 32, shown)


def owner() -> Connection:
    core = welcomed()
    (asked,) = say(core, proof())
    assert isinstance(asked, Ask)
    assert parsed(core.result(asked, commands.OwnerKey(ownership.stored(BOX.secret)), NOW)) == [answers.Ok()]
    assert core.mailbox == BOX.hash
    return core


def parsed(effects: list[Effect]) -> list[answers.Answer | Effect]:
    return [answers.decode(each.frame)[1] if isinstance(each, Answer) else each for each in effects]


def code(effects: list[Effect]) -> int:
    first = parsed(effects)[0]
    assert isinstance(first, answers.Error)
    return first.code
