"""``init``, ``ledger`` and ``invite``: a relay made from questions or flags, and what its operator signs later."""

from __future__ import annotations

import os
import pty
import ssl
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from server.test_cli import run
from troth_protocol import ownership, primitives
from troth_protocol.card import JoinLink
from troth_protocol.errors import UserError
from troth_server import config as configuration
from troth_server import standing, tls
from troth_server.admission import Admission, Mode
from troth_server.cli import main
from troth_server.config import Config, Page, Tls, TlsMode
from troth_server.ledger_file import LedgerFile
from troth_server.verbs.init import Answers, ask


def certificate(folder: Path, name: str, host: str = "relay.example") -> tuple[Path, Path]:
    made, key = primitives.self_signed_certificate((host,), int(time.time()), 90)
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    paths[0].write_bytes(made)
    paths[1].write_bytes(key)
    return paths


def init(data: Path, *flags: str) -> Config:
    assert main(["init", "--data", str(data), *flags]) == 0
    return configuration.load(data)


def said(*answers: str) -> Callable[[str], str]:
    waiting: Iterator[str] = iter(answers)
    return lambda _: next(waiting)


def test_three_questions_make_a_relay() -> None:
    page = Page(True, "", "Ann", "ann@example", "")
    assert ask(said("relay.example 192.0.2.7", "", "Ann", " ann@example ")) == Answers(
        ("relay.example", "192.0.2.7"), Tls(), page
    )
    assert ask(said("", "1", "", "")) == Answers((), Tls(), Page())
    assert ask(said("h.example", "2", "/c.pem", "/k.pem", "", "")).tls == Tls(TlsMode.FILES, "/c.pem", "/k.pem")
    assert ask(said("h.example", "3", "/c.pem", "", "")).tls == Tls(TlsMode.PROXY, "/c.pem", "")
    for wrong in (("h", "4"), ("h", "2", "", ""), ("h", "2", "/c.pem", ""), ("h", "3", "")):
        with pytest.raises(UserError):
            ask(said(*wrong))


def test_a_relay_with_its_own_certificate_pins_it(tmp_path: Path) -> None:
    config = init(
        tmp_path / "r", "--host", "192.0.2.7", "--public-port", "443", "--admission", "invitation",
        "--operator", 'Ann "A" Ames', "--contact", "a\\b", "--name", "Ü", "--metrics-port", "9100",
    )  # fmt: skip
    assert config.page == Page(True, "Ü", 'Ann "A" Ames', "a\\b", "")
    assert (config.admission, config.metrics_port, config.bind, config.port) == (
        Mode.INVITATION, 9_100, "0.0.0.0", 7_443,  # noqa: S104
    )  # fmt: skip
    stands = standing.load(config.data, int(time.time()))
    address = stands.ledger.address()
    assert address.hosts == (("192.0.2.7", 443),)
    assert address.pins == stands.tls.key_hashes
    assert stands.tls.context is not None


def test_acme_files_are_checked_like_a_web_site_or_pinned(tmp_path: Path) -> None:
    made, key = certificate(tmp_path, "acme")
    flags = ("--host", "relay.example", "--tls", "files", "--certificate", str(made), "--key", str(key))
    web = standing.load(init(tmp_path / "web", *flags).data, int(time.time()))
    assert web.ledger.address().pins is None
    pinned = standing.load(init(tmp_path / "pin", *flags, "--pin").data, int(time.time()))
    assert pinned.ledger.address().pins == pinned.tls.key_hashes == web.tls.key_hashes
    # A new key: as good as the old one where names count, refused where keys are pinned.
    certificate(tmp_path, "acme")
    renewed = standing.load(tmp_path / "web", int(time.time())).following(web)
    assert len(renewed.tls.key_hashes) == 2
    assert renewed.tls.key_hashes[1] == web.tls.key_hash  # whoever shook hands just before can still prove
    with pytest.raises(UserError, match="TLS key is not one"):
        standing.load(tmp_path / "pin", int(time.time()))


