"""``doctor``: each thing that can be wrong is made wrong, found, and comes with a way to mend it."""

from __future__ import annotations

import json
import os
import resource
import shutil
import socket
import sqlite3
import ssl
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from server.test_cli import run
from server.test_init import certificate, init
from server.test_proxies import free_port
from troth_protocol.primitives import SystemRandomness
from troth_server import doctor, operator, probe, standing
from troth_server.config import Config
from troth_server.doctor import DAY, Finding, examine, reached
from troth_server.ledger_file import LedgerFile
from troth_server.probe import Answered

NOW = int(time.time())
KEY, OTHER = b"k" * 32, b"o" * 32


@pytest.fixture
def config(tmp_path: Path) -> Config:
    made = init(tmp_path / "relay", "--port", str(free_port()))
    (made.data / "operator.key").rename(tmp_path / "operator.key")
    return made


def says(findings: list[Finding], text: str) -> Finding:
    for finding in findings:
        assert finding.mend
        assert "\n" not in finding.what + finding.mend
    return next(finding for finding in findings if text in finding.what)


def test_a_relay_that_only_does_not_run(
    config: Config, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "file_system", lambda *_: "ext4")
    monkeypatch.setattr(doctor, "fsync_seconds", lambda _: 0.001)
    found = [each for each in examine(config.data, NOW) if each.code]
    assert {each.what.split(" at ")[0] for each in found} == {"the relay does not run", "no relay can be reached"}
    assert says(found, "does not run").code == 1
    assert says(found, "no relay can be reached").code == 3
    capsys.readouterr()
    code, out, _ = run(capsys, "doctor", "--data", str(config.data))
    assert code == 1
    assert "WRONG  the relay does not run\n       start it: " in out
    code, out, _ = run(capsys, "doctor", "--data", str(config.data), "--json")
    assert {"code", "what", "mend"} == json.loads(out.splitlines()[0]).keys()


def test_files_that_others_can_read(config: Config) -> None:
    config.data.chmod(0o755)
    config.certificate_key.chmod(0o640)
    found = examine(config.data, NOW)
    assert says(found, "can look into").mend == f"chmod 700 {config.data}"
    assert says(found, "can read").mend == f"chmod 600 {config.certificate_key}"
    (config.data / "operator.key").write_text("x")
    assert says(examine(config.data, NOW), "still on this machine").code == 0
    if os.geteuid() == 0:
        os.chown(config.ledger, 65_534, 65_534)
        assert says(examine(config.data, NOW), "another user's").code == 1


def test_a_clock_that_is_wrong(config: Config) -> None:
    for wrong in (0, NOW - 2 * DAY):
        assert says(examine(config.data, wrong), "the clock says").code == 1


def test_dates_that_come_near(config: Config) -> None:
    later = NOW + 340 * DAY
    assert says(examine(config.data, later), "no client will connect").code == 1
    assert says(examine(config.data, NOW + 400 * DAY), "has expired").code == 1


def test_a_certificate_that_is_not_renewed(tmp_path: Path) -> None:
    made, key = certificate(tmp_path, "acme")
    flags = ("--host", "127.0.0.1", "--tls", "files", "--certificate", str(made), "--key", str(key))
    data = init(tmp_path / "relay", *flags, "--port", str(free_port())).data
    assert says(examine(data, NOW + 80 * DAY), "the certificate ends in").code == 1
    assert not [each for each in examine(data, NOW) if "certificate ends" in each.what]
    shutil.copy(certificate(tmp_path, "other")[0], made)
    assert says(examine(data, NOW), "is not the key of").code == 1


def test_keys_and_ledger_that_do_not_fit(config: Config, tmp_path: Path) -> None:
    keys = operator.Operator.read(tmp_path / "operator.key")
    file = LedgerFile.read(config.ledger)
    keys.describe(file, (("127.0.0.1", 9),), OTHER, NOW, SystemRandomness()).write(config.ledger)
    finding = says(examine(config.data, NOW), "TLS key is not one")
    assert (finding.code, "ledger descriptor" in finding.mend) == (1, True)


