"""What a portfolio-margin check costs: a transaction that runs it, on a node, the 21,000 included."""

from __future__ import annotations

from collections.abc import Iterator

import gas_snapshot
import pytest
from node_face import Node
from option_world import WEEK, OptionWorld

from keeper.chain.node import Anvil

SERIES = 16
EXPIRIES = 4


@pytest.fixture(scope="module")
def world() -> Iterator[OptionWorld]:
    """A trader with a perpetual and sixteen series, none at another's strike, long and short, in four expiries."""
    with Anvil() as anvil:
        world = OptionWorld(evm=Node(anvil), margin_kind="PortfolioMargin")  # type: ignore[arg-type]
        for role in ("trader", "maker"):
            world.deposit(role, 2_000_000)
        world.make("maker")
        start = world.evm.timestamp
        for row in range(SERIES):
            expiry = start + (1 + row % EXPIRIES) * WEEK
            series = world.list_series(1_700.0 + 37.5 * row, row % 3 == 0, expiry)
            world.buy("trader", "maker", series, 5.0 if row % 2 else -4.0)
        world.trade("trader", 3)
        yield world


@pytest.mark.anvil
def test_gas_of_a_portfolio_margin_check_over_16_series_holds_budget_and_snapshot(world: OptionWorld) -> None:
    account = world.account("trader")
    assert len(world.market.call("seriesOf", account)) == SERIES
    used = {"portfolio margin check over 16 series": world.evm.gas(world.model, "margin", account, world.price())}
    print(*(f"{step:40} {gas:>9,} gas" for step, gas in used.items()), sep="\n")
    gas_snapshot.check(used)
