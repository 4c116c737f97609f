"""A relay that lost its disk and came back from a backup: two people go on both ways, and nobody mends by hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from client.world import RELAY, Person, RelayCore, Template, introduce, settle
from troth_client.events import Ask, Block, OwnerAnswered, Reference, Step, Submit, Unblock
from troth_client.records import Peer
from troth_protocol.manifest import DAY
from troth_protocol.token import EPOCH_SECONDS
from troth_protocol.wire import SPARE_SECONDS, requests
from troth_protocol.wire.answers import Counts
from troth_server.backup.restore import restore
from troth_server.backup.take import take

DATABASE = ("relay.db", "relay.db-wal", "relay.db-shm", "relay.db-reserve", "relay.db-lock")


def lose_and_restore(relay: RelayCore, data: Path, backup: Path, *people: Person) -> RelayCore:
    """The database is gone; the backup and the key slots are there; everybody has lost their connection."""
    relay.store.close()
    for name in DATABASE:
        (data / name).unlink(missing_ok=True)
    restore(data, backup, None, RELAY.fingerprint, people[0].now, os.urandom, replace_database=False)
    restored = RelayCore(data)
    for person in people:
        person.lose()
        person.relay = restored
    return restored


def peer(person: Person, other: Person) -> Peer:
    return next(each for _, each in person.messenger._journal.peers.group(other.fingerprint))


def test_two_people_go_on_after_their_relay_was_restored(template: Template, tmp_path: Path) -> None:
    """[R-13.2-5]: token keys and spares of after the backup count again, and there are leaves for newcomers."""
    data = tmp_path / "relay"
    relay, one, other = template.begin(data)
    settle(one, other)
    one.send(other, "before")
    settle(one, other)
    take(data, tmp_path / "backup", RELAY.fingerprint, one.now, os.urandom, replace=False)
    # More life: both rotate their token keys, and new spares are given.
    for person in (one, other):
        person.now += EPOCH_SECONDS + DAY
        person.connect()
    settle(one, other)
    one.handle(Block(other.fingerprint))
    one.handle(Unblock(other.fingerprint))
    settle(one, other)
    for round_ in range(3):
        one.send(other, f"life {round_}")
        other.send(one, f"life {round_}")
        settle(one, other)
    assert all(len(person.messenger.own.epochs) == 2 for person in (one, other))
    newcomer = Person("new", relay, now=one.now)
    restored = lose_and_restore(relay, data, tmp_path / "backup", one, other)
    for person in (one, other):
        person.connect()
    settle(one, other)
    for round_ in range(5):
        one.send(other, f"after {round_}")
        other.send(one, f"after {round_}")
        settle(one, other)
    expected = ["life 0", "life 1", "life 2", *(f"after {round_}" for round_ in range(5))]
    assert one.disk.received()[-8:] == expected
    assert other.disk.received()[-8:] == expected
    # The spare counts too, a day later, when every token is gone.
    assert peer(one, other).spare_registered
    for person in (one, other):
        person.now += SPARE_SECONDS + 60
    taken = other.messenger._journal
    for key in [key for key, _ in taken.tokens.group(peer(other, one).key)]:
        taken.tokens.delete(key)
    other.perform(taken.commit())
    other.send(one, "by the spare")
    (sent,) = [effect for effect in other.pending if isinstance(effect, Submit)]
    assert isinstance(sent.request, requests.DeliverSpare)
    settle(one, other)
    assert one.disk.received()[-1] == "by the spare"
    newcomer.relay = restored
    newcomer.connect()
    settle(newcomer)
    introduce(newcomer, one)
    newcomer.send(one, "hello")
    settle(newcomer, one)
    assert one.disk.received()[-1] == "hello"


@pytest.mark.parametrize(("left", "again"), [(0, True), (1, False)])
def test_only_an_empty_batch_brings_everything_again(
    template: Template, tmp_path: Path, left: int, *, again: bool
) -> None:
    """[R-13.2-5]: few leaves want new leaves; none at all, and keys and spares are put again."""
    _, one, other = template.begin(tmp_path)
    settle(one, other)
    before = one.messenger.own.epochs[-1].key
    wanted = one.handle(OwnerAnswered(Reference(Step.COUNT), Counts(left, 0)))
    asked = [effect.request for effect in wanted if isinstance(effect, Ask)]
    kinds = {type(request) for request in asked}
    assert {requests.AddLeaves, requests.Publish} <= kinds
    assert ({requests.Rotate, requests.Spares} <= kinds) is again
    assert [request.epoch_key for request in asked if isinstance(request, requests.Rotate)] == [before] * again
    settle(one, other)
    one.send(other, "still here")
    other.send(one, "me too")
    settle(one, other)
    assert (one.disk.received()[-1], other.disk.received()[-1]) == ("me too", "still here")
    assert one.messenger.own.rotated
    assert peer(one, other).spare_registered
