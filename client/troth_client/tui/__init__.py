"""The terminal window: shows what ``Conversations`` tells, hands over what is typed, touches no key and no socket."""

from __future__ import annotations

from ..views import Conversations
from .app import TrothApp
from .relay_panel import EventLine, MailboxLine, RelayEyes
from .settings import Settings
from .welcome import Founder, Welcome

__all__ = ["EventLine", "Founder", "MailboxLine", "RelayEyes", "Settings", "TrothApp", "begin", "run"]


async def run(
    conversations: Conversations, title: str, eyes: RelayEyes | None = None, settings: Settings | None = None
) -> None:
    """Show the window on the running event loop until it is closed.

    UserError if the preferences bind one key twice; raises whatever ended the window unexpectedly.
    """
    app = TrothApp(conversations, title, eyes, settings)
    await app.run_async()
    if app.fault is not None:
        raise app.fault


async def begin(founder: Founder, settings: Settings | None = None) -> Conversations | None:
    """Show the first run: a passphrase, a relay, a card; the account that was made, or None if it was left."""
    app = Welcome(founder, settings or Settings())
    await app.run_async()
    if app.fault is not None:
        raise app.fault
    return app.made
