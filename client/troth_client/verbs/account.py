"""Our own account: init, card."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path

from troth_protocol.card import Card, JoinLink
from troth_protocol.content import normalize_name
from troth_protocol.errors import NetworkError, TrothError, UserError
from troth_protocol.primitives import SystemRandomness
from troth_protocol.wire import MAX_CARD_USES

from ..again import AGAIN_SECONDS, DIED, insist
from ..cli import Output
from ..display import full_fingerprint
from ..driver import Driver
from ..events import Notify, RevokeCard, Save, What
from ..messenger import Messenger
from ..route_desk import FOLDER, RouteDesk
from ..vault.store import Vault
from .shared import SETTLE_SECONDS


async def make(
    profile: Path, passphrase: str, link: str, name: str = "", routes: Sequence[str] = (), *, proxies_only: bool = False
) -> tuple[Vault, Driver]:
    """A new account that its relay knows, and its open vault; if the relay cannot be reached, nothing is left."""
    joining = JoinLink.from_link(link)
    relay = joining.relay
    name = normalize_name(name)
    randomness = SystemRandomness()
    vault = Vault.create(profile, passphrase, randomness)
    driver: Driver | None = None
    try:
        for effect in Messenger(randomness).found(name, relay, int(time.time()), joining.invite):
            if isinstance(effect, Save):
                vault.apply(effect.changes)
        desk = RouteDesk(vault, profile, randomness)
        for route in routes:
            desk.add(route, relay.fingerprint)
        if proxies_only:
            desk.set_proxies_only(on=True)
        driver = Driver(vault, randomness, desk.chooser, routes=desk)
        await driver.read_ledger(relay)
        await insist(partial(driver.fetch, until_drained=True))  # [R-19.3-6]
        await driver.close()
    except TrothError:
        if driver is not None:
            await driver.close()
        vault.close()
        shutil.rmtree(profile / FOLDER, ignore_errors=True)
        for made in ("vault.key", "vault.db", "vault.db-wal", "vault.db-shm"):
            (profile / made).unlink(missing_ok=True)
        raise
    return vault, driver


async def init(profile: Path, passphrase: str, options: argparse.Namespace, output: Output) -> int:
    """Make an account."""
    vault, driver = await make(
        profile, passphrase, options.relay, options.name, options.route, proxies_only=options.proxies_only
    )
    fingerprint = driver.own_fingerprint
    vault.close()
    output.result(
        f"Your account is ready. Fingerprint: {full_fingerprint(fingerprint)}\nNext: troth card",
        {"type": "account", "fingerprint": fingerprint.hex()},
    )
    return 0


async def card(driver: Driver, options: argparse.Namespace, output: Output) -> int:
    """Make a card, list those that are out, or take one back."""
    if options.list:
        for link in driver.cards():
            output.result(link, {"type": "card", "link": link})
        return 0
    if not 1 <= options.uses <= MAX_CARD_USES:
        raise UserError(f"a card is for 1 to {MAX_CARD_USES} people")
    async with online(driver):
        if options.revoke:
            await driver.do(RevokeCard(Card.from_link(options.revoke).lookup))
            await driver.flush(SETTLE_SECONDS)
            output.remark("The card is revoked.", {"type": "revoked"})
            return 0
        link = await driver.make_card(options.uses)
    output.result(link, {"type": "card", "link": link, "uses": options.uses})
    if options.qr and not output.as_json:
        import segno

        segno.make(link, error="l").terminal(compact=True)
    whom = "one person" if options.uses == 1 else f"{options.uses} people"
    output.remark(f"Hand this to {whom}, by a way you trust.", {"type": "hint", "uses": options.uses})
    return 0


@contextlib.asynccontextmanager
async def online(driver: Driver) -> AsyncIterator[None]:
    """Be connected to our relay for a while; NetworkError or TrustError if that fails."""
    loop = asyncio.get_running_loop()
    reached: asyncio.Future[None] = loop.create_future()
    until = loop.time() + AGAIN_SECONDS

    def see(note: Notify) -> None:
        failure = driver.last_failure
        if not reached.done() and note.what is What.ONLINE:
            reached.set_result(None)
        elif not reached.done() and note.what in {What.OFFLINE, What.ALARM} and failure is not None:
            if isinstance(failure, DIED) and loop.time() < until:  # another route is tried [R-19.3-6]
                return
            reached.set_exception(failure)

    end = driver.watch(see)
    running = asyncio.create_task(driver.run())
    try:
        await asyncio.wait_for(reached, SETTLE_SECONDS)
        yield
    except TimeoutError:
        raise NetworkError(f"our relay did not answer within {SETTLE_SECONDS} s") from None
    finally:
        end()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
