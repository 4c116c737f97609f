"""``troth routes`` and ``troth init --route`` as people run them, with a real relay process and a real SOCKS server."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from client import proxies
from client.stand import Stand, standing
from troth_protocol import route_link
from troth_protocol.route_link import Socks


@contextlib.contextmanager
def microsocks() -> Iterator[int]:
    """A SOCKS server in a process of its own."""
    found, port = proxies.needs("microsocks", "microsocks"), proxies.free_port()
    process = subprocess.Popen([found, "-i", "127.0.0.1", "-p", str(port)], stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.2)
        yield port
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    with standing(tmp_path) as stand:
        yield stand


def lines(done: subprocess.CompletedProcess[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_an_account_is_made_and_used_by_a_proxy_alone(stand: Stand) -> None:
    """[R-19.1-1] [R-19.1-2]: the first registration too; when the proxy is gone nothing goes, and it says so."""
    with microsocks() as port:
        proxy = ("--route", f"socks5h://127.0.0.1:{port}", "--proxies-only")
        made = stand.troth("ann", "init", "--relay", stand.link, "--name", "Ann", *proxy)
        assert made.returncode == 0, made.stderr
        assert stand.troth("ben", "init", "--relay", stand.link, "--name", "Ben").returncode == 0
        (card,) = [line["link"] for line in lines(stand.troth("ben", "card")) if line["type"] == "card"]
        assert stand.troth("ann", "add", str(card)).returncode == 0
        tested = stand.troth("ann", "routes", "test")
        assert tested.returncode == 0
        assert [(line["kind"], line["code"]) for line in lines(tested)] == [("socks", "OK")]
    (listed,) = lines(stand.troth("ann", "routes", "list", "--quiet"))
    assert (listed["code"], listed["result"]) == ("", "worked before")
    gone = stand.troth("ann", "receive")
    assert gone.returncode == 3
    assert json.loads(gone.stderr)["code"] == "CONNECTION_REFUSED"
    tested = stand.troth("ann", "routes", "test")
    assert tested.returncode == 3
    assert [(line["kind"], line["code"]) for line in lines(tested)] == [("socks", "CONNECTION_REFUSED")]
    assert stand.troth("ann", "routes", "only-proxies", "off").returncode == 0
    assert stand.troth("ann", "receive").returncode == 0


@pytest.mark.slow
def test_routes_are_listed_added_shared_and_removed(stand: Stand) -> None:
    assert stand.troth("ann", "init", "--relay", stand.link).returncode == 0
    assert stand.troth("ann", "routes", "only-proxies", "on").returncode == 1
    added = stand.troth("ann", "routes", "add", "socks5h://anna:s3cret@127.0.0.1:9050")
    assert lines(added)[0]["number"] == 1
    listed = stand.troth("ann", "routes", "list")
    assert [(line["number"], line["kind"], line["where"]) for line in lines(listed)] == [
        (0, "direct", ""), (1, "socks", "127.0.0.1:9050"),
    ]  # fmt: skip
    assert "s3cret" not in listed.stdout
    shared = lines(stand.troth("ann", "routes", "list", "--links"))[1]["link"]
    assert shared == route_link.encode(Socks("127.0.0.1", 9050, "anna", "s3cret"))
    refused = stand.troth("ann", "routes", "add", str(shared)[:-1])
    assert (refused.returncode, json.loads(refused.stderr)["code"]) == (1, "BAD_LINK")
    assert stand.troth("ann", "routes", "remove", "1").returncode == 0
    assert [line["kind"] for line in lines(stand.troth("ann", "routes", "list"))] == ["direct"]


def test_a_name_is_not_looked_up_where_only_proxies_may_be_used(stand: Stand) -> None:
    """[R-19.1-2]: refused when it is added, before anything is made or asked."""
    proxy = ("--route", "socks5h://proxy.example:9050", "--proxies-only")
    refused = stand.troth("ann", "init", "--relay", stand.link, *proxy)
    assert refused.returncode == 1
    assert not (stand.folder / "ann" / "vault.key").exists()
