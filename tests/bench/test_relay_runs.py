"""The relay's bench runs: few of everything, without the peers and without a clock."""

from __future__ import annotations

import pytest

from bench import relay


def test_the_store_alone(capsys: pytest.CaptureFixture[str]) -> None:
    relay.main(["--quick", "--only", "store"])
    assert [line.split(":")[0].strip() for line in capsys.readouterr().out.splitlines()] == [
        "10 mailboxes", "100 mailboxes", "0 queued", "50 queued",
    ]  # fmt: skip


@pytest.mark.slow
def test_the_relay_under_load(capsys: pytest.CaptureFixture[str]) -> None:
    relay.main(["--quick", "--only", "ours"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines[:3]] == ["server", "troth relay, TLS", "troth relay, plain"]
    assert all("100.0%" in line for line in lines[1:3])  # everything acknowledged has arrived
