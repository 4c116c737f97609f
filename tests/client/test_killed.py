"""Real processes and SIGKILL: two profiles and a relay, each killed along the way; every text arrives once, in order.

Nothing is mocked: the `troth` and `troth-relay` commands, TLS on loopback, vaults and a database on disk. [R-13.1-1]
[R-13.1-2] [R-13.1-3] [R-11.4-1]
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent


class Stand:
    """A relay process that can be killed and started again, and two profiles."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "passphrase").write_text("correct horse\n")
        self.environment = {**os.environ, "TROTH_PASSPHRASE_FILE": str(folder / "passphrase")}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        data = str(folder / "relay")
        made = ["init", "--data", data, "--host", "127.0.0.1", "--bind", "127.0.0.1", "--port", str(port)]
        subprocess.run([BIN / "troth-relay", *made], check=True, capture_output=True)
        self.link = subprocess.run(
            [BIN / "troth-relay", "card", "--data", data], check=True, capture_output=True, text=True
        ).stdout.strip()
        self.process = self.serve()

    def serve(self) -> subprocess.Popen[str]:
        """Start the relay and wait until it serves."""
        process = subprocess.Popen(
            [BIN / "troth-relay", "serve", "--data", str(self.folder / "relay")], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline().startswith("serving")
        return process

    def restart(self) -> None:
        """SIGKILL, then a new process on the same files."""
        self.process.kill()
        self.process.wait()
        self.process = self.serve()

    def troth(self, who: str, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """One verb, to its end."""
        return subprocess.run(
            [BIN / "troth", "--profile", str(self.folder / who), "--json", *arguments],
            input=stdin, capture_output=True, text=True, env=self.environment, timeout=120, check=False,
        )  # fmt: skip

    def killed(self, who: str, after: float, *arguments: str, stdin: str) -> None:
        """One verb, killed with SIGKILL after so many seconds if it still runs."""
        process = subprocess.Popen(
            [BIN / "troth", "--profile", str(self.folder / who), *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True,
            env=self.environment,
        )  # fmt: skip
        assert process.stdin is not None
        with process.stdin as pipe:
            pipe.write(stdin)
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()

    def texts(self, who: str, contact: str, *states: str) -> list[str]:
        """A side's view of the conversation."""
        lines = self.troth(who, "history", contact, "--limit", "100000").stdout.splitlines()
        parsed = [json.loads(line) for line in lines]
        return [line["text"] for line in parsed if line["state"] in states]


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    stand = Stand(tmp_path)
    yield stand
    stand.process.kill()
    stand.process.wait()


def converse(stand: Stand, count: int, kills: int) -> None:
    """Meet, write ``count`` texts each way, and be killed ``kills`` times on every side."""
    for who in ("ann", "ben"):
        assert stand.troth(who, "init", "--relay", stand.link, "--name", who).returncode == 0
    card = json.loads(stand.troth("ben", "card").stdout.splitlines()[0])["link"]
    assert stand.troth("ann", "add", card, "--name", "ben").returncode == 0
    assert stand.troth("ben", "receive").returncode == 0
    assert stand.troth("ben", "accept", "ann").returncode == 0
    assert stand.troth("ann", "receive").returncode == 0
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
