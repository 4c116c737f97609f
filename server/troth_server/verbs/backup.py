"""``backup``: what a lost disk must not cost, sealed mailbox by mailbox."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from .. import config as configuration
from ..ledger_file import LedgerFile
from . import EXIT_DONE, EXIT_NETWORK_OR_DISK, fail

_MORE = """\
It may run while the relay serves, from a timer too: with another FILE each time, or --force.

FILE holds, for each mailbox: the owner's proof, token keys and spent nonces, cards, spares, the last
number. It holds no queued message and no one-time key: a lost disk costs what was queued. Each mailbox
is sealed under its own key in slots.bin, which is not in FILE: an erased mailbox is unreadable at once
in every FILE ever made. Without slots.bin or its copy no FILE opens.

--keys COPY keeps a copy of the keys for the day the disk is lost. Put it on another medium (a USB stick,
another machine's disk), one that overwrites in place: not a snapshot, a synchronised folder, a bucket with
versions, or tape. Every backup with --keys overwrites it where it lies, and makes it forget what the relay
forgot. Until then a mailbox that was erased here can be read by whoever has COPY and an older FILE:
refresh it daily. Do not copy the copy. It is made with --make-copy, once: a COPY that is not there later
means that its medium is not, and is an error.

Keep relay.toml, tls-cert.pem, tls-key.pem and ledger.bin beside COPY once; they change only when you
change them, and clients accept no other TLS key."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _MORE
    parser.add_argument("file", type=Path, metavar="FILE", help="the backup to write")
    parser.add_argument("--keys", type=Path, metavar="COPY", help="also refresh this one copy of the mailboxes' keys")
    parser.add_argument("--make-copy", action="store_true", help="make COPY: the first time only")
    parser.add_argument("--force", action="store_true", help="replace FILE if it exists")


def run(options: argparse.Namespace) -> int:
    """Write it."""
    from troth_protocol.primitives import SystemRandomness

    from ..backup import keys_copy
    from ..backup.take import take
    from ..shred import FILE

    config = configuration.load(options.data)
    relay = LedgerFile.read(config.ledger).fingerprint
    draw = SystemRandomness().draw
    taken = take(options.data, options.file, relay, int(time.time()), draw, replace=options.force)
    print(f"{taken.records} mailboxes, {taken.size} bytes")
    if options.keys is not None:
        done = keys_copy.refresh(options.data / FILE, options.keys, make=options.make_copy)
        print(f"the copy of the keys holds {done.held}; {done.erased} were erased in it")
    if taken.unsealed or taken.damaged:
        said = f"{taken.unsealed} mailboxes have no sound key or are too large, and {taken.damaged} rows are damaged"
        return fail(f"{said}: they are not in the backup", EXIT_NETWORK_OR_DISK)
    return EXIT_DONE
