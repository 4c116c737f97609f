"""The key slots: overwritten where they lie, whole after a torn write, refused when not what they should be."""

from __future__ import annotations

import os
import random
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from troth_protocol.errors import StorageError
from troth_server import shred
from troth_server.shred import BLOCK, SLOT, SLOTS_AT, SlotFile, Slots, place


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "slots.bin"


@pytest.fixture
def slots(path: Path) -> Iterator[Slots]:
    opened = Slots(path, os.urandom)
    yield opened
    opened.close()


def test_a_new_file_is_the_owners_alone_and_empty(path: Path) -> None:
    old = os.umask(0)
    try:
        slots = Slots(path, os.urandom)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["slots.bin"]
    assert (list(slots.used()), slots.generation, slots.running) == ([], 0, False)
    assert len(slots.check_key) == 32
    slots.close()


def test_keys_are_random_and_stay(slots: Slots, path: Path) -> None:
    slots.fill([1, 2, 3_000])
    keys = [slots.key(slot) for slot in (1, 2, 3_000)]
    assert len({*keys, bytes(32)}) == 4
    again = Slots(path, os.urandom)
    assert [again.key(slot) for slot in again.used()] == keys
    assert again.check_key == slots.check_key
    again.close()


def test_an_erased_key_is_nowhere_in_the_file_and_its_slot_lies_where_it_lay(slots: Slots, path: Path) -> None:
    """[R-11.8-1]"""
    slots.fill(range(1, 200))
    inode, size = path.stat().st_ino, path.stat().st_size
    gone, kept = slots.key(77), slots.key(78)
    assert gone in path.read_bytes()
    slots.erase([77])
    raw = path.read_bytes()
    assert gone not in raw
    assert raw[place(77) : place(77) + SLOT] == bytes(SLOT)
    assert kept in raw
    assert (path.stat().st_ino, path.stat().st_size) == (inode, size)
    with pytest.raises(StorageError, match="empty"):
        slots.key(77)
    assert 77 not in set(slots.used())


def test_a_number_that_is_used_again_has_another_key(slots: Slots) -> None:
    slots.fill([5])
    first = slots.key(5)
    slots.erase([5])
    slots.fill([5])
    assert slots.key(5) != first


def test_erasing_what_was_never_there_changes_nothing(slots: Slots, path: Path) -> None:
    before = path.read_bytes()
    slots.erase([9, 60_000])
    slots.erase([])
    slots.fill([])
    assert path.read_bytes() == before


