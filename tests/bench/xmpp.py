"""Prosody and ejabberd: XMPP messages acknowledged by stream management (XEP-0198). Plain loopback TCP.

Neither syncs a message to disk before it acknowledges; for a receiver who is connected nothing is written at all.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

_BODY: Final = "e" * 1_024
_STREAM: Final = (
    "<stream:stream to='localhost' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
)
_NUMBERS: Final = itertools.count()
_ACK: Final = re.compile(rb"<a [^>]*h=['\"](\d+)['\"]")
_PROSODY: Final = """\
run_as_root = true
pidfile = "{folder}/prosody.pid"
data_path = "{folder}/data"
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {port} }}
s2s_ports = {{ }}
http_ports = {{ }}
https_ports = {{ }}
modules_enabled = {{ "roster", "saslauth", "smacks", "register_ibr", "posix", "offline" }}
modules_disabled = {{ "s2s", "tls" }}
allow_registration = true
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "internal_plain"
limits = {{ c2s = {{ rate = "100mb/s" }} }}
log = {{ error = "{folder}/error.log" }}
VirtualHost "localhost"
"""
_EJABBERD: Final = """\
hosts: [localhost]
loglevel: error
listen:
  - port: {port}
    ip: "127.0.0.1"
    module: ejabberd_c2s
    max_stanza_size: 262144
    shaper: none
    access: all
registration_timeout: infinity
auth_method: internal
acl: {{}}
access_rules: {{}}
modules:
  mod_register: {{ip_access: all}}
  mod_stream_mgmt: {{}}
  mod_offline: {{}}
  mod_roster: {{}}
"""


def prosody(folder: Path, port: int) -> list[str]:
    """What starts Prosody."""
    (folder / "data").mkdir()
    (folder / "prosody.cfg.lua").write_text(_PROSODY.format(port=port, folder=folder))
    return ["prosody", "--config", str(folder / "prosody.cfg.lua"), "-F"]


def ejabberd(folder: Path, port: int) -> list[str]:
    """What starts ejabberd, whose own script gives up root's rights."""
    (folder / "ejabberd.yml").write_text(_EJABBERD.format(port=port))
    (folder / "ejabberdctl.cfg").write_text(f"EJABBERD_CONFIG_PATH={folder}/ejabberd.yml\nERL_DIST_PORT={port + 1}\n")
    (folder / "inetrc").write_text("")
    for path in (folder, *folder.iterdir()):
        shutil.chown(path, "ejabberd", "ejabberd")
    paths = ["--config-dir", str(folder), "--spool", str(folder / "spool"), "--logs", str(folder / "logs")]
    return ["ejabberdctl", "--node", f"bench{port}@localhost", *paths, "foreground"]


async def prepare(_: int) -> None:
    """Nothing to make."""


class Line(asyncio.Protocol):
    """One connection; what comes in goes to ``on_data`` as it is."""

    def __init__(self) -> None:
        self.on_data: Callable[[bytes], None] = self._gather
        self._gathered = b""
        self._wanted: tuple[bytes, ...] = ()
        self._found: asyncio.Future[bytes] | None = None
        self.transport: asyncio.Transport

    @classmethod
    async def open(cls, port: int, user: str) -> Line:
        """Register, log in, bind and turn stream management on."""
        _, line = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        await line.say(_STREAM, b"</stream:features>")
        register = f"<query xmlns='jabber:iq:register'><username>{user}</username><password>p</password></query>"
        await line.say(f"<iq type='set' id='r'>{register}</iq>", b"</iq>", b"/>")
        plain = base64.b64encode(f"\0{user}\0p".encode()).decode()
        sasl = "urn:ietf:params:xml:ns:xmpp-sasl"
        await line.say(f"<auth xmlns='{sasl}' mechanism='PLAIN'>{plain}</auth>", b"<success")
        await line.say(_STREAM, b"</stream:features>")
        bind = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>x</resource></bind>"
        await line.say(f"<iq type='set' id='b'>{bind}</iq>", b"</iq>")
        await line.say("<enable xmlns='urn:xmpp:sm:3'/>", b"<enabled")
        return line

    async def say(self, text: str, *wanted: bytes) -> bytes:
        """Send, and wait until one of some bytes has come."""
        self._gathered, self._wanted = b"", wanted
        self._found = asyncio.get_running_loop().create_future()
        self.transport.write(text.encode())
        return await asyncio.wait_for(self._found, 30)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = transport  # type: ignore[assignment]  # uvloop's transport is none of asyncio's classes

    def data_received(self, data: bytes) -> None:
        """Hand it on."""
        self.on_data(data)

    def _gather(self, data: bytes) -> None:
        self._gathered += data
        if self._found is not None and not self._found.done() and any(word in self._gathered for word in self._wanted):
            self._found.set_result(self._gathered)


class Pair:
    """A sender that asks for an acknowledgement after each message, and a receiver that gives them."""

    def __init__(self, number: int, sender: Line, receiver: Line) -> None:
        self.on_ack: Callable[[int], None] = lambda _: None
        self.received = 0
        self._to = f"r{number}@localhost/x"
        self._sender = sender
        self._receiver = receiver
        self._acked = 0
        self._tail = b""
        sender.on_data = self._acknowledged
        receiver.on_data = self._arrived

    def send(self, _: int) -> None:
        """A message and a request to acknowledge it."""
        text = f"<message to='{self._to}' type='chat'><body>{_BODY}</body></message><r xmlns='urn:xmpp:sm:3'/>"
        self._sender.transport.write(text.encode())

    def close(self) -> None:
        """Cut both connections."""
        self._sender.transport.abort()
        self._receiver.transport.abort()

    def _acknowledged(self, data: bytes) -> None:
        for found in _ACK.finditer(data):
            while self._acked < int(found[1]):
                self._acked += 1
                self.on_ack(self._acked - 1)

    def _arrived(self, data: bytes) -> None:
        seen = self._tail + data
        self.received += seen.count(b"</message>")
        self._tail = seen[-9:]
        if b"<r " in data:
            self._receiver.transport.write(f"<a xmlns='urn:xmpp:sm:3' h='{self.received}'/>".encode())


async def pair(port: int, number: int) -> Pair:
    """A sender and a receiver, the latter present."""
    sender, receiver = await Line.open(port, f"s{number}"), await Line.open(port, f"r{number}")
    receiver.transport.write(b"<presence/>")
    return Pair(number, sender, receiver)


async def idle(port: int) -> asyncio.Transport:
    """A connection that does nothing."""
    return (await Line.open(port, f"i{next(_NUMBERS)}")).transport
