"""Which count moves with which answer and which outcome; the counts are those of ``metrics``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from troth_protocol.wire import Code, Type

from .blob_commands import BlobAt, BlobChunk
from .commands import Command, CreateMailbox, Deposited, Done, Forget, Outcome
from .metrics import Count, Metrics

_REFUSALS: Final[Mapping[int, Count]] = {
    Code.BAD_FRAME: Count.BAD_FRAMES,
    Code.UNEXPECTED_TYPE: Count.BAD_FRAMES,
    Code.TOO_LARGE: Count.BAD_FRAMES,
    Code.AUTH_REQUIRED: Count.UNPROVED,
    Code.REFUSED: Count.REFUSED,
    Code.INVITE_REQUIRED: Count.UNINVITED,
    Code.RATE_LIMITED: Count.RATE_LIMITED,
    Code.QUOTA: Count.QUOTA_FULL,
    Code.STORAGE_FULL: Count.STORE_FULL,
    Code.UNAVAILABLE: Count.STORE_FAILED,
}


_ERROR: Final = int(Type.ERROR)


def answer(metrics: Metrics, frame: bytes) -> None:
    """Count an answer that is a refusal."""
    counted = _REFUSALS.get(int.from_bytes(frame[5:7], "big")) if frame[4] == _ERROR else None
    if counted is not None:
        metrics.add(counted)


def outcome(metrics: Metrics, command: Command, outcome: Outcome) -> None:
    """Count what was done."""
    if isinstance(outcome, Deposited) and outcome.row is not None:
        metrics.add(Count.DEPOSITED)
    elif isinstance(outcome, BlobAt):
        metrics.add(Count.BLOB_CHUNKS_STORED, int(outcome.added))
    elif isinstance(outcome, BlobChunk):
        metrics.add(Count.BLOB_CHUNKS_SENT)
    elif isinstance(outcome, Done) and isinstance(command, CreateMailbox):
        metrics.add(Count.CREATED)
    elif isinstance(outcome, Done) and isinstance(command, Forget):
        metrics.add(Count.DELIVERED, len(command.numbers))
