"""``troth demo --script``: a conversation printed as it is read, checked at the end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from troth_protocol.card import RelayAddress
from troth_protocol.wire import Type

from .cli import Output
from .demo import OTHER, Stage, introduce, stage, wait_until
from .driver import Driver
from .events import MessageState, Notify, SendText, What
from .routes.dial import ANYWHERE
from .routes.direct import Direct
from .routes.route import KeyCheck, Wire

_OPENING: Final = (
    ("you", "Did this really go through a relay?"),
    ("ada", "It did: TLS, a signed descriptor, a queue on disk, and an answer after fsync."),
    ("you", "And what does the relay know of it?"),
    ("ada", "Two mailbox ids, some sizes out of four, and when."),
    ("you", "Not who wrote to whom?"),
    ("ada", "A token says that somebody you chose may deliver, not who it is."),
    ("you", "Where is the post-quantum part?"),
    ("ada", "In the padding: keys and ciphertexts go along in 32-byte symbols."),
)
_BURST: Final = (
    "First of a burst,", "second,", "third,", "fourth:", "they will arrive back to front,", "and each is read once.",
)  # fmt: skip
_CLOSING: Final = (
    ("ada", "All six are here, last one first. The skipped keys were kept for just that."),
    ("you", "Then let us go on until an epoch or two are done."),
    ("ada", "The first one proved, against a quantum computer too, that you are you."),
    ("you", "And the next ones?"),
    ("ada", "Each brings a fresh ML-KEM key from one of us."),
    ("you", "So if my keys were copied a minute ago..."),
    ("ada", "...the copy reads nothing once such an epoch is through."),
    ("you", "How long does that take?"),
    ("ada", "About ten short messages, taking turns."),
    ("you", "That is soon."),
    ("ada", "Nothing heals while we are silent, mind."),
    ("you", "Noted."),
    ("ada", "Shall we compare safety numbers?"),
    ("you", "They are below, from both sides."),
    ("ada", "Then we know that nobody stands between us."),
    ("you", "Until next time."),
)


class _ShuffledWire:
    """Holds back the envelopes of a burst and hands them over in reverse, as a bad network or relay would."""

    def __init__(self, inner: Wire, owner: Shuffled) -> None:
        self._inner = inner
        self._owner = owner
        self._ready: list[bytes] = []

    @property
    def tls_key(self) -> bytes:
        return self._inner.tls_key

    @property
    def date(self) -> int | None:
        """The inner wire's."""
        return self._inner.date

    async def send(self, frame: bytes) -> None:
        await self._inner.send(frame)

    async def receive(self) -> bytes:
        if self._ready:
            return self._ready.pop()
        frame = await self._inner.receive()
        if not self._owner.hold or frame[4] != Type.ENVELOPE:
            return frame
        self._ready = [frame]
        while len(self._ready) < self._owner.hold:
            self._ready.append(await self._inner.receive())
        self._owner.hold = 0
        return self._ready.pop()

    async def close(self) -> None:
        await self._inner.close()


class Shuffled:
    """A direct route that reverses the next ``hold`` envelopes."""

    def __init__(self) -> None:
        self.hold = 0

    async def connect(self, relay: RelayAddress, check: KeyCheck) -> Wire:
        """Open a connection; PinMismatch or NetworkError."""
        return _ShuffledWire(await Direct(ANYWHERE).connect(relay, check), self)


@dataclass(slots=True)
class _Printer:
    """Prints each text as its receiver reads it."""

    output: Output
    read: int = 0
    row: dict[str, int] = field(default_factory=dict)

    def watch(self, receiver: Driver, sender: str, name: str) -> None:
        """Print what ``receiver`` reads."""

        def see(note: Notify) -> None:
            if note.what is not What.MESSAGE or note.contact is None:
                return
            epoch = next(view.epoch for view in receiver.contacts() if view.fingerprint == note.contact)
            for line in receiver.history(note.contact, limit=len(_BURST)):
                if line.row > self.row.get(name, 0) and line.state is MessageState.RECEIVED:
                    self.row[name] = line.row
                    self.read += 1
                    self.output.result(
                        f"{self.read:3}  {sender:>3} -> {name:3}  [epoch {epoch}]  {line.text}",
                        {"type": "message", "from": sender, "to": name, "epoch": epoch, "text": line.text},
                    )

        receiver.watch(see)


