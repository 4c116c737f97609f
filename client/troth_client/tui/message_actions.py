"""What is done with a message that was chosen: each action of the log, carried out in the open conversation."""

from __future__ import annotations

from troth_protocol.errors import NotReady

from ..display import inert
from ..events import DeleteForAll, EraseHere, MessageState, React, Resend, Withdraw
from ..records import Standing
from ..views import MessageView
from ..wording import advice
from .chat_pane import ChatPane
from .dialog import Confirm, Page
from .message_dialogs import ReactionPicker, about
from .message_menu import MessageMenu


class MessageActions:
    """Acts on messages of one pane; what cannot be done is said."""

    def __init__(self, pane: ChatPane) -> None:
        self._pane = pane

    async def carry_out(self, action: str, message: MessageView) -> None:
        """One action by its name in ``keys``."""
        pane, app = self._pane, self._pane.app
        contact = pane.contact
        if contact is None or (contact.standing is Standing.REQUEST and action != "info"):
            return  # what is typed at a stranger's message was meant as an answer
        said = message.state is not MessageState.NOTICE and not message.deleted
        match action:
            case "menu":
                self._choose(message)
            case "info":
                app.push_screen(Page("Message", about(message, contact), columns=True))
            case "read_whole":
                app.push_screen(Page("All of it", inert(message.text, lines=True)))
            case "quoted":
                self._to_quoted(message)
            case "delete":
                self._delete(message)
            case "resend" if message.state is MessageState.FAILED:
                await self._do(Resend(contact.fingerprint, message.id))
            case "resend":
                self._cannot("only what failed is sent once more")
            case _ if not said:
                self._cannot("there is nothing here to do that with")
            case "reply":
                pane.reply_to(message)
            case "react":
                self._react(message)
            case "edit" if message.ours and message.state in {MessageState.QUEUED, MessageState.FAILED}:
                await self._take_back(contact.fingerprint, message)
            case "edit" if message.ours:
                pane.edit(message)
            case "edit":
                self._cannot("only what you wrote can be edited")
            case "copy_text":
                app.copy_to_clipboard(message.text)
                pane.notify("Copied, if your terminal allows it.", markup=False)

    def _cannot(self, why: str) -> None:
        self._pane.notify(why, severity="warning", markup=False)

    async def _take_back(self, contact: bytes, message: MessageView) -> None:
        """What has not gone comes back into the field; what is on its way already is edited on both sides."""
        failed = message.state is MessageState.FAILED
        what = EraseHere(contact, message.key) if failed else Withdraw(contact, message.id)
        match await self._pane.do(what):
            case None:
                self._pane.put_back(message)
                self._pane.messages.sync()
            case NotReady():
                self._pane.edit(message)
            case error:
                self._cannot(advice(error))

    def _to_quoted(self, message: MessageView) -> None:
        if message.reply is None:
            self._cannot("this message answers no other")
        elif not message.reply.row or not self._pane.messages.go_to(message.reply.row):
            self._cannot("the message it answers is not here any more")

    def _react(self, message: MessageView) -> None:
        async def put(sign: str | None) -> None:
            if sign is not None and self._pane.contact is not None:
                await self._do(React(self._pane.contact.fingerprint, message.key, sign))

        has_one = any(reaction.ours for reaction in message.reactions)
        self._pane.app.push_screen(ReactionPicker(has_one=has_one), put)

    def _choose(self, message: MessageView) -> None:
        async def carry_out(action: str | None) -> None:
            now = self._pane.messages.message
            if action is not None and now is not None and now.key == message.key:
                await self.carry_out(action, now)

        self._pane.app.push_screen(MessageMenu(message, self._pane.bound), carry_out)

    def _delete(self, message: MessageView) -> None:
        """Ours is taken back from both sides or never goes; theirs, and what is no text, is erased here only."""
        for_all = message.ours and not message.deleted and message.state is not MessageState.FAILED
        queued = message.state is MessageState.QUEUED
        if queued:
            question = "Not sent yet. Delete this message before anybody gets it?"
        elif for_all:
            question = "Delete this message for both of you? Their client is asked to; what was read is read."
        else:
            question = "Erase this line here? The other side keeps it."
        contact = self._pane.contact

        async def erase(agreed: bool | None) -> None:
            if agreed and contact is not None:
                who = contact.fingerprint
                if queued and await self._pane.do(Withdraw(who, message.id)) is None:
                    self._pane.messages.sync()
                    return
                await self._do(DeleteForAll(who, message.id) if for_all else EraseHere(who, message.key))

        self._pane.app.push_screen(
            Confirm("Delete", question, "Delete" if queued else "Delete for both" if for_all else "Erase here"), erase
        )

    async def _do(self, event: DeleteForAll | EraseHere | React | Resend) -> None:
        error = await self._pane.do(event)
        if error is not None:
            self._cannot(advice(error))
        else:
            self._pane.messages.sync()
