"""The safety number in words: the SPEC's list, every byte one word, nothing lost. [R-14-2]"""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from troth_client.safety_words import WORDS, safety_words
from troth_protocol.safety import safety_number

SPEC = (Path(__file__).parents[2] / "SPEC.md").read_text("utf-8")
FINGERPRINT = st.binary(min_size=32, max_size=32)


def block(title: str) -> list[str]:
    return SPEC.partition(f"```text {title}\n")[2].partition("```")[0].split()


def test_the_list_is_the_specs_and_no_word_can_be_taken_for_another() -> None:
    """[R-14-2]"""
    assert list(WORDS) == block("safety words")
    assert len(WORDS) == len({word[:4] for word in WORDS}) == 256
    assert list(WORDS) == sorted(WORDS)
    assert all(word.isascii() and word.islower() and 4 <= len(word) <= 8 for word in WORDS)


def test_the_specs_example() -> None:
    """[R-14-2]"""
    assert list(safety_words(safety_number(b"Q" * 32, b"R" * 32))) == block("safety number in words")


@given(FINGERPRINT, FINGERPRINT)
def test_words_and_digits_say_the_same(one: bytes, other: bytes) -> None:
    """[R-14-2]"""
    number = safety_number(one, other)
    words = safety_words(number)
    assert len(words) == 32
    assert bytes(WORDS.index(word) for word in words) == int(number.replace(" ", "")).to_bytes(32, "big")
