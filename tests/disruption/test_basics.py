"""The short set, where root and namespaces are there: no censor, a blocked address, a blocked server name."""

from __future__ import annotations

from disruption import censors
from disruption.lab import PROXIES
from disruption.world import Outcome, World


def test_nobody_censors(world: World, row: list[Outcome]) -> None:
    """[R-19.1-1]"""
    row.append(world.write("no censor"))
    assert row[-1].lost == 0
    assert row[-1].direct != "0"  # tried first; on a busy machine another way may still be quicker


def test_address_block(world: World, row: list[Outcome]) -> None:
    """[R-19.1-1]"""
    world.lab.forbid(censors.ADDRESS_BLOCK)
    row.append(world.write("address block"))
    assert row[-1].lost == 0
    assert row[-1].route in PROXIES


def test_server_name_block(world: World, row: list[Outcome]) -> None:
    """[R-19.1-1]"""
    world.lab.forbid(censors.server_name("relay.test"))
    row.append(world.write("server name block"))
    assert row[-1].lost == 0
    assert row[-1].route in PROXIES


def test_everything_came_once(world: World) -> None:
    """[R-13.1-2]"""
    assert world.doubled_or_lost() == []
