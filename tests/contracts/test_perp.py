"""PerpMarket: golden vectors, delayed orders, margin of orders in flight, parameters."""

from __future__ import annotations

import math
from typing import Any

import pytest
from venue_world import BUY_AT_ANY_PRICE, NO_ADDRESS, PARAMETERS, VenueWorld, parameters, refusal

from keeper.chain.contract import Contract
from keeper.chain.evm import Evm
from keeper.protocol import margin, perp
from keeper.units import WAD, to_gwei, to_wad

K = to_wad(350_000)
P = to_wad(2_000)
MAKER, TAKER = to_wad(0.0002), to_wad(0.0005)


@pytest.fixture(scope="module")
def maths() -> Contract:
    return Evm().deploy("PerpMathHarness")


@pytest.fixture
def world() -> VenueWorld:
    world = VenueWorld()
    world.deposit("trader", 100_000)
    return world


# -- golden vectors: exact integers of our rounding, with the double-precision value beside them -----------------------


@pytest.mark.parametrize(
    ("size", "skew", "expected"),
    [
        (100, 10_000, 2057_428571428571428572),  # 2057.4285714285716, up for a buy
        (-100, 10_000, 2056_857142857142857142),  # 2056.8571428571427, down for a sell
        (100, 0, 2000_285714285714285715),  # 2000.2857142857142
        (-100, 100, 2000_285714285714285714),  # the way back: 1 wei of rounding, no impact
    ],
)
def test_fill_price_on_golden_orders_is_rounded_against_the_trader(
    maths: Contract, size: int, skew: int, expected: int
) -> None:
    fill = maths.call("fillPrice", to_wad(size), to_wad(skew), K, P)
    assert fill == expected
    assert math.isclose(fill / WAD, 2000 * (1 + (skew + size / 2) / 350_000), rel_tol=1e-15)


def test_fee_of_an_order_that_flips_the_skew_pays_maker_then_taker(maths: Contract) -> None:
    fill = maths.call("fillPrice", to_wad(100), to_wad(-40), K, P)
    assert fill == 2000_057142857142857143  # 2000.0571428571427
    fee = maths.call("orderFee", to_wad(100), to_wad(-40), fill, MAKER, TAKER)
    assert fee == 76_002171428571428572  # maker 16.000457142857142 + taker 60.00171428571429
    assert math.isclose(fee / WAD, 40 * 0.0002 * 2000.0571428571427 + 60 * 0.0005 * 2000.0571428571427, rel_tol=1e-15)


def test_fee_from_a_flat_market_is_all_taker_and_of_landing_flat_all_maker(maths: Contract) -> None:
    assert maths.call("orderFee", to_wad(40), 0, P, MAKER, TAKER) == to_wad(40 * 2000 * 0.0005)
    assert maths.call("orderFee", to_wad(40), to_wad(-40), P, MAKER, TAKER) == to_wad(40 * 2000 * 0.0002)


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("beyond", [-1, 0, 1])
def test_fee_one_wei_around_landing_flat_is_continuous(maths: Contract, side: int, beyond: int) -> None:
    skew, size = to_wad(-40) * side, (to_wad(40) + beyond) * side
    fee = maths.call("orderFee", size, skew, P, MAKER, TAKER)
    assert abs(fee - to_wad(40 * 2000 * 0.0002)) <= 1


def test_funding_after_an_hour_at_a_tenth_of_the_scale_matches_the_golden_row(maths: Contract) -> None:
    velocity = maths.call("fundingVelocity", to_wad(35_000), K, to_wad(9), to_wad(0.00001))
    assert velocity == to_wad(0.9)
    rate, integral = maths.call("accrueRate", 0, velocity, 3_600, to_wad(1))
    assert rate == to_wad(0.0375)  # per day
    assert integral == 781_250000000000  # 0.00078125 days x rate per day
    assert maths.call("accrueFunding", 0, integral, P) == -to_wad(1.5625)


