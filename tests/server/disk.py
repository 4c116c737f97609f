"""What the tests of the disk share: a marked mailbox, a search of all bytes, and a disk of one's own."""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import pytest

from server.talk import NOW, Box, ask
from troth_protocol import ownership
from troth_protocol.token import mailbox_hash
from troth_protocol.wire import BUNDLE_SIZE, LEAF_SIZE
from troth_server import commands
from troth_server.commands import Deposited, Done, Page
from troth_server.limits import EPOCH_AHEAD
from troth_server.storage import Store

BATCH: Final = b"MARKED-BATCH-ID!"
CARD: Final = b"MARKED-CAPABILITY-HASH".ljust(32, b"c")
SPARE: Final = b"MARKED-SPARE-HASH".ljust(32, b"s")
LOOKUP: Final = mailbox_hash(b"lookup".ljust(32, b"l"))
BUNDLE: Final = b"MARKED-BUNDLE".ljust(BUNDLE_SIZE, b"B")


class Uptime:
    """A machine that has run for as long as the test says."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


def nonce(number: int) -> bytes:
    return b"MARKED-NONCE" + number.to_bytes(4, "big")


def body(number: int, size: int = 1_154) -> bytes:
    return (b"MARKED-ENVELOPE" + number.to_bytes(4, "big")).ljust(size, b"E")


def leaf(index: int) -> bytes:
    return (bytes([index]) + b"MARKED-LEAF").ljust(LEAF_SIZE, b"L")


def token(box: Box, number: int) -> bytes:
    """A token whose nonce is marked."""
    return box.token(int.from_bytes(b"MARKED-TOKEN" + number.to_bytes(4, "big"), "big"))


def home(store: Store, box: Box | None = None, now: int = NOW) -> Box:
    box = box or Box()
    command = commands.CreateMailbox(box.hash, ownership.stored(box.secret), box.key, now + EPOCH_AHEAD, now)
    assert ask(store, command) == Done()
    return box


def send(store: Store, box: Box, number: int, now: int = NOW, size: int = 1_154) -> commands.Outcome:
    return ask(store, commands.Deposit(box.mailbox, token(box, number), body(number, size), now))


def send_all(store: Store, wanted: Iterable[tuple[Box, int]], now: int = NOW) -> None:
    """Many deliveries, in as few commits as the store makes of them."""
    outcomes: queue.SimpleQueue[commands.Outcome] = queue.SimpleQueue()
    count = 0
    for box, number in wanted:
        store.submit(commands.Deposit(box.mailbox, token(box, number), body(number), now), outcomes.put)
        count += 1
    assert all(isinstance(outcomes.get(timeout=60), Deposited) for _ in range(count))


def furnish(store: Store, box: Box, now: int = NOW) -> None:
    """One of everything in the mailbox: card, leaves, a spare that was used, envelopes by all three rights."""
    for command in (
        commands.PutBundle(box.hash, LOOKUP, CARD, 3, BATCH, BUNDLE),
        commands.PutLeaves(box.hash, BATCH, tuple(map(leaf, range(4)))),
        commands.ChangeSpares(box.hash, (SPARE,), ()),
    ):
        assert ask(store, command) == Done()
    for delivery in (
        commands.DepositSpare(box.hash, SPARE, nonce(1), body(1), now),
        commands.DepositFirst(LOOKUP, CARD, nonce(2), body(2), now),
    ):
        assert isinstance(ask(store, delivery), Deposited)
    assert isinstance(send(store, box, 3, now), Deposited)
    assert isinstance(ask(store, commands.TakeBundle(LOOKUP, CARD, now)), commands.Taken)


def markers(box: Box) -> dict[str, bytes]:
    """Everything of a furnished mailbox that must be nowhere once it is erased."""
    return {
        "hash": box.hash, "stored": ownership.stored(box.secret), "key": box.key, "token nonce": token(box, 3)[:16],
        "batch": BATCH, "card": CARD, "spare": SPARE, "lookup": LOOKUP, "bundle": BUNDLE[:32], "leaf": leaf(1)[:40],
        "nonce": nonce(1)[:12], "envelope": body(1)[:15],
    }  # fmt: skip


def page(store: Store, box: Box, now: int = NOW, count: int = 64, after: int = 0) -> Page:
    got = ask(store, commands.LoadQueue(box.hash, after, count, now))
    assert isinstance(got, Page)
    return got


def queued(store: Store, box: Box, now: int = NOW) -> list[bytes]:
    """All bodies in the queue, page by page."""
    got: list[bytes] = []
    after, more = 0, True
    while more:
        each = page(store, box, now, after=after)
        got += [row.envelope for row in each.rows]
        after, more = each.rows[-1].number if each.rows else after, each.more
    return got


def found(folder: Path, wanted: dict[str, bytes]) -> dict[str, list[str]]:
    """In which files each marker is."""
    files = {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: hits for name, raw in wanted.items() if (hits := [file for file in files if raw in files[file]])}


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file by name, but for the lock and what SQLite makes anew."""
    return {
        path.name: path.read_bytes() for path in files(folder) if not path.name.endswith(("-lock", "-shm", "-reserve"))
    }


def files(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.iterdir() if path.is_file())


@contextlib.contextmanager
def ext4(folder: Path, megabytes: int) -> Iterator[tuple[Path, Path]]:
    """An ext4 image in a folder, and where it is mounted; skips where that cannot be had."""
    image, mounted = folder / "disk.img", folder / "mounted"
    if os.geteuid() != 0:
        pytest.skip("mounting an image takes root")
    mounted.mkdir()
    with image.open("wb") as file:
        file.truncate(megabytes * 1_048_576)
    for command in (["mkfs.ext4", "-q", "-F", str(image)], ["mount", "-o", "loop", str(image), str(mounted)]):
        try:
            done = subprocess.run(command, capture_output=True, timeout=60, check=False)
        except FileNotFoundError:
            pytest.skip(f"there is no {command[0]}")
        if done.returncode:
            pytest.skip(f"{command[0]} does not work here: {done.stderr.decode().strip()[:80]}")
    try:
        yield image, mounted
    finally:
        subprocess.run(["umount", "--lazy", str(mounted)], timeout=60, check=True)
