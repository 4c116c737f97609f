"""A running relay under its service manager: reload without dropping anybody, files that change, sockets, stop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from server.talk import Box, Client, unverified
from server.test_init import certificate
from troth_protocol.wire import Code, answers, requests
from troth_server import notify, tls
from troth_server.cli import main
from troth_server.service import unix_socket

_RUN = "import sys; from troth_server import service; service.WATCH_SECONDS = 0.2\n"
_RUN += "from troth_server.cli import main; sys.exit(main(sys.argv[1:]))"
_PASSED = "import os\nos.environ['LISTEN_PID'] = str(os.getpid())\n" + _RUN


@dataclass
class Manager:
    """What systemd is to the relay: it starts it, hears its notices, passes a socket, sends signals."""

    data: Path
    heard: socket.socket
    process: subprocess.Popen[bytes] | None = None
    port: int = 0
    where: str = ""
    lines: list[str] = field(default_factory=list)

    def start(self, *, passed: socket.socket | None = None, watchdog: float = 0) -> None:
        environment = {**os.environ, "NOTIFY_SOCKET": str(self.data.parent / "notify")}
        if watchdog:
            environment["WATCHDOG_USEC"] = str(int(watchdog * 1e6))
        descriptors: tuple[int, ...] = ()
        if passed is not None:
            environment["LISTEN_FDS"] = "1"
            descriptors = (notify.FIRST_DESCRIPTOR,)
            kept = os.dup(notify.FIRST_DESCRIPTOR)
            os.dup2(passed.fileno(), notify.FIRST_DESCRIPTOR)
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _PASSED if passed else _RUN, "serve", "--data", str(self.data)],
                stdout=subprocess.PIPE, stderr=(self.data.parent / "log").open("wb"), env=environment,
                pass_fds=descriptors,
            )  # fmt: skip
        finally:
            if passed is not None:
                os.dup2(kept, notify.FIRST_DESCRIPTOR)
                os.close(kept)
        assert self.process.stdout is not None
        line = self.process.stdout.readline().decode()
        assert line.startswith("serving on "), self.log()
        self.where = line.strip()
        self.port = int(line.rpartition(":")[2]) if ":" in line else 0

    def log(self) -> str:
        return (self.data.parent / "log").read_text()

    async def notice(self, wanted: str) -> None:
        """Wait for a notice; others on the way are kept in ``lines``."""
        async with asyncio.timeout(20):
            while True:
                with contextlib.suppress(BlockingIOError):
                    said = self.heard.recv(4_096).decode()
                    self.lines.append(said)
                    if said.partition("\n")[0] == wanted:
                        return
                    continue
                await asyncio.sleep(0.02)

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not true():  # noqa: ASYNC110  (of a file that another process writes)
                await asyncio.sleep(0.05)

    async def reload(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)
        await self.notice("RELOADING=1")
        await self.notice("READY=1")

    async def stop(self) -> int:
        """SIGTERM, while this loop goes on: clients that are open answer the closing handshake."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self.process.wait, 20)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    data = tmp_path / "relay"
    assert main(["init", "--data", str(data), "--operator", "Ann"]) == 0
    text = (data / "relay.toml").read_text()
    (data / "relay.toml").write_text(text.replace("port = 7443", "port = 0"))
    heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    heard.bind(str(tmp_path / "notify"))
    heard.setblocking(False)
    made = Manager(data, heard)
    yield made
    heard.close()
    if made.process is not None and made.process.poll() is None:
        made.process.kill()
        made.process.wait(timeout=20)


def change(manager: Manager, old: str, new: str) -> None:
    path = manager.data / "relay.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


async def page(port: int) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=unverified())
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    text = (await asyncio.wait_for(reader.read(), 10)).decode()
    writer.close()
    return text


async def owner(port: int) -> tuple[Client, Box]:
    client, box = await Client.open(port), Box()
    assert await client.create(box, int(time.time())) == answers.Ok()
    assert await client.prove(box) == answers.Ok()
    return client, box


async def test_a_reload_changes_what_may_change_and_drops_nobody(manager: Manager) -> None:
    manager.start()
    await manager.notice("READY=1")
    client, box = await owner(manager.port)
    assert "Ann" in await page(manager.port)
    change(manager, 'operator = "Ann"', 'operator = "Ben"')
    change(manager, 'mode = "open"', 'mode = "closed"')
    await manager.reload()
    assert "Ben" in await page(manager.port)
    assert await client.deliver(box, 1) == answers.Ok()  # the connection from before
    newer = await Client.open(manager.port)
    assert await newer.create(Box(), int(time.time())) == answers.Error(Code.INVITE_REQUIRED)
    for old, new, said in (
        ('mode = "closed"', 'mode = "shut"', "mode must be one of"),
        ('mode = "shut"', 'mode = "open"\nx = 1', "unknown setting x"),
        ('mode = "open"\nx = 1', 'mode = "open', "relay.toml"),
        ('mode = "open', 'mode = "closed"', "reloaded"),
        ("\nport = 0", "\nport = 1234", "port changed: that needs a restart; nothing was changed"),
    ):
        change(manager, old, new)
        await manager.reload()
        assert said in manager.log().splitlines()[-1]
        assert "Ben" in await page(manager.port)
        assert await newer.create(Box(), int(time.time())) == answers.Error(Code.INVITE_REQUIRED)
        await newer.close()
        newer = await Client.open(manager.port)
    assert await client.deliver(box, 2) == answers.Ok()
    assert await manager.stop() == 0


