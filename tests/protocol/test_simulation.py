"""Long conversations through a bad relay: every delivered message reads, the exchange goes on, a compromise heals."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest

from simulator import NOW, TEXT, Conversation, Fate, Recording, Seeded, open_sessions
from troth_protocol import session
from troth_protocol.errors import PeerError

MESSAGES = 2_000


def ping_pong(chance: random.Random) -> Iterator[int]:
    """Turn by turn."""
    del chance
    while True:
        yield from (0, 1)


def ten_to_one(chance: random.Random) -> Iterator[int]:
    """One side writes ten times as much."""
    while True:
        yield int(chance.random() < 1 / 11)


def bursts(chance: random.Random) -> Iterator[int]:
    """Up to forty in a row from either side."""
    side = 0
    while True:
        yield from [side] * chance.randint(1, 40)
        side = 1 - side


PATTERNS: dict[str, Callable[[random.Random], Iterator[int]]] = {
    "ping-pong": ping_pong, "ten to one": ten_to_one, "bursts": bursts,
}  # fmt: skip


def honest(chance: random.Random) -> Fate:
    """A relay that delivers at once."""
    del chance
    return lambda side, number: 0


def every_third(chance: random.Random) -> Fate:
    """A regular loss, which starves a fixed cycle of symbols."""
    del chance
    return lambda side, number: None if number % 3 == 2 else 0


def delayed(chance: random.Random) -> Fate:
    """Five in a hundred come 5 to 40 messages late."""
    return lambda side, number: chance.randint(5, 40) if chance.random() < 0.05 else 0


def random_loss(chance: random.Random) -> Fate:
    """A quarter is lost."""
    return lambda side, number: None if chance.random() < 0.25 else 0


FATES: dict[str, Callable[[random.Random], Fate]] = {
    "honest": honest, "every third lost": every_third, "delayed": delayed, "a quarter lost": random_loss,
}  # fmt: skip


def converse(pattern: str, fate: str, messages: int, seed: int = 7) -> Conversation:
    """So many messages of one pattern through one adversary; each text delivered was read as written."""
    chance = random.Random(seed)
    talk = Conversation(list(open_sessions(seed)), Seeded(seed), FATES[fate](chance))
    turns = PATTERNS[pattern](chance)
    for _ in range(messages):
        talk.send(next(turns), chance.choice((20, 200, 200, 800)))
    return talk


@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_epochs_go_on(pattern: str, fate: str) -> None:
    """[R-8.1-2] [R-8.3-3]: and nothing delivered is unread, no session error, no false duplicate."""
    talk = converse(pattern, fate, MESSAGES)
    lost = {"honest": 0, "every third lost": MESSAGES / 3, "delayed": 40, "a quarter lost": MESSAGES * 0.3}[fate]
    assert talk.read >= MESSAGES - lost
    assert talk.epoch >= MESSAGES // 200, f"{talk.epoch} epochs"


@pytest.mark.slow
@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("seed", range(5))
def test_epochs_go_on_for_longer(pattern: str, fate: str, seed: int) -> None:
    """[R-8.1-2]"""
    assert converse(pattern, fate, 5 * MESSAGES, seed).epoch >= 5 * MESSAGES // 200


def heals_after(seed: int, length: int) -> int:
    """How many messages a thief of Bob's whole state can read, in lossless ping-pong."""
    alice, bob = open_sessions(seed)
    source = Seeded(seed)
    sides, thief = [alice, bob], bob
    for count in range(1, 200):
        side = 1 - count % 2
        sides[side], message = session.encrypt(sides[side], TEXT, bytes(length), randomness=source)
        sides[1 - side], _ = session.decrypt(sides[1 - side], message, now=NOW)
        if side == 0:
            try:
                thief, _ = session.decrypt(thief, message, now=NOW)
            except PeerError:
                return count
    return 200


def test_a_thief_of_the_whole_state_is_shut_out() -> None:
    """[R-7.1-5]: classically within one round trip, since each side steps with a fresh key."""
    assert max(heals_after(seed, 20) for seed in range(5)) <= 4


def test_fresh_post_quantum_secrets_enter_within_sixty_messages() -> None:
    """[R-8.3-2]: two epochs, one secret of each side's making, in lossless ping-pong of short texts."""
    sources = (Recording("one"), Recording("other"))
    sides = list(open_sessions("heal"))
    for start in range(3):
        epoch = min(side.epoch for side in sides)
        before = [len(source.encapsulated) for source in sources]
        for count in range(60):
            side = count % 2
            sides[side], message = session.encrypt(sides[side], TEXT, b"short", randomness=sources[side])
            sides[1 - side], _ = session.decrypt(sides[1 - side], message, now=NOW)
        assert min(side.epoch for side in sides) >= epoch + 2, start
        assert all(len(source.encapsulated) > had for source, had in zip(sources, before, strict=True))


def test_nothing_heals_while_one_side_is_silent() -> None:
    """[R-8.3-4]: said in the specification; the sender stays where it was."""
    alice, bob = open_sessions("silent")
    source = Seeded("silent")
    for _ in range(300):
        alice, message = session.encrypt(alice, TEXT, b"x", randomness=source)
        bob, _ = session.decrypt(bob, message, now=NOW)
    assert (alice.epoch, bob.epoch) == (1, 1)
