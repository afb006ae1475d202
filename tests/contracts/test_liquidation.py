"""Full liquidation: who may be closed, what it costs, and who pays when the account cannot."""

from __future__ import annotations

import pytest
from venue_world import VenueWorld, refusal

from keeper.units import WAD, to_gwei, to_wad


@pytest.fixture
def world() -> VenueWorld:
    world = VenueWorld()
    world.deposit("trader", 100_000)
    world.deposit("other", 1_000_000)
    world.trade("trader", 1_000)
    return world


def test_healthy_account_is_refused_with_its_numbers(world: VenueWorld) -> None:
    equity, _, maintenance = world.margin("trader")
    revert = refusal(world.liquidate, "trader")
    assert (revert.name, revert.args) == ("NotLiquidatable", (world.account("trader"), equity, maintenance))
    assert refusal(world.liquidate, "stranger").name == "NotLiquidatable"


def test_account_one_wei_below_maintenance_is_liquidatable_and_at_it_is_not(world: VenueWorld) -> None:
    world.move(1_930)
    equity, _, maintenance = world.margin("trader")
    trader = world.account("trader")
    world.hand_over("spare", "trader", maintenance - equity)
    assert world.house.call("isLiquidatable", trader, world.price()) is False
    world.hand_over("trader", "spare", 1)
    assert world.house.call("isLiquidatable", trader, world.price()) is True


def test_liquidation_closes_everything_and_pays_fee_and_gas(world: VenueWorld) -> None:
    world.evm.base_fee = to_gwei(10)
    world.move(1_930)
    cash = world.cash("trader")
    receipt = world.liquidate("trader")
    (liquidated,) = receipt.events("Liquidated")
    (closed,) = receipt.events("PositionClosed")
    reward = to_wad(1_000 * 1_930 * 0.0003 + 500_000 * 10e-9 * 1_930)
    assert liquidated["reward"] == receipt.result == world.cash("liquidator") == reward
    assert (liquidated["sizeClosed"], liquidated["price"]) == (-to_wad(1_000), to_wad(1_930))
    assert closed["fill"] == to_wad(1_930) + to_wad(1_930) * 500 // 350_000  # the average of the skews before and after
    assert world.cash("trader") == cash + closed["pnl"] + closed["funding"] - closed["fee"] - reward
    assert (world.size("trader"), world.perp.call("skew")) == (0, 0)
    assert (liquidated["badDebt"], world.house.call("badDebt")) == (0, 0)


def test_liquidation_drops_the_order_in_flight_without_charge(world: VenueWorld) -> None:
    world.commit("trader", -100)
    world.move(1_930)
    (dropped,) = world.liquidate("trader").events("OrderCancelled")
    assert dropped["reason"].rstrip(b"\0") == b"liquidation"
    assert world.perp.call("pendingSize", world.account("trader")) == 0


def test_order_in_flight_with_a_benchmark_is_settled_before_the_liquidation(world: VenueWorld) -> None:
    """A trader does not get out of a bad trade by being liquidated."""
    world.commit("trader", 50)
    world.move(2_000, seconds=2)
    world.move(1_990, seconds=1)
    world.move(1_930)
    receipt = world.liquidate("trader")
    (settled,) = receipt.events("OrderSettled")
    (liquidated,) = receipt.events("Liquidated")
    assert (settled["index"], settled["sizeDelta"]) == (to_wad(2_000), to_wad(50))
    assert liquidated["sizeClosed"] == -to_wad(1_050)
    assert world.cash("liquidator") == liquidated["reward"] + settled["reward"]
    assert world.cash(world.engine.address) == 0


def test_account_that_its_own_order_heals_is_left_alone(world: VenueWorld) -> None:
    world.commit("trader", -900)
    world.move(1_990, seconds=2)
    world.move(1_925)
    assert world.margin("trader")[0] < world.margin("trader")[2]
    receipt = world.liquidate("trader")
    assert (receipt.result, receipt.events("Liquidated")) == (0, [])
    assert world.size("trader") == to_wad(100)
    assert world.margin("trader")[0] > world.margin("trader")[2]
    assert world.cash("liquidator") == receipt.events("OrderSettled")[0]["reward"]


def test_deficit_is_paid_by_the_insurance_fund_and_withdrawals_stay_open(world: VenueWorld) -> None:
    fund = world.cash(world.fund.address)
    world.move(1_880)
    receipt = world.liquidate("trader")
    (closed,) = receipt.events("PositionClosed")
    (recorded,) = receipt.events("BadDebtRecorded")
    (covered,) = receipt.events("BadDebtCovered")
    assert recorded["amount"] == covered["amount"] > 0
    assert covered["payer"] == world.fund.address
    assert fund - world.cash(world.fund.address) == recorded["amount"] - closed["fee"] * 2 // 10
    assert (world.cash("trader"), world.house.call("badDebt")) == (0, 0)
    world.withdraw("other", 1)


