"""``troth-relay``: init, card, serve. Each failure is one line; the exit code says whose it is.

0 done, 1 the user's mistake, 2 unexpected, 3 network or disk, 70 the storage can no longer be trusted. Ciphers are
loaded inside ``init`` and ``card`` only.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NoReturn

from troth_protocol.errors import DecodeError, TrothError, UserError

from . import config as configuration
from .config import DEFAULT_PORT, Config
from .ledger_file import LedgerFile

EXIT_DONE: Final = 0
EXIT_USER: Final = 1
EXIT_UNEXPECTED: Final = 2
EXIT_NETWORK_OR_DISK: Final = 3
EXIT_STORAGE_UNTRUSTED: Final = 70
"""EX_SOFTWARE of sysexits.h; a service manager may restart the relay, which reads the disk again."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; the exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.verb == "init":
            return _init(options.data, options.host, options.port, options.bind)
        if options.verb == "card":
            return _card(options.data, options.qr)
        return _serve(options.data, options.port)
    except DecodeError as error:
        return _fail(f"a file of the relay is damaged: {error}", EXIT_USER)
    except TrothError as error:
        return _fail(str(error), error.exit_code)
    except OSError as error:
        return _fail(f"{error.strerror or type(error).__name__}", EXIT_NETWORK_OR_DISK)
    except KeyboardInterrupt:
        return EXIT_DONE
    except Exception as error:  # the last line of defence: a traceback could name what must not be named
        return _fail(f"unexpected {type(error).__name__}; please report it", EXIT_UNEXPECTED)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="troth-relay", description="A relay for troth: keeps sealed envelopes, learns little.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    folder = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "troth-relay"

    def verb(name: str, text: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=text, description=text)
        added.add_argument("--data", type=Path, default=folder, metavar="DIR", help=f"the relay's folder ({folder})")
        return added

    init = verb("init", "make a relay: keys, ledger and configuration")
    init.add_argument("--host", action="append", default=[], metavar="HOST", help="a name or address clients use")
    init.add_argument("--port", type=_port, default=DEFAULT_PORT, metavar="N", help=f"TCP port ({DEFAULT_PORT})")
    init.add_argument("--bind", metavar="ADDR", help="address to listen on (0.0.0.0; 127.0.0.1 without --host)")
    card = verb("card", "print the link by which people join this relay")
    card.add_argument("--qr", action="store_true", help="also as a QR code")
    serve = verb("serve", "run the relay")
    serve.add_argument("--port", type=_port, metavar="N", help="listen on another port than the configuration says")
    return parser


class _Parser(argparse.ArgumentParser):
    """Argparse that exits with the user's code and not with the unexpected one."""

    def error(self, message: str) -> NoReturn:
        """One line, exit 1."""
        self.exit(_fail(f"{message}; see {self.prog} --help", EXIT_USER))


def _port(text: str) -> int:
    try:
        port = int(text)
    except ValueError:
        port = -1
    if not 0 <= port <= 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port")
    return port


def _fail(message: str, code: int) -> int:
    print(f"troth-relay: {message}", file=sys.stderr, flush=True)
    return code


def _init(data: Path, hosts: list[str], port: int, bind: str | None) -> int:
    from troth_protocol.primitives import SystemRandomness

    from . import operator

    if port == 0:
        raise UserError("a relay's port is part of its address; 0 will not do")
    config = Config(data, bind=bind or ("0.0.0.0" if hosts else "127.0.0.1"), port=port)  # noqa: S104
    names = tuple(hosts) or ("127.0.0.1",)
    operator.found(config, names, int(time.time()), SystemRandomness())
    print(f"""\
A relay was made in {data}:
  {configuration.FILE:<16} what you may choose
  tls-cert.pem     its TLS certificate; tls-key.pem the key (leave both here)
  ledger.bin       what you have signed: clients find it at {", ".join(f"{name}:{port}" for name in names)}
  {operator.KEY_FILE:<16} your operator key

Move {data / operator.KEY_FILE} to a medium that is not attached to this machine, and keep a copy:
whoever has it can speak for this relay, and without it you can never change the relay's address or TLS key.
The relay does not need it to run.
""")
    if not hosts:
        print("It answers on this machine only; for others to reach it, use --host NAME.\n")
    print(f"Next: troth-relay serve --data {data}")
    return EXIT_DONE


def _card(data: Path, qr: bool) -> int:
    from troth_protocol.card import RelayAddress

    ledger = LedgerFile.read(configuration.load(data).ledger)
    host, port = ledger.address().hosts[0]
    link = RelayAddress(host, port, ledger.fingerprint).link()
    print(link)
    if qr:
        import segno

        segno.make(link, error="m").terminal(compact=True)
    return EXIT_DONE


def _serve(data: Path, port: int | None) -> int:
    from dataclasses import replace

    config = configuration.load(data)
    if port is not None:
        config = replace(config, port=port)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    loop_factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    with contextlib.suppress(ImportError):  # an idle TLS connection takes 40 KiB with uvloop, 293 KiB without
        import uvloop

        loop_factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(_run(config))
    return EXIT_DONE


async def _run(config: Config) -> None:
    """Serve until SIGTERM or SIGINT."""
    from . import tls
    from .listener import Listener
    from .storage import STORES

    ledger = LedgerFile.read(config.ledger)
    served = tls.load(config.certificate, config.certificate_key)
    address = ledger.address()
    if address.pins is not None and served.key_hash not in address.pins:
        raise UserError("the TLS key is not one the ledger's newest descriptor names: no client would accept it")
    if time.time() >= address.expires:
        raise UserError("the ledger's newest descriptor has expired: no client would accept it; sign a new one")
    if config.store not in STORES:
        raise UserError(f"there is no store {config.store!r}; there is {', '.join(sorted(STORES))}")
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_log_kind)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    store = STORES[config.store](config.data, config.quotas, _die)
    try:
        async with Listener(config, store, ledger, served) as listener:
            print(f"serving on {listener.host}:{listener.port}", flush=True)
            await stop.wait()
    finally:
        store.close()


def _log_kind(_: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """Log an unhandled error by its kind alone: asyncio's own line would name the peer's address."""
    logging.getLogger("troth.relay").error("unhandled %s", type(context.get("exception")).__name__)


def _die(reason: str) -> None:
    """The storage cannot be trusted any more: stop at once, so that nothing more is promised."""
    with contextlib.suppress(OSError):
        _fail(f"FATAL_STORAGE {reason}; nothing more was acknowledged", EXIT_STORAGE_UNTRUSTED)
    os._exit(EXIT_STORAGE_UNTRUSTED)
