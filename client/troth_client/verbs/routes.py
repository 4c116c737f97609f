"""Routes: list, add, test, remove, only-proxies. SPEC.md section 19."""

from __future__ import annotations

import argparse

from troth_protocol import route_link
from troth_protocol.errors import NetworkError, UserError

from ..cli import Output
from ..display import clock, inert
from ..driver import Driver
from ..route_desk import RouteDesk
from ..route_views import RouteView


async def routes(driver: Driver, options: argparse.Namespace, output: Output) -> int:
    """One of the steps; what changes is on disk when it is said to be done."""
    desk = driver.routes
    if desk is None:
        raise UserError("this account has no routes of its own")
    match options.step:
        case "add":
            number = desk.add(options.link, driver.own_relay.fingerprint)
            output.result(
                f"Route {number} is added. Try it:  troth routes test {number}", {"type": "added", "number": number}
            )
        case "remove":
            desk.remove(options.number)
            output.remark("The route is removed.", {"type": "removed", "number": options.number})
        case "only-proxies":
            desk.set_proxies_only(on=options.switch == "on")
            said = "Nothing goes direct any more." if options.switch == "on" else "The direct route may be used again."
            output.remark(said, {"type": "proxies-only", "on": options.switch == "on"})
        case "test":
            return await _test(driver, desk, options, output)
        case _:
            _list(desk, options, output)
    return 0


async def _test(driver: Driver, desk: RouteDesk, options: argparse.Namespace, output: Output) -> int:
    """Exit 3 when none of the routes tried works."""
    await driver.test_routes(options.numbers)
    tried = [view for view in desk.status().routes if not options.numbers or view.number in options.numbers]
    for view in tried:
        output.result(_sentence(view), _object(view))
    if not any(view.code == "OK" for view in tried):
        raise NetworkError("none of these routes gets through now")
    return 0


def _list(desk: RouteDesk, options: argparse.Namespace, output: Output) -> None:
    status = desk.status()
    links = {record.number: route_link.encode(record.spec) for record in desk.route_settings().routes}
    for view in status.routes:
        link = links.get(view.number, "") if options.links or options.qr else ""
        output.result(
            _sentence(view) + (f"\n   {link}" if link else ""), _object(view) | ({"link": link} if link else {})
        )
        if options.qr and link and not output.as_json:
            import segno

            segno.make(link, error="l").terminal(compact=True)
    if status.proxies_only:
        output.remark("Only proxies are used: nothing goes direct.", {"type": "proxies-only", "on": True})


def _sentence(view: RouteView) -> str:
    name = f"{view.number}  {view.kind}" + (f" {inert(view.label)}" if view.label else "")
    when = f" ({clock(view.at)})" if view.at else ""
    rests = f"; others go first until {clock(view.retry)}" if view.retry else ""
    return f"{name}: {view.result or 'not tried yet'}{when}{rests}"


def _object(view: RouteView) -> dict[str, object]:
    return {
        "type": "route", "number": view.number, "kind": view.kind, "where": view.label, "code": view.code,
        "result": view.result, "at": view.at, "in_use": view.in_use, "retry": view.retry,
    }  # fmt: skip
