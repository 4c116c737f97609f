"""The store's contract; nothing above it knows which engine answers, and one contract test runs against each.

- ``submit`` takes a command from any thread and calls ``done`` once, on the store's own thread, after what the command
  changed is on disk (fsync). Commands given from one thread are carried out in that order.
- Each command is atomic: all of it or nothing. A command that fails harms no other.
- When the disk refuses, the outcome is Failed and nothing was changed. When the disk cannot be trusted any more (an
  input or output error, corruption), the store fails everything from then on and calls ``on_fatal`` once.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from troth_server.commands import Command, Outcome, QueuedView
from troth_server.limits import Quotas

Done: TypeAlias = Callable[[Outcome], None]
Fatal: TypeAlias = Callable[[str], None]


class Store(Protocol):
    """Where mailboxes live."""

    def submit(self, command: Command, done: Done) -> None:
        """Carry out ``command``, then call ``done`` with its outcome."""

    def view(self, limit: int) -> tuple[QueuedView, ...]:
        """What lies in the queues, for at most ``limit`` mailboxes of ``limit`` envelopes; waits for the answer."""

    def close(self) -> None:
        """Carry out what was submitted, then let go of the files."""


OpenStore: TypeAlias = Callable[[Path, Quotas, Fatal], Store]


def _open_sqlite(data: Path, quotas: Quotas, on_fatal: Fatal) -> Store:
    from .sqlite import SqliteStore

    return SqliteStore(data / "relay.db", quotas, on_fatal)


STORES: Final[dict[str, OpenStore]] = {"sqlite": _open_sqlite}
"""Engines by the name the configuration gives; each is imported only when it is chosen."""
