"""Which relays a forwarder serves and where: ledgers verified, keys seen, addresses looked at; its files and verb."""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
import socket
import ssl
import stat
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.conftest import serving
from server.site import free_port, web_site
from server.talk import Relay
from server.test_forwarder import SECRET
from troth_protocol.address import JoinLink, RelayAddress
from troth_protocol.errors import Fork, Mismatch, NetworkError, Rollback, TrothError, UserError
from troth_protocol.primitives import SystemRandomness
from troth_protocol.route_link import Tunnel, decode
from troth_server import operator
from troth_server.cli import main
from troth_server.config import Config
from troth_server.forwarder import lookout, relays, settings
from troth_server.forwarder.front import Address, Front, Room, Site, listening
from troth_server.forwarder.relays import Book, Keeper
from troth_server.forwarder.settings import Settings
from troth_server.ledger_file import LedgerFile
from troth_server.operator import Operator

SYSTEM = SystemRandomness()


@dataclasses.dataclass
class Served:
    """A relay at work on the port its descriptor names, and its operator's key."""

    relay: Relay
    link: RelayAddress
    keys: Operator
    file: LedgerFile
    pin: bytes


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    port = free_port()
    config = Config(tmp_path / "relay", port=port)
    file = operator.found(config, ("127.0.0.1",), int(time.time()), SYSTEM)
    keys = Operator.read(config.data / operator.KEY_FILE)
    (tmp_path / "store").mkdir()
    async with serving(config, file, tmp_path / "store") as relay:
        link = RelayAddress("127.0.0.1", relay.listener.port, file.fingerprint)
        (pin,) = file.address().pins or (b"",)
        yield Served(relay, link, keys, file, pin)


def descriptor(
    served: Served, hosts: tuple[tuple[str, int], ...], pin: bytes, file: LedgerFile | None = None
) -> LedgerFile:
    before = served.file if file is None else file
    return served.keys.describe(before, hosts, pin, int(time.time()), SYSTEM)


async def refreshed(folder: Path, book: Book, *, private_allowed: bool = True) -> tuple[tuple[Address, ...], object]:
    """The addresses a forwarder allows for a relay after one look, and what went wrong."""
    sock = listening("127.0.0.1", 0)
    front = Front(sock, SECRET, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), Site(None, None, b""), Room())
    keeper = Keeper(front, [book], folder, time.time, private_allowed=private_allowed)
    failure = None
    try:
        await keeper.refresh(book.link.fingerprint)
    except TrothError as error:
        failure = error
    sock.close()
    return front.addresses(book.link.fingerprint), failure


async def test_a_ledger_is_read_verified_and_kept(served: Served, tmp_path: Path) -> None:
    """[R-19.4-5]"""
    found, failure = await refreshed(tmp_path / "kept", Book(served.link))
    assert (found, failure) == ((("127.0.0.1", served.link.port),), None)
    book = relays.load(served.link, tmp_path / "kept")
    assert book.file == served.file
    assert book.read.length == 1


async def test_no_private_address_is_allowed(served: Served, tmp_path: Path) -> None:
    """[R-19.4-5]"""
    found, failure = await refreshed(tmp_path / "kept", Book(served.link), private_allowed=False)
    assert found == ()
    assert isinstance(failure, NetworkError)
    known = Book(served.link).extend(served.file.operator, served.file.entries)
    assert (await refreshed(tmp_path / "kept", known, private_allowed=False))[0] == ()


