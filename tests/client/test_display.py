"""Nothing a stranger writes commands a terminal, hides, or runs away. [R-13.1-8]"""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth_client.display import MAX_MARKS, called, clock, day, full_fingerprint, inert, short_fingerprint, typed

INVISIBLE = {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, *range(0x180B, 0x1810)}
NASTY = (
    "\x00\x07\x08\x0b\x1b\x7f\x85\x9b\x9d\u061c\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069"
    "\u2800\u3164\ufeff\ufe0f\ufffa\U000e0001\U000e0041\U000e007f\U000e0100\ue000\ufdd0\ud800\u0301\u0323\u20e3"
    "👨👩❤🏽🏳🌈1#a \t\n\r\u00a0\u3000é漢‹›[]"
)
ANY = st.one_of(
    st.text(st.characters(exclude_categories=())),
    st.text(st.sampled_from(NASTY), max_size=60),
)


def survivors(shown: str) -> list[str]:
    """Characters that should not be there; U+200D and U+FE0F are looked at in context."""
    wrong = []
    for at, char in enumerate(shown):
        if char == "\u200d":
            fine = 0 < at < len(shown) - 1 and is_symbol(shown[at - 1]) and is_symbol(shown[at + 1])
        elif char == "\ufe0f":
            fine = at > 0 and (is_symbol(shown[at - 1]) or shown[at : at + 2] == "\ufe0f\u20e3")
        else:
            category = unicodedata.category(char)
            fine = not (category[0] == "C" or category in {"Zl", "Zp"} or ord(char) in INVISIBLE)
            fine = fine and not (category == "Zs" and char != " ")
        if not fine:
            wrong.append(char)
    return wrong


def is_symbol(char: str) -> bool:
    return char == "\ufe0f" or unicodedata.category(char) in {"So", "Sk", "Sm", "Po", "Pd", "Ll"}


@given(ANY)
def test_nothing_that_commands_or_hides_survives(text: str) -> None:
    """[R-13.1-8]"""
    shown = inert(text)
    assert survivors(shown) == []
    assert "\n" not in shown
    shown.encode()


@given(ANY)
def test_only_line_feeds_are_kept_on_request(text: str) -> None:
    """[R-13.1-8]"""
    assert survivors(inert(text, lines=True).replace("\n", "")) == []


@given(ANY)
def test_what_was_made_inert_stays_as_it_is_and_is_nfc(text: str) -> None:
    once = inert(text, lines=True)
    assert unicodedata.is_normalized("NFC", once)
    assert inert(once, lines=True) == once


@given(st.text(st.characters(categories=["L", "N", "P"]), max_size=40))
def test_letters_of_every_script_pass(text: str) -> None:
    assume_visible = "".join(char for char in text if ord(char) not in INVISIBLE)
    assert inert(assume_visible) == unicodedata.normalize("NFC", assume_visible)


@given(st.text(st.sampled_from("a\u0301\u0323\u0488 👍\n"), max_size=200))
def test_marks_on_one_base_are_few(text: str) -> None:
    runs = re.findall("[\u0301\u0323\u0488]+", unicodedata.normalize("NFD", inert(text, lines=True)))
    assert all(len(run) <= MAX_MARKS for run in runs)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b]0;t\x07", "␛[31mred␛]0;t␇"),
        ("nul\x00del\x7fc1\x9b", "nul␀del␡c1‹U+009B›"),
        ("abc\u202efdp.exe", "abc‹U+202E›fdp.exe"),
        ("\u2066\u2069\u200e\u200f\u061c", "‹U+2066›‹U+2069›‹U+200E›‹U+200F›‹U+061C›"),
        ("a\u200bb\u200dc\ufeff", "a‹U+200B›b‹U+200D›c‹U+FEFF›"),
        ("tag\U000e0041", "tag‹U+E0041›"),
        ("\u2028\u2029", "‹U+2028›‹U+2029›"),
        ("\ue000\uffff\ud800", "‹U+E000›‹U+FFFF›‹U+D800›"),
        ("[verified] [b]x[/b]", "[verified] [b]x[/b]"),
        ("a\tb", "a    b"),
        ("a\nb", "a␊b"),
        ("a\r\nb", "a␍␊b"),
        ("\u3164\u2800", "‹U+3164›‹U+2800›"),
        ("a\u00a0b", "a b"),
        ("x" + "\u0301" * 10, "x\u0301\u0301\u0301\u0301‹+6 marks›"),
        ("\u0301a", "◌\u0301a"),
        ("a\ufe0f", "a‹U+FE0F›"),
        ("e\u0301", "é"),
    ],
)
def test_what_stands_for_what(text: str, shown: str) -> None:
    assert inert(text) == shown


