"""``status`` and ``doctor``: how the relay is, and what is wrong with it."""

from __future__ import annotations

import argparse
import dataclasses
import json
import time

from . import EXIT_DONE, EXIT_NETWORK_OR_DISK


def arguments(parser: argparse.ArgumentParser) -> None:
    """What both take."""
    parser.add_argument("--json", action="store_true", help="for programs: JSON, an object a line")


def run(options: argparse.Namespace) -> int:
    """Print the status; 0 if the relay answers and is well, else 3."""
    from .. import status

    now = int(time.time())
    found = status.look(options.data, now)
    print(json.dumps(dataclasses.asdict(found)) if options.json else status.screen(found, now))
    return EXIT_DONE if found.healthy else EXIT_NETWORK_OR_DISK


def doctor(options: argparse.Namespace) -> int:
    """Print findings, each with how to mend it; 0 if nothing is wrong, 1 for the operator, 3 for network or disk."""
    from .. import doctor as doctors

    findings = doctors.examine(options.data, int(time.time()))
    for finding in findings:
        if options.json:
            print(json.dumps(dataclasses.asdict(finding)))
        else:
            print(f"{'WRONG' if finding.code else 'note '}  {finding.what}\n       {finding.mend}")
    if not findings and not options.json:
        print("Nothing is wrong.")
    codes = {finding.code for finding in findings}
    return next((code for code in (1, 3) if code in codes), EXIT_DONE)
