"""Backups beside a busy relay, its death, and a restore: each in a process of its own, as an operator has it."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from server.served import Served
from server.talk import Box, Client
from troth_protocol.wire import answers, rights

BOXES = 8


async def verb(served: Served, *arguments: str) -> tuple[int, str]:
    """Another process, while this one goes on."""
    command = [sys.executable, "-m", "troth_server", arguments[0], "--data", str(served.data), *arguments[1:]]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, timeout=180, check=False, text=True)
    return done.returncode, done.stdout + done.stderr


async def owners(served: Served) -> dict[Client, Box]:
    made = {}
    for _ in range(BOXES):
        client, box = await Client.open(served.port), Box()
        assert await client.create(box, int(time.time())) == answers.Ok()
        assert await client.prove(box) == answers.Ok()
        made[client] = box
    return made


@asynccontextmanager
async def load(served: Served, boxes: list[Box]) -> AsyncIterator[list[int]]:
    """Deliveries to each mailbox, as fast as they are answered; how many were."""
    stop, answered = asyncio.Event(), [0]

    async def send(box: Box) -> None:
        client = await Client.open(served.port)
        number = 0
        while not stop.is_set():
            number += 1
            assert await client.deliver(box, number) == answers.Ok()
            answered[0] += 1
            if number == 2_000:
                break
        await client.close()

    async with asyncio.TaskGroup() as tasks:
        for box in boxes:
            tasks.create_task(send(box))
        yield answered
        stop.set()


async def test_backups_beside_a_busy_relay_and_a_restore_after_its_death(served: Served, tmp_path: Path) -> None:
    """[R-11.8-1] [R-11.8-6]"""
    served.start()
    clients = await owners(served)
    (gone, gone_box), (kept, kept_box), *_ = clients.items()
    files = [str(tmp_path / f"b{number}") for number in range(2)]
    async with load(served, list(clients.values())[2:5]) as answered:
        for file in files:
            before = answered[0]
            code, said = await verb(
                served, "backup", file, "--keys", str(tmp_path / "keys"), *["--make-copy"][: file == files[0]]
            )
            assert code == 0, said
            assert said.startswith(f"{BOXES} mailboxes, ")
            assert answered[0] > before  # the relay went on
    assert await kept.deliver(kept_box, 1) == answers.Ok()
    assert await gone.call(rights.Erase()) == answers.Ok()
    await asyncio.to_thread(served.stop, signal.SIGKILL)
    for file in files:
        code, said = await verb(served, "restore", file, "--replace")
        assert code == 0, said
        assert said.startswith(f"{BOXES - 1} mailboxes are as they were")
        assert "1 records open under no key" in said
    code, said = await verb(served, "verify-erasure", "--backup", files[0], "--json")
    assert code == 0, said
    assert json.loads(said.splitlines()[5])["dead"] == 1
    served.start()
    again = await Client.open(served.port)
    assert await again.prove(kept_box) == answers.Ok()
    assert await again.fetch_all() == []  # what was queued is lost with the disk, and nothing comes twice
    await again.close()
    again = await Client.open(served.port)
    refused = await again.prove(gone_box)
    assert isinstance(refused, answers.Error)
    await again.close()


@pytest.mark.slow
async def test_the_proof_beside_a_busy_relay(served: Served, tmp_path: Path) -> None:
    """[R-11.8-7]"""
    served.start()
    clients = await owners(served)
    code, said = await verb(served, "backup", str(tmp_path / "b"))
    assert code == 0, said
    (gone, _), *rest = clients.items()
    async with load(served, [box for _, box in rest][:3]):
        assert await gone.call(rights.Erase()) == answers.Ok()
        code, said = await verb(served, "verify-erasure", "--backup", str(tmp_path / "b"), "--json")
    assert code == 0, said
    lines = [json.loads(line) for line in said.splitlines()]
    assert all(line["holds"] for line in lines)
    assert lines[5]["dead"] == 1


def test_neither_the_command_line_nor_serve_loads_backup_or_erasure() -> None:
    command = "import sys, troth_server.cli, troth_server.listener, troth_server.storage.sqlite; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", command], capture_output=True, timeout=60, check=True, text=True)
    names = set(loaded.stdout.split())
    assert "troth_server.shred" in names
    assert not {name for name in names if name.startswith(("troth_server.backup", "troth_server.erasure"))}
    assert not names & {"nacl", "cryptography", "troth_protocol.primitives"}
