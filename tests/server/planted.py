"""Mailboxes in which every column that can hold bytes holds a marker of its own, and searches for the markers."""

from __future__ import annotations

import queue
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from server.talk import NOW, Box, ask
from troth_protocol.encoding import sha256
from troth_protocol.wire import BUNDLE_SIZE, LEAF_SIZE
from troth_server import commands
from troth_server.commands import Deposited, Done
from troth_server.limits import EPOCH_AHEAD
from troth_server.storage import Store

SIZES: Final = (1_154, 4_226, 16_514, 65_666)


def mark(box: int, column: str, size: int) -> bytes:
    """``size`` bytes that say over and over whose they are."""
    said = f"<{box:03d}{column:>4.4}>".encode()
    return (said * (size // len(said) + 1))[:size]


def box(number: int) -> Box:
    return Box(mark(number, "id", 32), mark(number, "sec", 32), mark(number, "key", 32))


def lookup(number: int) -> bytes:
    return mark(number, "look", 32)


def capability(number: int) -> bytes:
    return mark(number, "capa", 32)


def spare(number: int) -> bytes:
    return mark(number, "spar", 32)


def batch(number: int) -> bytes:
    return mark(number, "batc", 16)


def leaf(number: int, index: int) -> bytes:
    return bytes([index]) + mark(number, "leaf", LEAF_SIZE - 1)


def deliver(store: Store, number: int, nonce: int, now: int = NOW) -> commands.Outcome:
    body = mark(number, "env", SIZES[nonce % 3])
    return ask(store, commands.Deposit(box(number).mailbox, box(number).token(nonce), body, now))


def many(store: Store, count: int) -> None:
    """So many mailboxes with 8 spares each, hashes in no order: pages fill, split and are balanced."""
    answers: queue.SimpleQueue[commands.Outcome] = queue.SimpleQueue()
    for number in range(count):
        made = box(number)
        spares = tuple(sha256(made.mailbox, bytes([each])) for each in range(8))
        stored = mark(number, "stor", 32)
        store.submit(commands.CreateMailbox(made.hash, stored, made.key, NOW + EPOCH_AHEAD, NOW), answers.put)
        store.submit(commands.ChangeSpares(made.hash, spares, ()), answers.put)
    assert {type(answers.get(timeout=10)) for _ in range(2 * count)} == {Done}


def live(store: Store, number: int, *, uses: int = 3, now: int = NOW) -> Box:
    """A mailbox that has been used in every way."""
    made = box(number)
    stored = mark(number, "stor", 32)
    where = made.hash
    for command in (
        commands.CreateMailbox(where, stored, made.key, now + EPOCH_AHEAD, now),
        commands.AddEpoch(where, mark(number, "key2", 32), now + EPOCH_AHEAD),
        commands.PutBundle(
            where, lookup(number), capability(number), uses, batch(number), mark(number, "bund", BUNDLE_SIZE)
        ),
        commands.PutLeaves(where, batch(number), tuple(leaf(number, index) for index in range(6))),
        commands.ChangeSpares(where, (spare(number),), ()),
    ):
        assert ask(store, command) == Done()
    for nonce in range(1, 5):
        assert isinstance(deliver(store, number, nonce, now), Deposited)
    first = commands.DepositFirst(
        lookup(number), capability(number), mark(number, "fnon", 16), mark(number, "env", 4_226), now
    )
    used = commands.DepositSpare(where, spare(number), mark(number, "snon", 16), mark(number, "env", 1_154), now)
    for delivery in (first, used):
        assert isinstance(ask(store, delivery), Deposited)
    assert isinstance(ask(store, commands.TakeBundle(lookup(number), capability(number), now)), commands.Taken)
    return made


def markers(number: int) -> tuple[bytes, ...]:
    """Everything of a mailbox that must be nowhere: what was planted, and the hashes made of it."""
    sealed = (box(number).hash, sha256(mark(number, "env", 4_226)), sha256(mark(number, "env", 1_154)))
    return (*sealed, *(f"<{number:03d}{column:>4.4}>".encode() for column in COLUMNS), nonce(number))


COLUMNS: Final = ("key", "key2", "stor", "look", "capa", "spar", "batc", "leaf", "bund", "env", "fnon", "snon")


def nonce(number: int) -> bytes:
    """A token's nonce is not marked; with the hash of its envelope, which is, it is found."""
    return sha256(mark(number, "env", SIZES[2]))


def found(number: int, paths: Iterable[Path]) -> dict[str, list[bytes]]:
    """In which files is anything of the mailbox, and what."""
    raw = {path: path.read_bytes() for path in paths if path.is_file()}
    seen = {path.name: [each for each in markers(number) if each in content] for path, content in raw.items()}
    return {name: these for name, these in seen.items() if these}


def anybody(content: bytes) -> set[bytes]:
    """Whose markers are in these bytes."""
    return set(re.findall(rb"<(\d{3})[ \w]{4}>", content))
