"""``serve``: run the relay until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
from collections.abc import Callable

from ..config import port_number
from . import EXIT_DONE, EXIT_STORAGE_UNTRUSTED, fail


def arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    parser.add_argument(
        "--port", type=port_number, metavar="N", help="listen on another port than the configuration says"
    )
    parser.add_argument(
        "--accept-loss", action="store_true", help="start although the database's log is missing or damaged"
    )


def run(options: argparse.Namespace) -> int:
    """Serve."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something to reload: it would end the process
    from .. import quiet

    quiet.hush()
    from ..service import Service

    loop_factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    with contextlib.suppress(ImportError):  # an idle TLS connection takes 40 KiB with uvloop, 293 KiB without
        import uvloop

        loop_factory = uvloop.new_event_loop

    service = Service(options.data, options.port, _die, accept_loss=options.accept_loss)
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(service.run())
    return EXIT_DONE


def _die(reason: str) -> None:
    """The storage cannot be trusted any more: stop at once, so that nothing more is promised."""
    with contextlib.suppress(OSError):
        fail(f"FATAL_STORAGE {reason}; nothing more was acknowledged", EXIT_STORAGE_UNTRUSTED)
    os._exit(EXIT_STORAGE_UNTRUSTED)
