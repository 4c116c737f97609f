"""A relay as the relay's own tests have it."""

from __future__ import annotations

from server.conftest import founded, relay

__all__ = ["founded", "relay"]
