"""``status``: one screen, and JSON, of a relay that runs and of one that does not."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.talk import Box, Client
from server.test_cli import run
from server.test_init import certificate
from server.test_proxies import free_port
from troth_protocol.wire import answers
from troth_server import config as configuration
from troth_server import probe, tls
from troth_server.cli import main

_RUN = "import sys; from troth_server.cli import main; sys.exit(main(sys.argv[1:]))"


@pytest.fixture
def served(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[tuple[Path, int]]:
    """A relay that runs, with its metrics on, and its port."""
    data, port = tmp_path / "relay", free_port()
    flags = ["--port", str(port), "--metrics-port", str(free_port())]
    assert main(["init", "--data", str(data), *flags]) == 0
    capsys.readouterr()
    process = subprocess.Popen(
        [sys.executable, "-c", _RUN, "serve", "--data", str(data)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b"serving on")
    yield data, port
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 0
    process.stdout.close()


async def test_a_relay_that_is_well(served: tuple[Path, int], capsys: pytest.CaptureFixture[str]) -> None:
    data, port = served
    client, box = await Client.open(port), Box()
    assert await client.create(box, int(time.time())) == answers.Ok()
    code, out, err = run(capsys, "status", "--data", str(data))
    assert (code, err) == (0, "")
    lines = dict(line.strip().split("  ", 1) for line in out.splitlines()[1:])
    assert lines["answering"].strip() == "yes"
    assert lines["reached at"].strip() == f"127.0.0.1:{port}"
    assert lines["mailboxes made"].strip() == "0"  # one is as good as none
    assert "good until" in lines["ledger"]
    assert len(out.splitlines()) <= 24
    assert max(map(len, out.splitlines()[1:])) <= 100
    code, out, _ = run(capsys, "status", "--data", str(data), "--json")
    shown = json.loads(out)
    assert code == 0
    assert (shown["healthy"], shown["entries"], shown["counts"]["mailboxes made"]) == (True, 1, 0)
    assert box.hash.hex() not in out
    gauges = probe.metrics(configuration.load(data))
    assert gauges["resident_memory_mebibytes"] > 0
    assert gauges["resident_memory_mebibytes"] % 16 == 0
    assert gauges["connections"] == 0
    assert abs(gauges["start_time_seconds"] - time.time()) < 60
    assert gauges["descriptor_expires_seconds"] > time.time()
    await client.close()
    assert run(capsys, "doctor", "--data", str(data))[0] == 0


def test_a_relay_that_does_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "relay"
    assert main(["init", "--data", str(data), "--port", str(free_port())]) == 0
    capsys.readouterr()
    code, out, _ = run(capsys, "status", "--data", str(data))
    assert code == 3
    assert "NO: nothing answers" in out
    assert run(capsys, "status", "--data", str(tmp_path / "none"))[0] == 1


def test_when_a_certificate_ends(tmp_path: Path) -> None:
    made, _ = certificate(tmp_path, "c")
    ends = tls.expires(made)
    assert ends is not None
    assert abs(ends - time.time() - 90 * 86_400) < 86_400 * 1.5
    assert tls.expires(tmp_path / "none") is None
    (tmp_path / "bad").write_text("x")
    assert tls.expires(tmp_path / "bad") is None
