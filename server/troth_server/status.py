"""``status``: how a relay is, on one screen; from its files, its own port and its metrics. Small counts show as 0."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from . import probe, standing, tls
from .config import TlsMode
from .metrics import Count, Gauge

_SHOWN: Final = (
    (Gauge.CONNECTIONS, "connected now"), (Count.CREATED, "mailboxes made"), (Count.DEPOSITED, "letters taken in"),
    (Count.DELIVERED, "letters fetched"), (Count.REFUSED, "refused"), (Count.RATE_LIMITED, "told to wait"),
    (Count.STORE_FULL, "failed: disk full"), (Count.STORE_FAILED, "failed: store"),
    (Count.UNHANDLED, "unexpected errors"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Status:
    """What is known of a relay now; times in seconds since 1970, sizes in bytes."""

    folder: str
    answering: bool
    healthy: bool
    hosts: tuple[str, ...]
    admission: str
    tls: str
    certificate_expires: int | None
    entries: int
    descriptor_expires: int
    store_bytes: int
    free_bytes: int
    counts: dict[str, int]


def look(data: Path, now: int) -> Status:
    """Ask; UserError, StorageError or DecodeError if its files are not right."""
    stands = standing.load(data, now)
    config, address = stands.config, stands.ledger.address()
    health = probe.here(config, "/healthz")
    counted = probe.metrics(config)
    dated = config.tls.mode is not TlsMode.OWN and bool(config.tls.certificate)
    return Status(
        folder=str(data),
        answering=health is not None,
        healthy=health is not None and health.status == 200,
        hosts=tuple(f"{host}:{port}" for host, port in address.hosts),
        admission=config.admission.value,
        tls=config.tls.mode.value + (", checked like a web site's" if address.pins is None else ", key pinned"),
        certificate_expires=tls.expires(config.certificate) if dated else None,
        entries=len(stands.ledger.entries),
        descriptor_expires=address.expires,
        store_bytes=sum(path.stat().st_size for path in data.glob("relay.db*")),
        free_bytes=shutil.disk_usage(data).free,
        counts={said: counted[each.metric] for each, said in _SHOWN if each.metric in counted},
    )


def screen(status: Status, now: int) -> str:
    """The same for a person."""
    if not status.answering:
        health = "NO: nothing answers where it should listen"
    else:
        health = "yes" if status.healthy else "yes, but its storage fails"
    rows = [
        ("answering", health),
        ("reached at", ", ".join(status.hosts)),
        ("admission", status.admission),
        ("TLS", status.tls),
        ("ledger", f"{status.entries} signed; where it is reached is good {_until(status.descriptor_expires, now)}"),
        ("disk", f"{status.store_bytes / 2**20:,.0f} MiB used, {status.free_bytes / 2**20:,.0f} MiB free"),
    ]
    if status.certificate_expires is not None:
        rows.insert(4, ("certificate", f"good {_until(status.certificate_expires, now)}"))
    if status.counts:
        rows.append(("since it started", "small numbers are shown as 0"))
        rows += [(f"  {name}", f"{value:,}") for name, value in status.counts.items()]
    width = max(len(name) for name, _ in rows)
    return "\n".join((f"Troth relay in {status.folder}", *(f"  {name:<{width}}  {value}" for name, value in rows)))


def _until(at: int, now: int) -> str:
    return f"until {time.strftime('%Y-%m-%d', time.gmtime(at))} ({(at - now) // 86_400} days)"
