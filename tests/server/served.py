"""``troth-relay serve`` as a process of its own, on a folder of its own."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from troth_server.cli import main

_RUN = "import sys; from troth_server.cli import main; code = main(sys.argv[1:])"


@dataclass
class Served:
    """A relay process; ``start`` waits until it says that it serves."""

    data: Path
    after: str = "sys.exit(code)"
    process: subprocess.Popen[bytes] | None = None
    port: int = 0
    log: bytes = field(default=b"", repr=False)

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", f"{_RUN}\n{self.after}", "serve", "--data", str(self.data), "--port", "0"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline().decode()
        assert line.startswith("serving on 127.0.0.1:"), self.stop()
        self.port = int(line.rpartition(":")[2])

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """End this very process; its exit code, and all it wrote."""
        assert self.process is not None
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=20)
        self.log += out + err
        code, self.process = self.process.returncode, None
        return code, (out + err).decode()


@contextlib.contextmanager
def founded_at(data: Path) -> Iterator[Served]:
    """A relay whose files are made, not yet started; killed at the end if it runs."""
    assert main(["init", "--data", str(data)]) == 0
    relay = Served(data)
    try:
        yield relay
    finally:
        if relay.process is not None:
            relay.stop(signal.SIGKILL)
