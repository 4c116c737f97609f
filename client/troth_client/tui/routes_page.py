"""How we reach our relay: every route, what last came of it, and what to do about the one that failed."""

from __future__ import annotations

from ..display import clock, inert
from ..route_views import RouteStatus, RouteView
from ..wording import explain
from .dialog import Page


def routes_page(status: RouteStatus) -> Page:
    """The page for these routes."""
    only = "Only proxies are used: nothing goes direct, names included." if status.proxies_only else ""
    trouble = f"Now: {inert(status.trouble)}" if status.trouble else ""
    how = "Routes are added and removed with  troth routes add LINK  and  troth routes remove N."
    return Page("Routes", "\n\n".join(filter(None, (trouble, *map(_lines, status.routes), only, how))))


def _lines(route: RouteView) -> str:
    used = "  in use" if route.in_use else ""
    result = inert(route.result) if route.code in {"", "OK"} else explain(route.result, route.code)
    when = f" ({clock(route.at)})" if route.at else ""
    return f"{route.number}. {inert(route.kind)} {inert(route.label)}{used}\n   {result or 'not tried yet'}{when}"
