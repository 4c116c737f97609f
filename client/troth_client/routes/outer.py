"""The outer TLS of a tunnel, without sockets: a hello that carries our mark, the forwarder's key, then bytes.

The forwarder is the one whose key the link pins; nothing of the certificate counts but the key, and nothing is said
before it was compared. An unknown hello is answered by somebody else's TLS, with which ours cannot agree on keys: that
is a NetworkError, and no alert is sent, so that a failed attempt looks like a visitor who left. [R-19.4-6]
SPEC.md section 19.4.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable
from typing import Final

from troth_protocol import ownership, veil
from troth_protocol.address import RelayAddress
from troth_protocol.errors import DecodeError, NetworkError, NoTls, PinMismatch, ProxyError

PIECE: Final = 65_536
"""Plaintext read from the TLS library at once."""
_HEADER: Final = 5


class Outer:
    """One outer TLS connection to a forwarder, as bytes in and bytes out."""

    def __init__(
        self, secret: bytes, pin: bytes, name: str, relay: RelayAddress, *, now: int, draw: Callable[[int], bytes]
    ) -> None:
        """``secret`` and ``pin`` (32 bytes each) and ``name``, which is shown to everybody, are the link's."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # the pin decides
        # The hello offers 1.2, as everybody's does; a forwarder never takes it, and neither do we.
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options &= ~ssl.OP_ENABLE_MIDDLEBOX_COMPAT  # an empty session id, in whose place the mark goes
        context.set_alpn_protocols(["h2", "http/1.1"])
        self._secret = secret
        self._pin = pin
        self._now = now
        self._first = veil.preface(relay.fingerprint, draw(int.from_bytes(draw(2), "big") % (veil.MAX_PADDING + 1)))
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=name or None)
        self._mark = b""
        self._answer: bytes | None = b""
        """What has come of the first record, or None once it was read."""
        self.ready = False
        """Whether the forwarder showed the pinned key: only now may ``send`` be called."""
        self.ended = False
        """Whether the forwarder has said that no more will come."""

    def hello(self) -> bytes:
        """The first bytes to send; NetworkError if this machine's TLS library cannot carry a mark."""
        self._handshake()
        plain = self._out.read()
        self._mark = veil.mark(self._secret, plain, self._now)
        try:
            return veil.cover(plain, self._mark)
        except DecodeError:
            raise NetworkError("this machine's TLS library cannot speak to a forwarder") from None

    def receive(self, data: bytes) -> bytes:
        """Inner bytes that came with ``data`` (empty: the connection ended); NetworkError, PinMismatch."""
        if self.ready and self.ended:
            return b""
        if not data:
            self.ended = True
            if not self.ready:
                raise NetworkError("the forwarder closed the connection")
            return b""
        if self._answer is not None:
            data = self._server_hello(self._answer + data)
        if data:
            self._in.write(data)
            if not self.ready and self._handshake():
                self._compare()
        return self._read() if self.ready else b""

    def send(self, inner: bytes) -> bytes:
        """The bytes that carry ``inner``; the first carry the end of our handshake and our wish as well."""
        if not self.ready:
            raise NetworkError("the forwarder has not answered yet")
        held = b""
        if self._first:
            held, inner, self._first = veil.CHANGE_CIPHER_SPEC + self._out.read(), self._first + inner, b""
        if inner:
            self._tls.write(inner)
        return held + self._out.read()

    def close(self) -> bytes:
        """The bytes that say that no more will come; none if nothing was agreed."""
        if self.ready and not self._first and not self.ended:
            self.ended = True  # what still comes is not for us
            with contextlib.suppress(ssl.SSLError):
                self._tls.unwrap()
            return self._out.read()
        return b""

    def _server_hello(self, data: bytes) -> bytes:
        """What to give to the library of ``data``: nothing until the first record is whole, then without our mark."""
        size = _HEADER + int.from_bytes(data[3:_HEADER], "big")
        if data[:2] != b"\x16\x03"[: len(data)]:
            raise NoTls("something else than TLS answers where the forwarder should be")
        if len(data) < _HEADER or len(data) < size:
            self._answer = data
            return b""
        self._answer = None
        try:
            return veil.unecho(data[:size], self._mark) + data[size:]
        except DecodeError:
            raise _unknown() from None

    def _handshake(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            if self._mark and self._out.pending:  # it asks for another hello, which would carry no mark
                raise _unknown() from None
            return False
        except ssl.SSLError:
            raise _unknown() from None
        return True

    def _compare(self) -> None:
        certificate = self._tls.getpeercert(binary_form=True)
        try:
            shown = ownership.tls_key_hash(certificate or b"")
        except DecodeError:
            raise _unknown() from None
        if shown != self._pin:
            raise PinMismatch(self._pin.hex()[:16], shown.hex()[:16])
        if self._tls.version() != "TLSv1.3":
            raise _unknown()
        self.ready = True

    def _read(self) -> bytes:
        pieces = []
        try:
            while piece := self._tls.read(PIECE):
                pieces.append(piece)
            self.ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            self.ended = True
            if not pieces:
                raise NetworkError("the connection to the forwarder broke") from None
        return b"".join(pieces)


def _unknown() -> ProxyError:
    return ProxyError(
        "the forwarder did not know us: an old link, a clock that is wrong by an hour, or somebody in between"
    )
