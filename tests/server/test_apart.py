"""The store in a process of its own: what passes between the two, and what becomes of either when the other ends.

That it keeps the contract of a store, the tests with the ``store`` fixture show.
"""

from __future__ import annotations

import dataclasses
import io
import os
import pickle
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from server.conftest import no_fatal
from server.talk import NOW, Box, ask, envelope
from troth_protocol import ownership
from troth_protocol.errors import StorageError, StorageUntrusted, TrothError, UserError
from troth_protocol.token import EPOCH_SECONDS
from troth_protocol.wire import Code, Via
from troth_server import blob_commands, commands
from troth_server.commands import Deposited, Done, Failed
from troth_server.limits import Quotas
from troth_server.storage import STORES, Fatal, Store
from troth_server.storage.apart import Apart, decode, encode

PATIENCE = 20


def apart(folder: Path, on_fatal: Fatal = no_fatal) -> Apart:
    return Apart(lambda fatal: STORES["sqlite"](folder, Quotas(), fatal), on_fatal)


def create(store: Store, box: Box) -> None:
    made = commands.CreateMailbox(box.hash, ownership.stored(box.secret), box.key, NOW + EPOCH_SECONDS, NOW)
    assert ask(store, made) == Done()


def deposit(box: Box, number: int) -> commands.Deposit:
    return commands.Deposit(box.mailbox, box.token(number), envelope(number), NOW)