def test_margin_on_golden_positions(maths: Contract) -> None:
    ratio = maths.call("initialMarginRatio", to_wad(500), K, to_wad(0.744), to_wad(0.02), to_wad(1))
    assert ratio == 21062857142857143  # 0.021062857142857142
    initial = maths.call("notional", to_wad(500), P) * ratio // WAD + to_wad(15)
    assert initial == 21077_857142857143000000  # 21077.857142857142
    assert maths.call("initialMarginRatio", to_wad(1000), to_wad(1_000_000), WAD, to_wad(0.05), WAD) == to_wad(0.051)
    assert maths.call("initialMarginRatio", to_wad(1000), to_wad(1_000), WAD, to_wad(0.05), to_wad(0.9)) == to_wad(0.9)


def test_gas_reward_is_gas_times_base_fee_times_price(maths: Contract) -> None:
    assert maths.call("gasReward", 350_000, to_gwei(10), P) == to_wad(7)  # 0.0035 ETH at 2000


# -- delayed orders ----------------------------------------------------------------------------------------------------


def test_commit_then_settle_fills_at_the_benchmark_with_skew(world: VenueWorld) -> None:
    receipt = world.trade("trader", 100, price=2_010)
    (settled,) = receipt.events("OrderSettled")
    assert receipt.result is True
    assert settled["index"] == to_wad(2_010)
    assert settled["fill"] == world.feed.call("peek")[0] * (2 * K + to_wad(100)) // (2 * K) + 1
    assert world.size("trader") == to_wad(100)
    assert world.perp.call("skew") == to_wad(100)
    assert world.perp.call("lastFillTime", world.account("trader")) == world.evm.timestamp


def test_settle_pays_the_keeper_and_splits_the_fee(world: VenueWorld) -> None:
    pool, fund, trader = (world.cash(x) for x in (world.pool.address, world.fund.address, "trader"))
    (settled,) = world.trade("trader", 100).events("OrderSettled")
    insured = settled["fee"] * 2 // 10
    assert world.cash("keeper") == settled["reward"] == to_wad(350_000 * 1e-9 * 2_000)  # base fee 1 gwei
    assert world.cash(world.fund.address) - fund == insured
    assert world.cash(world.pool.address) - pool == settled["fee"] - insured
    assert trader - world.cash("trader") == settled["fee"] + settled["reward"]


def test_settle_before_the_delay_is_too_early(world: VenueWorld) -> None:
    world.commit("trader", 1)
    hint = world.move(2_000, seconds=1)
    revert = refusal(world.settle, "trader", hint)
    assert (revert.name, revert.args) == ("TooEarly", (world.evm.timestamp, world.evm.timestamp + 1))


def test_settle_with_any_other_round_is_refused_and_with_the_right_one_works(world: VenueWorld) -> None:
    world.commit("trader", 1)
    before = world.move(1_990, seconds=1)
    benchmark = world.move(2_050, seconds=1)
    later = world.move(1_950, seconds=5)
    assert refusal(world.settle, "trader", before).name == "NotFirstRoundAfter"
    assert refusal(world.settle, "trader", later).name == "NotFirstRoundAfter"
    assert refusal(world.settle, "trader", later + 1).name == "UnknownRound"
    (settled,) = world.settle("trader", benchmark).events("OrderSettled")
    assert settled["index"] == to_wad(2_050)


def test_order_with_a_benchmark_never_expires(world: VenueWorld) -> None:
    world.commit("trader", 1)
    benchmark = world.move(2_050, seconds=62)  # the last second of the window
    world.move(1_500, seconds=100_000)
    assert refusal(world.perp.send, "cancel", world.account("trader")).name == "BenchmarkExists"
    (settled,) = world.settle("trader", benchmark).events("OrderSettled")
    assert settled["index"] == to_wad(2_050)


