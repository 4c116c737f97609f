"""Nothing about anybody leaves the relay by a back door: planted markers in every log line, core dumps, memory.

The relay runs as a process of its own with every logger at DEBUG, asyncio in debug mode, ``-X dev`` and warnings on,
and its stderr is what journald would get.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import resource
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.talk import Box, Client, unverified
from server.test_cli import run
from troth_protocol.wire import PATH, requests
from troth_server import quiet
from troth_server.cli import main

_MARKS = ("MARKER", "MARK\r\nER", "\x1b[31mMARK", "%s%nMARK", "127.0.0.1")
_LOUD = """
import asyncio, gc, logging, sys, threading, warnings
from troth_server import quiet, service
hush = quiet.hush
def loud():
    hush(logging.DEBUG)
    for name in ("", "asyncio", "websockets", "websockets.server", "concurrent.futures", "ssl"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    logging.getLogger("other").error("MARKER %s", "MARKER\\r\\n\\x1b[31m", exc_info=ValueError("MARKER"))
    logging.getLogger("other").debug("MARKER" * 200_000)
    logging.getLogger("troth.relay").error("said %s", "one\\r\\n\\x1b[31mtwo" + "x" * 1_000_000)
quiet.hush = loud
watch = service.Service._watch
async def plant(self):
    async def fail():
        raise ValueError("MARKER in a task")
    task = asyncio.create_task(fail())
    await asyncio.sleep(0.1)
    del task
    gc.collect()
    asyncio.get_running_loop().call_soon(lambda: 1 / int("MARKER in a callback"))
    thread = threading.Thread(target=int, args=("MARKER in a thread",))
    thread.start()
    thread.join()
    class Bad:
        def __del__(self):
            raise ValueError("MARKER in a destructor")
    Bad()
    warnings.warn("MARKER in a warning", ResourceWarning)
    sys.excepthook(ValueError, ValueError("MARKER at the top"), None)
    await watch(self)
service.Service._watch = plant
from troth_server.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "relay"
    assert main(["init", "--data", str(folder)]) == 0
    return folder


@contextlib.contextmanager
def serving(data: Path, script: str, *flags: str) -> Iterator[tuple[subprocess.Popen[bytes], int, list[bytes]]]:
    """A relay process, its port, and (after the block) all it wrote."""
    process = subprocess.Popen(
        [sys.executable, *flags, "-c", script, "serve", "--data", str(data), "--port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONASYNCIODEBUG": "1"}, cwd=data,
    )  # fmt: skip
    written: list[bytes] = []
    try:
        assert process.stdout is not None
        line = process.stdout.readline().decode()
        assert line.startswith("serving on 127.0.0.1:"), process.communicate(timeout=20)
        yield process, int(line.rpartition(":")[2]), written
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        written += process.communicate(timeout=20)


async def abuse(port: int) -> set[int]:
    """A client's whole life with markers in everything, and strangers; the ports they came from."""
    ports = set()
    box = Box(mailbox=b"MARKER-MAILBOX".ljust(32, b"!"), secret=b"MARKER-SECRET".ljust(32, b"!"))
    client = await Client.open(port)
    ports.add(client.socket.local_address[1])
    now = int(time.time())
    await client.create(box, now)
    await client.prove(box)
    await client.deliver(box, 1)
    await client.call(requests.Deliver(box.mailbox, b"MARKER-TOKEN".ljust(32, b"!"), b"MARKER".ljust(1_154, b"!")))
    await client.fetch_all()
    for body in (b"MARKER\r\n\x1b[31m%s%n", b"MARKER" * 11_000):
        await client.socket.send(body)
    await client.socket.send("MARKER as text")
    client.socket.transport.abort()
    heads = (
        f"GET {PATH} HTTP/1.1\r\nHost: MARKER\r\nOrigin: MARKER\r\nUpgrade: websocket\r\n\r\n",
        f"GET {PATH} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
        "Sec-WebSocket-Key: MARKER\r\n\r\n",
        "GET /MARKER?MARKER HTTP/1.1\r\nHost: MARKER\r\nUser-Agent: %s\x1b[31mMARKER\r\n\r\n",
        "POST /MARKER HTTP/1.1\r\n\r\n",
        "MARKER\r\n\r\n", "GET /" + "MARKER" * 20_000 + " HTTP/1.1\r\n\r\n",
    )  # fmt: skip
    strangers = [(False, b"MARKER" * 999), (False, b"\x16\x03\x01\x00\x05MARKE")]
    strangers += [(True, head.encode()) for head in heads]
    for secure, noise in strangers:
        context, name = (unverified(), "marker") if secure else (None, None)
        with contextlib.suppress(OSError, ssl.SSLError, TimeoutError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)
            ports.add(writer.get_extra_info("sockname")[1])
            writer.write(noise)
            with contextlib.suppress(OSError, ssl.SSLError, TimeoutError):
                await asyncio.wait_for(reader.read(), 0.3)
            writer.transport.abort()
    return ports


async def test_no_marker_is_in_any_line_at_any_level(data: Path) -> None:
    with serving(data, _LOUD, "-X", "dev", "-W", "always") as (_, port, written):
        ports = await abuse(port)
    out = b"".join(written).decode()
    assert not [mark for mark in _MARKS if mark in out], out
    assert not [port for port in ports if re.search(rf"\b{port}\b", out)]
    assert "Traceback" not in out
    lines = out.splitlines()
    for expected in (
        "ERROR other withheld ValueError",
        "DEBUG asyncio withheld",
        "WARNING troth.relay warning ResourceWarning",
    ):
        assert expected in lines
    assert lines.count("ERROR troth.relay unhandled ValueError") >= 5  # task, callback, thread, destructor, top
    (said,) = (line for line in lines if line.startswith("ERROR troth.relay said "))
    assert said.startswith("ERROR troth.relay said one???[31mtwoxx")
    assert max(map(len, lines)) < quiet.LINE + 50
    assert re.fullmatch(r"[\n -~]*", out)


def test_an_argument_is_not_repeated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        ["MARKER"], ["serve", "MARKER"], ["serve", "--MARKER"], ["serve", "--port", "MARKER"], ["card", "--qr=MARKER"],
        ["init", "--tls", "MARKER"], ["init", "--admission=MARKER: x"], ["invite", "--uses", "MARKER\r\n"],
        ["serve", "--data"], ["init", "--host", "MARKER HOST"], ["init", "--bind", "MARKER"],
    ):  # fmt: skip
        code, out, err = run(capsys, *arguments)
        assert (code, out) == (1, "")
        assert "MARKER" not in err
        assert len(err.splitlines()) == 1


