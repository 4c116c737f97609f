"""Proof of erasure: the relay's files, and a backup, read by code of their own; nothing is believed that can be seen.

Its own process, as ``backup`` is. Read in this order: ``page``, ``sqlite_pages`` (the database, byte by byte), ``log``
(SQLite's write-ahead log), ``medium`` (what the disk beneath may keep), ``proof`` (all of it, and the verdict).
"""
