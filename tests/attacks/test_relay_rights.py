"""What a thief of tokens, mailboxes or time meets at an honest relay."""

from __future__ import annotations

import queue
import threading
from pathlib import Path

import pytest

from attacks.malicious import MaliciousRelay, begin, newcomers, peer_of
from client.world import RELAY, START, TLS_KEY, Link, Person, RelayCore, Template, settle
from troth_client.events import OwnerAnswered, OwnerConnected, Reference, Step
from troth_protocol import ownership, token
from troth_protocol.wire import BUNDLE_ANSWER, MAX_ENVELOPE, MAX_FRAME, Code, Via, answers, requests
from troth_server import commands
from troth_server.allowance import Allowance
from troth_server.connection import Connection
from troth_server.effects import Ask, Close
from troth_server.gate import Visit
from troth_server.limits import BAD_FRAMES, CREATIONS, FAILURES, UNPROVED

DAY = 86_400
REFUSED = answers.Error(Code.REFUSED)


def ask(link: Link, request: requests.Request) -> answers.Answer:
    link.incoming.clear()
    link.ask(request)
    return link.incoming.popleft()[1]


def stolen(one: Person, other: Person) -> tuple[bytes, bytes]:
    """A mailbox and a token for it, as a thief of a contact's vault would have them."""
    key = next(iter(one.disk.rows["token"]))
    address = peer_of(one, other).address
    assert address is not None
    return address.mailbox, key[48:]


def test_a47_a_token_of_another_mailbox_or_key(template: Template, tmp_path: Path) -> None:
    """A-47: forged, cut, of another mailbox or of a key the relay never had: one answer, nothing stored. [R-10.2-2]"""
    relay, one, other = begin(template, tmp_path)
    settle(one, other)
    assert other.owner is not None
    mailbox, good = stolen(one, other)
    link, body = relay.link(one.now), bytes(1_154)
    ours = one.messenger.own
    epoch = other.messenger.own.epochs[-1]
    wrong = [
        (ours.mailbox, good),
        (mailbox, good[:31] + bytes((good[31] ^ 1,))),
        (mailbox, bytes((good[0] ^ 1,)) + good[1:]),
        (mailbox, token.issue(bytes(32), mailbox, bytes(16))),
        (mailbox, token.issue(ours.epochs[-1].key, mailbox, bytes(16))),
        (mailbox, token.issue(epoch.key, ours.mailbox, bytes(16))),
        (bytes(32), good),
    ]
    for where, shown in wrong:
        assert ask(link, requests.Deliver(where, shown, body)) == REFUSED
    assert ask(link, requests.Deliver(mailbox, good, body)) == answers.Ok()
    assert ask(link, requests.Deliver(mailbox, good, body)) == answers.Ok()  # the same again, stored once
    assert ask(link, requests.Deliver(mailbox, good, b"\x01" + body[1:])) == REFUSED
    link.now = epoch.expires
    assert ask(link, requests.Deliver(mailbox, token.issue(epoch.key, mailbox, b"n" * 16), body)) == REFUSED
    queued = [answer for _, answer in other.owner.incoming if isinstance(answer, answers.Envelope)]
    assert [(answer.via, answer.mark, answer.envelope) for answer in queued] == [
        (Via.TOKEN, good[:16] + bytes(16), body)
    ]


