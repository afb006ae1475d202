"""Laws of the perpetual's formulas, on the library's bytecode. Those of its books are in `test_venue_suite`."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from venue_world import BUY_AT_ANY_PRICE, SELL_AT_ANY_PRICE, VenueWorld, refusal

from keeper.chain.contract import Contract
from keeper.chain.evm import Evm
from keeper.units import WAD, to_wad

K = to_wad(350_000)
DAY = 86_400
sizes = st.integers(-(10**22), 10**22).filter(bool)
skews = st.integers(-2 * 10**22, 2 * 10**22)
prices = st.integers(10**16, 10**23)
rates = st.integers(-WAD, WAD)
velocities = st.integers(-36 * WAD, 36 * WAD)


@pytest.fixture(scope="module")
def maths() -> Contract:
    return Evm().deploy("PerpMathHarness")


def impact(maths: Contract, size: int, skew: int, price: int) -> int:
    """Cost of an order above the index, at 1e36."""
    return size * (int(maths.call("fillPrice", size, skew, K, price)) - price)


# -- fills -------------------------------------------------------------------------------------------------------------


@given(size=sizes, skew=skews, price=prices)
def test_fill_is_the_exact_price_rounded_against_the_trader(maths: Contract, size: int, skew: int, price: int) -> None:
    fill = maths.call("fillPrice", size, skew, K, price)
    exact = price * (1 + (skew + Fraction(size, 2)) / K)
    assert 0 <= (fill - exact if size > 0 else exact - fill) < 1


@given(first=sizes, second=sizes, skew=skews, price=prices)
def test_splitting_an_order_costs_the_same(maths: Contract, first: int, second: int, skew: int, price: int) -> None:
    assume(first + second != 0)
    whole = impact(maths, first + second, skew, price)
    parts = impact(maths, first, skew, price) + impact(maths, second, skew + first, price)
    rounding = abs(first) + abs(second)  # one wei of price on every coin traded
    assert abs(parts - whole) <= rounding + abs(first + second)


@given(size=sizes, skew=skews, price=prices)
def test_round_trip_at_one_price_costs_no_impact_and_earns_none(
    maths: Contract, size: int, skew: int, price: int
) -> None:
    cost = impact(maths, size, skew, price) + impact(maths, -size, skew + size, price)
    assert 0 <= cost <= 2 * abs(size)


@given(size=sizes, more=st.integers(1, 10**22), skew=skews, price=prices)
def test_fill_rises_with_the_size(maths: Contract, size: int, more: int, skew: int, price: int) -> None:
    smaller, larger = (maths.call("fillPrice", order, skew, K, price) for order in (size, size + more or 1))
    assert smaller <= larger


@given(size=sizes, skew=skews, fill=prices, maker=st.integers(0, 10**16), extra=st.integers(0, 10**16))
def test_fee_lies_between_maker_and_taker_and_has_no_jump(
    maths: Contract, size: int, skew: int, fill: int, maker: int, extra: int
) -> None:
    taker = maker + extra
    fee = maths.call("orderFee", size, skew, fill, maker, taker)
    exact = abs(size) * fill
    assert Fraction(exact * maker, 10**36) <= fee < Fraction(exact * taker, 10**36) + 1
    one_more = maths.call("orderFee", size + (1 if size > 0 else -1), skew, fill, maker, taker)
    assert 0 <= one_more - fee <= fill * taker // 10**36 + 1


# -- funding -----------------------------------------------------------------------------------------------------------


@given(
    start=rates,
    velocity=velocities,
    cap=st.integers(1, WAD),
    cuts=st.lists(st.integers(0, 3 * DAY), min_size=1, max_size=6),
)
def test_funding_in_one_step_equals_many_steps_also_across_the_cap(
    maths: Contract, start: int, velocity: int, cap: int, cuts: list[int]
) -> None:
    rate = max(-cap, min(cap, start))
    end, whole = maths.call("accrueRate", rate, velocity, sum(cuts), cap)
    parts = 0
    for seconds in cuts:
        rate, part = maths.call("accrueRate", rate, velocity, seconds, cap)
        parts += part
    days = sum(cuts) // DAY + 1
    assert abs(rate - end) <= len(cuts)
    assert abs(parts - whole) <= 2 * len(cuts) * days + len(cuts)


@given(start=rates, velocity=velocities, cap=st.integers(1, WAD), seconds=st.integers(0, 30 * DAY))
def test_funding_integral_is_the_area_under_the_capped_rate(
    maths: Contract, start: int, velocity: int, cap: int, seconds: int
) -> None:
    rate = max(-cap, min(cap, start))
    end, integral = maths.call("accrueRate", rate, velocity, seconds, cap)
    days = Fraction(seconds, DAY)
    bound = cap if velocity > 0 else -cap
    ramp = min(days, Fraction(bound - rate, velocity)) if velocity else days
    exact_end = rate + velocity * ramp
    area = (rate + exact_end) / 2 * ramp + exact_end * (days - ramp)
    assert abs(end - exact_end) <= 1
    assert abs(end) <= cap
    assert abs(integral - area) <= days + 2


@given(velocity=st.integers(1, 36 * WAD), cap=st.integers(10**15, WAD), seconds=st.integers(0, 300 * DAY))
def test_rate_does_not_wind_up_behind_its_cap(maths: Contract, velocity: int, cap: int, seconds: int) -> None:
    """However long it was pushed against the cap, it leaves it at once when the skew turns."""
    rate, _ = maths.call("accrueRate", 0, velocity, seconds, cap)
    back, _ = maths.call("accrueRate", rate, -velocity, DAY, cap)
    assert back == max(-cap, rate - velocity)


@given(skew=skews, band=st.integers(0, WAD - 1))
def test_skew_inside_the_dead_band_does_not_move_the_rate(maths: Contract, skew: int, band: int) -> None:
    velocity = maths.call("fundingVelocity", skew, K, 9 * WAD, band)
    if abs(skew) * WAD < (band - 1) * K:
        assert velocity == 0
    if abs(skew) * WAD > (band + 1) * K:
        assert velocity * skew >= 0
        assert abs(velocity * K - 9 * skew * WAD) <= 10 * K


# -- margin ------------------------------------------------------------------------------------------------------------


@given(size=sizes, more=st.integers(0, 10**22), low=st.integers(1, WAD // 2), most=st.integers(WAD // 2, WAD))
def test_margin_ratio_rises_with_size_between_its_bounds(
    maths: Contract, size: int, more: int, low: int, most: int
) -> None:
    grown = size + (more if size > 0 else -more)
    ratio, larger = (maths.call("initialMarginRatio", q, K, WAD, low, most) for q in (size, grown))
    assert low <= ratio <= larger <= most


# -- the way out (I-11) ------------------------------------------------------------------------------------------------


OBSTACLES: dict[str, dict[str, int]] = {
    "paused": {},
    "drained pool": {},
    "caps far exceeded": {"maxOpenInterest": WAD, "maxOpenInterestValue": WAD, "maxOrderSize": WAD},
    "below initial margin": {"minInitialMarginRatio": to_wad(0.9), "maintenanceScalar": to_wad(0.01)},
}


def obstruct(world: VenueWorld, obstacles: set[str]) -> None:
    """Put everything in the way that may stand in the way of an increase."""
    changes = {name: value for each in obstacles for name, value in OBSTACLES[each].items()}
    if changes:
        world.set_parameters(**changes)
    if "paused" in obstacles:
        world.perp.send("setReduceOnly", True, sender=world.admin)
    if "drained pool" in obstacles:
        world.hand_over(world.pool.address, "elsewhere", world.cash(world.pool.address) - to_wad(1_000))
        assert world.pool.call("backs", WAD, world.price()) is False


@given(
    obstacles=st.sets(st.sampled_from(sorted(OBSTACLES)), min_size=1),
    position=st.sampled_from([120, 7, -7, -120]),
    against=st.sampled_from([0, 60, -200]),
    thousandths=st.integers(1, 1_000),
    change=st.floats(-0.03, 0.03),
    bad_debt=st.booleans(),
)
def test_position_can_be_reduced_whatever_stands_in_the_way_of_increases(
    obstacles: set[str], position: int, against: int, thousandths: int, change: float, bad_debt: bool
) -> None:
    world = VenueWorld()
    for role in ("trader", "rival"):
        world.deposit(role, 250_000)
    world.trade("trader", position)
    if against:
        world.trade("rival", against)
    obstruct(world, obstacles)
    if bad_debt:
        world.hand_over(world.house.address, "elsewhere", to_wad(5))
    world.move(world.price() / WAD * (1 + change), 10)
    equity, _, maintenance = world.margin("trader")
    assume(equity >= maintenance)
    size = to_wad(position) * thousandths // 1_000
    limit = SELL_AT_ANY_PRICE if position > 0 else BUY_AT_ANY_PRICE
    world.perp.send("commit", -size, limit, sender=world.account("trader"))
    assert world.settle("trader", world.move(world.price() / WAD * (1 - change), 2)).result is True
    assert world.size("trader") == to_wad(position) - size
    world.deposit("newcomer", 1_000_000)
    if obstacles != {"below initial margin"}:
        refused = refusal(world.commit, "newcomer", 300)
        assert refused.name in {"ReduceOnly", "OrderTooLarge", "PoolTooSmall"}
