"""A relay process and profiles on disk, driven through the real commands."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

BIN = Path(sys.executable).parent


class Stand:
    """A relay process that can be killed and started again, and two profiles."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "passphrase").write_text("correct horse\n")
        self.environment = {**os.environ, "TROTH_PASSPHRASE_FILE": str(folder / "passphrase")}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = port = free.getsockname()[1]
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

    def card(self, who: str) -> str:
        """A fresh card of this side's."""
        made = self.troth(who, "card")
        assert made.returncode == 0, made.stderr
        link: str = json.loads(made.stdout.splitlines()[0])["link"]
        return link

    def meet(self) -> None:
        """Make ann and ben, who know each other when this returns."""
        for who in ("ann", "ben"):
            assert self.troth(who, "init", "--relay", self.link, "--name", who).returncode == 0
        assert self.troth("ann", "add", self.card("ben"), "--name", "ben").returncode == 0
        assert self.troth("ben", "receive").returncode == 0
        assert self.troth("ben", "accept", "ann").returncode == 0
        assert self.troth("ann", "receive").returncode == 0

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


@contextlib.contextmanager
def standing(folder: Path) -> Iterator[Stand]:
    """A stand in a folder; its relay is killed at the end."""
    stand = Stand(folder)
    try:
        yield stand
    finally:
        stand.process.kill()
        stand.process.wait()
