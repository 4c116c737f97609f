"""The terminal window: shows what ``Conversations`` tells, hands over what is typed, touches no key and no socket."""

from __future__ import annotations

from ..views import Conversations
from .app import TrothApp
from .relay_panel import EventLine, MailboxLine, RelayEyes

__all__ = ["EventLine", "MailboxLine", "RelayEyes", "TrothApp", "run"]


async def run(conversations: Conversations, title: str, eyes: RelayEyes | None = None) -> None:
    """Show the window on the running event loop until it is closed; raises whatever ended it unexpectedly."""
    app = TrothApp(conversations, title, eyes)
    await app.run_async()
    if app.fault is not None:
        raise app.fault
