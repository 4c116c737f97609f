"""Rows B035, B060, B062, B064, B067 of the register, and a read-only disk of B072: one clear answer, nothing lost."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from badinputs.test_relay_start import BOX, Spoil, left, newer, old_put_back, opened
from server import disk
from server.disk import home, queued, send
from server.talk import NOW, Box, Relay, ask
from troth_protocol.errors import StorageError
from troth_protocol.wire import Code, answers, requests
from troth_server import commands
from troth_server.cli import main
from troth_server.commands import Deposited, Done, Failed


def mounted(folder: Path, *options: str) -> Iterator[Path]:
    place = folder / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", place], check=False, capture_output=True).returncode:
        pytest.skip("may not mount a tmpfs here: no small or read-only disk can be made")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB."""
    yield from mounted(tmp_path, "-o", "size=1m,mode=700")


def test_b072_a_read_only_disk(small: Path) -> None:
    left(small, clean=True, envelopes=2)
    before = disk.snapshot(small)
    subprocess.run(["mount", "-o", "remount,ro", small], check=True)
    with pytest.raises(StorageError, match="Read-only") as caught:
        opened(small)
    assert caught.value.exit_code == 3
    assert disk.snapshot(small) == before


def test_b067_a_full_disk_of_one_mebibyte(small: Path) -> None:
    """STORAGE_FULL to senders; reading, acknowledging and erasing work; room is noticed within 5 s."""
    store, full = opened(small), Failed(Code.STORAGE_FULL)
    home(store, BOX)
    other = home(store, Box())
    outcomes = [send(store, BOX, number) for number in range(600)]
    promised = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, Deposited)]
    assert 20 < len(promised) < 600
    assert {outcome for outcome in outcomes if not isinstance(outcome, Deposited)} == {full}
    assert queued(store, BOX) == [disk.body(number) for number in promised]
    assert ask(store, commands.CreateMailbox(bytes(32), bytes(32), bytes(32), NOW + 9, NOW)) == full
    for number in range(1, len(promised) + 1):
        assert ask(store, commands.Forget(BOX.hash, (number,))) == Done()
    assert ask(store, commands.Erase(other.hash)) == Done()
    end = time.monotonic() + 5
    while (outcome := send(store, BOX, 900)) == full and time.monotonic() < end:
        time.sleep(0.1)
    assert isinstance(outcome, Deposited)
    store.close()
    store = opened(small)
    assert queued(store, BOX) == [disk.body(900)]
    store.close()


def test_b067_a_full_disk_is_not_asked_at_every_request(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from troth_server.storage.reserve import Reserve

    store = opened(small)
    home(store, BOX)
    while isinstance(send(store, BOX, int(time.monotonic_ns() % 2**32)), Deposited):
        pass
    asked: list[float] = []
    take = Reserve.take

    def noted(reserve: Reserve) -> bool:
        asked.append(time.monotonic())
        return take(reserve)

    monkeypatch.setattr(Reserve, "take", noted)
    began = time.monotonic()
    while time.monotonic() < began + 1.5:
        send(store, BOX, int(time.monotonic_ns() % 2**32))
    assert len(asked) <= 3
    store.close()


def test_b068_to_b070_have_their_own_tests() -> None:
    """B068 (EIO), B069 (kill -9) are in tests/server/test_durability.py, B070 (power cut) in test_power_cut.py."""
    server = Path(__file__).parents[1] / "server"
    assert "EIO" in (server / "test_durability.py").read_text()
    assert "power" in (server / "test_power_cut.py").read_text()


@pytest.mark.parametrize(
    ("spoil", "code", "said"),
    [
        (lambda folder: os.truncate(folder / "relay.db", 3 * 4_096), 70, "database is damaged"),
        (newer, 1, "use a newer one"),
        (old_put_back, 70, "troth-relay restore"),
    ],
)
def test_b071_b072_the_command_says_it_in_one_line(tmp_path: Path, spoil: Spoil, code: int, said: str) -> None:
    folder = tmp_path / "relay"
    assert main(["init", "--data", str(folder)]) == 0
    left(folder, clean=True)
    spoil(folder)
    run = "import sys; from troth_server.cli import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", run, "serve", "--data", str(folder), "--port", "0"],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    (line,) = done.stderr.splitlines()
    assert said in line


# Acknowledgements and deliveries, over the wire.


async def test_b035_acknowledgements_of_what_was_never_delivered_twice_or_out_of_order(relay: Relay) -> None:
    """[R-11.4-8]"""
    box, other = Box(), Box()
    one, two = await relay.owner(box), await relay.owner(other)
    for number in (1, 2, 3):
        assert await one.deliver(box, number) == answers.Ok()
        assert await two.deliver(other, number) == answers.Ok()
    await one.send(requests.Fetch(2))
    for _ in range(2):
        assert isinstance(await one.push(), answers.Envelope)
    unknown = answers.Error(Code.ACK_UNKNOWN)
    assert await one.call(requests.Acknowledge((3,))) == unknown
    assert await one.call(requests.Acknowledge((1, 2**63))) == unknown
    assert await one.call(requests.Count()) == answers.Counts(0, 3)
    for _ in range(2):
        assert await one.call(requests.Acknowledge((2,))) == answers.Ok()
    assert await one.call(requests.Acknowledge((1,))) == answers.Ok()
    assert await one.call(requests.Count()) == answers.Counts(0, 1)
    assert await two.call(requests.Count()) == answers.Counts(0, 3)
    await one.close()
    await two.close()


async def test_b060_b062_b064_full_repeated_and_unknown(relay: Relay) -> None:
    """[R-11.5-2] [R-11.5-3]"""
    box, unknown = Box(), Box()
    owner, sender = await relay.owner(box), await relay.client()
    for _ in range(100):
        assert await sender.deliver(box, 1) == answers.Ok()
    assert await owner.call(requests.Count()) == answers.Counts(0, 1)
    refused = answers.Error(Code.REFUSED)
    wrong = Box(box.mailbox)
    assert await sender.deliver(unknown, 1) == refused
    assert await sender.deliver(wrong, 1) == refused
    await owner.close()
    await sender.close()
