"""``troth-relay serve`` as a process of its own: no cipher in it, no secret in its log, nothing lost to SIGKILL."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from websockets.exceptions import ConnectionClosed

from server.served import Served
from server.talk import Box, Client, envelope
from troth_protocol.token import capability_hash
from troth_protocol.wire import BUNDLE_SIZE, LEAF_SIZE, answers, requests

_MODULES = """
print("modules", *sorted({name.partition(".")[0] for name in sys.modules}))
print("mapped", *{line.split()[-1] for line in open("/proc/self/maps")})  # which nobody else of this user may read
sys.exit(code)
"""


async def test_the_serving_process_holds_no_cipher_library(served: Served) -> None:
    served.after = _MODULES
    served.start()
    box, lookup, capability = Box(), os.urandom(32), os.urandom(32)
    client = await Client.open(served.port)
    assert await client.create(box, int(time.time())) == answers.Ok()
    assert await client.prove(box) == answers.Ok()
    leaf, bundle = bytes(LEAF_SIZE), bytes(BUNDLE_SIZE)
    for request in (
        requests.Publish(lookup, capability_hash(capability), 1, bytes(16), bundle),
        requests.AddLeaves(bytes(16), (leaf,)), requests.Spares((bytes(32),)),
        requests.DeliverFirst(lookup, capability, 0, bytes(16), envelope(1)),
        requests.Rotate(bytes(32), int(time.time()) + 99), requests.Unpublish(lookup),
    ):  # fmt: skip
        assert await client.call(request) == answers.Ok()
    assert isinstance(await client.call(requests.Ledger(0)), answers.LedgerPage)
    assert len(await client.fetch_all()) == 1
    code, out = await asyncio.to_thread(served.stop)
    assert code == 0, out
    named, _, mapped = out.partition("modules ")[2].partition("mapped ")
    modules = set(named.split())
    assert {"ssl", "troth_server", "troth_protocol"} <= modules
    assert "sqlite3" not in modules  # the store is in a process of its own
    assert not modules & {"nacl", "cryptography", "cffi", "_cffi_backend", "apsw", "Crypto", "textual", "troth_client"}
    assert "libcrypto" in mapped or "_ssl" in mapped
    assert "_sodium" not in mapped
    assert "cryptography" not in mapped


async def test_no_log_line_names_anything(served: Served) -> None:
    """Planted markers: ids, tokens, envelopes, headers, paths; and the peer's port."""
    os.environ["PYTHONASYNCIODEBUG"] = "1"
    try:
        served.start()
    finally:
        del os.environ["PYTHONASYNCIODEBUG"]
    box = Box(mailbox=b"MARKER-MAILBOX".ljust(32, b"!"), key=b"MARKER-KEY".ljust(32, b"!"))
    client = await Client.open(served.port)
    ports = [client.socket.local_address[1]]
    await client.create(box, int(time.time()))
    await client.prove(box)
    await client.deliver(box, 1)
    await client.call(requests.Deliver(box.mailbox, b"MARKER-TOKEN".ljust(32, b"!"), b"MARKER".ljust(1_154, b"!")))
    for _ in range(5):
        await client.socket.send(b"MARKER-BAD-FRAME\r\n\x1b[31m%s%n")
    client.socket.transport.abort()
    garbage = [b"MARKER\r\n\r\n", os.urandom(500), b"GET /MARKER HTTP/1.1\r\nHost: MARKER\r\n\r\n", b"\x16\x03\x01\x02"]
    for noise in garbage:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        ports.append(writer.get_extra_info("sockname")[1])
        writer.write(noise)
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.wait_for(reader.read(), 0.3)
        writer.close()
    code, out = served.stop()
    assert code == 0, out
    assert "MARKER" not in out
    assert "127.0.0.1" not in out
    assert not [port for port in ports if str(port) in out]
    assert "Traceback" not in out
    assert box.hash.hex() not in out


