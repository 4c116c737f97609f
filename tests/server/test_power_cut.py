"""A power cut in the middle of work: what the disk had at that moment is mounted, and nothing acknowledged is lost.

The relay's folder lies on an ext4 image on a loop device. The process is stopped, what it was told is read, and the
image is copied: what the system had not yet given to the disk is not in the copy, as after a loss of power. The second
test is harsher: it records what the store writes and syncs, and drops, keeps or tears whatever was not synced.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from server import crash
from server.crash import BOX
from server.disk import queued
from server.relay_files import opened
from server.talk import NOW, ask
from troth_server import commands
from troth_server.commands import Done

_LIFE: Final = """
import os, sys
from pathlib import Path
from server import crash, disk
from server.crash import BOX, GONE
from server.relay_files import opened
from troth_server import commands
from troth_server.commands import Deposited, Done
store = opened(Path(sys.argv[1]))
def say(what, number):
    os.write(1, f"{what} {number}\\n".encode())
for number in range(1, int(sys.argv[2])):
    if number == 1:
        disk.home(store, BOX)
    if isinstance(disk.send(store, BOX, number), Deposited):
        say("sent", number)
    if number % 7 == 0:
        row = disk.page(store, BOX).rows[0]
        gone = int.from_bytes(row.envelope[15:19], "big")
        say("acknowledging", gone)
        assert disk.ask(store, commands.Forget(BOX.hash, (row.number,))) == Done()
        say("acknowledged", gone)
    if number % 15 == 0:
        disk.home(store, GONE)
        disk.send(store, GONE, number)
        assert disk.ask(store, commands.Erase(GONE.hash)) == Done()
        disk.ask(store, commands.Expire(disk.NOW))
"""


def living(*words: str) -> subprocess.Popen[bytes]:
    folders = os.pathsep.join(str(Path(each).resolve()) for each in sys.path if each)
    return subprocess.Popen(
        [*words[:-2], sys.executable, "-c", _LIFE, *words[-2:]], stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": folders},
    )  # fmt: skip


def is_whole(folder: Path, words: list[str]) -> None:
    """Everything acknowledged is there, in order, once; nothing that was forgotten came back; no page is bad."""
    sent, asked, done = (crash.numbers(words, what) for what in ("sent", "acknowledging", "acknowledged"))
    store = opened(folder)
    here = [int.from_bytes(body[15:19], "big") for body in queued(store, BOX)] if sent else []
    assert here == sorted(set(here))
    assert set(here) >= set(sent) - set(asked), "an acknowledged envelope is lost"
    assert not set(here) & set(done), "an envelope came back"
    assert ask(store, commands.Expire(NOW)) == Done()
    store.close()
    sql = sqlite3.connect(folder / "relay.db")
    assert sql.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    sql.close()


@contextlib.contextmanager
def mounted(image: Path) -> Iterator[Path]:
    """The image's file system."""
    place = image.with_suffix(".mount")
    place.mkdir()
    done = subprocess.run(["mount", "-o", "loop", image, place], check=False, capture_output=True)
    if done.returncode:
        pytest.skip("may not mount a loop device here: no power cut can be made")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)
        place.rmdir()


def cut(image: Path, relay: Path, copy: Path, after: float) -> list[str]:
    """Live for a while and lose power: what was said until then; the disk as it was is ``copy``."""
    process = living(str(relay), "100000")
    assert process.stdout is not None
    said = b""
    while b"sent 3\n" not in said:
        read = os.read(process.stdout.fileno(), 65_536)
        assert read, "the store ended"
        said += read
    end = time.monotonic() + after
    os.set_blocking(process.stdout.fileno(), False)
    while time.monotonic() < end:
        with contextlib.suppress(BlockingIOError):
            said += os.read(process.stdout.fileno(), 65_536)
        time.sleep(0.002)
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    with contextlib.suppress(BlockingIOError):
        while read := os.read(process.stdout.fileno(), 65_536):
            said += read
    shutil.copyfile(image, copy)
    process.kill()
    process.wait()
    process.stdout.close()
    return said.decode().splitlines()


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("mkfs.ext4") is None, reason="a power cut needs root and mkfs.ext4: no image made"
)
@pytest.mark.parametrize("cuts", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_after_a_power_cut_nothing_acknowledged_is_lost(tmp_path: Path, cuts: int) -> None:
    """[R-11.7-1] [R-11.4-1]"""
    rng = random.Random(cuts)
    image = tmp_path / "disk.img"
    for number in range(cuts):
        with image.open("wb") as made:
            made.truncate(24 * 1_048_576)
        subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True, capture_output=True)
        copy = tmp_path / "copy.img"
        with mounted(image) as place:
            words = cut(image, place / str(number), copy, 0.1 + rng.random() * 0.6)
            assert len(crash.numbers(words, "sent")) >= 3
        with mounted(copy) as place:
            is_whole(place / str(number), words)


# Writes that were never synced, in every mixture.

