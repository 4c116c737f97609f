"""Real processes and SIGKILL: two profiles and a relay, each killed along the way; every text arrives once, in order.

Nothing is mocked: the `troth` and `troth-relay` commands, TLS on loopback, vaults and a database on disk. [R-13.1-1]
[R-13.1-2] [R-13.1-3] [R-11.4-1]
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.stand import Stand, standing


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    with standing(tmp_path) as stand:
        yield stand


def converse(stand: Stand, count: int, kills: int) -> None:
    """Meet, write ``count`` texts each way, and be killed ``kills`` times on every side."""
    stand.meet()
    chance = random.Random(7)
    wanted = {who: [f"{who} {n}" for n in range(count)] for who in ("ann", "ben")}
    other = {"ann": "ben", "ben": "ann"}
    ours = ("queued", "at_relay")
    share = count // (kills + 1) + 1
    for turn in range(kills):
        for who in ("ann", "ben"):
            done = len(stand.texts(who, other[who], *ours))
            lines = "".join(f"{text}\n" for text in wanted[who][done : (turn + 1) * share])
            stand.killed(who, chance.uniform(0.3, 1.2), "send", other[who], "--lines", stdin=lines)
            stand.killed(other[who], chance.uniform(0.3, 1.2), "receive", stdin="")
        stand.restart()
    for who in ("ann", "ben"):
        done = len(stand.texts(who, other[who], *ours))
        stand.troth(who, "send", other[who], "--lines", stdin="".join(f"{text}\n" for text in wanted[who][done:]))
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for who in ("ann", "ben"):
            stand.troth(who, "receive")
        if all(stand.texts(who, other[who], "received") == wanted[other[who]] for who in wanted):
            break
    for who in ("ann", "ben"):
        assert stand.texts(who, other[who], "received") == wanted[other[who]]


def test_everything_arrives_once_and_in_order_through_kills(stand: Stand) -> None:
    """A-69 with real processes, short."""
    converse(stand, 40, 2)


@pytest.mark.slow
def test_a_thousand_each_way_through_kills(stand: Stand) -> None:
    """A-69 with real processes: 1,000 texts each way, every side killed ten times."""
    converse(stand, 1_000, 10)
    needles = [text.encode() for text in ("ann 999", "ben 999", "correct horse")]
    for path in (stand.folder / "relay").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not any(needle in content for needle in needles), path.name
