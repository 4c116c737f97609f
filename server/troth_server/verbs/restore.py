"""``restore``: the relay's database from a backup."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from .. import config as configuration
from ..ledger_file import LedgerFile
from . import EXIT_DONE

_MORE = """\
The relay must be stopped. Put relay.toml, tls-cert.pem, tls-key.pem and ledger.bin back first. If slots.bin
is lost with the disk, give its copy with --keys; if it is there, it is used.

What comes back is as it was when FILE was made. Nobody's queued messages come back. A mailbox that was
erased since does not come back, unless it was erased after COPY was last refreshed: then its owner must erase
it again. A mailbox made after FILE is gone; its owner's client says that the mailbox does not open. A right
that was taken back after FILE is a right again until its owner takes it back again. A token key that an owner
changed after FILE (monthly) is unknown, and its contacts' messages wait until it changes again: back up
daily. For a day spares do not work, and cards with one use left do not work any more."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _MORE
    parser.add_argument("file", type=Path, metavar="FILE", help="the backup")
    parser.add_argument(
        "--keys", type=Path, metavar="COPY", help="the copy of the mailboxes' keys, if slots.bin is lost"
    )
    parser.add_argument("--replace", action="store_true", help="replace a database; what is queued in it is lost")


def run(options: argparse.Namespace) -> int:
    """Put it back."""
    from troth_protocol.primitives import SystemRandomness

    from ..backup.restore import restore

    relay = LedgerFile.read(configuration.load(options.data).ledger).fingerprint
    draw, now = SystemRandomness().draw, int(time.time())
    done = restore(options.data, options.file, options.keys, relay, now, draw, replace_database=options.replace)
    made = time.strftime("%Y-%m-%d %H:%M", time.gmtime(done.time))
    print(f"{done.mailboxes} mailboxes are as they were at {made} UTC; nothing is queued")
    if done.dead:
        print(f"{done.dead} records open under no key: erased since; they stay erased")
    if done.unknown:
        print(
            f"{done.unknown} mailboxes have a key and no record in this backup: made after it, or erased after the keys"
        )
        print("were copied. If there is a newer backup, restore it now: the next start erases these keys.")
    return EXIT_DONE
