"""The obfs4 route: a pluggable transport's program as our child, spoken to by SOCKS5. SPEC.md section 19.1.

The child is started when it is first needed, ends with its standard input, and is started again if it has died. It gets
no environment of ours but PATH, and a folder of its own that nobody else may read.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
from pathlib import Path
from typing import Final

from troth_protocol.address import RelayAddress
from troth_protocol.errors import NetworkError, ProxyError, TransportFailed
from troth_protocol.route_link import Obfs4

from .dial import Dialer, kept
from .greeting import socks5
from .managed import MAX_LINE, Greeting

TRANSPORT: Final = "obfs4"
PROGRAM: Final = "obfs4proxy"
START_SECONDS: Final = 10
"""To say where its proxy listens; measured 10 ms."""
STOP_SECONDS: Final = 2
MAX_CHATTER: Final = 1 << 20
"""Bytes that the program may say once it is ready, where it has nothing to say."""
MAX_ARGUMENTS: Final = 255
"""Bytes of a SOCKS user name; more than that would go into the password (pt-spec.txt, section 3.5)."""


class Program:
    """One child process and the port of its proxy."""

    def __init__(self, folder: Path, program: str = PROGRAM) -> None:
        self._folder = folder
        self._program = program
        self._process: asyncio.subprocess.Process | None = None
        self._draining: asyncio.Task[None] | None = None
        self._port = 0
        self._starting = asyncio.Lock()

    async def port(self) -> int:
        """Where its proxy listens on 127.0.0.1; TransportFailed."""
        async with self._starting:
            if self._process is None or self._process.returncode is not None:
                await self.close()
                await self._start()
            return self._port

    async def close(self) -> None:
        """End the child: by its standard input, and by its process id if it does not go."""
        process, self._process = self._process, None
        if process is None:
            return
        # It is read to its end: asyncio calls a process ended only when its output has been.
        draining, self._draining = self._draining or asyncio.create_task(_drain(process)), None
        if process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            with contextlib.suppress(TimeoutError):  # a grandchild may hold the output open
                async with asyncio.timeout(STOP_SECONDS):
                    await process.wait()
        finally:
            draining.cancel()

    async def _start(self) -> None:
        found = shutil.which(self._program)
        if found is None:
            raise TransportFailed(f"{self._program} is not installed (Debian: apt install {PROGRAM})")
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._folder.chmod(0o700)
            process = await asyncio.create_subprocess_exec(
                found,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={
                    "PATH": os.environ.get("PATH", os.defpath),
                    "TOR_PT_MANAGED_TRANSPORT_VER": "1",
                    "TOR_PT_STATE_LOCATION": str(self._folder.resolve()),
                    "TOR_PT_EXIT_ON_STDIN_CLOSE": "1",
                    "TOR_PT_CLIENT_TRANSPORTS": TRANSPORT,
                },
                limit=MAX_LINE,
                start_new_session=True,  # an interrupt from the keyboard is ours to handle
            )
        except OSError as error:
            raise TransportFailed(f"{self._program} cannot be started ({error.strerror})") from None
        self._process = process
        try:
            self._port = await self._greet(process)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await self.close()
            raise
        self._draining = asyncio.create_task(_drain(process))

    async def _greet(self, process: asyncio.subprocess.Process) -> int:
        greeting, output = Greeting(TRANSPORT), process.stdout
        if output is None:
            raise TransportFailed("the transport's program has no output")
        try:
            async with asyncio.timeout(START_SECONDS):
                while greeting.port is None:
                    greeting.feed(await output.readline())
        except TimeoutError:
            raise TransportFailed(f"the transport's program was not ready within {START_SECONDS} s") from None
        except ValueError:  # a line beyond the limit
            raise TransportFailed("the transport's program says too much") from None
        return greeting.port


async def _drain(process: asyncio.subprocess.Process) -> None:
    """Read on so that the child never waits for us; end one that does not stop talking."""
    chatter = 0
    while process.stdout is not None and (said := await process.stdout.read(65_536)):
        chatter += len(said)
        if chatter > MAX_CHATTER and process.returncode is None:  # and on, to its end
            with contextlib.suppress(ProcessLookupError):
                process.kill()


class Obfs4Way:
    """Through an obfs4 bridge, whose far end is one relay."""

    def __init__(self, spec: Obfs4, dialer: Dialer, program: Program) -> None:
        self._spec = spec
        self._dialer = dialer
        self._program = program

    async def open(self, relay: RelayAddress) -> socket.socket:
        """A byte stream to the bridge's relay; TransportFailed or another NetworkError."""
        spec = self._spec
        self._dialer.check(spec.host, spec.port)
        arguments = f"cert={spec.cert};iat-mode={spec.iat_mode}".encode("ascii")
        port = await self._program.port()
        try:
            stream = await self._dialer.loopback(port)
        except NetworkError:
            raise TransportFailed("the transport's program does not listen where it said: it may have died") from None
        try:
            with kept(stream):
                name, rest = arguments[:MAX_ARGUMENTS], arguments[MAX_ARGUMENTS:] or b"\0"
                await socks5(stream, spec.host, spec.port, name, rest)
        except ProxyError as error:
            raise TransportFailed(f"the bridge was not reached: {error}") from None
        return stream
