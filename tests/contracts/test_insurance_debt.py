"""What an account owes the insurance fund for its options cannot be walked away from."""

from __future__ import annotations

import pytest
from option_world import OptionWorld
from venue_world import refusal

from keeper.units import SECONDS_PER_DAY, WAD, to_wad


def world_with_debt(
    kind: str = "IsolatedMargin", strike: float = 2_000.0, price: float = 2_500.0
) -> tuple[OptionWorld, int, int]:
    """The fund paid for a short of the trader, who still holds calls of a later expiry. Returns them, and the debt."""
    world = OptionWorld(insurance_cash=100_000, margin_kind=kind)
    free = {"halfSpread": 0, "minSpread": 0, "vegaSkew": 0}
    world.deposit("maker", 9_000_000)
    world.make("maker", **free)
    near = world.evm.timestamp + 2 * SECONDS_PER_DAY
    far = near + 26 * SECONDS_PER_DAY
    short, long = world.list_series(2_000.0, True, near), world.list_series(strike, True, far)
    world.deposit("trader", 50_000)
    world.buy("trader", "maker", short, -100.0)
    world.buy("trader", "maker", long, 100.0)
    if kind == "PortfolioMargin":
        world.later(60)
        world.buy("trader", "maker", long, -95.0)
    world.expire(near, price)
    world.report()
    world.settle_series("trader", short)
    debt = int(world.market.call("debtOf", world.account("trader")))
    assert debt > 0
    return world, long, debt


def test_premium_repays_the_fund_first_and_only_the_rest_is_free() -> None:
    world, calls, debt = world_with_debt()
    fund, trader = world.cash(world.fund.address), world.cash("trader")
    premium = -int(world.buy("trader", "maker", calls, -100.0).result)
    assert world.market.call("debtOf", world.account("trader")) == 0
    assert world.cash(world.fund.address) - fund == debt < premium
    assert world.cash("trader") - trader == premium - debt
    world.withdraw("trader", world.cash("trader") // 10**12 / 10**6)


def test_who_owes_the_fund_cannot_give_its_options_to_a_friend() -> None:
    """As taker or as maker, in whole or in part: where the premium leaves debt, margin must stand behind it."""
    world, calls, _ = world_with_debt(strike=3_000.0, price=3_000.0)
    world.deposit("friend", 100_000)
    world.make("friend", halfSpread=to_wad(10), minSpread=0, vegaSkew=0)
    world.make("trader", halfSpread=0, minSpread=0, vegaSkew=WAD, marginBuffer=WAD)
    premium, mid, _ = world.quote("trader", calls, 100.0)
    assert premium < 0.2 * mid
    for size in (100.0, 1.0):
        assert refusal(world.buy, "trader", "friend", calls, -size).name == "InsufficientMargin"
        assert refusal(world.buy, "friend", "trader", calls, size).name == "MakerMargin"


@pytest.mark.parametrize("kind", ["IsolatedMargin", "PortfolioMargin"])
def test_cash_that_is_owed_to_the_fund_cannot_be_withdrawn_and_anyone_sends_it_there(kind: str) -> None:
    world, _, debt = world_with_debt(kind, price=4_000.0)
    account = world.account("trader")
    world.deposit("trader", debt // WAD // 2)
    assert refusal(world.withdraw, "trader", 1).name == "InsufficientMargin"
    equity, initial, _ = world.margin("trader")
    free = min(world.cash("trader"), equity - initial + debt)
    assert 0 < free < debt
    fund = world.cash(world.fund.address)
    assert world.market.send("repay", account).result == free == world.cash(world.fund.address) - fund
    assert world.market.call("debtOf", account) == debt - free
    assert world.margin("trader")[0] == equity - free
    world.deposit("trader", debt // WAD + 1)
    assert world.market.send("repay", account).result == debt - free
    assert world.market.send("repay", account).result == 0
