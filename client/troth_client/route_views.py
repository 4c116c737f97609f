"""How routes look to whoever shows them: frozen values, no password, no key. SPEC.md section 19.3."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RouteView:
    """One route and what last came of it."""

    number: int
    """As ``troth routes remove N`` takes it; the direct route is 0."""
    kind: str
    """``direct``, ``socks``, ``connect``, ``tunnel`` or ``obfs4``."""
    label: str = field(repr=False)
    """Where its proxy is, without a password; inert it before it is shown. Empty for the direct route."""
    in_use: bool
    code: str
    """Empty while untried, ``OK``, or the code of an error, ``CAPTIVE_PORTAL`` for one."""
    result: str = field(repr=False)
    """One line: ``worked in 0.3 s``, or what went wrong."""
    at: int
    """The second of that result, 0 never."""
    retry: int
    """The second until which it rests behind the others, 0 when it does not."""


@dataclass(frozen=True, slots=True)
class RouteStatus:
    """All routes in the person's order."""

    routes: tuple[RouteView, ...]
    proxies_only: bool
    trouble: str = field(default="", repr=False)
    """One line for a status bar while nothing gets through, or empty."""
