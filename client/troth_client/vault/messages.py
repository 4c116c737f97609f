"""Conversations in the vault: what each change does to them, and how they are read, a page at a time.

Every change may come twice or late and leaves the same: a message is kept once for each sender and id, a state moves
forward only, of two edits the higher revision stays, of two reactions the later. [R-9.3-7] [R-9.3-8] [R-9.3-9]
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

import apsw

from troth_protocol.writing import MOST_TIMER

from ..events import (
    AddMessage,
    DeleteMessage,
    EditMessage,
    EraseMessage,
    EraseMessages,
    MarkMessage,
    MessageKey,
    MessageState,
    PutReaction,
)
from ..views import ChatCounts, MessageView, Quote, Reaction
from .schema import NOBODY, OURS, THEIRS

MessageChange: TypeAlias = (
    AddMessage | MarkMessage | EditMessage | DeleteMessage | PutReaction | EraseMessage | EraseMessages
)
MOST_TOMBSTONES: Final = 256
"""Deletions kept for texts that have not come; the oldest goes. Only a relay that reorders makes any."""
TOMBSTONE_SECONDS: Final = 15 * 86_400
"""A relay keeps an envelope for 14 days: what has not come a day after that will not."""
MANY: Final = 500
"""Erasing one message takes 1.3 ms of work on the index; making an index of 100,000 anew takes 0.6 s."""
_LARGEST: Final = 2**63 - 1
"""A column holds no more; a sender may write any 64 bits as a time."""

_SENDERS: Final = {MessageState.RECEIVED: THEIRS, MessageState.NOTICE: NOBODY}
_BEFORE: Final = {
    MessageState.QUEUED: (MessageState.FAILED,),
    MessageState.AT_RELAY: (MessageState.QUEUED, MessageState.FAILED),
    MessageState.FAILED: (MessageState.QUEUED,),
    MessageState.DELIVERED: (MessageState.QUEUED, MessageState.AT_RELAY),
}
_PAGE: Final = (
    "SELECT m.row, m.id, m.state, m.sent, m.stored, m.text, m.edited, m.revision, m.deleted, m.timer, m.expires, m.why,"
    " m.sender, m.reply_sender, m.reply_id, q.row, substr(q.text, 1, 200) FROM message AS m LEFT JOIN message AS q"
    " ON q.chat = m.chat AND q.sender = m.reply_sender AND q.id = m.reply_id WHERE m.chat = ?1 AND "
)
Row: TypeAlias = tuple[
    int, bytes, int, int, int, str, int, int, int, int, int, str, int, int | None, bytes | None, int | None, str | None
]
"""What ``_PAGE`` selects, in its order."""


def _number(time: int) -> int:
    return min(time, _LARGEST)


def _side(ours: bool) -> int:
    return OURS if ours else THEIRS


class Messages:
    """The message tables of an open database."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db

    def apply(self, change: MessageChange) -> None:
        """Carry out one change, inside the caller's transaction."""
        run = self._db.execute
        chat = self.chat(change.contact, make=isinstance(change, AddMessage | DeleteMessage))
        match change:
            case AddMessage():
                self._add(chat, change)
            case MarkMessage(_, message_id, state, at, why):
                run(
                    "UPDATE message SET state = ?1, why = ?2, expires = iif(timer > 0 AND expires = 0 AND ?1 IN (1, 5),"
                    " ?3 + timer, expires) WHERE chat = ?4 AND sender = 1 AND id = ?5 AND state IN (?6, ?7)",
                    (int(state), why, at, chat, message_id, int(_BEFORE[state][0]), int(_BEFORE[state][-1])),
                )
            case EditMessage(_, message, revision, edited, text):
                run(
                    "UPDATE message SET text = ?, revision = ?, edited = ? WHERE chat = ? AND sender = ? AND id = ? "
                    "AND deleted = 0 AND revision < ?",
                    (text, revision, _number(edited), chat, _side(message.ours), message.id, revision),
                )
            case DeleteMessage(_, message, now):
                self._delete(chat, message, now)
            case PutReaction(_, message, ours, time, sign):
                run(
                    "INSERT INTO reaction SELECT row, ?, ?, ? FROM message WHERE chat = ? AND sender = ? AND id = ? "
                    "AND deleted = 0 ON CONFLICT DO UPDATE SET time = excluded.time, sign = excluded.sign "
                    "WHERE (excluded.time, excluded.sign) > (time, sign)",
                    (ours, _number(time), sign, chat, _side(message.ours), message.id),
                )
            case EraseMessage(_, message):
                run(
                    "DELETE FROM message WHERE chat = ? AND sender = ? AND id = ?",
                    (chat, _side(message.ours), message.id),
                )
            case EraseMessages():
                self._remove("chat = ?", chat)
                run("DELETE FROM tombstone WHERE chat = ?", (chat,))
                run("DELETE FROM chat WHERE number = ?", (chat,))

    def chat(self, contact: bytes, *, make: bool = False) -> int:
        """A conversation's number; 0, which none has, without one."""
        number = self._db.execute("SELECT number FROM chat WHERE contact = ?", (contact,)).get
        if number is None and make:
            self._db.execute("INSERT INTO chat (contact) VALUES (?)", (contact,))
            return int(self._db.last_insert_rowid())
        return int(number or 0)

    def _add(self, chat: int, change: AddMessage) -> None:
        sender = _SENDERS.get(change.state, OURS)
        if (
            sender == THEIRS
            and self._db.execute(
                "SELECT 1 FROM tombstone WHERE chat = ? AND sender = ? AND id = ?", (chat, sender, change.id)
            ).get
        ):
            return
        reply_sender = None if change.reply is None else _side(change.reply.ours)
        self._db.execute(
            "INSERT OR IGNORE INTO message (chat, sender, id, state, sent, stored, text, timer, reply_sender, reply_id)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                chat, sender, change.id, int(change.state), _number(change.sent), change.stored, change.text,
                change.timer, reply_sender, None if change.reply is None else change.reply.id,
            ),
        )  # fmt: skip

    def _delete(self, chat: int, message: MessageKey, now: int) -> None:
        named = (chat, _side(message.ours), message.id)
        row = self._db.execute("SELECT row FROM message WHERE chat = ? AND sender = ? AND id = ?", named).get
        if row is not None:
            self._db.execute("DELETE FROM reaction WHERE row = ?", (row,))
            self._db.execute(
                "UPDATE message SET text = '', why = '', deleted = 1, revision = 0, edited = 0, reply_sender = NULL, "
                "reply_id = NULL WHERE row = ?",
                (row,),
            )
            return
        self._db.execute("INSERT OR IGNORE INTO tombstone (chat, sender, id, kept) VALUES (?, ?, ?, ?)", (*named, now))
        self._db.execute(
            "DELETE FROM tombstone WHERE chat = ?1 AND (kept < ?2 OR number <= (SELECT number FROM tombstone "
            "WHERE chat = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?3))",
            (chat, now - TOMBSTONE_SECONDS, MOST_TOMBSTONES),
        )

    def read(
        self, contact: bytes, condition: str, values: Iterable[int], *, down: bool, limit: int
    ) -> list[MessageView]:
        """Up to ``limit`` messages that meet a condition of ours, oldest first, from the newest if ``down``."""
        chat = self.chat(contact)
        order = "DESC" if down else "ASC"
        query = f"{_PAGE}{condition} ORDER BY m.row {order} LIMIT {limit:d}"
        rows: list[Row] = list(self._db.execute(query, (chat, *values)))
        if down:
            rows.reverse()
        return self._views(contact, chat, rows)

    def one(self, contact: bytes, key: MessageKey) -> MessageView | None:
        """One message."""
        chat = self.chat(contact)
        query = f"{_PAGE} m.sender = ?2 AND m.id = ?3"
        found = self._views(contact, chat, list(self._db.execute(query, (chat, _side(key.ours), key.id))))
        return found[0] if found else None

    def find(self, contact: bytes, start: str, ours: bool | None) -> list[MessageView]:
        """The two newest messages whose id starts so in hexadecimal; of either side if ``ours`` is None."""
        chat = self.chat(contact)
        condition = (
            "m.sender > 0 AND substr(hex(m.id), 1, ?2) = ?3 AND (?4 IS NULL OR (m.sender = 1) = ?4) "
            "ORDER BY m.row DESC LIMIT 2"
        )
        rows: list[Row] = list(self._db.execute(_PAGE + condition, (chat, len(start), start.upper(), ours)))
        return self._views(contact, chat, rows[::-1])[::-1]

    def _views(self, contact: bytes, chat: int, rows: list[Row]) -> list[MessageView]:
        if not rows:
            return []
        signs: dict[int, list[Reaction]] = {}
        for row, ours, sign in self._db.execute(
            "SELECT r.row, r.ours, r.sign FROM message AS m JOIN reaction AS r ON r.row = m.row "
            "WHERE m.chat = ? AND m.row BETWEEN ? AND ? AND r.sign <> '' ORDER BY r.ours",
            (chat, rows[0][0], rows[-1][0]),
        ):
            signs.setdefault(row, []).append(Reaction(bool(ours), sign))
        return [_view(contact, signs, row) for row in rows]

    def counts(self, contact: bytes) -> ChatCounts:
        """What is known of a conversation without reading it; it costs the same however long it is."""
        found = self._db.execute(
            "SELECT lines, unread, newest, iif(unread > 0, (SELECT min(row) FROM message WHERE chat = number "
            "AND row > seen AND sender > 1), 0), draft FROM chat WHERE contact = ?",
            (contact,),
        ).get
        return ChatCounts() if found is None else ChatCounts(*found)

    def mark_read(self, contact: bytes, up_to: int | None, now: int) -> None:
        """What stands in a conversation up to a row has been seen; what disappears begins to count. [R-13.4-1]"""
        chat = self.chat(contact)
        run = self._db.execute
        last = up_to
        if last is None:
            last = run("SELECT max(row) FROM message WHERE chat = ?", (chat,)).get or 0
        if last <= (run("SELECT seen FROM chat WHERE number = ?", (chat,)).get or 0):
            return  # nothing new was seen: nothing is written
        run(
            "UPDATE message SET expires = ?1 + timer WHERE chat = ?2 AND row <= ?3 AND sender > 1 AND timer > 0 "
            "AND expires = 0",
            (now, chat, last),
        )
        run("UPDATE chat SET seen = ? WHERE number = ?", (last, chat))
        run(
            "UPDATE chat SET unread = (SELECT count(*) FROM message WHERE chat = number AND row > seen AND sender > 1) "
            "WHERE number = ?",
            (chat,),
        )

    def fade(self, now: int) -> list[bytes]:
        """Erase what has had its time; the conversations it was in. [R-13.4-1]"""
        self._db.execute(  # what was read while a clock was ahead does not stay until then
            "UPDATE message SET expires = ?1 + timer WHERE expires > ?1 + ?2 AND timer > 0", (now, MOST_TIMER)
        )
        touched = [
            contact
            for (contact,) in self._db.execute(
                "SELECT DISTINCT contact FROM message JOIN chat ON number = chat WHERE expires > 0 AND expires <= ?",
                (now,),
            )
        ]
        if touched:
            self._remove("expires > 0 AND expires <= ?", now)
        return touched

    def _remove(self, condition: str, value: int) -> None:
        """Erase messages and their words in the index: one by one, or for many at once with the index made anew."""
        run, where = self._db.execute, "message WHERE " + condition
        many = run(f"SELECT count(*) FROM (SELECT 1 FROM {where} LIMIT {MANY + 1})", (value,)).get > MANY  # noqa: S608
        if many:
            run("INSERT INTO words (words, rank) VALUES ('secure-delete', 0)")
        run(f"DELETE FROM {where}", (value,))  # noqa: S608 (each condition stands in this file)
        if many:
            run("INSERT INTO words (words) VALUES ('optimize')")  # one segment: what was deleted is in no other
            run("INSERT INTO words (words, rank) VALUES ('secure-delete', 1)")

    def save_draft(self, contact: bytes, text: str) -> None:
        """Keep what is being written; an empty one is forgotten."""
        chat = self.chat(contact, make=bool(text))
        self._db.execute("UPDATE chat SET draft = ? WHERE number = ?", (text, chat))


def _view(contact: bytes, signs: dict[int, list[Reaction]], read: Row) -> MessageView:
    row, message_id, state, sent, stored, text, edited, revision, deleted, timer, expires, why, sender = read[:13]
    reply_sender, reply_id, quoted_row, words = read[13:]
    quote = None
    if reply_sender is not None and reply_id is not None:
        quote = Quote(MessageKey(reply_sender == OURS, reply_id), quoted_row or 0, words or "")
    return MessageView(
        row, message_id, MessageState(state), sent, stored, text, contact if sender >= THEIRS else b"", edited,
        revision, bool(deleted), quote, tuple(signs.get(row, ())), timer, expires, why,
    )  # fmt: skip
