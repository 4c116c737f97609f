"""Measure the protocol beside bare library calls and other libraries: ``python tests/bench/protocol.py [--quick]``.

All columns of a row run in turn, several short rounds of each, in one process; shown is the median. Nothing here is
asserted: a machine that does other work at the same time shows lower numbers in every column, so look at the ratios.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import floor, ours

Prepare: TypeAlias = Callable[[int], Callable[[], None]]
"""Makes everything ready for so many operations and gives back the run that is timed."""

OURS: Final[dict[str, Prepare]] = {
    "encrypt 1 KB": ours.encrypt,
    "decrypt 1 KB": ours.decrypt,
    "alternate": ours.alternate,
    "handshake": ours.handshakes,
}
FLOOR: Final[dict[str, Prepare]] = {
    "encrypt 1 KB": floor.encrypt,
    "decrypt 1 KB": floor.decrypt,
    "alternate": floor.alternate,
    "handshake": floor.handshakes,
}
COUNTS: Final = {"encrypt 1 KB": 3_000, "decrypt 1 KB": 3_000, "alternate": 600, "handshake": 50}


def columns() -> dict[str, dict[str, Prepare]]:
    """Every column that can be measured here: a peer that is not installed is left out."""
    found = {"ours": OURS, "floor": FLOOR}
    try:
        from bench import peers
    except ImportError as error:
        print(f"peers left out: {error}", file=sys.stderr)
        return found
    olm: dict[str, Prepare] = {
        "encrypt 1 KB": peers.olm_encrypt, "decrypt 1 KB": peers.olm_decrypt, "alternate": peers.olm_alternate,
        "handshake": peers.olm_handshakes,
    }  # fmt: skip
    ratchet: dict[str, Prepare] = {
        "encrypt 1 KB": peers.ratchet_encrypt, "decrypt 1 KB": peers.ratchet_decrypt,
        "alternate": peers.ratchet_alternate, "handshake": peers.x3dh_handshakes,
    }  # fmt: skip
    return found | {"vodozemac": olm, "X3DH+DoubleRatchet": ratchet}


def rate(prepare: Prepare, count: int) -> float:
    """Operations a second in one round."""
    run = prepare(count)
    start = time.perf_counter()
    run()
    return count / (time.perf_counter() - start)


def measure(row: str, table: dict[str, dict[str, Prepare]], rounds: int, share: float) -> dict[str, float]:
    """The median of each column, the columns taking turns."""
    count = max(int(COUNTS[row] * share), 2)
    seen: dict[str, list[float]] = {name: [] for name in table}
    for _ in range(rounds):
        for name, rows in table.items():
            seen[name].append(rate(rows[row], count))
    return {name: statistics.median(rates) for name, rates in seen.items()}


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round, to see that it runs")
    quick = parser.parse_args(arguments).quick
    table = columns()
    rounds, share = (1, 0.02) if quick else (9, 1.0)
    print(f"{'operations a second':<20}" + "".join(f"{name:>20}" for name in table) + "   ours against the others")
    for row in COUNTS:
        rates = measure(row, table, rounds, share)
        against = "  ".join(f"{name} {rates['ours'] / other:.2f}" for name, other in rates.items() if name != "ours")
        print(f"{row:<20}" + "".join(f"{rates[name]:>20,.0f}" for name in table) + f"   {against}", flush=True)


if __name__ == "__main__":
    main()
