"""Verbs that need no relay, on a vault full of hostile names and texts: inert, parseable, with the right exit code."""

from __future__ import annotations

import argparse
import errno
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from client.world import Template
from troth_client import cli
from troth_client.cli import parser, run
from troth_client.driver import Driver
from troth_client.events import AddMessage, MessageKey, MessageState, Put, PutReaction
from troth_client.records import Contact, Standing
from troth_client.steps import AT_A_COMMAND
from troth_client.vault.store import Vault
from troth_client.verbs import VERBS, erasing
from troth_protocol.errors import StorageError, VaultBusy
from troth_protocol.primitives import SystemRandomness

HOSTILE = '\x1b]0;owned\x07\x1b[2J\r\u202eeman\u2066 \x9b31m\n{"type":"x"}\x00\ufeff'
BAD = {chr(code) for code in (*range(32), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))} - {"\n"}


@pytest.fixture
def profile(template: Template, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A contact and a stranger with hostile names; texts of both kinds, reactions, a failure."""
    folder = tmp_path / "profile"
    vault = Vault.create(folder, "pass", SystemRandomness(), operations=1, memory=64 * 1024)
    rows = template.disks[0].rows
    vault.apply(tuple(Put(kind, key, raw) for kind, records in rows.items() for key, raw in records.items()))
    key, raw = next(iter(rows["contact"].items()))
    ann = replace(Contact.decode(raw), name=HOSTILE, claimed=HOSTILE)
    stranger = replace(ann, fingerprint=b"\xee" * 32, name="", claimed=HOSTILE, standing=Standing.REQUEST)
    now = template.now
    vault.apply(
        (
            Put("contact", key, ann.encode()),
            Put("contact", stranger.fingerprint, stranger.encode()),
            AddMessage(key, b"1" * 16, MessageState.RECEIVED, now, now, "findme " + HOSTILE),
            AddMessage(key, b"2" * 16, MessageState.FAILED, now, now, HOSTILE, 0, MessageKey(ours=False, id=b"1" * 16)),
            AddMessage(key, b"3" * 16, MessageState.NOTICE, now, now, HOSTILE),
            AddMessage(stranger.fingerprint, b"4" * 16, MessageState.RECEIVED, 2**62, now, HOSTILE),
            PutReaction(key, MessageKey(ours=True, id=b"2" * 16), ours=False, time=1, sign=HOSTILE),
        )
    )
    vault.close()
    (tmp_path / "pass").write_text("pass\n")
    monkeypatch.setenv("TROTH_PASSPHRASE_FILE", str(tmp_path / "pass"))
    monkeypatch.setenv("TROTH_PROFILE", str(folder))
    return folder


def name(template: Template) -> str:
    return next(iter(template.disks[0].rows["contact"])).hex()[:16]


SHOWING = (
    ("contacts",), ("requests",), ("history", "ANN"), ("history", "ANN", "--ids"), ("search", "findme"),
    ("search", "findme", "--in", "ANN"), ("verify", "ANN"), ("verify", "ANN", "--mark"), ("expire", "ANN"),
    ("card", "--list"), ("routes", "list"), ("receipts", "on"), ("receipts", "off", "ANN"),
    ("delete", "ANN", "31313131", "--here"), ("decline", "eeeeeeee"),
)  # fmt: skip


@pytest.mark.parametrize("verb", SHOWING, ids=" ".join)
def test_every_line_is_inert_or_one_object(
    profile: Path, template: Template, verb: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """[R-13.1-8]"""
    words = [name(template) if word == "ANN" else word for word in verb]
    assert run(["--json", *words]) in {0, 1}  # the second time a stranger is declined already
    told = capsys.readouterr()
    for line in (told.out + told.err).splitlines():
        assert isinstance(json.loads(line)["type"], str)
        assert line.isascii()
    assert run(words) in {0, 1}
    told = capsys.readouterr()
    assert not BAD & set(told.out + told.err)


WRONG = (
    (("history", "nobody"), 1, "NO_SUCH_CONTACT"),
    (("send", "nobody", "x"), 1, "NO_SUCH_CONTACT"),
    (("add", "troth:\udcff"), 1, "BAD_LINK"),
    (("add", "https://example.org/"), 1, "BAD_LINK"),
    (("send", "ANN", "\udcff"), 1, "BAD_TEXT"),
    (("edit", "ANN", "last", "\udcff"), 1, "BAD_TEXT"),
    (("react", "ANN", "last", "\udcff"), 1, "BAD_TEXT"),
    (("react", "ANN", "last", "a b"), 1, "BAD_TEXT"),
    (("accept", "eeee", "--name", "\udcff"), 1, "BAD_TEXT"),
    (("withdraw", "ANN", "\udcff"), 1, "USER"),
    (("withdraw", "ANN", "last"), 1, "NOT_READY"),
    (("expire", "ANN", "--", "-1h"), 1, "USER"),
    (("account", "erase"), 1, "USER"),
    (("profile", "erase"), 1, "USER"),
    (("account", "export", "/nowhere/at/all"), 3, "STORAGE"),
    (("card", "--uses", "101"), 1, "USER"),
    (("routes", "remove", "9"), 1, "USER"),
    (("vector", "/nowhere"), 1, "USER"),
)


@pytest.mark.parametrize(("verb", "code", "error"), WRONG, ids=lambda value: str(value)[:40].encode().hex()[:24])
def test_what_is_wrong_has_its_code(
    profile: Path, template: Template, verb: tuple[str, ...], code: int, error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """SPEC.md section 15: the caller's mistakes are 1, the disk's 3; each is one object on standard error."""
    words = [name(template) if word == "ANN" else word for word in verb]
    assert run(["--json", *words]) == code
    told = capsys.readouterr()
    assert json.loads(told.err)["code"] == error
    assert told.out == ""


@pytest.mark.parametrize("typed", ["\udcff", '"', "* OR *", "a" * 9_999, "NEAR(", "-", "\x00", "{}", "text:x", "^x"])
def test_no_search_is_an_error(profile: Path, typed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["search", typed, "--limit", str(10**30)]) == 0
    assert run(["search", "--limit", "-5", typed]) in {0, 1}
    capsys.readouterr()


def test_a_passphrase_comes_by_file_or_descriptor_and_is_no_argument(
    profile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """DESIGN: never an argument; a wrong, missing or unreadable one is the caller's mistake."""
    assert run(["contacts"]) == 0
    (tmp_path / "pass").write_text("wrong\n")
    assert run(["--json", "contacts"]) == 1
    assert json.loads(capsys.readouterr().err)["code"] == "BAD_PASSPHRASE"
    reading, writing = os.pipe()
    os.write(writing, b"pass\n")
    os.close(writing)
    assert run(["contacts", "--passphrase-fd", str(reading)]) == 0
    assert run(["contacts", "--passphrase-fd", "987"]) == 1
    monkeypatch.setenv("TROTH_PASSPHRASE_FILE", str(tmp_path / "nowhere"))
    assert run(["contacts"]) == 1
    taken = {option for action in every_action() for option in action.option_strings}
    assert [option for option in taken if "pass" in option] == ["--passphrase-fd"]


def every_action() -> Iterator[argparse.Action]:
    """Every option and argument of every verb and step."""
    left: list[argparse.ArgumentParser] = [parser()]
    while left:
        for action in left.pop()._actions:
            yield action
            if isinstance(action, argparse._SubParsersAction):
                left += action.choices.values()


def test_every_verb_is_there_and_has_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    """What ``--help`` lists is what can be carried out, and each of them explains itself."""
    (choices,) = [action.choices for action in parser()._actions if isinstance(action, argparse._SubParsersAction)]
    elsewhere = {"demo", "init", "vector", "profile"}
    assert set(choices) == set(VERBS) | elsewhere
    for verb in choices:
        with pytest.raises(SystemExit) as exited:
            run([verb, "--help"])
        assert exited.value.code == 0
        assert len(capsys.readouterr().out) > 100


@pytest.mark.parametrize("wrong", [["no-such-verb"], ["send"], ["history", "Ann", "--limit", "x"], ["receipts", "?"]])
def test_a_command_line_nobody_understands(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """For a person the usage and what was wrong; for a program one object, and the same exit code."""
    assert run(wrong) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("usage: troth ")
    assert told.err.splitlines()[-1].startswith("troth: ")
    for asked in (["--json", *wrong], [*wrong, "--json"], ["--js", *wrong]):
        assert run(asked) == 1
        told = capsys.readouterr()
        assert told.out == ""
        (line,) = told.err.splitlines()
        assert {**json.loads(line), "message": ""} == {"type": "error", "code": "USER", "message": "", "next": ""}
    assert run([*wrong, "--nonsense", "--", "--json"]) == 1
    assert capsys.readouterr().err.startswith("usage: troth ")


def test_a_mute_is_kept(profile: Path, template: Template, capsys: pytest.CaptureFixture[str]) -> None:
    for verb, muted in (("mute", True), ("unmute", False)):
        assert run(["--json", verb, name(template)]) == 0
        assert json.loads(capsys.readouterr().out)["muted"] is muted


def test_a_person_is_told_that_there_is_nothing(profile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["search", "never-written"]) == 0
    assert capsys.readouterr().out == "Nothing found.\n"
    for silent in ("--json", "--quiet"):
        assert run([silent, "search", "never-written"]) == 0
        assert capsys.readouterr().out == ""
    assert run(["decline", "eeeeeeee"]) == 0
    capsys.readouterr()
    assert run(["requests"]) == 0
    assert capsys.readouterr().out == "Nobody new has written.\n"


def test_an_error_says_what_to_do_next(profile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing goes on by itself once a command has ended, so none says so."""
    assert run(["send", "nobody", "x"]) == 1
    assert capsys.readouterr().err.endswith("fingerprint. Next: see  troth contacts  and  troth requests.\n")
    vault = Vault.open(profile, "pass")
    assert run(["--json", "contacts"]) == 1
    assert json.loads(capsys.readouterr().err)["next"] == "close that one, or go on in it"
    vault.close()
    assert not [step for step in AT_A_COMMAND.values() if "by itself" in step]


def test_an_export_is_whole_or_not_there(
    profile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.jsonl"
    everything = erasing._everything

    def full(driver: Driver) -> Iterator[object]:
        yield next(iter(everything(driver)))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(erasing, "_everything", full)
    assert run(["account", "export", str(file)]) == 3
    assert list(tmp_path.glob("mine*")) == []
    monkeypatch.setattr(erasing, "_everything", everything)
    assert run(["account", "export", str(file)]) == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.glob("mine*")] == ["mine.jsonl"]
    before = file.read_bytes()
    assert run(["account", "export", str(file)]) == 3
    assert file.read_bytes() == before
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    assert run(["account", "export", str(tmp_path / "link")]) == 3
    assert not (tmp_path / "elsewhere").exists()
    capsys.readouterr()


def test_what_a_cut_off_wiping_left_can_be_erased(profile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The key file goes first; the rest, which opens to nobody, goes with the next attempt."""
    (profile / "vault.key").unlink()
    assert run(["profile", "erase", "--yes"]) == 0
    assert not list(profile.glob("vault*"))
    assert run(["profile", "erase", "--yes"]) == 1
    capsys.readouterr()


def test_a_profile_that_is_open_is_not_wiped(profile: Path) -> None:
    vault = Vault.open(profile, "pass")
    with pytest.raises(VaultBusy):
        erasing.wipe_alone(profile)
    vault.close()
    assert (profile / "vault.key").stat().st_size == 76
    (profile / "vault.db").chmod(0o400)
    erasing.wipe_alone(profile)
    assert StorageError.exit_code == 3
    assert cli.PROFILE
