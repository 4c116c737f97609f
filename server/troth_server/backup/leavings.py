"""What a restore replaces leaves the disk: the old database and its log are overwritten before they are unlinked.

``relay.db.restoring`` is being built and was never used; ``relay.db.replaced`` is the old database under a second name,
which lasts until the new one has its place. A crash may leave either: the next restore clears them first, and
``verify-erasure`` names them.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Final

from troth_protocol.errors import StorageError
from troth_server.files import sync_folder
from troth_server.storage import log
from troth_server.storage.startup import Files

_CHUNK: Final = 1_048_576
BUSY: Final = 2
"""Seconds to wait for another process to have read the database."""


def leavings(files: Files) -> tuple[Path, Path]:
    """The new database before it has its place, and the old one after it lost it."""
    return files.database.with_name("relay.db.restoring"), files.database.with_name("relay.db.replaced")


def give(path: Path) -> None:
    """What root makes in the relay's folder belongs to whom the folder belongs to, who runs the relay; OSError."""
    if os.geteuid() == 0:
        folder = path.parent.stat()
        os.chown(path, folder.st_uid, folder.st_gid, follow_symlinks=False)


def clear(files: Files) -> None:
    """Overwrite and unlink what an interrupted restore, or this one, has left; OSError."""
    for path in leavings(files):
        if path.exists():
            if not (files.database.exists() and path.samefile(files.database)):
                overwrite(path)
            path.unlink()
            sync_folder(path.parent)


def overwrite(path: Path, head: bytes = b"") -> None:
    """Zeros over a whole file, after ``head``, on disk when this returns; OSError."""
    with path.open("r+b") as file:
        left = os.fstat(file.fileno()).st_size
        left -= file.write(head[:left])
        while left > 0:
            left -= file.write(bytes(min(left, _CHUNK)))
        file.flush()
        os.fsync(file.fileno())


def drop_log(files: Files) -> None:
    """Move the old database's log into it, if it can be read, and leave no log for the new one.

    OSError; StorageError while somebody reads it.
    """
    if files.database.exists():
        with (
            contextlib.suppress(sqlite3.Error),
            contextlib.closing(sqlite3.connect(files.database, timeout=BUSY)) as sql,
        ):
            busy, frames, moved = sql.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
            if busy or frames != moved:
                raise StorageError("another process reads the database; try again when it is done")
            if files.log.exists():
                overwrite(files.log, log.WIPED)
            sql.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    if files.log.exists():
        overwrite(files.log, log.WIPED)
        files.log.unlink()
    files.index.unlink(missing_ok=True)
    sync_folder(files.database.parent)


def place_new(files: Files, new: Path) -> None:
    """The new database takes its name in one step; the old one keeps a second name until it is overwritten; OSError."""
    if files.database.exists():
        os.link(files.database, leavings(files)[1])
        sync_folder(files.database.parent)
    new.replace(files.database)
    sync_folder(files.database.parent)
