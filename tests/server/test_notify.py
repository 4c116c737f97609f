"""Sockets that are passed, made or refused, and notices to a service manager that may not be there."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import socket
from pathlib import Path

import pytest

from troth_protocol.errors import NetworkError, UserError
from troth_server import notify, tls
from troth_server.cli import main
from troth_server.commands import QueuedView
from troth_server.config import Config, Tls, TlsMode
from troth_server.ledger_file import LedgerFile
from troth_server.listener import Listener
from troth_server.notify import Notifier
from troth_server.service import unix_socket


def test_what_the_service_manager_passes_is_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert notify.inherited({}) is None
    assert notify.inherited({"LISTEN_PID": "1", "LISTEN_FDS": "1"}) is None
    own = str(os.getpid())
    assert notify.inherited({"LISTEN_PID": own, "LISTEN_FDS": "x"}) is None
    with pytest.raises(UserError, match="passed 2 sockets"):
        notify.inherited({"LISTEN_PID": own, "LISTEN_FDS": "2"})
    with socket.socket() as idle:
        monkeypatch.setattr(notify, "FIRST_DESCRIPTOR", os.dup(idle.fileno()))
        environment = {"LISTEN_PID": own, "LISTEN_FDS": "1", "LISTEN_FDNAMES": "x"}
        with pytest.raises(UserError, match="not a listening"):
            notify.inherited(environment)
        assert environment == {}
    Notifier({}).ready()
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).ready()
    assert Notifier({"WATCHDOG_USEC": "1000000"}).watchdog is None
    assert Notifier({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}).watchdog is None


def test_a_unix_socket_is_for_the_group_and_for_one_relay(tmp_path: Path) -> None:
    path = tmp_path / "relay.sock"
    first = unix_socket(path)
    assert re.fullmatch(r"0o1?40660", oct(path.stat().st_mode))
    with pytest.raises(NetworkError, match="another process listens"):
        unix_socket(path)
    first.close()
    unix_socket(path).close()  # left over from one that was killed
    path.unlink()
    path.write_text("a file of somebody")
    with pytest.raises(NetworkError, match="cannot listen"):
        unix_socket(path)
    assert path.read_text() == "a file of somebody"
    with pytest.raises(NetworkError, match="cannot listen"):
        unix_socket(tmp_path / ("x" * 200))


def test_without_tls_only_this_machine_is_served(founded: tuple[Config, LedgerFile]) -> None:
    """Whatever socket the service manager passes: plain text goes over loopback or a UNIX socket. [R-11.1-3]"""
    config, ledger = founded
    proxied = dataclasses.replace(config, tls=Tls(TlsMode.PROXY, "", ""), bind="127.0.0.1")
    behind = tls.Tls(None, (bytes(32),))
    with socket.socket() as everywhere, socket.socket() as here:
        everywhere.bind(("0.0.0.0", 0))  # noqa: S104
        here.bind(("127.0.0.1", 0))
        for plain in (None, behind):
            for bind, sock in (("0.0.0.0", None), ("127.0.0.1", everywhere)):  # noqa: S104
                with pytest.raises(UserError, match="without TLS"):
                    Listener(dataclasses.replace(proxied, bind=bind), NoStore(), ledger, plain, sock=sock)
            Listener(proxied, NoStore(), ledger, plain, sock=here)


class NoStore:
    """A store of which nothing is asked."""

    def submit(self, *_: object) -> None:
        raise AssertionError

    def view(self, limit: int) -> tuple[QueuedView, ...]:
        raise AssertionError(limit)

    def close(self) -> None:
        raise AssertionError


def test_a_reload_that_comes_before_the_relay_serves_does_not_end_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[object] = []

    class Early:
        def __init__(self, *_: object, **__: object) -> None:
            pass

        async def run(self) -> None:
            seen.append(signal.getsignal(signal.SIGHUP))

    monkeypatch.setattr("troth_server.service.Service", Early)
    monkeypatch.setattr("troth_server.quiet.hush", lambda: None)
    before = signal.getsignal(signal.SIGHUP)
    try:
        assert main(["serve", "--data", str(tmp_path)]) == 0
    finally:
        signal.signal(signal.SIGHUP, before)
    assert seen == [signal.SIG_IGN]