def test_price_that_comes_after_the_window_cancels_without_reward(world: VenueWorld) -> None:
    world.commit("trader", 1)
    cash = world.cash("trader")
    late = world.move(2_050, seconds=63)
    receipt = world.settle("trader", late)
    assert receipt.result is False
    assert [event["reason"].rstrip(b"\0") for event in receipt.events("OrderCancelled")] == [b"expired"]
    assert (world.cash("trader"), world.cash("keeper"), world.size("trader")) == (cash, 0, 0)


def test_cancel_waits_for_the_window_and_needs_that_no_price_came(world: VenueWorld) -> None:
    world.commit("trader", 1)
    world.evm.advance(62)
    revert = refusal(world.perp.send, "cancel", world.account("trader"))
    assert (revert.name, revert.args) == ("CannotCancelYet", (world.evm.timestamp, world.evm.timestamp))
    world.evm.advance(1)
    world.perp.send("cancel", world.account("trader"), sender=world.account("keeper"))
    assert world.perp.call("pendingSize", world.account("trader")) == 0
    assert refusal(world.perp.send, "cancel", world.account("trader")).name == "NoOrder"


@pytest.mark.parametrize(("size", "limit"), [(100, 2_000.2), (-100, 1_999.8)])
def test_fill_beyond_the_acceptable_price_cancels_and_pays_the_keeper(
    world: VenueWorld, size: float, limit: float
) -> None:
    world.commit("trader", size, limit)
    receipt = world.settle("trader", world.move(2_000, seconds=2))
    (cancelled,) = receipt.events("OrderCancelled")
    assert cancelled["reason"].rstrip(b"\0") == b"price"
    assert world.size("trader") == 0
    assert world.cash("keeper") == world.perp.call("settlementReward", P) > 0


@pytest.mark.parametrize(("size", "limit"), [(100, 2_000.3), (-100, 1_999.7)])
def test_fill_within_the_acceptable_price_settles(world: VenueWorld, size: float, limit: float) -> None:
    world.commit("trader", size, limit)
    assert world.settle("trader", world.move(2_000, seconds=2)).result is True


def test_second_commit_while_one_is_in_flight_is_refused(world: VenueWorld) -> None:
    world.commit("trader", 1)
    revert = refusal(world.commit, "trader", 1)
    assert (revert.name, revert.args) == ("OrderPending", (world.account("trader"), 1))


def test_settle_without_an_order_is_refused(world: VenueWorld) -> None:
    assert refusal(world.settle, "trader", 1).name == "NoOrder"


def test_commit_beyond_the_caps_is_refused(world: VenueWorld) -> None:
    world.deposit("trader", 5_000_000)
    assert refusal(world.commit, "trader", 0).name == "ZeroSize"
    assert refusal(world.commit, "trader", 10_001).name == "OrderTooLarge"
    world.trade("trader", 10_000)
    world.trade("trader", 9_000)
    revert = refusal(world.commit, "trader", 1_001)
    assert (revert.name, revert.args) == ("OpenInterestExceeded", (to_wad(20_001), to_wad(20_000)))
    world.commit("trader", -5_000)  # the way out stays open


def test_short_side_has_the_same_cap(world: VenueWorld) -> None:
    world.set_parameters(maxOpenInterest=to_wad(100), maxOrderSize=to_wad(200))
    revert = refusal(world.commit, "trader", -101)
    assert (revert.name, revert.args) == ("OpenInterestExceeded", (to_wad(101), to_wad(100)))
    world.trade("trader", 80)
    assert refusal(world.commit, "trader", -181).name == "OpenInterestExceeded"
    world.commit("trader", -180)


def test_commit_needs_a_fresh_price(world: VenueWorld) -> None:
    world.evm.advance(3_601)
    assert refusal(world.commit, "trader", 1).name == "PriceTooOld"