_CALL: Final = re.compile(
    rb"^\d+ +(pwrite64|write|ftruncate|fsync|fdatasync|unlink|unlinkat|fallocate|link|linkat|rename)\((.*)\) += (-?\d+)"
)
_FILE: Final = re.compile(rb"^\d+<([^>]*)>, ?(.*)$|^\d+<([^>]*)>$")


def recorded(folder: Path, log: Path, count: int) -> list[tuple[bytes, ...]]:
    """What a life of ``count`` deliveries writes, syncs and says, in order."""
    process = living(
        "strace", "-f", "-qq", "-y", "-xx", "-s", "1000000", "-o", str(log), "-e",
        "trace=pwrite64,write,ftruncate,fsync,fdatasync,unlink,unlinkat,fallocate,link,linkat", str(folder), str(count),
    )  # fmt: skip
    process.communicate(timeout=120)
    assert process.returncode == 0
    calls: list[tuple[bytes, ...]] = []
    for line in log.read_bytes().splitlines():
        found = _CALL.match(line)
        if found and int(found[3]) >= 0:
            calls.append((found[1], found[2]))
    return calls


def unhex(text: bytes) -> bytes:
    return bytes.fromhex(text.replace(b"\\x", b"").decode())


class Disk:
    """Files as they were synced last, and what was done to each since."""

    def __init__(self, folder: Path) -> None:
        self.folder = bytes(folder)
        self.synced: dict[bytes, bytes] = {}
        self.pending: dict[bytes, list[tuple[int, bytes | None]]] = {}
        self.said: list[str] = []

    def apply(self, call: bytes, arguments: bytes) -> None:
        """One call of the recorded process."""
        if call in (b"unlink", b"unlinkat", b"link", b"linkat"):
            names = [unhex(name) for name in re.findall(rb'"([^"]*)"', arguments)]
            if call.startswith(b"link"):
                self.synced[os.path.basename(names[1])] = self.synced.get(os.path.basename(names[0]), b"")
            elif os.path.dirname(names[0]) == self.folder:  # ordered before any later sync by the file system's journal
                self.synced.pop(os.path.basename(names[0]), None)
                self.pending.pop(os.path.basename(names[0]), None)
            return
        found = _FILE.match(arguments)
        if not found:
            return
        path, rest = (found[1], found[2]) if found[1] is not None else (found[3], b"")
        path = unhex(path) if path.startswith(b"\\x") else path
        if call == b"write" and b'"' in rest and arguments.startswith(b"1<"):
            self.said += unhex(rest.split(b'"')[1]).decode().splitlines()
        name = os.path.basename(path)
        if os.path.dirname(path) != self.folder or name.endswith((b"-shm", b"-lock", b"-reserve")):
            return
        pending = self.pending.setdefault(name, [])
        if call == b"pwrite64":
            _, data, numbers = rest.split(b'"')
            pending.append((int(numbers.split(b", ")[2]), unhex(data)))
        elif call == b"ftruncate":
            pending.append((int(rest), None))
        elif call in (b"fsync", b"fdatasync"):
            self.synced[name] = self.rebuilt(name, None)
            self.pending[name] = []

    def rebuilt(self, name: bytes, rng: random.Random | None) -> bytes:
        """The file with everything that is pending, or with whatever of it reached the disk."""
        content = bytearray(self.synced.get(name, b""))
        for at, data in self.pending.get(name, []):
            if data is None:
                if rng is None or rng.random() < 0.5:
                    content = content[:at].ljust(at, b"\0")
                continue
            for start in range(0, len(data), 512):
                if rng is None or rng.random() < 0.5:
                    piece = data[start : start + 512]
                    content = content.ljust(at + start + len(piece), b"\0")
                    content[at + start : at + start + len(piece)] = piece
        return bytes(content)

    def lose_power(self, into: Path, rng: random.Random) -> None:
        into.mkdir()
        for name in self.synced.keys() | self.pending.keys():
            if name != b"slots.bin.new":
                path = into / name.decode()
                path.write_bytes(self.rebuilt(name, rng))
                path.chmod(0o600)


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed: writes cannot be recorded")
@pytest.mark.parametrize(("count", "cuts"), [(40, 40), pytest.param(120, 400, marks=pytest.mark.slow)])
def test_whatever_was_not_synced_may_be_lost_or_torn(tmp_path: Path, count: int, cuts: int) -> None:
    """[R-11.7-1]: each sector of each write that was not synced reached the disk or did not, at random."""
    rng = random.Random(count)
    folder = tmp_path / "life"
    calls = recorded(folder, tmp_path / "calls", count)
    first = next(at for at, (call, text) in enumerate(calls) if call == b"write" and text.startswith(b"1<"))
    lost, done = Disk(folder), 0
    for number, end in enumerate(sorted(rng.sample(range(first, len(calls)), min(cuts, len(calls) - first)))):
        for call, arguments in calls[done:end]:
            lost.apply(call, arguments)
        done = end
        lost.lose_power(tmp_path / str(number), rng)
        is_whole(tmp_path / str(number), lost.said)
        shutil.rmtree(tmp_path / str(number))
