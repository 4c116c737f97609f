"""The verbs of daily chat through the real commands, a real relay and files on disk."""

from __future__ import annotations

import json
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.stand import Stand, standing
from troth_client.verbs.erasing import wipe
from troth_client.wording import seconds
from troth_protocol.errors import UserError


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """A relay, and ann and ben who know each other."""
    with standing(tmp_path_factory.mktemp("stand")) as stand:
        stand.meet()
        yield stand


def lines(stand: Stand, who: str, *arguments: str) -> list[dict[str, object]]:
    """A verb that has to succeed, and its JSON lines."""
    done = stand.troth(who, *arguments)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def talk(stand: Stand, who: str, other: str) -> list[dict[str, object]]:
    """What people wrote, as one side has it."""
    lines(stand, who, "receive")
    return [line for line in lines(stand, who, "history", other) if line["state"] != "notice"]


def refused(stand: Stand, who: str, *arguments: str) -> str:
    done = stand.troth(who, *arguments)
    assert done.returncode == 1, done.stdout + done.stderr
    code: str = json.loads(done.stderr.splitlines()[-1])["code"]
    return code


@pytest.mark.slow
def test_a_conversation_by_verbs(stand: Stand) -> None:
    """reply, edit, react, delete, search, receipts and expire do on the other side what they say."""
    lines(stand, "ann", "send", "ben", "shall we meet at the café?")
    asked = talk(stand, "ben", "ann")[-1]
    lines(stand, "ben", "receipts", "on")
    lines(stand, "ben", "reply", "ann", "last", "yes at noon")
    lines(stand, "ben", "react", "ann", str(asked["id"])[:8], "👍")
    lines(stand, "ben", "edit", "ann", "last", "yes, at one")
    got = talk(stand, "ann", "ben")
    assert got[-1]["text"] == "yes, at one"
    assert got[-1]["edited"]
    assert got[-1]["reply"] == {"ours": True, "id": asked["id"]}
    assert got[-2]["reactions"] == [{"ours": False, "sign": "👍"}]
    (hit,) = lines(stand, "ann", "search", "cafe", "--in", "ben")
    assert hit["id"] == asked["id"]
    assert lines(stand, "ann", "search", "noon") == []
    lines(stand, "ben", "react", "ann", str(asked["id"])[:8], "--remove")
    lines(stand, "ann", "expire", "ben", "1h")
    lines(stand, "ann", "send", "ben", "for an hour")
    assert talk(stand, "ben", "ann")[-1]["timer"] == 3_600
    assert lines(stand, "ben", "expire", "ann") == [{"type": "timer", "seconds": 3_600}]
    lines(stand, "ann", "delete", "ben", "last")
    assert talk(stand, "ben", "ann")[-1]["deleted"] is True
    lines(stand, "ben", "expire", "ann", "off")
    lines(stand, "ben", "delete", "ann", str(asked["id"])[:8], "--here")
    assert asked["id"] not in [line["id"] for line in talk(stand, "ben", "ann")]
    assert "(taken back)" not in json.dumps(talk(stand, "ben", "ann"))


@pytest.mark.slow
def test_what_a_person_gets_wrong_is_said_and_changes_nothing(stand: Stand) -> None:
    lines(stand, "ann", "send", "ben", "here")
    for arguments in (
        ("edit", "ben", "zz", "x"), ("edit", "ben", "ffffffffffffffff", "x"), ("reply", "ben", "abc", "x"),
        ("react", "ben", "last"), ("react", "ben", "last", "x", "--remove"), ("expire", "ben", "1y"),
        ("expire", "ben", "29s"), ("expire", "ben", "5w"), ("resend", "ben", "last"), ("withdraw", "ben", "last"),
        ("unblock", "ben"), ("verify", "ben", "--accept-change"), ("account", "erase"), ("profile", "erase"),
    ):  # fmt: skip
        assert refused(stand, "ann", *arguments) in {"USER", "NOT_READY"}, arguments
    assert refused(stand, "ann", "search", "x", "--in", "nobody") == "NO_SUCH_CONTACT"
    assert talk(stand, "ann", "ben")[-1]["text"] == "here"


