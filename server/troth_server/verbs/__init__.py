"""The verbs of ``troth-relay``, a file each: ``arguments`` says what it takes, ``run`` does it and gives the exit code.

What a verb needs beyond the standard library and the configuration it imports inside its functions, so that ``serve``
never loads what only another verb uses (ciphers above all). ``cli.VERBS`` has a row for each.
"""

from __future__ import annotations

import sys
from typing import Final

EXIT_DONE: Final = 0
EXIT_USER: Final = 1
EXIT_UNEXPECTED: Final = 2
EXIT_NETWORK_OR_DISK: Final = 3
EXIT_STORAGE_UNTRUSTED: Final = 70
"""EX_SOFTWARE of sysexits.h; a service manager may restart the relay, which reads the disk again."""


def fail(message: str, code: int) -> int:
    """Say one line on stderr; ``code`` back."""
    print(f"troth-relay: {message}", file=sys.stderr, flush=True)
    return code
