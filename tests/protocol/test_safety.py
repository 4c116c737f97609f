"""The safety number."""

from __future__ import annotations

import hashlib

from simulator import person
from troth_protocol.safety import safety_number


def test_eighty_digits_the_same_on_both_sides() -> None:
    """[R-14-1]"""
    a, b = person("alice").fingerprint, person("bob").fingerprint
    shown = safety_number(a, b)
    assert shown == safety_number(b, a)
    groups = shown.split(" ")
    assert [len(group) for group in groups] == [5] * 16
    digits = "".join(groups)
    assert digits.isdecimal()
    low, high = sorted((a, b))
    assert int(digits) == int.from_bytes(hashlib.sha256(b"troth/1 safety" + low + high).digest(), "big")


def test_it_differs_with_either_account() -> None:
    """[R-14-1]"""
    a, b, eve = (person(name).fingerprint for name in ("alice", "bob", "eve"))
    assert len({safety_number(a, b), safety_number(a, eve), safety_number(eve, b), safety_number(a, a)}) == 4
