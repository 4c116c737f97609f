"""Every table and column the relay keeps in SQLite.

Ids are hashes (``token.mailbox_hash``); times are rounded to the hour, except when a queued envelope expires. A
``seal`` is the row's check (``seals``). How a database of an earlier version becomes one of this is in ``migrations``.
"""

from __future__ import annotations

from typing import Final

SCHEMA_VERSION: Final = 2
APPLICATION_ID: Final = 0x74_72_74_68
"""``trth``: says whose file it is (PRAGMA application_id)."""

TABLES: Final = """
CREATE TABLE relay (
  only INTEGER PRIMARY KEY CHECK (only = 1),
  verifier BLOB NOT NULL,
  generation INTEGER NOT NULL DEFAULT 0,
  acted INTEGER NOT NULL DEFAULT 0,
  awake INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE mailboxes (
  number INTEGER PRIMARY KEY,
  hash BLOB NOT NULL UNIQUE,
  stored BLOB NOT NULL,
  created INTEGER NOT NULL,
  active INTEGER NOT NULL,
  queued INTEGER NOT NULL DEFAULT 0,
  queued_bytes INTEGER NOT NULL DEFAULT 0,
  last INTEGER NOT NULL DEFAULT 0,
  batch BLOB NOT NULL DEFAULT x'',
  seal BLOB NOT NULL
) STRICT;
CREATE INDEX mailboxes_active ON mailboxes (active);
CREATE TABLE epochs (
  number INTEGER PRIMARY KEY,
  mailbox INTEGER NOT NULL REFERENCES mailboxes ON DELETE CASCADE,
  key BLOB NOT NULL,
  expires INTEGER NOT NULL,
  spent INTEGER NOT NULL DEFAULT 0,
  seal BLOB NOT NULL,
  UNIQUE (mailbox, key)
) STRICT;
CREATE INDEX epochs_expiry ON epochs (expires);
CREATE TABLE spent (
  epoch INTEGER NOT NULL REFERENCES epochs ON DELETE CASCADE,
  nonce BLOB NOT NULL,
  envelope BLOB NOT NULL,
  PRIMARY KEY (epoch, nonce)
) STRICT, WITHOUT ROWID;
CREATE TABLE lookups (
  number INTEGER PRIMARY KEY,
  hash BLOB NOT NULL UNIQUE,
  mailbox INTEGER NOT NULL REFERENCES mailboxes ON DELETE CASCADE,
  capability BLOB NOT NULL,
  leaves_left INTEGER NOT NULL,
  envelopes_left INTEGER NOT NULL,
  fetches_left INTEGER NOT NULL,
  batch BLOB NOT NULL,
  seal BLOB NOT NULL,
  bundle_seal BLOB NOT NULL,
  bundle BLOB NOT NULL
) STRICT;
CREATE INDEX lookups_mailbox ON lookups (mailbox);
CREATE TABLE firsts (
  lookup INTEGER NOT NULL REFERENCES lookups ON DELETE CASCADE,
  nonce BLOB NOT NULL,
  envelope BLOB NOT NULL,
  PRIMARY KEY (lookup, nonce)
) STRICT, WITHOUT ROWID;
CREATE TABLE leaves (
  mailbox INTEGER NOT NULL REFERENCES mailboxes ON DELETE CASCADE,
  position INTEGER NOT NULL,
  seal BLOB NOT NULL,
  leaf BLOB,
  PRIMARY KEY (mailbox, position)
) STRICT;
CREATE TABLE spares (
  mailbox INTEGER NOT NULL REFERENCES mailboxes ON DELETE CASCADE,
  hash BLOB NOT NULL,
  used INTEGER NOT NULL DEFAULT 0,
  nonce BLOB NOT NULL DEFAULT x'',
  envelope BLOB NOT NULL DEFAULT x'',
  fetched INTEGER NOT NULL DEFAULT 0,
  fetches INTEGER NOT NULL DEFAULT 0,
  seal BLOB NOT NULL,
  PRIMARY KEY (mailbox, hash)
) STRICT, WITHOUT ROWID;
CREATE TABLE blobs (
  hash BLOB PRIMARY KEY,
  mailbox INTEGER NOT NULL REFERENCES mailboxes ON DELETE CASCADE,
  file BLOB NOT NULL,
  chunks INTEGER NOT NULL,
  stored INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  touched INTEGER NOT NULL,
  seal BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX blobs_mailbox ON blobs (mailbox, chunks);
CREATE INDEX blobs_expiry ON blobs (expires);
CREATE INDEX blobs_unfinished ON blobs (touched) WHERE touched > 0;
CREATE TABLE invites (
  hash BLOB PRIMARY KEY,
  used INTEGER NOT NULL,
  expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX invites_expiry ON invites (expires);
CREATE TABLE envelopes (
  row INTEGER PRIMARY KEY,
  mailbox INTEGER NOT NULL REFERENCES mailboxes ON DELETE CASCADE,
  number INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  via INTEGER NOT NULL,
  mark BLOB NOT NULL,
  seal BLOB NOT NULL,
  envelope BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX envelopes_queue ON envelopes (mailbox, number);
CREATE INDEX envelopes_expiry ON envelopes (expires);
"""
