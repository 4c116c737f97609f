"""What the lab's people use: a relay, a forwarder beside a web site, three proxies of others, and two accounts.

Ann sits behind the censor, Ben in the free network. Everything is a process of its own, started by its real command.
"""

from __future__ import annotations

import json
import re
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess, Popen
from typing import Final

from disruption.lab import BRIDGE, FORWARDER, MOVED, PROXIES, PROXY, RELAY, SOCKS, Lab
from troth_protocol import primitives

BIN: Final = Path(sys.executable).parent
PORT: Final = 7_443
NGINX: Final = """\
daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log crit;
events {{ worker_connections 256; }}
http {{
  access_log off; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{
    listen {address}:8443 ssl; ssl_protocols TLSv1.2 TLSv1.3; root {folder};
    ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
  }}
}}
"""
SITE: Final = "8443"
TRIES: Final = 3
"""Verbs that may end without a connection before the one that gets through; each tries every route."""


@dataclass
class Outcome:
    """What came of one scenario: a row of the table."""

    scenario: str
    route: str = ""
    seconds: float = 0.0
    lost: int = 0
    direct: str = "-"
    """Bytes past the proxies, where that is forbidden."""
    said: str = ""


@dataclass
class World:
    """Everything that serves, and Ann and Ben."""

    lab: Lab
    folder: Path
    link: str = ""
    routes: dict[str, str] = field(default_factory=dict)
    relay: Popen[str] | None = None
    forwarder: Popen[str] | None = None
    sent: list[str] = field(default_factory=list)

    def set_up(self) -> None:
        """Start it all; Ann and Ben meet while nobody censors."""
        lab, data = self.lab, str(self.folder / "relay")
        (self.folder / "passphrase").write_text("correct horse\n")
        lab.run(
            lab.free, str(BIN / "troth-relay"), "init", "--data", data, "--host", "relay.test", "--bind", RELAY,
            "--port", str(PORT),
        )  # fmt: skip
        self.link = lab.run(lab.free, str(BIN / "troth-relay"), "card", "--data", data).strip()
        self.serve()
        self._site()
        self.forward()
        self._proxies()
        for who, where in (("ann", lab.client), ("ben", lab.free)):
            self.did(who, where, "init", "--relay", self.link, "--name", who)
        for link in self.routes.values():
            self.did("ann", lab.client, "routes", "add", link)
        card = json.loads(self.did("ben", lab.free, "card").splitlines()[0])["link"]
        self.did("ann", lab.client, "add", card, "--name", "ben")
        self.did("ben", lab.free, "receive")
        self.did("ben", lab.free, "accept", "ann")
        self.did("ann", lab.client, "receive")

    # Services.

    def serve(self) -> None:
        """Start the relay, or start it anew."""
        if self.relay is not None:
            self.lab.stop(self.relay)
        self.relay = self.lab.start(
            self.lab.free, str(BIN / "troth-relay"), "serve", "--data", str(self.folder / "relay"), says="serving"
        )

    def forward(self) -> None:
        """Start the forwarder, or start it anew; it has found its relay when this returns."""
        if self.forwarder is not None:
            self.lab.stop(self.forwarder)
        process = self.forwarder = self.lab.start(
            self.lab.free, str(BIN / "troth-relay"), "forwarder", "--data", str(self.folder / "forwarder"),
            "--host", FORWARDER, "--bind", FORWARDER, "--port", "443", "--name", "www.garden.test",
            "--relay", self.link, "--site", f"{FORWARDER}:{SITE}", "--allow-private-addresses-for-tests-only",
            says="forwarding on port 443",
        )  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("troth-route:"):
                self.routes["tunnel"] = line.strip()
            if line.startswith("1 of 1"):
                return
            assert not line.startswith("0 of 1"), "the forwarder did not find the relay"

    def _site(self) -> None:
        folder = self.folder / "site"
        folder.mkdir()
        (folder / "index.html").write_text("<h1>Gardens</h1>\n")
        certificate, key = primitives.self_signed_certificate(("www.garden.test",), int(time.time()), 30, "garden")
        (folder / "cert.pem").write_bytes(certificate)
        (folder / "key.pem").write_bytes(key)
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder, address=FORWARDER))
        self.lab.start(self.lab.free, "nginx", "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf"))

    def _proxies(self) -> None:
        lab, free = self.lab, self.lab.free
        lab.start(free, "microsocks", "-i", SOCKS, "-p", "1080")
        self.routes["socks"] = f"socks5h://{SOCKS}:1080"
        conf = self.folder / "tinyproxy.conf"
        conf.write_text(
            f"Port 8888\nListen {PROXY}\nMaxClients 50\nBasicAuth ann orchard\nConnectPort {PORT}\nLogLevel Critical\n"
        )
        lab.start(free, "tinyproxy", "-d", "-c", str(conf))
        self.routes["connect"] = f"http://ann:orchard@{PROXY}:8888"
        state = self.folder / "obfs4"
        state.mkdir()
        bridge = lab.start(
            free, "obfs4proxy", TOR_PT_MANAGED_TRANSPORT_VER="1", TOR_PT_STATE_LOCATION=str(state),
            TOR_PT_EXIT_ON_STDIN_CLOSE="1", TOR_PT_SERVER_TRANSPORTS="obfs4",
            TOR_PT_SERVER_BINDADDR=f"obfs4-{BRIDGE}:9443", TOR_PT_ORPORT=f"{RELAY}:{PORT}",
        )  # fmt: skip
        assert bridge.stdout is not None
        for line in bridge.stdout:
            found = re.search(r"cert=([^,]+)", line)
            if found:
                self.routes["obfs4"] = f"pt+obfs4://{BRIDGE}:9443?cert={found[1].replace('+', '%2B')}&iat-mode=0"
                return

    def move(self) -> None:
        """Sign a descriptor with the new address beside the old one; the old place is left at the next ``serve``."""
        data = str(self.folder / "relay")
        self.lab.run(
            self.lab.free, str(BIN / "troth-relay"), "ledger", "descriptor", "--data", data,
            "--host", "relay.test", "--host", MOVED,
        )  # fmt: skip

    def bind(self, address: str) -> None:
        """From the next start the relay listens there."""
        toml = self.folder / "relay" / "relay.toml"
        toml.write_text(re.sub(r'^bind = "[^"]*"', f'bind = "{address}"', toml.read_text(), flags=re.MULTILINE))

    # People.

    def troth(self, who: str, where: str, *arguments: str, **more: str) -> CompletedProcess[str]:
        """One verb, whatever comes of it."""
        return self.lab.attempt(
            where, str(BIN / "troth"), "--profile", str(self.folder / who), "--json", *arguments,
            more={"TROTH_PASSPHRASE_FILE": str(self.folder / "passphrase"), **more},
        )  # fmt: skip

    def did(self, who: str, where: str, *arguments: str) -> str:
        """One verb that must work; its lines."""
        done = self.troth(who, where, *arguments)
        assert done.returncode == 0, f"{who} {arguments[:2]}: {done.stdout} {done.stderr}"
        return done.stdout

    def texts(self, who: str, contact: str) -> list[str]:
        """What somebody has received, oldest first."""
        where = self.lab.client if who == "ann" else self.lab.free
        lines = self.did(who, where, "history", contact, "--limit", "100000").splitlines()
        return [line["text"] for line in map(json.loads, lines) if line.get("state") == "received"]

    def write(self, scenario: str, **more: str) -> Outcome:
        """Ann writes to Ben and he answers, both must arrive; which way it went, and how long the first took."""
        lab = self.lab
        lab.counted()
        began = time.monotonic()
        said: list[str] = []
        done = self.troth("ann", lab.client, "send", "ben", f"from ann: {scenario}", **more)
        while done.returncode == 3 and len(said) < TRIES:  # kept, as it says: whatever connects next takes it along
            said.append(str(json.loads(done.stderr.splitlines()[-1])["code"]))
            done = self.troth("ann", lab.client, "receive", **more)
        seconds = time.monotonic() - began
        assert done.returncode == 0, f"{done.stdout} {done.stderr}"
        got = _received(self.did("ben", lab.free, "receive"))
        self.did("ben", lab.free, "send", "ann", f"from ben: {scenario}")
        answered = self.troth("ann", lab.client, "receive", **more)
        assert answered.returncode == 0, f"{answered.stdout} {answered.stderr}"
        self.sent.append(scenario)
        lost = (f"from ann: {scenario}" not in got) + (f"from ben: {scenario}" not in _received(answered.stdout))
        counted = lab.counted()
        route = max(("direct", *PROXIES), key=lambda name: counted[name])
        return Outcome(scenario, route, seconds, lost, f"{counted['direct']}", " ".join(said))

    def doubled_or_lost(self) -> list[str]:
        """What of all that was sent is not there exactly once."""
        wrong = []
        for who, other in (("ann", "ben"), ("ben", "ann")):
            texts = self.texts(who, other)
            wrong += [each for each in self.sent if texts.count(f"from {other}: {each}") != 1]
        return wrong


def _received(output: str) -> list[str]:
    """The texts that a ``receive`` printed."""
    return [line["text"] for line in map(json.loads, output.splitlines()) if line.get("type") == "message"]
