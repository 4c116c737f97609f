"""B048 to B053 and B057: guessing and flooding mailboxes."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from dataclasses import replace
from pathlib import Path

import pytest

from badinputs.raw import Raw, refused_socket
from server.conftest import serving
from server.cores import BOX, allowed, code, parsed, say
from server.talk import NOW, Box, Relay, ask
from troth_protocol import ownership
from troth_protocol.token import EPOCH_SECONDS
from troth_protocol.wire import LEAF_SIZE, VERSION, Code, answers, requests
from troth_server import commands
from troth_server.allowance import Allowance, Shared
from troth_server.config import Config
from troth_server.connection import Connection
from troth_server.effects import Answer, Ask, Close
from troth_server.gate import Gate, Visit
from troth_server.ledger_file import LedgerFile
from troth_server.limits import FAILURES, INSISTENCE, Bucket, Rates

Founded = tuple[Config, LedgerFile]
REFUSED = answers.Error(Code.REFUSED)


def proved(core: Connection, right: bool) -> list[object]:
    """Say hello and prove, rightly or not, to a store that knows the mailbox."""
    identity = core._identity
    say(core, requests.Hello(VERSION))
    secret = BOX.secret if right else b"x" * 32
    shown = ownership.prove(secret, BOX.mailbox, b"c" * 32, core._nonce, identity.fingerprint, identity.tls_key_hash)
    (asked,) = say(core, requests.Prove(BOX.mailbox, b"c" * 32, shown))
    assert isinstance(asked, Ask)
    return list(parsed(core.result(asked, commands.OwnerKey(ownership.stored(BOX.secret)), NOW)))


def core_for(shared: Shared, visit: Visit) -> Connection:
    from server.cores import IDENTITY

    return Connection(os.urandom(32), IDENTITY, Allowance(shared, visit))


async def test_b048_unknown_wrong_and_deleted_are_one_answer(relay: Relay) -> None:
    """B048: byte for byte, and in about the same time. [R-11.5-2]"""
    known, wrong = Box(), Box()
    await (await relay.owner(known)).close()
    wrong.mailbox = known.mailbox
    frames: dict[str, set[bytes]] = {"unknown": set(), "wrong": set()}
    times: dict[str, list[float]] = {"unknown": [], "wrong": []}
    for _ in range(12):
        for name, box in (("unknown", Box()), ("wrong", wrong)):
            client = await relay.client()
            began = time.perf_counter()
            answer = await client.prove(box)
            times[name].append(time.perf_counter() - began)
            frames[name].add(answers.encode(1, answer))
            await client.close()
    assert frames["unknown"] == frames["wrong"] == {answers.encode(1, REFUSED)}
    medians = [statistics.median(each) for each in times.values()]
    assert max(medians) < 5 * min(medians)  # that the work is the same is what the core's and store's tests show


async def test_b049_a_proof_is_good_for_one_connection(relay: Relay) -> None:
    """B049: replayed, made for another nonce, another relay. [R-10.1-5]"""
    box = Box()
    first = await relay.owner(box)
    replayer = await relay.client()
    replayer.welcome = first.welcome
    assert await replayer.prove(box) == REFUSED
    other = await relay.client()
    other.welcome = replace(other.welcome, relay=b"r" * 32)
    assert await other.prove(box) == REFUSED
    for client in (first, replayer, other):
        await client.close()


@pytest.mark.parametrize("secret", [bytes(32), b"\xff" * 32, b"\x01" + bytes(31)])
async def test_b050_degenerate_secrets_are_secrets_like_others(relay: Relay, secret: bytes) -> None:
    """B050: owners prove by hash, not by signature: there is no point to be small; lengths are fixed by the frame."""
    box = Box(secret=secret)
    owner = await relay.owner(box)
    thief = await relay.client()
    assert await thief.prove(Box(mailbox=box.mailbox)) == REFUSED
    await owner.close()
    await thief.close()
    for size in (0, 31, 33):
        raw = await Raw.upgraded(relay.listener.port)
        good = requests.encode(1, requests.Prove(bytes(32), bytes(32), bytes(32)))
        from badinputs.raw import BINARY, frame

        raw.send(frame(BINARY, good[:-32] + bytes(size)))
        answer = await raw.answer()
        assert isinstance(answer, answers.Error)
        assert answer.code == Code.BAD_FRAME
        await raw.close()


async def test_b052_guessers_are_shut_out_and_others_are_not(founded: Founded, tmp_path: Path) -> None:
    """B052: one network's failures shut out its newcomers; who is connected, and others, are served. [R-11.6-4]"""
    rates = replace(founded[0].rates, network_failures_at_once=30, network_failures_per_minute=1)
    async with serving(replace(founded[0], rates=rates), founded[1], tmp_path) as relay:
        port, box = relay.listener.port, Box()
        good = await relay.owner(box)
        ends = []
        for _ in range(40):
            if await asyncio.to_thread(refused_socket, port, "127.0.0.1", 0.2):
                ends.append(0)
                break
            try:
                raw = await Raw.upgraded(port)
            except (AssertionError, OSError):
                ends.append(429)
                continue
            for n in range(FAILURES + 5):
                raw.say(n + 2, requests.DeliverSpare(os.urandom(32), os.urandom(32), bytes(16), bytes(1_154)))
            ends.append((await raw.closed())[0])
            await raw.close()
        assert ends[0] == 1008
        assert 429 in ends
        assert await good.call(requests.Count()) == answers.Counts(0, 0)
        assert await good.call(requests.FetchBundle(bytes(32), bytes(32))) == REFUSED  # anybody errs once
        assert await good.call(requests.Count()) == answers.Counts(0, 0)
        await (await Raw.upgraded(port, source="127.0.0.2")).close()
        await good.close()


