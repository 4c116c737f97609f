"""The core alone: frames in, lists of effects out, no socket, no store, no clock."""

from __future__ import annotations

import itertools
import secrets

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.cores import BOX, IDENTITY, NONCE, PIN, RELAY, allowed, code, fresh, owner, parsed, proof, say, welcomed
from server.talk import NOW, SMALL, Box, envelope
from troth_protocol import ownership, token
from troth_protocol.wire import (
    BUNDLE_SIZE,
    LEAF_SIZE,
    MAX_ENVELOPE,
    MAX_FRAME,
    VERSION,
    Code,
    Type,
    Via,
    answers,
    requests,
)
from troth_server import commands
from troth_server.connection import Connection, Identity
from troth_server.effects import Answer, Ask, Close, CloseCode, Subscribe
from troth_server.limits import BAD_FRAMES, CREATIONS, UNPROVED, Bucket

ENVELOPE = envelope(1)
LEAVES = tuple(bytes([index]).ljust(LEAF_SIZE, b"l") for index in range(2))

ANYBODY: list[requests.Request] = [
    requests.Create(BOX.mailbox, ownership.stored(BOX.secret), BOX.key, NOW + 100),
    requests.FetchBundle(b"l" * 32, b"c" * 32),
    requests.DeliverFirst(b"l" * 32, b"c" * 32, 0, b"n" * 16, ENVELOPE),
    requests.Deliver(BOX.mailbox, BOX.token(1), ENVELOPE),
    requests.DeliverSpare(BOX.mailbox, b"s" * 32, b"n" * 16, ENVELOPE),
]
OWNERS: list[requests.Request] = [
    requests.Rotate(b"K" * 32, NOW + 100),
    requests.Publish(b"l" * 32, b"c" * 32, 1, b"h" * 16, b"b" * BUNDLE_SIZE),
    requests.Unpublish(b"l" * 32),
    requests.AddLeaves(b"b" * 16, LEAVES),
    requests.Count(),
    requests.Fetch(4),
    requests.Acknowledge((1,)),
    requests.Spares((b"a" * 32,), (b"b" * 32,)),
]
EVERY: list[requests.Request] = [
    requests.Hello(VERSION), *ANYBODY, requests.Ledger(0), requests.Prove(BOX.mailbox, b"c" * 32, b"p" * 32), *OWNERS,
]  # fmt: skip


def test_welcome_names_the_relay_its_nonce_and_its_ledger() -> None:
    (welcome,) = parsed(say(fresh(), requests.Hello(VERSION)))
    assert welcome == answers.Welcome(VERSION, RELAY, NONCE, 20, bytes(32))


@pytest.mark.parametrize("version", [0, 2, 255, 65_535])
def test_another_version_is_answered_with_ours_and_closed(version: int) -> None:
    """[R-11.2-1]"""
    refusal, close = parsed(say(fresh(), requests.Hello(version)))
    assert refusal == answers.Error(Code.UNSUPPORTED_VERSION, limit=VERSION)
    assert close == Close(CloseCode.POLICY, "UNSUPPORTED_VERSION")


def test_hello_is_said_once() -> None:
    assert code(say(welcomed(), requests.Hello(VERSION))) == Code.UNEXPECTED_TYPE


@pytest.mark.parametrize("request_", EVERY[1:], ids=lambda r: type(r).__name__)
def test_nothing_is_done_before_hello(request_: requests.Request) -> None:
    core = fresh()
    for attempt in range(1, UNPROVED + 1):
        effects = say(core, request_)
        assert code(effects) == Code.AUTH_REQUIRED
        assert (Close(CloseCode.POLICY, "AUTH_REQUIRED") in effects) == (attempt == UNPROVED)
    assert say(core, request_) == []


@pytest.mark.parametrize("request_", OWNERS, ids=lambda r: type(r).__name__)
def test_owners_requests_need_a_proof(request_: requests.Request) -> None:
    """[R-11.3-1]"""
    core = welcomed()
    for attempt in range(1, UNPROVED + 1):
        effects = say(core, request_)
        assert code(effects) == Code.AUTH_REQUIRED
        assert (Close(CloseCode.POLICY, "AUTH_REQUIRED") in effects) == (attempt == UNPROVED)


@pytest.mark.parametrize("request_", ANYBODY, ids=lambda r: type(r).__name__)
def test_anybodys_requests_become_one_command(request_: requests.Request) -> None:
    (asked,) = say(welcomed(), request_)
    assert isinstance(asked, Ask)
    assert asked.request_id == 7


@pytest.mark.parametrize("request_", [r for r in OWNERS if not isinstance(r, requests.Acknowledge)])
def test_an_owners_requests_speak_for_the_proved_mailbox(request_: requests.Request) -> None:
    asked = say(owner(), request_)[-1]
    assert isinstance(asked, Ask)
    assert getattr(asked.command, "mailbox", None) == BOX.hash


def test_a_proof_opens_its_mailbox_once() -> None:
    """[R-10.1-5]"""
    core = owner()
    assert code(say(core, proof())) == Code.REFUSED
    assert core.mailbox == BOX.hash


