"""Nothing about anybody leaves the process by a back door: log, traceback, warning, core dump, another's debugger.

The serving process calls ``hush`` before it opens anything. From then on every log record, whichever library made it,
at whatever level and for whatever handler, is rewritten where it is born: one of ours (``troth.``) keeps its text,
which by the house's rules holds kinds and numbers only, without control characters and cut to LINE; of anybody else's
only the name of the logger, the level and the kind of error are left. Python's hooks for errors and warnings say the
kind alone. The kernel writes no core file and lets no other process of the same user read this one's memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import faulthandler
import logging
import os
import re
import resource
import sys
import threading
import warnings
from pathlib import Path
from typing import Final, TextIO

from troth_protocol.errors import UserError

OURS: Final = "troth."
LINE: Final = 300
"""Characters of a log line; ours have less than half."""
_PR_SET_DUMPABLE: Final = 4
"""prctl(2). 0 also gives /proc/PID/mem and maps to root, so that only root can attach a debugger."""
_LOG: Final = logging.getLogger("troth.relay")


def hush(level: int = logging.WARNING) -> None:
    """Make this process quiet, for good; log lines go to stderr."""
    os.umask(0o077)
    no_dumps()
    logging.setLogRecordFactory(record)
    logging.basicConfig(level=level, format="%(levelname)s %(name)s %(message)s")
    sys.excepthook = lambda kind, error, trace: unhandled(error)
    threading.excepthook = lambda arguments: unhandled(arguments.exc_value)
    sys.unraisablehook = lambda arguments: unhandled(arguments.exc_value)
    warnings.showwarning = _warned


def no_dumps() -> None:
    """No core file, and no reading of this process's memory by others of its user, where the kernel can be asked.

    UserError if there could be a core file: a service manager may forbid to set limits, and must then have set this.
    """
    faulthandler.disable()
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (OSError, ValueError):
        limits = Path("/proc/self/limits")
        if not limits.exists() or not re.search(r"^Max core file size +0 ", limits.read_text(), re.MULTILINE):
            raise UserError("core dumps cannot be forbidden here: the service manager must (LimitCORE=0)") from None
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def unhandled(error: BaseException | None) -> None:
    """Log an error that nobody expected, by its kind alone."""
    _LOG.error("unhandled %s", type(error).__name__)


def loop_error(_: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """An event loop's exception handler: asyncio's own line would name the peer's address."""
    error = context.get("exception")
    unhandled(error if isinstance(error, BaseException) else None)


def record(
    name: str,
    level: int,
    path: str,
    line: int,
    message: object,
    arguments: object,
    error: tuple[type[BaseException], BaseException, object] | tuple[None, None, None] | None,
    function: str | None = None,
    stack: str | None = None,
    **_: object,
) -> logging.LogRecord:
    """A record without what must not be in it: ``logging.setLogRecordFactory``."""
    kind = "" if error is None or error[0] is None else error[0].__name__
    if name.startswith(OURS):
        text = logging.LogRecord(name, level, path, line, message, arguments, None).getMessage()  # type: ignore[arg-type]
        said = "".join(each if each.isprintable() else "?" for each in text[:LINE])
    else:
        said = "withheld"
    made = logging.LogRecord(name, level, path, line, f"{said} {kind}".rstrip(), (), None, function)
    made.__dict__["kind"] = kind
    return made


def _warned(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """A warning of Python's: an unclosed socket's would name its peer."""
    _LOG.warning("warning %s", category.__name__)


def _kind_only(entry: logging.LogRecord) -> bool:
    """Say the kind of what went wrong on our own logger, and drop the record."""
    error = entry.exc_info[1] if isinstance(entry.exc_info, tuple) else None
    kind = getattr(entry, "kind", "") if error is None else type(error).__name__
    if kind:
        _LOG.error("unhandled %s", kind)
    return False


def private_logger() -> logging.Logger:
    """A logger for a library that logs too much: in no registry, so that no configuration makes it talk."""
    logger = logging.Logger("troth.websocket", logging.ERROR)
    logger.propagate = False
    logger.addFilter(_kind_only)
    return logger


LIBRARY: Final = private_logger()
"""For the WebSocket library, which logs frames and headers at DEBUG."""
