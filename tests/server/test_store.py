"""The store's contract, run against every engine: atomic, idempotent, in order, within quotas, forgetting."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from server.conftest import no_fatal
from server.talk import NOW, SMALL, Box, ask, envelope
from troth_protocol import ownership, token
from troth_protocol.encoding import sha256
from troth_protocol.wire import BUNDLE_SIZE, ENVELOPES_PER_USE, LEAF_SIZE, MAX_SPENT_PER_EPOCH, Via
from troth_server import commands, deposit
from troth_server.commands import Deposited, Done, Full, Held, Outcome, Page, Refused, Rejected, Taken
from troth_server.limits import DAY, EPOCH_AHEAD, HOUR, Quotas
from troth_server.storage import OpenStore, Store

SPARE, CARD, LOOKUP, BATCH = b"s" * 32, b"c" * 32, b"l" * 32, b"b" * 16
BUNDLE = b"B" * BUNDLE_SIZE


def made(store: Store, box: Box | None = None, expires: int = NOW + EPOCH_AHEAD) -> Box:
    box = Box() if box is None else box
    command = commands.CreateMailbox(box.hash, ownership.stored(box.secret), box.key, expires, NOW)
    assert ask(store, command) == Done()
    return box


def deliver(store: Store, box: Box, number: int, body: bytes | None = None, now: int = NOW) -> Outcome:
    content = envelope(number) if body is None else body
    return ask(store, commands.Deposit(box.mailbox, box.token(number), content, now))


def queued(store: Store, box: Box, after: int = 0, count: int = 64, now: int = NOW) -> Page:
    page = ask(store, commands.LoadQueue(box.hash, after, count, now))
    assert isinstance(page, Page)
    return page


def bodies(store: Store, box: Box) -> list[bytes]:
    return [row.envelope for row in queued(store, box).rows]


def stored(outcome: Outcome) -> bool:
    assert isinstance(outcome, Deposited)
    return outcome.row is not None


def publish(store: Store, box: Box, uses: int = 1, lookup: bytes = LOOKUP, capability: bytes = CARD) -> Outcome:
    return ask(store, commands.PutBundle(box.hash, lookup, capability, uses, BATCH, BUNDLE))


def leaf(index: int) -> bytes:
    return bytes([index]).ljust(LEAF_SIZE, b"L")


def put(store: Store, box: Box, *indices: int, batch: bytes = BATCH) -> Outcome:
    return ask(store, commands.PutLeaves(box.hash, batch, tuple(map(leaf, indices))))


def take(store: Store, capability: bytes = CARD, now: int = NOW, lookup: bytes = LOOKUP) -> Outcome:
    return ask(store, commands.TakeBundle(lookup, capability, now))


def taken(outcome: Outcome) -> int | None:
    assert isinstance(outcome, Taken)
    assert outcome.bundle == BUNDLE
    return None if outcome.leaf is None else outcome.leaf[0]


def first(store: Store, nonce: int, body: bytes | None = None, capability: bytes = CARD) -> Outcome:
    content = envelope(nonce) if body is None else body
    return ask(store, commands.DepositFirst(LOOKUP, capability, nonce.to_bytes(16, "big"), content, NOW))


def spare(store: Store, box: Box, nonce: int, now: int = NOW, body: bytes | None = None) -> Outcome:
    content = envelope(nonce) if body is None else body
    return ask(store, commands.DepositSpare(box.hash, SPARE, nonce.to_bytes(16, "big"), content, now))


def held(store: Store, box: Box) -> Held:
    outcome = ask(store, commands.CountHeld(box.hash))
    assert isinstance(outcome, Held)
    return outcome


# Mailboxes.


def test_creating_the_same_mailbox_again_is_done_and_another_owners_refused(store: Store) -> None:
    box = made(store)
    made(store, box)
    for other in (Box(box.mailbox, key=box.key), Box(box.mailbox, box.secret)):
        command = commands.CreateMailbox(box.hash, ownership.stored(other.secret), other.key, NOW + 9, NOW)
        assert ask(store, command) == Refused()
    assert ask(store, commands.LoadOwner(box.hash)) == commands.OwnerKey(ownership.stored(box.secret))
    assert ask(store, commands.LoadOwner(Box().hash)) == commands.OwnerKey(None)


def test_two_epochs_are_live_and_a_third_ends_the_first(store: Store) -> None:
    """[R-10.2-3]"""
    box = made(store)
    second, third = Box(box.mailbox), Box(box.mailbox)
    for newer in (second, second):
        assert ask(store, commands.AddEpoch(box.hash, newer.key, NOW + EPOCH_AHEAD)) == Done()
    assert stored(deliver(store, box, 1))
    assert stored(deliver(store, second, 1))
    assert ask(store, commands.AddEpoch(box.hash, third.key, NOW + EPOCH_AHEAD)) == Done()
    assert deliver(store, box, 2) == Refused()
    assert stored(deliver(store, second, 2))
    assert stored(deliver(store, third, 3))


@pytest.mark.parametrize(
    "command",
    [
        commands.AddEpoch(bytes(32), bytes(32), NOW), commands.PutBundle(bytes(32), LOOKUP, CARD, 1, bytes(16), BUNDLE),
        commands.PutLeaves(bytes(32), BATCH, (leaf(0),)), commands.CountHeld(bytes(32)),
        commands.ChangeSpares(bytes(32), (SPARE,), ()), commands.TakeBundle(LOOKUP, CARD, NOW),
        commands.Deposit(bytes(32), bytes(32), envelope(1), NOW), commands.LoadQueue(bytes(32), 0, 1, NOW),
        commands.DepositSpare(bytes(32), SPARE, bytes(16), envelope(1), NOW),
        commands.DepositFirst(LOOKUP, CARD, bytes(16), envelope(1), NOW),
    ],
    ids=lambda command: type(command).__name__,
)  # fmt: skip
def test_whatever_is_not_there_is_refused(store: Store, command: commands.Command) -> None:
    assert ask(store, command) == Refused()


# Tokens.


def test_a_token_brings_one_envelope_however_often_it_is_sent(store: Store) -> None:
    """[R-10.2-4]"""
    box = made(store)
    assert stored(deliver(store, box, 1))
    for _ in range(100):
        assert not stored(deliver(store, box, 1))
    assert deliver(store, box, 1, envelope(99)) == Refused()
    assert bodies(store, box) == [envelope(1)]


def test_a_spent_token_stays_spent_after_its_envelope_is_acknowledged(store: Store) -> None:
    box = made(store)
    deliver(store, box, 1)
    assert ask(store, commands.Forget(box.hash, (1,))) == Done()
    assert not stored(deliver(store, box, 1))
    assert bodies(store, box) == []


def test_wrong_and_expired_tokens_are_refused(store: Store) -> None:
    """[R-10.2-2]"""
    box = made(store, expires=NOW + 100)
    assert deliver(store, Box(box.mailbox), 1) == Refused()
    assert deliver(store, Box(key=box.key), 1) == Refused()
    forged = box.token(1)[:16] + bytes(16)
    assert ask(store, commands.Deposit(box.mailbox, forged, envelope(1), NOW)) == Refused()
    assert deliver(store, box, 1, now=NOW + 100) == Refused()
    assert stored(deliver(store, box, 1, now=NOW + 99))


def test_of_two_concurrent_spends_of_a_nonce_one_wins(store: Store) -> None:
    """[R-10.2-4]"""
    box = made(store)
    for number in range(4):
        outcomes: list[Outcome] = []
        start = threading.Barrier(2)

        def spend(body: bytes, number: int = number, start: threading.Barrier = start) -> None:
            start.wait()
            outcomes.append(deliver(store, box, number, body))  # noqa: B023

        threads = [threading.Thread(target=spend, args=(envelope(10 * number + i),)) for i in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Deposited", "Refused"]
    assert len(bodies(store, box)) == 4


def test_the_mark_tells_the_owner_by_what_right_it_came(store: Store) -> None:
    box = made(store)
    publish(store, box)
    ask(store, commands.ChangeSpares(box.hash, (SPARE,), ()))
    deliver(store, box, 1)
    spare(store, box, 2)
    first(store, 3)
    marks = [(row.via, row.mark) for row in queued(store, box).rows]
    assert marks == [(Via.TOKEN, box.token(1)[:16] + bytes(16)), (Via.SPARE, SPARE), (Via.INTRO, LOOKUP)]


def test_an_epochs_memory_of_nonces_is_bounded() -> None:
    """[R-10.2-5]"""
    box = Box()
    epoch = deposit.Epoch(1, box.key, NOW + 1, MAX_SPENT_PER_EPOCH, None)
    known = deposit.Epoch(1, box.key, NOW + 1, MAX_SPENT_PER_EPOCH, sha256(envelope(1)))
    for each, wanted in ((epoch, deposit.Verdict.FULL), (known, deposit.Verdict.REPEAT)):
        verdict, _ = deposit.by_token(
            box.mailbox, box.token(1), envelope(1), [each], deposit.Queue(0, 0), Quotas(), NOW
        )
        assert verdict is wanted


# Queues.


def test_envelopes_go_out_in_the_order_they_came(store: Store) -> None:
    """[R-11.4-2]"""
    box, other = made(store), made(store)
    for number in range(4):
        deliver(store, box, number)
        deliver(store, other, number)
    page = queued(store, box)
    assert [(row.number, row.envelope) for row in page.rows] == [(n + 1, envelope(n)) for n in range(4)]
    assert (page.more, page.last) == (False, 4)
    assert queued(store, box, after=1, count=2).more
    assert [row.number for row in queued(store, box, after=1, count=2).rows] == [2, 3]


def test_a_number_is_never_given_out_twice(store: Store) -> None:
    box = made(store)
    deliver(store, box, 1)
    ask(store, commands.Forget(box.hash, (1,)))
    deliver(store, box, 2)
    assert [row.number for row in queued(store, box).rows] == [2]


def test_a_full_queue_answers_quota_and_loses_nothing(store: Store) -> None:
    """[R-11.5-3]"""
    box = made(store)
    for number in range(4):
        assert stored(deliver(store, box, number))
    assert deliver(store, box, 4) == Full()
    assert not stored(deliver(store, box, 3))
    assert bodies(store, box) == [envelope(n) for n in range(4)]
    ask(store, commands.Forget(box.hash, (2,)))
    assert stored(deliver(store, box, 4))


def test_bytes_are_limited_too(store: Store) -> None:
    box = made(store)
    assert stored(deliver(store, box, 1, envelope(1, 16_514)))
    assert deliver(store, box, 2, envelope(2, 4_226)) == Full()
    assert stored(deliver(store, box, 3))


def test_acknowledged_envelopes_are_gone_and_only_ones_own(store: Store) -> None:
    box, other = made(store), made(store)
    for number in (1, 2, 3):
        deliver(store, box, number)
    deliver(store, other, 1)
    assert ask(store, commands.Forget(other.hash, (1, 2, 3, 2**63 - 1))) == Done()
    assert len(bodies(store, box)) == 3
    assert ask(store, commands.Forget(box.hash, (1, 3, 77))) == Done()
    assert bodies(store, box) == [envelope(2)]
    assert held(store, box).envelopes == 1
    assert held(store, other).envelopes == 0


def test_undelivered_envelopes_expire_after_14_days_and_give_their_room_back(store: Store) -> None:
    """[R-11.4-5]"""
    box = made(store)
    for number in range(4):
        deliver(store, box, number, now=NOW + number)
    late = NOW + 14 * DAY + 1
    assert len(queued(store, box, now=late).rows) == 2
    assert ask(store, commands.Expire(late)) == Done()
    assert [row.number for row in queued(store, box).rows] == [3, 4]
    assert held(store, box).envelopes == 2
    assert stored(deliver(store, box, 9, now=late))


def test_an_expired_epoch_takes_its_nonces_with_it(store: Store) -> None:
    box = made(store, expires=NOW + 100)
    deliver(store, box, 1)
    ask(store, commands.Expire(NOW + 100))
    assert deliver(store, box, 1) == Refused()
    assert bodies(store, box) == [envelope(1)]


def test_the_view_shows_sizes_and_heads_and_nothing_that_opens_anything(store: Store) -> None:
    box = made(store)
    deliver(store, box, 1)
    (view,) = store.view(10)
    assert (view.mailbox, view.queued, view.queued_bytes, view.total) == (box.hash, 1, SMALL, 1)
    (seen,) = view.envelopes
    assert seen == commands.EnvelopeView(1, Via.TOKEN, SMALL, NOW + 14 * DAY, envelope(1)[:32])
    shown = repr(view)
    assert all(repr(secret)[2:-1] not in shown for secret in (box.mailbox, box.secret, box.key))


# Cards.


def test_each_leaf_is_handed_out_once(store: Store) -> None:
    """[R-10.4-3]"""
    box = made(store)
    publish(store, box, uses=5)
    assert put(store, box, 0, 1) == Done()
    assert put(store, box, 0, 1) == Done()
    assert held(store, box).leaves == 2
    assert [taken(take(store)) for _ in range(3)] == [0, 1, None]
    assert put(store, box, 0, 1, 2) == Done()  # a late retry brings back none that was given out
    assert [taken(take(store)) for _ in range(2)] == [2, None]


def test_leaves_are_handed_out_once_also_to_two_at_a_time(store: Store) -> None:
    box = made(store)
    publish(store, box, uses=32)
    put(store, box, *range(32))
    answers: queue.SimpleQueue[Outcome] = queue.SimpleQueue()

    def grab() -> None:
        for _ in range(16):
            answers.put(take(store))

    threads = [threading.Thread(target=grab) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(index for _ in range(32) if (index := taken(answers.get())) is not None) == list(range(32))


def test_a_leaf_that_contradicts_another_is_rejected_and_a_new_batch_replaces(store: Store) -> None:
    box = made(store)
    publish(store, box, uses=5)
    put(store, box, 0, 1)
    other = bytes([1]).ljust(LEAF_SIZE, b"X")
    assert ask(store, commands.PutLeaves(box.hash, BATCH, (leaf(2), other))) == Rejected()
    assert held(store, box).leaves == 2
    assert put(store, box, 7, batch=b"n" * 16) == Done()
    ask(store, commands.PutBundle(box.hash, LOOKUP, CARD, 5, b"n" * 16, BUNDLE))
    assert [taken(take(store)) for _ in range(2)] == [7, None]


def test_one_use_pays_for_one_leaf_eight_envelopes_and_eight_fetches(store: Store) -> None:
    """[R-10.4-2]"""
    box = made(store)
    publish(store, box, uses=1)
    put(store, box, 0, 1)
    assert [taken(take(store)) for _ in range(8)] == [0] + [None] * 7
    assert take(store) == Refused()
    for nonce in range(ENVELOPES_PER_USE):
        assert stored(first(store, nonce))
        assert not stored(first(store, nonce))
        ask(store, commands.Forget(box.hash, (nonce + 1,)))
    assert first(store, 99) == Refused()
    assert not stored(first(store, 0))
    assert first(store, 0, envelope(77)) == Refused()
    assert held(store, box) == Held(1, 0)


def test_a_wrong_capability_gets_and_spends_nothing(store: Store) -> None:
    box = made(store)
    publish(store, box)
    put(store, box, 0)
    for _ in range(9):
        assert take(store, b"x" * 32) == Refused()
        assert first(store, 1, capability=b"x" * 32) == Refused()
    assert taken(take(store)) == 0
    assert stored(first(store, 1))


def test_a_full_queue_spends_no_envelope_of_a_card(store: Store) -> None:
    box = made(store)
    publish(store, box)
    for number in range(4):
        deliver(store, box, number)
    assert first(store, 1) == Full()
    ask(store, commands.Forget(box.hash, (1, 2, 3, 4)))
    assert all(stored(first(store, nonce)) for nonce in range(4))


def test_publishing_again_keeps_the_counters_unless_the_card_is_new(store: Store) -> None:
    """[R-10.4-1]"""
    box = made(store)
    publish(store, box, uses=1)
    put(store, box, 0, 1, 2)
    assert taken(take(store)) == 0
    publish(store, box, uses=1)
    assert taken(take(store)) is None
    publish(store, box, uses=1, capability=b"C" * 32)
    assert take(store) == Refused()
    assert taken(take(store, b"C" * 32)) == 1


def test_a_lookup_belongs_to_who_published_it_first(store: Store) -> None:
    box, thief = made(store), made(store)
    publish(store, box)
    assert publish(store, thief) == Refused()
    assert ask(store, commands.RemoveBundle(thief.hash, LOOKUP)) == Done()
    assert taken(take(store)) is None
    assert ask(store, commands.RemoveBundle(box.hash, LOOKUP)) == Done()
    assert take(store) == Refused()
    assert first(store, 1) == Refused()


def test_cards_are_limited(store: Store) -> None:
    box = made(store)
    for index in range(3):
        assert publish(store, box, lookup=bytes([index]) * 32) == Done()
    assert publish(store, box, lookup=b"3" * 32) == Full()
    assert publish(store, box, lookup=bytes(32)) == Done()


# Spares.


def test_a_spare_is_good_for_one_envelope_in_24_hours(store: Store) -> None:
    """[R-10.3-2]"""
    box = made(store)
    assert spare(store, box, 1) == Refused()
    ask(store, commands.ChangeSpares(box.hash, (SPARE,), ()))
    assert stored(spare(store, box, 1))
    assert not stored(spare(store, box, 1))
    assert spare(store, box, 1, body=envelope(9)) == Refused()
    assert spare(store, box, 2) == Refused()
    assert spare(store, box, 2, now=NOW + DAY - HOUR - 1) == Refused()
    assert stored(spare(store, box, 2, now=NOW + DAY))
    assert not stored(spare(store, box, 2, now=NOW + DAY))
    assert bodies(store, box) == [envelope(1), envelope(2)]


def test_registering_a_spare_again_does_not_renew_it_and_revoking_ends_it(store: Store) -> None:
    """[R-10.3-3]"""
    box = made(store)
    ask(store, commands.ChangeSpares(box.hash, (SPARE,), ()))
    spare(store, box, 1)
    ask(store, commands.ChangeSpares(box.hash, (SPARE,), ()))
    assert spare(store, box, 2) == Refused()
    ask(store, commands.ChangeSpares(box.hash, (), (SPARE,)))
    assert spare(store, box, 2, now=NOW + 2 * DAY) == Refused()


def test_spares_are_limited(store: Store) -> None:
    box = made(store)
    some = tuple(bytes([index]) * 32 for index in range(4))
    assert ask(store, commands.ChangeSpares(box.hash, some, ())) == Full()
    assert ask(store, commands.ChangeSpares(box.hash, some[:3], ())) == Done()
    assert ask(store, commands.ChangeSpares(box.hash, some[3:], some[:1])) == Done()


def test_a_spare_pays_for_the_bundle_and_one_leaf_in_24_hours(store: Store) -> None:
    box, other = made(store), made(store)
    publish(store, box, uses=0, capability=bytes(32))
    put(store, box, 0, 1)
    ask(store, commands.ChangeSpares(other.hash, (SPARE,), ()))
    assert take(store, SPARE) == Refused()  # a spare of another mailbox
    ask(store, commands.ChangeSpares(box.hash, (SPARE,), ()))
    assert [taken(take(store, SPARE)) for _ in range(8)] == [0] + [None] * 7
    assert take(store, SPARE) == Refused()
    assert taken(take(store, SPARE, NOW + DAY)) == 1
    assert take(store, bytes(32)) == Refused()  # the zero capability of a lookup without a card opens nothing


# Everything.


def test_commands_of_one_thread_are_carried_out_in_order(store: Store) -> None:
    box = made(store)
    seen: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    for number in range(200):
        done: Callable[[Outcome], None] = seen.put
        store.submit(commands.Deposit(box.mailbox, box.token(number), envelope(number), NOW), done)
        store.submit(commands.Forget(box.hash, (number + 1,)), done)
    outcomes = [seen.get(timeout=10) for _ in range(400)]
    assert all(stored(outcome) for outcome in outcomes[::2])
    assert set(outcomes[1::2]) == {Done()}


def test_what_token_epochs_the_relay_checks_are_always_two() -> None:
    box = Box()
    queue_ = deposit.Queue(0, 0)
    live = deposit.Epoch(1, box.key, NOW + 1, 0, None)
    for epochs in ([], [live], [live, live]):
        verdict, _ = deposit.by_token(box.mailbox, bytes(32), envelope(1), epochs, queue_, Quotas(), NOW)
        assert verdict is deposit.Verdict.REFUSE
    assert not token.valid((token.MailboxEpoch(bytes(32), 0),), box.mailbox, bytes(32), 0)


def test_a_bundle_goes_with_leaves_of_its_own_batch_only(store: Store) -> None:
    """Between a new batch and the bundle that signs it nobody gets a leaf that would not verify. [R-11.3-2]"""
    box, fresh = made(store), b"another batch 16"
    publish(store, box, uses=9)
    put(store, box, 0, 1)
    assert taken(take(store)) == 0
    put(store, box, 0, batch=fresh)
    assert taken(take(store)) is None
    ask(store, commands.PutBundle(box.hash, LOOKUP, CARD, 9, fresh, BUNDLE))
    assert taken(take(store)) == 0


def test_threads_share_a_store(tmp_path: Path, engine: OpenStore) -> None:
    store = engine(tmp_path, Quotas(), no_fatal)
    boxes = [made(store) for _ in range(4)]

    def send(box: Box) -> None:
        for number in range(50):
            assert stored(deliver(store, box, number))

    threads = [threading.Thread(target=send, args=(box,)) for box in boxes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for box in boxes:
        assert [row.envelope for row in queued(store, box).rows] == [envelope(n) for n in range(50)]
    store.close()
