"""The open conversation: who it is, what was said, and the field, the question or the notice under it."""

from __future__ import annotations

import time
from collections.abc import Mapping

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.events import Click
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Static

from troth_protocol.errors import TrothError

from .. import wording
from ..events import Accept, AcknowledgeChange, Decline, EditText, Event, SendText, Unblock
from ..records import Standing
from ..views import ContactView, Conversations, MessageView
from .composer import Composer, ComposerArea
from .message_log import MessageLog
from .message_rows import one_line
from .notice_bar import NoticeBar
from .request_form import RequestForm

_DRAFT_REST = 1.0
"""Seconds after the last key until what was written is kept."""


class ChatPane(Vertical):
    """Shows one contact's conversation and sends what is written; posts ``Done`` after anything that changed it."""

    class Done(Message):
        """Something was carried out: the contacts may stand differently."""

    class Compare(Message):
        """The safety number should be shown."""

    def __init__(self, conversations: Conversations, bound: Mapping[str, tuple[str, ...]], *, id: str) -> None:
        super().__init__(id=id)
        self._conversations = conversations
        self.messages = MessageLog(conversations, time.time, id="log")
        self.composer = Composer(bound, id="composer")
        self.bound = bound
        self.contact: ContactView | None = None
        self._about: MessageView | None = None
        """What the text in the field answers or replaces."""
        self._edits = False
        self._draft_timer: Timer | None = None

    def compose(self) -> ComposeResult:
        """Head line, messages, what is below, what the text is about, field, question, notice."""
        yield Static(id="who", markup=False)
        yield Static(id="welcome", markup=False)
        yield self.messages
        yield Static(id="below", markup=False)
        yield Static(id="about", markup=False)
        yield self.composer
        yield RequestForm(id="request")
        yield NoticeBar(id="notice")

    # What is shown.

    def open(self, contact: ContactView | None) -> None:
        """Show this conversation, or none; what was being written in the other one is kept."""
        self.save_draft()
        self.contact = contact
        self._write_about(None)
        with self.prevent(Composer.Changed):
            self.composer.put(contact.draft if contact else "")
        name, unread = (wording.name(contact), contact.first_unread) if contact else ("", 0)
        self.messages.show(contact.fingerprint if contact else None, name, unread)
        self.show(contact, changed=True)

    def show(self, contact: ContactView | None, *, changed: bool = False) -> None:
        """The head line, and whether one may write, must decide, or has nobody to write to."""
        self.contact = contact
        asked = contact is not None and contact.standing is Standing.REQUEST
        notice = self.query_one(NoticeBar)
        notice.ask(contact)
        self.query_one("#welcome").display = contact is None
        self.query_one("#who").display = self.messages.display = contact is not None
        self.composer.display = contact is not None and not asked and not notice.display
        form = self.query_one(RequestForm)
        form.display = asked and not notice.display
        if contact is None:
            return
        name = wording.name(contact)
        who = ((f"{wording.sign(contact)} ", ""), (name, "bold"), (f"  {wording.summary(contact)}", "$text-muted"))
        muted = ("  muted" if contact.muted else "", "$text-muted")
        self.query_one("#who", Static).update(Content.assemble(*who, muted))
        self.messages.rename(name)
        self._mark_below()
        if changed and asked:
            form.ask(contact)

    def focus_where_one_answers(self) -> None:
        """Go to the field, the question, or the notice."""
        if self.composer.display:
            self.composer.area.focus()
        elif self.query_one(NoticeBar).display:
            self.query_one(NoticeBar).take_focus()
        else:
            self.messages.focus()

    @on(MessageLog.Moved)
    def _mark_below(self) -> None:
        unread = self.contact.unread if self.contact is not None else 0
        marker = self.query_one("#below", Static)
        marker.display = bool(unread) and not self.messages.at_end
        marker.update(f"↓ {unread} new below")

    @on(Click, "#below")
    def follow(self) -> None:
        """Go to the newest message."""
        self.messages.follow()

    @on(MessageLog.Seen)
    def _seen(self, message: MessageLog.Seen) -> None:
        if self.contact is not None and self.contact.unread:
            try:
                self._conversations.mark_read(self.contact.fingerprint, message.row)
            except TrothError as error:
                self.notify(wording.advice(error), severity="error", markup=False)
            self.post_message(self.Done())

    @on(ComposerArea.Scrolled)
    def _scroll(self, message: ComposerArea.Scrolled) -> None:
        (self.messages.scroll_page_up if message.pages < 0 else self.messages.scroll_page_down)(animate=False)

    @on(ComposerArea.Upward)
    def _up(self) -> None:
        if self.messages.loaded:
            self.messages.focus()
            self.messages.select_last()

    @on(MessageLog.Left)
    def _back(self) -> None:
        self.focus_where_one_answers()

    # What is written.

    @on(Composer.Changed)
    def _changed(self) -> None:
        if self._draft_timer is not None:
            self._draft_timer.stop()
        self._draft_timer = self.set_timer(_DRAFT_REST, self.save_draft)

    def save_draft(self) -> None:
        """Keep what stands in the field, unless it changes an older message."""
        if self._draft_timer is not None:
            self._draft_timer.stop()
            self._draft_timer = None
        contact = self.contact
        if contact is None or self._edits or not self.is_mounted:
            return
        if self._kept_draft() != self.composer.text:
            self._keep(contact.fingerprint, self.composer.text)
            self.post_message(self.Done())

    def _keep(self, contact: bytes, text: str) -> None:
        """Keep a draft; a disk that refuses is said once, and the text stays in the field."""
        try:
            self._conversations.save_draft(contact, text)
        except TrothError as error:
            self.notify(f"the draft is not kept: {wording.advice(error)}", severity="error", markup=False)

    def _kept_draft(self) -> str:
        who = self.contact.fingerprint if self.contact else b""
        return next((each.draft for each in self._conversations.contacts() if each.fingerprint == who), "")

    def reply_to(self, message: MessageView) -> None:
        """Let what is written answer a message."""
        if self.composer.display:
            self._write_about(message)
            self.composer.area.focus()

    def edit(self, message: MessageView) -> None:
        """Put a message of ours into the field, to be replaced by what becomes of it."""
        if self.composer.display:
            self.save_draft()
            self._write_about(message, edits=True)
            with self.prevent(Composer.Changed):
                self.composer.put(message.text)
            self.composer.area.focus()

    def put_back(self, message: MessageView) -> None:
        """Put the words of a message that will not go before whatever stands in the field, and keep them."""
        self.stop_writing_about()
        self.composer.put(f"{message.text}\n{self.composer.text}" if self.composer.text else message.text)
        self.save_draft()
        self.messages.selected = None
        self.composer.area.focus()

    def stop_writing_about(self) -> bool:
        """Let go of what is answered or edited; False if there was nothing."""
        if self._about is None:
            return False
        if self._edits:
            with self.prevent(Composer.Changed):
                self.composer.put(self._kept_draft())
        self._write_about(None)
        return True

    def _write_about(self, message: MessageView | None, *, edits: bool = False) -> None:
        self._about, self._edits = message, edits and message is not None
        line = self.query_one("#about", Static)
        line.display = message is not None
        if message is not None:
            text = one_line(message.text, max(self.size.width - 30, 12))
            line.update(f"{'editing' if edits else '↪ reply to'}: {text}  (Esc stops)")

    @on(Composer.Submitted)
    async def _send(self, message: Composer.Submitted) -> None:
        contact, about, edits = self.contact, self._about, self._edits
        if contact is None:
            return
        event: Event = SendText(contact.fingerprint, message.text, about.key if about is not None else None)
        if about is not None and edits:
            event = EditText(contact.fingerprint, about.id, message.text)
        error = await self.do(event)
        here = self.contact is not None and self.contact.fingerprint == contact.fingerprint
        if error is not None and here:
            self.composer.give_back(message.text, wording.advice(error))
            return
        if error is not None:
            self._keep(contact.fingerprint, message.text)
            self.notify(f"not sent: {wording.advice(error)}", severity="error", markup=False)
            return
        if not edits:
            self._keep(contact.fingerprint, "")
        if here:
            if not self.stop_writing_about() or not edits:
                self.messages.forget_mark()
            self.messages.selected = None
            self.messages.sync()
            if not edits:
                self.messages.follow()

    async def do(self, event: Event) -> TrothError | None:
        """Hand an event over; what is refused on purpose is returned, anything else is a fault and passes."""
        try:
            await self._conversations.do(event)
        except TrothError as error:
            return error
        self.post_message(self.Done())
        return None

    # What is decided.

    @on(RequestForm.Accepted)
    async def _accept(self, message: RequestForm.Accepted) -> None:
        if self.contact is not None:
            error = await self.do(Accept(self.contact.fingerprint, message.name))
            self.query_one(RequestForm).say(wording.advice(error) if error else "")
            if error is None:
                self.call_after_refresh(self.focus_where_one_answers)

    @on(RequestForm.Declined)
    async def _decline(self) -> None:
        if self.contact is not None:
            error = await self.do(Decline(self.contact.fingerprint))
            self.query_one(RequestForm).say(wording.advice(error) if error else "")

    @on(NoticeBar.Chosen)
    async def _deal_with(self, message: NoticeBar.Chosen) -> None:
        if self.contact is None:
            return
        if message.choice == "compare":
            self.post_message(self.Compare())
            return
        what = AcknowledgeChange if message.choice == "acknowledge" else Unblock
        error = await self.do(what(self.contact.fingerprint))
        self.query_one(NoticeBar).say(wording.advice(error) if error else "")
