"""B059 to B066: what a sender can do to a queue: too large, too many, twice, to nobody, too fast."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from badinputs.raw import BINARY, Raw, frame
from server.conftest import serving
from server.talk import Box, Relay, envelope
from troth_protocol.token import capability_hash
from troth_protocol.wire import ENVELOPE_SIZES, MAX_ENVELOPE, Code, answers, requests
from troth_server.config import Config
from troth_server.ledger_file import LedgerFile
from troth_server.limits import Quotas

Founded = tuple[Config, LedgerFile]
OK, REFUSED, QUOTA = answers.Ok(), answers.Error(Code.REFUSED), answers.Error(Code.QUOTA)


@pytest.fixture
async def narrow(founded: Founded, tmp_path: Path) -> AsyncIterator[Relay]:
    """A relay with a small queue, one message a second to each mailbox after a burst of sixty: B066's numbers."""
    rates = replace(founded[0].rates, deliveries_at_once=60, deliveries_per_second=1)
    config = replace(founded[0], rates=rates, quotas=Quotas(envelopes=4, envelope_bytes=100_000))
    async with serving(config, founded[1], tmp_path) as relay:
        yield relay


@pytest.mark.parametrize("size", [0, 1, 1_153, 1_155, 4_227, 65_665, MAX_ENVELOPE + 1, 69_000])
async def test_b059_sizes_that_are_no_envelopes(relay: Relay, size: int) -> None:
    """B059: TOO_LARGE with the limit, or BAD_FRAME; not stored, the token is not spent. [R-11.2-3]"""
    box = Box()
    owner = await relay.owner(box)
    raw = await Raw.upgraded(relay.listener.port)
    body = box.mailbox + box.token(1) + size.to_bytes(4, "big") + bytes(size)
    raw.send(frame(BINARY, bytes(4) + b"\x0b" + body))
    answer = await raw.answer()
    assert isinstance(answer, answers.Error)
    over = size > MAX_ENVELOPE
    assert (answer.code, answer.limit) == ((Code.TOO_LARGE, MAX_ENVELOPE) if over else (Code.BAD_FRAME, 0))
    assert await owner.call(requests.Count()) == answers.Counts(0, 0)
    raw.say(2, requests.Deliver(box.mailbox, box.token(1), envelope(1)))
    assert await raw.answer() == OK
    assert size not in ENVELOPE_SIZES
    await raw.close()
    await owner.close()


async def test_b060_a_full_queue_keeps_what_it_has(narrow: Relay) -> None:
    """B060: QUOTA by count and by bytes; what was accepted stays, and the token is good later. [R-11.5-3]"""
    box, large = Box(), Box()
    owner, sender = await narrow.owner(box), await narrow.client()
    for number in range(4):
        assert await sender.deliver(box, number) == OK
    assert await sender.deliver(box, 4) == QUOTA
    other = await narrow.owner(large)
    assert await sender.deliver(large, 1, 65_666) == OK
    assert await sender.deliver(large, 2, 65_666) == QUOTA
    assert await sender.deliver(large, 2, 1_154) == OK
    assert [each.envelope for each in await owner.fetch_all()] == [envelope(number) for number in range(4)]
    assert await sender.deliver(box, 4) == OK
    for client in (owner, sender, other):
        await client.close()


async def test_b061_strangers_cannot_fill_a_queue(relay: Relay) -> None:
    """B061: the relay sees no senders; each right to send is counted: a card's use is eight envelopes, a spare one."""
    box, lookup, capability, spare = Box(), b"l" * 32, b"c" * 32, b"s" * 32
    owner, stranger = await relay.owner(box), await relay.client()
    published = requests.Publish(lookup, capability_hash(capability), 1, b"b" * 16, bytes(18_432))
    assert await owner.call(published) == OK
    assert await owner.call(requests.Spares((capability_hash(spare),))) == OK
    taken = []
    for number in range(12):
        nonce = number.to_bytes(16, "big")
        taken.append(await stranger.call(requests.DeliverFirst(lookup, capability, 0, nonce, envelope(number))))
    assert taken == [OK] * 8 + [REFUSED] * 4
    once = [
        await stranger.call(requests.DeliverSpare(box.mailbox, spare, bytes([n]) * 16, envelope(n))) for n in range(3)
    ]
    assert once == [OK, REFUSED, REFUSED]
    assert await owner.call(requests.Count()) == answers.Counts(0, 9)
    await owner.close()
    await stranger.close()


async def test_b062_the_same_message_a_hundred_times(relay: Relay) -> None:
    """B062: OK each time, stored once; with other content it is refused."""
    box = Box()
    owner, sender = await relay.owner(box), await relay.client()
    assert [await sender.deliver(box, 1) for _ in range(100)] == [OK] * 100
    assert await sender.call(requests.Deliver(box.mailbox, box.token(1), envelope(2))) == REFUSED
    assert [each.envelope for each in await owner.fetch_all()] == [envelope(1)]
    await owner.close()
    await sender.close()


async def test_b064_to_nobody(relay: Relay) -> None:
    """B064: unknown mailboxes, wrong tokens and spent ones: one answer, in about the same time. [R-11.5-2]"""
    box, wrong = Box(), Box()
    owner = await relay.owner(box)
    wrong.mailbox = box.mailbox
    answers_: dict[str, set[bytes]] = {"unknown": set(), "wrong": set()}
    times: dict[str, list[float]] = {"unknown": [], "wrong": []}
    for _ in range(4):  # a connection may fail so many times
        sender = await relay.client()
        for number in range(8):
            for name, to in (("unknown", Box()), ("wrong", wrong)):
                began = time.perf_counter()
                answer = await sender.deliver(to, number)
                times[name].append(time.perf_counter() - began)
                answers_[name].add(answers.encode(1, answer))
        await sender.close()
    assert answers_["unknown"] == answers_["wrong"] == {answers.encode(1, REFUSED)}
    medians = [statistics.median(each) for each in times.values()]
    assert max(medians) < 5 * min(medians)
    await owner.close()


async def test_b066_too_fast(narrow: Relay) -> None:
    """B066: sixty at once, then one a second; RATE_LIMITED says how long, and drops nothing. [R-11.6-3]"""
    box, nobody = Box(), Box()
    owner, sender = await narrow.owner(box), await narrow.client()
    await owner.send(requests.Fetch(64))
    assert await owner.push() == answers.Drained()

    async def receive(count: int) -> list[bytes]:
        got: list[bytes] = []
        while len(got) < count:
            each = await owner.push()
            assert isinstance(each, answers.Envelope)
            got.append(each.envelope)
            assert await owner.call(requests.Acknowledge((each.sequence,))) == OK
        return got

    accepted = 0
    limited: answers.Answer = OK
    for number in range(70):
        limited = await sender.deliver(box, number)
        if limited != OK:
            break
        accepted += 1
        await receive(1)
    assert 60 <= accepted < 70
    assert limited == answers.Error(Code.RATE_LIMITED, retry_after=1)
    await asyncio.sleep(1.1)
    assert await sender.deliver(box, accepted) == OK
    assert await receive(1) == [envelope(accepted)]
    # A mailbox that is not there is as patient, and not a bit more.
    seen = []
    for _ in range(4):
        guesser = await narrow.client()
        seen += [await guesser.deliver(nobody, n) for n in range(16)]
        await guesser.close()
    assert seen[:60] == [REFUSED] * 60
    assert answers.Error(Code.RATE_LIMITED, retry_after=1) in seen[60:]
    await owner.close()
    await sender.close()
