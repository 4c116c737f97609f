"""Operations of SPEC.md sections 6.5 and 7 on whole sessions: conversations, lone messages, session pairs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from troth_protocol import pairing, session
from troth_protocol.chain import HeaderKey, PqRoot, RootKey
from troth_protocol.encoding import sha256
from troth_protocol.errors import PeerError, UserError
from troth_protocol.frame import STOCK_UNKNOWN
from troth_protocol.handshake import Secrets
from troth_protocol.keys import DhPrivateKey, KemPrivateKey
from troth_protocol.pairing import Held, Pair
from troth_protocol.primitives import SystemRandomness
from troth_protocol.session import Session

from .inside import frame_shown, tokens_of
from .value import Given, Operation, Replayed, Results

_HEAD: Final = 82 + 32
"""Encrypted header and commitment."""


def _secrets(given: Given) -> Secrets:
    return Secrets(
        given.raw("TH"),
        RootKey(given.raw("RK")),
        HeaderKey(given.raw("HK_A")),
        HeaderKey(given.raw("NHK_B")),
        PqRoot(given.raw("PQROOT")),
        given.raw("AUTH"),
        given.raw("SID"),
    )


def start(given: Given) -> dict[str, Session]:
    """Both sides right after a handshake."""
    secrets, spk = _secrets(given), DhPrivateKey.load(given.raw("spk_private"))
    kem = KemPrivateKey(given.raw("kik_seed"))
    a = session.start_initiator(secrets, spk.public, kem)
    return {"A": a, "B": session.start_responder(secrets, spk, kem.public)}


def _converse(given: Given) -> Results:
    sides, sent, results = start(given.part("session")), dict[int, bytes](), list[Results]()
    for number, step in enumerate(given.parts("steps")):
        side = step.text("by")
        if step.text("do") == "send":
            sides[side], message = _send(sides[side], step)
            sent[number] = message
            results.append({"head": message[:_HEAD], "size": len(message), "hash": sha256(message)})
        else:
            given_whole = step.has("message")
            message = step.raw("message") if given_whole else _altered(sent[step.number("of")], step)
            sides[side], received = session.decrypt(sides[side], message, now=step.number("now"))
            results.append({"frame": frame_shown(received), "epoch": sides[side].epoch})
    return {"steps": results, "epochs": {name: side.epoch for name, side in sides.items()}}


def _send(side: Session, step: Given) -> tuple[Session, bytes]:
    stock = step.number("stock") if step.has("stock") else STOCK_UNKNOWN
    return session.encrypt(
        side,
        step.number("type"),
        step.raw("content"),
        randomness=Replayed(step.part("random")),
        tokens=tokens_of(step),
        stock=stock,
    )


def _altered(message: bytes, step: Given) -> bytes:
    """The message as sent, or with one byte XORed on its way."""
    if not step.has("xor"):
        return message
    at = step.number("at")
    return message[:at] + bytes([message[at] ^ step.number("xor")]) + message[at + 1 :]


def _receive(given: Given) -> Results:
    side, frames = start(given.part("session"))["B"], list[Results]()
    for message in given.raws("messages"):
        side, received = session.decrypt(side, message, now=given.number("now"))
        frames.append(frame_shown(received))
    return {"frames": frames}


def _survive(given: Given) -> Results:
    """As ``session.receive``, but a message that is refused changes nothing and the next one is read."""
    side, outcomes = start(given.part("session"))["B"], list[Results]()
    for message in given.raws("messages"):
        try:
            side, received = session.decrypt(side, message, now=given.number("now"))
            outcomes.append({"content": received.content})
        except PeerError as error:
            outcomes.append({"error": error.code})
    return {"outcomes": outcomes}


class _Rehearsed:
    """One session of a pair under test, with a peer's side that can make it hear something."""

    def __init__(self, sid: bytes, *, own: bool) -> None:
        keys = [sha256(sid, bytes([number])) for number in range(6)]
        given = dict(zip(("TH", "RK", "HK_A", "NHK_B", "PQROOT", "AUTH"), (key.hex() for key in keys), strict=True))
        key = {"spk_private": bytes(range(32)).hex(), "kik_seed": bytes(64).hex(), "SID": sid.hex()}
        sides, self._random = start(Given({**given, **key})), SystemRandomness()
        a, first = session.encrypt(sides["A"], 1, b"first", randomness=self._random)
        b, _ = session.decrypt(sides["B"], first, now=0)
        self.ours, self._theirs = (a, b) if own else (b, a)

    def message(self) -> bytes:
        """The peer's next message on this session."""
        self._theirs, message = session.encrypt(self._theirs, 1, b"more", randomness=self._random)
        return message


def _held(held: Held | None) -> Results | None:
    if held is None:
        return None
    until = None if held.drains_until is None else str(held.drains_until)
    return {"SID": held.session.sid, "own": held.own, "drains_until": until}


def _pairs(given: Given) -> Results:
    pair, known, results = Pair(), dict[bytes, _Rehearsed](), list[Results]()
    for step in given.parts("steps"):
        now, did, told = step.number("now"), step.text("do"), None
        if did == "tick":
            pair = pairing.tick(pair, now)
        elif did == "initiate":
            known[step.raw("SID")] = made = _Rehearsed(step.raw("SID"), own=True)
            pair = pairing.initiate(pair, made.ours, now)
        elif did == "accept":
            known[step.raw("SID")] = made = _Rehearsed(step.raw("SID"), own=False)
            pair, change = pairing.accept(pair, made.ours, now)
            told = change.value
        elif did == "hear":
            pair, _ = pairing.read(pair, known[step.raw("SID")].message(), now)
        else:
            raise UserError(f"a pair cannot {did}")
        results.append({"active": _held(pair.active), "draining": _held(pair.draining), "told": told})
    return {"steps": results}


OPERATIONS: Final[Mapping[str, Operation]] = {
    "session.converse": _converse,
    "session.receive": _receive,
    "session.survive": _survive,
    "pair.run": _pairs,
}
