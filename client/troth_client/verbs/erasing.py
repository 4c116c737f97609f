"""Leaving: everything written down for its owner, everything erased at the relay, everything erased here."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from troth_protocol.errors import NotReady, RelayError, StorageError, UserError
from troth_protocol.wire import Code

from ..cli import Output
from ..driver import Driver
from ..route_desk import FOLDER
from ..vault import store
from .account import online
from .shared import contact_line, message_line

_PAGE: Final = 500
_FILES: Final = ("vault.key", "vault.db", "vault.db-wal", "vault.db-shm", "vault.new", "preferences.toml", "lock")


def sure(options: argparse.Namespace, what: str) -> None:
    """Ask the person once; UserError unless they say the word, or said ``--yes``."""
    if options.yes:
        return
    if not sys.stdin.isatty():
        raise UserError("nobody is there to ask: add --yes")
    print(f"{what}\nThere is no way back. Type  erase  to go on: ", end="", flush=True)
    if sys.stdin.readline().strip() != "erase":
        raise UserError("nothing was erased")


async def account(driver: Driver, options: argparse.Namespace, output: Output) -> int:
    """Export everything, or erase the account at the relay; the files here go when the vault is closed."""
    if options.step == "export":
        return _export(driver, options.file, output)
    sure(options, "This erases your account at your relay and on this device: nobody can write to you any more.")
    try:
        async with online(driver):
            await driver.erase_account()
    except RelayError as error:
        if error.wire_code != Code.REFUSED:
            raise
        raise NotReady(
            "our relay knows no such account: if it was erased before, erase the rest with  troth profile erase"
        ) from None
    output.remark("Your relay has erased your account.", {"type": "erased", "where": "relay"})
    return 0


def _export(driver: Driver, path: Path, output: Output) -> int:
    try:
        count = _write_whole(driver, path)
    except OSError as error:
        raise StorageError(f"the file cannot be written: {error.strerror}") from None
    output.result(
        f"{count} messages are in the file, readable by whoever has it. Keys are not in it.",
        {"type": "exported", "messages": count},
    )
    return 0


def _write_whole(driver: Driver, path: Path) -> int:
    """The file is there whole, or not at all; how many messages are in it. OSError, also if it is there already."""
    fresh = path.with_name(path.name + ".part")
    with contextlib.ExitStack() as undo:
        for name in (path, fresh):
            os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
            undo.callback(name.unlink, missing_ok=True)
        with fresh.open("w", encoding="ascii") as file:
            count = 0
            for line in _everything(driver):
                file.write(json.dumps(line, ensure_ascii=True) + "\n")
                count += line["type"] == "message"
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        undo.pop_all()
    return count


def _everything(driver: Driver) -> Iterator[Mapping[str, object]]:
    """What there is about us, then each contact and its conversation, oldest first."""
    relay = driver.own_relay
    yield {
        "type": "account", "name": driver.own_name, "fingerprint": driver.own_fingerprint.hex(),
        "relay": f"{relay.host}:{relay.port}", "relay_fingerprint": relay.fingerprint.hex(), "cards": driver.cards(),
    }  # fmt: skip
    for view in driver.contacts():
        number = driver.safety_number(view.fingerprint)
        yield {**contact_line(view), "safety_number": number, "draft": view.draft}
        row = 0
        while page := driver.history(view.fingerprint, after=row, limit=_PAGE):
            for message in page:
                yield message_line(view, message)
            row = page[-1].row


def erase_profile(profile: Path, options: argparse.Namespace, output: Output) -> int:
    """Erase this profile's files; the account stays at the relay. VaultBusy, UserError."""
    if not any((profile / name).exists() for name in _FILES if name != "lock"):  # the key may be gone, the rest not
        raise UserError("there is no profile here")
    sure(
        options,
        "This erases the profile on this device: its messages and keys are gone, for you and for everybody. The "
        "account at your relay stays, and nobody can erase it any more:  troth account erase  does both.",
    )
    wipe_alone(profile)
    output.remark("The profile is erased.", {"type": "erased", "where": "here"})
    return 0


def wipe_alone(profile: Path) -> None:
    """Wipe a profile that no other process has open; VaultBusy, StorageError."""
    lock = store.lock(profile)
    try:
        wipe(profile)
    finally:
        os.close(lock)


def wipe(profile: Path) -> None:
    """Overwrite and remove every file of a profile, the key file first: without its salt the rest opens to nobody.

    A disk that moves blocks about may keep old copies; they are under a key that the passphrase alone does not give.
    """
    try:
        for name in _FILES:
            path = profile / name
            if path.exists():
                with path.open("r+b", buffering=0) as file:
                    left = path.stat().st_size
                    while left > 0:
                        left -= file.write(bytes(min(left, 1 << 20)))
                    os.fsync(file.fileno())
                path.unlink()
        shutil.rmtree(profile / FOLDER, ignore_errors=True)
        folder = os.open(profile, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
    except OSError as error:
        raise StorageError(f"not everything could be erased: {error.strerror}") from None
