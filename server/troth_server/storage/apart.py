"""A store in a process of its own: one interpreter speaks with the clients, another with the disk.

::

    loop --submit--> [out] --sender==\\  socket pair  /==reader--> the engine's threads
    loop <---done--- reader==========/                \\=sender <-- [out] <---done---'

Two threads of one interpreter would hold each other up at every call that lets go of it: TLS, SQL, HMAC. And neither
process has what is the other's: the one has no file of the store open, the other no connection and no TLS key, which is
read after the fork. What passes between them is pickled, and nothing but the classes of ``commands`` and
``blob_commands`` is ever unpickled: that is hygiene, no boundary, since both run as one user.

If the other process ends, nothing can be promised any more: ``on_fatal``. If this one ends, however it does, the other
finds the socket closed, finishes what it was given, closes the files and ends. [R-11.4-1]
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import io
import itertools
import logging
import os
import pickle
import queue
import signal
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from types import ModuleType
from typing import BinaryIO, Final, NoReturn, TypeAlias, cast

from troth_protocol.errors import StorageError, StorageUntrusted, TrothError, UserError
from troth_protocol.wire import Code, Via
from troth_server import blob_commands, commands
from troth_server.commands import Command, Failed, Outcome, QueuedView
from troth_server.limits import GROUP

from . import Done, Fatal, Store, viewed

Open: TypeAlias = Callable[[Fatal], Store]
"""Opens the engine, in the other process; StorageError, UserError."""
Batch: TypeAlias = Sequence[tuple[int, Command | Outcome | str]]
"""Commands or outcomes, each with the number of its command; number 0 is a text: why nothing more can be promised.

The first batch of the child says whether the engine is open: it is empty, or has the kind and text of the error.
"""
_Queue: TypeAlias = "queue.SimpleQueue[tuple[int, Command | Outcome | str] | None]"
_Reduced: TypeAlias = tuple[type, tuple[object, ...]]
_BUFFER: Final = 262_144
"""SO_SNDBUF: a batch passes without waiting for the other side."""
_DESCRIPTORS: Final = 1_024
"""Closed in the child; at the time of the fork there are a handful."""


def _classes(*modules: ModuleType) -> Mapping[str, type]:
    """The dataclasses that these modules define, by name."""
    found = {
        name: value
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, type) and dataclasses.is_dataclass(value)
    }
    return {**found, Code.__name__: Code, Via.__name__: Via}


def _reducer(kind: type) -> Callable[[object], _Reduced]:
    """How an object of a dataclass is taken apart: a third of the time of what dataclasses do by themselves."""
    names = [field.name for field in dataclasses.fields(kind)]
    if len(names) > 1:
        several = attrgetter(*names)
        return lambda made: (kind, several(made))
    return lambda made: (kind, tuple(getattr(made, name) for name in names))


_PASSES: Final = _classes(commands, blob_commands)
_REDUCERS: Final = {kind: _reducer(kind) for kind in _PASSES.values() if dataclasses.is_dataclass(kind)}
_STARTS_WITH: Final = {kind.__name__: kind for kind in (StorageError, StorageUntrusted, UserError)}
"""What may be raised at the start."""


class _Unpickler(pickle.Unpickler):
    """Makes objects of the classes that may pass, and of no other."""

    def find_class(self, module: str, name: str) -> type:
        """UnpicklingError for what may not pass."""
        kind = _PASSES.get(name)
        if kind is None or kind.__module__ != module:
            raise pickle.UnpicklingError("neither a command nor an outcome")
        return kind


def encode(batch: Batch) -> bytes:
    """A batch as it passes."""
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, pickle.HIGHEST_PROTOCOL)
    pickler.dispatch_table = _REDUCERS
    pickler.dump(batch)
    return buffer.getvalue()


def decode(stream: BinaryIO) -> Batch:
    """The next batch; EOFError at the end, UnpicklingError if it was cut short or is none."""
    return cast(Batch, _Unpickler(stream).load())


class Apart:
    """A ``Store`` whose engine runs in a child process; to be made before this process has threads or a loop."""

    __slots__ = (
        "_closing",
        "_numbers",
        "_on_fatal",
        "_out",
        "_over",
        "_receiver",
        "_sender",
        "_socket",
        "_waiting",
        "pid",
    )

    def __init__(self, open_: Open, on_fatal: Fatal) -> None:
        """Fork, and wait until the engine is open; StorageError or UserError as ``open_`` raised it there."""
        self._socket, theirs = socket.socketpair()
        for end in (self._socket, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        self.pid = os.fork()
        if self.pid == 0:
            _be_the_other(open_, theirs)
        theirs.close()
        stream = self._socket.makefile("rb")
        try:
            refused = decode(stream)
        except (EOFError, OSError, pickle.UnpicklingError):
            refused = [(0, StorageError.__name__), (0, "the store's process ended at its start")]
        if refused:
            stream.close()
            self._socket.close()
            self._reap()
            (_, kind), (_, text) = refused
            raise _STARTS_WITH[str(kind)](text)
        self._on_fatal = on_fatal
        self._numbers = itertools.count(1)
        self._waiting: dict[int, Done] = {}
        self._closing = self._over = False
        self._out: _Queue = queue.SimpleQueue()
        self._sender = threading.Thread(target=_send, args=(self._out, self._socket), name="troth-out", daemon=True)
        self._receiver = threading.Thread(target=self._receive, args=(stream,), name="troth-in", daemon=True)
        self._sender.start()
        self._receiver.start()

    def submit(self, command: Command, done: Done) -> None:
        """Carry out ``command`` over there, then call ``done`` on a thread of this store's."""
        number = next(self._numbers)
        self._waiting[number] = done
        self._out.put((number, command))
        if self._over:
            self._fail()

    def view(self, limit: int) -> tuple[QueuedView, ...]:
        """What lies in the queues; waits for the answer."""
        return viewed(self, limit)

    def close(self) -> None:
        """Finish what was submitted, and wait until the files are closed and the process has ended."""
        self._closing = True
        self._out.put(None)
        self._sender.join()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
        self._receiver.join()
        self._socket.close()
        self._reap()

    def _reap(self) -> None:
        """Wait for the other process; not if the kernel was told to forget children."""
        with contextlib.suppress(ChildProcessError):
            if os.waitpid(self.pid, 0)[1]:
                logging.getLogger("troth.relay").error("the store's process did not end well")

    def _receive(self, stream: BinaryIO) -> None:
        try:
            while True:
                for number, outcome in decode(stream):
                    if isinstance(outcome, str):
                        self._end(outcome)
                    else:
                        self._waiting.pop(number)(cast(Outcome, outcome))
        except Exception:  # the end of the stream, or what is no outcome
            if not self._closing:
                self._end("the store's process ended")
        finally:
            self._over = True
            self._fail()
            stream.close()

    def _end(self, reason: str) -> None:
        """Nothing can be promised any more."""
        if not self._over:
            self._over = True
            self._on_fatal(reason)
            self._fail()

    def _fail(self) -> None:
        with contextlib.suppress(KeyError):
            while True:
                self._waiting.popitem()[1](Failed(Code.UNAVAILABLE))


