"""The vault's tables, version 2, and how a vault of version 1 becomes one.

A chat keeps its counters beside it, so that a list of chats costs one row each however long they are; triggers keep the
counters and the search index true whatever removes a message. ``sender`` is 0 for nobody (a notice), 1 for ourselves,
and from 2 on a member of the conversation: 2 is the contact where there are two.
"""

from __future__ import annotations

from typing import Final

import apsw

VERSION: Final = 2
NOBODY: Final = 0
OURS: Final = 1
THEIRS: Final = 2

_RECORD: Final = """
CREATE TABLE record (kind TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID;
"""
_MESSAGES: Final = """
CREATE TABLE chat (
  number INTEGER PRIMARY KEY, contact BLOB NOT NULL UNIQUE, lines INTEGER NOT NULL DEFAULT 0,
  unread INTEGER NOT NULL DEFAULT 0, newest INTEGER NOT NULL DEFAULT 0, seen INTEGER NOT NULL DEFAULT 0,
  draft TEXT NOT NULL DEFAULT ''
);
CREATE TABLE message (
  row INTEGER PRIMARY KEY AUTOINCREMENT, chat INTEGER NOT NULL, sender INTEGER NOT NULL, id BLOB NOT NULL,
  state INTEGER NOT NULL, sent INTEGER NOT NULL, stored INTEGER NOT NULL, text TEXT NOT NULL,
  edited INTEGER NOT NULL DEFAULT 0, revision INTEGER NOT NULL DEFAULT 0, deleted INTEGER NOT NULL DEFAULT 0,
  timer INTEGER NOT NULL DEFAULT 0, expires INTEGER NOT NULL DEFAULT 0, why TEXT NOT NULL DEFAULT '',
  reply_sender INTEGER, reply_id BLOB, UNIQUE (chat, sender, id)
);
CREATE INDEX message_of ON message (chat, row);
CREATE INDEX message_expires ON message (expires) WHERE expires > 0;
CREATE INDEX message_waits ON message (chat, row) WHERE timer > 0 AND expires = 0;
CREATE TABLE reaction (
  row INTEGER NOT NULL, ours INTEGER NOT NULL, time INTEGER NOT NULL, sign TEXT NOT NULL, PRIMARY KEY (row, ours)
) WITHOUT ROWID;
CREATE TABLE tombstone (
  number INTEGER PRIMARY KEY, chat INTEGER NOT NULL, sender INTEGER NOT NULL, id BLOB NOT NULL, kept INTEGER NOT NULL,
  UNIQUE (chat, sender, id)
);
CREATE VIRTUAL TABLE words USING fts5(
  text, content='message', content_rowid='row', tokenize='unicode61 remove_diacritics 2', prefix='2 3'
);
INSERT INTO words (words, rank) VALUES ('secure-delete', 1);
"""
_TRIGGERS: Final = """
CREATE TRIGGER message_added AFTER INSERT ON message BEGIN
  UPDATE chat SET lines = lines + 1, unread = unread + (new.sender > 1), newest = max(newest, new.stored)
    WHERE number = new.chat;
END;
CREATE TRIGGER message_gone AFTER DELETE ON message BEGIN
  UPDATE chat SET lines = lines - 1, unread = unread - (old.sender > 1 AND old.row > seen) WHERE number = old.chat;
  DELETE FROM reaction WHERE row = old.row;
END;
CREATE TRIGGER words_added AFTER INSERT ON message WHEN new.sender > 0 AND new.text <> '' BEGIN
  INSERT INTO words (rowid, text) VALUES (new.row, new.text);
END;
CREATE TRIGGER words_gone AFTER DELETE ON message WHEN old.sender > 0 AND old.text <> '' BEGIN
  INSERT INTO words (words, rowid, text) VALUES ('delete', old.row, old.text);
END;
CREATE TRIGGER words_left AFTER UPDATE OF text ON message WHEN old.sender > 0 AND old.text <> '' BEGIN
  INSERT INTO words (words, rowid, text) VALUES ('delete', old.row, old.text);
END;
CREATE TRIGGER words_came AFTER UPDATE OF text ON message WHEN new.sender > 0 AND new.text <> '' BEGIN
  INSERT INTO words (rowid, text) VALUES (new.row, new.text);
END;
"""
_FROM_1: Final = """
ALTER TABLE message RENAME TO message_1;
DROP INDEX message_of;
"""
_COPY_1: Final = """
INSERT INTO chat (contact) SELECT DISTINCT contact FROM message_1;
INSERT INTO message (row, chat, sender, id, state, sent, stored, text)
  SELECT row, (SELECT number FROM chat WHERE chat.contact = message_1.contact),
    CASE WHEN side = 1 THEN 1 WHEN state = 4 THEN 0 ELSE 2 END, id, state, sent, stored, text
  FROM message_1 ORDER BY row;
UPDATE chat SET seen = coalesce((SELECT seen.row FROM seen WHERE seen.contact = chat.contact), 0);
UPDATE chat SET unread = (
  SELECT count(*) FROM message WHERE message.chat = chat.number AND message.row > chat.seen AND message.sender > 1
);
DROP TABLE message_1;
DROP TABLE seen;
"""


def create(db: apsw.Connection) -> None:
    """Every table, in an empty database."""
    with db:
        db.execute(_RECORD + _MESSAGES + _TRIGGERS)
        db.pragma("user_version", VERSION)


def migrate(db: apsw.Connection) -> bool:
    """Bring a vault of version 1 to the present one, all or nothing; False if its version is another one."""
    version = db.pragma("user_version")
    if version == 1:
        with db:
            db.execute(_FROM_1 + _MESSAGES + _TRIGGERS + _COPY_1)
            db.pragma("user_version", VERSION)
        db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        version = VERSION
    return bool(version == VERSION)
