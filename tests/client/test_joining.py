"""How a client joins: its invitation goes to its relay in CREATE and nowhere else; mode 2 verifies certificates."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from server.test_init import certificate
from troth_client.doors import Doors
from troth_client.events import Ask, Effect, OwnerAnswered, OwnerConnected, Save, Step
from troth_client.messenger import Messenger
from troth_client.records import Account, KnownRelay
from troth_client.routes.dial import ANYWHERE
from troth_client.routes.direct import Direct
from troth_client.routes.route import KeyCheck, Route
from troth_protocol import ownership
from troth_protocol.address import JoinLink, RelayAddress
from troth_protocol.errors import BadLink, NetworkError, PinMismatch
from troth_protocol.ledger import Descriptor, Ledger, TlsMode
from troth_protocol.primitives import SystemRandomness
from troth_protocol.wire import answers, requests

NOW = 1_800_000_000
RELAY = RelayAddress("relay.example", 7_443, b"f" * 32)
INVITE = b"i" * 58


def create(effects: list[Effect]) -> requests.Create | None:
    asked = [each.request for each in effects if isinstance(each, Ask) and each.reference.step is Step.CREATE]
    return asked[0] if asked and isinstance(asked[0], requests.Create) else None


def saved(effects: list[Effect]) -> bytes:
    values = [getattr(change, "value", b"") for each in effects if isinstance(each, Save) for change in each.changes]
    return b"".join(value or b"" for value in values)


def test_a_link_with_an_invitation_has_one_spelling() -> None:
    """[R-5.2-1]"""
    with_one, without = JoinLink(RELAY, INVITE), JoinLink(RELAY)
    assert JoinLink.from_link(f" {with_one.link()}\n") == with_one
    assert without.link() == RELAY.link()
    assert JoinLink.from_link(RELAY.link()) == without
    with pytest.raises(BadLink):
        RelayAddress.from_link(with_one.link())
    for wrong in (JoinLink(RELAY, bytes(65)).link(), with_one.link()[:-1], with_one.link()[:-2] + "AA"):
        with pytest.raises(BadLink):
            JoinLink.from_link(wrong)


def test_an_invitation_is_shown_in_create_and_forgotten() -> None:
    """[R-5.2-2]"""
    messenger = Messenger(SystemRandomness())
    founded = messenger.found("Ann", RELAY, NOW, INVITE)
    assert create(founded) is None
    effects = messenger.handle(OwnerConnected(RELAY.fingerprint, bytes(32), bytes(32)), NOW)
    request = create(effects)
    assert request is not None
    assert request.invite == INVITE
    asked = [requests.encode(1, each.request) for each in effects if isinstance(each, Ask)]
    assert sum(INVITE in frame for frame in asked) == 1
    (reference,) = (each.reference for each in effects if isinstance(each, Ask) and each.request == request)
    after = messenger.handle(OwnerAnswered(reference, answers.Ok()), NOW)
    assert INVITE in saved(founded)  # for a crash before the answer
    assert saved(after)
    assert INVITE not in saved(after)


def test_an_account_keeps_its_invitation_until_then() -> None:
    messenger = Messenger(SystemRandomness())
    (record,) = (
        value for each in messenger.found("Ann", RELAY, NOW, INVITE) if isinstance(each, Save)
        for change in each.changes if (value := getattr(change, "value", None)) and INVITE in value
    )  # fmt: skip
    account = Account.decode(record)
    assert account.invite == INVITE
    assert Account.decode(account.encode()) == account
    bare = replace(account, invite=b"")
    assert Account.decode(bare.encode()) == bare


# Certificates.


@contextlib.asynccontextmanager
async def tls_server(folder: Path, name: str) -> AsyncIterator[tuple[int, asyncio.Queue[bytes], Path]]:
    """A server with a certificate for ``name``; what it hears after the handshake; the certificate."""
    made, key = certificate(folder, "server", name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            heard.put_nowait(await reader.read(65_536))
        except (OSError, ssl.SSLError):
            heard.put_nowait(b"")
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1], heard, made


async def test_a_web_certificate_is_verified_for_a_name_of_the_descriptor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[R-12.2-3] [R-12.3-2]: nothing is said to a server whose certificate is not right, and all to one whose is."""
    async with tls_server(tmp_path, "127.0.0.1") as (port, heard, made):
        address = RelayAddress("127.0.0.1", port, b"f" * 32)

        async def meets(*names: str) -> bytes:
            hosts = tuple((name, port) for name in names)
            try:
                await Direct(ANYWHERE).connect(address, KeyCheck(None, hosts, web=True))
            except PinMismatch:
                return b"refused"
            except NetworkError:
                while not (said := await asyncio.wait_for(heard.get(), 10)):
                    pass
                return said
            raise AssertionError

        assert await meets("127.0.0.1") == b"refused"  # no authority of this machine vouches for it
        monkeypatch.setenv("SSL_CERT_FILE", str(made))
        assert (await meets("127.0.0.1")).startswith(b"GET /troth HTTP/1.1")
        # A link may name any host; the certificate must be for one that the operator has signed.
        assert await meets("relay.example") == b"refused"
        assert (await meets("relay.example", "127.0.0.1")).startswith(b"GET /troth HTTP/1.1")
        with pytest.raises(NetworkError, match="names no host"):
            await Direct(ANYWHERE).connect(address, KeyCheck(None, web=True))
        await asyncio.sleep(0.1)
        assert [heard.get_nowait() for _ in range(heard.qsize())] in ([], [b""], [b"", b""], [b"", b"", b""])


class Shelf:
    """Books that know one relay."""

    def __init__(self, descriptor: Descriptor) -> None:
        ledger = Ledger(RELAY.fingerprint, 1, bytes(32), descriptor, int(time.time()) + 99)
        self._known = KnownRelay(RELAY, ledger)

    def relay(self, fingerprint: bytes) -> KnownRelay | None:
        return self._known if fingerprint == RELAY.fingerprint else None

    def handle(self, *_: object) -> None:
        raise AssertionError


def test_a_descriptor_of_mode_2_asks_for_a_verified_name() -> None:
    """[R-12.2-3]"""
    hosts, pin = (("relay.example", 443),), ownership.stored(b"pin")
    route: Route = Direct(ANYWHERE)
    for mode, pins, wanted in (
        (TlsMode.WEBPKI, (), KeyCheck(None, hosts, web=True)), (TlsMode.PIN, (pin,), KeyCheck(frozenset({pin}), hosts)),
    ):  # fmt: skip
        doors = Doors(route, Shelf(Descriptor(hosts, mode, pins)), time.time)
        assert doors.check(RELAY) == wanted
