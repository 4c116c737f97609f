"""Vectors of SPEC.md section 7 on whole conversations: each chain key, overtaking, changed and dishonest messages."""

from __future__ import annotations

from dataclasses import dataclass

from simulator import craft
from troth_client.vector.conversation import start
from troth_client.vector.value import Given, shown
from troth_protocol import chain, ratchet, session
from troth_protocol.chain import ChainKey
from troth_protocol.frame import Frame, encode
from troth_protocol.keys import DhPrivateKey
from troth_protocol.ratchet import Due, Sending
from troth_protocol.session import Session

from .book import DAY, NOW, Book, Source

Fields = dict[str, object]
_SECRETS: Fields = {
    name: f"{number:02x}" * 32 for number, name in enumerate(("TH", "RK", "HK_A", "NHK_B", "PQROOT", "AUTH", "SID"), 1)
}
KEYS: Fields = _SECRETS | {"spk_private": "0b" * 32, "kik_seed": "0c" * 64}
"""A session as a handshake leaves it."""


def make(book: Book) -> None:
    """Conversations from a session as KEYS gives it."""
    book.chapter("07-ratchets")
    _conversations(book)
    _refused_in_conversation(book)
    _dishonest(book)
    _forgotten(book)


@dataclass
class _Talk:
    """A conversation under way, written down as a vector's steps with the keys of each message."""

    source: Source
    steps: list[Fields]
    keys: list[Fields]
    sides: dict[str, Session]
    wires: dict[int, bytes]

    @classmethod
    def begin(cls, source: Source) -> _Talk:
        return cls(source, [], [], start(Given(shown(KEYS))), {})

    def send(self, by: str, text: str) -> int:
        """One side sends; gives the number of the step."""
        before, content = self.sides[by], text.encode()
        after, wire = session.encrypt(before, 1, content, randomness=self.source)
        self.steps.append({"by": by, "do": "send", "type": 1, "content": content, "random": self.source.used()})
        self.sides[by] = after
        self.keys.append(_keys(before, after))
        self.wires[len(self.steps) - 1] = wire
        return len(self.steps) - 1

    def receive(self, by: str, of: int, now: int = NOW, **change: int) -> None:
        """The other side reads the message of a step, perhaps changed on its way."""
        self.steps.append({"by": by, "do": "receive", "of": of, "now": str(now)} | change)
        if not change:
            self.sides[by], _ = session.decrypt(self.sides[by], self.wires[of], now=now)
        self.keys.append({"epoch": self.sides[by].epoch, "exchange": type(self.sides[by].exchange.state).__name__})

    def exchange(self, rounds: int) -> None:
        """So many messages each way, read as they come."""
        for number in range(rounds):
            self.receive("B", self.send("A", f"a{number}"))
            self.receive("A", self.send("B", f"b{number}"))

    @property
    def given(self) -> Fields:
        return {"session": KEYS, "steps": self.steps}


def _keys(before: Session, after: Session) -> Fields:
    """The keys of one message: what its chains were before it, and what it took from them."""
    sending = after.ratchet.sending
    if not isinstance(sending, Sending):
        raise TypeError("nothing was sent")
    _, started = ratchet.ready_to_send(before.ratchet, _Ratchet(sending.ours.raw))
    _, mk_dr = chain.classical_step(started.key)
    quantum = before.chains.sending
    _, mk_pq = chain.quantum_step(ChainKey(quantum.key))
    return {
        "RK": after.ratchet.root, "CK": started.key, "HK": started.header_key, "mk_dr": mk_dr,
        "pn": started.previous_length, "n": started.n, "tag": quantum.number + 1, "CK_pq": quantum.key, "i": quantum.i,
        "ppn": quantum.previous_length, "mk_pq": mk_pq, "exchange": type(after.exchange.state).__name__,
        "epoch": after.epoch,
    }  # fmt: skip


class _Ratchet(Source):
    """Draws one known ratchet key."""

    def __init__(self, key: bytes) -> None:
        self.key = key

    def draw(self, count: int) -> bytes:
        """The key."""
        return self.key[:count]


def _conversations(book: Book) -> None:
    operation = "session.converse"
    talk = _Talk.begin(book.source("talk"))
    talk.exchange(16)
    description = "32 messages in turn: every chain key, and epochs 1 to 3 of the exchange and beyond"
    rules = "7.1-3 7.1-4 7.1-5 7.2-4 7.4-1 8.3-1 8.3-2 8.3-3"
    done = book.accept("conversation", rules, description, operation, talk.given, {"steps": talk.keys})
    epochs = done["epochs"]
    if not isinstance(epochs, dict) or min(epochs.values()) < 4:
        raise ValueError(f"the conversation ends in {epochs}")
    talk = _Talk.begin(book.source("out of order"))
    sent = [talk.send("A", f"a{number}") for number in range(4)]
    for number in (3, 0, 2):
        talk.receive("B", sent[number])
    answers = [talk.send("B", f"b{number}") for number in range(3)]
    talk.receive("A", answers[2])
    over = talk.send("A", "a new chain")
    talk.receive("B", over)
    talk.receive("B", sent[1])
    talk.receive("A", answers[0])
    description = "messages that overtake each other, some across a step of the ratchet"
    rules = "7.1-5 7.5-1 7.5-3"
    book.accept("out-of-order", rules, description, operation, talk.given, {"steps": talk.keys})


