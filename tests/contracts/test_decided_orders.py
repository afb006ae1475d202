"""Once the price of an order is known, its owner cannot choose whether it fills."""

from __future__ import annotations

import pytest
from option_world import OptionWorld
from venue_world import VenueWorld, refusal

from keeper.units import WAD, to_wad


def turning(run: float = 2_080) -> tuple[VenueWorld, int]:
    """A long of 100 coins whose order turns it round: it has its benchmark, and then the price ran for the long."""
    world = VenueWorld()
    world.deposit("trader", 11_000)
    world.trade("trader", 100)
    world.commit("trader", -200)
    benchmark = world.move(2_000, seconds=2)
    world.move(run)
    return world, benchmark


def spare(world: VenueWorld, role: str = "trader") -> float:
    """What initial margin would let go, dollars."""
    equity, initial, _ = world.margin(role)
    return (min(equity - initial, world.cash(role))) / WAD - 0.01


def test_withdrawal_that_would_make_the_fill_fail_is_refused_until_the_order_is_settled() -> None:
    world, benchmark = turning()
    amount = spare(world)
    with world.evm.rolled_back():
        world.hand_over("trader", "spare", to_wad(round(amount, 6)))
        assert world.settle("trader", benchmark).result is False
    revert = refusal(world.withdraw, "trader", round(amount, 6))
    assert (revert.name, revert.args) == ("OrderDecided", (world.account("trader"), world.perp.address))
    assert world.settle("trader", benchmark, keeper="stranger").result is True
    assert world.size("trader") == -to_wad(100)
    world.deposit("trader", 20_000)
    world.withdraw("trader", 1)


def test_order_without_a_price_holds_no_cash_beyond_its_margin() -> None:
    world = VenueWorld()
    world.deposit("trader", 20_000)
    world.commit("trader", 10)
    world.withdraw("trader", 1)
    world.move(2_000, seconds=1)
    world.withdraw("trader", 1)
    world.move(2_000, seconds=1)
    assert world.perp.call("isDecided", world.account("trader")) is True
    assert refusal(world.withdraw, "trader", 1).name == "OrderDecided"


def test_only_its_owner_is_held_and_only_while_the_order_stands() -> None:
    world, benchmark = turning()
    world.deposit("other", 10)
    world.withdraw("other", 10)
    world.settle("trader", benchmark)
    assert world.perp.call("isDecided", world.account("trader")) is False
    assert world.perp.call("isDecided", world.account("other")) is False


def test_order_whose_price_came_too_late_is_settled_first_as_well() -> None:
    world = VenueWorld()
    world.deposit("trader", 20_000)
    world.commit("trader", 10)
    benchmark = world.move(2_000, seconds=600)
    assert refusal(world.withdraw, "trader", 1).name == "OrderDecided"
    assert world.settle("trader", benchmark).result is False
    world.withdraw("trader", 1)


def test_silent_price_decides_nothing() -> None:
    """No price, no benchmark: what stands in the way of a withdrawal then is the old price, if anything."""
    world = VenueWorld()
    world.deposit("trader", 20_000)
    world.commit("trader", 10)
    world.evm.advance(4_000)
    assert refusal(world.withdraw, "trader", 1).name == "PriceTooOld"


def test_every_product_is_asked() -> None:
    world = VenueWorld()
    world.deposit("trader", 100)
    world.module.send("decide", world.account("trader"), True)
    revert = refusal(world.withdraw, "trader", 1)
    assert (revert.name, revert.args) == ("OrderDecided", (world.account("trader"), world.module.address))


# -- other ways to be short of margin ----------------------------------------------------------------------------------


def with_options() -> tuple[OptionWorld, int]:
    world = OptionWorld()
    for role, dollars in (("maker", 3_000_000), ("trader", 60_000)):
        world.deposit(role, dollars)
    world.make("maker")
    return world, world.list_series(2_000.0, True)


@pytest.mark.parametrize("size", [5.0, -5.0])
def test_option_trade_waits_for_the_order_to_be_settled(size: float) -> None:
    world, series = with_options()
    world.commit("trader", 10)
    world.buy("trader", "maker", series, size)
    benchmark = world.move(2_000, seconds=2)
    world.report()
    world.evm.advance(1)
    assert refusal(world.buy, "trader", "maker", series, size).name == "OrderDecided"
    world.settle("trader", benchmark)
    world.buy("trader", "maker", series, size)


def test_bid_waits_for_the_bidders_order_to_be_settled() -> None:
    world = VenueWorld(engine_kind="DutchAuctionLiquidation")
    world.deposit("trader", 15_000)
    world.deposit("bidder", 500_000)
    world.trade("trader", 100)
    world.commit("bidder", 10)
    benchmark = world.move(1_870, seconds=2)
    world.liquidate("trader")
    assert refusal(world.bid, "trader").name == "OrderDecided"
    world.settle("bidder", benchmark)
    world.bid("trader")


@pytest.mark.parametrize("engine", ["FullLiquidation", "RateLimitedLiquidation", "DutchAuctionLiquidation"])
def test_own_liquidation_settles_the_order_first(engine: str) -> None:
    world = VenueWorld(engine_kind=engine)
    world.deposit("trader", 11_000)
    world.trade("trader", 100)
    world.commit("trader", -150)
    world.move(2_000, seconds=2)
    world.move(1_900)
    receipt = world.liquidate("trader", liquidator="trader")
    (settled,) = receipt.events("OrderSettled")
    assert (settled["index"], settled["sizeDelta"]) == (to_wad(2_000), -to_wad(150))
    assert not receipt.events("OrderCancelled")
