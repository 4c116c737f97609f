"""What a forwarder and its volunteer should know of the site, so that guests do not stand out beside its visitors."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import Final

LOOK_SECONDS: Final = 5


async def trouble(address: tuple[str, int], name: str) -> str:
    """One line on what is wrong with a site that strangers' TLS is passed to, or nothing.

    Guests are answered with TLS 1.3, so its visitors must be as well.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            _, writer = await asyncio.open_connection(*address, ssl=context, server_hostname=name)
    except ssl.SSLError:
        return "the site does not speak TLS: strangers will notice; is it http:// that was meant?"
    except OSError:
        return "the site cannot be reached: strangers get nothing until it can"
    version = writer.get_extra_info("ssl_object").version()
    writer.transport.abort()
    if version != "TLSv1.3":
        return "the site does not offer TLS 1.3, with which guests are answered: they stand out until it does"
    return ""


async def scheme(address: tuple[str, int]) -> str:
    """``http`` if something without TLS answers there, else ``https``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            _, writer = await asyncio.open_connection(*address, ssl=context, server_hostname="localhost")
    except ssl.SSLError as error:
        return "http" if error.reason == "WRONG_VERSION_NUMBER" else "https"
    except OSError:
        return "https"
    writer.transport.abort()
    return "https"


@dataclass(frozen=True, slots=True)
class Looks:
    """What a visitor's handshake with the site shows by its sizes."""

    certificate: int = 0
    """Bytes of one certificate that take as much room as the site's; 0 if that was not seen."""
    protocol: str = ""
    """Which of ALPN's h2 and http/1.1 the site chooses; empty for neither."""


async def look(address: tuple[str, int], name: str) -> Looks:
    """Shake hands with the site as a guest would.

    In the encrypted part of its answer the second record is the Certificate message (RFC 8446 section 4.4.2), where
    the server puts each message into a record of its own, as OpenSSL and Go do.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["h2", "http/1.1"])
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=name)
    heard = b""
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            reader, writer = await asyncio.open_connection(*address)
            while not _shaken(tls):
                writer.write(outgoing.read())
                piece = await reader.read(65_536)
                if not piece:
                    return Looks()
                heard += piece
                incoming.write(piece)
            writer.transport.abort()
    except OSError:
        return Looks()
    sizes = []
    while len(heard) >= _RECORD:
        size = int.from_bytes(heard[3:_RECORD], "big")
        sizes += [size] if heard[0] == _ENCRYPTED else []
        heard = heard[_RECORD + size :]
    certificate = max(0, sizes[1] - _AROUND) if len(sizes) == 4 else 0
    return Looks(certificate, tls.selected_alpn_protocol() or "")


def _shaken(tls: ssl.SSLObject) -> bool:
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


_RECORD: Final = 5
_ENCRYPTED: Final = 0x17
_AROUND: Final = 4 + 1 + 3 + 3 + 2 + 1 + 16
"""Message header, context, list length, entry length, extensions; content type and tag of the record."""