def test_deficit_beyond_the_insurance_cap_is_paid_from_pool_equity() -> None:
    world = VenueWorld(max_per_event=1_000)
    world.deposit("trader", 100_000)
    world.trade("trader", 1_000)
    world.move(1_850)
    fund, insurance = world.liquidate("trader").events("BadDebtCovered"), to_wad(1_000)
    assert [cover["payer"] for cover in fund] == [world.fund.address, world.pool.address]
    assert fund[0]["amount"] == insurance < fund[1]["amount"]
    assert fund[1]["total"] == world.house.call("badDebt") == 0


@pytest.fixture
def insolvent() -> VenueWorld:
    """Longs won from a short who had too little, with next to nothing in the pool and the fund; closed at 2,200."""
    world = VenueWorld(pool_cash=1_000, insurance_cash=1_000, locked_ratio=0)
    for role, size in (("long", 1_000), ("short", -1_000)):
        world.deposit(role, 100_000)
        world.commit(role, size)
    benchmark = world.move(2_000, seconds=2)
    world.settle("long", benchmark)
    world.settle("short", benchmark)
    world.deposit("other", 500)
    world.move(2_200)
    world.liquidate("short")
    return world


def test_deficit_that_nobody_can_pay_stays_on_record_and_blocks_withdrawals(insolvent: VenueWorld) -> None:
    left = insolvent.house.call("badDebt")
    assert to_wad(90_000) < left < to_wad(110_000)
    assert insolvent.cash(insolvent.fund.address) == 0
    assert insolvent.pool.call("equity", insolvent.price()) <= 0
    revert = refusal(insolvent.withdraw, "other", 500)
    assert (revert.name, revert.args) == ("WithdrawalsBlocked", (left,))
    assert insolvent.total_cash("long", "short", "other", "keeper", "liquidator") == insolvent.custody()


def test_venues_own_accounts_cannot_be_liquidated_to_draw_on_the_insurance_again(insolvent: VenueWorld) -> None:
    insolvent.deposit(insolvent.fund.address, 5_000)
    for own in (insolvent.house, insolvent.pool, insolvent.module):
        insolvent.hand_over(own.address, "other", to_wad(500_000))
        assert refusal(insolvent.liquidate, own.address).name == "NotLiquidatable"
    assert insolvent.cash(insolvent.fund.address) == to_wad(5_000)


def test_bad_debt_is_paid_when_the_pool_has_equity_again(insolvent: VenueWorld) -> None:
    left = insolvent.house.call("badDebt")
    insolvent.deposit(insolvent.pool.address, 50_000)
    paid = insolvent.engine.send("coverBadDebt").result
    assert to_wad(49_000) < paid <= to_wad(50_000)
    insolvent.deposit(insolvent.pool.address, 200_000)
    assert insolvent.engine.send("coverBadDebt").result == left - paid
    assert insolvent.house.call("badDebt") == 0
    insolvent.withdraw("other", 500)


def test_deposit_for_the_clearinghouse_pays_bad_debt_down(insolvent: VenueWorld) -> None:
    left = insolvent.house.call("badDebt")
    insolvent.deposit(insolvent.house.address, 1_000)
    assert insolvent.house.call("badDebt") == left - to_wad(1_000)


def test_liquidation_of_a_gap_never_reverts_whatever_the_gap(world: VenueWorld) -> None:
    for price in (1_500, 500, 10, 0.01):
        snapshot = world.evm.snapshot()
        world.move(price)
        world.liquidate("trader")
        assert world.size("trader") == 0
        assert world.total_cash("trader", "other", "keeper", "liquidator") == world.custody()
        world.evm.revert(snapshot)


def test_liquidation_needs_a_fresh_price(world: VenueWorld) -> None:
    world.move(1_500)
    world.evm.advance(3_601)
    assert refusal(world.liquidate, "trader").name == "PriceTooOld"


def test_reward_is_covered_by_maintenance_margin_at_the_highest_base_fee(world: VenueWorld) -> None:
    """An account just below maintenance pays closing fee, reward and impact out of its own equity."""
    world.evm.base_fee = to_gwei(50)
    price = 1_940.0
    while world.margin("trader")[0] >= world.margin("trader")[2]:
        price -= 0.5
        world.move(price)
    world.liquidate("trader")
    assert world.cash("trader") > 0


def test_empty_account_can_be_used_again_after_liquidation(world: VenueWorld) -> None:
    world.move(1_880)
    world.liquidate("trader")
    world.deposit("trader", 10_000)
    assert world.trade("trader", 10).result is True
    assert world.perp.call("position", world.account("trader"))[0] == 10 * WAD
