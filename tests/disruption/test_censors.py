"""A censor does its worst, and the message arrives: every scenario is a row of the table. [R-19.1-1] [R-19.3-3]

Root and network namespaces: ``sudo .venv/bin/python -m pytest -m slow tests/disruption``. Everything is real: the
commands, TLS, proxies of other people, nginx, packet filters.
"""

from __future__ import annotations

import json
import re
import time

import pytest

from disruption import censors
from disruption.lab import BRIDGE, FORWARDER, NOBODY, PROXIES, PROXY, RELAY, SOCKS
from disruption.world import PORT, SITE, Outcome, World

pytestmark = pytest.mark.slow

SLOW: float = 30
"""Seconds for a message, with process start and passphrase hashing, on a busy machine; a hang would be longer."""


def through(world: World, row: list[Outcome], scenario: str, routes: set[str], **more: str) -> Outcome:
    found = world.write(scenario, **more)
    row.append(found)
    assert found.lost == 0
    assert found.route in routes, found
    assert found.seconds < SLOW
    return found


PROXIED = set(PROXIES)


def test_reset_injection(world: World, row: list[Outcome]) -> None:
    world.lab.forbid(censors.RESETS)
    through(world, row, "reset injection", PROXIED)


def test_name_poisoning(world: World, row: list[Outcome]) -> None:
    world.lab.lie({"relay.test": NOBODY})
    through(world, row, "name poisoning", PROXIED)


def test_name_poisoning_to_another_server(world: World, row: list[Outcome]) -> None:
    """The wrong address answers with TLS: the web site."""
    world.lab.lie({"relay.test": FORWARDER})
    world.lab.forbid(f"nat ip daddr {FORWARDER} tcp dport {PORT} dnat ip to {FORWARDER}:{SITE}")
    through(world, row, "name poisoning, TLS answers", PROXIED)


def test_freeze_after_some_bytes(world: World, row: list[Outcome]) -> None:
    world.lab.forbid(censors.FREEZE)
    through(world, row, "freeze after 2,500 bytes", PROXIED)


def test_only_what_looks_like_tls_on_443(world: World, row: list[Outcome]) -> None:
    world.lab.forbid(censors.LOOKS_LIKE_TLS)
    through(world, row, "only TLS on 443", {"tunnel"})


def test_each_route_alone(world: World, row: list[Outcome]) -> None:
    """All ways but one are closed."""
    ways = {"direct": RELAY, "tunnel": FORWARDER, "socks": SOCKS, "connect": PROXY, "obfs4": BRIDGE}
    for name in PROXIES:
        world.lab.forbid(censors.blocked(*(address for way, address in ways.items() if way != name)))
        through(world, row, f"only {name}", {name})


def test_active_probing_of_the_forwarder(world: World, row: list[Outcome]) -> None:
    """Probes see the web site, byte for byte, while Ann goes through. [R-19.4-2]"""
    world.lab.forbid(censors.ONLY_443)

    def curl(*arguments: str) -> str:
        told = "%{http_code} %{http_version} %{num_redirects} %{size_header} %{size_download} %{exitcode}"
        done = world.lab.attempt(world.lab.censor, "curl", "-ski", "--max-time", "5", "-w", told, *arguments)
        return re.sub(r"\b8?443\b|(?i:\ndate: .*)", "", done.stdout)

    probes = (
        ("https://{}/",), ("https://{}/troth",), ("https://{}/8c1f03",), ("-X", "POST", "-d", "x", "https://{}/troth"),
        ("-H", "Connection: Upgrade", "-H", "Upgrade: websocket", "https://{}/troth"),
        ("--proxytunnel", "-x", "https://{}", "--proxy-insecure", "http://127.0.0.1:22/"), ("http://{}/",),
        ("--tls-max", "1.2", "https://{}/"), ("--http2", "https://{}/"),
    )  # fmt: skip
    answers: dict[str, list[str]] = {"443": [], SITE: []}
    for port, heard in answers.items():
        for probe in probes:
            where = f"{FORWARDER}:{port}"
            heard.append(curl(*(part.format(where) for part in probe)))
    assert answers["443"] == answers[SITE]
    found = through(world, row, "active probing", {"tunnel"})
    found.said = f"{len(probes)} probes got the site's answer"


def test_captive_portal(world: World, row: list[Outcome]) -> None:
    """It is named, nothing is lost, and it goes on when the person has signed in."""
    server = censors.portal(world.lab)
    world.lab.forbid(censors.TO_PORTAL)
    done = world.troth("ann", world.lab.client, "send", "ben", "from ann: behind the portal")
    assert done.returncode == 3
    said = json.loads(done.stderr.splitlines()[-1])["code"]
    world.lab.stop(server)
    world.lab.permit()
    world.did("ann", world.lab.client, "receive")
    found = through(world, row, "captive portal, then signed in", {"direct", *PROXIED})
    found.said = said
    assert world.texts("ben", "ann").count("from ann: behind the portal") == 1
    assert said == "CAPTIVE_PORTAL"


