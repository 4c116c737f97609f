"""The command line: verbs in, lines out, one exit code. SPEC.md section 15 names the codes.

0 done, 1 the caller's mistake, 2 unexpected, 3 network or disk, 4 trust. With ``--json`` every line is one object. A
passphrase comes from a prompt, ``TROTH_PASSPHRASE_FILE`` or a file descriptor, never from an argument.
"""

from __future__ import annotations

import argparse
import getpass
import io
import itertools
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn

from troth_protocol.errors import BadPassphrase, TrothError, UserError

from .steps import AT_A_COMMAND

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

    def nothing(self, sentence: str) -> None:
        """That what was asked for is empty; a program sees it by no line at all."""
        if not self.as_json and not self._quiet:
            print(sentence, flush=True)

    def error(self, error: TrothError) -> None:
        """One line on standard error: what went wrong, and what to do next."""
        step = AT_A_COMMAND.get(error.code, "")
        line = {"type": "error", "code": error.code, "message": str(error), "next": step}
        said = f"troth: {error}. Next: {step}." if step else f"troth: {error}"
        print(json.dumps(line) if self.as_json else said, file=sys.stderr, flush=True)


class _Misused(UserError):
    """A command line that no verb understands; ``usage`` is what one of them would."""

    def __init__(self, message: str, usage: str) -> None:
        super().__init__(message)
        self.usage = usage


class _Parser(argparse.ArgumentParser):
    """Raises the caller's mistake where argparse would print it and exit with 2."""

    def error(self, message: str) -> NoReturn:
        raise _Misused(message, self.format_usage())


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
    main.add_argument("--plain", action="store_true", help="without a verb: lines instead of the window")
    verbs = main.add_subparsers(dest="verb", metavar="VERB", parser_class=_Parser)

    def verb(name: str, text: str) -> argparse.ArgumentParser:
        return verbs.add_parser(name, parents=[common], help=text, description=text)

    demo = verb("demo", "a relay and two people in one process, and what the relay sees")
    demo.add_argument("--script", action="store_true", help="print a scripted conversation and exit; needs no terminal")
    init = verb("init", "make an account on a relay")
    init.add_argument("--relay", required=True, metavar="LINK", help="the troth-relay: link its operator gave you")
    init.add_argument("--route", action="append", default=[], metavar="ROUTE", help="go by this proxy or forwarder")
    init.add_argument("--proxies-only", action="store_true", help="never go direct, not even now")
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
    history.add_argument("--ids", action="store_true", help="with the start of each message's id")
    history.add_argument("--limit", type=int, default=100, metavar="N", help="the newest N lines (100)")
    verify = verb("verify", "the safety number to compare with a contact")
    verify.add_argument("contact", metavar="CONTACT")
    marking = verify.add_mutually_exclusive_group()
    marking.add_argument("--mark", action="store_true", help="it was compared and is the same")
    marking.add_argument("--unmark", action="store_true", help="it was not compared after all")
    verify.add_argument(
        "--accept-change", action="store_true", help="their changed keys were read about; write to them"
    )
    _chat(verb)
    _routes(verb("routes", "ways to the relay: direct, by proxies, by a forwarder"), common)
    _leave(
        verb("account", "export or erase everything held about you"),
        verb("profile", "the files on this device"),
        common,
    )
    vector = verb("vector", "carry out a test vector and print its outcome as JSON; needs no account")
    vector.add_argument("file", metavar="FILE", type=Path, help="a file of tests/vectors")
    return main


_Verb = Callable[[str, str], argparse.ArgumentParser]


