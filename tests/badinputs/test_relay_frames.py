"""B035 to B046: relay frames that are wrong. Each gets a code and changes nothing; the fifth is the last."""

from __future__ import annotations

import pytest

from server.cores import BOX, allowed, code, fresh, owner, parsed, say, welcomed
from server.talk import NOW, Box, Relay, ask, envelope
from server.test_connection import ANYBODY, EVERY, OWNERS
from troth_protocol.encoding import Reader, u32
from troth_protocol.errors import DecodeError
from troth_protocol.wire import MAX_ENVELOPE, MAX_FRAME, VERSION, Code, Type, answers, requests
from troth_server import commands
from troth_server.connection import Connection
from troth_server.effects import Ask, Close
from troth_server.limits import BAD_FRAMES, UNPROVED

ENDLESS = 10**9


def patient() -> Connection:
    """An owner's core that forgives bad frames, to be tried more than five times."""
    core = owner()
    core._bad = -ENDLESS
    core._allowance._failures = -ENDLESS
    return core


@pytest.mark.parametrize("request_", EVERY, ids=lambda request: type(request).__name__)
def test_b038_every_truncation(request_: requests.Request) -> None:
    """B038, B040: BAD_FRAME, the field and the offset, whatever is cut off or added. [R-11.5-1]"""
    frame = requests.encode(9, request_)
    core = patient()
    cuts = range(len(frame)) if len(frame) < 4_000 else [*range(1_500), *range(1_500, len(frame), 97), len(frame) - 1]
    for bad in (*(frame[:cut] for cut in cuts), frame + b"\x00", frame + frame):
        (answer,) = parsed(core.receive(bad, NOW))
        assert isinstance(answer, answers.Error)
        assert (answer.code, answer.offset <= len(bad), answer.field_name != "") == (Code.BAD_FRAME, True, True)


def test_b038_the_fifth_is_the_last() -> None:
    """B038: also when good ones are between."""
    core = welcomed()
    for attempt in range(1, BAD_FRAMES + 1):
        closed = any(isinstance(each, Close) for each in core.receive(b"", NOW))
        assert closed == (attempt == BAD_FRAMES)
        assert bool(say(core, requests.Ledger(0))) != closed