def test_commit_without_initial_margin_is_refused(world: VenueWorld) -> None:
    world.deposit("pauper", 1_000)
    revert = refusal(world.commit, "pauper", 10)  # 4% of 20,000 and 200 and costs
    assert revert.name == "InsufficientMargin"
    account, equity, initial = revert.args
    assert (account, equity) == (world.account("pauper"), to_wad(1_000))
    assert to_wad(1_000) < initial < to_wad(1_150)
    world.commit("pauper", 8)


def test_order_in_flight_counts_in_margin_and_blocks_the_withdrawal_of_its_margin(world: VenueWorld) -> None:
    assert world.margin("trader")[1] == 0
    world.commit("trader", 500)
    _, initial, maintenance = world.margin("trader")
    assert initial > to_wad(40_000)
    assert maintenance == 0
    assert refusal(world.withdraw, "trader", 60_000).name == "InsufficientMargin"
    world.withdraw("trader", 50_000)


def test_initial_margin_of_an_order_in_flight_is_that_of_the_larger_position_plus_its_cost(world: VenueWorld) -> None:
    world.trade("trader", 500)
    held = world.margin("trader")[1]
    skew, reward = 500, 350_000 * 50e-9 * 2_000
    for size, larger in ((300, 800), (-300, 500), (-1_100, 600)):
        with world.evm.rolled_back():
            world.commit("trader", size)
            fill = perp.fill_price(size, skew, 350_000, 2_000)
            fee = perp.order_fee(size, skew, fill, 0.0002, 0.0005)
            cost = fee + max(size * (fill - 2_000), 0) + reward
            ratio = margin.initial_margin_ratio(larger, 350_000, 1, 0.04, 0.9)
            closing = margin.liquidation_cost(larger, 2_000, 0.0003, 0.0005, 500_000, 50e9)
            required, _ = margin.margins(larger, 2_000, ratio, 0.5, 200, closing)
            initial = world.margin("trader")[1]
            assert initial / WAD == pytest.approx(required + cost, rel=1e-12)
            assert initial > held


def test_reduction_needs_only_its_cost_even_below_initial_margin(world: VenueWorld) -> None:
    world.trade("trader", 1_000)
    world.move(1_960)
    equity, initial, maintenance = world.margin("trader")
    assert maintenance < equity < initial
    assert refusal(world.commit, "trader", 1).name == "InsufficientMargin"
    assert world.trade("trader", -100).result is True


def test_liquidatable_account_cannot_commit(world: VenueWorld) -> None:
    world.trade("trader", 1_000)
    world.move(1_930)
    equity, _, maintenance = world.margin("trader")
    assert equity < maintenance
    assert refusal(world.commit, "trader", -100).name == "AccountLiquidatable"


def test_order_in_flight_cannot_be_cancelled_by_withdrawing_after_the_benchmark(world: VenueWorld) -> None:
    """A buyer who sees the price fall after its benchmark takes out nothing before the order has filled."""
    world.commit("trader", 1_000)
    benchmark = world.move(2_000, seconds=2)
    world.move(1_900, seconds=10)
    assert refusal(world.withdraw, "trader", 1).name == "OrderDecided"
    assert world.settle("trader", benchmark).result is True


def test_settlement_that_would_leave_less_than_maintenance_margin_cancels() -> None:
    world = VenueWorld()
    world.deposit("trader", 10_000)
    world.commit("trader", 100)
    benchmark = world.move(6_000, seconds=2)  # initial margin was met at 2,000
    (cancelled,) = world.settle("trader", benchmark).events("OrderCancelled")
    assert cancelled["reason"].rstrip(b"\0") == b"margin"


def test_open_interest_filled_by_another_order_first_cancels_the_later_one() -> None:
    world = VenueWorld(settings={"maxOpenInterest": to_wad(100), "maxOrderSize": to_wad(100)})
    for role in ("trader", "rival"):
        world.deposit(role, 100_000)
        world.commit(role, 60)
    benchmark = world.move(2_000, seconds=2)
    assert world.settle("rival", benchmark).result is True
    (cancelled,) = world.settle("trader", benchmark).events("OrderCancelled")
    assert cancelled["reason"].rstrip(b"\0") == b"open interest"


