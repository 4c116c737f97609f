"""The chooser over real sockets: races, falls back, returns, and never goes past what the person allows."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

import pytest

from client import proxies
from client.choosing import Desk, Switched, choosing, codes, hello, swallowing
from troth_client import ranking
from troth_client.routes import chooser, dial, portals
from troth_client.routes.route import KeyCheck, Patience
from troth_protocol.address import RelayAddress
from troth_protocol.errors import (
    ConnectionRefused,
    Intercepted,
    NetworkError,
    NoRoute,
    PathSilent,
    TimedOut,
    TrothError,
)
from troth_protocol.route_link import Connect, Obfs4, Socks


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is noticed, and a route rests, in parts of a second."""
    monkeypatch.setattr(chooser, "WATCHFUL", Patience(0.2, 0.5))
    monkeypatch.setattr(ranking, "REST", (1, 2, 4))


async def test_the_first_that_works_wins_and_the_rest_is_named(tmp_path: Path) -> None:
    """[R-19.1-1] [R-19.3-1]: a dead proxy costs a quarter of a second, not its time-out."""
    async with proxies.echo_relay(tmp_path) as relay, swallowing() as dead:
        good = Switched(relay)
        async with proxies.server(good.talk) as port:
            desk = Desk(Socks("127.0.0.1", proxies.free_port()), Connect("127.0.0.1", dead), Socks("127.0.0.1", port),
                        proxies_only=True)  # fmt: skip
            async with choosing(tmp_path, desk) as one:
                began = asyncio.get_running_loop().time()
                wire = await one.connect(relay.address, KeyCheck(frozenset({relay.pin})))
                assert asyncio.get_running_loop().time() - began < 3
                await hello(wire)
                assert codes(one) == ["CONNECTION_REFUSED", "", "OK"]
                assert [view.in_use for view in one.status().routes] == [False, False, True]
                await wire.close()
                assert not any(view.in_use for view in one.status().routes)
                # What worked is remembered for this network; what was closed in order has lived.
                assert desk.noted == [desk.settings.routes[2].key + b"network."]


async def test_when_nothing_works_the_first_failure_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """[R-19.1-4]: each attempt ends by our own timer."""
    monkeypatch.setattr(chooser, "ATTEMPT_SECONDS", 0.5)
    async with swallowing() as dead:
        async with choosing(tmp_path, Desk(Connect("127.0.0.1", dead), proxies_only=True)) as one:
            with pytest.raises(TimedOut, match=r"within 0\.5 s"):
                await one.connect(RelayAddress("relay.example", 443, proxies.FINGERPRINT), KeyCheck(None))
            assert one.status().trouble.startswith("nothing came through")
        async with choosing(tmp_path, Desk()) as one:
            with pytest.raises(ConnectionRefused):
                await one.connect(RelayAddress("127.0.0.1", proxies.free_port(), proxies.FINGERPRINT), KeyCheck(None))


async def test_a_route_that_leads_elsewhere_is_not_tried(tmp_path: Path) -> None:
    """A bridge ends at one relay: for another there is no route, and a wrong key is not mistaken for an attack."""
    desk = Desk(Obfs4("127.0.0.1", 9, "A" * 70, 0, b"r" * 32), proxies_only=True)
    async with choosing(tmp_path, desk) as one:
        with pytest.raises(NoRoute, match="only proxies"):
            await one.connect(RelayAddress("relay.example", 443, b"x" * 32), KeyCheck(None))


