"""``ledger``: show what the operator has signed, or sign a new descriptor with the offline key."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from troth_protocol.errors import UserError

from .. import config as configuration
from ..config import Config, TlsMode, port_number
from ..ledger_file import LedgerFile
from . import EXIT_DONE


def arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes: a verb of its own."""
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="WHAT")
    kinds.add_parser("show", help="print what was signed, the oldest first")
    add = kinds.add_parser("descriptor", help="sign where clients find the relay, and its TLS keys").add_argument
    add("--operator-key", type=Path, metavar="PATH", help="the operator's key (in the relay's folder, if it still is)")
    add("--host", action="append", metavar="HOST", help="a name or address (those of the newest descriptor)")
    add("--port", type=port_number, metavar="N", help="the port that clients use (that of the newest descriptor)")
    how = kinds.choices["descriptor"].add_mutually_exclusive_group()
    how.add_argument("--web", action="store_true", help="clients check the certificate as of a web site")
    how.add_argument("--pin", action="store_true", help="clients know the key of the certificate in use")
    add(
        "--also", type=Path, action="append", default=[], metavar="PEM", help="pin this certificate's key too: the next"
    )

    for kind in kinds.choices.values():  # also after the word
        kind.add_argument("--data", type=Path, default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> int:
    """Show or sign; the relay notices the new file by itself."""
    config = configuration.load(options.data)
    ledger = LedgerFile.read(config.ledger)
    if options.kind == "show":
        _show(ledger)
        return EXIT_DONE
    from troth_protocol.ledger import MAX_PINS, Descriptor
    from troth_protocol.ledger import TlsMode as Check
    from troth_protocol.primitives import SystemRandomness

    from .. import operator

    keys = operator.Operator.read(options.operator_key or config.data / operator.KEY_FILE)
    if keys.fingerprint != ledger.fingerprint:
        raise UserError("the operator key is not this ledger's; nothing was changed")
    before = ledger.address()
    hosts = tuple(options.host or (host for host, _ in before.hosts))
    named = operator.addresses(hosts, before.hosts[0][1] if options.port is None else options.port)
    web = options.web or (before.pins is None and not options.pin)
    pins = () if web else _pins(config, options.also)
    if web and options.also:
        raise UserError("--also is for pinned keys; with --web clients look at names")
    if len(pins) > MAX_PINS:
        raise UserError(f"a descriptor pins at most {MAX_PINS} keys")
    descriptor = Descriptor(named, Check.WEBPKI if web else Check.PIN, pins)
    keys.publish(ledger, descriptor, int(time.time()), SystemRandomness()).write(config.ledger)
    print(f"Signed and written to {config.ledger}; a running relay serves it within a few seconds.")
    return EXIT_DONE


def _pins(config: Config, also: list[Path]) -> tuple[bytes, ...]:
    from .. import tls

    if config.tls.mode is not TlsMode.PROXY:
        now = tls.load(config.certificate, config.certificate_key)
    elif config.tls.certificate:
        now = tls.proxied(config.certificate)
    else:
        raise UserError("[tls] certificate does not say which key the proxy has")
    return tuple(dict.fromkeys((now.key_hash, *(tls.proxied(path).key_hash for path in also))))


def _show(ledger: LedgerFile) -> None:
    from .. import page_text

    for line in page_text.entries(ledger):
        print(line)
