"""Who may make a mailbox: open, by invitation, closed; one answer to every invitation that is not good."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import pytest

from server.conftest import serving
from server.cores import IDENTITY, NONCE, code, say
from server.talk import NOW, Box, ask
from troth_protocol import ownership
from troth_protocol.errors import UserError
from troth_protocol.token import EPOCH_SECONDS
from troth_protocol.wire import VERSION, Code, answers, requests
from troth_server import commands, standing
from troth_server.admission import NONCE_SIZE, Admission, Mode, invitation
from troth_server.allowance import Allowance, Shared
from troth_server.commands import CreateMailbox, Done, Refused, Ticket, Uninvited
from troth_server.config import Config
from troth_server.connection import Connection
from troth_server.effects import Ask, Effect
from troth_server.gate import Visit
from troth_server.ledger_file import LedgerFile
from troth_server.limits import Bucket, Rates
from troth_server.storage import Store

KEY = b"k" * 32
MODES = {mode: Admission(mode, KEY) for mode in Mode}
GOOD = invitation(KEY, 2, NOW + 9, b"n" * NONCE_SIZE)


def test_an_invitation_is_small_and_says_nothing() -> None:
    assert len(GOOD) == 58 <= requests.MAX_INVITE
    ticket = MODES[Mode.INVITATION].ticket(GOOD, NOW)
    assert ticket is not None
    assert (ticket.uses, ticket.expires, len(ticket.hash)) == (2, NOW + 9, 32)
    assert b"n" * NONCE_SIZE not in ticket.hash
    assert MODES[Mode.OPEN].ticket(GOOD, NOW) is MODES[Mode.OPEN].ticket(b"", NOW) is None


@pytest.mark.parametrize("mode", [Mode.INVITATION, Mode.CLOSED])
def test_what_is_not_good_has_no_uses(mode: Mode) -> None:
    """[R-11.3-3]"""
    flips = [bytes((*GOOD[:at], GOOD[at] ^ 1, *GOOD[at + 1 :])) for at in range(len(GOOD))]
    other = invitation(b"x" * 32, 2, NOW + 9, b"n" * NONCE_SIZE)
    for bad in (b"", b"x", GOOD[:-1], GOOD + b"\0", bytes(58), bytes(64), other, *flips):
        ticket = MODES[mode].ticket(bad, NOW)
        assert ticket is not None
        assert (ticket.uses, ticket.expires) == (0, 0)
    for late in (NOW + 9, NOW + 10**9):
        expired = MODES[mode].ticket(GOOD, late)
        assert expired is not None
        assert expired.uses == 0
    closed = MODES[Mode.CLOSED].ticket(GOOD, NOW)
    assert closed is not None
    assert closed.uses == 0


# The store.


def make(box: Box, ticket: Ticket | None) -> CreateMailbox:
    return CreateMailbox(box.hash, ownership.stored(box.secret), box.key, NOW + EPOCH_SECONDS, NOW, ticket)


def test_a_use_is_spent_with_the_mailbox_it_pays_for(store: Store) -> None:
    ticket = Ticket(b"h" * 32, 2, NOW + 99)
    boxes = [Box() for _ in range(4)]
    assert ask(store, make(boxes[0], ticket)) == Done()
    assert ask(store, make(boxes[0], ticket)) == Done()  # again: nothing is spent
    other = dataclasses.replace(make(boxes[0], ticket), stored=bytes(32))
    assert ask(store, other) == Refused()  # nor here
    assert ask(store, make(boxes[1], ticket)) == Done()
    assert ask(store, make(boxes[2], ticket)) == Uninvited()
    assert ask(store, make(boxes[0], Ticket(b"h" * 32, 0, 0))) == Done()  # what was made stays made
    assert ask(store, make(boxes[2], Ticket(b"i" * 32, 0, 0))) == Uninvited()
    assert ask(store, commands.LoadOwner(boxes[2].hash)) == commands.OwnerKey(None)
    assert ask(store, make(boxes[3], Ticket(b"i" * 32, 1, NOW + 99))) == Done()
    assert ask(store, make(boxes[2], None)) == Done()


@pytest.mark.parametrize(("later", "outcome"), [(98, Uninvited()), (99, Done())])
def test_what_was_counted_is_forgotten_when_the_invitation_expires(
    store: Store, later: int, outcome: commands.Outcome
) -> None:
    """(Admission gives an expired invitation no use; the store only no longer knows it.)"""
    ticket = Ticket(b"h" * 32, 1, NOW + 99)
    assert ask(store, make(Box(), ticket)) == Done()
    assert ask(store, commands.Expire(NOW + later)) == Done()
    assert ask(store, make(Box(), ticket)) == outcome


# The core.


def core(mode: Mode, creations: Bucket | None = None) -> Connection:
    identity = dataclasses.replace(IDENTITY, admission=MODES[mode])
    made = Connection(NONCE, identity, Allowance(Shared(Rates(), creations or Bucket(100, 1)), Visit()))
    say(made, requests.Hello(VERSION))
    return made


def create(invite: bytes) -> requests.Create:
    return requests.Create(bytes(32), bytes(32), bytes(32), NOW + 9, invite)


def asked(effects: list[Effect]) -> CreateMailbox:
    (effect,) = effects
    assert isinstance(effect, Ask)
    assert isinstance(effect.command, CreateMailbox)
    return effect.command


def test_good_or_not_the_store_is_asked_the_same() -> None:
    """[R-11.3-3]"""
    for mode in (Mode.INVITATION, Mode.CLOSED):
        for invite in (b"", b"wrong", GOOD):
            connection = core(mode)
            effects = say(connection, create(invite))
            ticket = asked(effects).ticket
            assert ticket is not None
            assert ticket.uses == (2 if invite == GOOD and mode is Mode.INVITATION else 0)
            assert isinstance(effects[0], Ask)
            assert code(connection.result(effects[0], Uninvited(), NOW)) == Code.INVITE_REQUIRED
    assert asked(say(core(Mode.OPEN), create(b""))).ticket is None


def test_whoever_is_not_invited_uses_up_nothing_of_the_invited() -> None:
    creations = Bucket(1, 0.001)
    for _ in range(20):
        asked(say(core(Mode.INVITATION, creations), create(b"wrong")))
    assert asked(say(core(Mode.INVITATION, creations), create(GOOD))).ticket is not None
    assert code(say(core(Mode.INVITATION, creations), create(GOOD))) == Code.RATE_LIMITED


# A relay.


async def test_a_relay_by_invitation(founded: tuple[Config, LedgerFile], tmp_path: Path) -> None:
    config, ledger = founded
    async with serving(dataclasses.replace(config, admission=Mode.INVITATION), ledger, tmp_path) as relay:
        now = int(time.time())
        stands = standing.read(dataclasses.replace(config, admission=Mode.INVITATION), now)
        key = config.invite_key.read_bytes()
        invite = invitation(key, 1, now + 99, b"n" * NONCE_SIZE)

        async def join(box: Box, shown: bytes) -> answers.Answer:
            client = await relay.client()
            expires = now + EPOCH_SECONDS
            request = requests.Create(box.mailbox, ownership.stored(box.secret), box.key, expires, shown)
            try:
                return await client.call(request)
            finally:
                await client.close()

        refusal = answers.Error(Code.INVITE_REQUIRED)
        first, second = Box(), Box()
        assert await join(first, invite) == refusal  # before ``renew`` has brought the key, nobody is let in
        relay.listener.renew(stands)
        assert await join(first, b"") == refusal
        assert await join(first, invite) == answers.Ok()
        assert await join(first, invite) == answers.Ok()
        assert await join(second, invite) == refusal  # used up
        assert await join(second, invitation(bytes(32), 1, now + 99, b"n" * NONCE_SIZE)) == refusal
        assert await join(second, invitation(key, 1, now - 1, b"m" * NONCE_SIZE)) == refusal
        closed = Admission(Mode.CLOSED, key)
        relay.listener.renew(dataclasses.replace(stands, admission=closed))
        assert await join(second, invitation(key, 9, now + 99, b"o" * NONCE_SIZE)) == refusal
        assert await join(first, b"") == answers.Ok()


def test_an_invitation_relay_needs_its_key(founded: tuple[Config, LedgerFile], tmp_path: Path) -> None:
    config = dataclasses.replace(founded[0], data=tmp_path, admission=Mode.INVITATION)
    for name in ("tls-cert.pem", "tls-key.pem", "ledger.bin"):
        (tmp_path / name).write_bytes((founded[0].data / name).read_bytes())
    with pytest.raises(UserError, match="troth-relay invite"):
        standing.read(config, int(time.time()))
    config.invite_key.write_bytes(b"short")
    with pytest.raises(UserError, match="no key of invitations"):
        standing.read(config, int(time.time()))
