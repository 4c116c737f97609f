"""Which route is tried when: pure, times and jitter are ours. SPEC.md section 19.3."""

from __future__ import annotations

from pathlib import Path

import pytest

from troth_client import route_book
from troth_client.events import Delete, Put
from troth_client.ranking import LAST_RESORT_SECONDS, REST, STAGGER_SECONDS, TRIAL_SECONDS, Ranking
from troth_client.route_records import MAX_ROUTES, Rest, RouteSettings, Routing
from troth_client.routes.network import mark
from troth_client.routes.typed import parse
from troth_protocol.errors import BadLink, UserError
from troth_protocol.route_link import Connect, Obfs4, Socks, Tunnel, encode

A, B, C = b"a" * 8, b"b" * 8, b"c" * 8
HERE, THERE = b"here....", b"there..."
NOW = 1_800_000_000.0


def order(ranking: Ranking, held: dict[bytes, int] | None = None, now: float = NOW) -> list[tuple[bytes, float]]:
    return [(start.key, start.pause) for start in ranking.starts([A, B, C], held or {}, now)]


def test_the_persons_order_decides_until_something_is_known() -> None:
    """[R-19.3-1]: a quarter of a second apart; what worked on this network goes first, elsewhere it does not count."""
    ranking = Ranking()
    ranking.on_network(HERE, {})
    assert order(ranking) == [(A, 0), (B, STAGGER_SECONDS), (C, STAGGER_SECONDS)]
    assert [key for key, _ in order(ranking, {C + HERE: int(NOW) - 5})] == [C, A, B]
    assert [key for key, _ in order(ranking, {C + THERE: int(NOW) - 5})] == [A, B, C]
    assert [key for key, _ in order(ranking, {C + HERE: int(NOW) - 31 * 86_400})] == [A, B, C]


def test_what_fails_rests_behind_the_others_and_longer_each_time() -> None:
    """[R-19.3-2]: it stays in the race as a last resort, and a clock set back does not keep it out."""
    ranking = Ranking()
    ranking.failed(A, NOW, 0.0, "TIMED_OUT", "x")
    assert order(ranking) == [(B, 0), (C, STAGGER_SECONDS), (A, LAST_RESORT_SECONDS)]
    assert [key for key, _ in order(ranking, now=NOW + REST[0])] == [B, C, A]  # ready again, but it did fail
    rests = []
    for _ in range(len(REST) + 2):
        ranking.failed(A, NOW, 1.0, "TIMED_OUT", "x")
        rests.append(ranking.result(A).retry - NOW)
    assert rests == [rest * 1.5 for rest in (*REST[1:], REST[-1], REST[-1], REST[-1])]
    assert order(ranking, now=NOW - 86_400)[2] == (A, STAGGER_SECONDS)


def test_everything_resting_is_everything_tried() -> None:
    ranking = Ranking()
    for key in (A, B, C):
        ranking.failed(key, NOW, 0.0, "TIMED_OUT", "x")
    ranking.failed(A, NOW, 0.0, "PATH_SILENT", "x")
    assert order(ranking) == [(B, 0), (C, STAGGER_SECONDS), (A, STAGGER_SECONDS)]


def test_only_a_connection_that_lived_takes_a_failure_back() -> None:
    """A censor lets it open and freezes it: opening again is no proof."""
    ranking = Ranking()
    ranking.failed(A, NOW, 0.0, "PATH_SILENT", "x")
    ranking.opened(A, NOW, 0.1)
    assert ranking.result(A).streak == 1
    assert ranking.result(A).line == "worked in 0.1 s"
    assert ranking.held(A, {}, NOW) == A + bytes(0)
    assert ranking.result(A).streak == 0
    assert ranking.held(A, {A: int(NOW) - 100}, NOW) is None
    ranking.failed(A, NOW, 0.0, "PATH_SILENT", "x")
    assert ranking.rest(A) == (A, Rest(1, int(NOW) + REST[0]))
    assert ranking.held(A, {A: int(NOW) - 100}, NOW) == A, "what rests on disk is taken back there too"
    assert ranking.held(A, {A: int(NOW) - 86_401}, NOW) == A


