"""A relay behind the real nginx and the real Caddy, from the files in ``server/deploy``: people write to each other
through each on the port that also serves a web site, and the certificate is verified like a web site's.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from server.test_init import certificate

BIN = Path(sys.executable).parent
DEPLOY = Path(__file__).parents[2] / "server" / "deploy"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def nginx(folder: Path, port: int, made: Path, key: Path) -> list[str]:
    """The site of the example inside the least there can be of an nginx.conf; the command."""
    site = (DEPLOY / "nginx.conf").read_text()
    for old, new in (
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"), ("listen [::]:443 ssl;", ""),
        ("relay.example;", "localhost;"),
        ("/etc/letsencrypt/live/relay.example/fullchain.pem;", f"{made};"),
        ("/etc/letsencrypt/live/relay.example/privkey.pem;", f"{key};"),
        ("/run/troth-relay.sock;", f"{folder}/relay/relay.sock;"), ("/var/www/html", f"{folder}/html"),
    ):  # fmt: skip
        assert old in site
        site = site.replace(old, new)
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;"
        f"events {{}} http {{ access_log {folder}/access.log; {temporary} {site} }}"
    )
    return [shutil.which("nginx") or "/usr/sbin/nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]


def caddy(folder: Path, port: int, made: Path, key: Path) -> list[str]:
    """The example, with the test's certificate in place of one that Caddy would fetch; the command."""
    site = (DEPLOY / "Caddyfile").read_text()
    for old, new in (
        ("relay.example {\n", f"https://localhost:{port} {{\n\tbind 127.0.0.1\n\ttls {made} {key}\n"),
        ("unix//run/troth-relay.sock", f"unix/{folder}/relay/relay.sock"), ("/var/www/html", f"{folder}/html"),
    ):  # fmt: skip
        assert old in site
        site = site.replace(old, new)
    options = "{\n\tadmin off\n\tauto_https disable_redirects\n\tskip_install_trust\n}\n"
    (folder / "Caddyfile").write_text(options + site)
    return ["caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


PROXIES: dict[str, Callable[[Path, int, Path, Path], list[str]]] = {"nginx": nginx, "caddy": caddy}


@dataclass
class Front:
    """A web server with a relay behind it."""

    folder: Path
    port: int
    link: str
    trusted: Path

    def troth(self, who: str, *arguments: str, stdin: str = "", trust: bool = True) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "TROTH_PASSPHRASE_FILE": str(self.folder / "passphrase")}
        if trust:
            environment["SSL_CERT_FILE"] = str(self.trusted)
        return subprocess.run(
            [BIN / "troth", "--profile", str(self.folder / who), "--json", *arguments],
            input=stdin, capture_output=True, text=True, env=environment, timeout=120, check=False,
        )  # fmt: skip

    def get(self, path: str) -> tuple[int, str]:
        context = ssl.create_default_context(cafile=self.trusted)
        try:
            with urllib.request.urlopen(f"https://localhost:{self.port}{path}", context=context, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


@pytest.fixture(params=sorted(PROXIES))
def front(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Front]:
    name = request.param
    if shutil.which(name) is None and not Path(f"/usr/sbin/{name}").exists():
        pytest.skip(f"{name} is not installed: apt-get install {name}")
    port, (made, key) = free_port(), certificate(tmp_path, "web", "localhost")
    (tmp_path / "html").mkdir()
    (tmp_path / "html" / "index.html").write_text("the web site\n")
    (tmp_path / "passphrase").write_text("correct horse\n")
    data = ["--data", str(tmp_path / "relay")]
    flags = ["--host", "localhost", "--tls", "proxy", "--certificate", str(made), "--socket", "relay.sock"]
    flags += ["--public-port", str(port), "--operator", "Ann"]
    subprocess.run([BIN / "troth-relay", "init", *data, *flags], check=True, capture_output=True)
    link = subprocess.run(
        [BIN / "troth-relay", "card", *data], check=True, capture_output=True, text=True
    ).stdout.strip()
    started: list[subprocess.Popen[str]] = []
    try:
        relay = subprocess.Popen([BIN / "troth-relay", "serve", *data], stdout=subprocess.PIPE, text=True)
        started.append(relay)
        assert relay.stdout is not None
        assert relay.stdout.readline() == f"serving on {tmp_path}/relay/relay.sock\n"
        command = PROXIES[name](tmp_path, port, made, key)
        environment = {
            **os.environ,
            "HOME": str(tmp_path),
            "XDG_DATA_HOME": str(tmp_path),
            "XDG_CONFIG_HOME": str(tmp_path),
        }
        with (tmp_path / "proxy.log").open("wb") as log:
            started.append(subprocess.Popen(command, stdout=log, stderr=log, env=environment, text=True))
        made_front = Front(tmp_path, port, link, made)
        deadline = time.monotonic() + 20
        while True:
            try:
                made_front.get("/")
                break
            except OSError:
                assert time.monotonic() < deadline, (tmp_path / "proxy.log").read_text()
                time.sleep(0.1)
        yield made_front
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(timeout=20)
            if process.stdout is not None:
                process.stdout.close()


@pytest.mark.slow
def test_people_write_through_a_web_server(front: Front) -> None:
    """[R-12.2-3] [R-10.1-4]"""
    assert front.get("/") == (200, "the web site\n")
    untrusting = front.troth("eve", "init", "--relay", front.link, "--name", "eve", trust=False)
    assert untrusting.returncode == 4  # the certificate is nobody's whom this machine trusts
    assert not (front.folder / "eve" / "vault.db").exists()
    for who in ("ann", "ben"):
        made = front.troth(who, "init", "--relay", front.link, "--name", who)
        assert made.returncode == 0, made.stderr
    card = json.loads(front.troth("ben", "card").stdout.splitlines()[0])["link"]
    assert front.troth("ann", "add", card, "--name", "ben").returncode == 0
    assert front.troth("ben", "receive").returncode == 0
    assert front.troth("ben", "accept", "ann").returncode == 0
    assert front.troth("ben", "send", "ann", "-", stdin="from ben\n").returncode == 0
    assert front.troth("ann", "receive").returncode == 0
    assert front.troth("ann", "send", "ben", "-", stdin="from ann\n").returncode == 0
    assert front.troth("ben", "receive").returncode == 0
    assert "from ben" in front.troth("ann", "history", "ben").stdout
    assert "from ann" in front.troth("ben", "history", "ann").stdout
    assert front.get("/") == (200, "the web site\n")
    status, page = front.get("/about-the-relay")
    assert status == 200
    assert "Ann" in page
    assert front.link in page
    status, text = front.get("/troth")  # without a WebSocket it is a path like any other of the relay's
    assert (status, text) == (404, "Not found.\n")
    access = front.folder / "access.log"
    assert not access.exists() or "/troth" not in access.read_text()
