"""What a delivery costs the store alone, against how many mailboxes there are and how long a queue is."""

from __future__ import annotations

import dataclasses
import secrets
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from troth_protocol import token
from troth_server import commands
from troth_server.limits import Quotas
from troth_server.storage import STORES, Store

_KEY: Final = secrets.token_bytes(32)
_DELIVERIES: Final = 5_000
_UNDER_WAY: Final = 512
_BOXES_USED: Final = 200


def show(mailboxes: Iterable[int], queues: Iterable[int]) -> None:
    """Run and print a line for each size."""
    now = int(time.time())
    for count in mailboxes:
        with _store() as store:
            start = time.perf_counter()
            _all(store, (_create(number, now) for number in range(count)))
            made = count / (time.perf_counter() - start)
            used = min(count, _BOXES_USED)
            step = count // used
            each = max(1, _DELIVERIES // used)
            rate = _rate(store, [_deliver(box * step, number, now) for number in range(each) for box in range(used)])
            print(f"{count:>9,} mailboxes: made {made:,.0f}/s, deliveries {rate:,.0f}/s")
    for length in queues:
        with _store() as store:
            boxes = -(-max(length, 1) // 90_000)
            _all(store, (_create(number, now) for number in range(boxes)))
            _all(store, (_deliver(number % boxes, number, now) for number in range(length)))
            late = [_deliver(number % boxes, 10**9 + number, now) for number in range(_DELIVERIES)]
            rate = _rate(store, late)
            pages = [commands.LoadQueue(_hash(0), number, 64, now) for number in range(0, 1_000, 10)]
            loads = _rate(store, pages)
            print(f"{length:>9,} queued: deliveries {rate:,.0f}/s, pages of 64 read {loads:,.0f}/s")


@contextmanager
def _store() -> Iterator[Store]:
    quotas = dataclasses.replace(Quotas(), envelopes=10**9, envelope_bytes=10**15)
    with tempfile.TemporaryDirectory() as folder:
        store = STORES["sqlite"](Path(folder), quotas, _fatal)
        try:
            yield store
        finally:
            store.close()


def _fatal(reason: str) -> None:
    raise SystemExit(reason)


def _box(number: int) -> bytes:
    return number.to_bytes(32, "big")


def _hash(number: int) -> bytes:
    return token.mailbox_hash(_box(number))


def _create(number: int, now: int) -> commands.Command:
    return commands.CreateMailbox(_hash(number), bytes(32), _KEY, now + token.EPOCH_SECONDS, now)


def _deliver(box: int, number: int, now: int) -> commands.Command:
    shown = token.issue(_KEY, _box(box), number.to_bytes(16, "big"))
    return commands.Deposit(_box(box), shown, number.to_bytes(8, "big").ljust(1_154, b"e"), now)


def _rate(store: Store, asked: Sequence[commands.Command]) -> float:
    start = time.perf_counter()
    _all(store, asked)
    return len(asked) / (time.perf_counter() - start)


def _all(store: Store, asked: Iterable[commands.Command]) -> None:
    """Submit with a bounded number under way; wait for the last."""
    room = threading.Semaphore(_UNDER_WAY)

    def done(outcome: commands.Outcome) -> None:
        if isinstance(outcome, commands.Refused | commands.Full | commands.Failed):
            raise SystemExit(f"the store answered {type(outcome).__name__}")
        room.release()

    for command in asked:
        room.acquire()
        store.submit(command, done)
    for _ in range(_UNDER_WAY):
        room.acquire()
