"""What lies beneath the files: may something overwritten still be there? Said from what the kernel says, never guessed.

To overwrite in place is to overwrite in fact on a magnetic disk with ext4 or XFS. A file system that copies on write
puts the new bytes elsewhere; a flash drive does so by itself; a network file system does what its server does.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_IN_PLACE: Final = frozenset({"ext2", "ext3", "ext4", "xfs", "jfs", "vfat", "exfat"})
_MEMORY: Final = frozenset({"tmpfs", "ramfs"})
_COPY_ON_WRITE: Final = frozenset({"btrfs", "zfs", "bcachefs", "nilfs2", "f2fs"})
_ESCAPE: Final = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Medium:
    """The file system of a folder, and what to say of it."""

    kind: str
    warnings: tuple[str, ...]


def beneath(
    folder: Path, mounts: Path = Path("/proc/self/mountinfo"), devices: Path = Path("/sys/dev/block")
) -> Medium:
    """The medium of ``folder``; what cannot be read is said to be unknown."""
    found = _mount(folder.resolve(), mounts)
    if found is None:
        return Medium(
            "unknown", ("what the files lie on cannot be seen: whether overwriting reaches the disk is unknown",)
        )
    kind, options = found
    warnings = []
    if kind in _COPY_ON_WRITE:
        warnings.append(
            f"{kind} writes new bytes elsewhere: old ones stay until it reuses their place, and in snapshots"
        )
    elif kind == "overlay":
        warnings.append(
            "overlay is a container's own layer: the file system beneath decides, and is not seen from here"
        )
    elif kind not in _IN_PLACE | _MEMORY:
        warnings.append(f"{kind}: whether it overwrites in place is decided elsewhere, by a server or another program")
    if "data=journal" in options:
        warnings.append("data=journal: what is written is also in the file system's journal until that goes round")
    if kind not in _MEMORY and not _rotates(folder, devices):
        warnings.append(
            "the disk is flash, or does not say: it keeps old blocks until it erases them; encrypt it whole"
        )
    return Medium(kind, tuple(warnings))


def _mount(folder: Path, mounts: Path) -> tuple[str, str] | None:
    """Type and options of the file system that ``folder`` lies on: the longest mount point above it, the newest."""
    best: tuple[int, str, str] | None = None
    try:
        lines = mounts.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return None
    for line in lines:
        fields, _, rest = line.partition(" - ")
        point = Path(_ESCAPE.sub(lambda found: chr(int(found[1], 8)), fields.split(" ")[4]))
        if folder.is_relative_to(point) and (best is None or len(point.parts) >= best[0]):
            kind, _, options = rest.partition(" ")
            best = len(point.parts), kind, f"{fields.split(' ')[5]},{options.rpartition(' ')[2]}"
    return None if best is None else (best[1], best[2])


def _rotates(folder: Path, devices: Path) -> bool:
    """Whether the disk says that it turns; a partition asks the disk it is part of."""
    number = folder.stat().st_dev
    device = (devices / f"{os.major(number)}:{os.minor(number)}").resolve()
    for place in (device, device.parent):
        try:
            return (place / "queue" / "rotational").read_text("ascii").strip() == "1"
        except OSError:
            continue
    return False