async def test_nothing_acknowledged_is_lost_to_kill_9(served: Served) -> None:
    """Five lives: senders and a receiver at work, SIGKILL at some moment, retries, and everything once, in order.

    [R-11.4-1]
    """
    now, chance = int(time.time()), random.Random(20_241_121)
    boxes = [Box() for _ in range(4)]
    counters = dict.fromkeys(range(8), 0)  # sender s delivers to box s % 4, numbers 1000 * s + 0, 1, 2 ...
    promised: dict[int, list[int]] = {sender: [] for sender in counters}
    acknowledged: list[int] = []
    served.start()
    for first in range(0, 4, 2):
        client = await Client.open(served.port)
        for box in boxes[first : first + 2]:
            assert await client.create(box, now) == answers.Ok()
        await client.close()

    async def send(sender: int) -> None:
        client = await Client.open(served.port)
        while True:
            number = 1_000 * sender + counters[sender]
            assert await client.deliver(boxes[sender % 4], number) == answers.Ok()
            promised[sender].append(number)
            counters[sender] += 1  # an unanswered one is sent again in the next life, with its token

    async def receive() -> None:
        client = await Client.open(served.port)
        assert await client.prove(boxes[0]) == answers.Ok()
        await client.send(requests.Fetch(16))
        while True:
            answer = await client.push()
            if isinstance(answer, answers.Envelope):
                assert await client.call(requests.Acknowledge((answer.sequence,))) == answers.Ok()
                acknowledged.append(int.from_bytes(answer.envelope[:8], "big"))

    for _ in range(5):
        if served.process is None:
            started = time.monotonic()
            served.start()
            assert time.monotonic() - started < 2.5
        tasks = [asyncio.create_task(send(sender)) for sender in counters] + [asyncio.create_task(receive())]
        await asyncio.sleep(0.25 + chance.random() * 0.35)
        served.stop(signal.SIGKILL)
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(result, ConnectionClosed | OSError | TimeoutError), result
    assert all(len(numbers) > 20 for numbers in promised.values())
    assert len(acknowledged) > 20

    served.start()
    for index, box in enumerate(boxes):
        client = await Client.open(served.port)
        assert await client.prove(box) == answers.Ok()
        got = [int.from_bytes(each.envelope[:8], "big") for each in await client.fetch_all()]
        await client.close()
        everything = acknowledged + got if index == 0 else got
        for sender in (index, index + 4):
            mine = [number for number in everything if number // 1_000 == sender]
            # What was in flight at the last SIGKILL may be there or not; nothing else may differ.
            if index == 0:  # an acknowledgement may be on disk though its answer was not seen: once in each life
                assert mine == sorted(set(mine))
                assert len(promised[sender]) - len(mine) <= 5
            else:
                assert mine[: len(promised[sender])] == promised[sender]
                assert len(mine) - len(promised[sender]) <= 1
    assert served.stop()[0] == 0


def test_a_store_that_cannot_be_trusted_ends_the_process_with_70(served: Served) -> None:
    script = """
import sqlite3, sys
from troth_server.storage import sqlite
def broken(self, sql, command):
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
    raise error
sqlite.SqliteStore._perform = broken
from troth_server.cli import main
sys.exit(main(["serve", "--data", sys.argv[1], "--port", "0"]))
"""
    ended = subprocess.run(
        [sys.executable, "-c", script, str(served.data)], capture_output=True, timeout=20, check=False
    )
    assert ended.returncode == 70
    (line,) = ended.stderr.decode().splitlines()
    assert line.startswith("troth-relay: FATAL_STORAGE")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_stop_is_graceful(served: Served, number: int) -> None:
    served.start()
    client = await Client.open(served.port)
    stopped = asyncio.get_running_loop().run_in_executor(None, served.stop, number)
    with pytest.raises(ConnectionClosed):
        await asyncio.wait_for(client.socket.recv(), 10)
    assert (client.socket.close_code, client.socket.close_reason) == (1001, "SHUTDOWN")
    assert (await stopped)[0] == 0