# -- funding, profit and reward ----------------------------------------------------------------------------------------


def test_change_of_position_realises_profit_and_funding_against_the_pool(world: VenueWorld) -> None:
    (opened,) = world.trade("trader", 100).events("OrderSettled")
    world.move(2_100, seconds=86_400)
    rate, per_coin = world.perp.call("funding", to_wad(2_100))
    assert rate > 0 > per_coin  # longs pay
    pool = world.cash(world.pool.address)
    (closed,) = world.trade("trader", -100, price=2_100).events("OrderSettled")
    assert closed["pnl"] == 100 * (closed["fill"] - opened["fill"])
    assert closed["funding"] < 100 * per_coin < 0
    insured = closed["fee"] * 2 // 10
    assert world.cash(world.pool.address) - pool == -closed["pnl"] - closed["funding"] + closed["fee"] - insured
    assert world.perp.call("position", world.account("trader")) == (0, 0, 0)


def test_funding_accrues_under_the_old_parameters_before_new_ones_apply(world: VenueWorld) -> None:
    world.deposit("trader", 1_000_000)
    world.trade("trader", 5_000)
    world.perp.send("proposeParameters", parameters(maxFundingVelocity=0), sender=world.admin)
    world.evm.advance(86_400)
    before = world.perp.call("funding", P)
    world.perp.send("applyParameters", parameters(maxFundingVelocity=0), sender=world.admin)
    assert world.perp.call("funding", P) == before
    world.evm.advance(43_200)
    rate, per_coin = world.perp.call("funding", P)
    assert rate == before[0]
    assert abs(per_coin - (before[1] - before[0] * 2_000 // 2)) <= 2_000


def test_reward_follows_the_base_fee_up_to_its_cap(world: VenueWorld) -> None:
    world.evm.base_fee = to_gwei(20)
    assert world.perp.call("settlementReward", P) == to_wad(14)
    world.evm.base_fee = to_gwei(500)
    assert world.perp.call("settlementReward", P) == to_wad(35)  # 50 gwei


# -- parameters --------------------------------------------------------------------------------------------------------


def test_parameters_are_the_owners_to_set(world: VenueWorld) -> None:
    for function in ("proposeParameters", "applyParameters"):
        revert = refusal(world.perp.send, function, parameters(), sender=world.account("trader"))
        assert revert.name == "OwnableUnauthorizedAccount"
    world.set_parameters(takerFee=to_wad(0.001))
    assert world.perp.call("parameters")[2] == to_wad(0.001)
    assert PARAMETERS["takerFee"] == to_wad(0.0005)


@pytest.mark.parametrize(
    ("function", "arguments", "error"),
    [
        ("closePosition", (-WAD, P), "NotEngine"),
        ("dropOrder", (), "NotEngine"),
        ("transferPosition", (NO_ADDRESS, WAD, P), "NotEngine"),
        ("deleverage", (-WAD, P), "NotWaterfall"),
    ],
)
def test_functions_of_engine_and_waterfall_refuse_everybody_else(
    world: VenueWorld, function: str, arguments: tuple[Any, ...], error: str
) -> None:
    call = world.perp.encode(function, world.account("trader"), *arguments)
    for caller in (world.account("trader"), world.admin):
        revert = refusal(world.perp.send, function, world.account("trader"), *arguments, sender=caller)
        assert (revert.name, revert.args) == (error, (caller,))
    revert = refusal(world.module.send, "run", world.perp.address, call)  # a module, but not that one
    assert (revert.name, revert.args) == (error, (world.module.address,))


def test_commit_accepts_a_limit_at_the_edge_of_the_type(world: VenueWorld) -> None:
    world.perp.send("commit", WAD, BUY_AT_ANY_PRICE, sender=world.account("trader"))
    assert world.perp.call("order", world.account("trader"))[0] == WAD