def test_a47_a_race_of_threads_has_one_winner(template: Template, tmp_path: Path) -> None:
    """A-47: one token, two threads, twenty rounds, other envelopes: one is stored, the other refused. [R-10.2-4]"""
    relay, one, other = begin(template, tmp_path)
    epoch, mailbox = other.messenger.own.epochs[-1], other.messenger.own.mailbox
    for number in range(20):
        shown = token.issue(epoch.key, mailbox, number.to_bytes(16, "big"))
        outcomes: queue.Queue[commands.Outcome] = queue.Queue()
        gate = threading.Barrier(2)

        def race(fill: int, shown: bytes = shown, outcomes: queue.Queue[commands.Outcome] = outcomes) -> None:
            gate.wait()  # noqa: B023
            relay.store.submit(commands.Deposit(mailbox, shown, bytes((fill,)) * 1_154, START), outcomes.put)

        threads = [threading.Thread(target=race, args=(fill,)) for fill in (1, 2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        got = sorted(type(outcomes.get(timeout=10)).__name__ for _ in threads)
        assert got == ["Deposited", "Refused"]
    assert one.disk.rows


def test_a49_nobody_takes_a_mailbox_over(template: Template, tmp_path: Path) -> None:
    """A-49: another owner secret, a proof seen elsewhere, for another relay or TLS key, or twice. [R-10.1-4]"""
    relay, _, other = begin(template, tmp_path)
    settle(other)
    ours = other.messenger.own
    thief = relay.link(other.now)
    theirs = requests.Create(ours.mailbox, ownership.stored(b"t" * 32), b"k" * 32, other.now + DAY)
    assert ask(thief, theirs) == REFUSED
    seen = next(
        request
        for request in relay.asked(requests.Prove)
        if isinstance(request, requests.Prove) and request.mailbox == ours.mailbox
    )
    assert ask(thief, seen) == REFUSED
    client, secret = b"c" * 32, ours.owner_secret
    for owner, mailbox, nonce, fingerprint, key in (
        (b"t" * 32, ours.mailbox, None, RELAY.fingerprint, TLS_KEY),
        (secret, ours.mailbox, thief.nonce, RELAY.fingerprint, TLS_KEY),
        (secret, ours.mailbox, None, b"x" * 32, TLS_KEY),
        (secret, ours.mailbox, None, RELAY.fingerprint, b"x" * 32),
        (secret, b"m" * 32, None, RELAY.fingerprint, TLS_KEY),
    ):
        fresh = relay.link(other.now)
        made = ownership.prove(owner, mailbox, client, nonce or fresh.nonce, fingerprint, key)
        assert ask(fresh, requests.Prove(ours.mailbox, client, made)) == REFUSED
        assert ask(fresh, requests.Count()) == answers.Error(Code.AUTH_REQUIRED)
    own = relay.link(other.now)
    right = ownership.prove(secret, ours.mailbox, client, own.nonce, RELAY.fingerprint, TLS_KEY)
    wrong = bytes((right[0] ^ 1,)) + right[1:]
    assert ask(own, requests.Prove(ours.mailbox, client, wrong)) == REFUSED
    assert ask(own, requests.Prove(ours.mailbox, client, right)) == REFUSED  # a nonce is good for one try [R-10.1-5]
    settle(other)


def test_a49_a_forwarded_proof_opens_nothing(template: Template, tmp_path: Path) -> None:
    """A-49: a relay in the middle passes another relay's nonce on: the client's proof names the TLS key it saw."""
    relay, _, other = begin(template, tmp_path)
    honest = relay.link(other.now)
    other.lose()
    wanted = other.handle(OwnerConnected(RELAY.fingerprint, honest.nonce, b"the middle's own key".ljust(32)))
    proofs = [
        effect.request for effect in wanted if hasattr(effect, "request") and isinstance(effect.request, requests.Prove)
    ]
    assert len(proofs) == 1
    assert ask(honest, proofs[0]) == REFUSED


def test_x17_an_owners_requests_reach_only_their_mailbox(relay: MaliciousRelay) -> None:
    """X-17: a proved owner unpublishes, replaces or acknowledges what is another's: refused, or nothing happens."""
    ann, eve = newcomers(relay, "Ann", "Eve")
    settle(ann, eve)
    card = ann.make_card()
    assert eve.owner is not None
    for request in (
        requests.Unpublish(card.lookup),
        requests.Publish(card.lookup, token.capability_hash(b"e" * 32), 1, b"b" * 16, bytes(18_432)),
        requests.Acknowledge((1, 2, 3)),
    ):
        ask(eve.owner, request)
    link = relay.link(ann.now)
    assert isinstance(ask(link, requests.FetchBundle(card.lookup, card.capability)), answers.Bundle)
    assert ask(link, requests.FetchBundle(card.lookup, b"e" * 32)) == REFUSED


def core(relay: RelayCore) -> Connection:
    made = Connection(b"n" * 32, relay.identity, Allowance(relay.shared, Visit()))
    made.receive(requests.encode(1, requests.Hello(1)), START)
    return made


@pytest.mark.parametrize("size", [0, 4, 5, MAX_ENVELOPE + 200, MAX_FRAME, 10 * MAX_FRAME])
def test_a53_limits_come_before_work(relay: MaliciousRelay, size: int) -> None:
    """A-53: a frame of any size that is no request asks the store for nothing; the fifth ends the connection."""
    for kind in (0x0A, 0x0B, 0x0C, 0x05, 0x07, 0x7F, 0xFF):
        connection = core(relay)
        frame = (b"\x00\x00\x00\x02" + bytes((kind,)) + b"\xff" * size)[: max(size, 4)]
        seen = [connection.receive(frame, START) for _ in range(BAD_FRAMES + 1)]
        assert not [effect for effects in seen for effect in effects if isinstance(effect, Ask)]
        assert isinstance(seen[BAD_FRAMES - 1][-1], Close)
        assert seen[BAD_FRAMES] == []


def test_a53_the_unproved_and_the_greedy_are_stopped(relay: MaliciousRelay) -> None:
    """A-53: requests without a proof end the connection; mailboxes are counted before the store is asked."""
    connection = core(relay)
    seen = [connection.receive(requests.encode(2, requests.Count()), START) for _ in range(UNPROVED)]
    assert isinstance(seen[-1][-1], Close)
    greedy = core(relay)
    made = [
        greedy.receive(
            requests.encode(2, requests.Create(n.to_bytes(32, "big"), bytes(32), bytes(32), START + DAY)), START
        )
        for n in range(CREATIONS + 5)
    ]
    assert sum(isinstance(effects[0], Ask) for effects in made) == CREATIONS


def test_a07_draining_tells_nothing_and_costs_a_card(relay: MaliciousRelay) -> None:
    """A-07 (Prekey Pogo, WOOT 2025): without the card nothing is answered; with it eight answers of one size, one leaf.

    The refill is a whole new batch of 128, whatever was left. It goes with the next connection, not after a delay of
    its own: a relay sees that a batch was replaced, as it sees each leaf it hands out.
    """
    ann, ben = newcomers(relay, "Ann", "Ben")
    settle(ann, ben)
    card = ben.make_card()
    for number in range(10_000):
        if number % (FAILURES - 1) == 0:
            link = relay.link(ben.now)
        link.ask(requests.FetchBundle(card.lookup, number.to_bytes(32, "big")))
        assert isinstance(link.incoming[-1][1], answers.Error)
    served = []
    for minute in range(1, 51):
        link = relay.link(ben.now + 60 * minute)
        link.ask(requests.FetchBundle(card.lookup, card.capability))
        served += [answer for _, answer in link.incoming if isinstance(answer, answers.Bundle)]
    assert len(served) == 8
    assert [answer.leaves[0] is None for answer in served] == [False] + [True] * 7
    assert {len(answers.encode(1, answer)) for answer in served} == {BUNDLE_ANSWER + 5}
    link.ask(requests.FetchBundle(card.lookup, card.capability))
    assert isinstance(link.incoming[-1][1], answers.Error)


def test_a07_a_refill_is_a_whole_batch_whatever_was_left(relay: MaliciousRelay) -> None:
    """A-07: with 31, 5 or 0 leaves left the client publishes the same: 128 fresh ones, in four pages."""
    (ben,) = newcomers(relay, "Ben")
    settle(ben)
    sizes = []
    for left in (31, 5, 0, 32):
        relay.log.clear()
        ben.handle(OwnerAnswered(Reference(Step.COUNT), answers.Counts(left, 0)))
        settle(ben)
        pages = [request for request in relay.asked(requests.AddLeaves) if isinstance(request, requests.AddLeaves)]
        sizes.append([len(page.leaves) for page in pages])
    assert sizes == [[32] * 4] * 3 + [[]]