def _chat(verb: _Verb) -> None:
    """Verbs about messages that are there, and about a conversation as a whole."""
    for name, text, more in (
        ("reply", "answer one message", "text"),
        ("edit", "change a text of yours on both sides", "text"),
        ("delete", "take a text of yours back on both sides", ""),
        ("react", "put one sign under a message", "sign"),
        ("resend", "send a text that failed again", ""),
        ("withdraw", "forget a text that waits and was not encrypted yet", ""),
    ):
        about = verb(name, text)
        about.add_argument("contact", metavar="CONTACT")
        about.add_argument("message", metavar="MESSAGE", help="`last`, or the start of its id (troth history --ids)")
        if more:
            about.add_argument(more, metavar=more.upper(), nargs="?" if more == "sign" else None)
        if name == "react":
            about.add_argument("--remove", action="store_true", help="take yours away")
        if name == "delete":
            about.add_argument("--here", action="store_true", help="erase it on this device only, whoever wrote it")
    expire = verb("expire", "after what time new texts disappear on both sides")
    expire.add_argument("contact", metavar="CONTACT")
    expire.add_argument("time", metavar="TIME", nargs="?", help="off, or 30s to 4w; without it, what is set")
    receipts = verb("receipts", "whether contacts are told that their texts have arrived (off)")
    receipts.add_argument("switch", choices=("on", "off"))
    receipts.add_argument("contact", metavar="CONTACT", nargs="?", help="one contact; without it, all others")
    search = verb("search", "messages with all these words, newest first")
    search.add_argument("words", metavar="WORD", nargs="+", help="words or beginnings of words")
    search.add_argument("--in", dest="within", metavar="CONTACT", help="in one conversation")
    search.add_argument("--limit", type=int, default=50, metavar="N", help="at most N (50)")
    verb("block", "take from a contact every means to write to you").add_argument("contact", metavar="CONTACT")
    verb("unblock", "let a blocked contact write again").add_argument("contact", metavar="CONTACT")
    verb("mute", "announce nothing new of a contact; it is counted").add_argument("contact", metavar="CONTACT")
    verb("unmute", "announce it again").add_argument("contact", metavar="CONTACT")


def _leave(account: argparse.ArgumentParser, profile: argparse.ArgumentParser, common: _Parser) -> None:
    """Verbs that export or erase."""
    steps = account.add_subparsers(dest="step", metavar="STEP", parser_class=_Parser, required=True)
    export = steps.add_parser(
        "export", parents=[common], help="write what is held about you to a new file, without keys"
    )
    export.add_argument("file", metavar="FILE", type=Path, help="one JSON object a line, readable by you alone")
    erase = steps.add_parser("erase", parents=[common], help="erase the account at the relay, then this profile")
    erase.add_argument("--yes", action="store_true", help="do not ask")
    here = profile.add_subparsers(dest="step", metavar="STEP", parser_class=_Parser, required=True)
    local = here.add_parser("erase", parents=[common], help="erase this profile, and leave the account at the relay")
    local.add_argument("--yes", action="store_true", help="do not ask")


def _routes(verb: argparse.ArgumentParser, common: _Parser) -> None:
    steps = verb.add_subparsers(dest="step", metavar="STEP", parser_class=_Parser, required=True)
    listing = steps.add_parser("list", parents=[common], help="every route and what last came of it")
    listing.add_argument("--links", action="store_true", help="with their troth-route: links, secrets and all")
    listing.add_argument("--qr", action="store_true", help="also as QR codes")
    add = steps.add_parser("add", parents=[common], help="add a route")
    add.add_argument("link", metavar="ROUTE", help="a troth-route: link, socks5h://, http://, tunnel:// or pt+obfs4://")
    test = steps.add_parser("test", parents=[common], help="try routes now")
    test.add_argument("numbers", metavar="N", type=int, nargs="*", help="which (all); 0 is the direct one")
    steps.add_parser("remove", parents=[common], help="remove a route").add_argument("number", metavar="N", type=int)
    only = steps.add_parser("only-proxies", parents=[common], help="never go direct, names included")
    only.add_argument("switch", choices=("on", "off"))


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
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show a letter is shown its number
    try:
        options = parser().parse_args(arguments)
    except _Misused as error:
        as_json = _wants_json(arguments)
        if not as_json:
            print(error.usage, end="", file=sys.stderr)
        Output(as_json=as_json, quiet=False).error(error)
        return error.exit_code
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


def _wants_json(arguments: Sequence[str]) -> bool:
    """Whether a command line that could not be parsed asks for objects, in full or by the start of ``--json``."""
    before = itertools.takewhile(lambda each: each != "--", arguments)
    return any(len(each) > 2 and "--json".startswith(each) for each in before)


def _dispatch(options: argparse.Namespace, output: Output) -> int:
    profile = Path(getattr(options, "profile", None) or os.environ.get("TROTH_PROFILE") or PROFILE).expanduser()
    if options.verb == "demo":
        from . import demo

        return demo.run(script=options.script, output=output)
    if options.verb == "vector":
        from . import vector

        return vector.run(options.file)
    import asyncio  # after the verbs that need neither it nor a vault

    from . import verbs

    if options.verb == "profile":
        return verbs.erase_profile(profile, options, output)
    if options.verb is None and not (profile / "vault.key").exists() and sys.stdin.isatty() and not options.plain:
        return asyncio.run(verbs.first_run(profile))
    if options.verb == "init":
        return asyncio.run(verbs.init(profile, passphrase(options, new=True), options, output))
    return asyncio.run(verbs.carry_out(profile, passphrase(options, new=False), options, output))
