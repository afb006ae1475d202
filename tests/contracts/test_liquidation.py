"""Full liquidation: who may be closed, what it costs, and who pays when the account cannot."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from venue_world import ADL_WINDOW, VenueWorld, refusal

from keeper.chain.abi import Revert
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
    assert receipt.result == (reward, 0)
    assert liquidated["reward"] == world.cash("liquidator") == reward
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
    assert (receipt.result, receipt.events("Liquidated")) == ((0, 0), [])
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


def test_deficit_beyond_the_insurance_cap_stays_open_for_the_rest_of_the_waterfall() -> None:
    world = VenueWorld(max_per_event=1_000)
    world.deposit("trader", 100_000)
    world.deposit("other", 1_000)
    world.trade("trader", 1_000)
    world.move(1_850)
    receipt = world.liquidate("trader")
    (covered,) = receipt.events("BadDebtCovered")
    (opened,) = receipt.events("DeficitOpened")
    deficit = receipt.events("Liquidated")[0]["badDebt"]
    assert (covered["payer"], covered["amount"]) == (world.fund.address, to_wad(1_000))
    assert opened["amount"] == world.house.call("badDebt") == deficit - to_wad(1_000) > 0
    assert world.waterfall.call("bankruptSide", world.perp.address) == 1
    assert refusal(world.withdraw, "other", 1).name == "WithdrawalsBlocked"
    world.move(1_850, seconds=ADL_WINDOW)
    world.settle_deficit()
    assert world.house.call("badDebt") == 0
    world.withdraw("other", 1)


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


def test_deficit_that_the_fund_cannot_pay_stays_on_record_and_blocks_withdrawals(insolvent: VenueWorld) -> None:
    left = insolvent.house.call("badDebt")
    assert to_wad(90_000) < left < to_wad(110_000)
    assert insolvent.cash(insolvent.fund.address) == 0
    revert = refusal(insolvent.withdraw, "other", 500)
    assert (revert.name, revert.args) == ("WithdrawalsBlocked", (left,))
    assert insolvent.total_cash("long", "short", "other", "keeper", "liquidator") == insolvent.custody()


def test_venues_own_accounts_cannot_be_liquidated_to_draw_on_the_insurance_again(insolvent: VenueWorld) -> None:
    insolvent.deposit(insolvent.fund.address, 5_000)
    for own in (insolvent.house, insolvent.pool, insolvent.module):
        insolvent.hand_over(own.address, "other", to_wad(500_000))
        assert refusal(insolvent.liquidate, own.address).name == "NotLiquidatable"
    assert insolvent.cash(insolvent.fund.address) == to_wad(5_000)


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


def test_account_that_its_own_order_left_flat_and_in_debt_is_recorded_for_the_gas(world: VenueWorld) -> None:
    world.commit("trader", -1_000)
    world.settle("trader", world.move(1_850, seconds=2))
    assert (world.size("trader"), world.cash("trader") < 0) == (0, True)
    world.evm.base_fee = to_gwei(20)
    gas = to_wad(500_000 * 20e-9 * 1_850)
    owed = -world.cash("trader")
    receipt = world.liquidate("trader")
    (liquidated,) = receipt.events("Liquidated")
    assert receipt.result == (gas, 0)
    assert (liquidated["sizeClosed"], liquidated["badDebt"]) == (0, owed + gas)
    assert (world.cash("trader"), world.house.call("badDebt")) == (0, 0)
    assert refusal(world.liquidate, "trader").name == "NotLiquidatable"


# -- rewards -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base_fee", [0, 1, 20, 50])
@pytest.mark.parametrize("size", [1e-18, 1e-6, 0.01, 1.0, 3_000.0])
def test_reward_pays_for_the_gas_at_every_size_below_the_highest_base_fee(size: float, base_fee: float) -> None:
    """Dust is worth liquidating too. A liquidation uses less than 300,000 gas (the gas snapshot holds it there)."""
    world = VenueWorld()
    world.deposit("trader", 400 + 0.1 * size * 2_000)
    world.trade("trader", size)
    world.hand_over("trader", "spare", world.margin("trader")[0] - world.margin("trader")[2] + 1)
    world.evm.base_fee = to_gwei(base_fee)
    reward, _ = world.liquidate("trader").result
    assert reward >= 300_000 * to_gwei(base_fee) * 2_000
    assert (world.size("trader"), world.cash("trader") > 0) == (0, True)


def test_liquidating_oneself_takes_no_more_from_the_venue_than_being_liquidated(world: VenueWorld) -> None:
    world.evm.base_fee = to_gwei(50)
    world.move(1_930)
    venue = (world.pool.address, world.fund.address)
    outcomes = []
    for liquidator in ("stranger", "trader", "trader's other account"):
        with world.evm.rolled_back():
            receipt = world.liquidate("trader", liquidator=liquidator)
            family = sum(world.cash(role) for role in ("trader", "trader's other account"))
            outcomes.append(([world.cash(account) for account in venue], family, receipt.result[0]))
    stranger, trader, other = outcomes
    assert stranger[0] == trader[0] == other[0]
    assert trader[1] == other[1] == stranger[1] + stranger[2]


# -- liveness ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def crowded() -> VenueWorld:
    """Somebody on each side, so that there is a skew and funding."""
    world = VenueWorld()
    for role, size in (("other", 800), ("trader", 500), ("short", -400)):
        world.deposit(role, 60_000 + 100 * abs(size))
        world.trade(role, size)
    return world


@given(
    role=st.sampled_from(["trader", "short"]),
    change=st.floats(-0.95, 3.0),
    order=st.floats(-400, 400).map(lambda size: round(size, 6)),
    benchmark=st.booleans(),
    insured=st.booleans(),
    solvent_pool=st.booleans(),
    wait=st.integers(1, 3_000),
)
def test_liquidation_never_reverts_and_always_leaves_nothing(
    crowded: VenueWorld,
    role: str,
    change: float,
    order: float,
    benchmark: bool,
    insured: bool,
    solvent_pool: bool,
    wait: int,
) -> None:
    world = crowded
    roles = ("trader", "short", "other", "keeper", "liquidator", "provider", "spare")
    with world.evm.rolled_back():
        for empty, account in ((not insured, world.fund.address), (not solvent_pool, world.pool.address)):
            if empty:
                world.hand_over(account, "spare", max(world.cash(account), 0))
        if order and can_commit(world, role, order):
            world.commit(role, order)
        if benchmark:
            world.move(2_000, seconds=2)
        world.move(2_000 * (1 + change), seconds=wait)
        if not world.house.call("isLiquidatable", world.account(role), world.price()):
            assert refusal(world.liquidate, role).name == "NotLiquidatable"
            return
        settled = world.liquidate(role).events("Liquidated") == []
        equity, _, maintenance = world.margin(role)
        assert equity >= maintenance
        assert settled or world.size(role) == 0
        assert world.total_cash(*roles) == world.custody()
        assert world.house.call("locked") is False


def can_commit(world: VenueWorld, role: str, order: float) -> bool:
    with world.evm.rolled_back():
        try:
            world.commit(role, order)
        except Revert:
            return False
    return True