@pytest.mark.parametrize(
    "wrong",
    [
        proof(secret=b"x" * 32), proof(nonce=b"x" * 32), proof(relay=b"x" * 32), proof(pin=b"x" * 32),
        requests.Prove(BOX.mailbox, b"C" * 32, proof().proof),
    ],
    ids=["secret", "server nonce", "relay", "TLS key", "client nonce"],
)  # fmt: skip
def test_wrong_proofs_and_unknown_mailboxes_get_the_same_bytes(wrong: requests.Prove) -> None:
    """[R-10.1-4] [R-11.5-2]"""
    core = welcomed()
    (asked,) = say(core, wrong)
    assert isinstance(asked, Ask)
    refused = core.result(asked, commands.OwnerKey(ownership.stored(BOX.secret)), NOW)
    unknown = welcomed()
    (asked,) = say(unknown, proof())
    assert isinstance(asked, Ask)
    assert unknown.result(asked, commands.OwnerKey(None), NOW) == refused
    assert code(refused) == Code.REFUSED
    assert core.mailbox is None
    # The nonce is spent: even the right proof does not open the mailbox on this connection.
    assert say(core, proof()) == refused


def test_the_decoy_opens_nothing() -> None:
    core = welcomed()
    shown = ownership.prove(b"x" * 32, BOX.mailbox, b"c" * 32, NONCE, RELAY, PIN)
    (asked,) = say(core, requests.Prove(BOX.mailbox, b"c" * 32, shown))
    assert isinstance(asked, Ask)
    decoyed = Identity(RELAY, PIN, b"", (), bytes(32), ownership.stored(b"x" * 32))
    core._identity = decoyed  # even somebody who knew the decoy's secret
    assert code(core.result(asked, commands.OwnerKey(None), NOW)) == Code.REFUSED


def test_a_failing_store_during_a_proof_leaves_the_connection_unproved() -> None:
    core = welcomed()
    (asked,) = say(core, proof())
    assert isinstance(asked, Ask)
    assert code(core.result(asked, commands.Failed(Code.UNAVAILABLE), NOW)) == Code.UNAVAILABLE
    assert core.mailbox is None


def test_every_truncation_and_every_trailing_byte_is_a_bad_frame() -> None:
    """[R-11.5-1]"""
    for request in EVERY:
        frame = requests.encode(9, request)
        cuts = itertools.chain(range(min(len(frame), 260)), range(len(frame) - 40, len(frame)))
        for bad in (*(frame[:cut] for cut in cuts if cut < len(frame)), frame + b"\x00"):
            core = welcomed()
            (answer,) = parsed(core.receive(bad, NOW))
            assert isinstance(answer, answers.Error), request
            assert answer.code == Code.BAD_FRAME
            assert answer.field_name
            assert answer.offset <= len(bad)


def test_the_fifth_bad_frame_closes_the_connection() -> None:
    core = welcomed()
    for attempt in range(1, BAD_FRAMES + 1):
        effects = core.receive(b"\x00", NOW)
        assert code(effects) == Code.BAD_FRAME
        assert (Close(CloseCode.POLICY, "BAD_FRAME") in effects) == (attempt == BAD_FRAMES)
    assert core.receive(requests.encode(1, requests.Ledger(0)), NOW) == []


@pytest.mark.parametrize("request_", [r for r in EVERY if len(requests.encode(0, r)) < 300])
def test_every_bit_flip_of_a_short_frame_is_answered_or_asked(request_: requests.Request) -> None:
    flip_all(requests.encode(9, request_))


@pytest.mark.parametrize("request_", [r for r in EVERY if len(requests.encode(0, r)) >= 300])
def test_bit_flips_of_a_long_frames_head_are_answered_or_asked(request_: requests.Request) -> None:
    flip_all(requests.encode(9, request_), 240)


def flip_all(frame: bytes, length: int | None = None) -> None:
    for bit in range(8 * (len(frame) if length is None else length)):
        bent = bytearray(frame)
        bent[bit // 8] ^= 1 << bit % 8
        for core in (fresh(), welcomed(), owner_cached()):
            effects = core.receive(bytes(bent), NOW)
            assert effects
            assert all(isinstance(each, Answer | Ask | Close | Subscribe) for each in effects)


_OWNER_ASK = Ask(1, commands.LoadOwner(BOX.hash))
_PROOF = requests.encode(1, proof())
_HELLO = requests.encode(0, requests.Hello(VERSION))


def owner_cached() -> Connection:
    core = fresh()
    core.receive(_HELLO, NOW)
    core.receive(_PROOF, NOW)
    core.result(_OWNER_ASK, commands.OwnerKey(ownership.stored(BOX.secret)), NOW)
    return core


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=8))
def test_noise_never_raises(frames: list[bytes]) -> None:
    core = owner_cached()
    for frame in frames:
        core.receive(frame, NOW)