def test_a_crash_leaves_no_core(data: Path) -> None:
    """The test allows core files and lets the kernel write them here; SIGSEGV to the relay leaves none."""
    script = "import sys; from troth_server.cli import main; sys.exit(main(sys.argv[1:]))"
    before = resource.getrlimit(resource.RLIMIT_CORE)
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, before[1]))
    try:
        with serving(data, script, "-X", "faulthandler") as (process, _, written):
            limits = Path(f"/proc/{process.pid}/limits").read_text()
            assert re.search(r"Max core file size +0 +0 ", limits)
            process.send_signal(signal.SIGSEGV)
            assert process.wait(timeout=20) == -signal.SIGSEGV
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)
    assert b"Fatal Python error" not in b"".join(written)  # faulthandler, which -X turned on, is off again
    assert b"File " not in b"".join(written)
    assert not [path for path in data.rglob("*") if "core" in path.name.lower()]
    if not pattern.startswith(("|", "/")):
        assert not list(data.glob(f"{pattern.partition('%')[0]}*"))


@pytest.mark.skipif(sys.platform != "linux", reason="/proc and prctl are Linux's")
def test_memory_is_closed_to_others_of_the_same_user(tmp_path: Path) -> None:
    """Two processes of one user without privileges: the quiet one's memory cannot be opened, an ordinary one's can."""
    become = (
        "import contextlib, os, sys\nwith contextlib.suppress(PermissionError): os.setgid(65534); os.setuid(65534)\n"
    )
    script = (
        f"from troth_server import quiet\n{become}"
        "import ctypes; ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)\n"  # as after exec: setuid has made it 0
        "if sys.argv[1] == 'quiet': quiet.no_dumps()\n"
        "print('up', flush=True); sys.stdin.read()"
    )
    found = {}
    for kind in ("quiet", "ordinary"):
        process = subprocess.Popen([sys.executable, "-c", script, kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        reader = subprocess.run(
            [sys.executable, "-c", f"{become}open(sys.argv[1], 'rb')",
             f"/proc/{process.pid}/mem"], capture_output=True, check=False,
        )  # fmt: skip
        found[kind] = reader.returncode
        process.communicate(timeout=20)
    if found["ordinary"] != 0:
        pytest.skip("this machine lets nobody read another process's memory (yama)")
    assert found["quiet"] != 0


def test_hooks_say_the_kind_alone(caplog: pytest.LogCaptureFixture) -> None:
    quiet.unhandled(ValueError("MARKER"))
    loop = asyncio.new_event_loop()
    quiet.loop_error(loop, {"message": "MARKER", "exception": OSError("MARKER"), "transport": "MARKER"})
    quiet.loop_error(loop, {"message": "MARKER"})
    loop.close()
    logger = quiet.private_logger()
    logger.debug("MARKER")
    logger.error("MARKER")
    try:
        raise KeyError("MARKER")
    except KeyError:
        logger.exception("MARKER")
    assert [entry.getMessage() for entry in caplog.records] == [
        "unhandled ValueError", "unhandled OSError", "unhandled NoneType", "unhandled KeyError",
    ]  # fmt: skip


def test_the_library_is_quiet_in_this_process_too(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever embeds a Listener and sets every logger to DEBUG sees no frame and no header of a client."""
    assert quiet.LIBRARY.name not in logging.root.manager.loggerDict
    assert not quiet.LIBRARY.isEnabledFor(logging.DEBUG)
    from troth_server.guard import Guard

    assert Guard(time.monotonic).logger is quiet.LIBRARY


def test_files_of_a_relay_are_its_own(data: Path) -> None:
    """umask 077 while serving; what init and the store made is for the relay's user alone."""
    script = "import sys; from troth_server.cli import main; sys.exit(main(sys.argv[1:]))"
    with serving(data, script) as (process, _, _):
        assert re.search(r"^Umask:\s+0077$", Path(f"/proc/{process.pid}/status").read_text(), re.MULTILINE)
        assert [path.name for path in data.iterdir() if path.stat().st_mode & 0o077] == []