def ended(pid: int) -> bool:
    """Whether a process is gone, or waits only for its parent to look."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def until(condition: Callable[[], bool]) -> bool:
    late = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < late:
        time.sleep(0.01)
    return condition()


KINDS = sorted(
    (kind for module in (commands, blob_commands) for kind in vars(module).values() if dataclasses.is_dataclass(kind)),
    key=str,
)
SAMPLES: dict[str, object] = {
    "int": 7, "bytes": b"\0" * 32, "bool": True, "Code": Code.UNAVAILABLE, "Via": Via.SPARE, "bytes | None": None,
    "tuple[bytes, ...]": (b"a", b"b"), "tuple[int, ...]": (1, 2**60), "Ticket | None": commands.Ticket(b"t", 1, 2),
    "Queued | None": commands.Queued(1, Via.TOKEN, b"m", b"e"),
    "tuple[Queued, ...]": (commands.Queued(1, Via.INTRO, b"m", b"e"),) * 2,
    "tuple[EnvelopeView, ...]": (commands.EnvelopeView(1, Via.INTRO, 2, 3, b"h"),),
    "tuple[QueuedView, ...]": (commands.QueuedView(b"h", 1, 2, 3, ()),),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_command_and_outcome_arrives_as_it_was(kind: Any) -> None:
    made = kind(*(SAMPLES[str(field.type)] for field in dataclasses.fields(kind)))
    batch = [(1, made), (2**40, made)]
    assert decode(io.BytesIO(encode(batch))) == batch


@pytest.mark.parametrize("stranger", [os.getcwd, Path("x"), Quotas(), UserError("x"), print, TrothError], ids=repr)
def test_nothing_else_is_made_of_what_arrives(stranger: object) -> None:
    with pytest.raises(pickle.UnpicklingError, match="neither a command nor an outcome"):
        decode(io.BytesIO(pickle.dumps([(1, stranger)])))


def test_a_class_of_the_same_name_elsewhere_is_not_the_one() -> None:
    with pytest.raises(pickle.UnpicklingError):
        decode(io.BytesIO(b"\x80\x05cos\nDone\n."))


@pytest.mark.parametrize("raised", [StorageError("no room"), StorageUntrusted("torn"), UserError("no such thing")])
def test_what_fails_at_the_start_is_raised_here(raised: TrothError) -> None:
    def fails(_: Fatal) -> Store:
        raise raised

    with pytest.raises(type(raised), match=str(raised)) as caught:
        Apart(fails, no_fatal)
    assert type(caught.value) is type(raised)


def test_an_end_at_the_start_is_an_error() -> None:
    with pytest.raises(StorageError, match="ended at its start"):
        Apart(lambda _: os._exit(1), no_fatal)


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_the_other_process_has_no_descriptor_of_ours(tmp_path: Path) -> None:
    with (tmp_path / "ours").open("wb"):
        store = apart(tmp_path / "data")
        fds = Path("/proc") / str(store.pid) / "fd"
        held = {os.readlink(fd) for fd in fds.iterdir() if int(fd.name) > 2}
        store.close()
    assert len([name for name in held if name.startswith("socket:")]) == 1
    files = {name for name in held if not name.startswith("socket:")}
    assert files
    assert all(name.startswith(str(tmp_path / "data")) for name in files)


def test_it_stops_for_no_signal_that_is_meant_for_us(tmp_path: Path) -> None:
    store, box = apart(tmp_path), Box()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(store.pid, number)
    create(store, box)
    assert isinstance(ask(store, deposit(box, 1)), Deposited)
    store.close()
    assert ended(store.pid)


def test_what_was_submitted_is_finished_before_it_closes(tmp_path: Path) -> None:
    store, box = apart(tmp_path), Box()
    create(store, box)
    outcomes: queue.SimpleQueue[commands.Outcome] = queue.SimpleQueue()
    for number in range(1_000):
        store.submit(deposit(box, number), outcomes.put)
    store.close()
    assert [type(outcomes.get_nowait()) for _ in range(1_000)] == [Deposited] * 1_000
    reopened = STORES["sqlite"](tmp_path, Quotas(), no_fatal)
    assert ask(reopened, commands.CountHeld(box.hash)) == commands.Held(0, 1_000)
    reopened.close()


def test_if_it_is_killed_nothing_more_is_promised(tmp_path: Path) -> None:
    said: list[str] = []
    store, box = apart(tmp_path, said.append), Box()
    create(store, box)
    os.kill(store.pid, signal.SIGSTOP)
    outcomes: queue.SimpleQueue[commands.Outcome] = queue.SimpleQueue()
    store.submit(deposit(box, 1), outcomes.put)
    os.kill(store.pid, signal.SIGKILL)
    assert outcomes.get(timeout=PATIENCE) == Failed(Code.UNAVAILABLE)
    assert ask(store, deposit(box, 2)) == Failed(Code.UNAVAILABLE)
    assert said == ["the store's process ended"]
    store.close()
    assert said == ["the store's process ended"]


def test_what_cannot_be_said_ends_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    store = apart(tmp_path, said.append)

    def no_memory(_: object) -> bytes:
        raise MemoryError

    monkeypatch.setattr("troth_server.storage.apart.encode", no_memory)
    assert ask(store, commands.CountHeld(bytes(32))) == Failed(Code.UNAVAILABLE)
    store.close()
    assert said == ["the store's process ended"]


def test_it_closes_where_children_are_forgotten(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        apart(tmp_path).close()
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_a_disk_that_cannot_be_trusted_is_told_here_once(tmp_path: Path) -> None:
    class Broken:
        def __init__(self, fatal: Fatal) -> None:
            self.fatal = fatal

        def submit(self, command: commands.Command, done: Callable[[commands.Outcome], None]) -> None:
            done(Done())
            self.fatal("SQLite error 10")
            done(Failed(Code.UNAVAILABLE))

        def view(self, limit: int) -> tuple[commands.QueuedView, ...]:
            return ()

        def close(self) -> None:
            pass

    said: list[str] = []
    store = Apart(Broken, said.append)
    assert ask(store, commands.CountHeld(bytes(32))) == Done()
    assert until(lambda: said == ["SQLite error 10"])
    store.close()
    assert said == ["SQLite error 10"]


_CHILD = """
import sys, time
from pathlib import Path
from server.test_apart import apart, create, deposit
from server.talk import Box
from troth_server.commands import Deposited
store, box = apart(Path(sys.argv[1])), Box()
create(store, box)
print(store.pid, box.hash.hex(), flush=True)
for number in range(10**6):
    store.submit(deposit(box, number), lambda outcome: sys.stdout.write("." * isinstance(outcome, Deposited)))
    if number % 50 == 49:
        time.sleep(0.001)
"""


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process with a store apart, at work."""
    path = os.pathsep.join(name for name in sys.path if name)
    started = subprocess.Popen(
        [sys.executable, "-uc", _CHILD, str(tmp_path)], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}
    )
    yield started
    started.kill()
    started.communicate()


def test_if_we_are_killed_it_finishes_and_ends(parent: subprocess.Popen[bytes], tmp_path: Path) -> None:
    assert parent.stdout is not None
    pid, box = parent.stdout.readline().split()
    parent.stdout.read(100)
    parent.kill()
    said = parent.stdout.read()  # to the end: both processes hold it
    assert ended(int(pid))
    store = STORES["sqlite"](tmp_path, Quotas(), no_fatal)
    held = ask(store, commands.CountHeld(bytes.fromhex(box.decode())))
    store.close()
    assert isinstance(held, commands.Held)
    assert held.envelopes >= 100 + len(said)


def test_whoever_starts_right_after_a_kill_waits_for_it(parent: subprocess.Popen[bytes], tmp_path: Path) -> None:
    assert parent.stdout is not None
    parent.stdout.readline()
    parent.stdout.read(100)
    parent.kill()
    STORES["sqlite"](tmp_path, Quotas(), no_fatal).close()
