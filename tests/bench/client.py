"""Measure the client beside the least that the same thing could cost: ``python tests/bench/client.py [--quick]``.

A backlog read, decrypted, stored and ready to be acknowledged; a vault of 100,000 messages searched, paged and listed;
its memory; and how long a verb takes from the shell. Each row stands beside a floor measured in the same run: the bare
inserts, a small vault, an interpreter that does nothing but stretch a passphrase. Nothing here is asserted.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

sys.path.pop(0)  # this file has the name of a package of tests
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import windows as windows_bench
from client.world import Person, Template, settle
from troth_client import account
from troth_client.driver import Driver
from troth_client.events import AddMessage, Arrived, MessageState, Put, Submit, Submitted
from troth_client.routes.route import KeyCheck, Wire
from troth_client.vault.key import MEMORY, OPERATIONS
from troth_client.vault.store import Vault
from troth_protocol.card import RelayAddress
from troth_protocol.errors import NetworkError
from troth_protocol.primitives import SystemRandomness
from troth_protocol.wire import Via, answers, requests

BATCH: Final = 64
WORDS: Final = [f"{random.Random(number).randrange(16**6):06x}" for number in range(5_000)]
VERBS: Final = (
    ("--help",), ("contacts",), ("requests",), ("card", "--list"), ("history", "ben"), ("search", "word"),
    ("expire", "ben"), ("verify", "ben"), ("routes", "list"),
)  # fmt: skip


class Nowhere:
    """A route that leads nowhere."""

    async def connect(self, relay: RelayAddress, check: KeyCheck) -> Wire:
        raise NetworkError("there is no network here")


def vault_in(folder: Path, *, stretched: bool = False) -> Vault:
    """A new vault; with ``stretched`` the passphrase costs what it costs a person."""
    cost = {"operations": OPERATIONS, "memory": MEMORY} if stretched else {"operations": 1, "memory": 64 * 1024}
    return Vault.create(folder, "pass", SystemRandomness(), **cost)


def seconds(run: Callable[[], object], rounds: int = 7) -> float:
    """The median time of a run."""
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def row(name: str, ours: str, floor: str, ratio: float) -> None:
    """One line of the table."""
    print(f"{name:34}{ours:>16}{floor:>16}{ratio:>8.1f}", flush=True)


def envelopes(one: Person, other: Person, count: int) -> list[answers.Envelope]:
    """What a relay would hold after one person wrote so often to the other."""
    made: list[answers.Envelope] = []
    giver, taker = other.messenger._journal, one.messenger._journal
    (key, _), (back, _) = *giver.peers.group(one.fingerprint), *taker.peers.group(other.fingerprint)
    while len(made) < count:
        giver.now = other.now
        given = account.issue_tokens(giver, key, 200)
        other.perform(giver.commit())
        for token in given.tokens:
            taker.tokens.put(back + token, given.expires)
        one.perform(taker.commit())
        for _ in given.tokens:
            one.send(other, f"message {len(made)} " + " ".join(random.choices(WORDS, k=40)))
            (submit,) = [effect for effect in one.pending if isinstance(effect, Submit)]
            one.pending.clear()
            assert isinstance(submit.request, requests.Deliver)
            mark = submit.request.token[:16] + bytes(16)
            made.append(answers.Envelope(10**6 + len(made), Via.TOKEN, mark, submit.request.envelope))
            one.handle(Submitted(submit.reference, answers.Ok()))
    return made[:count]


def backlog(folder: Path, count: int) -> None:
    """Receive, decrypt, store: events in batches as the driver gets them from its line."""
    (folder / "relay").mkdir()
    _, one, other = Template.make(folder / "relay").begin(folder / "copy")
    settle(one, other)
    waiting = envelopes(one, other, count)
    vault = vault_in(folder / "vault")
    vault.apply(tuple(Put(kind, key, raw) for kind, rows in other.disk.rows.items() for key, raw in rows.items()))
    driver = Driver(vault, SystemRandomness(), Nowhere(), clock=lambda: float(other.now))
    start = time.perf_counter()
    for at in range(0, count, BATCH):
        driver.handle(*[Arrived(envelope) for envelope in waiting[at : at + BATCH]])
    ours = count / (time.perf_counter() - start)
    floor = count / seconds(lambda: fill(vault_in(Path(tempfile.mkdtemp(dir=folder))), count), 1)
    row(f"backlog of {count:,}, messages/s", f"{ours:,.0f}", f"{floor:,.0f}", floor / ours)
    vault.close()


def fill(vault: Vault, count: int, contacts: int = 1) -> None:
    """The bare inserts of so many messages."""
    for start in range(0, count, BATCH):
        batch = range(start, min(count, start + BATCH))
        vault.apply(
            tuple(
                AddMessage(
                    bytes([number % contacts]) * 32, number.to_bytes(16, "big"), MessageState.RECEIVED, number, number,
                    " ".join(random.choices(WORDS, k=40)),
                )
                for number in batch
            )
        )  # fmt: skip


def reading(folder: Path, count: int) -> None:
    """Search, paging and the list, in a long vault and in a short one."""
    long, short = vault_in(folder / "long"), vault_in(folder / "short")
    fill(long, count, 100)
    fill(short, 1_000, 100)
    last = long.history(b"\x07" * 32, None, 1)[0].row
    rows: tuple[tuple[str, Callable[[Vault], object]], ...] = (
        ("search, one word", lambda vault: vault.search(WORDS[1], None, None, 50)),
        ("search, three letters", lambda vault: vault.search(WORDS[2][:3], None, None, 50)),
        ("search in one chat", lambda vault: vault.search(WORDS[3], b"\x07" * 32, None, 50)),
        ("newest page", lambda vault: vault.history(b"\x07" * 32, None, 100)),
        ("page before a row", lambda vault: vault.history(b"\x07" * 32, last // 2, 100)),
        ("counts of 100 chats", lambda vault: [vault.counts(bytes([number]) * 32) for number in range(100)]),
    )
    for name, run in rows:
        ours, floor = seconds(partial(run, long)), seconds(partial(run, short))
        row(f"{name}, {count:,}", f"{ours * 1e3:.2f} ms", f"{floor * 1e3:.2f} ms", ours / floor)
    long.close()
    short.close()
    code = (
        "import sys; from pathlib import Path; from troth_client.vault.store import Vault;"
        "vault = Vault.open(Path(sys.argv[1]), 'pass'); vault.load(); vault.history(bytes([7]) * 32, None, 100);"
        "vault.search('abc', None, None, 50);"
        "print(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])"
    )
    used = [
        int(subprocess.run([sys.executable, "-c", code, folder / name], capture_output=True, check=True).stdout) / 1024
        for name in ("long", "short")
    ]
    row(f"memory, {count:,} messages", f"{used[0]:.1f} MiB", f"{used[1]:.1f} MiB", used[0] / used[1])


def verbs(folder: Path, rounds: int) -> None:
    """From the shell to the prompt, with a vault and without a network."""
    (folder / "relay").mkdir()
    _, one, other = Template.make(folder / "relay").begin(folder / "copy")
    settle(one, other)
    vault = vault_in(folder / "profile", stretched=True)
    vault.apply(tuple(Put(kind, key, raw) for kind, rows in one.disk.rows.items() for key, raw in rows.items()))
    vault.close()
    (folder / "passphrase").write_text("pass\n")
    environment = {**os.environ, "TROTH_PASSPHRASE_FILE": str(folder / "passphrase")}
    name = one.messenger.contacts()[0].fingerprint.hex()[:16]
    stretch = f"from troth_protocol import primitives;primitives.argon2id(b'pass', bytes(16), {OPERATIONS}, {MEMORY})"

    def run(*command: str) -> None:
        subprocess.run(command, env=environment, capture_output=True, check=True)

    bare = seconds(lambda: run(sys.executable, "-c", "pass"), rounds)
    floor = seconds(lambda: run(sys.executable, "-c", stretch), rounds)
    for verb in VERBS:
        words = [name if word == "ben" else word for word in verb]
        command = [sys.executable, "-m", "troth_client", "--profile", str(folder / "profile"), *words]
        ours = seconds(partial(run, *command), rounds)
        least = bare if verb == ("--help",) else floor
        row(f"troth {' '.join(verb)}", f"{ours * 1e3:.0f} ms", f"{least * 1e3:.0f} ms", ours / least)


def windows() -> None:
    """The windows on a conversation of 100,000 messages, beside the most that each may take."""
    for figure in windows_bench.rows():
        row(figure.what, f"{figure.ms:.1f} ms", f"<= {figure.most_ms:,.0f} ms", figure.ms / figure.most_ms)


def main(arguments: list[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small numbers, to see that it runs")
    quick = parser.parse_args(arguments).quick
    print(f"{'':34}{'ours':>16}{'floor':>16}{'ratio':>8}")
    parts: dict[str, Callable[[Path], None]] = {
        "backlog": lambda folder: backlog(folder, 200 if quick else 10_000),
        "reading": lambda folder: reading(folder, 2_000 if quick else 100_000),
        "verbs": lambda folder: verbs(folder, 1 if quick else 5),
    }
    with tempfile.TemporaryDirectory() as made:
        for name, part in parts.items():
            folder = Path(made) / name
            folder.mkdir()
            part(folder)
    windows()


if __name__ == "__main__":
    main(sys.argv[1:])
