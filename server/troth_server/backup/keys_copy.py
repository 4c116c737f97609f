"""The one copy of the key slots, on another medium, for the day the disk is lost; refreshed where it lies. [R-11.8-5]

An erased mailbox stays readable in old backups for whoever has a copy in which its slot is still full. So there is one
copy, it is overwritten in place (never a new file, never a version), what was erased goes first, and each refresh makes
it forget what the relay forgot. It has no check key: no relay can run on it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from troth_protocol.errors import StorageError, UserError
from troth_server.shred import BLOCK, COPY, KEY_SIZE, SLOT, Header, SlotFile, create, filled, grow, place, put


@dataclass(frozen=True, slots=True)
class Refreshed:
    """How many slots the copy holds now, and how many were erased in it."""

    held: int
    erased: int


def refresh(original: Path, copy: Path, *, make: bool) -> Refreshed:
    """Let ``copy`` hold what ``original`` holds, in place; StorageError, UserError if it is another relay's.

    It is made on demand only: where its medium is not mounted, a second copy would be made on another disk unseen.
    """
    slots = SlotFile(original)
    try:
        keys, used = _keys(slots), frozenset(slots.used())
        header = replace(slots.header, kind=COPY, check_key=bytes(KEY_SIZE), running=False, counter=0)
    finally:
        slots.close()
    if not os.path.lexists(copy):
        if not make or not copy.parent.is_dir():
            raise UserError("there is no copy of the keys: is its medium there? --make-copy makes one, once")
        create(copy, header, sorted(keys.items()))
        return Refreshed(len(keys), 0)
    there = SlotFile(copy, write=True)
    try:
        if there.header.kind != COPY or os.path.samefile(original, copy):
            raise UserError("the keys file is a relay's own and not a copy")
        if there.header.identity != header.identity:
            raise UserError("the keys file is the copy of another relay's slots")
        return _overwrite(there, keys, used, replace(header, counter=there.header.counter + 1))
    except OSError as error:
        raise StorageError(f"the copy of the keys cannot be written: {error.strerror}") from None
    finally:
        there.close()


def _keys(slots: SlotFile) -> dict[int, bytes]:
    """Every key that can be read; one in a damaged slot stays in the copy as it was there: it was not erased."""
    keys: dict[int, bytes] = {}
    for slot in slots.used():
        try:
            key = slots.find(slot)
        except StorageError:
            continue
        if key is not None:
            keys[slot] = key
    return keys


def _overwrite(there: SlotFile, keys: dict[int, bytes], used: frozenset[int], header: Header) -> Refreshed:
    """What was erased or replaced first, then what is new, then the header; each on disk before the next."""
    erased = sorted(slot for slot in there.used() if slot not in used)
    for slot in erased:
        put(there.handle, bytes(SLOT), place(slot))
    os.fsync(there.handle)
    grow(there.handle, place(max(keys, default=1)) + SLOT)
    for slot, key in sorted(keys.items()):
        put(there.handle, filled(slot, key), place(slot))
    os.fsync(there.handle)
    put(there.handle, header.encode(), header.counter % 2 * BLOCK)
    os.fsync(there.handle)
    return Refreshed(len(keys), len(erased))
