"""``verify-erasure``: proves that what was erased is nowhere any more. Exit 0 only if every check holds."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Final

from .. import config as configuration
from ..ledger_file import LedgerFile
from . import EXIT_DONE

_MORE = """\
It reads the relay's files byte by byte, with code of its own, and changes nothing: the database (is every byte
that holds no row zero?), its log, the key slots (has every key a mailbox, and every mailbox a key?), the files of
attachments (has every one a row?), and, if
given, a backup (does anything in it open that is not in the database?) and the copy of the keys. Beside
a running relay it may wait up to 60 s for the relay's own sweep.

It cannot look beneath the file system, nor at the blocks of attachments that are gone: the relay overwrites
them before it lets go of them. On flash, on a file system that copies on write, and in snapshots
old bytes may stay; what is known of the disk is said as a warning and does not change the exit code.
Exit codes: 0 all holds, 4 something does not, 1 and 3 something could not be looked at."""
_EXIT_NOT_ERASED: Final = 4
"""Of the codes the one for trust: the operator must look."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _MORE
    parser.add_argument("--backup", type=Path, metavar="FILE", help="also look into this backup")
    parser.add_argument("--keys", type=Path, metavar="COPY", help="also look into this copy of the mailboxes' keys")
    parser.add_argument("--json", action="store_true", help="one object a line")


def run(options: argparse.Namespace) -> int:
    """Look, and say what was found."""
    from ..erasure import medium
    from ..erasure.proof import place, prove

    relay = LedgerFile.read(configuration.load(options.data).ledger).fingerprint
    holds = True
    with place(options.data, time.sleep) as at:
        if at.running and not options.json:
            print("the relay is running", flush=True)
        for finding in prove(at, options.backup, options.keys, relay):
            holds = holds and finding.holds
            if options.json:
                said = {"check": finding.name, "holds": finding.holds, "said": finding.said, **finding.numbers}
                print(json.dumps(said), flush=True)
            else:
                print(f"{'yes' if finding.holds else 'NO '}  {finding.said}", flush=True)
    beneath = medium.beneath(options.data)
    warnings = list(beneath.warnings)
    if options.keys is not None:
        warnings += [f"the copy of the keys: {warning}" for warning in medium.beneath(options.keys.parent).warnings]
    if options.json:
        print(json.dumps({"holds": holds, "medium": beneath.kind, "warnings": warnings}))
    else:
        for warning in warnings:
            print(f"but  {warning}")
        print("erased is erased, as far as the files go" if holds else "NOT everything that should be gone is gone")
    return EXIT_DONE if holds else _EXIT_NOT_ERASED
