"""``forwarder``: be a web site to everybody, and a way to relays for whoever has the link. SPEC.md section 19.4."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..config import port_number


def arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes. What is given is written to ``forwarder.toml`` and need not be given again."""
    parser.add_argument("--host", metavar="HOST", help="the name or address by which people reach this forwarder")
    parser.add_argument("--port", type=port_number, metavar="N", help="TCP port (443)")
    parser.add_argument("--bind", metavar="ADDR", help="address to listen on (0.0.0.0)")
    parser.add_argument("--name", metavar="NAME", help="the site's name, shown to the network (the host)")
    parser.add_argument(
        "--site",
        metavar="URL",
        help="the web site that strangers get: https://HOST:PORT is passed on unread, TLS and all (best); for "
        "http://HOST:PORT TLS ends here (HOST:PORT alone: whichever it is); without it a page of our own (index.html "
        "in the folder, if there is one)",
    )
    parser.add_argument("--certificate", metavar="FILE", help="for strangers, where TLS ends here (PEM)")
    parser.add_argument("--key", metavar="FILE", help="its key (PEM)")
    parser.add_argument(
        "--relay", action="append", default=[], metavar="LINK", help="a relay that may be reached (troth-relay: link)"
    )
    parser.add_argument(
        "--ledger", type=Path, action="append", default=[], metavar="FILE", help="the same, from a copy of its ledger"
    )
    parser.add_argument("--metrics-port", type=port_number, metavar="N", help="counts for Prometheus, on loopback")
    parser.add_argument("--set-up", action="store_true", help="write the files, print the link, and stop")
    parser.add_argument("--quiet", action="store_true", help="print no link: for a service, whose output is kept")
    parser.add_argument(
        "--allow-private-addresses-for-tests-only",
        action="store_true",
        help="let guests reach relays on private addresses and on this machine: never on a real network",
    )


def run(options: argparse.Namespace) -> int:
    """Set up what is missing, print the link, and forward until SIGTERM or SIGINT."""
    from ..forwarder import start

    return start.start(options)
