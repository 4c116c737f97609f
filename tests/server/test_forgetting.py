"""After an acknowledgement, an expiry or an erasure and a sweep: no byte of it in any file, whatever life came before.

[R-11.4-6] [R-11.7-6]. The raw image of a disk is searched in test_forgetting_disk.py.
"""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from server import crash, disk
from server.conftest import no_fatal
from server.disk import home
from server.relay_files import opened
from server.talk import NOW, ask
from troth_server import commands
from troth_server.commands import Done
from troth_server.limits import DAY, Quotas
from troth_server.storage import OpenStore
from troth_server.storage.log import gap


def marked(folder: Path, what: bytes) -> set[int]:
    """The numbers behind a marker, wherever it is in some file."""
    raw = b"".join(path.read_bytes() for path in disk.files(folder) if not path.name.endswith("-reserve"))
    return {int.from_bytes(number, "big") for number in re.findall(what + rb"(.{4})", raw, re.DOTALL)}


def test_nothing_stays_where_a_page_was_rebuilt(tmp_path: Path, engine: OpenStore) -> None:
    """Many small mailboxes come and go in any order: pages split, fill and merge, and their gaps are blank."""
    rng = random.Random(7)
    store = engine(tmp_path, Quotas(), no_fatal)
    boxes = [home(store) for _ in range(60)]
    sends = [(index, number) for index in range(60) for number in range(40)]
    rng.shuffle(sends)
    disk.send_all(store, ((boxes[index], index * 1_000 + number) for index, number in sends))
    gone = rng.sample(range(60), 45)
    for index in gone:
        assert ask(store, commands.Erase(boxes[index].hash)) == Done()
    assert ask(store, commands.Expire(NOW)) == Done()
    alive = [index for index in range(60) if index not in gone]
    numbers = {index * 1_000 + number for index in alive for number in range(40)}
    assert marked(tmp_path, b"MARKED-TOKEN") == numbers
    assert marked(tmp_path, b"MARKED-ENVELOPE") == numbers
    store.close()
    database = (tmp_path / "relay.db").read_bytes()
    pages = [database[at : at + 4_096] for at in range(0, len(database), 4_096)]
    assert not [number for number, page in enumerate(pages, 1) if gap(page, number)]
    store = engine(tmp_path, Quotas(), no_fatal)  # and every page is still whole
    assert disk.queued(store, boxes[alive[0]])
    store.close()


@pytest.mark.parametrize("how", ["acknowledged", "expired", "erased"])
def test_what_is_gone_is_gone_also_after_a_crash(tmp_path: Path, how: str) -> None:
    """The log of the crash holds it; the start wipes it."""
    code, words = crash.run(tmp_path, 3, crash.POINTS["before a checkpoint"])
    assert (code, "closed" in words) == (9, False) or code == 0
    store = opened(tmp_path)
    wanted = {"envelope": disk.body(3)[:19]}
    assert "sent 3" in words
    assert disk.found(tmp_path, wanted)
    now = NOW
    if how == "acknowledged":
        numbers = tuple(row.number for row in disk.page(store, crash.BOX).rows)
        assert ask(store, commands.Forget(crash.BOX.hash, numbers)) == Done()
    elif how == "erased":
        assert ask(store, commands.Erase(crash.BOX.hash)) == Done()
    else:
        now += 15 * DAY
    assert ask(store, commands.Expire(now)) == Done()
    assert disk.found(tmp_path, wanted) == {}
    store.close()
    assert disk.found(tmp_path, wanted) == {}


def test_what_was_forgotten_just_before_the_end_is_in_no_file_after_it(tmp_path: Path, engine: OpenStore) -> None:
    """No sweep comes between: closing is one, and what SQLite removes is blank by then."""
    store = engine(tmp_path, Quotas(), no_fatal)
    box = home(store)
    disk.send_all(store, ((box, number) for number in range(1, 30)))
    assert ask(store, commands.Forget(box.hash, tuple(range(1, 30)))) == Done()
    wanted = disk.body(3)[:19]
    assert disk.found(tmp_path, {"envelope": wanted})
    logs = [path.open("rb") for path in disk.files(tmp_path) if path.name.endswith("-wal")]
    assert any(wanted in log.read() for log in logs)
    store.close()
    assert disk.found(tmp_path, {"envelope": wanted}) == {}
    for log in logs:  # its blocks, which no name leads to any more
        log.seek(0)
        assert wanted not in log.read()
        log.close()
