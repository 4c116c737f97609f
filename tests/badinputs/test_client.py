"""What people and networks get wrong: one clear line, the right exit code, nothing lost. Real commands, real relay."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.stand import BIN, Stand, standing
from troth_client.events import Save
from troth_client.messenger import Messenger
from troth_client.vault.store import Vault
from troth_protocol.card import RelayAddress
from troth_protocol.primitives import SystemRandomness

MARKER = "PLANTED-MARKER"


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """A relay, and ann and ben who know each other."""
    with standing(tmp_path_factory.mktemp("stand")) as stand:
        stand.meet()
        yield stand


def refused(done: subprocess.CompletedProcess[str], code: int, name: str) -> None:
    """One JSON line on standard error with this code's name, and the exit code; no traceback."""
    assert done.returncode == code, done.stderr
    (line,) = done.stderr.splitlines()
    assert json.loads(line)["code"] == name


def test_a_malformed_link_is_refused_at_once(stand: Stand) -> None:
    """Cut short, mistyped, of another kind, not base64: BAD_LINK, exit 1. [R-5.2-1]"""
    good = stand.card("ben")
    middle = len(good) // 2
    other = "A" if good[middle] != "A" else "B"
    for bad in (
        good[:-1],
        good[:50],
        good[:middle] + other + good[middle + 1 :],
        "troth:",
        "hello",
        stand.link,
        good + "=",
    ):
        refused(stand.troth("ann", "add", bad), 1, "BAD_LINK")
    for bad in (stand.link[:-2], good, "troth-relay:%%%"):
        refused(stand.troth("new", "init", "--relay", bad), 1, "BAD_LINK")
    assert not (stand.folder / "new" / "vault.key").exists()


def test_a_wrong_passphrase_opens_nothing(stand: Stand) -> None:
    """B083: BAD_PASSPHRASE, exit 1, the files as they were."""
    wrong = stand.folder / "wrong"
    wrong.write_text("incorrect horse\n")
    before = (stand.folder / "ann" / "vault.db").read_bytes()
    stand.environment["TROTH_PASSPHRASE_FILE"], right = str(wrong), stand.environment["TROTH_PASSPHRASE_FILE"]
    try:
        refused(stand.troth("ann", "contacts"), 1, "BAD_PASSPHRASE")
    finally:
        stand.environment["TROTH_PASSPHRASE_FILE"] = right
    assert (stand.folder / "ann" / "vault.db").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("cut short", lambda raw: raw[:40]),
        ("another version", lambda raw: b"X" + raw[1:]),
        ("2 TiB of memory", lambda raw: raw[:20] + (2**41).to_bytes(8, "big") + raw[28:]),
        ("no passes", lambda raw: raw[:16] + bytes(4) + raw[20:]),
    ],
)
def test_a_damaged_key_file_is_refused_before_work(stand: Stand, tmp_path: Path, name: str, damage: object) -> None:
    """B083: truncated header and absurd parameters: STORAGE, exit 3, in no time and no memory."""
    assert callable(damage), name
    profile = tmp_path / "p"
    profile.mkdir()
    (profile / "vault.key").write_bytes(damage((stand.folder / "ann" / "vault.key").read_bytes()))
    refused(stand.troth(str(profile), "contacts"), 3, "STORAGE")


