"""One connection at the door: judged by its first flight, then a pipe to the site or, for a guest, to a relay.

Until the judge is sure, what comes goes on to the site as it comes, so that nobody can tell a forwarder by how it
treats half a hello. A guest's whole hello goes nowhere: the connection that was being opened to the site is
closed, and TLS is answered here. [R-19.4-2] [R-19.4-3]
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from troth_protocol import veil
from troth_protocol.errors import DecodeError

from . import limits
from .counts import Seen
from .far import Far, Page, Wire, abort
from .judge import Guest, Judge, Listening
from .layer import Layer
from .places import network

if TYPE_CHECKING:
    from .front import Front


class Door(asyncio.Protocol):
    """Somebody, and what they are connected to."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._judge: Judge | None = Judge(front.secret, front.memory)
        self._transport: asyncio.Transport
        self._where: str | None = None
        self._far: Far | None = None
        self._layer: Layer | None = None
        self._wish: bytes | None = None
        """What a guest has said of its wish so far; None for others, and once it is granted."""
        self._guest = False
        self._near_ended = self._far_ended = False
        self._begun = self._moved = self._took = 0.0
        self._unsent = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody is here: while they introduce themselves, a connection to the site is opened."""
        front = self._front
        self._transport = transport
        peer = transport.get_extra_info("peername")
        where = network(peer[0]) if peer else ""
        if not front.places.take(where):
            front.counts.add(Seen.TURNED_AWAY)
            transport.abort()
            return
        front.counts.add(Seen.ACCEPTED)
        self._where = where
        self._begun = self._moved = self._took = front.loop.time()
        transport.set_write_buffer_limits(limits.WRITE_HIGH)
        front.doors.add(self)
        self._far = front.site(self)
        if front.stranger_context is not None:
            self._layer = Layer(front.stranger_context)

    def data_received(self, data: bytes) -> None:
        """They said something."""
        self._moved = self._front.loop.time()
        if self._judge is not None:
            verdict = self._judge.hear(data, self._front.now())
            if not isinstance(verdict, Listening):
                self._judge = None
                self._front.counts.add(Seen.GUESTS if isinstance(verdict, Guest) else Seen.STRANGERS)
            if isinstance(verdict, Guest):
                self._welcome(verdict)
                return
            if self._judge is None and self._far is None:
                self.close()
                return
        self._pass(data)

    def eof_received(self) -> bool:
        """They will say no more; they may still listen."""
        self._near_ended = True
        if self._far is not None:
            self._far.end()
        self._close_if_both_ended()
        return self._far is not None

    def connection_lost(self, exc: Exception | None) -> None:
        """They are gone."""
        self._front.doors.discard(self)
        if self._where is not None:
            self._front.places.give_back(self._where)
            self._where = None
        self._drop_far(reset=isinstance(exc, ConnectionResetError))

    def pause_writing(self) -> None:
        """They do not read."""
        if self._far is not None:
            self._far.let_read(on=False)

    def resume_writing(self) -> None:
        """They read again."""
        if self._far is not None:
            self._far.let_read(on=True)

    # What the far side calls.

    def hear_far(self, far: Far, data: bytes) -> None:
        """Pass on what the far side said."""
        if far is not self._far:
            return
        self._moved = self._front.loop.time()
        if self._layer is None:
            self._transport.write(data)
        else:
            self._layer.send(data)
            self._flush()

    def end_far(self, far: Far) -> None:
        """The far side will say no more."""
        if far is not self._far or self._far_ended:
            return
        self._far_ended = True
        if self._layer is not None:
            self.close()
        elif not self._transport.is_closing():
            self._transport.write_eof()
        self._close_if_both_ended()

    def lose_far(self, far: Far, *, reset: bool) -> None:
        """The far side is gone."""
        if far is not self._far:
            return
        self._far = None
        if reset:
            abort(self._transport)
        else:
            self.close()

    def lack_site(self, far: Far) -> None:
        """The site cannot be reached: a stranger gets nothing, but who has not been judged yet may be a guest."""
        if far is not self._far:
            return
        self._far = None
        if self._judge is None or self._near_ended:
            self.close()

    def let_read(self, *, on: bool) -> None:
        """Whether more may be read from them."""
        if not self._transport.is_closing():
            (self._transport.resume_reading if on else self._transport.pause_reading)()

    # What passes.

    def _pass(self, data: bytes) -> None:
        """On to the far side, out of the TLS layer if it ends here."""
        if self._layer is None:
            if self._far is not None:
                self._far.write(data)
            return
        inner = self._layer.receive(data)
        self._flush()
        if self._wish is not None:
            self._hear_wish(inner)
        elif inner and self._far is not None:
            if isinstance(self._far, Page):
                self._far.now = self._front.now()
            self._far.write(inner)
        if self._layer is not None and (self._layer.broken or self._layer.ended):
            self._near_ended = True
            if self._layer.broken or self._far is None:
                self.close()
            else:
                self._far.end()

    def _flush(self) -> None:
        unsent = self._layer.unsent() if self._layer is not None else b""
        if unsent and not self._transport.is_closing():
            self._transport.write(unsent)

    def _welcome(self, guest: Guest) -> None:
        """Answer a guest's hello; the site has no part in it."""
        self._drop_far(reset=False)
        self._guest = True
        self._wish = b""
        self._begun = self._front.loop.time()
        self._layer = Layer(self._front.guest_context, guest.mark)
        self._pass(guest.hello)

    def _hear_wish(self, inner: bytes) -> None:
        """Which relay they want; one that is not allowed is nowhere. [R-19.4-4]"""
        self._wish = (self._wish or b"") + inner
        try:
            found = veil.read_preface(self._wish)
        except DecodeError:
            found = (b"", b"")
        if found is None:
            return
        self._wish = None
        relay, first = found
        addresses = self._front.addresses(relay)
        if not addresses:
            self._front.counts.add(Seen.NOT_ALLOWED)
            self.close()
            return
        far = Wire(self)
        self._far = far
        self._front.reach(relay, addresses, far, self)
        if first:
            far.write(first)

    # The end.

    def close(self) -> None:
        """Send what waits, say so inside TLS, and close."""
        if self._layer is not None and not self._layer.broken:
            self._layer.end()
        self._flush()
        self._drop_far(reset=False)
        self._transport.close()

    def _close_if_both_ended(self) -> None:
        if self._near_ended and self._far_ended:
            self.close()

    def _drop_far(self, *, reset: bool) -> None:
        far, self._far = self._far, None
        if far is not None:
            far.drop(reset=reset)

    def patrol(self, now: float) -> None:
        """Cut off whoever is idle, stuck, or has half left."""
        unsent = self._transport.get_write_buffer_size() + (self._far.waiting() if self._far is not None else 0)
        if unsent < self._unsent or not unsent:
            self._took = now
        self._unsent = unsent
        idle = limits.STRANGER_IDLE
        if self._guest:
            ended = self._near_ended or self._far_ended
            idle = limits.LINGER_SECONDS if ended else limits.GUEST_IDLE
            if self._wish is not None and now - self._begun > limits.GUEST_SECONDS:
                idle = 0
        elif isinstance(self._far, Page):
            idle = limits.DECOY_SECONDS
        elif self._far is None:
            idle = limits.HELLO_SECONDS
        if now - self._took > limits.STUCK_SECONDS:
            self._transport.abort()
        elif now - self._moved > idle:
            self.close()
