"""The liquidator on the real contracts: each engine, auctions with bids, deleveraging, deficits, races."""

from __future__ import annotations

import pytest
from liquidator_world import LiquidatorWorld
from venue_world import ADL_WINDOW, VenueWorld

from keeper.risk.liquidation import LiquidatorConfig
from keeper.units import WAD

ENGINES = ("FullLiquidation", "RateLimitedLiquidation", "DutchAuctionLiquidation")


def leveraged(engine: str, config: LiquidatorConfig | None = None, **settings: float) -> LiquidatorWorld:
    """Ten longs of rising leverage, one short who wins when they lose."""
    scene = LiquidatorWorld(VenueWorld(engine_kind=engine, **settings), config)
    world = scene.world
    for number in range(10):
        world.deposit(f"long-{number}", 12_000 - 800 * number)
        world.trade(f"long-{number}", 40.0)
    world.deposit("short", 1_000_000)
    world.trade("short", -300.0)
    scene.know(*(f"long-{number}" for number in range(10)), "short")
    return scene


def liquidatable(world: VenueWorld, *roles: str) -> list[str]:
    return [role for role in roles if world.margin(role)[0] < world.margin(role)[2]]


LONGS = [f"long-{number}" for number in range(10)]


@pytest.mark.parametrize("engine", ENGINES[:2])
def test_whoever_falls_below_maintenance_is_liquidated_and_nobody_else(engine: str):
    scene = leveraged(engine, liquidation_cap=1_000.0)
    assert scene.wake() == []
    scene.world.move(1_850.0)
    below = liquidatable(scene.world, *LONGS)
    assert 0 < len(below) < 10
    assert scene.wake() == ["liquidate"] * len(below)
    assert scene.executor.errors == []
    assert {order.arguments[0] for order in scene.executor.orders} == {scene.world.account(role) for role in below}
    assert liquidatable(scene.world, *LONGS) == []
    assert scene.world.cash("liquidator") > 0


def test_the_least_healthy_comes_first():
    scene = leveraged("FullLiquidation")
    scene.world.move(1_850.0)
    scene.wake()
    assert scene.executor.orders[0].arguments == (scene.world.account("long-9"),)


def test_a_rate_limited_engine_is_called_again_when_its_capacity_is_back_and_not_before():
    scene = leveraged("RateLimitedLiquidation", liquidation_cap=10.0)
    scene.world.move(1_850.0)
    assert scene.wake().count("liquidate") >= 1
    scene.world.move(1_850.0, 1)
    assert scene.wake() == []
    for _ in range(60):
        if not liquidatable(scene.world, *LONGS):
            break
        scene.world.move(1_850.0, 31)
        scene.wake()
    assert liquidatable(scene.world, *LONGS) == []
    assert scene.executor.errors == []


def test_an_insolvent_account_that_healed_by_itself_is_reviewed_so_that_withdrawals_open():
    scene = leveraged("RateLimitedLiquidation", liquidation_cap=10.0)
    world, debtor = scene.world, "long-9"
    world.move(1_750.0)
    world.waterfall.send("review", world.account(debtor))
    assert world.house.call("withdrawalsOpen") is False
    world.move(2_000.0)
    assert "review" in scene.wake()
    assert world.house.call("withdrawalsOpen") is True
    assert scene.wake() == []


def test_an_auction_is_started_kept_running_and_ended_when_the_account_is_healthy_again():
    scene = leveraged("DutchAuctionLiquidation")
    world = scene.world
    world.move(1_850.0)
    below = liquidatable(world, *LONGS)
    assert scene.wake() == ["liquidate"] * len(below)
    assert all(view.auction is not None for view in scene.look(*below).accounts)
    world.move(1_850.0, 10)
    assert scene.wake() == []
    for _ in range(8):
        world.move(1_850.0, 460)
        scene.wake()
    assert all(view.auction is not None for view in scene.look(*below).accounts)
    world.move(2_000.0, 10)
    assert set(scene.wake()) == {"liquidate"}
    assert all(view.auction is None for view in scene.look(*below).accounts)
    assert scene.executor.errors == []


def test_a_bid_is_made_when_the_discount_pays_and_what_it_brings_is_closed():
    scene = leveraged("DutchAuctionLiquidation", LiquidatorConfig(bid_capital=100_000.0, min_profit=0.001))
    world = scene.world
    world.deposit("liquidator", 200_000)
    before = world.cash("liquidator")
    world.move(1_850.0)
    scene.wake()
    called: list[str] = []
    for _ in range(40):
        world.move(1_850.0, 120)
        called += scene.wake()
        if world.perp.call("pendingSize", scene.own):
            world.settle("liquidator", world.move(1_850.0, 2))
    assert "bid" in called
    assert "commit" in called
    assert scene.executor.errors == []
    assert liquidatable(world, *LONGS) == []
    assert world.size("liquidator") == 0
    assert world.cash("liquidator") > before


def test_without_capital_nothing_is_bid():
    scene = leveraged("DutchAuctionLiquidation")
    scene.world.deposit("liquidator", 200_000)
    scene.world.move(1_850.0)
    called = scene.wake()
    for _ in range(6):
        scene.world.move(1_850.0, 400)
        called += scene.wake()
    assert set(called) == {"liquidate"}


def test_a_deficit_is_deleveraged_against_the_winners():
    scene = leveraged("FullLiquidation", insurance_cash=0)
    world = scene.world
    world.move(1_500.0)
    called = scene.wake()
    world.move(1_500.0, 2)
    called += scene.wake()
    assert called.count("liquidate") == 10
    assert "adl" in called
    assert world.house.call("badDebt") == 0
    assert world.size("short") > -300 * WAD
    assert scene.executor.errors == []


def test_what_nobody_can_be_deleveraged_for_is_settled_once_the_window_is_over():
    scene = leveraged("FullLiquidation", insurance_cash=0)
    world = scene.world
    scene.reader.watch.known.pop(world.account("short"))  # nobody knows of the winner
    world.move(1_500.0)
    scene.wake()
    world.move(1_500.0, 2)
    assert scene.wake() == []
    world.move(1_500.0, ADL_WINDOW)
    assert scene.wake() == ["settleDeficit"]
    assert world.house.call("badDebt") == 0
    assert scene.executor.errors == []


def test_a_lost_race_is_counted_and_is_no_error(caplog: pytest.LogCaptureFixture):
    scene = leveraged("FullLiquidation")
    scene.world.move(1_850.0)
    other = scene.world.account("other-liquidator")
    original = scene.reader.probe

    async def overtaken(to, function, arguments, sender):
        found = await original(to, function, arguments, sender)
        scene.world.engine.send("liquidate", arguments[0], sender=other)
        return found

    scene.reader.probe = overtaken
    scene.wake()
    assert set(scene.executor.errors) == {"NotLiquidatable"}
    assert scene.role.lost == len(scene.executor.errors)
    assert caplog.records == []


def test_nothing_is_liquidated_on_an_old_price():
    scene = leveraged("FullLiquidation")
    scene.world.move(1_850.0)
    scene.world.evm.advance(3_601)
    assert scene.wake() == []


def test_above_the_base_fee_that_is_paid_back_only_what_pays_is_sent():
    scene = leveraged("FullLiquidation")
    scene.world.evm.base_fee = 2_000 * 10**9
    scene.world.move(1_850.0)

    async def gas(*_):
        return 300_000

    scene.reader.gas = gas
    assert scene.wake() == []
    scene.world.evm.base_fee = 50 * 10**9
    assert "liquidate" in scene.wake()
