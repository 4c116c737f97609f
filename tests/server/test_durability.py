"""Whenever the process ends, what it had acknowledged is there, in order, once. [R-11.7-1]

Named places between two steps (``crash.POINTS``), then a real ``troth-relay serve`` killed at random under load.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from websockets.exceptions import WebSocketException

from server import crash, disk
from server.crash import BOX, GONE, POINTS
from server.disk import home, send
from server.relay_files import opened
from server.served import Served
from server.talk import NOW, Box, Client, ask
from troth_protocol.errors import StorageError
from troth_protocol.wire import Code, answers
from troth_server import commands
from troth_server.cli import main
from troth_server.commands import Deposited, Done, Failed, Refused
from troth_server.limits import Quotas
from troth_server.shred import Slots
from troth_server.storage import STORES
from troth_server.storage.database import Database


def is_whole(folder: Path, words: list[str]) -> None:
    """Everything that was promised before the crash, nothing that was given up, and the slots fit the mailboxes."""
    sent, asked, done = (crash.numbers(words, what) for what in ("sent", "acknowledging", "acknowledged"))
    store = opened(folder)
    if "box" in words:
        here = [int.from_bytes(body[15:19], "big") for body in disk.queued(store, BOX)]
        assert here == sorted(set(here))
        assert set(here) >= set(sent) - set(asked), "an acknowledged envelope is lost"
        assert not set(here) & set(done), "an envelope came back"
        assert set(here) <= set(range(1, 9))
        for number in sent:
            outcome = send(store, BOX, number)
            assert isinstance(outcome, Deposited)
            assert outcome.row is None, "a token was spent twice"
        for number in range(1, 9):  # nothing is half done: whatever was in flight is there, or can be sent now
            assert isinstance(send(store, BOX, number), Deposited)
    if "erased" in words:
        assert ask(store, commands.CountHeld(GONE.hash)) == Refused()
    home(store, BOX)
    there = {BOX.hash} | ({view.mailbox for view in store.view(9)})
    store.close()
    slots = Slots(folder / "slots.bin", os.urandom)
    assert len(set(slots.used())) == len(there)
    slots.close()


@pytest.mark.parametrize("name", POINTS)
def test_at_every_named_place_a_crash_loses_nothing(tmp_path: Path, name: str) -> None:
    passed = 0
    for skip in (0, 1, 2, 4, 9):
        folder = tmp_path / str(skip)
        code, words = crash.run(folder, skip, POINTS[name])
        assert code in (0, 9), words
        is_whole(folder, words)
        passed += code == 9
        if not code:
            break
    assert passed, "the place was never reached"


def test_a_second_crash_while_the_first_is_mended_loses_nothing(tmp_path: Path) -> None:
    _, words = crash.run(tmp_path, 12, POINTS["between a commit and its answers"])
    for name in ("before the start is checked", "between the slots' generation and the database's", "before a commit"):
        code, more = crash.run(tmp_path, 0, POINTS[name])
        assert code == 9
        words += [word for word in more if word not in words]
    is_whole(tmp_path, words)


# A real relay.


async def deliver(port: int, box: Box, numbers: list[int], promised: list[int]) -> None:
    """Send until the relay is gone; note what it said OK to."""
    with contextlib.suppress(WebSocketException, OSError, TimeoutError, AssertionError):
        client = await Client.open(port)
        while numbers:
            answer = await client.deliver(box, numbers[0])
            if answer == answers.Ok():
                promised.append(numbers.pop(0))


async def load(served: Served, boxes: list[Box], left: list[list[int]], promised: list[list[int]], wait: float) -> None:
    """Several senders until SIGKILL."""
    senders = [
        asyncio.create_task(deliver(served.port, box, numbers, done))
        for box, numbers, done in zip(boxes, left, promised, strict=True)
    ]
    await asyncio.sleep(wait)
    served.stop(signal.SIGKILL)
    await asyncio.gather(*senders)


async def crash_loop(folder: Path, cycles: int) -> int:
    """Cycles of load and SIGKILL, then everything is fetched; the number of envelopes that were promised."""
    assert main(["init", "--data", str(folder)]) == 0
    rng = random.Random(cycles)
    boxes = [Box() for _ in range(4)]
    left = [list(range(100_000)) for _ in boxes]
    promised: list[list[int]] = [[] for _ in boxes]
    served = Served(folder)
    for cycle in range(cycles):
        began = time.monotonic()
        served.start()
        assert time.monotonic() - began < 10
        if not cycle:
            client = await Client.open(served.port)
            for box in boxes:
                assert await client.create(box, int(time.time())) == answers.Ok()
            await client.close()
        await load(served, boxes, left, promised, rng.random() * 0.12)
    served.start()
    for box, done in zip(boxes, promised, strict=True):
        client = await Client.open(served.port)
        assert await client.prove(box) == answers.Ok()
        got = [int.from_bytes(each.envelope[:8], "big") for each in await client.fetch_all()]
        assert got == sorted(set(got)), "order, and each once"
        assert set(done) <= set(got), "an acknowledged envelope is lost"
        assert len(got) - len(done) <= cycles, "more than what was in flight"
        await client.close()
    code, log = served.stop()
    assert code == 0, log
    return sum(map(len, promised))


async def test_killed_under_load_25_times_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    assert await crash_loop(tmp_path / "relay", 25) > 25


@pytest.mark.slow
async def test_killed_under_load_200_times_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    assert await crash_loop(tmp_path / "relay", 200) > 200


# Errors of the disk.

_STORE = """
import os, sys
from pathlib import Path
from server import crash, disk
from troth_server import commands
from troth_server.commands import Deposited
from troth_server.limits import Quotas
from troth_server.storage import STORES
from troth_server.storage.database import Database
def die(reason):
    os.write(2, ("FATAL " + reason).encode()); os._exit(70)