@pytest.mark.usefixtures("quick")
async def test_a_path_that_dies_is_left_and_taken_again_when_it_is_back(tmp_path: Path) -> None:
    """[R-19.3-2] [R-19.3-3] [R-19.3-4]: silence, the next route, and by itself back to the first."""
    async with proxies.echo_relay(tmp_path) as relay:
        first, second = Switched(relay), Switched(relay)
        async with proxies.server(first.talk) as one_port, proxies.server(second.talk) as two_port:
            desk = Desk(Socks("127.0.0.1", one_port), Socks("127.0.0.1", two_port), proxies_only=True)
            async with choosing(tmp_path, desk) as one:
                check = KeyCheck(frozenset({relay.pin}))
                wire = await one.connect(relay.address, check)
                await hello(wire)
                assert (first.served, second.served) == (1, 0)
                first.silent.set()
                first.refuses = True
                with pytest.raises(PathSilent):
                    await asyncio.wait_for(wire.receive(), 5)
                assert codes(one)[0] == "PATH_SILENT"
                wire = await one.connect(relay.address, check)
                await hello(wire)
                assert second.served == 1
                await asyncio.sleep(1.5)  # looked at again, and still refusing: nothing is disturbed
                assert codes(one) == ["PROXY_ERROR", "OK"]
                await hello(wire)
                first.silent.clear()
                first.refuses = False
                with pytest.raises(NetworkError, match="better route"):
                    await asyncio.wait_for(wire.receive(), 12)
                wire = await one.connect(relay.address, check)
                await hello(wire)
                assert [view.in_use for view in one.status().routes] == [True, False]
                await wire.close()


@pytest.mark.usefixtures("quick")
async def test_a_censor_that_lets_it_open_and_freezes_it_is_avoided(tmp_path: Path) -> None:
    """[R-19.3-2]: opening again is no proof; the next connection goes by the other route at once."""
    async with proxies.echo_relay(tmp_path) as relay:
        frozen, good = Switched(relay), Switched(relay)
        async with proxies.server(frozen.talk) as one_port, proxies.server(good.talk) as two_port:
            desk = Desk(Socks("127.0.0.1", one_port), Socks("127.0.0.1", two_port), proxies_only=True)
            async with choosing(tmp_path, desk) as one:
                check = KeyCheck(frozenset({relay.pin}))
                wire = await one.connect(relay.address, check)
                await hello(wire)
                frozen.silent.set()
                with pytest.raises(PathSilent):
                    await asyncio.wait_for(wire.receive(), 5)
                frozen.silent.clear()
                wire = await one.connect(relay.address, check)
                await hello(wire)
                assert (frozen.served, good.served) == (1, 1)
                await wire.close()
            # A command that runs now and then begins with what the last one knew.
            async with choosing(tmp_path, desk) as next_time:
                await (await next_time.connect(relay.address, check)).close()
                assert (frozen.served, good.served) == (1, 2)


async def test_switching_to_proxies_only_cuts_what_goes_direct_at_once(tmp_path: Path) -> None:
    """[R-19.1-2]: an open connection, an attempt on its way, and every later one; the way back is as plain."""
    async with proxies.echo_relay(tmp_path) as relay, swallowing() as dead:
        proxy = Switched(relay)
        async with proxies.server(proxy.talk) as port:
            desk = Desk(Socks("127.0.0.1", port))
            async with choosing(tmp_path, desk) as one:
                check = KeyCheck(frozenset({relay.pin}))
                wire = await one.connect(relay.address, check)
                assert proxy.served == 0
                hanging = asyncio.create_task(
                    one.connect(RelayAddress("127.0.0.1", dead, proxies.FINGERPRINT), KeyCheck(None))
                )
                await asyncio.sleep(0.1)
                proxy.refuses = True
                desk.switch(on=True)
                one.refresh()
                with pytest.raises(NetworkError, match="may not be used"):
                    await asyncio.wait_for(wire.receive(), 1)
                with pytest.raises(NetworkError):
                    await asyncio.wait_for(hanging, 2)
                proxy.refuses = False
                assert [view.kind for view in one.status().routes] == ["socks"]
                made = await one.connect(relay.address, check)
                await hello(made)
                assert proxy.served == 1
                await made.close()


async def test_with_proxies_only_no_failure_makes_a_direct_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[R-19.1-2]: whatever the proxy does, the one door is asked for the proxy's address and nothing else."""
    asked: list[object] = []
    really = dial._connect

    async def noted(found: tuple[socket.AddressFamily, tuple[str, int]]) -> socket.socket:
        asked.append(found[1])
        return await really(found)

    monkeypatch.setattr(dial, "_connect", noted)
    async with proxies.echo_relay(tmp_path) as relay:

        async def middle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readexactly(3)
            writer.write(b"\x05\x00")
            await reader.readexactly(10)
            writer.write(b"\x05\x00\x00\x01" + bytes(6) + b"HTTP/1.1 302 Found\r\n\r\n")

        for talk in (middle, Switched(relay).talk):
            asked.clear()
            async with proxies.server(talk) as port:
                desk = Desk(Socks("127.0.0.1", port), proxies_only=True)
                async with choosing(tmp_path, desk) as one:
                    with pytest.raises(TrothError):
                        await one.connect(relay.address, KeyCheck(frozenset({b"x" * 32})))
            assert set(asked) == {("127.0.0.1", port)}