def test_behind_a_proxy_only_its_certificate_is_read(tmp_path: Path) -> None:
    made, key = certificate(tmp_path, "proxy")
    flags = ("--host", "relay.example", "--tls", "proxy", "--certificate", str(made))
    config = init(tmp_path / "r", *flags, "--socket", "relay.sock")
    assert (config.bind, config.socket, config.tls.key) == ("127.0.0.1", "relay.sock", "")
    key.unlink()
    stands = standing.load(config.data, int(time.time()))
    assert stands.ledger.address().hosts == (("relay.example", 443),)
    assert stands.ledger.address().pins is None
    assert stands.tls == tls.Tls(None, (tls.proxied(made).key_hash,))
    # Pinned, and without the file: the ledger's keys are the proxy's.
    pinned = init(tmp_path / "p", *flags, "--pin")
    text = (pinned.data / "relay.toml").read_text().replace(f'certificate = "{made}"', 'certificate = ""')
    (pinned.data / "relay.toml").write_text(text)
    assert standing.load(pinned.data, int(time.time())).tls.key_hashes == stands.tls.key_hashes
    (config.data / "relay.toml").write_text(
        (config.data / "relay.toml").read_text().replace(f'certificate = "{made}"', 'certificate = ""')
    )
    with pytest.raises(UserError, match="must name its certificate"):
        standing.load(config.data, int(time.time()))


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--tls", "files"], "needs --certificate and --key"), (["--tls", "proxy"], "needs --certificate"),
        (["--tls", "proxy", "--certificate", "c", "--key", "k"], "must not have it"),
        (["--pin"], "go with"), (["--socket", "s"], 'needs mode "proxy"'),
        (["--tls", "proxy", "--certificate", "c", "--bind", "192.0.2.1"], "must be a loopback"),
        (["--bind", "example.org"], "must be an IP address"), (["--public-port", "0"], "0 will not do"),
        (["--metrics-port", "7443"], "must be another port"),
        (["--tls", "files", "--certificate", "/none/c", "--key", "/none/k"], "cannot be read"),
    ],
)  # fmt: skip
def test_a_mistake_leaves_nothing_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], text: str
) -> None:
    code, out, err = run(capsys, "init", "--data", str(tmp_path / "r"), "--host", "h.example", *flags)
    assert (code in (1, 3), out) == (True, "")
    (line,) = err.splitlines()
    assert text in line
    assert not (tmp_path / "r").exists()


def test_a_relay_that_is_there_is_said_before_a_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = init(tmp_path / "r")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _: pytest.fail("asked"))
    assert main(["init", "--data", str(config.data)]) == 1


@pytest.mark.parametrize("text", ["A" * 2_001, "\udcff", "\0"])
def test_a_text_that_the_file_or_the_page_cannot_hold_makes_nothing(tmp_path: Path, text: str) -> None:
    assert main(["init", "--data", str(tmp_path / "r"), "--host", "h.example", "--operator", text]) == 1
    assert not (tmp_path / "r").exists()


def test_a_full_disk_leaves_no_half_of_a_relay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.replace

    def full(path: Path, target: Path) -> Path:
        if target.name == "relay.toml":
            raise OSError(28, "No space left on device")
        return real(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", full)
        assert main(["init", "--data", str(tmp_path / "r")]) == 3
    assert list((tmp_path / "r").iterdir()) == []
    init(tmp_path / "r")  # nothing stands in the way of the next try


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can write into another user's folder")
def test_what_root_signs_stays_readable_for_the_relay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = init(tmp_path / "r", "--admission", "invitation")
    for path in (config.data, *config.data.iterdir()):
        os.chown(path, 65_534, 65_534)
    victim = tmp_path / "victim"
    victim.write_bytes(b"not the relay's")
    (config.data / "ledger.bin.new").symlink_to(victim)  # by whoever has taken the relay over
    assert run(capsys, "ledger", "descriptor", "--data", str(config.data))[0] == 0
    assert run(capsys, "invite", "--revoke-all", "--data", str(config.data))[0] == 0
    assert {path.stat().st_uid for path in config.data.iterdir()} == {65_534}
    assert (victim.read_bytes(), victim.stat().st_uid) == (b"not the relay's", 0)


def test_the_operator_key_is_kept_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "stick").mkdir()
    key = tmp_path / "stick" / "op.key"
    config = init(tmp_path / "r", "--operator-key", str(key))
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert not (config.data / "operator.key").exists()
    assert f"operator key: {key}" in capsys.readouterr().out
    code, _, err = run(capsys, "init", "--data", str(tmp_path / "other"), "--operator-key", str(key))
    assert code == 1
    assert "exists; nothing was changed" in err
    assert run(capsys, "ledger", "descriptor", "--data", str(config.data), "--host", "new.example")[0] == 3
    sign = ("ledger", "descriptor", "--data", str(config.data), "--operator-key", str(key))
    assert run(capsys, *sign, "--host", "new.example", "--port", "444")[0] == 0
    assert LedgerFile.read(config.ledger).address().hosts == (("new.example", 444),)
    code, out, _ = run(capsys, "ledger", "show", "--data", str(config.data))
    assert code == 0
    assert [line.split(",")[0] for line in out.splitlines()] == ["Where it is reached"] * 2
    assert "new.example port 444" in out