store = STORES["sqlite"](Path(sys.argv[1]), Quotas(), die)
disk.home(store, crash.BOX)
print("ready", flush=True)
for number in range(1, 400):
    if isinstance(disk.send(store, crash.BOX, number), Deposited):
        print("sent", number, flush=True)
    if number % 50 == 0:
        disk.ask(store, commands.Expire(disk.NOW))
"""


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed: no error of the disk can be made")
@pytest.mark.parametrize(
    "call", ["fdatasync:error=EIO:when=40+", "pwrite64:error=EIO:when=300+", "fsync:error=EIO:when=9+"]
)
def test_after_an_error_of_the_disk_nothing_is_acknowledged_and_a_restart_has_it_all(tmp_path: Path, call: str) -> None:
    """[R-11.4-1]: exit 70, and each envelope that was answered OK before is there."""
    folders = os.pathsep.join(str(Path(each).resolve()) for each in sys.path if each)
    done = subprocess.run(
        ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call.partition(':')[0]}", "-e", f"inject={call}",
         sys.executable, "-c", _STORE, str(tmp_path)],
        capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "PYTHONPATH": folders},
    )  # fmt: skip
    assert done.returncode == 70, (done.returncode, done.stderr[-500:])
    assert "FATAL" in done.stderr
    sent = [int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("sent ")]
    assert sent == list(range(1, len(sent) + 1))
    assert 0 < len(sent) < 399
    store = opened(tmp_path)
    here = [int.from_bytes(body[15:19], "big") for body in disk.queued(store, BOX)]
    assert here[: len(sent)] == sent
    assert len(here) - len(sent) <= 1
    store.close()


def test_without_descriptors_the_store_goes_on(tmp_path: Path) -> None:
    """What is open stays open: delivering, sweeping and making mailboxes need no new descriptor."""
    store = opened(tmp_path)
    home(store, BOX)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    taken: list[int] = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 8, hard))
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.dup(0))
        for number in range(1, 300):
            assert isinstance(send(store, BOX, number, size=4_226), Deposited)
        home(store, GONE)
        assert ask(store, commands.Forget(BOX.hash, tuple(range(1, 200)))) == Done()
        assert ask(store, commands.Erase(GONE.hash)) == Done()
        assert ask(store, commands.Expire(NOW)) == Done()
    finally:
        for handle in taken:
            os.close(handle)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(disk.queued(store, BOX)) == 100
    store.close()


@pytest.mark.parametrize(("number", "fatal"), [(errno.EMFILE, False), (errno.ENOSPC, False), (errno.EIO, True)])
def test_an_error_of_the_key_slots_makes_no_mailbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, fatal: bool
) -> None:
    """One that passes is this command's alone; after one of the disk itself nothing is promised any more."""
    said: list[str] = []
    store = STORES["sqlite"](tmp_path, Quotas(), said.append)

    def fill(*_: object) -> None:
        raise OSError(number, "injected")

    with monkeypatch.context() as patched:
        patched.setattr(Slots, "fill", fill)
        command = commands.CreateMailbox(BOX.hash, bytes(32), BOX.key, NOW + 9, NOW)
        outcome = ask(store, command)
    assert isinstance(outcome, Failed)
    assert (outcome.code is Code.STORAGE_FULL) is (number == errno.ENOSPC)
    assert len(said) == fatal
    if not fatal:
        assert ask(store, commands.LoadOwner(BOX.hash)) == commands.OwnerKey(None)
    store.close()


def test_after_an_erasure_whose_slot_stays_nobody_is_told_ok(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """[R-11.7-5]: and the next start overwrites the slot."""
    said: list[str] = []
    store = STORES["sqlite"](tmp_path, Quotas(), said.append)
    home(store, BOX)

    def erase(*_: object) -> None:
        raise OSError(errno.EIO, "injected")

    with monkeypatch.context() as patched:
        patched.setattr(Slots, "erase", erase)
        assert ask(store, commands.Erase(BOX.hash)) == Failed(Code.UNAVAILABLE)
    assert said == ["a key slot could not be overwritten"]
    store.close()
    slots = Slots(tmp_path / "slots.bin", os.urandom)
    assert list(slots.used()) == [1]
    slots.close()
    store = opened(tmp_path)
    assert ask(store, commands.LoadOwner(BOX.hash)) == commands.OwnerKey(None)
    store.close()
    slots = Slots(tmp_path / "slots.bin", os.urandom)
    assert list(slots.used()) == []
    slots.close()


def test_a_start_that_fails_half_way_takes_nothing_from_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the run was noted: no descriptor stays open, no log is missed, nothing is lost."""
    store = opened(tmp_path)
    home(store, BOX)
    send(store, BOX, 1)
    store.close()
    before = len(os.listdir("/proc/self/fd"))

    def scrub(_: object) -> None:
        raise sqlite3.OperationalError("injected")

    with monkeypatch.context() as patched:
        patched.setattr(Database, "scrub", scrub)
        for _ in range(2):
            with pytest.raises(StorageError, match="injected"):
                opened(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before
    store = opened(tmp_path)
    assert disk.queued(store, BOX) == [disk.body(1)]
    store.close()