@pytest.mark.parametrize("request_", EVERY, ids=lambda request: type(request).__name__)
def test_b039_bit_flips_change_nothing_unless_they_are_requests(request_: requests.Request) -> None:
    """B039: refused with a code, or harmless: another request that parses."""
    frame = requests.encode(9, request_)
    for bit in range(8 * min(len(frame), 200)):
        bent = bytearray(frame)
        bent[bit // 8] ^= 1 << bit % 8
        core = patient()
        effects = core.receive(bytes(bent), NOW)
        if not parses(bytes(bent)):
            assert not [each for each in effects if isinstance(each, Ask)]
            assert code(effects) in {Code.BAD_FRAME, Code.TOO_LARGE, Code.UNEXPECTED_TYPE, Code.UNSUPPORTED_VERSION}


def parses(frame: bytes) -> bool:
    """Whether this is a request."""
    if not requests.is_request(frame[4]):
        return False
    try:
        requests.decode_body(frame[4], Reader(frame, 5))
    except DecodeError:
        return False
    return True


@pytest.mark.parametrize("version", [0, 255, 65_535])
def test_b041_versions(version: int) -> None:
    """B041: the answer says which version is spoken. [R-11.2-1]"""
    assert parsed(say(fresh(), requests.Hello(version)))[0] == answers.Error(Code.UNSUPPORTED_VERSION, limit=VERSION)
    for kind in (0x00, 0x11 + 0x20, 0x7F):
        answer = parsed(welcomed().receive(bytes(4) + bytes([kind]), NOW))[0]
        assert answer == answers.Error(Code.UNSUPPORTED_VERSION, limit=VERSION)


@pytest.mark.parametrize("length", [3, 4_096, MAX_ENVELOPE, MAX_ENVELOPE + 1, 2**31, 2**32 - 1])
@pytest.mark.parametrize("kind", [Type.DELIVER, Type.DELIVER_SPARE, Type.DELIVER_FIRST, Type.PUBLISH, Type.CREATE])
def test_b043_lengths_that_lie(kind: Type, length: int) -> None:
    """B042, B043: a length is judged before a byte of it is read; too large is TOO_LARGE however short the frame."""
    fixed = {Type.DELIVER: 64, Type.DELIVER_SPARE: 80, Type.DELIVER_FIRST: 81, Type.PUBLISH: 82, Type.CREATE: 104}
    body = bytes(fixed[kind]) + u32(length)
    for rest in (b"", b"abc", bytes(2_000)):
        if len(rest) == length:
            continue
        answer = parsed(patient().receive(bytes(4) + bytes([kind]) + body + rest, NOW))[0]
        assert isinstance(answer, answers.Error)
        over = length > MAX_ENVELOPE and kind in {Type.DELIVER, Type.DELIVER_SPARE, Type.DELIVER_FIRST}
        assert answer.code == (Code.TOO_LARGE if over else Code.BAD_FRAME)
        assert answer.limit == (MAX_ENVELOPE if over else 0)


def test_b042_nothing_nests_and_every_number_has_one_form() -> None:
    """B042: our encoding has no depth, tags or floats to bomb with; counts are bounded before anything is made."""
    for kind, body in (
        (Type.ACKNOWLEDGE, b"\xff\xff"), (Type.ACKNOWLEDGE, bytes(2)), (Type.ADD_LEAVES, bytes(16) + b"\xff"),
        (Type.ADD_LEAVES, bytes(17)), (Type.SPARES, b"\xff"), (Type.FETCH, b"\xff\xff"), (Type.FETCH, bytes(2)),
    ):  # fmt: skip
        assert code(patient().receive(bytes(4) + bytes([kind]) + body, NOW)) == Code.BAD_FRAME
    assert code(patient().receive(bytes(4) + bytes([Type.COUNT]) + bytes(MAX_FRAME - 5), NOW)) == Code.BAD_FRAME


@pytest.mark.parametrize("kind", [kind for kind in Type if kind >= 0x80])
def test_b045_the_relays_own_types(kind: Type) -> None:
    """B045: UNEXPECTED_TYPE, before a byte of the body is read."""
    for core in (fresh(), welcomed(), owner()):
        assert parsed(core.receive(bytes(4) + bytes([kind]) + bytes(100), NOW))[0] == answers.Error(
            Code.UNEXPECTED_TYPE
        )


@pytest.mark.parametrize("request_", [*ANYBODY, *OWNERS, requests.Ledger(0)], ids=lambda each: type(each).__name__)
def test_b046_nothing_before_hello_and_nothing_of_owners_before_a_proof(request_: requests.Request) -> None:
    """B046: AUTH_REQUIRED, and the third ends it. [R-11.3-1]"""
    for core in (fresh(), *((welcomed(),) if request_ in OWNERS else ())):
        seen = [say(core, request_) for _ in range(UNPROVED)]
        assert {code(each) for each in seen} == {Code.AUTH_REQUIRED}
        assert [any(isinstance(effect, Close) for effect in each) for each in seen] == [False, False, True]


async def test_b035_acknowledgements_of_what_is_not_ours(relay: Relay) -> None:
    """B035: never sent, of another mailbox, twice, in another order. [R-11.4-8]"""
    mine, other = Box(), Box()
    owner_, sender = await relay.owner(mine), await relay.client()
    await (await relay.owner(other)).close()
    for number in range(4):
        for box in (mine, other):
            assert await sender.deliver(box, number) == answers.Ok()
    await owner_.send(requests.Fetch(3))
    assert [type(await owner_.push()) for _ in range(3)] == [answers.Envelope] * 3
    unknown = answers.Error(Code.ACK_UNKNOWN)
    never: list[tuple[int, ...]] = [(4,), (0,), (2**64 - 1,), (1, 4), (999,)]
    for numbers in never:
        assert await owner_.call(requests.Acknowledge(numbers)) == unknown
    assert await owner_.call(requests.Count()) == answers.Counts(0, 4)
    sent: list[tuple[int, ...]] = [(3,), (1, 2), (3,), (2, 1, 3), (1, 1)]
    for numbers in sent:
        assert await owner_.call(requests.Acknowledge(numbers)) == answers.Ok()
    left = await owner_.push()
    assert isinstance(left, answers.Envelope)
    assert left.envelope == envelope(3)
    held = ask(relay.store, commands.CountHeld(other.hash))
    assert held == commands.Held(0, 4)
    await owner_.close()
    await sender.close()


def test_a_core_is_made_with_what_it_may_ask() -> None:
    """The budgets are an argument of the core, so that none is forgotten."""
    assert code(say(Connection(b"n" * 32, owner()._identity, allowed()), requests.Count())) == Code.AUTH_REQUIRED
    assert BOX.hash == owner().mailbox
