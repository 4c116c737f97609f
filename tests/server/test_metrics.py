"""Metrics: small counts about people say nothing, the machine's failures are exact, and only this machine may ask."""

from __future__ import annotations

import asyncio
import re

import pytest

from troth_protocol.errors import NetworkError, UserError
from troth_server.metrics import Count, Gauge, Metrics, mebibytes, rounded
from troth_server.scrape import READERS, Scrape


@pytest.mark.parametrize(
    ("count", "shown"),
    [(-1, 0), (0, 0), (1, 0), (9, 0), (10, 10), (19, 10), (20, 20), (49, 20), (50, 50), (99, 50), (100, 100),
     (199, 100), (999, 500), (1_000, 1_000), (4_999_999, 2_000_000)],
)  # fmt: skip
def test_counts_about_people_are_rounded_down(count: int, shown: int) -> None:
    assert rounded(count) == shown


def test_every_count_is_shown_once_in_prometheus_text() -> None:
    metrics = Metrics()
    metrics.add(Count.CREATED, 7)
    metrics.add(Count.DEPOSITED, 1_234)
    metrics.add(Count.STORE_FAILED)
    text = metrics.text({Gauge.CONNECTIONS: 9, Gauge.DISK_FREE: mebibytes(100 << 20)})
    values = dict(re.findall(r"^(troth_[a-z_]+) (\d+)$", text, re.MULTILINE))
    assert len(values) == len(Count) + 2
    assert values["troth_mailboxes_created_total"] == "0"
    assert values["troth_envelopes_deposited_total"] == "1000"
    assert values["troth_store_failed_total"] == "1"
    assert values["troth_connections"] == "0"
    assert values["troth_disk_free_mebibytes"] == "96"
    assert metrics.exact(Count.CREATED) == 7
    for line in text.splitlines():
        assert re.fullmatch(r"# HELP troth_\w+ [ -~]+|# TYPE troth_\w+ (counter|gauge)|troth_\w+ \d+", line)
    assert "{" not in text


def test_what_counts_people_is_marked() -> None:
    """Exact are only the failures of the machine and of its operator."""
    assert {count for count in Count if not count.people} == {
        Count.STORE_FULL, Count.STORE_FAILED, Count.ACCEPT_FAILED, Count.UNHANDLED, Count.RELOADED,
        Count.RELOAD_FAILED,
    }  # fmt: skip
    assert Gauge.CONNECTIONS.people
    names = [each.metric for each in (*Count, *Gauge)]
    assert len(names) == len(set(names))


async def ask(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        return await asyncio.wait_for(reader.read(), 10)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def test_only_a_get_of_metrics_from_this_machine_is_answered() -> None:
    async with Scrape(lambda: "troth_x 1\n", 0) as scrape:
        for host in ("127.0.0.1", "localhost", f"127.0.0.1:{scrape.port}", "[::1]"):
            answer = await ask(scrape.port, f"GET /metrics HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
            assert answer.endswith(b"\r\n\r\ntroth_x 1\n")
        refused = [
            await ask(scrape.port, request)
            for request in (
                b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"POST /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
                b"GET /metrics?x HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET /metrics HTTP/2\r\n\r\n",
                b"GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n", b"\x16\x03\x01\r\n\r\n",
            )
        ]  # fmt: skip
        assert set(refused) == {refused[0]}
        assert refused[0].startswith(b"HTTP/1.1 404 ")
        assert await ask(scrape.port, b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 2_000) == b""


async def test_readers_are_bounded_in_number_and_time() -> None:
    async with Scrape(lambda: "", 0) as scrape:
        waiting = [await asyncio.open_connection("127.0.0.1", scrape.port) for _ in range(READERS)]
        await asyncio.sleep(0.1)
        assert await ask(scrape.port, b"GET /metrics HTTP/1.1\r\n\r\n") == b""
        for reader, writer in waiting:  # silent ones are cut off
            assert await asyncio.wait_for(reader.read(), 10) == b""
            writer.close()
        await asyncio.sleep(0)
        assert b" 200 " in await ask(scrape.port, b"GET /metrics HTTP/1.1\r\n\r\n")


async def test_metrics_are_never_shown_to_a_network() -> None:
    for host in ("0.0.0.0", "192.0.2.1", "::"):  # noqa: S104
        with pytest.raises(UserError, match="loopback"):
            Scrape(str, 0, host)
    async with Scrape(str, 0) as scrape:
        with pytest.raises(NetworkError, match="cannot listen"):
            async with Scrape(str, scrape.port):
                raise AssertionError