def _send(out: _Queue, sock: socket.socket) -> None:
    """What stands in the queue, together; until None. That nobody reads it any more, the reader finds out."""
    item = out.get()
    while item is not None:
        batch = [item]
        while len(batch) < GROUP and not out.empty() and (item := out.get_nowait()) is not None:
            batch.append(item)
        try:
            sock.sendall(encode(batch))
        except Exception:  # gone, or it cannot be said for want of memory: both sides find the end
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        if item is not None:
            item = out.get()


def _be_the_other(open_: Open, sock: socket.socket) -> NoReturn:
    """The child: keep nothing of the parent's but this socket and the places for messages, and serve."""
    code = 1
    try:
        gc.freeze()  # what is collected would close descriptors whose numbers are others' by then
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # the parent's; this process ends when it does
            signal.signal(number, signal.SIG_IGN)
        signal.set_wakeup_fd(-1)
        os.closerange(3, sock.fileno())
        os.closerange(sock.fileno() + 1, _DESCRIPTORS)
        _serve(open_, sock)
        code = 0
    except BaseException as error:  # nothing of the parent's may run here: it would clean up what is not this one's
        logging.getLogger("troth.relay").error("the store's process failed: %s", type(error).__name__)  # noqa: TRY400
    finally:
        os._exit(code)


def _serve(open_: Open, sock: socket.socket) -> None:
    out: _Queue = queue.SimpleQueue()
    try:
        store = open_(lambda reason: out.put((0, reason)))
    except TrothError as error:
        sock.sendall(encode([(0, type(error).__name__), (0, str(error))]))
        return
    sock.sendall(encode([]))
    sender = threading.Thread(target=_send, args=(out, sock), name="troth-out")
    sender.start()
    stream = sock.makefile("rb")
    try:
        with contextlib.suppress(EOFError, OSError, pickle.UnpicklingError):  # closed, or the parent is gone
            while True:
                for number, command in decode(stream):
                    store.submit(cast(Command, command), _answering(out, number))
    finally:
        store.close()  # what was given is finished first
        out.put(None)
        sender.join()


def _answering(out: _Queue, number: int) -> Done:
    return lambda outcome: out.put((number, outcome))
