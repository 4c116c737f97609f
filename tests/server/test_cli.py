"""``troth-relay``'s verbs and files: one clear line for each mistake, and the exit code that says whose it is."""

from __future__ import annotations

import argparse
import dataclasses
import os
import shutil
import stat
import time
from pathlib import Path

import pytest

from troth_protocol import labels, ledger
from troth_protocol.card import RelayAddress
from troth_protocol.errors import DecodeError, StorageError, UserError
from troth_protocol.keys import VerifyKey
from troth_protocol.primitives import SystemRandomness
from troth_server import cli, operator, tls
from troth_server import config as configuration
from troth_server.admission import Mode
from troth_server.cli import main
from troth_server.config import Config, Page, Tls, TlsMode
from troth_server.ledger_file import LedgerFile
from troth_server.limits import DAY, BlobQuotas, Bucket, Quotas, hour
from troth_server.operator import Operator


@pytest.fixture(autouse=True)
def _loud(monkeypatch: pytest.MonkeyPatch) -> None:
    """``serve`` makes its process quiet for good; this one is pytest's."""
    monkeypatch.setattr("troth_server.quiet.hush", lambda: None)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    try:
        code = main(arguments)
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else 2
    out, err = capsys.readouterr()
    return code, out, err


def test_init_makes_a_relay_and_card_prints_its_link(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "relay"
    code, out, err = run(capsys, "init", "--data", str(data), "--host", "relay.example", "--host", "192.0.2.7")
    assert (code, err) == (0, "")
    assert str(data / "operator.key") in out
    assert f"Next: troth-relay serve --data {data}" in out
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in data.iterdir()} == dict.fromkeys(
        ("relay.toml", "tls-cert.pem", "tls-key.pem", "ledger.bin", "invite.key", "operator.key"), 0o600
    )
    file = LedgerFile.read(data / "ledger.bin")
    code, out, err = run(capsys, "card", "--data", str(data))
    assert (code, err) == (0, "")
    assert RelayAddress.from_link(out.strip()) == RelayAddress("relay.example", 7_443, file.fingerprint)
    code, out, _ = run(capsys, "card", "--data", str(data), "--qr")
    assert code == 0
    assert len(out.splitlines()) > 10


def test_init_refuses_to_overwrite(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "init", "--data", str(tmp_path))[0] == 0
    for name in ("relay.toml", "tls-key.pem", "ledger.bin", None):
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        code, _, err = run(capsys, "init", "--data", str(tmp_path))
        assert code == 1
        assert "exists; nothing was changed" in err
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
        if name is not None:
            (tmp_path / name).unlink()


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["init", "--data", "{}", "--host", "Bad Host"], 1, "a host is"),
        (["init", "--data", "{}", *["--host", "h.example"] * 9], 1, "1 to 8"),
        (["init", "--data", "{}", "--port", "0"], 1, "0 will not do"),
        (["init", "--data", "{}", "--port", "65536"], 1, "not a port"),
        (["serve", "--data", "{}"], 1, "troth-relay init"),
        (["card", "--data", "{}"], 1, "troth-relay init"),
        (["dance"], 1, "invalid choice"),
        ([], 1, "VERB"),
        (["init", "--data", "/proc/nowhere"], 3, "cannot be made"),
    ],
)
def test_a_mistake_is_one_line_and_an_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, text: str
) -> None:
    got, out, err = run(capsys, *(argument.format(tmp_path / "none") for argument in arguments))
    assert (got, out) == (code, "")
    (line,) = err.splitlines()
    assert text in line


@pytest.fixture
def data(founded: tuple[Config, LedgerFile], tmp_path: Path) -> Path:
    """A copy of a relay's files, to be damaged."""
    return Path(shutil.copytree(founded[0].data, tmp_path / "copy"))


def swap_tls_key(data: Path) -> None:
    operator.found(Config(data / "x", port=9), ("127.0.0.1",), int(time.time()), SystemRandomness())
    for name in ("tls-cert.pem", "tls-key.pem"):
        (data / "x" / name).replace(data / name)


def swap_key_only(data: Path) -> None:
    operator.found(Config(data / "x", port=9), ("127.0.0.1",), int(time.time()), SystemRandomness())
    (data / "x" / "tls-key.pem").replace(data / "tls-key.pem")