async def test_interception_is_told_even_when_another_route_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[R-19.3-5]: the person reads that TLS is intercepted here, while messages go by the proxy."""
    monkeypatch.setattr(portals, "HTTP_PORT", proxies.free_port())
    (tmp_path / "other").mkdir()
    context, _ = proxies.certificate(tmp_path / "other")
    trusting = ssl.create_default_context(cafile=str(tmp_path / "other" / "cert.pem"))

    async def middle(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read(100)

    async with proxies.echo_relay(tmp_path) as relay, proxies.server(middle, context) as caught:
        proxy = Switched(relay)
        async with proxies.server(proxy.talk) as port:
            desk = Desk(Socks("127.0.0.1", port))
            async with choosing(tmp_path, desk, trusting=trusting) as one:
                check = KeyCheck(frozenset({relay.pin}))
                wire = await one.connect(RelayAddress("127.0.0.1", caught, proxies.FINGERPRINT), check)
                await hello(wire)
                await wire.close()
                for _ in range(100):
                    if codes(one)[0] == Intercepted.code:
                        break
                    await asyncio.sleep(0.05)
                assert codes(one)[0] == Intercepted.code
                assert any(code == Intercepted.code for _, code in desk.told)
        # With no other route it is what connecting raises.
        async with choosing(tmp_path, Desk(), trusting=trusting) as one:
            with pytest.raises(Intercepted):
                await one.connect(RelayAddress("127.0.0.1", caught, proxies.FINGERPRINT), check)


async def test_a_relay_that_has_moved_is_found_by_its_descriptor(tmp_path: Path) -> None:
    """The address of the link is dead; another one the operator signed answers with the right key."""
    async with proxies.echo_relay(tmp_path) as relay:
        gone = RelayAddress("127.0.0.1", proxies.free_port(), proxies.FINGERPRINT)
        async with choosing(tmp_path, Desk()) as one:
            check = KeyCheck(frozenset({relay.pin}), (("127.0.0.1", gone.port), ("127.0.0.1", relay.port)))
            wire = await one.connect(gone, check)
            await hello(wire)
            await wire.close()


async def test_who_answers_for_an_unknown_relay_does_not_do_so_for_ever(tmp_path: Path) -> None:
    """A poisoned name leads the first look at a ledger to somebody who speaks our protocol and says nothing of use."""
    (tmp_path / "fake").mkdir()
    async with proxies.echo_relay(tmp_path) as relay, proxies.echo_relay(tmp_path / "fake") as fake:
        proxy = Switched(relay)
        async with (
            proxies.server(proxy.talk) as port,
            choosing(tmp_path, Desk(Socks("127.0.0.1", port))) as one,
        ):
            for served in (0, 1, 1):
                wire = await one.connect(fake.address, KeyCheck(None))
                assert proxy.served == served
                await hello(wire)
                await wire.close()
            check = KeyCheck(frozenset({fake.pin}))
            await (await one.connect(fake.address, check)).close()
            await (await one.connect(fake.address, KeyCheck(None))).close()
            assert proxy.served == 1


async def test_testing_tries_what_is_named_and_only_that(tmp_path: Path) -> None:
    async with proxies.echo_relay(tmp_path) as relay:
        good = Switched(relay)
        async with proxies.server(good.talk) as port:
            desk = Desk(Socks("127.0.0.1", port), Socks("127.0.0.1", proxies.free_port()))
            async with choosing(tmp_path, desk) as one:
                check = KeyCheck(frozenset({relay.pin}))
                await one.test((1,), relay.address, check)
                assert codes(one) == ["", "OK", ""]
                await one.test((), relay.address, check)
                assert codes(one) == ["OK", "OK", "CONNECTION_REFUSED"]
                assert not any(view.in_use for view in one.status().routes)
