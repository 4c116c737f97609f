"""B054 and B056: draining prekeys, and uploads that are no batch."""

from __future__ import annotations

import pytest

from server.talk import Box, Client, Relay
from troth_protocol.token import capability_hash
from troth_protocol.wire import BUNDLE_SIZE, LEAF_SIZE, Code, answers, requests
from troth_server.limits import Rates


async def with_card(relay: Relay, box: Box, lookup: bytes, capability: bytes, uses: int, leaves: int) -> Client:
    """An owner with a card out."""
    owner = await relay.owner(box)
    batch = b"b" * 16
    published = requests.Publish(lookup, capability_hash(capability), uses, batch, b"b" * BUNDLE_SIZE)
    assert await owner.call(published) == answers.Ok()
    made = tuple(bytes([n]).ljust(LEAF_SIZE, b"l") for n in range(leaves))
    assert await owner.call(requests.AddLeaves(batch, made)) == answers.Ok()
    return owner


async def test_b054_a_card_hands_out_so_many_bundles_at_once(relay: Relay) -> None:
    """B054: then RATE_LIMITED, before a leaf is spent; known and unknown cards alike. [R-11.6-3]"""
    box, lookup, capability = Box(), b"l" * 32, b"c" * 32
    owner = await with_card(relay, box, lookup, capability, 100, 32)
    most = Rates().bundles_at_once
    seen: dict[bytes, list[tuple[int, int]]] = {}
    for card in (lookup, b"u" * 32):
        client = await relay.client()
        got = [await client.call(requests.FetchBundle(card, capability)) for _ in range(most + 4)]
        bundles = sum(isinstance(each, answers.Bundle) for each in got)
        refused = [each for each in got if isinstance(each, answers.Error)]
        seen[card] = [(each.code, each.retry_after) for each in refused]
        assert bundles in {0, most}
        await client.close()
    limited = [(Code.RATE_LIMITED, wait) for _, wait in seen[lookup][-4:]]
    assert seen[lookup] == limited
    assert seen[b"u" * 32] == [(Code.REFUSED, 0)] * most + limited
    assert all(0 < wait <= 60 for _, wait in limited)
    assert await owner.call(requests.Count()) == answers.Counts(32 - most, 0)
    await owner.close()


def leaves(*indices: int) -> bytes:
    return b"".join(bytes([index]).ljust(LEAF_SIZE, b"l") for index in indices)


@pytest.mark.parametrize(
    "body",
    [
        b"b" * 16 + b"\x00",
        b"b" * 16 + bytes([33]) + leaves(*range(33)),
        b"b" * 16 + bytes([101]) + leaves(*range(101))[:60_000],
        b"b" * 16 + b"\x02" + leaves(1, 1),
        b"b" * 16 + b"\x02" + leaves(2, 1),
        b"b" * 16 + b"\x01" + leaves(128),
        b"b" * 16 + b"\x01" + leaves(1)[:-1],
        b"b" * 16 + b"\x01" + leaves(1) + b"x",
    ],
    ids=["none", "33", "101", "twice", "not ascending", "index 128", "short", "long"],
)
async def test_b056_leaves_that_are_no_batch(relay: Relay, body: bytes) -> None:
    """B056: refused with the field, and the old ones kept."""
    owner = await with_card(relay, Box(), b"l" * 32, b"c" * 32, 1, 3)
    await owner.socket.send(bytes(4) + b"\x07" + body)
    answer = (await owner.read())[1]
    assert isinstance(answer, answers.Error)
    assert answer.code == Code.BAD_FRAME
    conflict = b"\x01".ljust(LEAF_SIZE, b"X")
    assert await owner.call(requests.AddLeaves(b"b" * 16, (conflict,))) == answers.Error(Code.PREKEY_REJECTED)
    assert await owner.call(requests.Count()) == answers.Counts(3, 0)
    await owner.close()
