"""What may be asked of a store about blobs, and what may come back; the other half of ``commands``.

A blob is named by the hash of its id, and its contents by a random name that nobody else learns. Two kinds: what a
client asks for, which touches contents, and the steps of it that touch rows alone, each atomic.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class PutBlob:
    """Begin a blob or add its next chunk: BlobAt, Refused, Full, Oversize. Empty, or in another place, it adds none."""

    mailbox: bytes = field(repr=False)
    blob: bytes = field(repr=False)
    chunks: int
    expires: int
    index: int
    chunk: bytes = field(repr=False)
    now: int


@dataclass(frozen=True, slots=True)
class ReadBlob:
    """A chunk of a complete blob: BlobChunk or Refused."""

    blob: bytes = field(repr=False)
    index: int
    now: int


@dataclass(frozen=True, slots=True)
class RemoveBlob:
    """Delete a blob of this mailbox; Done also if there is none."""

    mailbox: bytes = field(repr=False)
    blob: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ClaimBlob:
    """Find this mailbox's blob, or begin it as ``file``: BlobRow, Refused, Full, Oversize."""

    mailbox: bytes = field(repr=False)
    blob: bytes = field(repr=False)
    chunks: int
    expires: int
    file: bytes = field(repr=False)
    now: int


@dataclass(frozen=True, slots=True)
class AdvanceBlob:
    """One more chunk of the blob is on disk: BlobRow, or Refused if it is not the same any more."""

    mailbox: bytes = field(repr=False)
    blob: bytes = field(repr=False)
    file: bytes = field(repr=False)
    stored: int
    now: int


@dataclass(frozen=True, slots=True)
class FindBlob:
    """Where a complete blob is: BlobRow or Refused."""

    blob: bytes = field(repr=False)
    now: int


@dataclass(frozen=True, slots=True)
class BlobRow:
    """A blob's row: its file, how many chunks it has, how many are on disk, and when it is dropped."""

    file: bytes = field(repr=False)
    chunks: int
    stored: int
    expires: int


@dataclass(frozen=True, slots=True)
class BlobAt:
    """How far a blob is, on disk; whether this command added a chunk."""

    stored: int
    chunks: int
    expires: int
    added: bool


@dataclass(frozen=True, slots=True)
class BlobChunk:
    """A chunk as it was put."""

    chunks: int
    index: int
    chunk: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Oversize:
    """More chunks than this relay takes; ``most`` is how many."""

    most: int


Contents: TypeAlias = PutBlob | ReadBlob
Rows: TypeAlias = RemoveBlob | ClaimBlob | AdvanceBlob | FindBlob
BlobOutcome: TypeAlias = BlobRow | BlobAt | BlobChunk | Oversize