def _refused_in_conversation(book: Book) -> None:
    operation = "session.converse"

    def opened(name: str) -> tuple[_Talk, int]:
        talk = _Talk.begin(book.source(name))
        return talk, talk.send("A", "first")

    talk, first = opened("repeated")
    talk.receive("B", first)
    given = {"session": KEYS, "steps": [*talk.steps, {"by": "B", "do": "receive", "of": first, "now": str(NOW)}]}
    book.refuse("repeated", "7.1-5", "a message that has been read", operation, given, "DUPLICATE")
    changes = (
        ("nonce-changed", "7.4-3", "the header's nonce changed", 0, "UNKNOWN_HEADER", ""),
        ("header-changed", "7.4-3", "the header's tag changed", 81, "UNKNOWN_HEADER", ""),
        ("commitment-changed", "7.4-2", "the commitment changed", 82, "TAMPERED", ""),
        ("body-changed", "7.4-3", "the body changed", 114, "TAMPERED", ""),
        ("tag-changed", "7.4-3", "the body's tag changed", 1_153, "TAMPERED", ""),
    )
    for name, rule, description, at, code, layer in changes:
        talk, first = opened(name)
        talk.receive("B", first, at=at, xor=1)
        book.refuse(name, rule, description, operation, talk.given, code, layer)
    early: Fields = {"by": "B", "do": "send", "type": 1, "content": b"early", "random": {"draw": "00" * 44}}
    given = {"session": KEYS, "steps": [early]}
    book.refuse("responder-first", "7.1-4", "a responder sends before it has read", operation, given, "SESSION")
    own = {"by": "A", "do": "receive", "of": 0, "now": str(NOW)}
    talk, _ = opened("reflected")
    given = {"session": KEYS, "steps": [*talk.steps, own]}
    book.refuse("reflected", "7.1-3", "a message comes back to its sender", operation, given, "UNKNOWN_HEADER")


def _dishonest(book: Book) -> None:
    """Messages that only a dishonest A can make, in the middle of a conversation."""
    operation, source, frame = "session.converse", book.source("dishonest"), encode(Frame(1, b"x"))

    def ended(talk: _Talk, message: bytes) -> Fields:
        last = {"by": "B", "do": "receive", "message": message, "now": str(NOW)}
        return {"session": KEYS, "steps": [*talk.steps, last]}

    talk = _Talk.begin(book.source("pn"))
    talk.exchange(1)
    given = ended(talk, craft(talk.sides["A"], source, frame, pn=1_002))
    description = "pn asks for 1,001 keys of the chain before"
    book.refuse("pn-too-many", "7.5-1", description, operation, given, "TOO_MANY_SKIPPED")
    talk = _Talk.begin(book.source("ppn"))
    talk.exchange(2)
    given = ended(talk, craft(talk.sides["A"], source, frame, ppn=1_003))
    description = "ppn asks for 1,001 keys of post-quantum chain 0"
    book.refuse("ppn-too-many", "7.5-1", description, operation, given, "TOO_MANY_SKIPPED")
    talk = _Talk.begin(book.source("twice"))
    talk.receive("B", talk.send("A", "first"))
    a = talk.sides["A"]
    spk = DhPrivateKey.load(bytes.fromhex(str(KEYS["spk_private"]))).public
    again = a._replace(ratchet=a.ratchet._replace(sending=Due(spk, 1)))
    description = "A steps twice without a message of B between"
    book.refuse("stepped-twice", "7.1-5", description, operation, ended(talk, craft(again, source, frame)), "SESSION")


def _forgotten(book: Book) -> None:
    talk = _Talk.begin(book.source("forgotten"))
    sent = [talk.send("A", f"a{number}") for number in range(5)]
    talk.receive("B", sent[2])
    talk.receive("B", sent[0])
    talk.receive("B", sent[4], NOW + 7 * DAY)
    given = talk.given
    description = "a skipped key of seven days, after a receipt that stored others"
    late = {"by": "B", "do": "receive", "of": sent[1], "now": str(NOW + 7 * DAY)}
    operation = "session.converse"
    book.refuse("forgotten", "7.5-2", description, operation, {**given, "steps": [*talk.steps, late]}, "DUPLICATE")
    talk.receive("B", sent[3], NOW + 7 * DAY)
    description = "a younger skipped key is still there"
    book.accept("remembered", "7.5-2", description, operation, talk.given, {"steps": talk.keys})