def test_every_change_is_synced_before_it_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last thing that reaches the disk in each call is a sync, and the folder is synced when the file is made."""
    calls: list[str] = []

    def noted(name: str, real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object) -> object:
            calls.append(name)
            return real(*arguments)

        return call

    for name in ("pwrite", "fdatasync", "fsync", "link"):
        monkeypatch.setattr(os, name, noted(name, getattr(os, name)))
    slots = Slots(path, os.urandom)
    assert calls[calls.index("link") :] == ["link", "fsync"]
    assert "fsync" in calls[: calls.index("link")]
    changes: list[Callable[[], None]] = [
        lambda: slots.fill([1]),
        lambda: slots.erase([1]),
        slots.advance,
        lambda: slots.mark(True),
    ]
    for change in changes:
        calls.clear()
        change()
        assert calls[-1] in ("fdatasync", "fsync")
        assert "pwrite" in calls
    slots.close()


def test_a_slot_is_on_the_disk_as_zeros_before_it_holds_a_key(slots: Slots, path: Path) -> None:
    slots.fill([1])
    handle = os.open(path, os.O_RDONLY)
    try:
        assert os.lseek(handle, SLOTS_AT, os.SEEK_HOLE) >= path.stat().st_size  # no hole: every block is allocated
    finally:
        os.close(handle)


def test_generations_and_the_mark_outlast_reopening(slots: Slots, path: Path) -> None:
    for _ in range(5):
        slots.advance()
    slots.mark(True)
    again = Slots(path, os.urandom)
    assert (again.generation, again.running) == (5, True)
    again.close()


@pytest.mark.parametrize("torn", range(0, 130, 7))
def test_a_torn_header_leaves_the_one_before(slots: Slots, path: Path, torn: int) -> None:
    slots.advance()
    slots.fill([3])
    key, before = slots.key(3), path.read_bytes()
    slots.advance()
    after = path.read_bytes()
    at = 0 if before[:BLOCK] != after[:BLOCK] else BLOCK
    path.write_bytes(after[: at + torn] + before[at + torn : at + 300] + after[at + 300 :])
    again = Slots(path, os.urandom)
    assert again.generation in (1, 2)
    was = again.generation
    assert again.key(3) == key
    again.advance()
    assert again.generation > max(was, 1)
    assert again.generation > 2 or was == 1
    again.close()


def test_a_generation_that_a_torn_header_may_have_held_is_not_given_again(slots: Slots, path: Path) -> None:
    slots.advance()
    slots.advance()
    raw = bytearray(path.read_bytes())
    newest = max((0, BLOCK), key=lambda at: raw[at + 99 : at + 116])
    raw[newest + 20] ^= 1
    path.write_bytes(raw)
    again = Slots(path, os.urandom)
    assert again.generation == 1
    again.advance()
    assert again.generation == 3
    again.close()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not a relay's key slots"),
        (b"noise" * 4_000, "not a relay's key slots"),
        (b"trthslot" + b"\0" * 9_000, "damaged"),
        (b"trthslot" + b"\0\x02" + b"\0" * 9_000, "format 2; this relay knows 1"),
    ],
)
def test_a_bad_file_is_refused_untouched(path: Path, content: bytes, said: str) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(StorageError, match=said):
        Slots(path, os.urandom)
    assert path.read_bytes() == content
    assert [each.name for each in path.parent.iterdir()] == ["slots.bin"]


def test_any_flipped_bit_of_a_slot_is_seen(slots: Slots, path: Path) -> None:
    slots.fill([4])
    good = path.read_bytes()
    for bit in random.Random(7).sample(range(SLOT * 8), 60):
        raw = bytearray(good)
        raw[place(4) + bit // 8] ^= 1 << bit % 8
        path.write_bytes(raw)
        with pytest.raises(StorageError, match="damaged"):
            slots.key(4)
        assert list(slots.used()) == [4]


def test_a_slot_moved_to_another_number_is_seen(slots: Slots, path: Path) -> None:
    slots.fill([4])
    raw = bytearray(path.read_bytes())
    raw[place(5) : place(5) + SLOT] = raw[place(4) : place(4) + SLOT]
    path.write_bytes(raw)
    with pytest.raises(StorageError, match="damaged"):
        slots.key(5)


@pytest.mark.parametrize("number", [0, -1, 2**26, 2**62])
def test_a_number_that_no_mailbox_has_is_refused(slots: Slots, path: Path, number: int) -> None:
    size = path.stat().st_size
    for call in (slots.key, lambda n: slots.fill([n]), lambda n: slots.erase([n])):
        with pytest.raises(StorageError, match="no key slot"):
            call(number)
    assert path.stat().st_size == size


def test_a_lost_file_is_said_to_be_missing(path: Path) -> None:
    with pytest.raises(StorageError, match="missing"):
        SlotFile(path)
    path.parent.mkdir()
    path.symlink_to(path.with_name("elsewhere"))
    with pytest.raises(StorageError, match="missing"):  # a medium that is not mounted is not made anew
        Slots(path, os.urandom)


def test_a_copy_runs_no_relay(path: Path) -> None:
    shred.create(path, shred.Header(shred.COPY, b"i" * 16, bytes(32), b"b" * 32, 1, False, 0))
    with pytest.raises(StorageError, match="copy"):
        Slots(path, os.urandom)


def test_making_it_again_never_touches_the_one_that_is_there(slots: Slots, path: Path) -> None:
    slots.fill([1])
    before = path.read_bytes()
    with pytest.raises(StorageError, match="cannot be made"):
        shred.create(path, shred.Header.fresh(os.urandom))
    assert path.read_bytes() == before


def test_no_key_is_in_a_repr(slots: Slots) -> None:
    header = shred.Header.fresh(lambda count: b"K" * count)
    assert "KKK" not in repr(header)


def test_what_a_crash_left_of_a_new_file_is_overwritten(path: Path) -> None:
    path.parent.mkdir()
    left = path.with_name("slots.bin.new")
    left.write_bytes(b"KEYS" * 1_000)
    with left.open("rb") as watched:
        Slots(path, os.urandom).close()
        assert not any(watched.read())
    assert not left.exists()
    os.link(path, left)  # a crash between the two names of the finished file
    before = path.read_bytes()
    Slots(path, os.urandom).close()
    assert not left.exists()
    assert path.read_bytes() == before
