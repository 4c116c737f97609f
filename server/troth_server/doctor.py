"""``doctor``: what is wrong with a relay and how to mend it, a line each. It changes nothing.

A finding's code is the exit code it asks for: 0 a note, 1 something for the operator, 3 network or disk.
"""

from __future__ import annotations

import errno
import os
import re
import resource
import shutil
import socket
import sqlite3
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from troth_protocol.errors import TrothError

from . import config as configuration
from . import probe, standing, tls
from .config import Config, TlsMode
from .standing import Standing

DAY: Final = 86_400
SOON: Final = 30 * DAY
"""Before a descriptor ends, the operator should have had time to find the key."""
RENEWED: Final = 14 * DAY
"""ACME clients renew 30 days before the end: later, something is wrong with them."""
LEAST_FREE: Final = 512 * 2**20
"""Bytes: the store needs room for its log while it moves things."""
BUILT: Final = 1_760_000_000
"""October 2025: no clock is right that says earlier."""
SLOW: Final = 0.05
"""Seconds for an fsync: with group commit still 1,000 messages a second."""
HASTY: Final = 20e-6
"""Seconds in which no disk, and few caches with a battery, can have kept anything."""
EACH: Final = 44 * 1_024
"""Bytes of memory for a connection with TLS."""
SPARE_DESCRIPTORS: Final = 100
_REMOTE: Final = {"nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p", "afs"}
_FLEETING: Final = {"tmpfs", "ramfs", "overlay"}
_OLDEST_SQLITE: Final = (3, 38, 0)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing, and what to do about it."""

    code: int
    what: str
    mend: str


def examine(data: Path, now: int) -> list[Finding]:
    """Everything, in the order in which one would mend it; UserError if there is no relay here."""
    config = configuration.load(data)
    found = [*_permissions(config), *_clock(config, now), *_disk(config), *_machine(config)]
    try:
        stands = standing.read(config, now)
    except TrothError as error:
        said = str(error)
        mend = "mend that; if the clock is right, a year is over or the key is new: troth-relay ledger descriptor"
        return [*found, Finding(1, said, mend), *_port(config, ())]
    return [*found, *_dates(stands, now), *_port(config, stands.tls.key_hashes), *_reached(stands)]


def _permissions(config: Config) -> Iterator[Finding]:
    """Only the relay's user may read its folder."""
    if config.data.stat().st_mode & 0o077:
        yield Finding(1, f"others on this machine can look into {config.data}", f"chmod 700 {config.data}")
    owner = config.data.stat().st_uid
    for path in sorted(config.data.iterdir()):
        if path.is_file() and path.stat().st_mode & 0o077:
            yield Finding(1, f"others on this machine can read {path}", f"chmod 600 {path}")
        if path.stat().st_uid != owner:
            yield Finding(1, f"{path} is another user's than the folder", f"chown {owner} {path}")
    key = config.data / "operator.key"
    if key.exists():
        yield Finding(0, f"the operator's key is still on this machine: {key}", "move it to a medium kept elsewhere")


def _clock(config: Config, now: int) -> Iterator[Finding]:
    """Tokens, descriptors and retention go by the clock."""
    mend = "set the clock, and keep it set: timedatectl set-ntp true"
    written = config.ledger.stat().st_mtime if config.ledger.exists() else 0
    if now < BUILT or now < written - DAY:
        yield Finding(1, f"the clock says {time.strftime('%Y-%m-%d', time.gmtime(now))}, which has been before", mend)
    elif Path("/run/systemd/timesync").is_dir() and not Path("/run/systemd/timesync/synchronized").exists():
        yield Finding(0, "systemd-timesyncd has not set the clock since the machine started", mend)


def _disk(config: Config) -> Iterator[Finding]:
    """Room, and a file system that keeps what it is told to keep."""
    usage = shutil.disk_usage(config.data)
    if usage.free < LEAST_FREE:
        free = usage.free / 2**20
        yield Finding(3, f"the disk has {free:,.0f} MiB left", "make room: at too little, senders are told to wait")
    kind = file_system(config.data, Path("/proc/self/mounts"))
    if kind in _REMOTE:
        yield Finding(3, f"the folder is on a network file system ({kind})", "SQLite needs a local disk: move it there")
    elif kind in _FLEETING:
        yield Finding(3, f"the folder is on {kind}, which a restart may empty", "move it to a disk or a volume")
    try:
        took = fsync_seconds(config.data)
    except OSError as error:
        yield Finding(
            3, f"nothing can be written to {config.data}: {error.strerror}", "make room, or mount it writable"
        )
        return
    if took > SLOW:
        yield Finding(0, f"the disk takes {took * 1e3:.0f} ms to keep something", "a faster disk; expect long waits")
    elif took < HASTY and kind not in _FLEETING:
        yield Finding(3, "the disk says it kept something faster than disks can", "turn its volatile write cache off")


def file_system(path: Path, mounts: Path) -> str:
    """The kind of file system a path is on; empty if that cannot be told."""
    try:
        lines = mounts.read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    best, kind = "", ""
    for line in lines:
        _, where, found, *_ = line.split(" ")
        where = where.replace("\\040", " ")
        inside = path.resolve().is_relative_to(where)
        if inside and len(where) >= len(best):
            best, kind = where, found
    return kind


