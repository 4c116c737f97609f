"""The store's contract; nothing above it knows which engine answers, and one contract test runs against each.

- ``submit`` takes a command from any thread and calls ``done`` once, on a thread of the store's own, after what the
  command changed is on disk (fsync). Commands given from one thread are carried out in that order, those about blobs
  among themselves: no message waits for a blob.
- Each command is atomic: all of it or nothing. A command that fails harms no other.
- When the disk refuses, the outcome is Failed and nothing was changed. When the disk cannot be trusted any more (an
  input or output error, corruption), the store fails everything from then on and calls ``on_fatal`` once.
- What is damaged on disk is treated as not there: no altered byte is served, and no right is taken from it.
- To open what another run left can fail with StorageUntrusted; ``accept_loss`` is the operator's word that what the
  last run acknowledged last may be gone. The clock is each command's ``now``; ``uptime`` tells running time, in
  seconds, so that a clock that jumps drops nothing before its time.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from troth_protocol.errors import StorageError
from troth_server.commands import Command, Look, Outcome, QueuedView, Views
from troth_server.limits import Quotas

Done: TypeAlias = Callable[[Outcome], None]
Fatal: TypeAlias = Callable[[str], None]
Uptime: TypeAlias = Callable[[], float]


class Store(Protocol):
    """Where mailboxes live."""

    def submit(self, command: Command, done: Done) -> None:
        """Carry out ``command``, then call ``done`` with its outcome."""

    def view(self, limit: int) -> tuple[QueuedView, ...]:
        """What lies in the queues, for at most ``limit`` mailboxes of ``limit`` envelopes; waits for the answer."""

    def close(self) -> None:
        """Carry out what was submitted, then let go of the files."""


def viewed(store: Store, limit: int) -> tuple[QueuedView, ...]:
    """Ask a store to Look, and wait for the answer; StorageError."""
    answer: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    store.submit(Look(limit), answer.put)
    outcome = answer.get()
    if not isinstance(outcome, Views):
        raise StorageError("the store cannot be read")
    return outcome.mailboxes


class OpenStore(Protocol):
    """How an engine's store is opened."""

    def __call__(
        self, data: Path, quotas: Quotas, on_fatal: Fatal, uptime: Uptime = ..., *, accept_loss: bool = ...
    ) -> Store:
        """Open or create what lies in the folder ``data``; StorageError, StorageUntrusted, UserError."""


def running() -> float:
    """Seconds that this machine has run, also asleep where the system counts that."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _open_sqlite(
    data: Path, quotas: Quotas, on_fatal: Fatal, uptime: Uptime = running, *, accept_loss: bool = False
) -> Store:
    from .sqlite import SqliteStore

    return SqliteStore(data / "relay.db", quotas, on_fatal, uptime, accept_loss=accept_loss)


STORES: Final[dict[str, OpenStore]] = {"sqlite": _open_sqlite}
"""Engines by the name the configuration gives; each is imported only when it is chosen."""
