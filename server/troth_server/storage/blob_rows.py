"""The rows of blobs: who began which, how far it is, when it goes. What lies in the files is ``blob_files``' business.

Each public function but ``kept`` is one command, or part of one, inside an open transaction. A row that goes leaves its
file's name in ``loose``: what is in it is unreadable with the commit, and wiped after it. SPEC.md section 11.9.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from troth_server import blob_commands
from troth_server.blob_commands import BlobRow, Oversize
from troth_server.commands import Done, Full, Outcome, Refused
from troth_server.limits import DAY, HOUR, hour

from .blob_files import RECORD
from .mailboxes import NO_BOX, find
from .seals import SEAL_SIZE
from .transaction import Transaction

UNFINISHED: Final = DAY
"""An upload without progress for so long is dropped; progress is noted to the hour. [R-11.9-6]"""
_ROW: Final = (
    "SELECT m.hash, b.file, b.chunks, b.stored, b.expires, b.touched, b.seal"
    " FROM blobs b JOIN mailboxes m ON m.number = b.mailbox WHERE b.hash = ?"
)


class _Blob(NamedTuple):
    """The sealed part of a row of ``blobs``; ``touched`` is 0 once it is complete."""

    mailbox: bytes
    file: bytes
    chunks: int
    stored: int
    expires: int
    touched: int

    @property
    def row(self) -> BlobRow:
        return BlobRow(self.file, self.chunks, self.stored, self.expires)


_NO_BLOB: Final = _Blob(bytes(32), bytes(16), 0, 0, 0, 0)


def claim(t: Transaction, command: blob_commands.ClaimBlob) -> Outcome:
    """The mailbox's own blob, begun now if there is none; its whole size counts from here on. [R-11.9-3] [R-11.9-4]"""
    box = find(t, command.mailbox)
    if box is NO_BOX:
        return Refused()
    here, there = _load(t, command.blob)
    if there and here is not None and here.expires > t.believed(command.now):
        return here.row if (here.mailbox, here.chunks) == (command.mailbox, command.chunks) else Refused()
    if there and not _drop(t, command.blob, "" if here is not None else "AND mailbox = ?", box.number):
        return Refused()  # damaged, and perhaps another's
    quotas = t.quotas.blobs
    if command.chunks > quotas.chunks:
        return Oversize(quotas.chunks)
    count, chunks = t.sql.execute(
        "SELECT count(*), coalesce(sum(chunks), 0) FROM blobs WHERE mailbox = ?", (box.number,)
    ).fetchone()
    if count >= quotas.mailbox_blobs or chunks + command.chunks > quotas.mailbox_chunks:
        return Full()
    expires = min(command.expires + -command.expires % HOUR, hour(command.now + t.quotas.retention))
    blob = _Blob(command.mailbox, command.file, command.chunks, 0, expires, hour(command.now))
    t.sql.execute(
        "INSERT INTO blobs (hash, mailbox, file, chunks, stored, expires, touched, seal)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (command.blob, box.number, *blob[1:], _seal(t, command.blob, blob)),
    )
    return blob.row


def advance(t: Transaction, command: blob_commands.AdvanceBlob) -> Outcome:
    """Count a chunk that is on disk."""
    blob, _ = _load(t, command.blob)
    if blob is None or (blob.mailbox, blob.file, blob.stored) != (command.mailbox, command.file, command.stored):
        return Refused()
    stored = blob.stored + 1
    _write(t, command.blob, blob._replace(stored=stored, touched=0 if stored == blob.chunks else hour(command.now)))
    return blob._replace(stored=stored).row


def locate(t: Transaction, command: blob_commands.FindBlob) -> Outcome:
    """A complete blob; what is not there costs the same look and the same check. [R-11.9-5]"""
    blob, _ = _load(t, command.blob)
    whole = blob is not None and blob.stored == blob.chunks and blob.expires > t.believed(command.now)
    return blob.row if blob is not None and whole else Refused()


def remove(t: Transaction, command: blob_commands.RemoveBlob) -> Outcome:
    """Delete one's own; somebody else's is not there, as far as this mailbox is told."""
    _drop(t, command.blob, "AND mailbox = ?", find(t, command.mailbox).number)
    return Done()


def release(t: Transaction, box: int) -> None:
    """A mailbox is about to go, and its rows with it: let go of its files."""
    t.loose += [row[0] for row in t.sql.execute("SELECT file FROM blobs WHERE mailbox = ?", (box,))]


def expire(t: Transaction, due: int, longest: int, portion: int) -> None:
    """Drop what is past its time or was given up; nothing is kept beyond ``longest``, should a clock have gone back."""
    for where, limit in (("expires <= ?", due), ("touched > 0 AND touched <= ?", due - UNFINISHED - HOUR)):
        gone = t.sql.execute(
            f"DELETE FROM blobs WHERE hash IN (SELECT hash FROM blobs WHERE {where} LIMIT ?) RETURNING file",  # noqa: S608
            (limit, portion),
        ).fetchall()
        t.loose += [row[0] for row in gone]
        t.unfinished |= len(gone) == portion
    beyond = t.sql.execute("SELECT hash FROM blobs WHERE expires > ? LIMIT ?", (longest, portion)).fetchall()
    for (name,) in beyond:
        blob, _ = _load(t, name)
        if blob is None:
            _drop(t, name)
        else:
            _write(t, name, blob._replace(expires=longest))
    t.unfinished |= len(beyond) == portion


def kept(t: Transaction, sizes: Mapping[bytes, int]) -> dict[bytes, int]:
    """At the start: each file with a sound row, and how long it should be; a row without contents goes. [R-11.9-7]"""
    found: dict[bytes, int] = {}
    for (name,) in t.sql.execute("SELECT hash FROM blobs").fetchall():
        blob, _ = _load(t, name)
        if blob is None or sizes.get(blob.file, 0) < blob.stored * RECORD:
            t.damaged += blob is not None
            _drop(t, name)
        else:
            found[blob.file] = blob.stored * RECORD
    return found


def _load(t: Transaction, name: bytes) -> tuple[_Blob | None, bool]:
    """The blob under a hash if its row is sound, and whether there is a row; one check, whatever was found."""
    found = t.sql.execute(_ROW, (name,)).fetchone()
    blob, seal = (_NO_BLOB, bytes(SEAL_SIZE)) if found is None else (_Blob(*found[:-1]), found[-1])
    fits = t.seals.fits(seal, "blobs", blob[2:], blob.mailbox, name, blob.file)
    t.damaged += found is not None and not fits
    return blob if fits else None, found is not None


def _seal(t: Transaction, name: bytes, blob: _Blob) -> bytes:
    return t.seals.make("blobs", blob[2:], blob.mailbox, name, blob.file)


def _write(t: Transaction, name: bytes, blob: _Blob) -> None:
    t.sql.execute(
        "UPDATE blobs SET stored = ?, expires = ?, touched = ?, seal = ? WHERE hash = ?",
        (blob.stored, blob.expires, blob.touched, _seal(t, name, blob), name),
    )


def _drop(t: Transaction, name: bytes, where: str = "", box: int = 0) -> bool:
    """Delete a row, and let go of its file; whether there was one. ``where`` is one of this file's own clauses."""
    gone = t.sql.execute(
        f"DELETE FROM blobs WHERE hash = ? {where} RETURNING file",  # noqa: S608
        (name, box) if where else (name,),
    ).fetchall()
    t.loose += [row[0] for row in gone]
    return bool(gone)
