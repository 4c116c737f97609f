"""The disk itself: on a loop-mounted ext4 image, nothing of what was erased is in any byte of the raw image.

What the files no longer show may still lie in freed blocks, in the log's old blocks or in the file system's journal; so
the whole image is searched, and what is alive must be found in it by the same search.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from server import planted
from server.disk import ext4
from server.relay_files import alive, bring_back, erase, opened, save, sweep
from server.talk import ask
from troth_server import commands, shred
from troth_server.backup import keys_copy
from troth_server.commands import Done
from troth_server.shred import SlotFile


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    with ext4(tmp_path, megabytes=32) as made:
        yield made


def raw(image: Path) -> bytes:
    """Every byte of the disk, as it is after a sync."""
    os.sync()
    return image.read_bytes()


def whose(content: bytes, column: str = "") -> set[int]:
    """Whose markers are there, in whatever piece."""
    named = f"{column:>4}>".encode() if column else rb"[ \w]{4}>"
    return {int(found) for found in re.findall(rb"<(\d{3})" + named, content)}


def test_what_was_erased_and_acknowledged_is_nowhere_on_the_disk(disk: tuple[Path, Path], tmp_path: Path) -> None:
    """[R-11.8-1] [R-11.8-7]"""
    image, mounted = disk
    data = mounted / "relay"
    store = opened(data)
    for number in (1, 2, 3):
        planted.live(store, number)
    save(data, mounted / "b")
    keys_copy.refresh(data / shred.FILE, mounted / "keys", make=True)
    slots = SlotFile(data / shred.FILE)
    gone, kept = slots.find(2), slots.find(3)
    assert gone is not None
    assert kept is not None
    slots.close()
    before = raw(image)
    assert whose(before) >= {1, 2, 3}
    assert before.count(gone) == 2  # the slots, and their one copy
    erase(store, 2)
    assert ask(store, commands.Forget(planted.box(1).hash, tuple(range(1, 7)))) == Done()
    sweep(store)
    keys_copy.refresh(data / shred.FILE, mounted / "keys", make=True)
    while_running = raw(image)
    store.close()
    for content in (while_running, raw(image)):
        assert whose(content) == {1, 3}
        assert whose(content, "env") == {3}
        assert all(marker not in content for marker in planted.markers(2))
        assert gone not in content
        assert content.count(kept) == 2
    # A restore of the older backup brings back the others, and its own leavings are overwritten too.
    assert bring_back(data, mounted / "b").mailboxes == 2
    content = raw(image)
    assert whose(content) == {1, 3}
    assert whose(content, "env") == set()  # no queue came back, and the old one is nowhere
    store = opened(data)
    assert [alive(store, number) for number in (1, 2, 3)] == [True, False, True]
    store.close()


@pytest.mark.slow
def test_a_long_random_life_leaves_only_the_living_on_the_disk(disk: tuple[Path, Path]) -> None:
    """[R-11.8-7]"""
    image, mounted = disk
    data = mounted / "relay"
    chance = random.Random(2)
    store = opened(data)
    living: set[int] = set()
    for number in range(1, 90):
        planted.live(store, number)
        living.add(number)
        for nonce in range(5, chance.randrange(6, 16)):
            planted.deliver(store, number, nonce)
        one = chance.choice(sorted(living))
        ask(store, commands.Forget(planted.box(one).hash, tuple(chance.sample(range(1, 16), 8))))
        if len(living) > 12:
            gone = chance.choice(sorted(living))
            erase(store, gone)
            living.remove(gone)
        if number % 10 == 0:
            save(data, mounted / f"b{number}")
            sweep(store)
            assert whose(raw(image)) == living
        if number % 25 == 0:
            store.close()
            store = opened(data)
        if number % 40 == 0:
            store.close()
            bring_back(data, mounted / f"b{number}")
            store = opened(data)
            assert whose(raw(image), "env") == set()
    store.close()
    content = raw(image)
    assert whose(content) == living
    assert not [each for number in set(range(1, 90)) - living for each in planted.markers(number) if each in content]
