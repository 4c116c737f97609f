"""The files of ``server/deploy``, read by the programs they are for, where those are installed."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from server.test_init import certificate
from server.test_proxies import caddy, nginx
from troth_protocol.errors import UserError
from troth_server import config, quiet

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "server" / "deploy"
MOST_EXPOSED = 15
"""Tenths of ``systemd-analyze security``'s exposure level, of 100."""


def needs(program: str, package: str) -> str:
    found = shutil.which(program, path="/usr/bin:/usr/sbin:/bin:/sbin:/usr/local/bin")
    if found is None:
        pytest.skip(f"{program} is not installed: apt-get install {package}")
    return found


def ran(*command: str) -> tuple[int, str]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def test_the_unit_is_hardened() -> None:
    analyze = needs("systemd-analyze", "systemd")
    unit = str(DEPLOY / "troth-relay.service")
    code, said = ran(analyze, "security", "--offline=yes", f"--threshold={MOST_EXPOSED}", "--no-pager", unit)
    assert code == 0, said
    assert ran(analyze, "security", "--offline=yes", "--threshold=1", "--no-pager", unit)[0] != 0  # it does measure


def test_the_units_say_what_the_relay_needs() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(DEPLOY / "troth-relay.service")
    service = unit["Service"]
    assert service["Type"] == "notify"
    assert service["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert service["ExecStart"].endswith("troth-relay serve --data ${STATE_DIRECTORY}")
    assert (service["LimitCORE"], service["UMask"], service["RestartPreventExitStatus"]) == ("0", "0077", "1")
    assert int(service["LimitNOFILE"]) > config.Config(Path()).max_connections + 100
    assert int(service["WatchdogSec"]) > 20
    paths = re.findall(r"relay\.example/relay\.example\.crt", (DEPLOY / "troth-relay-cert.service").read_text())
    assert len(paths) == 1
    for name in ("troth-relay.socket", "troth-relay-cert.path", "troth-relay-cert.service"):
        assert "[Install]" in (DEPLOY / name).read_text()


def test_where_limits_cannot_be_set_they_must_have_been(monkeypatch: pytest.MonkeyPatch) -> None:
    """The unit's SystemCallFilter refuses setrlimit; without LimitCORE=0 the relay refuses to start."""

    def refused(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("resource.setrlimit", refused)
    monkeypatch.setattr("ctypes.CDLL", refused)
    monkeypatch.setattr("faulthandler.disable", lambda: None)
    for limit, allowed in (("0                    0", True), ("unlimited            unlimited", False)):
        monkeypatch.setattr(Path, "read_text", lambda _, limit=limit: f"Max core file size        {limit} bytes\n")
        if allowed:
            quiet.no_dumps()
        else:
            with pytest.raises(UserError, match="LimitCORE"):
                quiet.no_dumps()


def test_nginx_reads_its_example(tmp_path: Path) -> None:
    needs("nginx", "nginx-light")
    command = nginx(tmp_path, 1, *certificate(tmp_path, "web", "localhost"))
    code, said = ran(*command, "-t")
    assert code == 0, said


def test_caddy_reads_its_example(tmp_path: Path) -> None:
    program = needs("caddy", "caddy")
    caddy(tmp_path, 1, *certificate(tmp_path, "web", "localhost"))
    for file in (tmp_path / "Caddyfile", DEPLOY / "Caddyfile"):
        code, said = ran(program, "adapt", "--config", str(file), "--adapter", "caddyfile")
        assert code == 0, said


def test_tor_reads_its_example(tmp_path: Path) -> None:
    program = needs("tor", "tor")
    text = (DEPLOY / "torrc").read_text()
    assert "/var/lib/tor/troth-relay" in text
    (tmp_path / "torrc").write_text(text.replace("/var/lib/tor/troth-relay", str(tmp_path / "service")))
    code, said = ran(
        program, "--verify-config", "-f", str(tmp_path / "torrc"), "--DataDirectory", str(tmp_path / "data"),
        "--defaults-torrc", "/dev/null",
    )  # fmt: skip
    assert code == 0, said


def test_the_container_file_takes_what_is_there() -> None:
    """It cannot be built where there is no container engine; at least each file it copies exists."""
    text = (DEPLOY / "Containerfile").read_text()
    copied = [line.split()[1:-1] for line in text.splitlines() if line.startswith("COPY ") and "--from" not in line]
    assert copied
    for name in (name for names in copied for name in names):
        assert (ROOT / name).exists()
    assert "USER 65534:65534" in text
    assert "--require-hashes" in text


def test_no_example_logs_who_connects() -> None:
    troth = re.findall(r"location = /\S+ \{(.*?)\n    \}", (DEPLOY / "nginx.conf").read_text(), re.DOTALL)
    assert len(troth) == 2
    assert all("access_log off;" in each for each in troth)
    lines = (DEPLOY / "Caddyfile").read_text().splitlines()
    assert not [line for line in lines if line.strip().startswith("log")]
    assert 'proxy_set_header X-Forwarded-For "";' in troth[0]