async def play(output: Output) -> int:
    """Hold the conversation; 0 if everything that was promised happened, else 2."""
    shuffled = Shuffled()
    async with stage(other_route=shuffled) as set_up:
        printer = _Printer(output)
        printer.watch(set_up.you, OTHER, "you")
        printer.watch(set_up.other, "you", OTHER)
        _say(output, f"{OTHER} makes a card, you add it, {OTHER} sees a request and accepts it.")
        await introduce(set_up)
        for who, text in _OPENING:
            await _exchange(set_up, printer, who, text)
        _say(output, "A burst of six, delivered in reverse:")
        shuffled.hold = len(_BURST)
        expected = printer.read + len(_BURST)
        for text in _BURST:
            await set_up.you.do(SendText(set_up.other.own_fingerprint, text))
        await wait_until(lambda: printer.read == expected, set_up.other)
        lines = set_up.other.history(set_up.you.own_fingerprint, limit=3 * len(_BURST))
        order = [line.text for line in lines if line.state is MessageState.RECEIVED][-len(_BURST) :]
        _say(output, "Back to normal:")
        for who, text in _CLOSING:
            await _exchange(set_up, printer, who, text)
        return await _judge(set_up, printer, order, output)


async def _exchange(set_up: Stage, printer: _Printer, who: str, text: str) -> None:
    """One text, sent and read."""
    before = printer.read
    sender, receiver = (set_up.you, set_up.other) if who == "you" else (set_up.other, set_up.you)
    await sender.do(SendText(receiver.own_fingerprint, text))
    await wait_until(lambda: printer.read > before, receiver)


async def _judge(set_up: Stage, printer: _Printer, order: list[str], output: Output) -> int:
    you, other = set_up.you, set_up.other
    texts = [text for _, text in (*_OPENING, *_CLOSING)] + list(_BURST)
    epochs = [driver.contacts()[0].epoch for driver in (you, other)]
    mine, theirs = you.safety_number(other.own_fingerprint), other.safety_number(you.own_fingerprint)
    await you.settle(5)
    await other.settle(5)
    found = await asyncio.to_thread(_search, set_up.data, [text.encode() for text in texts])
    checks = {
        "every message read exactly once": printer.read == len(texts),
        "the burst read in the order it arrived": order == list(reversed(_BURST)),
        f"post-quantum epochs 1 to {min(epochs) - 1} completed": min(epochs) >= 3,
        "both sides see the same safety number": mine == theirs,
        f"none of {len(texts)} texts in the relay's files": found == 0,
    }
    output.result(f"Safety number: {mine}", {"type": "safety number", "number": mine})
    for line in set_up.eyes.mailboxes():
        output.result(
            f"The relay knows: mailbox {line.mailbox[:16]}, {line.queued} queued, {line.size} bytes",
            {"type": "relay", "mailbox": line.mailbox, "queued": line.queued, "bytes": line.size},
        )
    for what, holds in checks.items():
        output.result(f"{'ok' if holds else 'FAILED':6} {what}", {"type": "check", "what": what, "holds": holds})
    return 0 if all(checks.values()) else 2


def _search(directory: Path, needles: list[bytes]) -> int:
    """How many of the needles stand in any file below a directory."""
    files = [path.read_bytes() for path in directory.rglob("*") if path.is_file()]
    return sum(any(needle in content for content in files) for needle in needles)


def _say(output: Output, sentence: str) -> None:
    output.remark(f"--- {sentence}", {"type": "remark", "text": sentence})
