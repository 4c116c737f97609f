"""Fetch, windows, acknowledgements and DRAINED, read from lists of effects."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from server.cores import BOX, code, owner, parsed, say
from server.talk import NOW, envelope
from troth_protocol.wire import Code, Via, answers, requests
from troth_server import commands
from troth_server.connection import Connection
from troth_server.effects import Ask, Close, CloseCode, Effect, Subscribe
from troth_server.subscription import Subscription


def row(number: int) -> commands.Queued:
    return commands.Queued(number, Via.TOKEN, bytes(32), envelope(number))


def page(*numbers: int, more: bool = False, last: int | None = None) -> commands.Page:
    return commands.Page(tuple(map(row, numbers)), more, max(numbers, default=0) if last is None else last)


def fetch(window: int) -> tuple[Connection, Ask]:
    core = owner()
    subscribe, asked = say(core, requests.Fetch(window), 5)
    assert subscribe == Subscribe(BOX.hash)
    assert asked == Ask(5, commands.LoadQueue(BOX.hash, 0, window, NOW))
    assert isinstance(asked, Ask)
    return core, asked


def sent(effects: list[Effect]) -> list[int | str]:
    """Numbers of envelopes, and DRAINED."""
    found: list[int | str] = []
    for each in parsed(effects):
        if isinstance(each, answers.Envelope):
            found.append(each.sequence)
        elif isinstance(each, answers.Drained):
            found.append("DRAINED")
    return found


def asks(effects: list[Effect]) -> list[Ask]:
    return [each for each in effects if isinstance(each, Ask)]


def acknowledge(core: Connection, *numbers: int) -> list[Effect]:
    (asked,) = say(core, requests.Acknowledge(numbers), 9)
    assert isinstance(asked, Ask)
    assert asked.command == commands.Forget(BOX.hash, numbers)
    effects = core.result(asked, commands.Done(), NOW)
    assert parsed(effects)[0] == answers.Ok()
    return effects


def test_an_empty_queue_is_drained_at_once() -> None:
    core, asked = fetch(4)
    assert sent(core.result(asked, page(), NOW)) == ["DRAINED"]
    assert sent(core.deposited(row(1), NOW)) == [1]


def test_drained_waits_for_the_acknowledgement_of_what_was_queued() -> None:
    """[R-11.4-4]"""
    core, asked = fetch(4)
    assert sent(core.result(asked, page(1, 2), NOW)) == [1, 2]
    assert sent(acknowledge(core, 1)) == []
    assert sent(core.deposited(row(3), NOW)) == [3]
    assert sent(acknowledge(core, 2)) == ["DRAINED"]
    assert sent(acknowledge(core, 3)) == []


def test_the_window_is_never_exceeded_and_refills() -> None:
    """[R-11.4-3]"""
    core, asked = fetch(2)
    effects = core.result(asked, page(1, 2, more=True, last=5), NOW)
    assert sent(effects) == [1, 2]
    assert asks(effects) == []
    assert core.deposited(row(6), NOW) == []
    (asked,) = asks(acknowledge(core, 1))
    assert asked.command == commands.LoadQueue(BOX.hash, 2, 1, NOW)
    assert sent(core.result(asked, page(3, more=True, last=6), NOW)) == [3]


def test_live_envelopes_keep_within_the_window_and_in_order() -> None:
    core, asked = fetch(2)
    core.result(asked, page(), NOW)
    assert sent(core.deposited(row(1), NOW)) == [1]
    assert sent(core.deposited(row(2), NOW)) == [2]
    assert core.deposited(row(3), NOW) == []
    (asked,) = asks(acknowledge(core, 1))
    assert asked.command == commands.LoadQueue(BOX.hash, 2, 1, NOW)
    core.result(asked, page(3, more=True), NOW)
    core, asked = fetch(2)
    core.result(asked, page(last=7), NOW)
    for odd in (7, 9):  # one that was sent already, one that leaves a gap: ask the store
        effects = core.deposited(row(odd), NOW)
        assert sent(effects) == []
        (asked,) = asks(effects)
        core.result(asked, page(last=7), NOW)


def test_a_deposit_during_a_load_is_looked_for_again() -> None:
    core, asked = fetch(4)
    assert core.deposited(row(1), NOW) == []
    effects = core.result(asked, page(), NOW)
    (again,) = asks(effects)
    assert sent(core.result(again, page(1), NOW)) == [1]


def test_unknown_acknowledgements_change_nothing() -> None:
    """[R-11.4-8]"""
    core, asked = fetch(4)
    core.result(asked, page(3, 4, last=4), NOW)
    for numbers in ((5,), (0,), (3, 5), (2**64 - 1,)):
        assert code(say(core, requests.Acknowledge(numbers))) == Code.ACK_UNKNOWN
    assert code(say(owner(), requests.Acknowledge((1,)))) == Code.ACK_UNKNOWN


def test_a_repeated_acknowledgement_is_ok_also_on_a_later_connection() -> None:
    """[R-11.4-8]"""
    core, asked = fetch(4)
    core.result(asked, page(3, last=3), NOW)
    acknowledge(core, 3)
    in_vain = [requests.Acknowledge((3,)), requests.Acknowledge((1, 2))]  # 1, 2: gone before this connection was made
    assert [parsed(say(core, each)) for each in in_vain] == [[answers.Ok()]] * 2  # the store is not asked
    core, asked = fetch(4)
    core.result(asked, page(last=3), NOW)
    assert parsed(say(core, in_vain[0])) == [answers.Ok()]


def test_a_failed_acknowledgement_keeps_the_envelope_waiting() -> None:
    core, asked = fetch(1)
    core.result(asked, page(1, more=True, last=2), NOW)
    (asked,) = asks(say(core, requests.Acknowledge((1,))))
    effects = core.result(asked, commands.Failed(Code.STORAGE_FULL), NOW)
    assert code(effects) == Code.STORAGE_FULL
    assert asks(effects) == []


def test_a_second_fetch_starts_again_and_an_old_page_is_dropped() -> None:
    core, old = fetch(4)
    _, new = say(core, requests.Fetch(4), 6)
    assert isinstance(new, Ask)
    assert core.result(old, page(1), NOW) == []
    assert sent(core.result(new, page(1), NOW)) == [1]


def test_a_page_that_cannot_be_read_ends_the_fetch_and_another_may_follow() -> None:
    core, asked = fetch(4)
    assert code(core.result(asked, commands.Failed(Code.UNAVAILABLE), NOW)) == Code.UNAVAILABLE
    assert core.deposited(row(1), NOW) == []
    assert asks(say(core, requests.Fetch(4), 6))


def test_a_connection_that_is_taken_over_says_so_and_is_silent() -> None:
    core, asked = fetch(4)
    assert core.taken_over() == [Close(CloseCode.TAKEN_OVER, "TAKEN_OVER")]
    assert core.result(asked, page(1), NOW) == []
    assert core.deposited(row(1), NOW) == []
    assert say(core, requests.Count()) == []


class Queue:
    """A mailbox in a few lines, as the model."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.last = 0

    def deposit(self) -> commands.Queued:
        self.last += 1
        self.rows.append(self.last)
        return row(self.last)

    def load(self, command: commands.Command) -> commands.Page:
        assert isinstance(command, commands.LoadQueue)
        rows = [number for number in self.rows if number > command.after][: command.count]
        return commands.Page(tuple(map(row, rows)), len(rows) == command.count, self.last)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 6), st.integers(1, 5), st.lists(st.sampled_from("dlaAsp"), max_size=60))