def test_the_relays_own_types_are_unexpected_and_unknown_ones_unsupported() -> None:
    for kind in range(256):
        if requests.is_request(kind):
            continue
        answer = parsed(welcomed().receive(bytes(4) + bytes([kind]), NOW))[0]
        wanted = answers.Error(Code.UNEXPECTED_TYPE) if kind & 0x80 else answers.Error(2, limit=VERSION)
        assert answer == wanted


def test_an_envelope_over_the_limit_is_too_large() -> None:
    body = BOX.mailbox + BOX.token(1) + (MAX_ENVELOPE + 1).to_bytes(4, "big") + bytes(MAX_ENVELOPE + 1)
    answer = parsed(welcomed().receive(bytes(4) + bytes([Type.DELIVER]) + body, NOW))[0]
    assert answer == answers.Error(Code.TOO_LARGE, limit=MAX_ENVELOPE)


@pytest.mark.parametrize("expires", [0, NOW, NOW + 62 * 86_400, 2**64 - 1])
def test_a_token_key_expires_in_the_future_and_not_too_late(expires: int) -> None:
    create = requests.Create(BOX.mailbox, bytes(32), bytes(32), expires)
    for core, request in ((welcomed(), create), (owner(), requests.Rotate(bytes(32), expires))):
        answer = parsed(say(core, request))[0]
        assert answer == answers.Error(Code.BAD_FRAME, "expires")


def test_mailboxes_are_rationed_by_connection_and_altogether() -> None:
    core = welcomed()
    request = ANYBODY[0]
    for _ in range(CREATIONS):
        assert isinstance(say(core, request)[0], Ask)
    assert code(say(core, request)) == Code.RATE_LIMITED
    shared = Bucket(2, 1 / 60)
    cores = [Connection(NONCE, IDENTITY, allowed(shared)) for _ in range(3)]
    for each in cores:
        say(each, requests.Hello(VERSION))
    assert [isinstance(say(each, request)[0], Ask) for each in cores] == [True, True, False]
    refusal = parsed(cores[2].receive(requests.encode(1, request), NOW + 30))[0]
    assert isinstance(refusal, answers.Error)
    assert (refusal.code, refusal.retry_after) == (Code.RATE_LIMITED, 30)
    assert isinstance(cores[2].receive(requests.encode(1, request), NOW + 61)[0], Ask)


def test_only_the_first_device_slot_is_there_yet() -> None:
    request = requests.DeliverFirst(b"l" * 32, b"c" * 32, 1, b"n" * 16, ENVELOPE)
    assert code(say(welcomed(), request)) == Code.REFUSED


def test_ledger_pages_fit_a_frame_and_follow_each_other() -> None:
    seen = 0
    core = welcomed()
    while seen < len(IDENTITY.entries):
        (effect,) = say(core, requests.Ledger(seen))
        assert isinstance(effect, Answer)
        assert len(effect.frame) <= MAX_FRAME
        page = answers.decode(effect.frame)[1]
        assert isinstance(page, answers.LedgerPage)
        assert page.entries
        seen += len(page.entries)
    for since in (20, 21, 2**64 - 1):
        assert parsed(say(core, requests.Ledger(since)))[0] == answers.LedgerPage(IDENTITY.operator, 20, ())


@pytest.mark.parametrize(
    ("outcome", "answer"),
    [
        (commands.Done(), answers.Ok()),
        (commands.Deposited(BOX.hash, None), answers.Ok()),
        (commands.Deposited(BOX.hash, commands.Queued(1, Via.TOKEN, bytes(32), ENVELOPE)), answers.Ok()),
        (commands.Refused(), answers.Error(Code.REFUSED)),
        (commands.Full(), answers.Error(Code.QUOTA)),
        (commands.Rejected(), answers.Error(Code.PREKEY_REJECTED)),
        (commands.Failed(Code.STORAGE_FULL), answers.Error(Code.STORAGE_FULL)),
        (commands.Failed(Code.UNAVAILABLE), answers.Error(Code.UNAVAILABLE)),
        (commands.Held(3, 4), answers.Counts(3, 4)),
        (commands.Taken(b"b" * BUNDLE_SIZE, None), answers.Bundle(b"b" * BUNDLE_SIZE, (None,))),
        (commands.Taken(b"b" * BUNDLE_SIZE, LEAVES[0]), answers.Bundle(b"b" * BUNDLE_SIZE, (LEAVES[0],))),
    ],
    ids=lambda value: type(value).__name__,
)
def test_outcomes_are_answered_with_the_requests_id(outcome: commands.Outcome, answer: answers.Answer) -> None:
    asked = Ask(77, commands.CountHeld(BOX.hash))
    assert owner().result(asked, outcome, NOW) == [Answer(answers.encode(77, answer))]


def test_nothing_secret_is_shown_by_repr() -> None:
    secret = secrets.token_bytes(32)
    box = Box(secret, secret, secret)
    core = welcomed()
    shown = requests.Deliver(box.mailbox, secret, envelope(1))
    effects = say(core, shown)
    assert repr(secret)[2:-1] not in repr(effects) + repr(IDENTITY) + repr(token.MailboxEpoch(secret, 1))


def test_size_of_the_smallest_bucket() -> None:
    assert len(ENVELOPE) == SMALL
