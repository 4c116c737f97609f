"""How long to wait before our relay is tried again: longer each time, and as long as it asked, within a bound."""

from __future__ import annotations

from typing import Final

from troth_protocol.errors import RelayBusy, RelayError, TrothError

BACKOFF: Final = (1, 1, 2, 5, 10, 30, 60)
"""Seconds, by how many attempts in a row have failed; 0 after a connection that was one."""
MOST_ASKED: Final = 300
"""Seconds that a relay may ask for: one that wants an hour is tried all the same, should it have been somebody else."""


def pause(failures: int, failure: TrothError | None, jitter: float) -> float:
    """Seconds until the next attempt, with up to half of them more by ``jitter`` (0 to 1)."""
    asked = failure.retry_after if isinstance(failure, RelayBusy | RelayError) else 0
    return max(BACKOFF[min(failures, len(BACKOFF) - 1)], min(asked, MOST_ASKED)) * (1 + jitter / 2)