async def test_too_few_descriptors_are_said_at_the_start(manager: Manager) -> None:
    change(manager, "max_connections = 10000", "max_connections = 900000000")
    manager.start()
    await manager.notice("READY=1")
    assert re.fullmatch(r"troth-relay: descriptors for \d+ connections only: .*\n", manager.log())
    assert await manager.stop() == 0


async def test_a_service_manager_that_does_not_listen_delays_no_client(manager: Manager) -> None:
    """Each notice may wait a second for room in its queue: not on the loop."""
    manager.start(watchdog=0.4)
    await manager.notice("READY=1")
    client, box = await owner(manager.port)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other, contextlib.suppress(BlockingIOError):
        other.setblocking(False)
        other.connect(str(manager.data.parent / "notify"))
        while True:
            other.send(b"full")
    waits = []
    for number in range(60):
        began = time.monotonic()
        assert await client.deliver(box, number) == answers.Ok()
        waits.append(time.monotonic() - began)
        await asyncio.sleep(0.05)
    assert sum(wait > 0.5 for wait in waits) < 2
    assert await manager.stop() == 0


async def test_a_renewed_certificate_and_a_signed_entry_are_noticed(manager: Manager, tmp_path: Path) -> None:
    """Pinned: the new key is signed first, then put in place; whoever came before goes on, and can still prove."""
    manager.start()
    client, box = await owner(manager.port)
    late = await Client.open(manager.port)  # shook hands with the old key, proves after the change
    made, key = certificate(tmp_path, "next", "127.0.0.1")
    assert main(["ledger", "descriptor", "--data", str(manager.data), "--also", str(made)]) == 0
    await manager.until(lambda: manager.log().count("reloaded") == 1)
    welcome = (await Client.open(manager.port)).welcome
    assert welcome.ledger_length == 2
    # Key and certificate change one after the other: in between they do not fit, and the relay goes on with the old.
    shutil.copy(key, manager.data / "tls-key.pem")
    await manager.until(lambda: "is not the key of" in manager.log())
    old = tls.proxied(manager.data / "tls-cert.pem").key_hash
    assert (await Client.open(manager.port)).key_hash == old
    shutil.copy(made, manager.data / "tls-cert.pem")
    await manager.until(lambda: manager.log().splitlines()[-1] == "troth-relay: reloaded")
    newer = await Client.open(manager.port)
    assert newer.key_hash == tls.proxied(made).key_hash != old
    assert await newer.prove(box) == answers.Ok()
    assert await late.prove(box) == answers.Ok()
    assert await client.deliver(box, 1) == answers.Ok()
    # A key that the ledger does not name is not served.
    other, other_key = certificate(tmp_path, "other", "127.0.0.1")
    shutil.copy(other_key, manager.data / "tls-key.pem")
    shutil.copy(other, manager.data / "tls-cert.pem")
    await manager.until(lambda: "no client would accept it" in manager.log())
    assert (await Client.open(manager.port)).key_hash == newer.key_hash
    assert await manager.stop() == 0


async def test_a_proof_made_for_another_key_fails(manager: Manager) -> None:
    """The relay accepts its own keys only. [R-10.1-4]"""
    manager.start()
    client, box = await owner(manager.port)
    fresh = await Client.open(manager.port)
    fresh.key_hash = bytes(32)
    assert await fresh.prove(box) == answers.Error(Code.REFUSED)
    await client.close()
    assert await manager.stop() == 0


async def test_a_stop_finishes_what_was_submitted(manager: Manager) -> None:
    manager.start()
    await manager.notice("READY=1")
    client, box = await owner(manager.port)
    for number in range(20):
        await client.send(requests.Deliver(box.mailbox, box.token(number), bytes(1_154)))
    assert await manager.stop() == 0
    with contextlib.suppress(ConnectionClosed):
        while True:
            await client.socket.recv()
    assert (client.socket.close_code, client.socket.close_reason) == (1001, "SHUTDOWN")
    await manager.notice("STOPPING=1")
    manager.start()
    again = await Client.open(manager.port)
    assert await again.prove(box) == answers.Ok()
    assert isinstance(counts := await again.call(requests.Count()), answers.Counts)
    # All that was read before the stop is there; the socket may have held some back.
    assert 0 <= counts.envelopes <= 20
    assert await manager.stop() == 0


async def test_the_watchdog_hears_of_us(manager: Manager) -> None:
    manager.start(watchdog=0.4)
    await manager.notice("READY=1")
    for _ in range(3):
        await manager.notice("WATCHDOG=1")
    assert await manager.stop() == 0


async def test_a_socket_of_the_service_manager_is_used(manager: Manager) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(16)
        manager.start(passed=listening)
        assert manager.port == listening.getsockname()[1]
        client, _ = await owner(manager.port)
        await client.close()
        assert await manager.stop() == 0


async def test_a_unix_socket_stays_its_owners(manager: Manager, tmp_path: Path) -> None:
    """One that the relay made goes with it; one that the service manager passed stays, for the next start."""
    shutil.rmtree(manager.data)
    made, _ = certificate(tmp_path, "web", "localhost")
    flags = ["--host", "localhost", "--tls", "proxy", "--certificate", str(made), "--socket", str(tmp_path / "sock")]
    assert main(["init", "--data", str(manager.data), *flags]) == 0
    manager.start()
    assert manager.where == f"serving on {tmp_path / 'sock'}"
    assert await manager.stop() == 0
    assert not (tmp_path / "sock").exists()
    with unix_socket(tmp_path / "sock") as listening:
        manager.start(passed=listening)
        assert await manager.stop() == 0
    assert (tmp_path / "sock").exists()
