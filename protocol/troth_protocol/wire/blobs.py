"""Blobs: what is too large for an envelope, kept at the relay as equal chunks under a random id. SPEC.md section 11.9.

Everything is counted in whole chunks, so that no offset or size that is not a chunk's can be said. The id is the right
to read: a relay keeps its hash alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Final

from ..encoding import Reader, lp, u16, u64
from . import ID_SIZE, Type

CHUNK: Final = 65_552
"""65,536 bytes and an AEAD's tag; every chunk of every blob has this size on the wire. [R-11.9-1]"""
MAX_CHUNKS: Final = 2_048
"""134,250,496 bytes: 128 MiB of content. [R-11.9-1]"""
SIZES: Final = frozenset(2**power for power in range(MAX_CHUNKS.bit_length()))
"""How many chunks a blob may have: 12 sizes, a power of two apart, say little of what is in it. [R-11.9-1]"""


@dataclass(frozen=True, slots=True)
class BlobPut:
    """Begin a blob, add its next chunk, or (``chunk`` empty) ask how far it is. Needs a proof. [R-11.9-2]"""

    TYPE: ClassVar = Type.BLOB_PUT
    blob: bytes = field(repr=False)
    chunks: int
    expires: int
    index: int
    chunk: bytes = field(default=b"", repr=False)

    def body(self) -> bytes:
        """Blob id 32 || chunks u16 || expires u64 || index u16 || LP(chunk, 0 or 65,552)."""
        return self.blob + u16(self.chunks) + u64(self.expires) + u16(self.index) + lp(self.chunk)

    @classmethod
    def read(cls, reader: Reader) -> BlobPut:
        """Parse a body; a chunk has one size, and a place in the blob."""
        blob, chunks, expires = reader.fixed("blob", ID_SIZE), _chunks(reader), reader.u64("expires")
        start = reader.offset
        index = reader.u16("index", chunks)
        chunk = reader.lp("chunk", CHUNK)
        if len(chunk) not in (0, CHUNK):
            reader.refuse("chunk", f"{len(chunk)} bytes is not a chunk's size")
        if chunk and index == chunks:
            reader.offset = start
            reader.refuse("index", f"there is no chunk {index} of {chunks}")
        return cls(blob, chunks, expires, index, chunk)


@dataclass(frozen=True, slots=True)
class BlobGet:
    """Read one chunk of a blob that is complete; to know the id is the right to."""

    TYPE: ClassVar = Type.BLOB_GET
    blob: bytes = field(repr=False)
    index: int

    def body(self) -> bytes:
        """Blob id 32 || index u16."""
        return self.blob + u16(self.index)

    @classmethod
    def read(cls, reader: Reader) -> BlobGet:
        """Parse a body."""
        return cls(reader.fixed("blob", ID_SIZE), reader.u16("index", MAX_CHUNKS - 1))


@dataclass(frozen=True, slots=True)
class BlobDelete:
    """Delete a blob that this mailbox began; OK also if there is none. Needs a proof."""

    TYPE: ClassVar = Type.BLOB_DELETE
    blob: bytes = field(repr=False)

    def body(self) -> bytes:
        """Blob id 32."""
        return self.blob

    @classmethod
    def read(cls, reader: Reader) -> BlobDelete:
        """Parse a body."""
        return cls(reader.fixed("blob", ID_SIZE))


@dataclass(frozen=True, slots=True)
class BlobState:
    """How much of a blob is on disk, in whole chunks from the first, and when it will be dropped. [R-11.9-2]"""

    TYPE: ClassVar = Type.BLOB_STATE
    stored: int
    chunks: int
    expires: int

    def body(self) -> bytes:
        """Stored u16 || chunks u16 || expires u64."""
        return u16(self.stored) + u16(self.chunks) + u64(self.expires)

    @classmethod
    def read(cls, reader: Reader) -> BlobState:
        """Parse a body."""
        start = reader.offset
        stored, chunks = reader.u16("stored"), _chunks(reader)
        if stored > chunks:
            reader.offset = start
            reader.refuse("stored", f"{stored} of {chunks}")
        return cls(stored, chunks, reader.u64("expires"))


@dataclass(frozen=True, slots=True)
class BlobPart:
    """One chunk, and how many the blob has."""

    TYPE: ClassVar = Type.BLOB_PART
    chunks: int
    index: int
    chunk: bytes = field(repr=False)

    def body(self) -> bytes:
        """Chunks u16 || index u16 || LP(chunk, 65,552)."""
        return u16(self.chunks) + u16(self.index) + lp(self.chunk)

    @classmethod
    def read(cls, reader: Reader) -> BlobPart:
        """Parse a body."""
        chunks = _chunks(reader)
        return cls(chunks, reader.u16("index", chunks - 1), reader.lp("chunk", CHUNK, CHUNK))


def _chunks(reader: Reader) -> int:
    start = reader.offset
    chunks = reader.u16("chunks")
    if chunks not in SIZES:
        reader.offset = start
        reader.refuse("chunks", f"{chunks} is not a power of two up to {MAX_CHUNKS}")
    return chunks
