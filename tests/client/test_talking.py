"""A-69 for daily chat: whatever two people do, and whichever process dies between any two steps, both end up alike.

[R-13.1-1] [R-13.1-2] [R-9.3-6] [R-9.3-7] [R-9.3-8] [R-9.3-9] [R-9.3-11]
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from client.pairs import texts
from client.world import Person, Template, settle
from troth_client.events import (
    Block,
    DeleteForAll,
    EditText,
    MessageKey,
    React,
    SendText,
    SetReceipts,
    SetTimer,
    Unblock,
    Withdraw,
)
from troth_client.views import MessageView
from troth_protocol.errors import NotReady, UserError

_FOLDER: list[Template] = []
WHO = st.integers(0, 1)
PICK = st.integers(0, 5)


class Talking(RuleBasedStateMachine):
    """Two people, everything they can do about texts, and everything that can go wrong below."""

    def __init__(self) -> None:
        super().__init__()
        if not _FOLDER:
            _FOLDER.append(Template.make(Path(tempfile.mkdtemp(prefix="troth-talkers-"))))
        self.relay, *people = _FOLDER[0].begin(Path(tempfile.mkdtemp(prefix="troth-talking-")))
        self.people: list[Person] = people
        self.written = 0

    def pick(self, who: int, number: int, *, ours: bool) -> MessageView | None:
        """One of the newest messages of a side that can still be spoken about."""
        lines = [m for m in texts(self.people[who], self.people[1 - who]) if m.ours is ours and not m.deleted]
        return lines[-1 - number % len(lines)] if lines else None

    @rule(who=WHO, number=PICK, answering=st.booleans())
    def write(self, who: int, number: int, answering: bool) -> None:
        person, other = self.people[who], self.people[1 - who]
        about = self.pick(who, number, ours=False) if answering else None
        self.written += 1
        person.handle(SendText(other.fingerprint, f"{who}:{self.written}", about.key if about else None))

    @rule(who=WHO, number=PICK)
    def edit(self, who: int, number: int) -> None:
        line = self.pick(who, number, ours=True)
        if line is not None:
            self.written += 1
            self.people[who].handle(EditText(self.people[1 - who].fingerprint, line.id, f"edited {self.written}"))

    @rule(who=WHO, number=PICK, how=st.sampled_from(["delete", "withdraw"]))
    def take_back(self, who: int, number: int, how: str) -> None:
        line = self.pick(who, number, ours=True)
        if line is None:
            return
        wish = DeleteForAll if how == "delete" else Withdraw
        try:
            self.people[who].handle(wish(self.people[1 - who].fingerprint, line.id))
        except (NotReady, UserError):
            assert how == "withdraw"

    @rule(who=WHO, number=PICK, ours=st.booleans(), sign=st.sampled_from(["👍", "🎉", ""]))
    def react(self, who: int, number: int, ours: bool, sign: str) -> None:
        line = self.pick(who, number, ours=ours)
        if line is not None:
            self.people[who].handle(React(self.people[1 - who].fingerprint, line.key, sign))

    @rule(who=WHO, seconds=st.sampled_from([0, 2_419_200]))
    def set_timer(self, who: int, seconds: int) -> None:
        self.people[who].handle(SetTimer(self.people[1 - who].fingerprint, seconds))

    @rule(who=WHO, on=st.booleans())
    def set_receipts(self, who: int, on: bool) -> None:
        self.people[who].handle(SetReceipts(None, on=on))

    @rule(who=WHO, steps=st.integers(1, 12), answer=st.booleans())
    def work(self, who: int, steps: int, answer: bool) -> None:
        for _ in range(steps):
            self.people[who].step(answer=answer)

    @rule(who=WHO)
    def crash(self, who: int) -> None:
        self.people[who].crash()

    @rule(who=WHO)
    def lose(self, who: int) -> None:
        self.people[who].lose()

    @precondition(lambda self: any(person.owner is None for person in self.people))
    @rule()
    def reconnect(self) -> None:
        for person in self.people:
            if person.owner is None:
                person.connect()

    def teardown(self) -> None:
        for person in self.people:
            if person.owner is None:
                person.connect()
        settle(*self.people)
        one, other = self.people
        for writer, reader in ((one, other), (other, one)):
            assert not writer.disk.rows.get("item")
            sent = {m.id: m for m in texts(writer, reader) if m.ours}
            read = {m.id: m for m in texts(reader, writer) if not m.ours}
            assert list(read) == [key for key in sent if key in read]
            for key, line in sent.items():
                if key not in read:
                    assert line.deleted  # taken back before it left
                    continue
                assert shown(line) == shown(read[key], mirrored=True)
        timers = [a.messenger.terms(b.fingerprint).timer for a, b in ((one, other), (other, one))]
        assert timers[0] == timers[1]
        self.relay.store.close()


def shown(line: MessageView, *, mirrored: bool = False) -> tuple[object, ...]:
    """What both sides must agree on."""
    reactions = {(each.ours ^ mirrored, each.sign) for each in line.reactions}
    reply = None if line.reply is None else MessageKey(line.reply.message.ours ^ mirrored, line.reply.message.id)
    return line.text, line.revision, line.deleted, line.timer, reactions, None if line.deleted else reply


Talking.TestCase.settings = settings(
    max_examples=20, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestTalking = Talking.TestCase


def test_blocked_and_unblocked_through_crashes(template: Template, tmp_path: Path) -> None:
    """[R-13.5-1] [R-13.5-2]: a crash after each step of a block or an unblock leaves it whole."""
    _, one, other = template.begin(tmp_path)
    settle(one, other)
    for turn in range(4):
        other.handle(Block(one.fingerprint))
        for _ in range(turn):
            other.step()
        other.crash()
        other.connect()
        settle(one, other)
        assert not other.disk.rows.get("refusal")
        one.send(other, f"{turn}")
        settle(one, other)
        assert one.messenger.queued(other.fingerprint) == 1
        other.handle(Unblock(one.fingerprint))
        for _ in range(turn):
            other.step()
        other.crash()
        other.connect()
        settle(one, other)
        assert [m.text for m in texts(other, one)] == [f"{n}" for n in range(turn + 1)]