def test_interception_with_a_trusted_root(world: World, row: list[Outcome]) -> None:
    """The system trusts the authority; the pin does not. [R-12.3-2]

    All that is said inside is the opening of a WebSocket, on which the relay would be asked for its ledger. [R-12.3-1]
    """
    server = censors.interceptor(world.lab, "relay.test")
    folder = world.lab.folder / "interceptor"
    trusted = {"SSL_CERT_FILE": str(folder / "root.pem")}
    world.lab.forbid(
        f"{censors.to_interceptor(RELAY, PORT)}\n{censors.to_interceptor(FORWARDER, 443)}\n"
        f"{censors.blocked(SOCKS, PROXY, BRIDGE)}"
    )
    tested = world.troth("ann", world.lab.client, "routes", "test", **trusted)
    said = {line["kind"]: line["code"] for line in map(json.loads, tested.stdout.splitlines())}
    assert world.troth("ann", world.lab.client, "send", "ben", "from ann: intercepted", **trusted).returncode in (3, 4)
    world.lab.forbid(f"{censors.to_interceptor(RELAY, PORT)}\n{censors.blocked(SOCKS, PROXY, BRIDGE)}")
    found = through(world, row, "interception with a trusted root", {"tunnel"}, **trusted)
    found.said = said["direct"]
    world.lab.stop(server)
    assert tested.returncode == 3
    assert said["direct"] == "TLS_INTERCEPTED"
    assert said["tunnel"] == "PROXY_ERROR"
    heard = (folder / "heard").read_bytes() if (folder / "heard").exists() else b""
    asked = heard.split(b"\r\n\r\n")[:-1]
    assert heard == b"".join(each + b"\r\n\r\n" for each in asked)
    assert all(each.startswith(b"GET /troth HTTP/1.1\r\n") for each in asked)
    assert world.texts("ben", "ann").count("from ann: intercepted") == 1


def test_proxies_only_lets_nothing_past(world: World, row: list[Outcome]) -> None:
    """Routes die in turn and then all; the kernel and the capture count nothing else, names included. [R-19.1-2]"""
    lab = world.lab
    world.did("ann", lab.client, "routes", "only-proxies", "on")
    lab.settle(PORT)
    capture = lab.capture()
    try:
        for dead in ((), (FORWARDER,), (FORWARDER, SOCKS), (FORWARDER, SOCKS, PROXY)):
            lab.forbid(censors.blocked(*dead) if dead else "")
            found = through(world, row, f"proxies only, {len(dead)} dead", PROXIED)
            assert found.direct == "0"
        lab.forbid(censors.ALL_PROXIES)
        lab.counted()
        done = world.troth("ann", lab.client, "send", "ben", "from ann: nowhere to go")
        assert done.returncode == 3
        counted = lab.counted()
        assert (counted["direct"], counted["names"]) == (0, 0)
        lab.permit()
        began = time.monotonic()
        fresh = world.troth(
            "cat", lab.client, "init", "--relay", world.link, "--name", "cat", "--proxies-only",
            "--route", world.routes["tunnel"],
        )  # fmt: skip
        seconds = time.monotonic() - began
        assert fresh.returncode == 0, fresh.stderr
        counted = lab.counted()
        assert (counted["direct"], counted["names"]) == (0, 0)
    finally:
        proxies = " or ".join(f"host {address}" for address in PROXIES.values())
        past = lab.captured(capture, f"ip and not ({proxies})")
        world.did("ann", lab.client, "routes", "only-proxies", "off")
    assert past == 0
    row.append(
        Outcome("proxies only, first registration", "tunnel", seconds, 0, str(counted["direct"]), f"{past} captured")
    )
    world.did("ann", lab.client, "receive")
    through(world, row, "and free again", {"direct", *PROXIED})
    assert world.texts("ben", "ann").count("from ann: nowhere to go") == 1


def test_the_relay_moves(world: World, row: list[Outcome]) -> None:
    """A new descriptor is signed and read while the old place still answers; then it does not."""
    world.bind("0.0.0.0")  # noqa: S104
    world.serve()
    world.move()
    world.serve()
    world.forward()
    through(world, row, "relay at both places", {"direct", *PROXIED})
    world.bind("10.77.2.60")
    world.serve()
    through(world, row, "relay moved", {"direct", *PROXIED})
    world.lab.forbid(censors.ONLY_443)
    through(world, row, "relay moved, only 443", {"tunnel"})


def test_everything_came_once(world: World) -> None:
    """[R-13.1-2]"""
    assert world.doubled_or_lost() == []