async def test_a_name_that_turns_inward_leads_nowhere(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: only what the resolver says now counts, and each address by itself. [R-19.4-5]"""
    moved = descriptor(served, (("rebind.example", served.link.port),), served.pin)
    book = Book(served.link).extend(moved.operator, moved.entries)
    loop = asyncio.get_running_loop()
    asked: list[str] = []
    opened: list[tuple[str, int]] = []

    async def resolve(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        asked.append(host)
        addresses = ("127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "9.9.9.9")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in addresses]

    async def open_(address: tuple[str, int]) -> socket.socket:
        opened.append(address)
        raise NetworkError("not in a test")

    monkeypatch.setattr(loop, "getaddrinfo", resolve)
    monkeypatch.setattr(relays, "_open", open_)
    found, _ = await refreshed(tmp_path / "kept", book, private_allowed=False)
    assert "rebind.example" in asked
    assert {host for host, _ in opened} == {"9.9.9.9"}
    assert found == ()


async def test_an_operator_cannot_point_at_somebody_else(served: Served, tmp_path: Path) -> None:
    """A descriptor may name any host; one that does not show the relay's key is never connected to. [R-19.4-5]"""
    heard: list[bytes] = []

    async def victim(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(9))
        writer.close()

    async with await asyncio.start_server(victim, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        aimed = descriptor(served, (("127.0.0.1", port), ("127.0.0.1", served.link.port)), served.pin)
        book = Book(served.link).extend(aimed.operator, aimed.entries)
        assert (await refreshed(tmp_path / "kept", book))[0] == (("127.0.0.1", served.link.port),)
        other = descriptor(served, (("127.0.0.1", served.link.port),), bytes(32))
        book = Book(served.link).extend(other.operator, other.entries)
        assert (await refreshed(tmp_path / "kept", book))[0] == ()
    assert all(first[:1] == b"\x16" for first in heard)


async def test_another_operators_entries_are_refused(served: Served, tmp_path: Path) -> None:
    stranger = Operator.generate(SYSTEM)
    forged = stranger.describe(stranger.new_ledger(), (("127.0.0.1", 9),), served.pin, int(time.time()), SYSTEM)
    with pytest.raises(Mismatch):
        Book(served.link).extend(forged.operator, forged.entries)
    changed = descriptor(served, (("127.0.0.1", 9),), served.pin, served.keys.new_ledger())
    more = descriptor(served, (("127.0.0.1", 9),), served.pin, changed)
    with pytest.raises(Fork):
        Book(served.link).extend(served.file.operator, (served.file.entries[0], more.entries[1]))
    other = Book(RelayAddress("127.0.0.1", served.link.port, bytes(32)))
    found, failure = await refreshed(tmp_path / "kept", other)
    assert found == ()
    assert isinstance(failure, Mismatch)


async def test_a_ledger_never_gets_shorter(served: Served, tmp_path: Path) -> None:
    longer = descriptor(served, (("127.0.0.1", served.link.port),), served.pin)
    found, failure = await refreshed(tmp_path / "kept", Book(served.link).extend(longer.operator, longer.entries))
    assert isinstance(failure, Rollback)
    assert found  # what was known stays


# The site.


async def test_a_site_that_would_make_guests_stand_out_is_named(tmp_path: Path) -> None:
    with web_site(tmp_path / "site") as site:
        assert await lookout.trouble(("127.0.0.1", site.tls), "www.example.org") == ""
        assert [await lookout.scheme(("127.0.0.1", port)) for port in (site.tls, site.plain)] == ["https", "http"]
        assert "does not speak TLS" in await lookout.trouble(("127.0.0.1", site.plain), "www.example.org")
        assert "cannot be reached" in await lookout.trouble(("127.0.0.1", free_port()), "www.example.org")
    with web_site(tmp_path / "old", protocols="TLSv1.2") as site:
        assert "TLS 1.3" in await lookout.trouble(("127.0.0.1", site.tls), "www.example.org")


async def test_the_key_stays_when_the_certificate_is_made_to_measure(tmp_path: Path) -> None:
    settings.found(tmp_path, GOOD, int(time.time()), SYSTEM)
    before = settings.open_files(tmp_path, GOOD)
    with web_site(tmp_path / "site") as site:
        looks = await lookout.look(("127.0.0.1", site.tls), "www.example.org")
    assert looks.protocol == "http/1.1"
    for size, came in ((looks.certificate, looks.certificate), (2_800, 2_800), (100, 2_800), (0, 2_800)):
        settings.dress(tmp_path, GOOD, size, int(time.time()))
        der = ssl.PEM_cert_to_DER_cert((tmp_path / "forwarder-cert.pem").read_text())
        assert len(der) == came
        assert settings.open_files(tmp_path, GOOD).pin == before.pin
    assert await lookout.look(("127.0.0.1", free_port()), "www.example.org") == lookout.Looks()


def test_the_unit_is_hardened_and_keeps_the_link_out_of_the_journal() -> None:
    unit = Path(__file__).parents[2] / "server" / "deploy" / "troth-forwarder.service"
    assert "forwarder --quiet --data ${STATE_DIRECTORY}\n" in unit.read_text()
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    done = subprocess.run(
        [analyze, "security", "--offline=yes", "--threshold=15", "--no-pager", str(unit)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


# Files and the verb.


def test_the_file_says_every_value(tmp_path: Path) -> None:
    link = RelayAddress("relay.example", 7_443, bytes(32))
    chosen = Settings(
        "forward.example", 8_443, "::", "www.example", "http://127.0.0.1:8080", "c.pem", "k.pem", 9_100, 7, 3,
        (link.link(),),
    )  # fmt: skip
    assert all(getattr(chosen, each.name) != each.default for each in dataclasses.fields(Settings))
    (tmp_path / settings.FILE).write_text(chosen.toml())
    assert settings.load(tmp_path) == chosen
    assert settings.load(tmp_path / "none") is None
    for old, new, text in (
        ("port = 8443", 'port = "x"', "port is missing"), ("[\n", "3\n[\n", "forwarder.toml"),
        ("bind =", "bnid =", "bind is missing"),
        ("# the site", "extra = 1\n# the site", "unknown setting extra"),
    ):  # fmt: skip
        (tmp_path / settings.FILE).write_text(chosen.toml().replace(old, new, 1))
        with pytest.raises(UserError, match=text):
            settings.load(tmp_path)


GOOD = Settings("forward.example", relays=(RelayAddress("relay.example", 7_443, bytes(32)).link(),))


@pytest.mark.parametrize(
    "change",
    [
        {"host": ""}, {"host": "Bad Host"}, {"relays": ()}, {"relays": ("troth-relay:x",)}, {"site": "ftp://x:1"},
        {"site": "https://x:99999"}, {"site": "https://x/path"}, {"certificate": "c.pem"}, {"name": "Bad Name"},
        {"site": "https://x", "certificate": "c.pem", "key": "k.pem"}, {"max_connections": 0}, {"metrics_port": 70_000},
    ],
)  # fmt: skip
def test_values_that_make_no_forwarder_are_refused(change: dict[str, object]) -> None:
    GOOD.check()
    with pytest.raises(UserError):
        dataclasses.replace(GOOD, **change).check()  # type: ignore[arg-type]


def test_the_link_opens_the_forwarder_that_printed_it(tmp_path: Path) -> None:
    """Founded once: the secret and the key stay, whatever else changes."""
    settings.found(tmp_path, GOOD, int(time.time()), SYSTEM)
    files = settings.open_files(tmp_path, GOOD)
    link = decode(files.link(443))
    assert isinstance(link, Tunnel)
    assert (link.host, link.port, link.secret, link.pin) == ("forward.example", 443, files.secret, files.pin)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    assert files.secret.hex() not in repr(files) + repr(files.settings)
    changed = dataclasses.replace(GOOD, name="www.example")
    settings.found(tmp_path, changed, int(time.time()), SYSTEM)
    again = settings.open_files(tmp_path, changed)
    assert (again.secret, again.pin) == (files.secret, files.pin)
    assert settings.open_files(tmp_path, changed).site().page
    (tmp_path / "index.html").write_text("<p>mine</p>")
    assert again.site().page == b"<p>mine</p>"
    (tmp_path / "forwarder.key").write_text("nonsense")
    with pytest.raises(UserError, match="no forwarder's secret"):
        settings.open_files(tmp_path, changed)


def test_an_invitation_in_a_relays_link_is_left_alone() -> None:
    relay = RelayAddress("relay.example", 7_443, bytes(32))
    chosen = dataclasses.replace(GOOD, relays=(JoinLink(relay, b"i" * 58).link(), relay.link()))
    assert chosen.links() == (relay,)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [([], "host must be"), (["--host", "x.example"], "no relay is allowed"), (["--ledger", "/none"], "cannot be read")],
)
def test_a_mistake_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], text: str
) -> None:
    assert main(["forwarder", "--data", str(tmp_path / "f"), *arguments]) in (1, 3)
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert text in err
    assert not (tmp_path / "f").exists()