def test_b052_twenty_failures_end_a_connection_wherever_it_comes_from() -> None:
    """B052: REFUSED twenty times, whatever was asked. [R-11.6-4]"""
    core = core_for(Shared(Rates(), Bucket(100, 1)), Visit())
    say(core, requests.Hello(VERSION))
    for attempt in range(1, FAILURES + 1):
        request: requests.Request = (
            requests.Deliver(os.urandom(32), bytes(32), bytes(1_154)),
            requests.FetchBundle(os.urandom(32), bytes(32)),
            requests.DeliverSpare(os.urandom(32), bytes(32), bytes(16), bytes(1_154)),
        )[attempt % 3]
        (asked,) = say(core, request)
        assert isinstance(asked, Ask)
        effects = core.result(asked, commands.Refused(), NOW)
        assert code(effects) == Code.REFUSED
        assert any(isinstance(each, Close) for each in effects) == (attempt == FAILURES)


def test_b052_one_connections_failures_do_not_close_another() -> None:
    """B052: of two from one network, the one that never failed stays, and errs once without being closed."""
    gate = Gate(replace(Rates(), network_failures_at_once=2), 100, b"s" * 32)
    shared = Shared(Rates(), Bucket(100, 1))
    visits = [gate.enter("192.0.2.1", 0), gate.enter("192.0.2.1", 0)]
    assert isinstance(visits[0], Visit)
    assert isinstance(visits[1], Visit)
    bad, good = core_for(shared, visits[0]), core_for(shared, visits[1])
    for core in (bad, good):
        say(core, requests.Hello(VERSION))

    def refuse(core: Connection) -> bool:
        (asked,) = say(core, requests.Deliver(os.urandom(32), bytes(32), bytes(1_154)))
        assert isinstance(asked, Ask)
        return any(isinstance(each, Close) for each in core.result(asked, commands.Refused(), NOW))

    assert [refuse(bad) for _ in range(3)] == [False, False, True]
    assert isinstance(say(good, requests.Ledger(0))[0], Answer)
    assert not refuse(good)
    assert refuse(good)