def test_a_disk_that_is_not_right(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = SimpleNamespace(total=10**12, used=0, free=10**8)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert says(examine(config.data, NOW), "MiB left").code == 3
    for kind, text in (("nfs4", "network file system"), ("tmpfs", "a restart may empty")):
        monkeypatch.setattr(doctor, "file_system", lambda *_, kind=kind: kind)
        assert says(examine(config.data, NOW), text).code == 3
    monkeypatch.setattr(doctor, "file_system", lambda *_: "ext4")
    for took, text, code in ((0.2, "takes 200 ms", 0), (1e-6, "faster than disks can", 3)):
        monkeypatch.setattr(doctor, "fsync_seconds", lambda _, took=took: took)
        assert says(examine(config.data, NOW), text).code == code


def test_the_kind_of_a_file_system(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        f"/dev/a / ext4 rw 0 0\nserver:/x {tmp_path} nfs4 rw 0 0\nb {tmp_path}/with\\040space xfs rw 0 0\n"
    )
    assert doctor.file_system(tmp_path / "relay", mounts) == "nfs4"
    assert doctor.file_system(tmp_path / "with space", mounts) == "xfs"
    assert doctor.file_system(Path("/etc"), mounts) == "ext4"
    assert doctor.file_system(tmp_path, tmp_path / "none") == ""
    assert doctor.fsync_seconds(tmp_path) > 0
    assert [path.name for path in tmp_path.iterdir()] == ["mounts"]


def test_a_machine_that_is_too_small(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (config.data / "relay.toml").read_text()
    (config.data / "relay.toml").write_text(text.replace("max_connections = 10000", "max_connections = 900000000"))
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1_024, 1_024))
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 37, 0))
    found = examine(config.data, NOW)
    assert says(found, "may have 1024 descriptors").code == 0
    assert says(found, "there is less").code == 0
    assert says(found, "is too old").code == 1


def test_a_folder_that_cannot_be_written_is_said_with_the_rest(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(folder: Path) -> float:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(doctor, "fsync_seconds", full)
    found = examine(config.data, NOW)
    assert says(found, "No space left on device").code == 3
    assert says(found, "does not run").code == 1


def test_another_relay_that_answers_on_the_port(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    own = standing.load(config.data, NOW).tls.key_hash
    for key, wrong in ((own, False), (OTHER, True)):
        monkeypatch.setattr(probe, "here", lambda *_, key=key: Answered(200, "ok\n", key))
        assert any("another relay" in each.what for each in examine(config.data, NOW)) == wrong


def test_a_damaged_ledger_is_named(config: Config) -> None:
    os.truncate(config.ledger, 7)
    assert "ledger.bin is damaged" in says(examine(config.data, NOW), "ledger.bin").what


def test_a_port_that_is_taken(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "SECONDS", 0.2)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", config.port))
        taken.listen()
        assert "it hangs: restart it" in says(examine(config.data, NOW), "cannot listen").mend


def test_a_host_that_leads_elsewhere() -> None:
    """What a client would meet: reverse proxies that do not pass a WebSocket, other keys, bad certificates."""

    def meets(answered: Answered | Exception, pins: tuple[bytes, ...] | None = (KEY,)) -> list[Finding]:
        def ask(host: str, port: int, *, web: bool) -> Answered:
            assert (host, port, web) == ("h", 1, pins is None)
            if isinstance(answered, Exception):
                raise answered
            return answered

        return list(reached("h", 1, pins, (KEY,), ask))

    assert meets(Answered(101, "", KEY)) == meets(Answered(101, "", KEY), None) == []
    assert says(meets(Answered(101, "", OTHER)), "than the ledger pins").code == 1
    assert says(meets(Answered(101, "", OTHER), None), "nobody can open a mailbox").code == 1
    assert "Upgrade" in says(meets(Answered(404, "", KEY)), "gets HTTP 404").mend
    assert says(meets(OSError()), "no relay can be reached").code == 3
    assert says(meets(ValueError()), "no relay can be reached").code == 3
    refused = ssl.SSLCertVerificationError("x")
    refused.verify_message = "certificate has expired"
    assert says(meets(refused, None), "certificate has expired").code == 1


def test_the_doctor_needs_a_relay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "doctor", "--data", str(tmp_path))
    assert code == 1
    assert "troth-relay init" in err
