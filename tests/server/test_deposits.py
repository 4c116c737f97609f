"""Deliveries that stand together in a group are judged as if each had come alone."""

from __future__ import annotations

import queue
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from server.talk import NOW, Box, envelope
from troth_protocol import ownership, token
from troth_server.commands import (
    Command,
    CreateMailbox,
    Deposit,
    Deposited,
    Done,
    Full,
    LoadQueue,
    Outcome,
    Page,
    Refused,
)
from troth_server.limits import GROUP, Quotas
from troth_server.storage import STORES, Store


def wait(gate: threading.Event) -> None:
    gate.wait(10)


class Held:
    """A store whose thread waits while commands pile up, so that they are one group."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def together(self, *asked: Command) -> list[Outcome]:
        gate, outcomes = threading.Event(), queue.SimpleQueue[Outcome]()
        self._store.submit(LoadQueue(bytes(32), 0, 1, NOW), lambda _: wait(gate))
        for command in asked:
            self._store.submit(command, outcomes.put)
        gate.set()
        return [outcomes.get(timeout=10) for _ in asked]


@pytest.fixture(params=sorted(STORES))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> object:
    quotas = replace(Quotas(), envelopes=GROUP)
    opened = STORES[request.param](tmp_path, quotas, pytest.fail)
    yield opened
    opened.close()


def create(box: Box) -> CreateMailbox:
    return CreateMailbox(box.hash, ownership.stored(box.secret), box.key, NOW + token.EPOCH_SECONDS, NOW)


def deposit(box: Box, number: int, mark: int | None = None) -> Deposit:
    return Deposit(box.mailbox, box.token(number), envelope(number if mark is None else mark), NOW)


def numbers(outcomes: list[Outcome]) -> list[int | None]:
    return [outcome.row.number if isinstance(outcome, Deposited) and outcome.row else None for outcome in outcomes]


def test_a_group_is_judged_in_order(store: Store) -> None:
    ours, theirs, nobody = Box(), Box(), Box()
    stranger = replace(ours, key=bytes(32))
    outcomes = Held(store).together(
        create(ours), create(theirs), deposit(ours, 1), deposit(theirs, 1), deposit(ours, 1), deposit(ours, 1, mark=2),
        deposit(nobody, 1), deposit(stranger, 3), deposit(ours, 2), deposit(theirs, 2),
    )  # fmt: skip
    assert numbers(outcomes[2:]) == [1, 1, None, None, None, None, 2, 2]
    assert outcomes[4] == Deposited(ours.hash, None)  # the same again: answered as before, stored once
    assert outcomes[5:8] == [Refused()] * 3  # another envelope, an unknown mailbox, a wrong key
    (page,) = Held(store).together(LoadQueue(ours.hash, 0, 64, NOW))
    assert isinstance(page, Page)
    assert [row.envelope for row in page.rows] == [envelope(1), envelope(2)]


def test_a_quota_ends_within_a_group_and_what_stands_before_another_command_counts(store: Store) -> None:
    box = Box()
    held = Held(store)
    assert held.together(create(box)) == [Done()]
    first = held.together(*(deposit(box, number) for number in range(GROUP - 2)))
    assert numbers(first) == list(range(1, GROUP - 1))
    load = LoadQueue(box.hash, GROUP - 2, 64, NOW)
    outcomes = held.together(
        *(deposit(box, 1_000 + n) for n in range(3)), load, deposit(box, 2_000), deposit(box, 1_000)
    )
    assert numbers(outcomes[:3]) == [GROUP - 1, GROUP, None]
    assert outcomes[2] == outcomes[4] == Full()
    assert outcomes[5] == Deposited(box.hash, None)
    assert isinstance(outcomes[3], Page)
    assert [row.number for row in outcomes[3].rows] == [GROUP - 1, GROUP]


def test_more_mailboxes_than_one_question_asks_for(store: Store) -> None:
    boxes = [Box() for _ in range(GROUP - 1)]
    held = Held(store)
    assert set(held.together(*map(create, boxes))) == {Done()}
    for number in range(3):
        outcomes = held.together(*(deposit(box, number) for box in boxes))
        assert numbers(outcomes) == [number + 1] * len(boxes)
