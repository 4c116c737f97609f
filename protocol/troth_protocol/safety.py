"""The safety number: what two people compare to know that nobody stands between them. SPEC.md section 14."""

from __future__ import annotations

from typing import Final

from . import labels
from .encoding import sha256

DIGITS: Final = 80
GROUP: Final = 5


def safety_number(one: bytes, other: bytes) -> str:
    """80 digits in 16 groups of 5, the same on both sides: H(label || smaller fp || larger fp) in decimal. [R-14-1]

    The whole 256-bit hash is shown, so a lookalike costs a collision in SHA-256, not in a truncation of it.
    """
    low, high = sorted((one, other))
    digits = str(int.from_bytes(sha256(labels.SAFETY_NUMBER, low, high), "big")).zfill(DIGITS)
    return " ".join(digits[at : at + GROUP] for at in range(0, DIGITS, GROUP))
