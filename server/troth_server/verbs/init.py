"""``init``: make a relay, from three questions on a terminal or from flags."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from troth_protocol.errors import UserError

from .. import config as configuration
from ..admission import Mode
from ..config import DEFAULT_PORT, Config, Page, Tls, TlsMode, port_number
from . import EXIT_DONE

WEB_PORT: Final = 443
"""Where clients reach a relay behind a web server."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What is asked, or given by flags."""

    hosts: tuple[str, ...]
    tls: Tls
    page: Page


def arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes; with none of these, on a terminal, it asks."""
    add = parser.add_argument
    add("--host", action="append", metavar="HOST", help="a name or address by which clients reach it; may be repeated")
    add("--port", type=port_number, metavar="N", help=f"TCP port to listen on ({DEFAULT_PORT})")
    add("--public-port", type=port_number, metavar="N", help=f"port that clients use (--port; {WEB_PORT} with a proxy)")
    add("--bind", metavar="ADDR", help="address to listen on (0.0.0.0; 127.0.0.1 without --host or with a proxy)")
    add("--socket", metavar="PATH", help="UNIX socket to listen on, with --tls proxy")
    add("--tls", choices=[mode.value for mode in TlsMode], help="own certificate, files of an ACME client, or a proxy")
    add("--certificate", metavar="PEM", help="with --tls files or proxy: the certificate")
    add("--key", metavar="PEM", help="with --tls files: its key")
    add("--pin", action="store_true", help="with --tls files or proxy: the key stays when the certificate is renewed")
    add("--operator-key", type=Path, metavar="PATH", help="where to put the operator's key: best on another medium")
    add("--admission", choices=[mode.value for mode in Mode], help="who may make a mailbox (open)")
    add("--metrics-port", type=port_number, default=0, metavar="N", help="loopback port for metrics (off)")
    add("--name", help="the relay's name, for its page")
    add("--operator", help="who runs it, for its page")
    add("--contact", help="how to reach whoever runs it, for its page")


def run(options: argparse.Namespace) -> int:
    """Keys, ledger and configuration in a folder that had none."""
    from troth_protocol.primitives import SystemRandomness

    from .. import operator

    given = (options.host, options.tls, options.bind, options.socket, options.operator, options.contact, options.name)
    asked = sys.stdin.isatty() and sys.stdout.isatty() and not any(given)
    if (options.data / configuration.FILE).exists():  # before anybody is asked anything
        raise UserError(f"{options.data / configuration.FILE} exists; nothing was changed")
    answers = ask(_reply) if asked else _given(options)
    if 0 in (options.port, options.public_port):
        raise UserError("a relay's port is part of its address; 0 will not do")
    proxied = answers.tls.mode is TlsMode.PROXY
    config = Config(
        options.data,
        bind=options.bind or ("0.0.0.0" if answers.hosts and not proxied else "127.0.0.1"),  # noqa: S104
        port=options.port or DEFAULT_PORT,
        socket=options.socket or "",
        metrics_port=options.metrics_port,
        tls=answers.tls,
        admission=Mode(options.admission or "open"),
        page=answers.page,
    )
    config.check()
    names = answers.hosts or ("127.0.0.1",)
    port = options.public_port or (WEB_PORT if proxied else config.port)
    key = options.operator_key or options.data / operator.KEY_FILE
    web = answers.tls.mode is not TlsMode.OWN and not options.pin
    operator.found(config, names, int(time.time()), SystemRandomness(), port=port, web=web, key_path=key)
    _report(config, names, port, key, apart=options.operator_key is not None)
    return EXIT_DONE


def _given(options: argparse.Namespace) -> Answers:
    mode = TlsMode(options.tls or "own")
    if mode is TlsMode.OWN and (options.certificate or options.key or options.pin):
        raise UserError("--certificate, --key and --pin go with --tls files or --tls proxy")
    if mode is TlsMode.FILES and not (options.certificate and options.key):
        raise UserError("--tls files needs --certificate and --key")
    if mode is TlsMode.PROXY and not options.certificate:
        raise UserError("--tls proxy needs --certificate: the proxy's, whose key proofs are bound to")
    if mode is TlsMode.PROXY and options.key:
        raise UserError("--key is the proxy's own business; the relay must not have it")
    page = Page(True, options.name or "", options.operator or "", options.contact or "", "")
    return Answers(tuple(options.host or ()), _tls(mode, options.certificate or "", options.key or ""), page)


def _tls(mode: TlsMode, certificate: str, key: str) -> Tls:
    if mode is TlsMode.OWN:
        return Tls()
    return Tls(mode, str(Path(certificate).absolute()), str(Path(key).absolute()) if key else "")


def _reply(prompt: str) -> str:
    try:
        return input(prompt)
    except EOFError:
        raise UserError("the questions were not answered; nothing was made") from None


def ask(reply: Callable[[str], str]) -> Answers:
    """Three questions; UserError for an answer that cannot be."""
    print("1. By which names or addresses do people reach this machine? (several: with spaces; empty: only to try it)")
    hosts = tuple(reply("   > ").split())
    print("2. TLS: 1 a certificate of its own (works everywhere, also on a bare address; the usual choice)")
    print("        2 files that an ACME client such as certbot renews")
    print("        3 a web server on this machine, such as Caddy or nginx, passes connections on")
    chosen = reply("   [1] > ").strip() or "1"
    if chosen not in ("1", "2", "3"):
        raise UserError("the answer is 1, 2 or 3")
    mode = (TlsMode.OWN, TlsMode.FILES, TlsMode.PROXY)[int(chosen) - 1]
    certificate = key = ""
    if mode is not TlsMode.OWN:
        certificate = reply("   path of the certificate, PEM > ").strip()
    if mode is TlsMode.FILES:
        key = reply("   path of its key, PEM > ").strip()
    if mode is not TlsMode.OWN and (not certificate or (mode is TlsMode.FILES and not key)):
        raise UserError("that needs a path")
    print("3. Who runs it, and how are you reached? Both are shown on the relay's page, and may be empty.")
    operator, contact = reply("   who > ").strip(), reply("   contact > ").strip()
    return Answers(hosts, _tls(mode, certificate, key), Page(True, "", operator, contact, ""))


def _report(config: Config, hosts: tuple[str, ...], port: int, key: Path, *, apart: bool) -> None:
    own = config.tls.mode is TlsMode.OWN
    certificate = "tls-cert.pem     its TLS certificate; tls-key.pem the key (leave both here)\n  " if own else ""
    print(f"""\
A relay was made in {config.data}:
  {configuration.FILE:<16} what you may choose, explained
  {certificate}ledger.bin       what you have signed: clients find it at {", ".join(f"{name}:{port}" for name in hosts)}
  invite.key       makes invitations, where you want them
and your operator key: {key}
""")
    if apart:
        print("Take it away from this machine, and keep a copy:")
    else:
        print(f"Move {key} to a medium that is not attached to this machine, and keep a copy:")
    print("""\
whoever has it can speak for this relay, and without it you can never change the relay's address or TLS key.
The relay does not need it to run.
""")
    if hosts == ("127.0.0.1",):
        print("It answers on this machine only; for others to reach it, use --host NAME.\n")
    print(f"Next: troth-relay serve --data {config.data}")