def test_any_interleaving_delivers_all_once_in_order_within_the_window(queued: int, window: int, steps: str) -> None:
    queue = Queue()
    for _ in range(queued):
        queue.deposit()
    subscription = Subscription(1, b"m" * 32, window)
    loading = asks(subscription.load(NOW))
    delivered: list[int] = []
    waiting: list[int] = []
    drained_at: list[int] = []
    taken: list[tuple[Ask, commands.Page]] = []

    def note(effects: list[Effect]) -> None:
        for each in sent(effects):
            if isinstance(each, int):
                delivered.append(each)
                waiting.append(each)
            else:
                drained_at.append(len(delivered))
                assert not [number for number in waiting if number <= first_last]
        loading.extend(asks(effects))
        assert len(waiting) <= window

    first_last = queued

    def read() -> None:
        nonlocal first_last
        if loading:
            asked = loading.pop()
            if not delivered and not drained_at:
                first_last = queue.last
            taken.append((asked, queue.load(asked.command)))

    def hand() -> None:
        if taken:
            note(subscription.loaded(*taken.pop(0), NOW))

    def forget(numbers: list[int]) -> None:
        for number in numbers:
            queue.rows.remove(number)
            waiting.remove(number)
        note(subscription.forgotten(numbers, NOW))

    for step in [*steps, *"lplalplalplalplalplalplalplalplalplalplalplAlplAlplAlplAlplAlplA" * 2]:
        if step == "d":
            note(subscription.wake(queue.deposit(), NOW))
        elif step == "s":  # a deposit while the reader is slow
            queue.deposit()
            note(subscription.wake(None, NOW))
        elif step == "l":
            read()
        elif step == "p":
            hand()
        elif step == "a" and waiting:
            forget(waiting[:1])
        elif step == "A" and waiting:
            forget(waiting[:])
        assert len(loading) + len(taken) <= 1
    assert delivered == list(range(1, queue.last + 1))
    assert len(drained_at) == 1