async def test_b053_mailboxes_without_end(founded: Founded, tmp_path: Path) -> None:
    """B053: RATE_LIMITED by connection, by network and by all; the store is not asked; who is there stays."""
    rates = replace(founded[0].rates, network_creations_at_once=10, network_creations_per_minute=1)
    config = replace(founded[0], rates=rates, creations_at_once=12, creations_per_minute=1)
    async with serving(config, founded[1], tmp_path) as relay:
        box = Box()
        owner = await relay.owner(box)
        made = 1
        for _ in range(6):
            client = await relay.client()
            for _ in range(6):
                answer = await client.create(Box(), relay.listener.now())
                made += answer == answers.Ok()
                if isinstance(answer, answers.Error):
                    assert (answer.code, answer.retry_after > 0) == (Code.RATE_LIMITED, True)
            await client.close()
        assert made == 10
        raw = await Raw.upgraded(relay.listener.port, source="127.0.0.2")
        got = []
        for n in range(4):
            expires = relay.listener.now() + EPOCH_SECONDS
            raw.say(n + 2, requests.Create(os.urandom(32), bytes(32), bytes(32), expires))
            got.append(await raw.answer())
        assert [each == answers.Ok() for each in got] == [True, True, False, False]
        assert await owner.call(requests.Count()) == answers.Counts(0, 0)
        raw.writer.transport.abort()
        await owner.close()


def test_b057_uploads_without_end() -> None:
    """B057: changes to a mailbox are counted together, on whatever connection. [R-11.6-3]"""
    shared = Shared(replace(Rates(), changes_at_once=5), Bucket(100, 1))
    asked = []
    for _ in range(2):
        core = core_for(shared, Visit())
        assert proved(core, True) == [answers.Ok()]
        for request in (
            requests.Rotate(b"k" * 32, NOW + 100), requests.Unpublish(b"l" * 32), requests.Spares((b"s" * 32,)),
            requests.AddLeaves(b"b" * 16, (b"\x01".ljust(LEAF_SIZE, b"l"),)),
        ):  # fmt: skip
            asked.append(isinstance(say(core, request)[0], Ask))
    assert asked == [True] * 5 + [False] * 3


def test_who_goes_on_regardless_is_closed() -> None:
    """RATE_LIMITED is an answer, not a game: after so many the connection ends. [R-11.6-3]"""
    core = core_for(Shared(replace(Rates(), requests_at_once=5), Bucket(100, 1)), Visit())
    say(core, requests.Hello(VERSION))
    assert isinstance(say(core, requests.Deliver(bytes(32), bytes(32), bytes(1_154)))[0], Ask)
    core._allowance._requests = Bucket(1, 0.001)
    say(core, requests.Deliver(bytes(32), bytes(32), bytes(1_154)))
    for attempt in range(1, INSISTENCE + 2):
        effects = say(core, requests.Deliver(bytes(32), bytes(32), bytes(1_154)))
        assert code(effects) == Code.RATE_LIMITED
        assert any(isinstance(each, Close) for each in effects) == (attempt == INSISTENCE + 1)


async def test_b052_the_store_is_not_asked_about_what_is_limited(relay: Relay) -> None:
    """A limited request costs no work of the store, and says nothing of what it named."""
    assert ask(relay.store, commands.CountHeld(bytes(32))) == commands.Refused()
    core = Connection(b"n" * 32, relay.listener._identity, allowed(rates=replace(Rates(), deliveries_at_once=1)))
    say(core, requests.Hello(VERSION))
    assert isinstance(say(core, requests.Deliver(b"m" * 32, bytes(32), bytes(1_154)))[0], Ask)
    limited = say(core, requests.DeliverSpare(b"m" * 32, bytes(32), bytes(16), bytes(1_154)))
    assert parsed(limited) == [answers.Error(Code.RATE_LIMITED, retry_after=1)]
