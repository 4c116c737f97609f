"""``troth-relay``: one row for each verb. Each failure is one line; the exit code says whose it is.

0 done, 1 the user's mistake, 2 unexpected, 3 network or disk, 70 the storage can no longer be trusted. No line repeats
what was typed: a mistyped argument may be a secret.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from troth_protocol.errors import DecodeError, TrothError

from .verbs import (
    EXIT_NETWORK_OR_DISK,
    EXIT_UNEXPECTED,
    EXIT_USER,
    backup,
    card,
    fail,
    forwarder,
    init,
    ledger,
    restore,
    serve,
    status,
    verify_erasure,
)


@dataclass(frozen=True, slots=True)
class Verb:
    """What a verb is for, what it takes beside ``--data``, and what it does."""

    help: str
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


VERBS: Final[Mapping[str, Verb]] = {
    "init": Verb("make a relay: keys, ledger and configuration", init.arguments, init.run),
    "card": Verb("print the link by which people join this relay", card.arguments, card.run),
    "invite": Verb(
        "print a link that lets somebody join, where that needs an invitation", card.invite_arguments, card.invite
    ),
    "ledger": Verb("show what you have signed, or sign a new descriptor", ledger.arguments, ledger.run),
    "serve": Verb("run the relay", serve.arguments, serve.run),
    "status": Verb("say how the relay is, on one screen", status.arguments, status.run),
    "doctor": Verb("say what is wrong and how to mend it", status.arguments, status.doctor),
    "backup": Verb("write what a lost disk must not cost", backup.arguments, backup.run),
    "restore": Verb("make the relay's database from a backup", restore.arguments, restore.run),
    "verify-erasure": Verb(
        "prove that what was erased is nowhere any more", verify_erasure.arguments, verify_erasure.run
    ),
    "forwarder": Verb("let people reach relays through what looks like a web site", forwarder.arguments, forwarder.run),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return VERBS[options.verb].run(options)
    except DecodeError as error:
        return fail(f"a file of the relay is damaged: {error}", EXIT_USER)
    except TrothError as error:
        return fail(str(error), error.exit_code)
    except OSError as error:
        return fail(f"{error.strerror or type(error).__name__}", EXIT_NETWORK_OR_DISK)
    except KeyboardInterrupt:  # half a backup is none: whoever waits for this one must hear of it
        return fail("interrupted; it is not done", EXIT_USER)
    except Exception as error:  # the last line of defence: a traceback could name what must not be named
        return fail(f"unexpected {type(error).__name__}; please report it", EXIT_UNEXPECTED)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="troth-relay", description="A relay for troth: keeps sealed envelopes, learns little.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    folder = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "troth-relay"
    for name, verb in VERBS.items():
        added = verbs.add_parser(name, help=verb.help, description=verb.help, allow_abbrev=False)
        added.add_argument("--data", type=Path, default=folder, metavar="DIR", help=f"the relay's folder ({folder})")
        verb.arguments(added)
    return parser


class _Parser(argparse.ArgumentParser):
    """Argparse that exits with the user's code and not with the unexpected one."""

    def error(self, message: str) -> NoReturn:
        """One line, exit 1."""
        self.exit(fail(f"{_untyped(message)}; see {self.prog} --help", EXIT_USER))


def _untyped(message: str) -> str:
    """What argparse says, without what was typed: the parts that are its own or name an option of ours."""
    subject, colon, rest = message.partition(": ")
    if not colon or subject == "the following arguments are required":
        return message
    if not subject.startswith("argument "):
        return subject  # unrecognized arguments, ambiguous option
    said = rest.partition(": ")[0]
    return f"{subject}: {'takes no value' if said.startswith('ignored explicit') else said}"
