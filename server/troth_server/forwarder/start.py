"""The forwarder as a process: its files are set up, its link printed, and it runs until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from troth_protocol.address import RelayAddress
from troth_protocol.primitives import SystemRandomness

from .. import notify, quiet
from ..ledger_file import LedgerFile
from ..scrape import Scrape
from . import lookout, relays, settings
from .front import Front, listening
from .settings import Files, Settings

SPARE_DESCRIPTORS: Final = 100
"""For the files, the ledgers' connections and the metrics."""


def start(options: argparse.Namespace) -> int:
    """Set up what is missing, print the link, and forward until told to stop; the exit code."""
    known = settings.load(options.data)
    chosen = _chosen(options, known or Settings())
    address = chosen.site_address()
    if address is not None and "://" not in chosen.site:
        chosen = replace(chosen, site=f"{asyncio.run(lookout.scheme(address))}://{chosen.site}")
    if chosen != known or not settings.is_founded(options.data):
        settings.found(options.data, chosen, int(time.time()), SystemRandomness())
    looks = lookout.Looks()
    if address is not None and chosen.passes_tls():
        looks = asyncio.run(lookout.look(address, chosen.name or chosen.host))
        settings.dress(options.data, chosen, looks.certificate, int(time.time()))
    opened = settings.open_files(options.data, chosen)
    if looks.protocol:
        opened.guests.set_alpn_protocols([looks.protocol])
    _take_ledgers(options, opened)
    if options.set_up:
        if not options.quiet:
            _show(opened.link(chosen.port))
        return 0
    quiet.hush()
    _make_room(chosen.max_connections)
    loop_factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    with contextlib.suppress(ImportError):
        import uvloop

        loop_factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(_forward(opened, options))
    return 0


def _chosen(options: argparse.Namespace, known: Settings) -> Settings:
    """The settings with what was typed."""
    given = {
        name: getattr(options, name)
        for name in ("host", "port", "bind", "name", "site", "certificate", "key", "metrics_port")
        if getattr(options, name) is not None
    }
    links = [*known.relays, *options.relay]
    for path in options.ledger:
        file = LedgerFile.read(path)
        links.append(RelayAddress(*file.address().hosts[0], file.fingerprint).link())
    return replace(known, **given, relays=tuple(dict.fromkeys(links)))


def _take_ledgers(options: argparse.Namespace, opened: Files) -> None:
    """Keep the ledgers that were given as files, if they are longer than what is kept."""
    by_fingerprint = {link.fingerprint: link for link in opened.settings.links()}
    for path in options.ledger:
        file = LedgerFile.read(path)
        book = relays.load(by_fingerprint[file.fingerprint], opened.ledgers)
        if len(file.entries) > book.read.length:
            relays.keep(book.extend(file.operator, file.entries[book.read.length :]), opened.ledgers)


async def _forward(opened: Files, options: argparse.Namespace) -> None:
    """Forward until SIGTERM or SIGINT."""
    chosen = opened.settings
    private = options.allow_private_addresses_for_tests_only
    if private:
        print("troth-relay: PRIVATE ADDRESSES ARE ALLOWED: this is for tests only", file=sys.stderr, flush=True)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(quiet.loop_error)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    books = [relays.load(link, opened.ledgers) for link in chosen.links()]
    notifier = notify.Notifier(os.environ)
    sock = notify.inherited(os.environ) or listening(chosen.bind, chosen.port)
    port: int = sock.getsockname()[1]
    async with contextlib.AsyncExitStack() as stack:
        site, room = opened.site(), chosen.room()
        front = await stack.enter_async_context(
            Front(sock, opened.secret, opened.guests, site, room, private_allowed=private)
        )
        if chosen.metrics_port:
            scrape = Scrape(lambda: front.counts.text(front.places.taken), chosen.metrics_port)
            await stack.enter_async_context(scrape)
        keeper = relays.Keeper(front, books, opened.ledgers, time.time, private_allowed=private)
        keeper.found = lambda count, wrong: _say_reached(count, len(books), wrong)
        keeping = asyncio.create_task(keeper.run())
        print(f"forwarding on port {port}", flush=True)
        if not options.quiet:
            _show(opened.link(port))
        notifier.ready()
        if site.address is not None and site.context is None:
            wrong = await lookout.trouble(site.address, chosen.name or chosen.host)
            if wrong:
                print(f"troth-relay: {wrong}", file=sys.stderr, flush=True)
        try:
            await stop.wait()
        finally:
            notifier.stopping()
            keeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeping


def _make_room(connections: int) -> None:
    """Two descriptors for each connection, as far as this process may have them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * connections + SPARE_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _say_reached(count: int, known: int, wrong: str) -> None:
    """How many relays there are now, and why one is not among them; no message of ours names an address."""
    print(f"{count} of {known} relays can be reached{f' ({wrong})' if wrong else ''}", flush=True)


def _show(link: str) -> None:
    """The link and its QR code."""
    import segno

    print(f"Give this link, which is a secret, to those who are to come in this way:\n{link}", flush=True)
    segno.make(link, error="m").terminal(compact=True)
    sys.stdout.flush()