def fsync_seconds(folder: Path) -> float:
    """The median time in which 4 KiB are on disk."""
    took = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(9):
            file.write(bytes(4_096))
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            took.append(time.perf_counter() - began)
    return statistics.median(took)


def _machine(config: Config) -> Iterator[Finding]:
    """Descriptors, memory, SQLite."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = config.max_connections + SPARE_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        mend = f"LimitNOFILE={wanted} in the unit, ulimit -n {wanted} in a shell, or a smaller max_connections"
        yield Finding(0, f"here a process may have {soft} descriptors open, fewer than max_connections needs", mend)
    if sys.platform == "linux":
        found = re.search(r"^MemAvailable: +(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
        if found is not None and int(found[1]) * 1_024 < config.max_connections * EACH:
            what = f"{config.max_connections:,} connections may need {config.max_connections * EACH / 2**20:,.0f} MiB"
            yield Finding(0, f"{what}, and there is less", "a smaller max_connections, or more memory")
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        yield Finding(1, f"SQLite {sqlite3.sqlite_version} is too old", "3.38 or newer: a newer system, or Python")


def _dates(stands: Standing, now: int) -> Iterator[Finding]:
    """What will end soon."""
    address, config = stands.ledger.address(), stands.config
    if address.expires - now < SOON:
        days = (address.expires - now) // DAY
        yield Finding(
            1, f"in {days} days no client will connect", "troth-relay ledger descriptor, with the operator's key"
        )
    if config.tls.mode is TlsMode.OWN or not config.tls.certificate:
        return
    ends = tls.expires(config.certificate)
    if ends is not None and address.pins is None and ends - now < RENEWED:
        days = (ends - now) // DAY
        yield Finding(1, f"the certificate ends in {days} days", "look why it is not renewed: certbot renew --dry-run")


def _port(config: Config, keys: tuple[bytes, ...]) -> Iterator[Finding]:
    """Does the relay listen, with one of these TLS keys if they are known, or could it?"""
    health = probe.here(config, "/healthz")
    if health is not None and keys and health.key_hash is not None and health.key_hash not in keys:
        mend = "stop that one or choose another port; if it is this relay, reload it"
        yield Finding(1, "another relay, or this one with another TLS key, answers where it should listen", mend)
        return
    if health is not None and health.status == 200:
        return
    if health is not None and health.status == 503 and health.body.startswith("not well"):
        yield Finding(3, "the relay answers, but its storage fails", "look at the disk: free space, read-only, errors")
        return
    if health is not None:
        yield Finding(1, "something else answers where the relay should", "stop it, or choose another port")
        return
    if config.socket:
        yield Finding(1, f"nothing answers at {config.socket_path}", "start the relay: troth-relay serve")
        return
    try:
        with socket.socket(socket.AF_INET6 if ":" in config.bind else socket.AF_INET) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((config.bind, config.port))
    except PermissionError:
        yield Finding(1, f"port {config.port} needs a privilege", "choose one above 1,023, or use troth-relay.socket")
    except OSError as error:
        mend = "mend bind or port"
        if error.errno == errno.EADDRINUSE:
            mend = "if it is the relay that holds the port, it hangs: restart it; else choose another port"
        yield Finding(1, f"cannot listen on {config.bind} port {config.port}: {error.strerror}", mend)
    else:
        yield Finding(1, "the relay does not run", "start it: troth-relay serve, or systemctl start troth-relay")


def _reached(stands: Standing) -> Iterator[Finding]:
    """Does each host of the descriptor lead here, with a key that clients accept, and a WebSocket through?"""
    address = stands.ledger.address()
    for host, port in address.hosts:
        yield from reached(host, port, address.pins, stands.tls.key_hashes, probe.outside)


def reached(
    host: str,
    port: int,
    pins: tuple[bytes, ...] | None,
    keys: tuple[bytes, ...],
    ask: Callable[..., probe.Answered],
) -> Iterator[Finding]:
    """What a client would meet at one host."""
    place = f"{host} port {port}"
    try:
        answered = ask(host, port, web=pins is None)
    except ssl.SSLCertVerificationError as error:
        mend = "mend the certificate, or pin its key: troth-relay ledger descriptor --pin"
        yield Finding(1, f"clients refuse the certificate at {place}: {error.verify_message}", mend)
        return
    except (OSError, ValueError):
        mend = "look at the name's address, the firewall, and whether the port is passed on; some routers hide this"
        yield Finding(3, f"no relay can be reached at {place} from here", mend)
        return
    if pins is not None and answered.key_hash not in pins:
        yield Finding(1, f"at {place} is another TLS key than the ledger pins", "is it another machine? else sign anew")
    elif answered.key_hash not in keys:
        mend = "[tls] certificate must be the one that the web server serves; reload the relay when it changes"
        yield Finding(1, f"at {place} is another TLS key than the relay was told: nobody can open a mailbox", mend)
    if answered.status != 101:
        mend = "the web server must pass /troth on with Upgrade and Connection: see server/deploy"
        yield Finding(1, f"at {place} a WebSocket gets HTTP {answered.status}", mend)
