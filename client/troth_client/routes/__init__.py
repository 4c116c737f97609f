"""Routes: ways to carry bytes between client and relay, which learn nothing. SPEC.md sections 11.1 and 12.3.

``ROUTES`` is the table; ``direct`` is the only one so far. A route never takes the system's proxy unasked. [R-13.1-7]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from .direct import Direct
from .route import Route

ROUTES: Final[Mapping[str, Callable[[], Route]]] = {"direct": Direct}
