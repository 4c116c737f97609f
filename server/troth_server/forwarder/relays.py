"""The relays a forwarder serves: their signed ledgers, and the addresses at which each showed its own TLS key.

A relay is named by its operator's fingerprint, in the link the volunteer was given. Its ledger is read from where it
says it is, verified entry by entry, kept, and read again every day; it never gets shorter. An address is allowed only
after this forwarder itself has found there a TLS key that the newest descriptor names: an operator cannot point
volunteers at somebody else's server, and a name that is changed later is not looked up for a guest. [R-19.4-5]
"""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidURI, WebSocketException

from troth_protocol import ledger, ownership
from troth_protocol.address import RelayAddress
from troth_protocol.errors import DecodeError, Mismatch, NetworkError, TrothError
from troth_protocol.keys import VerifyKey
from troth_protocol.wire import MAX_FRAME, PATH, VERSION, answers, requests

from ..ledger_file import LedgerFile
from ..quiet import private_logger
from .counts import Seen
from .front import Address, Front
from .limits import ADDRESSES, READ_SECONDS, REFRESH_SECONDS, RETRY_SECONDS
from .targets import is_public


@dataclass(frozen=True, slots=True)
class Book:
    """What is known of one relay: its link, its ledger as bytes, and as verified."""

    link: RelayAddress
    file: LedgerFile | None = None
    read: ledger.Ledger = field(default_factory=lambda: ledger.Ledger(b""))

    def extend(self, operator: bytes, entries: Sequence[bytes]) -> Book:
        """The book with more entries; TrothError, also if another operator signed them."""
        key = VerifyKey(operator)
        read = self.read if self.file is not None else ledger.Ledger(self.link.fingerprint)
        for entry in entries:
            read = read.extend(entry, key)
        before = self.file.entries if self.file is not None else ()
        return replace(self, file=LedgerFile(operator, (*before, *entries)), read=read)

    def hosts(self) -> tuple[Address, ...]:
        """Where the relay may be: what its descriptor says, then what the link said."""
        described = self.read.descriptor.hosts if self.read.descriptor is not None else ()
        return tuple(dict.fromkeys((*described, (self.link.host, self.link.port))))


def load(link: RelayAddress, folder: Path) -> Book:
    """The book of a relay as it was kept, verified again; an empty one if there is none. TrothError."""
    path = _path(folder, link)
    if not path.exists():
        return Book(link)
    file = LedgerFile.read(path)
    return Book(link).extend(file.operator, file.entries)


def keep(book: Book, folder: Path) -> None:
    """Write a book's ledger to the folder; StorageError."""
    if book.file is not None:
        folder.mkdir(mode=0o700, exist_ok=True)
        book.file.write(_path(folder, book.link))


def _path(folder: Path, link: RelayAddress) -> Path:
    return folder / f"{link.fingerprint.hex()}.ledger"


