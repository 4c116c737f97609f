"""How soon a relay is tried again, and what a command that asks no relay does not load."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus
from websockets.http11 import Response

from client.world import Template
from troth_client import driver as driver_module
from troth_client.driver import Driver
from troth_client.events import Put
from troth_client.pacing import BACKOFF, MOST_ASKED, pause
from troth_client.routes.failures import opening_failure
from troth_client.routes.route import KeyCheck, Wire
from troth_client.vault.store import Vault
from troth_protocol.card import RelayAddress
from troth_protocol.errors import NetworkError, RelayBusy, RelayError, TrothError
from troth_protocol.primitives import SystemRandomness


@pytest.mark.parametrize(
    ("failures", "failure", "seconds"),
    [
        (0, None, 1),
        (1, NetworkError("gone"), 1),
        (4, NetworkError("gone"), 10),
        (99, NetworkError("gone"), 60),
        (1, RelayBusy("busy", 20), 20),
        (99, RelayBusy("busy", 20), 60),
        (1, RelayBusy("busy", 86_400), MOST_ASKED),
        (1, RelayError(8, "RATE_LIMITED", 30), 30),
    ],
)
def test_the_longer_of_the_back_off_and_what_was_asked_counts(
    failures: int, failure: TrothError | None, seconds: int
) -> None:
    assert pause(failures, failure, 0.0) == seconds
    assert pause(failures, failure, 1.0) == seconds * 1.5


@pytest.mark.parametrize(
    ("asked", "kept"), [("7", 7), ("", 0), ("-7", 0), ("Wed, 21 Oct 2026 07:28:00 GMT", 0), ("9" * 5_000, 0), ("²", 0)]
)
@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_relay_is_called_busy(status: int, asked: str, kept: int) -> None:
    """A time to come back is believed if it is a small number and nothing else."""
    refusal = opening_failure(InvalidStatus(Response(status, "", Headers({"Retry-After": asked}))), 10)
    assert isinstance(refusal, RelayBusy)
    assert refusal.code == "RELAY_BUSY"
    assert "busy, trying again" in str(refusal)
    assert refusal.retry_after == kept


class Busy:
    """A route to a relay that has no room."""

    tries = 0

    async def connect(self, relay: RelayAddress, check: KeyCheck) -> Wire:
        self.tries += 1
        raise RelayBusy("the relay is busy, trying again (HTTP 503)", 45)


async def test_the_driver_waits_as_long_as_a_busy_relay_asks(
    template: Template, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And never gives up; after a connection that was one, the back-off begins anew."""
    waited: list[tuple[int, float]] = []
    enough = asyncio.Event()

    def note(failures: int, failure: TrothError | None, jitter: float) -> float:
        waited.append((failures, pause(failures, failure, 0.0)))
        if len(waited) > len(BACKOFF) + 1:
            enough.set()
        return 0.0

    monkeypatch.setattr(driver_module, "pause", note)
    vault = Vault.create(tmp_path / "vault", "pass", SystemRandomness(), operations=1, memory=64 * 1024)
    rows = template.disks[0].rows
    vault.apply(tuple(Put(kind, key, raw) for kind, records in rows.items() for key, raw in records.items()))
    route = Busy()
    driver = Driver(vault, SystemRandomness(), route, clock=lambda: float(template.now))
    running = asyncio.create_task(driver.run())
    await asyncio.wait_for(enough.wait(), 10)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert route.tries >= len(waited)
    assert waited[:3] == [(1, 45), (2, 45), (3, 45)]
    assert waited[len(BACKOFF)][1] == 60
    vault.close()


OFFLINE = """
import sys
from troth_client import cli, verbs
for name in ("contacts", "history", "search"):
    assert name in verbs.VERBS
print(sorted({name.partition(".")[0] for name in sys.modules} & {"websockets", "textual", "segno", "rich"}))
"""


def test_what_asks_no_relay_loads_neither_websockets_nor_a_window() -> None:
    """``troth history`` has no use for them; ``asyncio`` itself brings ``ssl`` along."""
    done = subprocess.run([sys.executable, "-c", OFFLINE], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
