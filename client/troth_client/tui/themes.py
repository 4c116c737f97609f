"""The themes: dark, light and one of high contrast. States are said in signs and words in all of them, and in none."""

from __future__ import annotations

from typing import Final

from textual.filter import LineFilter, Monochrome, NoColor
from textual.theme import Theme

DARK: Final = Theme(
    name="dark",
    primary="#4fb3a5",
    secondary="#7aa2c9",
    accent="#e0b05c",
    warning="#e0b05c",
    error="#e06c75",
    success="#5fb878",
    foreground="#d8dee4",
    background="#12171c",
    surface="#182028",
    panel="#202a33",
    dark=True,
)
LIGHT: Final = Theme(
    name="light",
    primary="#0b6b5e",
    secondary="#2f5d8a",
    accent="#8a5a00",
    warning="#8a5a00",
    error="#a8232f",
    success="#1d6b35",
    foreground="#1c2329",
    background="#fbfbf8",
    surface="#f1f1ec",
    panel="#e4e5de",
    dark=False,
)
CONTRAST: Final = Theme(
    name="contrast",
    primary="#ffff00",
    secondary="#00ffff",
    accent="#ffff00",
    warning="#ffff00",
    error="#ff8080",
    success="#80ff80",
    foreground="#ffffff",
    background="#000000",
    surface="#000000",
    panel="#000000",
    dark=True,
    variables={
        "text-muted": "#ffffff",
        "text-disabled": "#ffffff",
        "panel-lighten-2": "#ffffff",
        "border": "#ffffff",
        "block-cursor-background": "#ffff00",
        "block-cursor-foreground": "#000000",
        "block-cursor-blurred-background": "#444444",
    },
)
THEMES: Final = (DARK, LIGHT, CONTRAST)


def without_colour(filters: list[LineFilter]) -> list[LineFilter]:
    """The filters under NO_COLOR: Textual would leave shades of grey, which are colours too."""
    return [*(each for each in filters if not isinstance(each, Monochrome)), NoColor()]
