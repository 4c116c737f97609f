"""Two people and a relay that drops, duplicates, reorders and delays, as hypothesis would have it."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from simulator import NOW, TEXT, Flight, Seeded, open_sessions
from troth_protocol import session, snapshot
from troth_protocol.errors import DecryptError
from troth_protocol.pairing import Held, Pair
from troth_protocol.session import Session

SIDES = st.integers(0, 1)
LENGTHS = st.sampled_from([0, 40, 200, 700, 844, 900])


class Relay(RuleBasedStateMachine):
    """Every delivered message reads once and as written; nothing else changes a state. [R-7.4-4] [R-8.3-3]"""

    def __init__(self) -> None:
        super().__init__()
        self.sides: list[Session] = []
        self.queues: tuple[list[Flight], list[Flight]] = ([], [])
        self.read: tuple[list[Flight], list[Flight]] = ([], [])
        self.count = 0
        self.highest = [0, 0]
        self.source = Seeded(0)

    @initialize(seed=st.integers(0, 2**32))
    def meet(self, seed: int) -> None:
        self.source = Seeded(seed)
        self.sides = list(open_sessions(seed))

    @rule(side=SIDES, length=LENGTHS, count=st.integers(1, 6))
    def send(self, side: int, length: int, count: int) -> None:
        for _ in range(count):
            text = self.count.to_bytes(4, "big") + bytes(length)
            self.sides[side], wire = session.encrypt(self.sides[side], TEXT, text, randomness=self.source)
            self.queues[1 - side].append(Flight(0, self.count, wire, text))
            self.count += 1

    def take(self, side: int, flight: Flight) -> None:
        """One delivery: reads as written, whatever came before it."""
        self.sides[side], received = session.decrypt(self.sides[side], flight.wire, now=NOW)
        assert received.content == flight.text
        self.read[side].append(flight)

    @precondition(lambda self: any(self.queues))
    @rule(side=SIDES, data=st.data())
    def deliver_any(self, side: int, data: st.DataObject) -> None:
        if queue := self.queues[side]:
            self.take(side, queue.pop(data.draw(st.integers(0, len(queue) - 1))))

    @precondition(lambda self: any(self.queues))
    @rule(side=SIDES, count=st.integers(1, 10))
    def deliver_in_order(self, side: int, count: int) -> None:
        for _ in range(min(count, len(self.queues[side]))):
            self.take(side, self.queues[side].pop(0))

    @precondition(lambda self: any(self.queues))
    @rule(side=SIDES, data=st.data())
    def drop(self, side: int, data: st.DataObject) -> None:
        if queue := self.queues[side]:
            queue.pop(data.draw(st.integers(0, len(queue) - 1)))

    @precondition(lambda self: any(self.read))
    @rule(side=SIDES, data=st.data())
    def duplicate(self, side: int, data: st.DataObject) -> None:
        if old := self.read[side]:
            flight = old[data.draw(st.integers(0, len(old) - 1))]
            self.refused(side, flight.wire)

    @precondition(lambda self: any(self.queues))
    @rule(side=SIDES, place=st.integers(0, 1_153), change=st.integers(1, 255))
    def tamper(self, side: int, place: int, change: int) -> None:
        if queue := self.queues[side]:
            wire = queue[0].wire
            self.refused(side, wire[:place] + bytes([wire[place] ^ change]) + wire[place + 1 :])

    def refused(self, side: int, wire: bytes) -> None:
        """Raises a DecryptError and leaves the state as it was, byte for byte."""
        before = snapshot.encode_pair(Pair(Held(self.sides[side], own=True)))
        with pytest.raises(DecryptError):
            session.decrypt(self.sides[side], wire, now=NOW)
        assert snapshot.encode_pair(Pair(Held(self.sides[side], own=True))) == before

    @rule(side=SIDES)
    def restart(self, side: int) -> None:
        pair = Pair(Held(self.sides[side], own=True))
        restored = snapshot.decode_pair(snapshot.encode_pair(pair))
        assert restored == pair
        assert restored.active is not None
        self.sides[side] = restored.active.session

    @invariant()
    def epochs_only_rise_and_stay_together(self) -> None:
        if self.sides:
            for side in (0, 1):
                assert self.sides[side].epoch >= self.highest[side]
                self.highest[side] = self.sides[side].epoch
            assert abs(self.highest[0] - self.highest[1]) <= 1

    def teardown(self) -> None:
        """However bad it was: deliver the rest, talk for a while, and both exchanges have gone on."""
        if not self.sides:
            return
        for side in (0, 1):
            for flight in self.queues[side]:
                self.take(side, flight)
        before = min(side.epoch for side in self.sides)
        for turn in range(24):
            side = turn % 2
            self.sides[side], wire = session.encrypt(self.sides[side], TEXT, b"after", randomness=self.source)
            self.sides[1 - side], _ = session.decrypt(self.sides[1 - side], wire, now=NOW)
        assert min(side.epoch for side in self.sides) > before


TestRelay = Relay.TestCase
TestRelay.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)


class LongRelay(Relay):
    """The same, for longer."""


TestLongRelay = pytest.mark.slow(LongRelay.TestCase)
TestLongRelay.settings = settings(max_examples=600, stateful_step_count=120, deadline=None)