def cut_ledger(data: Path) -> None:
    os.truncate(data / "ledger.bin", 2_500)


def empty_ledger(data: Path) -> None:
    os.truncate(data / "ledger.bin", 1_984)


def old_ledger(data: Path) -> None:
    keys = Operator.read(data / "operator.key")
    pin = tls.load(data / "tls-cert.pem", data / "tls-key.pem").key_hash
    past = int(time.time()) - 2 * ledger.YEAR
    keys.describe(keys.new_ledger(), (("127.0.0.1", 9),), pin, past, SystemRandomness()).write(data / "ledger.bin")


def spoil(name: str, content: bytes | None) -> object:
    def damage(data: Path) -> None:
        if content is None:
            (data / name).unlink()
        else:
            (data / name).write_bytes(content)

    return damage


@pytest.mark.parametrize(
    ("damage", "code", "text"),
    [
        (swap_tls_key, 1, "not one the ledger's newest descriptor names"),
        (swap_key_only, 1, "is not the key of"),
        (cut_ledger, 1, "damaged: ledger entry at byte"),
        (empty_ledger, 1, "no descriptor"),
        (old_ledger, 1, "has expired"),
        (spoil("ledger.bin", None), 3, "cannot be read"),
        (spoil("tls-cert.pem", None), 3, "cannot be read"),
        (spoil("tls-cert.pem", b"noise"), 1, "no PEM certificate"),
        (spoil("tls-key.pem", b"noise"), 1, "is not the key of"),
        (spoil("relay.toml", b"port = ["), 1, "relay.toml"),
        (spoil("relay.toml", b"\xff"), 1, "relay.toml"),
        (spoil("relay.toml", b'bind = "127.0.0.1"\nport = "x"'), 1, "port must be"),
        (spoil("relay.db", b"noise" * 999), 70, "database cannot be used"),
    ],
)
def test_serve_refuses_to_start_with_what_no_client_would_accept(
    data: Path, capsys: pytest.CaptureFixture[str], damage: object, code: int, text: str
) -> None:
    assert callable(damage)
    damage(data)
    got, out, err = run(capsys, "serve", "--data", str(data))
    assert (got, out) == (code, "")
    (line,) = err.splitlines()
    assert text in line


# Files.


def test_what_was_interrupted_is_not_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: argparse.Namespace) -> int:
        raise KeyboardInterrupt

    monkeypatch.setitem(cli.VERBS, "backup", dataclasses.replace(cli.VERBS["backup"], run=interrupted))
    code, _, err = run(capsys, "backup", "--data", str(tmp_path), str(tmp_path / "f"))
    assert (code, err) == (1, "troth-relay: interrupted; it is not done\n")


def test_the_configuration_file_says_every_value(tmp_path: Path) -> None:
    config = Config(
        tmp_path, "::1", 12_345, "sqlite", Quotas(9, 70_000, 3 * DAY, 40 * DAY, 4, 5, BlobQuotas(1, 2, 3, 4, 5)),
        77, 88, 99, socket="r.sock", metrics_port=9, tls=Tls(TlsMode.PROXY, "c.pem", ""), admission=Mode.CLOSED,
        page=Page(False, "Ü\n\x7f\x1b\\", '"', "'", "$x\u2028"),
    )  # fmt: skip
    assert {each.name for each in dataclasses.fields(config)} - {"rates"} == {
        "data", "bind", "port", "store", "quotas", "max_connections", "creations_at_once", "creations_per_minute",
        "socket", "metrics_port", "tls", "admission", "page",
    }  # fmt: skip
    (tmp_path / "relay.toml").write_text(config.toml())
    assert configuration.load(tmp_path) == config


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("port = 7443", "port = 65536", "port must be a number from 0 to 65535"),
        ("port = 7443", "port = true", "port must be"),
        ('store = "sqlite"', "store = 1", "store must be a string"),
        ("retention_days = 14", "retention_days = 15", "from 1 to 14"),
        ("cards = 64", "cards = 64\ncrads = 1", "unknown setting crads"),
        ("spares = 1024", "sparse = 1024", "unknown setting sparse"),
        ("[limits]", "[[limits]]", "must be a table"),
    ],
)
def test_a_mistyped_setting_is_named(tmp_path: Path, old: str, new: str, text: str) -> None:
    good = Config(tmp_path).toml()
    assert old in good
    (tmp_path / "relay.toml").write_text(good.replace(old, new))
    with pytest.raises(UserError, match=text):
        configuration.load(tmp_path)