@pytest.mark.slow
def test_block_and_unblock_by_verbs(stand: Stand) -> None:
    """[R-13.5-1] [R-13.5-2]"""
    blocked = lines(stand, "ben", "block", "ann")[-1]
    assert blocked["blocked"] is True
    assert stand.troth("ann", "send", "ben", "knock").returncode in {0, 3}  # a relay hangs up on many spent tokens
    assert [c["queued"] for c in lines(stand, "ann", "contacts") if c["name"] == "ben"] == [1]
    assert "knock" not in [line["text"] for line in talk(stand, "ben", "ann")]
    assert refused(stand, "ben", "send", "ann", "x") == "NOT_READY"
    lines(stand, "ben", "unblock", "ann")
    lines(stand, "ann", "receive")
    lines(stand, "ann", "receive")
    assert talk(stand, "ben", "ann")[-1]["text"] == "knock"


@pytest.mark.slow
def test_everything_can_be_taken_along_and_erased(stand: Stand, tmp_path: Path) -> None:
    """account export, account erase and profile erase: a file for the owner alone, then nothing anywhere."""
    assert stand.troth("cleo", "init", "--relay", stand.link, "--name", "cleo").returncode == 0
    card = json.loads(stand.troth("cleo", "card").stdout.splitlines()[0])["link"]
    lines(stand, "ann", "add", card, "--name", "cleo")
    lines(stand, "ann", "send", "cleo", "to be exported")
    lines(stand, "cleo", "receive")
    file = tmp_path / "mine.jsonl"
    lines(stand, "cleo", "account", "export", str(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    exported = [json.loads(line) for line in file.read_text().splitlines()]
    assert {line["type"] for line in exported} == {"account", "contact", "message"}
    assert "to be exported" in [line.get("text") for line in exported]
    assert stand.troth("cleo", "account", "export", str(file)).returncode == 3  # never over a file that is there
    profile = stand.folder / "cleo"
    shutil.copytree(profile, stand.folder / "copy")
    assert [line["where"] for line in lines(stand, "cleo", "account", "erase", "--yes")] == ["relay", "here"]
    assert not list(profile.glob("vault*"))
    # Cut off between the relay's answer and the wiping: it is said what is left and what to do.
    cut_off = stand.troth("copy", "account", "erase", "--yes")
    assert (cut_off.returncode, json.loads(cut_off.stderr)["code"]) == (1, "NOT_READY")
    assert "troth profile erase" in cut_off.stderr
    assert [line["where"] for line in lines(stand, "copy", "profile", "erase", "--yes")] == ["here"]
    again = stand.troth("cleo", "contacts")
    assert (again.returncode, json.loads(again.stderr)["code"]) == (1, "VAULT_EXISTS")
    assert stand.troth("ann", "send", "cleo", "anybody there?").returncode == 0  # kept: nobody knows she left
    assert stand.troth("dora", "init", "--relay", stand.link).returncode == 0
    assert [line["where"] for line in lines(stand, "dora", "profile", "erase", "--yes")] == ["here"]
    assert refused(stand, "dora", "profile", "erase", "--yes") == "USER"


def test_a_wiped_file_is_overwritten_before_it_is_removed(tmp_path: Path) -> None:
    for name in ("vault.key", "vault.db", "vault.db-wal"):
        (tmp_path / name).write_bytes(b"secret" * 1_000)
        (tmp_path / f"link-{name}").hardlink_to(tmp_path / name)
    wipe(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link-vault.db", "link-vault.db-wal", "link-vault.key"]
    assert all(not any(path.read_bytes()) for path in tmp_path.iterdir())


def test_times() -> None:
    assert [seconds(typed) for typed in ("off", "30s", "5m", "1h", "1d", "4w")] == [
        0,
        30,
        300,
        3_600,
        86_400,
        2_419_200,
    ]
    for wrong in ("", "1", "h", "-1h", "1.5h", "1 h", "\u0661h", "99999999s"):
        with pytest.raises(UserError):
            seconds(wrong)
