"""What a host, a crash, a second process or a message's content can make a client do."""

from __future__ import annotations

import ast
import random
import shutil
import statistics
from pathlib import Path

import pytest

from attacks.malicious import begin, everything, journal_of, peer_of, say
from client.world import START, Disk, Person, Template, settle
from troth_client.events import Acknowledge, Arrived, Ask, MessageState, Notify, Save, SendText, Submit
from troth_client.vault.store import Vault
from troth_protocol import content
from troth_protocol.content import ContentType, Text
from troth_protocol.errors import NoSuchContact, VaultBusy
from troth_protocol.primitives import SystemRandomness
from troth_protocol.wire import answers, requests

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "client/troth_client"
FORBIDDEN = {
    "webbrowser", "urllib", "http", "ftplib", "smtplib", "requests", "httpx", "aiohttp", "subprocess", "pty", "html",
    "xml", "pickle", "marshal", "shelve", "ctypes",
}  # fmt: skip
DELIVERIES = requests.Deliver | requests.DeliverFirst | requests.DeliverSpare


def test_a41_a_relays_log_holds_no_receipts_and_no_senders(template: Template, tmp_path: Path) -> None:
    """A-41 (Martiny, NDSS 2021): in rounds where A wrote to B, B's side is as still as in rounds where A did not.

    The log names mailboxes that receive, never one that sends; submits come on connections that proved no mailbox. What
    remains: one top-up after 48 unanswered messages, delayed at random, and the answers that people choose to write.
    """
    relay, one, other = begin(template, tmp_path)
    settle(one, other)
    relay.log.clear()
    home = one.messenger.own.mailbox
    chance = random.Random(41)
    wrote: list[int] = []
    still: list[int] = []
    for _ in range(60):
        writes = chance.random() < 0.5
        mark = len(relay.log)
        if writes:
            one.send(other, "a message")
        settle(one, other, seconds=60)
        back = [
            seen
            for seen in relay.log[mark:]
            if isinstance(seen.request, requests.Deliver) and seen.request.mailbox == home
        ]
        (wrote if writes else still).append(len(back))
    assert len(other.disk.received()) == len(wrote) > 20
    assert statistics.mean(wrote) == statistics.mean(still) == 0
    proved = {seen.connection for seen in relay.log if isinstance(seen.request, requests.Prove | requests.Fetch)}
    submits = [seen for seen in relay.log if isinstance(seen.request, DELIVERIES)]
    assert not proved & {seen.connection for seen in submits}
    for seen in submits:
        assert one.fingerprint not in requests.encode(1, seen.request)
        assert home not in requests.encode(1, seen.request)
        assert one.messenger.own.device_id not in requests.encode(1, seen.request)


def test_a41_reading_sends_nothing(template: Template, tmp_path: Path) -> None:
    """A-41: no kind of content, receipts asked for or not, makes the reader emit anything but an acknowledgement."""
    _, one, other = begin(template, tmp_path)
    settle(one, other)
    for kind in (*range(2, 10), 11, 12, 13, 0x7FFF, 0x8000, 0xFFFF):
        say(one, other, kind, b"please acknowledge")
    for _ in range(200):
        one.step()
        one.now += 1
    emitted: list[object] = []
    assert other.owner is not None
    while other.owner.incoming:
        _, answer = other.owner.incoming.popleft()
        if isinstance(answer, answers.Envelope):
            emitted += other.handle(Arrived(answer))
    assert emitted
    assert not [effect for effect in emitted if not isinstance(effect, Save | Acknowledge | Notify)]


def test_a67_nothing_is_fetched_because_of_content(template: Template, tmp_path: Path) -> None:
    """A-67 (EFAIL; link previews): links, markup and escapes in a text or a name lead to no request of any kind."""
    _, one, other = begin(template, tmp_path)
    settle(one, other)
    for text in (
        "https://tracker.example/pixel.gif?id=1",
        "<img src='http://tracker.example/a.png'>![x](http://tracker.example/b.png)",
        "\x1b]8;;http://tracker.example\x07click\x1b]8;;\x07 [@click=app.open_url('http://t.example')]x[/]",
        "troth-relay:AAAA troth:AAAA file:///etc/passwd \\\\host\\share",
    ):
        say(one, other, ContentType.TEXT, Text(random.randbytes(16), START, text).encode())
        say(one, other, ContentType.PROFILE, content.Profile("http://tracker.example/").encode())
        while one.step():
            pass
    asked = len(other.pending)
    settle(other, seconds=100)
    assert len(other.disk.received()) >= 3
    assert not [effect for effect in other.pending if isinstance(effect, Submit | Ask)]
    assert asked == 0


