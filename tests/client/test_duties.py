"""What SPEC.md section 13 asks of a client: keys erased in time, tokens and spares, connections, the first look."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from client.pairs import strangers
from client.world import Person, RelayCore, Template, settle
from troth_client.account import PAGES
from troth_client.demo import Stage, introduce, stage, wait_until
from troth_client.events import Accept, Add, Arrived, Ask, SendText, Submit, Tick, What
from troth_client.records import Generation, OwnCard, Peer, Standing
from troth_client.routes.dial import ANYWHERE
from troth_client.routes.direct import Direct
from troth_client.routes.route import KeyCheck, Wire
from troth_protocol import manifest, primitives, session
from troth_protocol.card import RelayAddress
from troth_protocol.envelope import FIRST_TOKENS
from troth_protocol.errors import NetworkError, PinMismatch
from troth_protocol.frame import STOCK_UNKNOWN
from troth_protocol.manifest import DAY
from troth_protocol.wire import Type, answers, requests


def generations(person: Person) -> list[Generation]:
    return [Generation.decode(raw) for raw in person.disk.rows["generation"].values()]


def later(person: Person, days: int) -> None:
    """Days pass; the person connects and reads everything."""
    person.now += days * DAY
    person.connect()
    settle(person)


def test_private_prekeys_are_erased_in_time_and_not_before(relay: RelayCore) -> None:
    """[R-13.1-9] [R-4.3-3] [R-4.3-4]: 14 days after expiry, and only after a complete fetch later than that."""
    person = Person("Ann", relay)
    person.connect()
    settle(person)
    first = generations(person)[0]
    later(person, 8)
    assert [each.replaced is None for each in generations(person)] == [False, True]
    assert all(each.pages == PAGES for each in generations(person) if each.replaced is None)
    # Past expiry and 14 days, but offline: nothing was fetched since, so a queued first message could still come.
    person.now += 60 * DAY
    person.crash()
    person.handle(Tick())
    assert first.hash in [each.hash for each in generations(person)]
    person.connect()
    settle(person)
    later(person, 1)
    assert first.hash not in [each.hash for each in generations(person)]


def test_a_first_message_whose_one_time_key_is_gone_is_named_and_answered_by_nothing(relay: RelayCore) -> None:
    """[R-6.4-4]: an alarm with the unverified fingerprint; the sender is not told and nothing is stored."""
    one, other = strangers(relay)
    one.handle(Add(other.make_card(), ""))
    settle(one)
    key, raw = next(iter(other.disk.rows["generation"].items()))
    generation = Generation.decode(raw)
    emptied = replace(generation.secrets, one_time=(None,) * len(generation.secrets.one_time))
    other.disk.rows["generation"][key] = replace(generation, secrets=emptied).encode()
    assert other.owner is not None
    waiting = [answer for _, answer in other.owner.incoming if isinstance(answer, answers.Envelope)]
    other.crash()
    before = {kind: dict(rows) for kind, rows in other.disk.rows.items()}
    for envelope in waiting:
        effects = other.handle(Arrived(envelope))
        assert not any(isinstance(effect, Submit | Ask) for effect in effects)
    assert {kind: dict(rows) for kind, rows in other.disk.rows.items()} == before
    alarm = next(note for note in other.told if note.what is What.ALARM)
    assert one.fingerprint.hex()[:16] in alarm.detail
    assert "unverified" in alarm.detail


def test_repeated_prefixes_make_one_session(relay: RelayCore) -> None:
    """[R-6.4-3]: eight first messages with one handshake: the one-time key is used once, every text is read."""
    one, other = strangers(relay)
    one.handle(Add(other.make_card(), ""))
    for number in range(5):
        one.send(other, f"{number}")
    settle(one, other)
    (generation,) = generations(other)
    assert len(generation.seen) == 1
    assert generation.secrets.one_time.count(None) == 1
    assert other.disk.received() == ["0", "1", "2", "3", "4"]


def test_a_return_address_brings_64_tokens(relay: RelayCore) -> None:
    """[R-13.2-1] [R-10.2-6]: each side holds 64 for the other after the first exchange, besides what slack brought."""
    one, other = strangers(relay)
    one.handle(Add(other.make_card(), ""))
    settle(one, other)
    assert len(other.disk.rows["token"]) == FIRST_TOKENS == 64
    other.handle(Accept(one.fingerprint))
    settle(one, other)
    assert len(one.disk.rows["token"]) >= FIRST_TOKENS


def test_the_spare_is_for_when_no_token_works(template: Template, tmp_path: Path) -> None:
    """[R-13.2-4] [R-13.2-3]: tokens first; without any the spare once a day; the text waits rather than being lost."""
    relay, one, other = template.begin(tmp_path)
    settle(one, other)
    one.send(other, "by token")
    (submit,) = [effect for effect in one.pending if isinstance(effect, Submit)]
    assert isinstance(submit.request, requests.Deliver)
    settle(one, other)
    one.disk.rows["token"].clear()
    one.crash()
    one.connect()
    one.send(other, "by spare")
    one.send(other, "waits")
    (submit,) = [effect for effect in one.pending if isinstance(effect, Submit)]
    assert isinstance(submit.request, requests.DeliverSpare)
    spares: list[Submit] = []
    while one.pending or (one.owner and one.owner.incoming):
        spares += [effect for effect in one.pending if isinstance(effect, Submit) and effect not in spares]
        one.step()
    assert len(spares) == 1
    assert one.messenger.queued(other.fingerprint) == 1
    settle(one, other)  # the answer to a spare carries tokens: what waited goes
    assert other.disk.received() == ["by token", "by spare", "waits"]
    relay.store.close()


class Watched:
    """A direct route that notes what is sent over each connection."""

    def __init__(self) -> None:
        self.sent: list[list[int]] = []
        self.pinned: list[bool] = []

    async def connect(self, relay: RelayAddress, check: KeyCheck) -> Wire:
        wire = await Direct(ANYWHERE).connect(relay, check)
        kinds: list[int] = []
        self.sent.append(kinds)
        self.pinned.append(check.pins is not None)
        send = wire.send

        async def noted(frame: bytes) -> None:
            kinds.append(frame[4])
            await send(frame)

        wire.send = noted  # type: ignore[method-assign]
        return wire


OWNER_ONLY = {
    Type.CREATE, Type.PROVE, Type.ROTATE, Type.PUBLISH, Type.UNPUBLISH, Type.ADD_LEAVES, Type.COUNT, Type.FETCH,
    Type.ACKNOWLEDGE, Type.SPARES,
}  # fmt: skip
SUBMITTED = {Type.DELIVER, Type.DELIVER_FIRST, Type.DELIVER_SPARE, Type.FETCH_BUNDLE}


async def test_connections_over_a_real_relay() -> None:
    """[R-13.1-6] submit and fetch never share a connection; [R-12.3-1] without a pin only the ledger is asked for."""
    route = Watched()
    async with stage(other_route=route) as set_up:
        await introduce(set_up)
        for turn in range(3):
            await set_up.other.do(SendText(set_up.you.own_fingerprint, f"{turn}"))
        await set_up.other.settle(10)
    assert len(route.sent) >= 3
    for kinds, pinned in zip(route.sent, route.pinned, strict=True):
        assert not (set(kinds) & OWNER_ONLY and set(kinds) & SUBMITTED)
        if not pinned:
            assert set(kinds) == {Type.HELLO, Type.LEDGER}
    assert route.pinned[0] is False
    assert sum(bool(set(kinds) & SUBMITTED) for kinds in route.sent) >= 1


async def test_not_one_byte_of_http_reaches_a_relay_with_another_key(tmp_path: Path) -> None:
    """[R-12.3-2]: a TLS server that is not the relay decrypts nothing; without a pin it hears the request."""
    certificate, key = primitives.self_signed_certificate(("127.0.0.1",), 1_700_000_000, 36_500)
    (tmp_path / "cert.pem").write_bytes(certificate)
    (tmp_path / "key.pem").write_bytes(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            heard.put_nowait(await reader.read(65_536))
        except ConnectionResetError:
            heard.put_nowait(b"")
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0, ssl=context) as server:
        address = RelayAddress("127.0.0.1", server.sockets[0].getsockname()[1], b"f" * 32)
        with pytest.raises(PinMismatch):
            await Direct(ANYWHERE).connect(address, KeyCheck(frozenset({b"x" * 32})))
        assert await asyncio.wait_for(heard.get(), 5) == b""
        with pytest.raises(NetworkError):
            await Direct(ANYWHERE).connect(address, KeyCheck(None))
        assert (await asyncio.wait_for(heard.get(), 5)).startswith(b"GET /troth HTTP/1.1")


async def test_a_relay_that_is_gone_is_found_again() -> None:
    """The driver reconnects by itself after its connection is cut, and nothing is lost."""
    async with stage() as set_up:
        await introduce(set_up)
        await cut(set_up)
        await set_up.you.do(SendText(set_up.other.own_fingerprint, "after the cut"))
        you = set_up.you.own_fingerprint
        await wait_until(
            lambda: any(line.text == "after the cut" for line in set_up.other.history(you)), set_up.other, seconds=20
        )
        view = next(view for view in set_up.you.contacts())
        assert view.standing is Standing.ACTIVE


async def cut(set_up: Stage) -> None:
    """Close the other's connection under it."""
    owner = set_up.other._owner
    assert owner is not None
    await owner._line.wire.close()
    with pytest.raises(NetworkError):
        await owner._line.wire.send(b"x")