def test_a_next_key_can_be_pinned_before_it_is_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = init(tmp_path / "r")
    next_certificate, _ = certificate(tmp_path, "next")
    sign = ("ledger", "descriptor", "--data", str(config.data))
    assert run(capsys, *sign, "--also", str(next_certificate))[0] == 0
    pins = LedgerFile.read(config.ledger).address().pins
    assert pins == (
        tls.load(config.certificate, config.certificate_key).key_hash,
        tls.proxied(next_certificate).key_hash,
    )
    assert run(capsys, *sign, "--web")[0] == 0
    assert LedgerFile.read(config.ledger).address().pins is None
    assert run(capsys, *sign, "--web", "--also", str(next_certificate))[0] == 1
    assert run(capsys, *sign)[0] == 0  # as before
    assert LedgerFile.read(config.ledger).address().pins is None
    assert run(capsys, *sign, "--pin")[0] == 0
    assert LedgerFile.read(config.ledger).address().pins == (pins or ())[:1]
    (tmp_path / "x").mkdir()
    other = init(tmp_path / "x" / "r")
    code, _, err = run(capsys, *sign, "--operator-key", str(other.data / "operator.key"))
    assert (code, "not this ledger's" in err) == (1, True)


def test_an_invitation_is_a_link_and_can_be_taken_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = init(tmp_path / "r", "--host", "relay.example", "--admission", "invitation")
    capsys.readouterr()
    _, out, err = run(capsys, "card", "--data", str(config.data))
    assert JoinLink.from_link(out.strip()).invite == b""
    assert "needs an invitation" in err
    code, out, err = run(capsys, "invite", "--data", str(config.data), "--uses", "3", "--days", "2")
    assert (code, err) == (0, "")
    joining, now = JoinLink.from_link(out.strip()), int(time.time())
    assert joining.relay.host == "relay.example"
    admission = Admission(Mode.INVITATION, config.invite_key.read_bytes())
    ticket = admission.ticket(joining.invite, now)
    assert ticket is not None
    assert (ticket.uses, abs(ticket.expires - now - 2 * 86_400) < 10) == (3, True)
    assert run(capsys, "invite", "--data", str(config.data), "--revoke-all")[0] == 0
    void = Admission(Mode.INVITATION, config.invite_key.read_bytes()).ticket(joining.invite, now)
    assert void is not None
    assert void.uses == 0
    for flags in (("--uses", "0"), ("--uses", "65536"), ("--days", "0"), ("--days", "366")):
        assert run(capsys, "invite", "--data", str(config.data), *flags)[0] == 1
    assert len(run(capsys, "invite", "--data", str(config.data), "--qr")[1].splitlines()) > 10
    os.truncate(config.invite_key, 5)
    assert run(capsys, "invite", "--data", str(config.data))[0] == 1
    with pytest.raises(UserError, match="no key of invitations"):
        standing.load(config.data, now)


def test_a_proof_is_bound_to_the_key_that_a_client_sees(tmp_path: Path) -> None:
    """The relay hashes the key in the file; the client hashes the key in the handshake. They are one. [R-10.1-4]"""
    made, _ = certificate(tmp_path, "c")
    der = ssl.PEM_cert_to_DER_cert(made.read_text())
    assert tls.proxied(made).key_hash == ownership.tls_key_hash(der)


def test_a_reload_takes_no_ledger_that_lost_or_changed_entries(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = init(tmp_path / "r")
    first = standing.load(config.data, int(time.time()))
    assert run(capsys, "ledger", "descriptor", "--data", str(config.data))[0] == 0
    second = standing.load(config.data, int(time.time()))
    assert second.following(first).ledger == second.ledger
    with pytest.raises(UserError, match="rollback"):
        first.following(second)
    (tmp_path / "x").mkdir()
    other = standing.load(init(tmp_path / "x" / "r").data, int(time.time()))
    with pytest.raises(UserError, match="another operator"):
        other.following(first)


def test_questions_are_asked_on_a_terminal_only(tmp_path: Path) -> None:
    for answers, code in ((b"relay.example\n\nAnn\n\n", 0), (b"relay.example\n\x04", 1)):
        ours, theirs = pty.openpty()
        os.write(ours, answers)
        data = tmp_path / str(code)
        command = [sys.executable, "-m", "troth_server", "init", "--data", str(data)]
        done = subprocess.run(command, stdin=theirs, stdout=theirs, stderr=theirs, timeout=30, check=False)
        os.close(theirs)
        said = os.read(ours, 65_536).decode()
        os.close(ours)
        assert done.returncode == code, said
        assert "1. By which names" in said
        assert data.exists() == (code == 0)
    assert LedgerFile.read(tmp_path / "0" / "ledger.bin").address().hosts == (("relay.example", 7_443),)
    assert configuration.load(tmp_path / "0").page.operator == "Ann"