@pytest.mark.parametrize(
    "text",
    ["👨\u200d👩\u200d👧\u200d👦", "❤\ufe0f", "👍🏽", "🏳\ufe0f\u200d🌈", "1\ufe0f\u20e3", "🇪🇺", "日本語", "שלום"],
)
def test_emoji_and_scripts_stay_usable(text: str) -> None:
    assert inert(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "می\u200cخواهم",  # Persian: the joiner parts two letters that would join  # noqa: RUF001
        "क्\u200dष क्\u200cष",  # Hindi: half a letter, a visible virama
        "ශ්\u200dරී",  # Sinhala
        "\U0001fae8\U0001fac6",  # emoji newer than Python 3.11's tables
        "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",  # the flag of Scotland
    ],
)
def test_joiners_stay_where_they_shape_letters(text: str) -> None:
    assert inert(text, lines=True) == text


@pytest.mark.parametrize(
    "text",
    [
        "a\u200cb", "a\u200db", "ا\u200cب", "ی\u200c", "\u200cی", "ی\u200c\u200cخ", "ی\u200dخ", "क\u200dष",  # noqa: RUF001
        "क्\u200d\u200dष",
        "\U0001f3f4\U000e0067\U000e007f", "1\u200d", "ی\u0301\u0301\u0301\u0301\u0301\u200cخ",
    ],
)  # fmt: skip
def test_a_joiner_that_would_hide_is_shown(text: str) -> None:
    """[R-13.1-8]"""
    assert "‹U+" in inert(text, lines=True)


@given(st.text(st.sampled_from("یخا्कषa\u200c\u200d\u064e \n"), max_size=20))
def test_joiners_are_settled_at_once(text: str) -> None:
    """[R-13.1-8]"""
    once = inert(text, lines=True)
    assert inert(once, lines=True) == once
    assert not set(called(text, bytes(32))) & {"\u200c", "\u200d"}


def test_two_names_that_look_the_same_are_the_same() -> None:
    """[R-13.1-8]"""
    assert called("علی\u200cرضا", bytes(32)) != called("علیرضا", bytes(32))  # noqa: RUF001
    assert "‹U+200C›" in called("علی\u200cرضا", bytes(32))  # noqa: RUF001


def test_more_than_four_joined_emoji_fall_apart() -> None:
    assert "‹U+200D›" in inert("\u200d".join("👨" * 6))


def test_lines_are_kept_only_when_asked_for() -> None:
    assert inert("a\r\nb\nc\rd", lines=True) == "a\nb\nc␍d"


@pytest.mark.parametrize("big", ["A" * 1_000_000, "\u0301\u0323" * 500_000, "a\x1b" * 500_000, "👍🏽" * 250_000])
def test_a_megabyte_takes_a_moment(big: str) -> None:
    began = time.perf_counter()
    inert(big)
    assert time.perf_counter() - began < 5


@given(ANY)
def test_a_paste_brings_no_controls(text: str) -> None:
    pasted = typed(text)
    kept = [char for char in pasted if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]
    assert set(kept) <= {"\n", "\u200c", "\u200d"}


def test_a_name_that_shows_nothing_becomes_the_fingerprint() -> None:
    assert called("  \u00a0", bytes(range(32))) == "0001 0203 0405 0607"
    assert called("Al\u202eice", bytes(32)) == "Al‹U+202E›ice"


def test_fingerprints_stand_in_groups() -> None:
    assert short_fingerprint(bytes(range(32))) == "0001 0203 0405 0607"
    assert len(full_fingerprint(bytes(32)).split()) == 16
    assert [len(line) for line in full_fingerprint(bytes(32), columns=8).split("\n")] == [39, 39]


@pytest.fixture
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_utc")
def test_times_are_local_and_impossible_ones_harmless() -> None:
    assert clock(1_759_000_000) == "19:06"
    assert clock(1_759_000_000, now=1_759_000_060) == "19:06"
    assert clock(1_759_000_000, now=1_760_000_000) == "27 Sep"
    assert clock(1_759_000_000, now=1_800_000_000) == "2025-09-27"
    assert clock(2**64 - 1) == "--:--"
    assert day(2**64 - 1) == "an impossible day"
