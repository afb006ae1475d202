"""What trading on the venue costs: whole transactions on a node, the 21,000 included, with non-zero slots."""

from __future__ import annotations

from collections.abc import Iterator

import gas_snapshot
import pytest
from node_face import Node
from venue_world import VenueWorld

from keeper.chain.node import Anvil


@pytest.fixture(scope="module")
def world() -> Iterator[VenueWorld]:
    with Anvil() as anvil:
        world: VenueWorld = VenueWorld(evm=Node(anvil))  # type: ignore[arg-type]
        for role in ("trader", "other", "keeper", "liquidator"):
            world.deposit(role, 200_000)
        for role, size in (("trader", 100), ("other", -40)):
            world.trade(role, size)
        yield world


@pytest.mark.anvil
def test_gas_of_every_step_of_an_order_and_of_a_liquidation_holds_budget_and_snapshot(world: VenueWorld) -> None:
    commit = world.commit("trader", 1_500)
    benchmark = world.move(2_000, seconds=2)
    settle = world.settle("trader", benchmark)
    assert settle.events("OrderSettled")
    world.move(1_880)
    liquidate = world.liquidate("trader")
    assert liquidate.events("PositionClosed")
    used = {"commit": commit.gas_used, "settle": settle.gas_used, "liquidate": liquidate.gas_used}
    print(*(f"{step:10} {gas:>8,} gas" for step, gas in used.items()), sep="\n")
    gas_snapshot.check(used)
