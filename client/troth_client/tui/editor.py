"""Writing a message in ``$EDITOR``: a file that only we can read, in a directory of its own, wiped afterwards.

The directory is in memory where the system has one for that (``$XDG_RUNTIME_DIR``, ``/dev/shm``). Editors keep copies:
vi and its kin are told not to, and whatever else was left in the directory is wiped with the file.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from troth_protocol.errors import StorageError, UserError

MOST_BYTES: Final = 256_000
"""A file that comes back larger than this is not read: a message holds 16,000 bytes."""
_QUIET_VI: Final = ("-n", "-i", "NONE", "--cmd", "set noundofile nobackup nowritebackup")
_OPTIONS: Final[Mapping[str, tuple[str, ...]]] = {"vi": ("-n",), "vim": _QUIET_VI, "nvim": _QUIET_VI}


def command(environment: Mapping[str, str]) -> list[str]:
    """The editor and its options; UserError if there is none."""
    chosen = environment.get("VISUAL") or environment.get("EDITOR") or "vi"
    try:
        words = shlex.split(chosen)
    except ValueError:
        raise UserError("$EDITOR cannot be understood: check its quotation marks") from None
    program = shutil.which(words[0]) if words else None
    if program is None:
        raise UserError("the editor was not found: set $EDITOR to one that is installed")
    return [program, *words[1:], *_OPTIONS.get(Path(program).name, ())]


async def edit(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """What becomes of ``text`` in the editor; UserError or StorageError, and the text has not changed."""
    run = command(environment)
    folder = Path(tempfile.mkdtemp(prefix="troth-", dir=_in_memory(environment)))
    path = folder / "message.txt"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
        process = await asyncio.create_subprocess_exec(*run, str(path))
        if await process.wait():
            raise UserError("the editor ended with an error: the message is as it was")
        raw = path.read_bytes() if path.stat().st_size <= MOST_BYTES else b""
        if not raw and path.stat().st_size:
            raise UserError(f"what the editor left is longer than {MOST_BYTES:,} bytes: the message is as it was")
        return raw.decode("utf-8").removesuffix("\n")
    except UnicodeDecodeError:
        raise UserError("what the editor left is not UTF-8: the message is as it was") from None
    except OSError as error:
        raise StorageError(f"the editor's file cannot be used: {error.strerror}") from None
    finally:
        wipe(folder)


def _in_memory(environment: Mapping[str, str]) -> str | None:
    shared = "/dev/shm"  # noqa: S108 (a directory of our own is made in it)
    places = (environment.get("XDG_RUNTIME_DIR", ""), shared)
    return next((place for place in places if place and os.access(place, os.W_OK | os.X_OK)), None)


def wipe(folder: Path) -> None:
    """Overwrite every file in a directory once, then remove the directory; what cannot be wiped is left."""
    for path in folder.rglob("*"):
        try:
            if path.is_file() and not path.is_symlink():
                with path.open("r+b") as file:
                    file.write(bytes(path.stat().st_size))
                    file.flush()
                    os.fsync(file.fileno())
        except OSError:
            continue
    shutil.rmtree(folder, ignore_errors=True)
