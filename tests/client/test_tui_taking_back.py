"""A text that has not gone comes back: into the field, or to nothing; one that is on its way already does not."""

from __future__ import annotations

import pytest

from client.fake_conversations import BOB, FakeConversations
from client.test_tui_messages import choose, with_one_of_ours
from client.windows import window
from troth_client.events import DeleteForAll, EraseHere, MessageState, Withdraw


@pytest.mark.parametrize("state", [MessageState.QUEUED, pytest.param(MessageState.FAILED, marks=pytest.mark.slow)])
async def test_what_has_not_gone_comes_back_into_the_field(state: MessageState) -> None:
    async with window(FakeConversations()) as opened:
        message = await with_one_of_ours(opened)
        opened.fake.alter(BOB, message.key, state=state)
        await opened.type("more")
        opened.log.focus()
        opened.log.select_last()
        await opened.pilot.press("e")
        await opened.until(lambda: opened.composer.text == "mine\nmore")
        failed = state is MessageState.FAILED
        assert opened.fake.events[-1] == (EraseHere(BOB, message.key) if failed else Withdraw(BOB, message.id))
        assert opened.fake.people[BOB].draft == "mine\nmore"
        assert "▌ mine" not in opened.screen
        assert opened.composer.area.has_focus


@pytest.mark.slow
async def test_what_is_on_its_way_already_is_edited_or_deleted_on_both_sides() -> None:
    async with window(FakeConversations()) as opened:
        message = await with_one_of_ours(opened)
        opened.fake.alter(BOB, message.key, state=MessageState.QUEUED)
        opened.fake.gone.add(message.id)
        await choose(opened, "e")
        await opened.shows("editing: mine")
        await opened.pilot.press("escape")
        await choose(opened, "d", "tab", "enter")
        await opened.until(lambda: opened.fake.events[-1] == DeleteForAll(BOB, message.id))


@pytest.mark.slow
async def test_a_queued_text_is_deleted_before_anybody_gets_it() -> None:
    async with window(FakeConversations()) as opened:
        message = await with_one_of_ours(opened)
        opened.fake.alter(BOB, message.key, state=MessageState.QUEUED)
        await choose(opened, "d")
        await opened.shows("Not sent yet")
        await opened.pilot.press("tab", "enter")
        await opened.until(lambda: opened.fake.events[-1] == Withdraw(BOB, message.id))
        await opened.until(lambda: "▌ mine" not in opened.screen)