def test_another_network_is_another_chance() -> None:
    """B089: after the portal's network, or the portal's sign-in, nothing rests."""
    ranking = Ranking()
    ranking.on_network(HERE, {})
    ranking.failed(A, NOW, 0.0, "CAPTIVE_PORTAL", "x")
    ranking.on_network(HERE, {})
    assert order(ranking)[0] == (B, 0)
    ranking.on_network(THERE, {B + THERE: Rest(2, int(NOW) + 60), C + HERE: Rest(9, int(NOW) + 60)})
    assert order(ranking) == [(A, 0), (C, STAGGER_SECONDS), (B, LAST_RESORT_SECONDS)]


def test_a_better_route_is_looked_at_again_and_gets_a_head_start() -> None:
    """[R-19.3-4]: only one that failed, only before the one in use; one that was merely slower is left alone."""
    ranking = Ranking()
    assert ranking.better(B, [A, B, C]) is None
    ranking.failed(A, NOW, 0.0, "TIMED_OUT", "x")
    ranking.failed(C, NOW, 0.0, "TIMED_OUT", "x")
    assert ranking.better(B, [A, B, C]) == (A, NOW + REST[0])
    assert ranking.better(A, [A, B, C]) is None
    ranking.try_first(A, NOW, 0.0)
    assert order(ranking) == [(A, 0), (B, TRIAL_SECONDS), (C, LAST_RESORT_SECONDS)]
    assert order(ranking)[0] == (B, 0), "once; if it does not hold it rests longer than before"
    assert ranking.result(A).retry == NOW + REST[1]


def test_the_mark_of_a_network_needs_the_salt_and_tells_nothing(tmp_path: Path) -> None:
    table = tmp_path / "route"
    row = "Iface\tDestination\tGateway \tFlags\n{}\t00000000\t{}\t0003\nwlan0\t0001A8C0\t00000000\t0001\n"
    table.write_text(row.format("wlan0", "0101A8C0"))
    home = mark(b"salt", table)
    assert len(home) == 8
    assert mark(b"pepper", table) != home
    table.write_text(row.format("wlan0", "010000A0"))
    assert mark(b"salt", table) not in (home, bytes(8))
    assert mark(b"salt", tmp_path / "none") == bytes(8)


# What the person adds.

EMPTY = RouteSettings((), Routing(), {})
OWN = b"o" * 32
SALT = b"s" * 16


def test_routes_are_kept_in_order_and_come_back_from_their_records() -> None:
    first, changes = route_book.add(EMPTY, Socks("127.0.0.1", 9050, "u", "p"), OWN, SALT)
    second, more = route_book.add(first, Obfs4("192.0.2.1", 443, "A" * 70), OWN, b"t" * 16)
    assert [record.number for record in second.routes] == [1, 2]
    assert second.routes[1].spec == Obfs4("192.0.2.1", 443, "A" * 70, 0, OWN), "the far end is our own relay"
    assert second.routing.salt == SALT
    rows: dict[str, dict[bytes, bytes]] = {}
    third, held = route_book.note_held(second, second.routes[0].key + HERE, 77)
    fourth, only = route_book.set_proxies_only(third, SALT, on=True)
    fifth, rest = route_book.note_rest(fourth, second.routes[1].key + HERE, Rest(3, 99))
    for change in (*changes, *more, *held, *only, *rest):
        if isinstance(change, Put):
            rows.setdefault(change.kind, {})[change.key] = change.value
    assert route_book.load(rows) == fifth
    lived, taken_back = route_book.note_held(fifth, second.routes[1].key + HERE, 78)
    assert not lived.rests
    assert Delete("route_rest", second.routes[1].key + HERE) in taken_back
    assert fourth.routing.proxies_only
    less, gone = route_book.remove(fourth, 1)
    assert [record.number for record in less.routes] == [2]
    assert {change.kind for change in gone if isinstance(change, Delete)} == {"route", "route_held"}
    assert not less.held


