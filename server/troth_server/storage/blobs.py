"""The second thread of a store: chunks of blobs in and out of their files, and files that are to go, bit by bit.

The thread that commits never waits for this one. A chunk is on disk before the row that counts it is committed, and
the row is gone, committed, before the first byte of a file is overwritten; so a crash between leaves bytes that no row
counts, or a file that no row names, and the next start takes both away. Rows are asked for like by anybody else,
through ``ask``: this file knows no engine. SPEC.md section 11.9. [R-11.9-7]
"""

from __future__ import annotations

import errno
import logging
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from troth_protocol.wire import Code
from troth_server import blob_commands
from troth_server.blob_commands import BlobAt, BlobChunk, BlobRow, PutBlob, ReadBlob, RemoveBlob
from troth_server.commands import Command, Failed, Outcome, Refused
from troth_server.limits import BLOBS_CLOSE_SECONDS, BLOBS_WAITING, ROOM_SECONDS

from . import Done, Uptime
from .blob_files import NAME_SIZE, BlobFiles

Ask: TypeAlias = Callable[[Command, Done], None]
Distrust: TypeAlias = Callable[[str], None]
_Mine: TypeAlias = PutBlob | ReadBlob | RemoveBlob
_Job: TypeAlias = tuple[_Mine, Done] | list[bytes]
"""A command, or the names of files that are to go."""

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
PASSING: Final = FULL | {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN}
"""What passes; any other error of a file means that the disk cannot be trusted."""


class Blobs:
    """The only user of the files; ``draw`` gives random bytes for their names."""

    def __init__(
        self, files: BlobFiles, ask: Ask, distrust: Distrust, uptime: Uptime, draw: Callable[[int], bytes]
    ) -> None:
        self._files = files
        self._ask_store = ask
        self._distrust = distrust
        self._uptime = uptime
        self._draw = draw
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._going: deque[tuple[bytes, int]] = deque()
        self._dead = self._ended = False
        self._rest = 0.0
        self._thread = threading.Thread(target=self._run, name="troth-blobs", daemon=True)
        self._thread.start()

    def submit(self, command: _Mine, done: Done) -> None:
        """Queue a command, unless too many wait; from any thread."""
        if self._jobs.qsize() >= BLOBS_WAITING:
            done(Failed(Code.UNAVAILABLE))
        else:
            self._jobs.put((command, done))

    def let_go(self, names: Iterable[bytes]) -> None:
        """Wipe these files, whose rows are gone; from any thread."""
        self._jobs.put(list(names))

    def close(self) -> None:
        """Finish what was submitted; the store is still asked."""
        if self._thread.is_alive():
            self._jobs.put(None)
            self._thread.join()

    def end(self) -> None:
        """After the store has closed: wipe what it let go of last, for a few seconds at most; a start does the rest."""
        if self._ended:
            return
        self._ended = True
        while not self._jobs.empty():
            job = self._jobs.get_nowait()
            if job is not None:
                self._take(job)
        until = self._uptime() + BLOBS_CLOSE_SECONDS
        while self._going and not self._dead and self._uptime() < until and self._uptime() >= self._rest:
            self._wipe()
        self._files.close()

    def _run(self) -> None:
        """Commands as they come; after each, and while there are none, a portion of what is to go."""
        while True:
            try:
                job = self._jobs.get(block=not self._wipes(), timeout=ROOM_SECONDS if self._going else None)
            except queue.Empty:
                self._wipe()
                continue
            if job is None:
                return
            self._take(job)
            if self._wipes():
                self._wipe()

    def _wipes(self) -> bool:
        return bool(self._going) and not self._dead and self._uptime() >= self._rest

    def _take(self, job: _Job) -> None:
        if isinstance(job, list):
            self._going += [(name, 0) for name in job]
        else:
            command, done = job
            done(self._outcome(command))

    def _outcome(self, command: _Mine) -> Outcome:
        if self._dead:
            return Failed(Code.UNAVAILABLE)
        try:
            match command:
                case PutBlob():
                    return self._put(command)
                case ReadBlob():
                    return self._read(command)
                case RemoveBlob():
                    return self._ask(command)
        except OSError as error:
            return self._failed(error)

    def _put(self, command: PutBlob) -> Outcome:
        """The next chunk goes to disk and is then counted; anything else only says how far the blob is. [R-11.9-2]"""
        mailbox, blob, now = command.mailbox, command.blob, command.now
        file = self._draw(NAME_SIZE)
        row = self._ask(blob_commands.ClaimBlob(mailbox, blob, command.chunks, command.expires, file, now))
        added = isinstance(row, BlobRow) and bool(command.chunk) and command.index == row.stored < row.chunks
        if isinstance(row, BlobRow) and added:
            self._files.write(row.file, row.stored, command.chunk)
            row = self._ask(blob_commands.AdvanceBlob(mailbox, blob, row.file, row.stored, now))
        return BlobAt(row.stored, row.chunks, row.expires, added) if isinstance(row, BlobRow) else row

    def _read(self, command: ReadBlob) -> Outcome:
        row = self._ask(blob_commands.FindBlob(command.blob, command.now))
        if not isinstance(row, BlobRow) or command.index >= row.chunks:
            return row if isinstance(row, Failed) else Refused()
        chunk = self._files.read(row.file, command.index)
        if chunk is None:
            logging.getLogger("troth.relay").warning("a damaged chunk of a blob was not served; check the disk")
            return Refused()
        return BlobChunk(row.chunks, command.index, chunk)

    def _ask(self, command: Command) -> Outcome:
        """Ask for rows, and wait: only the answers to clients depend on this thread."""
        answer: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self._ask_store(command, answer.put)
        return answer.get()

    def _wipe(self) -> None:
        """One portion of the file that has waited longest; after what passes, a rest. [R-11.9-6]"""
        if not self._going or self._dead:
            return
        name, at = self._going.popleft()
        try:
            further = self._files.wipe(name, at)
        except OSError as error:
            self._going.appendleft((name, at))
            self._rest = self._uptime() + ROOM_SECONDS
            self._failed(error)
            return
        if further is not None:
            self._going.appendleft((name, further))

    def _failed(self, error: OSError) -> Failed:
        if error.errno not in PASSING and not self._dead:
            self._dead = True
            self._distrust(f"file error {error.errno}")
        return Failed(Code.STORAGE_FULL if error.errno in FULL else Code.UNAVAILABLE)