def test_a_damaged_vault_is_told_from_a_wrong_passphrase(stand: Stand, tmp_path: Path) -> None:
    """A flipped bit in a page: STORAGE, exit 3."""
    profile = tmp_path / "p"
    profile.mkdir()
    (profile / "vault.key").write_bytes((stand.folder / "ann" / "vault.key").read_bytes())
    raw = bytearray((stand.folder / "ann" / "vault.db").read_bytes())
    raw[len(raw) // 2] ^= 1
    (profile / "vault.db").write_bytes(raw[: len(raw) // 2 + 1])
    refused(stand.troth(str(profile), "contacts"), 3, "STORAGE")


def test_a_vault_in_use_is_left_alone(stand: Stand) -> None:
    """Two processes on one profile: VAULT_BUSY, exit 1; the first goes on. [A-70]"""
    follow = subprocess.Popen(
        [BIN / "troth", "--profile", stand.folder / "ann", "receive", "--follow"],
        env=stand.environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        stand.troth("ben", "send", "ann", "while ann follows")
        assert follow.stdout is not None
        assert "while ann follows" in follow.stdout.readline()
        refused(stand.troth("ann", "send", "ben", "no"), 1, "VAULT_BUSY")
    finally:
        follow.kill()
        follow.wait()


def test_an_unreachable_relay_keeps_what_was_written(stand: Stand) -> None:
    """CONNECTION_REFUSED, exit 3, the message is kept and goes later; init leaves nothing behind."""
    stand.process.kill()
    stand.process.wait()
    try:
        refused(stand.troth("ann", "send", "ben", "written while the relay was down"), 3, "CONNECTION_REFUSED")
        refused(stand.troth("ann", "receive"), 3, "CONNECTION_REFUSED")
        refused(stand.troth("new", "init", "--relay", stand.link), 3, "CONNECTION_REFUSED")
        assert not (stand.folder / "new" / "vault.key").exists()
    finally:
        stand.process = stand.serve()
    assert stand.troth("ann", "receive").returncode == 0
    stand.troth("ben", "receive")
    assert stand.texts("ben", "ann", "received")[-1] == "written while the relay was down"


def test_a_relay_with_another_key_gets_nothing(stand: Stand, tmp_path: Path) -> None:
    """B009: an impostor at the relay's address: TLS_PIN_MISMATCH with both fingerprints, exit 4, the text kept."""
    impostor = Stand.__new__(Stand)
    impostor.folder = tmp_path
    port = stand.port
    stand.process.kill()
    stand.process.wait()
    made = [
        "init",
        "--data",
        str(tmp_path / "relay"),
        "--host",
        "127.0.0.1",
        "--bind",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    subprocess.run([BIN / "troth-relay", *made], check=True, capture_output=True)
    process = impostor.serve()
    try:
        refused(stand.troth("ann", "send", "ben", "not for an impostor"), 4, "TLS_PIN_MISMATCH")
        done = stand.troth("ann", "receive")
        refused(done, 4, "TLS_PIN_MISMATCH")
        refused(stand.troth("new", "init", "--relay", stand.link), 4, "TLS_PIN_MISMATCH")
    finally:
        process.kill()
        process.wait()
        stand.process = stand.serve()
    assert stand.troth("ann", "receive").returncode == 0
    stand.troth("ben", "receive")
    assert stand.texts("ben", "ann", "received")[-1] == "not for an impostor"


def test_what_is_no_relay_is_named(stand: Stand) -> None:
    """B005 at the client: a server that speaks something else, or nothing: NO_TLS, exit 3, soon."""
    stand.process.kill()
    stand.process.wait()
    with socket.create_server(("127.0.0.1", stand.port)) as server:
        server.settimeout(20)

        def babble() -> None:
            connection, _ = server.accept()
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
            connection.close()

        thread = threading.Thread(target=babble)
        thread.start()
        done = stand.troth("ann", "receive")
        thread.join()
    stand.process = stand.serve()
    refused(done, 3, "NO_TLS")


def test_text_at_and_past_the_limit(stand: Stand) -> None:
    """16,000 bytes go, 16,001 are refused with both numbers: TEXT_TOO_LONG, exit 1. [R-9.3-2]"""
    before = len(stand.texts("ann", "ben", "at_relay", "queued"))
    for text in ("x" * 16_001, "\N{EURO SIGN}" * 5_334):
        done = stand.troth("ann", "send", "ben", "-", stdin=text)
        refused(done, 1, "TEXT_TOO_LONG")
        assert "16000" in done.stderr
    refused(stand.troth("ann", "send", "ben", ""), 1, "BAD_TEXT")
    assert len(stand.texts("ann", "ben", "at_relay", "queued")) == before
    for text in ("x" * 16_000, "\N{EURO SIGN}" * 5_333):
        assert stand.troth("ann", "send", "ben", "-", stdin=text).returncode == 0
    stand.troth("ben", "receive")
    assert stand.texts("ben", "ann", "received")[-2:] == ["x" * 16_000, "\N{EURO SIGN}" * 5_333]


HOSTILE = "\x1b[2Jclear \x1b]0;title\x07 \u202ereversed\u202c \x00nul \u200bzero [verified] \x9b31m e" + "\u0301" * 50


def test_hostile_text_is_shown_inert(stand: Stand) -> None:
    """B084: what is printed holds no control, bidi or zero-width character; JSON escapes everything. [R-13.1-8]"""
    hostile = HOSTILE.replace("\x00", "\x01")  # an argument holds no NUL; the next one comes by standard input
    assert stand.troth("ann", "send", "ben", hostile).returncode == 0
    assert stand.troth("ann", "send", "ben", "-", stdin=HOSTILE).returncode == 0
    shown = subprocess.run(
        [BIN / "troth", "--profile", stand.folder / "ben", "receive"],
        env=stand.environment, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "clear" in shown
    assert "[verified]" in shown
    assert not any(char in shown for char in "\x1b\x07\x00\x01\x9b\u202e\u202c\u200b")
    raw = stand.troth("ben", "history", "ann", "--limit", "2").stdout
    assert raw.isascii()
    assert json.loads(raw.splitlines()[-1])["text"].startswith("\x1b[2J")


def test_hostile_names_are_refused_or_inert(stand: Stand, tmp_path: Path) -> None:
    """A name we give holds no control character; one they claim is inert and never mistaken. [R-9.3-5] [R-13.1-10]"""
    refused(stand.troth("cleo", "init", "--relay", stand.link, "--name", "x" * 300), 1, "BAD_TEXT")
    evil = "[verified] \u202eneB\x1b[1m"
    refused(stand.troth("cleo", "init", "--relay", stand.link, "--name", evil), 1, "BAD_TEXT")
    vault = Vault.create(stand.folder / "evil", "correct horse", SystemRandomness())  # a client of their own making
    found = Messenger(SystemRandomness()).found(evil, RelayAddress.from_link(stand.link), int(time.time()))
    vault.apply(tuple(change for effect in found if isinstance(effect, Save) for change in effect.changes))
    vault.close()
    assert stand.troth("evil", "receive").returncode == 0
    assert stand.troth("evil", "add", stand.card("ben"), "--name", "victim").returncode == 0
    stand.troth("ben", "receive")
    shown = subprocess.run(
        [BIN / "troth", "--profile", stand.folder / "ben", "requests"],
        env=stand.environment, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "calls themselves" in shown
    assert not any(char in shown for char in "\x1b\u202e")
    fingerprint = json.loads(stand.troth("ben", "--quiet", "requests").stdout.splitlines()[0])["fingerprint"]
    refused(stand.troth("ben", "accept", fingerprint, "--name", "a\x1b[31m"), 1, "BAD_TEXT")
    refused(stand.troth("ben", "accept", fingerprint, "--name", "ANN"), 1, "USER")


def test_wrong_uses_are_the_callers_mistake(stand: Stand) -> None:
    """Exit 1 and one line, for verbs, options and contacts that do not exist."""
    refused(stand.troth("ann", "send", "nobody", "x"), 1, "NO_SUCH_CONTACT")
    refused(stand.troth("ann", "history", "abc"), 1, "NO_SUCH_CONTACT")
    refused(stand.troth("ann", "accept", "ben"), 1, "NO_SUCH_CONTACT")
    refused(stand.troth("ann", "card", "--uses", "0"), 1, "USER")
    refused(stand.troth("ann", "card", "--uses", "101"), 1, "USER")
    refused(stand.troth("ann", "init", "--relay", stand.link), 1, "VAULT_EXISTS")
    refused(stand.troth("nobody-here", "contacts"), 1, "VAULT_EXISTS")
    for wrong in (["frobnicate"], ["send"], ["card", "--uses", "many"], ["--no-such-option"]):
        assert stand.troth("ann", *wrong).returncode == 1


def test_nothing_that_identifies_stands_in_an_error(stand: Stand) -> None:
    """B074 and A-74: no text, name, link or fingerprint stands in an error line."""
    link = stand.card("ben")
    body = base64.urlsafe_b64decode(link.removeprefix("troth:") + "==")
    errors = [
        stand.troth("ann", "send", "nobody-" + MARKER, MARKER).stderr,
        stand.troth("ann", "add", link[:-3] + MARKER).stderr,
        stand.troth("ann", "send", "ben", MARKER * 2_000).stderr,
    ]
    for line in errors:
        assert line
        assert MARKER not in line
        assert body[60:80].hex() not in line


def test_the_systems_proxy_is_never_taken(stand: Stand) -> None:
    """With a proxy in the environment nothing connects to it. [R-13.1-7]"""
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "wss_proxy"):
            stand.environment[name] = address
        try:
            assert stand.troth("ann", "send", "ben", "straight").returncode == 0
            assert stand.troth("ann", "receive").returncode == 0
        finally:
            for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "wss_proxy"):
                del stand.environment[name]
        proxy.setblocking(False)
        with pytest.raises(BlockingIOError):
            proxy.accept()