def test_what_may_not_be_added() -> None:
    one, _ = route_book.add(EMPTY, Socks("127.0.0.1", 1), OWN, SALT)
    with pytest.raises(UserError, match="there already"):
        route_book.add(one, Socks("127.0.0.1", 1), OWN, SALT)
    with pytest.raises(UserError, match="no route"):
        route_book.remove(one, 2)
    with pytest.raises(UserError, match="add a proxy"):
        route_book.set_proxies_only(EMPTY, SALT, on=True)
    for port in range(2, MAX_ROUTES + 1):
        one, _ = route_book.add(one, Socks("127.0.0.1", port), OWN, SALT)
    with pytest.raises(UserError, match="remove one first"):
        route_book.add(one, Socks("127.0.0.1", 99), OWN, SALT)


CERT = "Ab+/" * 17 + "zz"
SECRET = "c3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3NwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcA"


@pytest.mark.parametrize(
    ("typed", "spec"),
    [
        ("socks5h://127.0.0.1:9050", Socks("127.0.0.1", 9050)),
        (" socks5h://an%20na:p%40ss@Proxy.Example:1080/ ", Socks("proxy.example", 1080, "an na", "p@ss")),
        ("http://[2001:db8::1]:3128", Connect("2001:db8::1", 3128)),
        (f"pt+obfs4://192.0.2.1:443?cert={CERT}&iat-mode=1", Obfs4("192.0.2.1", 443, CERT, 1)),
        (f"tunnel://192.0.2.1:443?name=a.test#{SECRET}", Tunnel("192.0.2.1", 443, "a.test", b"s" * 32, b"p" * 32)),
        (encode(Socks("127.0.0.1", 9050)), Socks("127.0.0.1", 9050)),
    ],
)  # fmt: skip
def test_what_is_typed_is_understood(typed: str, spec: object) -> None:
    assert parse(typed) == spec


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("socks5://127.0.0.1:9050", "use socks5h"),
        ("https://127.0.0.1:9050", "use http"),
        ("socks4a://127.0.0.1:9050", "no route is called"),
        ("127.0.0.1:9050", "use socks5h"),
        ("socks5h://127.0.0.1", "needs a host and a port"),
        ("socks5h://:9050", "needs a host and a port"),
        ("socks5h://127.0.0.1:0", "malformed"),
        ("socks5h://127.0.0.1:99999", "malformed"),
        ("socks5h://[::1:9050", "malformed"),
        ("socks5h://anna@127.0.0.1:9050", "malformed"),
        ("socks5h://a%00b:c@127.0.0.1:9050", "malformed"),
        ("socks5h://a%ff:c@127.0.0.1:9050", "malformed"),
        ("socks5h://127.0.0.1:9050/path", "a path"),
        ("socks5h://127.0.0.1:9050?x=y", "more parts"),
        ("socks5h://127.0.0.1:9050#x", "more parts"),
        ("http://127.0.0.1:9050\x1b[31m", "do not belong"),
        ("http://" + "a" * 3_000 + ":1", "too long"),
        ("pt+obfs4://192.0.2.1:443", "malformed"),
        (f"pt+obfs4://192.0.2.1:443?cert={'A' * 300}", "malformed"),
        (f"pt+obfs4://192.0.2.1:443?cert={CERT}&iat-mode=9", "malformed"),
        (f"pt+obfs4://192.0.2.1:443?cert={CERT}&iat-mode=x", "iat-mode"),
        (f"pt+obfs4://192.0.2.1:443?cert={CERT}&cert={CERT}", "twice"),
        (f"pt+obfs4://192.0.2.1:443?cert={CERT}&proxy=x", "does not have"),
        (f"pt+obfs4://u:p@192.0.2.1:443?cert={CERT}", "more parts"),
        ("tunnel://192.0.2.1:443", "secret and pin"),
        (f"tunnel://192.0.2.1:443#{SECRET}AA", "secret and pin"),
        ("direct", "use socks5h"),
        ("", "use socks5h"),
    ],
)
def test_what_is_not_understood_is_refused(typed: str, line: str) -> None:
    """[R-19.2-3]: never half of it, and not repeated."""
    with pytest.raises(BadLink, match=line):
        parse(typed)