class Keeper:
    """Keeps the table of addresses of one forwarder up to date."""

    def __init__(
        self, front: Front, books: Sequence[Book], folder: Path, clock: Callable[[], float], *, private_allowed: bool
    ) -> None:
        self._front = front
        self._books = {book.link.fingerprint: book for book in books}
        self._folder = folder
        self._clock = clock
        self._private_allowed = private_allowed
        self._addresses: dict[bytes, tuple[Address, ...]] = {}
        self._wake = {fingerprint: asyncio.Event() for fingerprint in self._books}
        self.found: Callable[[int, str], None] = _nothing
        """Called with the number of relays that can be reached, and what went wrong, whenever it was looked at."""
        front.missed = self._missed

    async def run(self) -> None:
        """Read every relay now and then, for good."""
        async with asyncio.TaskGroup() as group:
            for fingerprint in self._books:
                group.create_task(self._look_after(fingerprint))

    async def refresh(self, fingerprint: bytes) -> None:
        """Read one relay's ledger and try its addresses; TrothError, and what was known stays."""
        book = self._books[fingerprint]
        failure: TrothError | None = None
        try:
            async with asyncio.timeout(READ_SECONDS):
                grown = await self._read(book)
            if grown.read.length > book.read.length:
                keep(grown, self._folder)
            self._books[fingerprint] = book = grown
        except TimeoutError:
            failure = NetworkError(f"the relay's ledger was not read within {READ_SECONDS} s")
        except TrothError as error:
            failure = error
        await self._try_addresses(book)
        if failure is not None:
            raise failure

    async def _look_after(self, fingerprint: bytes) -> None:
        pause = RETRY_SECONDS
        while True:
            try:
                await self.refresh(fingerprint)
                self._front.counts.add(Seen.READ)
                pause = RETRY_SECONDS
                wait = REFRESH_SECONDS * random.uniform(0.8, 1.2)  # noqa: S311 (jitter, not a secret)
                wrong = ""
            except TrothError as error:
                self._front.counts.add(Seen.READ_FAILED)
                wait, pause, wrong = pause, min(2 * pause, 3_600), str(error)
            self.found(len([each for each in self._addresses.values() if each]), wrong)
            self._wake[fingerprint].clear()
            await asyncio.sleep(min(RETRY_SECONDS, wait))
            try:
                async with asyncio.timeout(max(0, wait - RETRY_SECONDS)):
                    await self._wake[fingerprint].wait()
            except TimeoutError:
                continue

    def _missed(self, relay: bytes) -> None:
        if relay in self._wake:
            self._wake[relay].set()

    async def _try_addresses(self, book: Book) -> None:
        """Allow the addresses at which the relay's own key is found; none once the descriptor has expired."""
        found: list[Address] = []
        try:
            descriptor = book.read.pinned(int(self._clock()))
        except TrothError:
            descriptor = None
        for host, port in book.hosts() if descriptor is not None else ():
            for address in await self._resolve(host, port):
                if descriptor is not None and address not in found and len(found) < ADDRESSES:
                    found += [address] if await _shows_key(address, host, descriptor) else []
        before = self._addresses.get(book.link.fingerprint, ())
        # Addresses that were good stay when none can be reached: it may be our own network that is down.
        self._addresses[book.link.fingerprint] = tuple(found) or (before if descriptor is not None else ())
        self._front.allow(self._addresses)

    async def _resolve(self, host: str, port: int) -> list[Address]:
        loop = asyncio.get_running_loop()
        try:
            answers_ = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return []
        found = dict.fromkeys(str(each[4][0]) for each in answers_)
        return [(each, port) for each in found if self._private_allowed or is_public(each)][:ADDRESSES]

    async def _read(self, book: Book) -> Book:
        """The book after reading what its relay adds to it, from the first address that answers; TrothError."""
        failure: TrothError = NetworkError("the relay has no address that may be used")
        for host, port in book.hosts():
            for address in await self._resolve(host, port):
                try:
                    return await _read_at(book, address, host)
                except TrothError as error:  # somebody else at one address is no reason not to ask at the next
                    failure = error
        raise failure


async def _read_at(book: Book, address: Address, host: str) -> Book:
    """Read over any TLS key: the entries carry their own proof. [R-12.3-1]"""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    sock = await _open(address)
    try:
        async with connect(
            f"wss://{_bracketed(host)}:{address[1]}{PATH}", sock=sock, ssl=context, proxy=None, compression=None,
            user_agent_header=None, max_size=MAX_FRAME, open_timeout=READ_SECONDS, close_timeout=1,
            logger=private_logger(),
        ) as socket_:  # fmt: skip
            welcome = await _ask(socket_, 1, requests.Hello(VERSION))
            if not isinstance(welcome, answers.Welcome) or welcome.relay != book.link.fingerprint:
                raise Mismatch("another relay answers at this relay's address")
            book.read.check_length(welcome.ledger_length)
            while True:
                page = await _ask(socket_, 2, requests.Ledger(book.read.length))
                if not isinstance(page, answers.LedgerPage):
                    raise NetworkError("the relay answered a ledger request with something else")
                if page.entries:
                    book = book.extend(page.operator, page.entries)
                if not page.entries or book.read.length >= page.length:
                    return book
    except (OSError, InvalidHandshake, InvalidURI, WebSocketException, EOFError):
        raise NetworkError("the relay does not answer") from None
    finally:
        sock.close()


async def _ask(socket_: ClientConnection, number: int, request: requests.Request) -> answers.Answer:
    await socket_.send(requests.encode(number, request))
    frame = await socket_.recv()
    if isinstance(frame, str):
        raise NetworkError("the relay sent text where frames are binary")
    return answers.decode(frame)[1]


async def _shows_key(address: Address, host: str, descriptor: ledger.Descriptor) -> bool:
    """Whether a TLS server at this address has a key that the descriptor names."""
    webpki = descriptor.mode is ledger.TlsMode.WEBPKI
    context = ssl.create_default_context()
    if not webpki:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(READ_SECONDS / 3):
            sock = await _open(address)
            _, writer = await asyncio.open_connection(sock=sock, ssl=context, server_hostname=host)
    except (OSError, TrothError):
        return False
    try:
        certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return webpki or ownership.tls_key_hash(certificate or b"") in descriptor.pins
    except DecodeError:
        return False
    finally:
        writer.transport.abort()


async def _open(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        await asyncio.get_running_loop().sock_connect(sock, address)
    except OSError:
        sock.close()
        raise NetworkError("the relay cannot be reached") from None
    except BaseException:
        sock.close()
        raise
    return sock


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _nothing(_: int, __: str) -> None:
    """Nobody wants to know."""
