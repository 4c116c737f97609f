"""What was begun is begun again when its path dies, a bounded time long; nothing is asked twice at once or lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

import pytest

from troth_client import again, lanes
from troth_client.lanes import Lane, Line
from troth_protocol.encoding import Reader
from troth_protocol.errors import ConnectionReset, NetworkError, PathSilent, TrothError
from troth_protocol.wire import answers, requests


class Wire:
    """Answers its first frames, then ends as it is told."""

    tls_key = bytes(32)
    date = None

    def __init__(self, answered: int, end: TrothError | None) -> None:
        self.asked: list[requests.Request] = []
        self.closed = False
        self._left = answered
        self._end = end
        self._frames: asyncio.Queue[bytes] = asyncio.Queue()

    async def send(self, frame: bytes) -> None:
        reader = Reader(frame)
        number = reader.u32("request id")
        self.asked.append(requests.decode_body(reader.u8("type"), reader))
        self._left -= 1
        self._frames.put_nowait(answers.encode(number, answers.Ok()) if self._left >= 0 else b"")

    async def receive(self) -> bytes:
        frame = await self._frames.get()
        if not frame and self._end is not None:
            raise self._end
        return frame

    async def close(self) -> None:
        self.closed = True
        await asyncio.sleep(0.05)


class Stand:
    """A lane over one wire after another."""

    def __init__(self, wires: Sequence[Wire | TrothError]) -> None:
        self._wires = list(wires)
        self.opened: list[Wire] = []
        self.answered: list[bytes] = []
        self.failed: list[tuple[bytes, str]] = []
        self.lane = Lane(self._open, lambda name, _: self.answered.append(name), self._fail)

    async def _open(self) -> tuple[Line, answers.Welcome]:
        wire = self._wires.pop(0)
        if isinstance(wire, TrothError):
            raise wire
        self.opened.append(wire)
        return Line(wire), answers.Welcome(1, bytes(32), bytes(32), 0, bytes(32))

    def _fail(self, name: bytes, error: TrothError) -> None:
        self.failed.append((name, error.code))

    async def landed(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.answered) + len(self.failed) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(again, "PAUSE_SECONDS", 0.01)


def fetch(number: int) -> requests.Request:
    return requests.Ledger(number)


@pytest.mark.parametrize("death", [PathSilent("silent"), ConnectionReset("cut")], ids=lambda each: each.code)
async def test_the_same_requests_go_again_in_order(death: TrothError) -> None:
    """[R-19.3-6]"""
    stand = Stand([Wire(1, death), death, Wire(0, death), Wire(9, None)])
    for number in range(4):
        stand.lane.put(bytes((number,)), fetch(number))
    await stand.landed(4)
    assert stand.answered == [bytes((number,)) for number in range(4)]
    assert not stand.failed
    assert stand.opened[-1].asked == [fetch(number) for number in (1, 2, 3)]
    assert all(wire.closed for wire in stand.opened[:-1])
    await stand.lane.close()


async def test_what_is_no_death_of_a_path_is_said_at_once() -> None:
    stand = Stand([NetworkError("no route")])
    stand.lane.put(b"a", fetch(1))
    await stand.landed(1)
    assert stand.failed == [(b"a", "NETWORK")]


async def test_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that waits fails with the last death, and the lane can be used again."""
    monkeypatch.setattr(lanes, "AGAIN_SECONDS", 0.1)
    deaths: list[Wire | TrothError] = [Wire(0, PathSilent("silent")) for _ in range(100)]
    stand = Stand(deaths)
    stand.lane.put(b"a", fetch(1))
    stand.lane.put(b"b", fetch(2))
    await stand.landed(2)
    assert stand.failed == [(b"a", "PATH_SILENT"), (b"b", "PATH_SILENT")]
    assert 1 < len(stand.opened) < 6  # each pause is twice the one before
    stand.lane.put(b"c", fetch(3))
    await stand.landed(3)
    await stand.lane.close()


async def test_what_is_put_while_a_line_is_closed_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "IDLE_SECONDS", 0.05)
    first = Wire(1, None)
    stand = Stand([first, Wire(1, None)])
    stand.lane.put(b"a", fetch(1))
    async with asyncio.timeout(10):
        while not first.closed:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    stand.lane.put(b"b", fetch(2))
    await stand.landed(2)
    assert stand.answered == [b"a", b"b"]
    await stand.lane.close()


async def test_work_is_begun_again_until_it_is_done_or_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """[R-19.3-6]"""
    deaths: list[TrothError] = [PathSilent("silent"), ConnectionReset("cut")]

    async def work(left: list[TrothError]) -> None:
        if left:
            raise left.pop(0)

    await again.insist(partial(work, deaths))
    assert not deaths
    with pytest.raises(NetworkError, match="another"):
        await again.insist(partial(work, [NetworkError("another"), PathSilent("never")]))
    monkeypatch.setattr(again, "AGAIN_SECONDS", 0.05)
    many: list[TrothError] = [PathSilent("silent") for _ in range(1_000)]
    with pytest.raises(PathSilent):
        await again.insist(partial(work, many))
    assert 994 < len(many) < 999
