"""The float twin of the perpetual: golden vectors, and agreement with the bytecode."""

from __future__ import annotations

from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.chain.contract import Contract
from keeper.chain.evm import Evm
from keeper.protocol import margin, perp
from keeper.units import from_wad, to_gwei, to_wad

RELATIVE = 1e-9

sizes = st.floats(-10_000, 10_000).map(lambda size: round(size, 6))
skews = st.floats(-50_000, 50_000).map(lambda skew: round(skew, 6))
scales = st.floats(60_000, 1e6)
prices = st.floats(0.01, 1e5)
fees = st.floats(0, 0.01)


@pytest.fixture(scope="module")
def maths() -> Contract:
    return Evm().deploy("PerpMathHarness")


def same(onchain: int, value: float, scale: float = 0.0) -> bool:
    """Equal within 1e-9 of the value or of the scale of what was added up, and a few wei."""
    return isclose(from_wad(onchain), value, rel_tol=RELATIVE, abs_tol=max(RELATIVE * scale, 1e-15))


def test_fill_and_fee_on_golden_orders() -> None:
    assert perp.fill_price(100, 10_000, 350_000, 2_000) == pytest.approx(2057.4285714285716, rel=1e-14)
    assert perp.fill_price(-100, 10_000, 350_000, 2_000) == pytest.approx(2056.8571428571427, rel=1e-14)
    fill = perp.fill_price(100, -40, 350_000, 2_000)
    assert fill == pytest.approx(2000.0571428571427, rel=1e-14)
    assert perp.order_fee(100, -40, fill, 0.0002, 0.0005) == pytest.approx(16.000457142857142 + 60.00171428571429)


def test_funding_on_the_golden_row() -> None:
    velocity = perp.funding_velocity(35_000, 350_000, 9, 0.00001)
    rate, integral = perp.accrue_rate(0.0, velocity, 3_600, 1.0)
    assert rate == pytest.approx(0.0375)
    assert perp.accrue_funding(0.0, integral, 2_000) == pytest.approx(-1.5625)


def test_published_velocity_example_is_reproduced() -> None:
    """A rate that starts at zero and moves 0.0025 a day per day stands at 0.00083912 after 29,000 seconds."""
    assert perp.accrue_rate(0.0, 0.0025, 29_000, 1.0)[0] == pytest.approx(0.00083912, abs=5e-9)


def test_margin_on_golden_rows() -> None:
    ratio = margin.initial_margin_ratio(500, 350_000, 0.744, 0.02, 1.0)
    assert margin.margins(500, 2_000, ratio, 0.333, 15, 0.0) == pytest.approx((21077.857142857142, 7028.931428571428))
    ratio = margin.initial_margin_ratio(1_000, 1_000_000, 1.0, 0.05, 0.9)
    assert margin.margins(-1_000, 1_800, ratio, 0.5, 500, 0.0) == pytest.approx((92_300, 46_400))
    assert margin.margins(0.0, 1_800, ratio, 0.5, 500, 0.0) == (0.0, 0.0)


def test_liquidation_cost_is_both_fees_and_gas_at_the_cap() -> None:
    cost = margin.liquidation_cost(-10, 2_000, 0.0003, 0.0005, 500_000, 50e9)
    assert cost == pytest.approx(10 * 2_000 * 0.0008 + 0.025 * 2_000)


@given(size=sizes, skew=skews, scale=scales, price=prices)
def test_fill_price_agrees_with_the_contract(
    maths: Contract, size: float, skew: float, scale: float, price: float
) -> None:
    onchain = maths.call("fillPrice", to_wad(size), to_wad(skew), to_wad(scale), to_wad(price))
    assert same(onchain, perp.fill_price(size, skew, scale, price), price)


@given(size=sizes, skew=skews, fill=prices, maker=fees, taker=fees)
def test_order_fee_agrees_with_the_contract(
    maths: Contract, size: float, skew: float, fill: float, maker: float, taker: float
) -> None:
    onchain = maths.call("orderFee", to_wad(size), to_wad(skew), to_wad(fill), to_wad(maker), to_wad(taker))
    assert same(onchain, perp.order_fee(size, skew, fill, maker, taker), abs(size) * fill * max(maker, taker))


@given(
    skew=skews,
    scale=scales,
    most=st.floats(0.01, 36),
    start=st.floats(-1, 1),
    cap=st.floats(0.001, 1),
    elapsed=st.integers(0, 10**7),
    price=prices,
)
def test_funding_agrees_with_the_contract(
    maths: Contract, skew: float, scale: float, most: float, start: float, cap: float, elapsed: int, price: float
) -> None:
    rate = start * cap
    velocity = maths.call("fundingVelocity", to_wad(skew), to_wad(scale), to_wad(most), to_wad(0.001))
    expected = perp.funding_velocity(skew, scale, most, 0.001)
    if abs(abs(skew / scale) - 0.001) > 1e-12:
        assert same(velocity, expected, most)
    onchain = maths.call("accrueRate", to_wad(rate), velocity, elapsed, to_wad(cap))
    end, integral = perp.accrue_rate(from_wad(to_wad(rate)), from_wad(velocity), elapsed, cap)
    days = elapsed / perp.DAY
    assert same(onchain[0], end, cap)
    assert same(onchain[1], integral, days * (cap + abs(from_wad(velocity)) * days))
    funded = maths.call("accrueFunding", to_wad(1), onchain[1], to_wad(price))
    assert same(funded, perp.accrue_funding(1.0, from_wad(onchain[1]), price), price * days)


@given(size=sizes, start=prices, end=prices)
def test_profit_agrees_with_the_contract(maths: Contract, size: float, start: float, end: float) -> None:
    onchain = maths.call("profit", to_wad(size), to_wad(start), to_wad(end))
    assert same(onchain, perp.profit(size, start, end), abs(size) * max(start, end))


@given(size=sizes, scale=scales, scalar=st.floats(0, 5), low=st.floats(0.001, 0.5), most=st.floats(0.5, 1))
def test_margin_ratio_agrees_with_the_contract(
    maths: Contract, size: float, scale: float, scalar: float, low: float, most: float
) -> None:
    arguments = (size, scale, scalar, low, most)
    onchain = maths.call("initialMarginRatio", *(to_wad(argument) for argument in arguments))
    assert same(onchain, margin.initial_margin_ratio(*arguments))


@given(gas=st.integers(0, 10**7), gwei=st.floats(0, 1_000), price=prices)
def test_gas_reward_agrees_with_the_contract(maths: Contract, gas: int, gwei: float, price: float) -> None:
    onchain = maths.call("gasReward", gas, to_gwei(gwei), to_wad(price))
    assert same(onchain, margin.gas_reward(gas, to_gwei(gwei), price))
