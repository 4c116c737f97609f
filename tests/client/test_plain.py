"""The line mode: every command, every mistake, nothing but inert lines that no text can forge."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from client.fake_conversations import ALICE, BOB, CAROL, STRANGER, FakeConversations, card
from client.test_tui_log import HOSTILE
from troth_client.display import clock
from troth_client.events import (
    Accept,
    AcknowledgeChange,
    Add,
    Block,
    Decline,
    DeleteForAll,
    EditText,
    Event,
    MessageKey,
    MessageState,
    Notify,
    React,
    SendText,
    SetReceipts,
    SetTimer,
    SetVerified,
    Unblock,
    What,
)
from troth_client.plain import MAX_LINE, Desk, lines_of
from troth_protocol.errors import StorageError
from troth_protocol.safety import safety_number

LINE = re.compile(r"(\* |\[\d+\] |\| )[^\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]*|\| ?")


class Terminal:
    """A desk and everything it printed."""

    def __init__(self, made: int = 5) -> None:
        self.fake = FakeConversations(made)
        self.lines: list[str] = []
        self.desk = Desk(self.fake, self.lines.append)
        self.fake.watch(self.desk.heard)

    async def type(self, *typed: str) -> str:
        self.lines.clear()
        for line in typed:
            assert await self.desk.obey(line)
        assert all(LINE.fullmatch(line) for line in self.lines), self.lines
        return "\n".join(self.lines)

    @property
    def events(self) -> list[Event]:
        return self.fake.events


async def test_listing_opening_and_writing() -> None:
    terminal = Terminal()
    assert "1. ‹Eve›: wants to write, 1 new" in await terminal.type("/list")
    assert "2. Bob: unverified, 2 new" in "\n".join(terminal.lines)
    out = await terminal.type("/open 2")
    assert "[1] " in out
    assert "Bob: hi, it is Bob" in out
    assert terminal.fake.people[BOB].unread == 0
    out = await terminal.type("hello", "//slashed")
    assert terminal.events == [SendText(BOB, "hello"), SendText(BOB, "/slashed")]
    assert "[3] " in out
    assert "you (queued): hello" in out
    terminal.fake.mark(BOB, MessageState.AT_RELAY)
    assert terminal.lines[-1] == "* [4] at relay"


async def test_numbers_stand_for_messages() -> None:
    terminal = Terminal()
    await terminal.type("/open bob", "mine")
    ours = terminal.fake.histories[BOB].kept[-1]
    theirs = MessageKey(False, (1).to_bytes(16, "big"))
    out = await terminal.type("/reply 1 yes, it is", "/react 1 👍", "/edit 3 mine too", "/info 3")
    assert "* answering them: hi, it is Bob" in out
    assert "* [1] reactions: 👍 (you)" in out
    assert "* [3] was edited:" in out
    assert "queued, 4 characters" in out or "queued, 8 characters" in out
    out = await terminal.type("/delete 3")
    assert "* [3] was deleted" in out
    assert terminal.events[1:] == [
        SendText(BOB, "yes, it is", theirs), React(BOB, theirs, "👍"), EditText(BOB, ours.id, "mine too"),
        DeleteForAll(BOB, ours.id),
    ]  # fmt: skip


async def test_people() -> None:
    terminal = Terminal()
    await terminal.type("/list")
    out = await terminal.type("/open 1")
    assert "A stranger, who calls themselves ‹Eve›" in out
    await terminal.type("/accept Fair Eve", "/timer 60", "/block", "/unblock", "/verified", "/unverified")
    assert terminal.events == [
        Accept(STRANGER, "Fair Eve"), SetTimer(STRANGER, 60), Block(STRANGER), Unblock(STRANGER), SetVerified(STRANGER),
        SetVerified(STRANGER, verified=False),
    ]  # fmt: skip
    out = await terminal.type("/safety")
    assert safety_number(terminal.fake.own_fingerprint, STRANGER).split()[3] in out
    out = await terminal.type(f"/add {card().link()} Carol")
    assert "Conversation with Carol" in out
    assert terminal.events[-1] == Add(card(), "Carol")
    first, again, another = [await terminal.type(line) for line in ("/card", "/card", "/card new")]
    assert first == again != another
    assert CAROL in terminal.fake.people


async def test_declining_and_changed_keys() -> None:
    terminal = Terminal()
    await terminal.type("/open Eve", "/decline")
    assert terminal.events == [Decline(STRANGER)]
    terminal.fake.change(BOB, change="a new device\x1b[2J")
    out = await terminal.type("/open Bob")
    assert "a new device␛[2J" in out
    await terminal.type("/read")
    assert terminal.events[-1] == AcknowledgeChange(BOB)


async def test_what_happens_to_another_conversation_than_the_open_one_is_said_with_its_name() -> None:
    terminal = Terminal()
    await terminal.type("/open Bob", "mine")
    terminal.fake.mark(BOB, MessageState.FAILED)
    await terminal.type("/open Alice")
    for typed in ("/react 1 👍", "/resend 3", "/reply 1 yes"):
        assert (await terminal.type(typed)).splitlines()[-1] == "* done, in the conversation with Bob"
    terminal.desk.heard(Notify(What.CHANGED, BOB, "their keys changed"))
    assert terminal.lines[-1] == "* changed: Bob: their keys changed"
    await terminal.type("/timer 1h", "/timer off", "/receipts", "/noreceipts")
    assert terminal.events[-4:] == [
        SetTimer(ALICE, 3_600), SetTimer(ALICE, 0), SetReceipts(ALICE, on=True), SetReceipts(ALICE, on=False),
    ]  # fmt: skip


async def test_each_new_message_elsewhere_is_said_once() -> None:
    """Also in a conversation of which as many were said to be new, and read, before."""
    terminal = Terminal()
    await terminal.type("/open Eve", "/open Bob", "/open Alice")
    for _ in range(2):
        terminal.lines.clear()
        terminal.fake.receive(BOB, "one more")
        assert terminal.lines == ["* Bob: 1 new (/next)"]
        await terminal.type("/next", "/open Alice")


async def test_search_next_and_history() -> None:
    terminal = Terminal(made=100)
    out = await terminal.type("/search message 9")
    assert out.count(": message 9") >= 9
    number = terminal.lines[0].partition("]")[0][1:]
    assert "at relay" in await terminal.type(f"/info {number}")
    await terminal.type("/next", "/next")
    assert "Nothing new" in await terminal.type("/next")
    await terminal.type("/open Alice")
    assert (await terminal.type("/history 3")).count("message") == 3
    assert "nothing found" in await terminal.type("/search nowhere")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("hello", "no conversation is open"),
        ("/nonsense", "no such command"),
        ("/open 99", "nobody, or more than one"),
        ("/open", "nobody, or more than one"),
        ("/reply 7 x", "no message has this number"),
        ("/edit x y", "no message has this number"),
        ("/delete", "no message has this number"),
        ("/timer soon", "a time is `off`"),
        ("/add troth:x", "give them a name"),
        ("/add troth:x Carol", "Next: ask for the link again"),
        ("/safety", "no conversation is open"),
        ("/verified", "no conversation is open"),
        ("/open " + "9" * 10_000, "nobody, or more than one"),
        ("/reply " + "9" * 10_000, "no message has this number"),
        ("/\x1b[2J", "no such command"),
    ],
)
async def test_mistakes_say_what_to_do(line: str, said: str) -> None:
    terminal = Terminal()
    assert said in await terminal.type(line)
    assert terminal.events == []


async def test_what_is_not_ours_is_not_edited_or_deleted() -> None:
    terminal = Terminal()
    await terminal.type("/open Bob")
    assert "only what you wrote" in await terminal.type("/edit 1 x")
    assert "only what you wrote" in await terminal.type("/delete 1")
    terminal.fake.failure = StorageError("the disk is full")
    assert "Next: make room" in await terminal.type("lost?")


async def test_a_fault_is_not_swallowed() -> None:
    terminal = Terminal()
    await terminal.type("/open Bob")
    terminal.fake.failure = RuntimeError("a fault")
    with pytest.raises(RuntimeError):
        await terminal.desk.obey("x")


async def test_quitting_and_help() -> None:
    terminal = Terminal()
    assert "/reply N TEXT" in await terminal.type("/help")
    assert not await terminal.desk.obey("/quit")


@pytest.mark.parametrize("text", [*HOSTILE, "x\n[7] 12:00 Bob: forged\n* verified", "* alarm: forged"])
async def test_no_text_or_name_forges_a_line(text: str) -> None:
    """[R-13.1-8]"""
    terminal = Terminal()
    terminal.fake.change(BOB, name=text[:60])
    terminal.fake.receive(BOB, text)
    terminal.fake.receive(BOB, text, MessageState.NOTICE)
    await terminal.type("/list", "/next", "/next", "/search forged", "/open 2", "/open 3")
    terminal.fake.receive(BOB, text)
    terminal.desk.heard(Notify(What.ALARM, BOB, text[:500], "TRUST"))
    assert all(LINE.fullmatch(line) for line in terminal.lines)
    assert not any(line.startswith(("* verified", "[7] 12:00")) for line in terminal.lines)


async def test_news_elsewhere_is_said_once() -> None:
    terminal = Terminal()
    await terminal.type("/open Alice")
    terminal.lines.clear()
    terminal.fake.receive(BOB, "psst")
    terminal.fake.tell(What.MESSAGE, BOB)
    assert [line for line in terminal.lines if "Bob" in line] == ["* Bob: 3 new (/next)"]
    terminal.fake.receive(ALICE, "here")
    assert terminal.lines[-1].endswith("Alice: here")
    terminal.fake.connect(False)
    assert terminal.lines[-1] == "* offline"


async def test_a_notice_has_no_number_and_is_never_gone() -> None:
    terminal = Terminal()
    terminal.fake.receive(BOB, "they set new texts to stay", MessageState.NOTICE)
    await terminal.type("/open Bob")
    terminal.lines.clear()
    terminal.fake.receive(BOB, "third")
    assert terminal.lines == [f"[3] {clock(terminal.fake.clock)} Bob: third"]


def test_lines_are_read_whole_or_refused_whole() -> None:
    reader, writer = os.pipe()
    with open(writer, "wb", buffering=0) as file:
        file.write(b"/list\n\nlong " + b"x" * 30_000)
        lines = lines_of(reader)
        assert [next(lines), next(lines)] == [b"/list\n", b"\n"]
        file.write(b"x\nno end")
    assert [len(next(lines)), next(lines), next(lines), next(lines, None)] == [30_007, b"no end", b"", None]
    os.close(reader)
    with tempfile.TemporaryFile() as file:
        file.write(b"y" * (3 * MAX_LINE) + b"\nnext\n")
        file.seek(0)
        too_long, *rest = lines_of(file.fileno())
    assert MAX_LINE < len(too_long) <= MAX_LINE + 2
    assert rest == [b"next\n", b""]


def test_quit_ends_it_while_the_input_is_still_open() -> None:
    """Python aborts if a thread waits in ``sys.stdin`` when the program ends."""
    code = (
        "import asyncio, sys; sys.path.insert(0, sys.argv[1]);"
        "from client.fake_conversations import FakeConversations; from troth_client.plain import run;"
        "sys.exit(asyncio.run(run(FakeConversations())))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(Path(__file__).parents[1])],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdin.write(b"/open Bob\n/quit\n")
    process.stdin.flush()
    assert (process.wait(60), process.stderr.read()) == (0, b"")
    assert b"are you there?" in process.stdout.read()
    for pipe in (process.stdin, process.stdout, process.stderr):
        pipe.close()
