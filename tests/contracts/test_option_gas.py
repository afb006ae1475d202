"""What options, vaults and the keeper's one look at them cost: on a node, the 21,000 included."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from node_face import Node
from option_world import OptionWorld, straddle_world

from keeper.chain.node import Anvil

BUDGET = {"roll": 920_000, "hedge": 450_000, "snapshot": 400_000}
"""A roll is two trades. In each about 28,000 gas ask whether a deficit is open (the pool valued at the price), whether
the maker has an order whose price is known, and whether either side owes the insurance fund."""


@pytest.fixture(scope="module")
def world() -> Iterator[OptionWorld]:
    """Four series in both vaults, a filled hedge in each."""
    with Anvil() as anvil:
        world = straddle_world(evm=Node(anvil))
        for is_call in (True, False):
            world.list_series(2_200.0, is_call, world.expiries[0])
        world.roll(2_200.0, 10.0, world.expiries[0])
        world.move(2_100.0, 60)
        for vault in (world.scalper, world.underwriter):
            world.hedge(vault, -round(world.net_delta(vault) / 2, 3))
            world.settle_hedge(vault)
        yield world


@pytest.mark.anvil
def test_gas_of_a_roll_a_hedge_and_a_snapshot_stays_within_budget(world: OptionWorld) -> None:
    used = {
        "roll": world.roll(2_000.0, 1.0, world.expiries[0]).gas_used,
        "hedge": world.hedge(world.underwriter, -round(world.net_delta(world.underwriter), 3)).gas_used,
    }
    for vault in (world.scalper, world.underwriter):
        looked = world.evm.gas(world.lens, "snapshot", vault.address, world.account("hedger"))
        used["snapshot"] = max(looked, used.get("snapshot", 0))
    print(*(f"{step:10} {gas:>8,} gas" for step, gas in used.items()), sep="\n")
    assert all(used[step] < BUDGET[step] for step in BUDGET), used
