"""``python -m troth_server``, and the entry point ``troth-relay``."""

from __future__ import annotations

import sys

from .cli import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
