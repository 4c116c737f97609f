"""Nothing inside a paste becomes a keystroke, however the terminal cuts it."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from textual.events import Key, Paste

from troth_client.tui.paste_guard import END, START, GuardedParser, PasteGuard

EVIL = "one\rtwo\x1b[31m red\x07\r\x11\x1b\x1b[20"


def keys_and_pastes(chunks: list[str]) -> tuple[str, list[str]]:
    parser = GuardedParser()
    messages = [message for chunk in chunks for message in parser.feed(chunk)]
    keys = "".join(message.character or message.key for message in messages if isinstance(message, Key))
    return keys, [message.text for message in messages if isinstance(message, Paste)]


def cut(text: str, places: list[int]) -> list[str]:
    ends = sorted({place % (len(text) + 1) for place in places} | {0, len(text)})
    return [text[start:end] for start, end in pairwise(ends)]


@given(st.lists(st.integers(0, 200), max_size=8))
def test_a_paste_is_one_paste_however_it_is_cut(places: list[int]) -> None:
    guard = PasteGuard()
    data = f"a{START}{EVIL}{END}b{START}{EVIL}{END}c"
    cleaned = "".join(guard.clean(chunk) for chunk in cut(data, places))
    text = "one\rtwo[31m red\r[20"
    assert cleaned == f"a{START}{text}{END}b{START}{text}{END}c"


def test_nothing_in_a_paste_becomes_a_key() -> None:
    keys, pastes = keys_and_pastes([f"a{START}{EVIL}{END}", "b"])
    assert keys == "ab"
    assert pastes == ["one\rtwo[31m red\r[20"]


@given(st.text(st.sampled_from("ab\x1b[]~201\r\x07")))
def test_outside_a_paste_nothing_is_held_back_and_only_alt_enter_changed(text: str) -> None:
    data = text.replace(START, "")
    assert PasteGuard().clean(data) == data.replace("\x1b\r", "\n")


def test_alt_enter_of_a_terminal_without_the_kitty_protocol_breaks_the_line() -> None:
    keys = [message.key for message in GuardedParser().feed("a\x1b\rb\r") if isinstance(message, Key)]
    assert keys == ["a", "ctrl+j", "b", "enter"]
