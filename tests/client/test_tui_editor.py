"""``$EDITOR``: the text goes in, what becomes of it comes out, nothing stays behind; and how news are announced."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from client.fake_conversations import ALICE, BOB, FakeConversations
from client.windows import window
from troth_client.preferences import Preferences
from troth_client.tui import Settings, editor
from troth_client.tui.announce import Announcer, words
from troth_protocol.errors import UserError


def script(folder: Path, body: str) -> dict[str, str]:
    """An environment whose editor is a shell script; ``$1`` is the file."""
    program = folder / "my editor"
    program.write_text(f'#!/bin/sh\nstat -c "%a %F" "$1" > {folder}/seen\ndirname "$1" >> {folder}/seen\n{body}\n')
    program.chmod(0o700)
    memory = folder / "memory"
    memory.mkdir()
    return {**os.environ, "VISUAL": "", "EDITOR": f"'{program}'", "XDG_RUNTIME_DIR": str(memory)}


async def test_what_the_editor_leaves_comes_back_and_nothing_stays(tmp_path: Path) -> None:
    copies = 'cp "$1" "$1~"; cp "$1" "$(dirname "$1")/.swp"'
    environment = script(tmp_path, f'echo " and more" >> "$1"; {copies}; ln "$1~" {tmp_path}/kept')
    assert await editor.edit("a text", environment) == "a text and more"
    assert (tmp_path / "kept").read_bytes() == bytes(len("a text and more\n"))
    mode, folder = (tmp_path / "seen").read_text().splitlines()
    assert mode == "600 regular file"
    assert Path(folder).parent == tmp_path / "memory"
    assert list((tmp_path / "memory").iterdir()) == []


async def test_its_directory_is_ours_alone(tmp_path: Path) -> None:
    environment = script(tmp_path, f'stat -c %a "$(dirname "$1")" > {tmp_path}/mode')
    await editor.edit("", environment)
    assert (tmp_path / "mode").read_text().strip() == "700"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("exit 3", "ended with an error"),
        (r"printf '\377' > \"$1\"", "not UTF-8"),
        ('yes > "$1" & sleep 0.1; kill $!', ""),
    ],
)
async def test_what_cannot_be_used_leaves_the_text_as_it_was(tmp_path: Path, body: str, said: str) -> None:
    environment = script(tmp_path, body.replace('\\"', '"'))
    with pytest.raises(UserError, match=said or "longer than 256,000"):
        await editor.edit("a text", environment)
    assert list((tmp_path / "memory").iterdir()) == []


def test_vi_is_told_to_keep_nothing(tmp_path: Path) -> None:
    vim = tmp_path / "vim"
    vim.write_text("#!/bin/sh\n")
    vim.chmod(0o700)
    assert editor.command({"EDITOR": str(vim)})[1:4] == ["-n", "-i", "NONE"]


@pytest.mark.parametrize("chosen", ["no-such-editor-here", "'unclosed", " "])
def test_an_editor_that_is_not_there_is_said(chosen: str) -> None:
    with pytest.raises(UserError):
        editor.command({"EDITOR": chosen})


def test_wiping_overwrites_before_it_removes(tmp_path: Path) -> None:
    folder = tmp_path / "private"
    folder.mkdir()
    (folder / "message.txt").write_text("secret words")
    other = tmp_path / "kept"
    os.link(folder / "message.txt", other)
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").write_text("not ours")
    editor.wipe(folder)
    assert not folder.exists()
    assert other.read_bytes() == bytes(12)
    assert (tmp_path / "elsewhere").read_text() == "not ours"
    assert stat.S_ISREG(other.stat().st_mode)


@pytest.mark.slow
async def test_a_terminal_that_cannot_be_lent_is_said() -> None:
    async with window(FakeConversations()) as opened:
        await opened.open(BOB)
        await opened.type("kept")
        await opened.pilot.press("alt+e")
        await opened.shows("cannot be lent")
        assert opened.composer.text == "kept"


# Announcements.


@pytest.mark.parametrize(("shows", "said"), [("nothing", "new message"), ("name", "from Bob"), ("text", "Bob: hello")])
def test_only_what_was_chosen_is_said(shows: str, said: str) -> None:
    told = words(Preferences(notify_shows=shows), "Bob", "hello")
    assert said in told
    assert ("Bob" in told) is (shows != "nothing")
    assert ("hello" in told) is (shows == "text")


@pytest.mark.parametrize(
    ("how", "written"),
    [
        pytest.param("off", "", marks=pytest.mark.slow),
        pytest.param("bell", "\a", marks=pytest.mark.slow),
        ("terminal", "\x1b]9;Troth: new message\x1b\\"),
    ],
)
async def test_what_comes_elsewhere_is_announced(how: str, written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with window(FakeConversations(), settings=Settings(Preferences(notify=how))) as opened:
        told: list[str] = []
        monkeypatch.setattr(opened.app.announcer, "_write", told.append)
        await opened.open(ALICE)
        opened.fake.receive(ALICE, "seen at once")
        await opened.shows("seen at once")
        assert told == []
        opened.fake.receive(BOB, "elsewhere\x1b\\\x07")
        await opened.until(lambda: opened.fake.people[BOB].unread == 1 and "Bob                (1)" in opened.screen)
        assert "".join(told) == written


def test_no_text_ends_the_announcement_early() -> None:
    """[R-13.1-8]"""
    told: list[str] = []
    Announcer(Preferences(notify="terminal", notify_shows="text"), told.append).announce("‹Bob›", "␛\\␇ x" * 100)
    assert told[0].count("\x1b") == 2
    assert len(told[0]) < 250


async def test_hostile_texts_are_inert_in_announcements() -> None:
    """[R-13.1-8]"""
    chosen = Settings(Preferences(notify="terminal", notify_shows="text"))
    async with window(FakeConversations(), settings=chosen) as opened:
        told: list[str] = []
        opened.app.announcer._write = told.append
        await opened.open(ALICE)
        opened.fake.receive(BOB, "a\x07\x1b]52;c;x\x07\nb\u202e")
        await opened.until(lambda: opened.fake.people[BOB].unread == 1 and "Bob                (1)" in opened.screen)
        assert told == ["\x1b]9;Troth: Bob: a␇␛]52;c;x␇ b‹U+202E›\x1b\\"]
