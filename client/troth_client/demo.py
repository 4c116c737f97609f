"""``troth demo``: a relay and two people in one process, nothing simulated but the second person's wit.

The relay is the real one, with TLS, a signed descriptor and its store on disk, in a temporary directory that is
erased at the end. This is the one place where a client starts a relay.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Final

from troth_protocol.card import Card, RelayAddress
from troth_protocol.primitives import SystemRandomness
from troth_server.config import Config
from troth_server.listener import Listener, listening_socket
from troth_server.observer import SeenEvent
from troth_server.operator import found
from troth_server.storage import STORES, Store
from troth_server.tls import load

from .cli import Output
from .driver import Driver
from .events import Accept, Add, MessageState, Notify, Save, SendText, What
from .messenger import Messenger
from .records import Standing
from .routes.dial import ANYWHERE
from .routes.direct import Direct
from .routes.route import Route
from .tui.relay_panel import EventLine, MailboxLine
from .vault.store import Vault

OTHER: Final = "Ada"
_SEEN_EVENTS: Final = 200


class Eyes:
    """What the relay sees, taken from its own store and from each request as it comes."""

    def __init__(self) -> None:
        self._events: deque[SeenEvent] = deque(maxlen=_SEEN_EVENTS)
        self.store: Store | None = None

    def saw(self, event: SeenEvent) -> None:
        """The relay's observer."""
        self._events.append(event)

    def mailboxes(self) -> list[MailboxLine]:
        """Every mailbox in the store."""
        if self.store is None:
            return []
        return [
            MailboxLine(
                view.mailbox.hex(), view.queued, view.queued_bytes,
                min((envelope.expires for envelope in view.envelopes), default=None),
            )
            for view in self.store.view(16)
        ]  # fmt: skip

    def events(self) -> list[EventLine]:
        """The last requests, newest last."""
        return [
            EventLine(
                event.time, event.kind.name.lower(), event.subject.hex() if event.subject else "-", event.size,
                event.head.hex(),
            )
            for event in self._events
        ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stage:
    """A running relay, you, and somebody to talk to."""

    relay: RelayAddress
    data: Path
    eyes: Eyes
    you: Driver
    other: Driver
    running: tuple[asyncio.Task[None], ...] = field(repr=False)


@contextlib.asynccontextmanager
async def stage(*, other_route: Route | None = None) -> AsyncIterator[Stage]:
    """Set everything up, and take everything away again."""
    base = Path(tempfile.mkdtemp(prefix="troth-demo-"))
    handlers = [(number, signal.signal(number, _erase_and_leave(base))) for number in (signal.SIGTERM, signal.SIGHUP)]
    randomness, now, eyes = SystemRandomness(), int(time.time()), Eyes()
    vaults: list[Vault] = []
    tasks: list[asyncio.Task[None]] = []
    try:
        sock = listening_socket("127.0.0.1", 0)
        config = Config(base / "relay", port=int(sock.getsockname()[1]))
        ledger = found(config, ("127.0.0.1",), now, randomness)
        relay = RelayAddress("127.0.0.1", config.port, ledger.fingerprint)
        store = STORES[config.store](config.data, config.quotas, _untrusted)
        eyes.store = store
        served = load(config.certificate, config.certificate_key)
        try:
            async with Listener(config, store, ledger, served, sock=sock, on_event=eyes.saw):
                you = _account(vaults, base / "you", "You", relay, Direct(ANYWHERE))
                other = _account(vaults, base / "other", OTHER, relay, other_route or Direct(ANYWHERE))
                tasks += [asyncio.create_task(you.run()), asyncio.create_task(other.run())]
                await wait_until(lambda: you.online and other.online, you, other)
                try:
                    yield Stage(relay, config.data, eyes, you, other, tuple(tasks))
                finally:
                    for task in tasks:
                        task.cancel()
                    await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            store.close()
    finally:
        for vault in vaults:
            vault.close()
        shutil.rmtree(base, ignore_errors=True)
        for number, handler in handlers:
            signal.signal(number, handler)


def _erase_and_leave(base: Path) -> Callable[[int, FrameType | None], None]:
    """What to do when the terminal is gone: a window whose terminal is gone waits for it for ever, so do not ask it."""

    def leave(number: int, _: FrameType | None) -> None:
        shutil.rmtree(base, ignore_errors=True)
        os._exit(128 + number)

    return leave


def _untrusted(reason: str) -> None:
    raise SystemExit(f"the demo's relay cannot trust its disk: {reason}")


def _account(vaults: list[Vault], directory: Path, name: str, relay: RelayAddress, route: Route) -> Driver:
    """An account under a random passphrase nobody keeps, which needs little stretching."""
    randomness = SystemRandomness()
    vault = Vault.create(directory, randomness.draw(32).hex(), randomness, operations=1, memory=8 * 2**20)
    vaults.append(vault)
    for effect in Messenger(randomness).found(name, relay, int(time.time())):
        if isinstance(effect, Save):
            vault.apply(effect.changes)
    return Driver(vault, randomness, route)


async def wait_until(condition: Callable[[], bool], *drivers: Driver, seconds: float = 30) -> None:
    """Wait until something holds, looking again whenever one of the drivers tells something; TimeoutError."""
    told = asyncio.Event()
    ends = [driver.watch(lambda _: told.set()) for driver in drivers]
    try:
        async with asyncio.timeout(seconds):
            while not condition():
                told.clear()
                await told.wait()
    finally:
        for end in ends:
            end()


async def introduce(set_up: Stage) -> None:
    """The other makes a card, you add it, they accept: the way any two people meet."""
    link = await set_up.other.make_card()
    await set_up.you.do(Add(Card.from_link(link), OTHER))
    you = set_up.you.own_fingerprint
    await wait_until(lambda: _standing(set_up.other, you) is Standing.REQUEST, set_up.other)
    await set_up.other.do(Accept(you, "you"))
    await wait_until(lambda: _standing(set_up.you, set_up.other.own_fingerprint) is Standing.ACTIVE, set_up.you)


def _standing(driver: Driver, fingerprint: bytes) -> Standing | None:
    return next((view.standing for view in driver.contacts() if view.fingerprint == fingerprint), None)


class Companion:
    """The other person: reads what you write and says something true about how it came."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._answered = 0

    def saw(self, note: Notify) -> None:
        """Answer what you wrote, after the pause a person would make."""
        if note.what is What.MESSAGE and note.contact is not None:
            newest = self._driver.history(note.contact, limit=1)
            if newest and newest[0].state is MessageState.RECEIVED:
                asyncio.get_running_loop().call_later(0.6, self._answer, note.contact)

    def _answer(self, contact: bytes) -> None:
        view = next(view for view in self._driver.contacts() if view.fingerprint == contact)
        lines = (
            "Got it. The relay saw one of four sizes go by, and no sender. Press F2 to look through its eyes.",
            f"Every message has its own key; ours are made by two ratchets. We are in post-quantum epoch {view.epoch}.",
            "If somebody copied my keys now, they could read on until the next fresh key exchange, and no longer.",
            "Compare our safety number with me by voice some day: F5 shows it.",
            f"Still here. Epoch {view.epoch} now; the key exchange travels in the padding, so you never see it.",
        )
        text = lines[self._answered % len(lines)]
        self._answered += 1
        self._driver.handle(SendText(contact, text))


def run(*, script: bool, output: Output) -> int:
    """The demo's exit code."""
    if script:
        from .demo_script import play

        return asyncio.run(play(output))
    return asyncio.run(_window())


async def _window() -> int:
    from . import tui

    async with stage() as set_up:
        await introduce(set_up)
        companion = Companion(set_up.other)
        end = set_up.other.watch(companion.saw)
        greeting = f"Hello! I am {OTHER}, an account of my own in this process. Write something."
        await set_up.other.do(SendText(set_up.you.own_fingerprint, greeting))
        await tui.run(set_up.you, "troth demo", set_up.eyes)
        end()
    return 0
