"""What a forwarder counts about itself: counts only, about people rounded down as the relay's are (``metrics``)."""

from __future__ import annotations

from enum import Enum

from ..metrics import PREFIX, rounded


class Seen(Enum):
    """What happened: Prometheus name (without the prefix), help, and whether it is about people."""

    def __init__(self, metric: str, text: str, people: bool) -> None:
        self.metric = metric
        self.text = text
        self.people = people

    ACCEPTED = "forwarder_connections_total", "Connections that were let in.", True
    TURNED_AWAY = "forwarder_turned_away_total", "Connections closed because there was no room.", True
    STRANGERS = "forwarder_strangers_total", "Connections that went to the site.", True
    GUESTS = "forwarder_guests_total", "Connections that showed the mark.", True
    NOT_ALLOWED = "forwarder_not_allowed_total", "Guests who asked for a relay that is not allowed here.", True
    FORWARDED = "forwarder_forwarded_total", "Guests who were connected to their relay.", True
    UNREACHABLE = "forwarder_relay_unreachable_total", "Times no address of a relay could be reached.", False
    SITE_UNREACHABLE = "forwarder_site_unreachable_total", "Times the site could not be reached.", False
    READ = "forwarder_ledgers_read_total", "Ledgers that were read and verified.", False
    READ_FAILED = "forwarder_ledger_failures_total", "Times a ledger could not be read or verified.", False


class Counts:
    """In memory only; used on the loop's thread."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts = dict.fromkeys(Seen, 0)

    def add(self, seen: Seen) -> None:
        """It happened."""
        self._counts[seen] += 1

    def exact(self, seen: Seen) -> int:
        """The true number, for tests; never shown."""
        return self._counts[seen]

    def text(self, open_now: int) -> str:
        """Everything, in Prometheus' text format."""
        lines = [f"# TYPE {PREFIX}forwarder_connections gauge", f"{PREFIX}forwarder_connections {rounded(open_now)}"]
        for seen, count in self._counts.items():
            name = PREFIX + seen.metric
            shown = rounded(count) if seen.people else count
            lines += [f"# HELP {name} {seen.text}", f"# TYPE {name} counter", f"{name} {shown}"]
        return "\n".join(lines) + "\n"
