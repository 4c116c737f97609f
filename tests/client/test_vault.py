"""The vault: what it keeps, what it refuses, and what a full or failing disk leaves behind."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from troth_client.driver import Driver
from troth_client.events import AddMessage, Change, Delete, EraseMessages, MarkMessage, MessageState, Put, Save, Tick
from troth_client.messenger import Messenger
from troth_client.routes.dial import ANYWHERE
from troth_client.routes.direct import Direct
from troth_client.vault.store import Vault
from troth_client.views import ChatCounts
from troth_protocol.card import RelayAddress
from troth_protocol.errors import BadPassphrase, StorageError, VaultBusy, VaultExists
from troth_protocol.primitives import SystemRandomness

ANN, BEN = b"a" * 32, b"b" * 32


def create(folder: Path) -> Vault:
    """A vault with little stretching."""
    return Vault.create(folder, "pass", SystemRandomness(), operations=1, memory=64 * 1024)


def message(contact: bytes, number: int, state: MessageState = MessageState.RECEIVED, text: str = "text") -> AddMessage:
    return AddMessage(contact, bytes([number]) * 16, state, 100, 200 + number, text)


def test_records_come_back_and_go_for_good(tmp_path: Path) -> None:
    vault = create(tmp_path)
    vault.apply((Put("peer", b"k", b"one"), Put("peer", b"k", b"two"), Put("card", b"k", b"three")))
    vault.apply((Delete("card", b"k"),))
    vault.close()
    vault = Vault.open(tmp_path, "pass")
    assert vault.load() == {"peer": {b"k": b"two"}}
    vault.close()


def test_a_message_is_kept_once_for_each_side(tmp_path: Path) -> None:
    vault = create(tmp_path)
    vault.apply((message(ANN, 1, text="first"), message(ANN, 1, text="again"), message(BEN, 1, text="other")))
    vault.apply((message(ANN, 1, MessageState.QUEUED, "ours has the same id"),))
    vault.apply((MarkMessage(ANN, b"\x01" * 16, MessageState.AT_RELAY),))
    lines = vault.history(ANN, None, 10)
    assert [(line.text, line.state) for line in lines] == [
        ("first", MessageState.RECEIVED),
        ("ours has the same id", MessageState.AT_RELAY),
    ]
    assert [line.text for line in vault.unread(ANN)] == ["first"]
    assert vault.counts(ANN) == ChatCounts(2, 1, 201, lines[0].row)
    vault.mark_read(ANN, 0)
    vault.apply((message(ANN, 2),))
    assert [line.id for line in vault.unread(ANN)] == [b"\x02" * 16]
    assert vault.history(ANN, lines[-1].row, 1)[0].text == "first"
    vault.apply((EraseMessages(ANN),))
    assert vault.counts(ANN) == ChatCounts()
    assert vault.counts(BEN).lines == 1
    vault.close()


def test_all_changes_of_an_event_or_none(tmp_path: Path) -> None:
    vault = create(tmp_path)
    wrong: tuple[Change, ...] = (Put("peer", b"k", b"v"), Put("peer", b"l", None))  # type: ignore[arg-type]
    with pytest.raises(StorageError):
        vault.apply(wrong)
    assert vault.load() == {}
    vault.close()


def test_nothing_readable_lies_on_the_disk(tmp_path: Path) -> None:
    vault = create(tmp_path)
    vault.apply((message(ANN, 1, text="a text worth hiding"), Put("peer", b"k", b"secret-record-bytes")))
    for path in tmp_path.rglob("*"):
        raw = path.read_bytes()
        for needle in (b"worth hiding", b"secret-record", b"CREATE TABLE", ANN):
            assert needle not in raw, path.name
        assert path.stat().st_mode & 0o077 == 0, path.name
    vault.close()


def test_one_process_one_passphrase_one_profile(tmp_path: Path) -> None:
    vault = create(tmp_path)
    with pytest.raises(VaultBusy):
        Vault.open(tmp_path, "pass")
    with pytest.raises(VaultBusy):
        create(tmp_path)
    vault.close()
    with pytest.raises(VaultExists):
        create(tmp_path)
    with pytest.raises(BadPassphrase):
        Vault.open(tmp_path, "Pass")
    with pytest.raises(VaultExists):
        Vault.open(tmp_path / "elsewhere", "pass")
    with pytest.raises(BadPassphrase):
        Vault.create(tmp_path / "empty", "", SystemRandomness())
    Vault.open(tmp_path, "pass").close()


def driver(tmp_path: Path) -> tuple[Vault, Driver]:
    vault = create(tmp_path)
    relay = RelayAddress("127.0.0.1", 9, b"r" * 32)
    for effect in Messenger(SystemRandomness()).found("Ann", relay, int(time.time())):
        assert isinstance(effect, Save)
        vault.apply(effect.changes)
    return vault, Driver(vault, SystemRandomness(), Direct(ANYWHERE))


def test_a_key_without_its_vault_opens_nothing_and_makes_nothing(tmp_path: Path) -> None:
    create(tmp_path).close()
    (tmp_path / "vault.db").unlink()
    with pytest.raises(StorageError, match="is missing"):
        Vault.open(tmp_path, "pass")
    assert not (tmp_path / "vault.db").exists()


def test_a_failed_save_leaves_memory_as_the_disk_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """[R-13.1-1]: what could not be saved is not sent and not remembered."""
    vault, shell = driver(tmp_path)
    before = vault.load()

    def full(_: tuple[Change, ...]) -> None:
        raise StorageError("the disk is full: nothing was changed")

    eight_days = time.time() + 8 * 86_400
    shell._clock = lambda: eight_days  # new prekeys are due: there is something to save
    with monkeypatch.context() as patch:
        patch.setattr(vault, "apply", full)
        with pytest.raises(StorageError):
            shell.handle(Tick())
        assert vault.load() == before
        again = shell._messenger._journal
        assert {key: row.encode() for key, row in again.generations.items()} == before["generation"]
    shell.handle(Tick())
    assert len(vault.load()["generation"]) == 2
    vault.close()


def test_after_a_disk_that_cannot_even_be_read_nothing_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A messenger that is ahead of its disk must not send: every further event is refused."""
    vault, shell = driver(tmp_path)
    eight_days = time.time() + 8 * 86_400
    shell._clock = lambda: eight_days

    def gone(*_: object) -> None:
        raise StorageError("input or output error")

    with monkeypatch.context() as patch:
        patch.setattr(vault, "apply", gone)
        patch.setattr(vault, "load", gone)
        with pytest.raises(StorageError):
            shell.handle(Tick())
    with pytest.raises(StorageError, match="anew"):
        shell.handle(Tick())
    vault.close()