def test_a_file_of_an_earlier_version_goes_on_working(tmp_path: Path) -> None:
    """What it does not say has its default; what it says counts."""
    (tmp_path / "relay.toml").write_text("port = 8443\n[quotas]\ncards = 3\n")
    config = configuration.load(tmp_path)
    assert (config.port, config.quotas.cards, config.quotas.spares) == (8443, 3, Config(tmp_path).quotas.spares)
    assert config.rates == Config(tmp_path).rates


def test_the_ledger_file_is_what_clients_verify(founded: tuple[Config, LedgerFile]) -> None:
    config, file = founded
    assert LedgerFile.read(config.ledger) == file
    key = VerifyKey(file.operator)
    assert key.fingerprint(labels.OPERATOR) == file.fingerprint
    (entry,) = file.entries
    read = ledger.Ledger(file.fingerprint).extend(entry, key)
    descriptor = read.pinned(int(time.time()))
    served = tls.load(config.certificate, config.certificate_key)
    assert descriptor == ledger.Descriptor((("127.0.0.1", 9),), ledger.TlsMode.PIN, (served.key_hash,))
    # The relay's own small reader finds the same.
    address = file.address()
    assert (address.hosts, address.pins) == (descriptor.hosts, descriptor.pins)
    assert address.expires == read.descriptor_expires


def test_the_newest_descriptor_counts_and_others_are_passed_over(founded: tuple[Config, LedgerFile]) -> None:
    config, file = founded
    keys = Operator.read(config.data / operator.KEY_FILE)
    assert keys.fingerprint == file.fingerprint
    system, now = SystemRandomness(), int(time.time())
    moved = keys.describe(file, (("new.example", 1),), b"p" * 32, now, system)
    noted = keys.extend(moved, ledger.Kind.NOTICE, b"text", now, now + 9, system)
    assert noted.address().hosts == (("new.example", 1),)
    webpki = ledger.Descriptor((("web.example", 443),), ledger.TlsMode.WEBPKI, ())
    open_ = keys.extend(noted, ledger.Kind.DESCRIPTOR, webpki.encode(), now, now + 9, system)
    assert open_.address().pins is None
    read = ledger.Ledger(keys.fingerprint)
    for entry in open_.entries:
        read = read.extend(entry, keys.key.public)
    assert read.length == 4


def test_every_truncation_of_a_ledger_file_is_noticed(founded: tuple[Config, LedgerFile], tmp_path: Path) -> None:
    raw = founded[0].ledger.read_bytes()
    path = tmp_path / "ledger.bin"
    for cut in (*range(0, 1_984, 97), 1_985, 1_988, 2_000, len(raw) - 1):
        path.write_bytes(raw[:cut])
        with pytest.raises(DecodeError):
            LedgerFile.read(path)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, founded: tuple[Config, LedgerFile]) -> None:
    with pytest.raises(StorageError):
        founded[1].write(tmp_path / "none" / "ledger.bin")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"troth operator key 1\n00", b"troth operator key 2\n" + b"00" * 64, b"\xff"])
def test_what_is_no_operator_key_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "k").write_bytes(content)
    with pytest.raises(UserError, match="no operator key"):
        Operator.read(tmp_path / "k")


# Limits.


def test_a_bucket_gives_what_it_holds_then_what_flows_in() -> None:
    bucket = Bucket(2, 0.5)
    assert [bucket.take(100) for _ in range(3)] == [0, 0, 2]
    assert bucket.take(101) == 1
    assert bucket.take(102) == 0
    assert bucket.take(50) == 2  # a clock that goes back refills nothing
    assert [bucket.take(10**9) for _ in range(3)] == [0, 0, 2]


def test_hours() -> None:
    assert [hour(at) for at in (0, 3_599, 3_600, 7_300)] == [0, 0, 3_600, 7_200]
