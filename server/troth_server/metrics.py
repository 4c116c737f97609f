"""What the relay counts about itself, as Prometheus text: counts only, no label, nothing about one person.

Counts about people (connections, mailboxes, envelopes, requests) are shown rounded down to 10, 20, 50, 100, 200, 500
and so on, and as 0 below 10: a small number would say of somebody that they were there, and the step from one number
to the next would say when. Counts of the machine's own failures are exact: they are for whoever mends it. Neither is
ever written to disk by the relay. ``scrape`` shows them on a loopback port.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

LEAST_SHOWN: Final = 10
"""Below this a count about people reads 0."""
PREFIX: Final = "troth_"
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""Prometheus' text exposition format."""


class Count(Enum):
    """What only grows: Prometheus name (without the prefix), help, and whether it is about people."""

    def __init__(self, metric: str, text: str, people: bool) -> None:
        self.metric = metric
        self.text = text
        self.people = people

    __hash__ = object.__hash__  # Enum's is written in Python, and called with every request

    ACCEPTED = "connections_accepted_total", "Connections that were let in.", True
    CLOSED = "connections_closed_total", "Connections that ended, for whatever reason.", True
    TURNED_AWAY_FULL = "turned_away_full_total", "Connections refused because there was no room.", True
    TURNED_AWAY_RATE = "turned_away_rate_total", "Connections refused because their network made too many.", True
    TURNED_AWAY_HTTP = "turned_away_http_total", "HTTP requests that were not a client's: browsers, other paths.", True
    PAGES = "pages_total", "Pages shown.", True
    HANDSHAKE_FAILED = "handshake_failed_total", "TLS or HTTP handshakes that failed or came late.", True
    HELLO_LATE = "hello_late_total", "Connections closed because no HELLO came in time.", True
    SILENT = "silent_total", "Connections cut off because nothing was heard of them.", True
    STUCK = "stuck_total", "Connections cut off because they took no bytes, or made too many wait.", True
    FLOODED = "flooded_total", "Connections closed for too many fragments, pings or frames.", True
    BAD_FRAMES = "bad_frames_total", "Frames that did not parse.", True
    UNPROVED = "unproved_total", "Requests that lacked the proof they need.", True
    REFUSED = "refused_total", "Requests refused: unknown, deleted, revoked, spent or wrong.", True
    UNINVITED = "uninvited_total", "Mailboxes refused because no invitation, or none that counts, was shown.", True
    RATE_LIMITED = "rate_limited_total", "Requests that were told to come back later.", True
    QUOTA_FULL = "quota_full_total", "Envelopes, bundles or blobs refused because a mailbox was full.", True
    CREATED = "mailboxes_created_total", "Mailboxes made.", True
    ERASED = "mailboxes_erased_total", "Mailboxes erased.", True
    REQUESTS = "requests_total", "Requests read.", True
    DEPOSITED = "envelopes_deposited_total", "Envelopes taken in.", True
    DELIVERED = "envelopes_acknowledged_total", "Envelopes acknowledged by their owner, and deleted.", True
    BLOB_CHUNKS_STORED = "blob_chunks_stored_total", "Chunks of blobs taken in, of 64 KiB each.", True
    BLOB_CHUNKS_SENT = "blob_chunks_sent_total", "Chunks of blobs given out.", True
    STORE_FULL = "store_full_total", "Requests that failed because the disk is full.", False
    STORE_FAILED = "store_failed_total", "Requests that failed because the store could not carry them out.", False
    ACCEPT_FAILED = "accept_failed_total", "Times no connection could be accepted (no descriptors or memory).", False
    UNHANDLED = "unhandled_errors_total", "Errors that nobody expected; please report them.", False
    RELOADED = "reloads_total", "Times the configuration was read again.", False
    RELOAD_FAILED = "reload_failed_total", "Times it was read again and was wrong, so that the old one stayed.", False


class Gauge(Enum):
    """What goes up and down: Prometheus name (without the prefix), help, and whether it is about people."""

    def __init__(self, metric: str, text: str, people: bool) -> None:
        self.metric = metric
        self.text = text
        self.people = people

    CONNECTIONS = "connections", "Connections open now.", True
    STARTED = "start_time_seconds", "When the relay started, in seconds since 1970.", False
    MEMORY = "resident_memory_mebibytes", "Memory in use, in steps of 16 MiB.", False
    STORE_SIZE = "store_mebibytes", "Size of the database's files, without attachments, in steps of 16 MiB.", False
    DISK_FREE = "disk_free_mebibytes", "Free space on the store's disk, in steps of 16 MiB.", False
    CERTIFICATE_EXPIRES = "certificate_expires_seconds", "When the TLS certificate expires, seconds since 1970.", False
    DESCRIPTOR_EXPIRES = "descriptor_expires_seconds", "When the ledger's descriptor expires, the same way.", False


SIZE_STEP: Final = 16
"""Sizes are shown in steps of so many MiB: an exact one would count envelopes, of which there are four sizes."""


def rounded(count: int) -> int:
    """``count`` rounded down to 1, 2 or 5 times a power of ten; 0 below LEAST_SHOWN."""
    if count < LEAST_SHOWN:
        return 0
    power: int = 10 ** (len(str(count)) - 1)
    return max(step * power for step in (1, 2, 5) if step * power <= count)


def mebibytes(size: int) -> int:
    """A size in bytes as it may be shown."""
    return size // (SIZE_STEP << 20) * SIZE_STEP


class Metrics:
    """The counts of one relay since it started, in memory only; used on the loop's thread."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts = dict.fromkeys(Count, 0)

    def add(self, count: Count, n: int = 1) -> None:
        """It happened, ``n`` times."""
        self._counts[count] += n

    def exact(self, count: Count) -> int:
        """The true number, for the relay itself and for tests; never shown."""
        return self._counts[count]

    def text(self, gauges: Mapping[Gauge, int]) -> str:
        """Everything, in Prometheus' text format; a gauge that is not given is not shown."""
        lines: list[str] = []
        for count, value in self._counts.items():
            lines += _lines(count.metric, count.text, "counter", rounded(value) if count.people else value)
        for gauge, value in gauges.items():
            lines += _lines(gauge.metric, gauge.text, "gauge", rounded(value) if gauge.people else value)
        return "\n".join(lines) + "\n"


def _lines(metric: str, text: str, kind: str, value: int) -> tuple[str, str, str]:
    name = PREFIX + metric
    return f"# HELP {name} {text}", f"# TYPE {name} {kind}", f"{name} {value}"
