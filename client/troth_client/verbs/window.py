"""The window and the line mode with the driver at work beside them, and the first run where there is no profile yet."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from troth_protocol.errors import BadPassphrase, StorageError

from .. import preferences
from ..driver import Driver
from ..vault import key as vault_key
from ..vault.store import Vault
from . import account
from .shared import SETTLE_SECONDS


async def show(driver: Driver, profile: Path, *, plain: bool) -> int:
    """One of the two until it is closed; UserError if the preferences are wrong."""
    if plain:
        from ..plain import run

        async with _running(driver):
            return await run(driver)
    from .. import tui

    status = driver.routes.status if driver.routes is not None else None
    keep = functools.partial(preferences.keep_theme, profile)
    settings = tui.Settings(preferences.load(profile), functools.partial(unlocks, profile), status, keep)
    async with _running(driver):
        await tui.run(driver, "troth", None, settings)
    return 0


@contextlib.asynccontextmanager
async def _running(driver: Driver) -> AsyncIterator[None]:
    running = asyncio.create_task(driver.run())
    try:
        yield
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def _until_online(driver: Driver) -> None:
    """Wait until our mailbox is being fetched, for a while: a card is made then."""
    told = asyncio.Event()
    end = driver.watch(lambda _: told.set())
    try:
        async with asyncio.timeout(SETTLE_SECONDS):
            while not driver.online:
                await told.wait()
                told.clear()
    except TimeoutError:
        pass  # the account stands; what comes next says that the relay is away
    finally:
        end()


async def unlocks(profile: Path, passphrase: str) -> bool:
    """Whether this is the vault's passphrase; derives its key beside the event loop, in a third of a second."""
    return await asyncio.to_thread(_unlocks, profile, passphrase)


def _unlocks(profile: Path, passphrase: str) -> bool:
    try:
        raw = (profile / "vault.key").read_bytes()
        vault_key.unlock(passphrase, vault_key.KeyFile.decode(raw))
    except (OSError, StorageError, BadPassphrase):
        return False
    return True


class Founding:
    """The first run's account: made when the relay is known, then shown in the window."""

    def __init__(self, profile: Path) -> None:
        self._profile = profile
        self._made: tuple[Vault, Driver] | None = None
        self._running = contextlib.AsyncExitStack()

    @property
    def driver(self) -> Driver | None:
        """The account's driver, once there is one."""
        return None if self._made is None else self._made[1]

    async def found(self, relay_link: str, passphrase: str, route: str, *, proxies_only: bool) -> Driver:
        """Make an account and go online, by this route if there is one; TrothError, and then nothing is left behind."""
        routes = (route,) if route else ()
        self._made = await account.make(self._profile, passphrase, relay_link, routes=routes, proxies_only=proxies_only)
        driver = self._made[1]
        await self._running.enter_async_context(_running(driver))
        await _until_online(driver)
        return driver

    async def close(self) -> None:
        """Let go of the vault."""
        await self._running.aclose()
        if self._made is not None:
            await self._made[1].close()
            self._made[0].close()


async def first_run(profile: Path) -> int:
    """Three screens, then the window; 1 if they were left."""
    from .. import tui

    settings = tui.Settings(preferences.load(profile), functools.partial(unlocks, profile))
    founding = Founding(profile)
    try:
        driver = await tui.begin(founding, settings)
        if driver is None or founding.driver is None:
            return 1
        desk = founding.driver.routes
        keep = functools.partial(preferences.keep_theme, profile)
        settings = replace(settings, routes=desk.status if desk is not None else None, keep_theme=keep)
        await tui.run(driver, "troth", None, settings)
    finally:
        await founding.close()
    return 0