def test_a_new_manifest_comes_with_new_prekeys(relay: RelayCore) -> None:
    """[R-4.3-5] [R-4.2-3]: at 45 days; a statement names its manifest, and every card is renewed."""
    person = Person("Ann", relay)
    person.connect()
    settle(person)
    old = manifest.parse(person.messenger.own.manifest, person.messenger.own.root.public)
    later(person, 46)
    new = manifest.parse(person.messenger.own.manifest, person.messenger.own.root.public)
    assert (new.version, new.previous) == (2, old.hash)
    newest = max(generations(person), key=lambda each: each.number)
    assert newest.manifest_hash == new.hash
    assert newest.issued == new.issued
    cards = [OwnCard.decode(raw) for raw in person.disk.rows["card"].values()]
    assert {card.published for card in cards} == {newest.hash}


def test_a_first_flight_frame_carries_no_tokens_and_no_stock(relay: RelayCore, monkeypatch: pytest.MonkeyPatch) -> None:
    """[R-6.3-5]: nothing is given where it would be ignored, and a stranger's claim about a stock is not believed."""
    made: list[tuple[object, object]] = []
    encrypt = session.encrypt

    def noted(*arguments: object, **options: object) -> tuple[session.Session, bytes]:
        made.append((options.get("tokens"), options.get("stock")))
        return encrypt(*arguments, **(options | {"stock": 0}))  # type: ignore[arg-type]

    monkeypatch.setattr(session, "encrypt", noted)
    one, other = strangers(relay)
    one.handle(Add(other.make_card(), ""))
    one.send(other, "first flight")
    settle(one, other)
    assert made == [(None, None), (None, None)]
    (peer,) = (Peer.decode(raw) for raw in other.disk.rows["peer"].values())
    assert peer.their_stock == STOCK_UNKNOWN


def test_a_top_up_that_is_due_goes_at_the_next_connection(template: Template, tmp_path: Path) -> None:
    """[R-13.2-2]: a client that is only ever run to fetch and leave still pays for what it is sent."""
    relay, one, other = template.begin(tmp_path)
    for number in range(300):
        one.send(other, f"{number}")
    for _ in range(40):  # each run fetches, leaves, and the next one comes ten seconds later; nobody ticks in between
        for person in (one, other):
            person.crash()
            person.now += 10
            person.connect()
            while person.step():
                pass
    assert other.disk.received() == [f"{number}" for number in range(300)]
    relay.store.close()
