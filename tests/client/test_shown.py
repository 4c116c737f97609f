"""What the driver shows a window: order, marks of doubt, what faded, and an account that is erased."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from client.fake_conversations import card
from client.test_archive import create, said
from client.world import Template, settle
from troth_client.demo import introduce, stage
from troth_client.driver import Driver
from troth_client.events import Add, MessageKey, Notify, Put, SendText, What
from troth_client.routes.route import KeyCheck, Wire
from troth_client.steady import Steady
from troth_client.vault.store import Vault
from troth_protocol.card import RelayAddress
from troth_protocol.errors import NetworkError
from troth_protocol.primitives import SystemRandomness


class Nowhere:
    """A route that leads nowhere."""

    async def connect(self, relay: RelayAddress, check: KeyCheck) -> Wire:
        raise NetworkError("there is no network here")


@pytest.fixture
def shell(template: Template, tmp_path: Path) -> tuple[Vault, Driver, bytes]:
    """A driver over the vault of somebody who has one contact."""
    relay, one, other = template.begin(tmp_path / "relay")
    settle(one, other)
    relay.store.close()
    vault = create(tmp_path / "vault")
    vault.apply(tuple(Put(kind, key, raw) for kind, rows in one.disk.rows.items() for key, raw in rows.items()))
    return vault, Driver(vault, SystemRandomness(), Nowhere(), clock=lambda: 1_000.0), other.fingerprint


async def test_a_view_of_a_contact(shell: tuple[Vault, Driver, bytes]) -> None:
    vault, driver, contact = shell
    vault.apply((said(1, "read", contact), said(2, "unread one", contact), said(3, "unread two", contact)))
    first = driver.history(contact)[0].row
    driver.mark_read(contact, first)
    driver.save_draft(contact, "not yet")
    (view,) = driver.contacts()
    assert (view.unread, view.first_unread, view.draft) == (2, first + 1, "not yet")
    assert (view.blocked, view.change, view.confusable, view.timer, view.receipts) == (False, "", False, 0, False)
    assert [m.text for m in driver.history(contact, after=first)] == ["unread one", "unread two"]
    message = driver.message(contact, MessageKey(ours=False, id=(2).to_bytes(16, "big")))
    assert message is not None
    assert message.sender == contact
    assert [hit.message.text for hit in driver.search("unread")] == ["unread two", "unread one"]
    assert [m.text for m in driver.find(contact, "0" * 31 + "2", ours=None)] == ["unread one"]
    assert driver.find(contact, "0" * 31 + "2", ours=True) == []
    await driver.close()
    vault.close()


async def test_what_faded_is_told(shell: tuple[Vault, Driver, bytes]) -> None:
    """[R-13.4-1]: once a second, or when a verb begins."""
    vault, driver, contact = shell
    told: list[Notify] = []
    driver.watch(told.append)
    vault.apply((said(1, "gone soon", contact, timer=60),))
    driver.mark_read(contact)
    driver.fade()
    assert told == []
    driver._steady = Steady(lambda: 1_060.0)
    driver.fade()
    assert [(note.what, note.contact) for note in told] == [(What.ALTERED, contact)]
    assert driver.history(contact) == []
    await driver.close()
    vault.close()


async def test_names_alike_are_marked(shell: tuple[Vault, Driver, bytes]) -> None:
    vault, driver, contact = shell
    known = next(each for each in driver._messenger.contacts() if each.fingerprint == contact)
    renamed = replace(known, name="anna")
    driver._messenger._journal.contacts.put(contact, renamed)
    driver._messenger._journal.commit()
    driver.handle(Add(card(b"\xca" * 32), "\u0430nna"))
    driver.handle(Add(card(b"\xcb" * 32), "ben"))
    assert {view.name: view.confusable for view in driver.contacts()} == {
        "anna": True, "\u0430nna": True, "ben": False,
    }  # fmt: skip
    await driver.close()
    vault.close()


async def test_an_account_is_erased_at_the_relay_and_nobody_can_tell() -> None:
    """The relay says that it has; what is written to it afterwards waits like for any mailbox that does not take it."""
    async with stage() as set_up:
        await introduce(set_up)
        await set_up.other.erase_account()
        you = set_up.you
        await you.do(SendText(set_up.other.own_fingerprint, "anybody there?"))
        await you.settle(5)
        assert you.contacts()[0].queued == 1