def test_a67_no_module_of_the_client_can_open_a_link() -> None:
    """A-67: nothing that fetches, renders or starts programs is imported; sockets are the routes' alone."""
    opened = 0
    for path in sorted(CLIENT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names: set[str] = set()
            if isinstance(node, ast.Import):
                names = {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module != "urllib.parse":
                names = {(node.module or "").split(".")[0]}
            assert not names & FORBIDDEN, path
            if "websockets" in names or "socket" in names:
                opened += 1
                assert path.parent.name in {"routes"} or path.name.startswith("demo"), path
            if isinstance(node, ast.Attribute):
                assert node.attr not in {"open_url", "startfile", "system"}, path
                assert node.attr != "open_connection" or path.parent.name == "routes", path
    assert opened


def test_a68_a_vault_rolled_back_accepts_nothing_twice(template: Template, tmp_path: Path) -> None:
    """A-68: a host puts back yesterday's vault: what the relay has forgotten cannot come again, keys are not reused.

    What the old vault had not seen and the relay replays is shown once more in it, for it is the first time there.
    What a rolled-back sender writes under used numbers is lost, and the reader is told of each: there is no counter
    outside the vault that would tell the sender.
    """
    relay, one, other = begin(template, tmp_path)
    settle(one, other)
    one.send(other, "before")
    settle(one, other)
    old, then = other.disk.copy(), everything(one.disk)
    one.send(other, "after")
    settle(one, other)
    replayed = relay.envelopes()
    back = Person("other", relay, old, other.now)
    for envelope in [*replayed, *replayed]:
        back.handle(Arrived(envelope))
    assert back.disk.received() == ["before", "after"]
    sent_then = [seen for seen in relay.asked(requests.Deliver) if isinstance(seen, requests.Deliver)]
    restored = Person("one", relay, Disk(then), one.now)
    restored.connect()
    restored.send(other, "a second text under the same number")
    settle(restored, other)
    sent_now = [seen for seen in relay.asked(requests.Deliver) if isinstance(seen, requests.Deliver)][len(sent_then) :]
    assert sent_now
    used = {request.envelope[:82] for request in sent_then}
    for request in sent_now:
        assert request.envelope[:82] not in used  # another encrypted header, so another key [R-7.4-1]
    assert other.disk.received().count("after") == 1
    told = [message.text for message in other.disk.messages if message.state is MessageState.NOTICE]
    assert "could not be read" in told[-1]


def test_a69_the_same_bytes_after_a_crash(template: Template, tmp_path: Path) -> None:
    """A-69: killed between save and send, during the answer, and after it: one wire message under each key."""
    relay, one, other = begin(template, tmp_path)
    settle(one, other)
    relay.log.clear()
    one.send(other, "first")
    one.crash()  # saved, not sent
    one.connect()
    while one.pending and not relay.asked(requests.Deliver):
        one.step(answer=False)  # sent, the answer lost
    one.crash()
    one.connect()
    settle(one, other)
    one.crash()
    one.connect()
    settle(one, other)
    sent = [request for request in relay.asked(requests.Deliver) if isinstance(request, requests.Deliver)]
    assert len(sent) >= 2
    assert len({(request.token, request.envelope) for request in sent}) == 1
    assert other.disk.received() == ["first"]
    one.handle(SendText(other.fingerprint, "second"))
    assert peer_of(one, other).encode() == one.disk.rows["peer"][peer_of(one, other).key]


def test_a69_the_state_is_on_disk_before_a_byte_leaves(template: Template, tmp_path: Path) -> None:
    """A-69: whatever is submitted, its bytes and the state after them are in the Save before it. [R-13.1-1]"""
    _, one, other = begin(template, tmp_path)
    settle(one, other)
    for number in range(5):
        wanted = one.handle(SendText(other.fingerprint, f"{number}"))
        for effect in wanted:
            if isinstance(effect, Submit) and isinstance(effect.request, requests.Deliver):
                body = effect.request.envelope
                assert any(body in raw for raw in one.disk.rows["item"].values())
                assert isinstance(wanted[0], Save)
        settle(one, other)
        assert peer_of(one, other).encode() in one.disk.rows["peer"].values()
        assert not one.disk.rows.get("item")
    states = {message.state for message in one.disk.messages if message.text.isdigit()}
    assert states == {MessageState.AT_RELAY}
    assert journal_of(one).account.next_item >= 5


def test_a70_two_processes_and_one_vault(tmp_path: Path) -> None:
    """A-70: the vault's lock is held while it is open, whoever asks; a copy is another vault, and the lock no part."""
    vault = Vault.create(tmp_path / "v", "a passphrase", SystemRandomness(), operations=1, memory=8_192)
    with pytest.raises(VaultBusy):
        Vault.open(tmp_path / "v", "a passphrase")
    vault.close()
    again = Vault.open(tmp_path / "v", "a passphrase")
    with pytest.raises(VaultBusy):
        Vault.open(tmp_path / "v", "a passphrase")
    again.close()
    shutil.rmtree(tmp_path / "v")


def test_a19_a_device_id_is_no_account(template: Template, tmp_path: Path) -> None:
    """A-19 (Matrix): what people compare is made of two fingerprints; a device id or a session id has no number."""
    _, one, other = begin(template, tmp_path)
    assert one.messenger.safety_number(other.fingerprint) == other.messenger.safety_number(one.fingerprint)
    peer = peer_of(one, other)
    assert peer.pair.active is not None
    for wrong in (peer.device_id, peer.key, peer.pair.active.session.sid, one.messenger.own.device_id, bytes(32)):
        with pytest.raises(NoSuchContact):
            one.messenger.safety_number(wrong)


def test_a61_nothing_adds_a_device() -> None:
    """A-61: linking is not built, and no path makes a manifest of other devices than the account had."""
    made = []
    for path in sorted(CLIENT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "manifest.create":
                made.append((path.name, ast.unparse(node.args[4])))
    assert sorted(made) == [("account.py", "(device,)"), ("account.py", "ours.devices")]
