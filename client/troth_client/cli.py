"""The command line: verbs in, lines out, one exit code. SPEC.md section 15 names the codes.

0 done, 1 the caller's mistake, 2 unexpected, 3 network or disk, 4 trust. With ``--json`` every line is one object. A
passphrase comes from a prompt, ``TROTH_PASSPHRASE_FILE`` or a file descriptor, never from an argument.
"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn

from troth_protocol.errors import BadPassphrase, TrothError, UserError

PROFILE: Final = "~/.local/share/troth"


class Output:
    """Where results go: sentences for people, or one JSON object a line."""

    def __init__(self, *, as_json: bool, quiet: bool) -> None:
        self.as_json = as_json
        self._quiet = quiet

    def result(self, sentence: str, value: Mapping[str, object]) -> None:
        """Something that was asked for."""
        print(json.dumps(value, ensure_ascii=True) if self.as_json else sentence, flush=True)

    def remark(self, sentence: str, value: Mapping[str, object]) -> None:
        """Something good to know; left out with ``--quiet``."""
        if not self._quiet:
            self.result(sentence, value)

    def error(self, error: TrothError) -> None:
        """One line on standard error."""
        line = {"type": "error", "code": error.code, "message": str(error)}
        print(json.dumps(line) if self.as_json else f"troth: {error}", file=sys.stderr, flush=True)


class _Parser(argparse.ArgumentParser):
    """Exits with 1, the caller's mistake, where argparse would exit with 2."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(1, f"troth: {message}\n")


def parser() -> argparse.ArgumentParser:
    """Every verb and option."""
    common = _Parser(add_help=False)
    common.add_argument("--profile", metavar="DIR", default=argparse.SUPPRESS, help=f"where the vault is ({PROFILE})")
    common.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="one JSON object a line")
    common.add_argument("--quiet", action="store_true", default=argparse.SUPPRESS, help="results only")
    common.add_argument(
        "--passphrase-fd",
        type=int,
        metavar="N",
        default=argparse.SUPPRESS,
        help="where to read the passphrase",
    )
    main = _Parser(prog="troth", parents=[common], description="End-to-end encrypted messaging. No verb: the window.")
    verbs = main.add_subparsers(dest="verb", metavar="VERB", parser_class=_Parser)

    def verb(name: str, text: str) -> argparse.ArgumentParser:
        return verbs.add_parser(name, parents=[common], help=text, description=text)

    demo = verb("demo", "a relay and two people in one process, and what the relay sees")
    demo.add_argument("--script", action="store_true", help="print a scripted conversation and exit; needs no terminal")
    init = verb("init", "make an account on a relay")
    init.add_argument("--relay", required=True, metavar="LINK", help="the troth-relay: link its operator gave you")
    init.add_argument("--name", default="", help="what you call yourself, told to contacts only")
    card = verb("card", "a link by which one person can write to you first")
    card.add_argument("--uses", type=int, default=1, metavar="N", help="for N people instead of one (at most 100)")
    card.add_argument("--qr", action="store_true", help="also as a QR code")
    card.add_argument("--list", action="store_true", help="the cards you have out")
    card.add_argument("--revoke", metavar="LINK", help="take a card back")
    add = verb("add", "write to the person behind a card")
    add.add_argument("link", metavar="LINK", help="the troth: link they gave you")
    add.add_argument("--name", default="", help="what you call them")
    verb("requests", "people who have written and wait for an answer")
    accept = verb("accept", "answer a request")
    accept.add_argument("contact", metavar="CONTACT", help="a name or the start of a fingerprint")
    accept.add_argument("--name", default="", help="what you call them")
    verb("decline", "refuse a request and erase it").add_argument("contact", metavar="CONTACT")
    verb("contacts", "everybody you can write to")
    send = verb("send", "send a text; kept and sent later if it cannot leave now")
    send.add_argument("contact", metavar="CONTACT", help="a name or the start of a fingerprint")
    send.add_argument("text", metavar="TEXT", nargs="?", default="-", help="the text, or - for standard input")
    send.add_argument("--lines", action="store_true", help="each line of standard input is a message of its own")
    receive = verb("receive", "fetch and show what has come")
    receive.add_argument("--follow", action="store_true", help="stay connected")
    history = verb("history", "a conversation")
    history.add_argument("contact", metavar="CONTACT")
    history.add_argument("--limit", type=int, default=100, metavar="N", help="the newest N lines (100)")
    verify = verb("verify", "the safety number to compare with a contact")
    verify.add_argument("contact", metavar="CONTACT")
    marking = verify.add_mutually_exclusive_group()
    marking.add_argument("--mark", action="store_true", help="it was compared and is the same")
    marking.add_argument("--unmark", action="store_true", help="it was not compared after all")
    vector = verb("vector", "carry out a test vector and print its outcome as JSON; needs no account")
    vector.add_argument("file", metavar="FILE", type=Path, help="a file of tests/vectors")
    return main


def passphrase(options: argparse.Namespace, *, new: bool) -> str:
    """From a descriptor, a file, or a prompt; UserError."""
    descriptor: int | None = getattr(options, "passphrase_fd", None)
    path = os.environ.get("TROTH_PASSPHRASE_FILE")
    try:
        if descriptor is not None:
            with os.fdopen(descriptor, encoding="utf-8") as file:
                return file.readline().rstrip("\n")
        if path:
            return Path(path).read_text(encoding="utf-8").partition("\n")[0]
    except (OSError, UnicodeDecodeError):
        raise UserError("the passphrase cannot be read from where it should be") from None
    if not sys.stdin.isatty():
        raise UserError("no terminal to ask for a passphrase: set TROTH_PASSPHRASE_FILE or use --passphrase-fd")
    typed = getpass.getpass("Passphrase: ")
    if new and getpass.getpass("Once more: ") != typed:
        raise BadPassphrase("the two passphrases differ")
    return typed


def run(arguments: Sequence[str]) -> int:
    """Parse, carry out, and give the exit code."""
    options = parser().parse_args(arguments)
    output = Output(as_json=getattr(options, "json", False), quiet=getattr(options, "quiet", False))
    try:
        return _dispatch(options, output)
    except TrothError as error:
        output.error(error)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 3
    except Exception as error:  # a traceback could show what must not be seen
        output.error(TrothError(f"unexpected {type(error).__name__}; please report it"))
        return 2


def _dispatch(options: argparse.Namespace, output: Output) -> int:
    profile = Path(getattr(options, "profile", None) or os.environ.get("TROTH_PROFILE") or PROFILE).expanduser()
    if options.verb == "demo":
        from . import demo

        return demo.run(script=options.script, output=output)
    if options.verb == "vector":
        from . import vector

        return vector.run(options.file)
    from . import verbs

    if options.verb == "init":
        return asyncio.run(verbs.init(profile, passphrase(options, new=True), options, output))
    return asyncio.run(verbs.carry_out(profile, passphrase(options, new=False), options, output))
