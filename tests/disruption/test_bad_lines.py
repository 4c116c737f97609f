"""Censors that are subtler than a wall, and a forwarder that goes away for a moment. [R-19.3-3] [R-19.3-6]

A verb does not come back empty while a route is left: it goes on by the next one when its path dies under it.
"""

from __future__ import annotations

import json
import select
import time

import pytest

from disruption import censors
from disruption.lab import PROXIES
from disruption.test_censors import through
from disruption.world import BIN, PORT, Outcome, World

pytestmark = pytest.mark.slow

PROXIED = set(PROXIES)
HANDSHAKE = f"tcp sport {PORT} ct bytes > 900 drop"
"""The relay's first flight does not get through: less than a hello and its answer have passed."""
TWO_FREEZE = f"tcp dport {{ {PORT}, 443 }} ct bytes > 2500 drop\ntcp sport {{ {PORT}, 443 }} ct bytes > 2500 drop"
SLOW_LINE = ("root", "tbf", "rate", "16kbit", "burst", "3kb", "latency", "4s")
"""2 kB/s each way, whatever the route."""


@pytest.mark.parametrize(
    ("scenario", "rules"),
    [
        ("relay's first flight lost", HANDSHAKE),
        ("direct and 443 freeze", TWO_FREEZE),
    ],
    ids=lambda each: each.partition(" ")[0],
)
def test_a_message_gets_through_at_the_first_attempt(
    world: World, row: list[Outcome], scenario: str, rules: str
) -> None:
    world.lab.forbid(rules)
    assert through(world, row, scenario, PROXIED).said == ""


def test_nobody_answers_questions_for_names(world: World, row: list[Outcome]) -> None:
    """Proxies are known by their addresses, and they ask for themselves."""
    drop = "table inet deaf { chain in { type filter hook input priority 0; udp dport 53 drop; }; }"
    world.lab.run(world.lab.censor, "nft", drop)
    try:
        assert through(world, row, "no name server", PROXIED).said == ""
    finally:
        world.lab.run(world.lab.censor, "nft", "delete table inet deaf")


def test_a_very_slow_line_is_not_a_dead_one(world: World, row: list[Outcome]) -> None:
    """Nobody leaves a path that still carries something, however slowly."""
    lab = world.lab
    for device in ("x0", "x1"):
        lab.run(lab.censor, "tc", "qdisc", "add", "dev", device, *SLOW_LINE)
    try:
        assert through(world, row, "2 kB/s", {"direct", *PROXIED}).said == ""
    finally:
        for device in ("x0", "x1"):
            lab.run(lab.censor, "tc", "qdisc", "delete", "dev", device, "root")


def test_a_forwarder_that_is_started_again(world: World, row: list[Outcome]) -> None:
    """Somebody stays connected through it; what comes afterwards arrives by itself."""
    lab = world.lab
    lab.forbid(censors.ONLY_443)
    following = lab.start(
        lab.client, str(BIN / "troth"), "--profile", str(world.folder / "ann"), "--json", "receive", "--follow",
        TROTH_PASSPHRASE_FILE=str(world.folder / "passphrase"),
    )  # fmt: skip
    time.sleep(3)
    world.forward()
    began = time.monotonic()
    world.did("ben", lab.free, "send", "ann", "from ben: after the forwarder came back")
    assert following.stdout is not None
    text = ""
    while "came back" not in text and time.monotonic() < began + 60:
        if select.select([following.stdout], [], [], 1)[0]:
            line = following.stdout.readline()
            assert line, "it ended"
            text = str(json.loads(line).get("text", ""))
    seconds = time.monotonic() - began
    lab.stop(following)
    assert "came back" in text
    row.append(Outcome("forwarder started again", "tunnel", seconds))
