"""A file that must outlast a power cut: written whole or not at all, and its name synced with it.

Standard library only, so that ``serve`` loads no cipher.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from troth_protocol.errors import StorageError, UserError


def sync_folder(folder: Path) -> None:
    """Make a new name in a folder outlast a power cut; OSError."""
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_file(path: Path, content: bytes, *, give: bool = True) -> None:
    """Write a file that only its owner may read, whole or not at all, on disk when this returns; StorageError.

    What root writes is given to whom the folder belongs to, who runs the relay and must read it; not without ``give``.
    """
    new = path.with_name(path.name + ".new")
    try:
        new.unlink(missing_ok=True)
        # A link that waits there under this name is not followed: the folder may be another user's.
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(handle, "wb") as file:
            if give and os.geteuid() == 0:
                folder_owner = path.parent.stat()
                os.fchown(handle, folder_owner.st_uid, folder_owner.st_gid)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            new.unlink()
        raise StorageError(f"{path} cannot be written: {error.strerror}") from None


def read_secret(path: Path, heading: str, size: int, name: str) -> bytes:
    """The ``size`` bytes, in hexadecimal, of a file under its heading; StorageError, UserError if it is no ``name``."""
    try:
        found, _, text = path.read_text("ascii").strip().partition("\n")
        raw = bytes.fromhex(text)
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise UserError(f"{path} is no {name}") from None
    if found != heading or len(raw) != size:
        raise UserError(f"{path} is no {name}")
    return raw
