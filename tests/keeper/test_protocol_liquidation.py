"""The float twin of the liquidation engines: golden vectors, and agreement with the bytecode."""

from __future__ import annotations

from math import isclose

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from keeper.chain.contract import Contract
from keeper.chain.deploy_config import price_limits, price_sources
from keeper.chain.evm import Evm
from keeper.protocol import liquidation
from keeper.units import from_wad, to_wad

RELATIVE = 1e-9

amounts = st.floats(0, 1e8).map(lambda amount: round(amount, 6))
signed = st.floats(-1e8, 1e8).map(lambda amount: round(amount, 6))
sizes = st.floats(1e-6, 1e5)
prices = st.floats(1, 1e5)
seconds = st.integers(0, 20_000)
fractions = st.floats(0.01, 0.99)


@pytest.fixture(scope="module")
def engine() -> Contract:
    """An engine that nothing is wired to: only what it reckons is asked."""
    evm = Evm()
    feed = evm.deploy("PriceFeed", evm.account("admin"), price_sources(), price_limits(3_600))
    house = evm.deploy("Clearinghouse", evm.account("token"), feed.address, evm.account("admin"))
    return evm.deploy("RateLimitedLiquidation", house.address, [], 30, to_wad(50), to_wad(0.1))


@pytest.fixture(scope="module")
def maths() -> Contract:
    return Evm().deploy("LiquidationMathHarness")


def same(onchain: int, value: float, scale: float = 0.0) -> bool:
    """Equal within 1e-9 of the value or of the scale of what was added up, and a few wei."""
    return isclose(from_wad(onchain), value, rel_tol=RELATIVE, abs_tol=max(RELATIVE * scale, 1e-15))


def test_partial_size_on_the_golden_row() -> None:
    """A shortage of 1,000 at a price of 2,000 with 5% margin, 1% fee and 0.5% insurance fee: 14.2857 coins."""
    freed = 1_000.0 * 2_000.0 * (0.05 - 0.015)
    assert liquidation.partial_size(1_000.0, 1_000.0, freed) == pytest.approx(14.285714285714286)


def test_partial_size_is_nothing_when_healthy_and_everything_when_closing_frees_too_little() -> None:
    assert liquidation.partial_size(10, -1.0, 900) == 0.0
    assert liquidation.partial_size(10, 900, 900) == 10.0
    assert liquidation.partial_size(10, 900, -200) == 10.0


def test_partial_size_of_a_concave_account_comes_down_to_the_answer_and_never_passes_it() -> None:
    def freed(closed: float) -> float:
        return 50.0 * closed - 0.2 * closed**2

    sizes = [100.0]
    while len(sizes) < 4:
        sizes.append(liquidation.partial_size(sizes[-1], 1_000.0, freed(sizes[-1])))
    exact = (50.0 - (50.0**2 - 4 * 0.2 * 1_000.0) ** 0.5) / 0.4
    assert sizes == sorted(sizes, reverse=True)
    assert exact <= sizes[-1] < 1.01 * exact


def test_max_fraction_on_the_published_example() -> None:
    """Margin 200 below its target, options worth 1,000: 17.39% must go at 95%, and 22.22% at 70%."""
    assert liquidation.max_fraction(0.0, -200.0, 950.0) == pytest.approx(0.1739, abs=5e-5)
    assert liquidation.max_fraction(0.0, -200.0, 700.0) == pytest.approx(0.2222, abs=5e-5)
    assert liquidation.max_fraction(100.0, 100.0, 50.0) == 0.0
    assert liquidation.max_fraction(100.0, 50.0, 0.0) == 1.0


def test_auction_price_falls_in_two_lines_and_the_insolvent_one_in_one() -> None:
    settings = (900.0, 7_200.0, 0.98, 0.75)
    expected = {0.0: 0.98, 450.0: 0.865, 900.0: 0.75, 4_500.0: 0.375, 8_100.0: 0.0, 9_000.0: 0.0}
    for elapsed, part in expected.items():
        assert liquidation.discount(elapsed, *settings) == pytest.approx(part)
    assert liquidation.insolvent_price(-100.0, 400.0, 1_800.0, 3_600.0) == -300.0
    assert liquidation.insolvent_price(-100.0, 400.0, 9_999.0, 3_600.0) == -500.0


def test_deleveraging_takes_the_fewest_coins_that_cover_the_deficit() -> None:
    assert liquidation.coins(30.0, 10.0, 120.0) == 2.5
    assert liquidation.share(30.0, 2.5, 10.0, 120.0) == 30.0
    assert liquidation.coins(500.0, 10.0, 120.0) == 10.0
    assert liquidation.share(500.0, 10.0, 10.0, 120.0) == 120.0
    assert liquidation.safe_coins(10.0, 30.0, 10.0) == 7.5
    assert liquidation.score(200.0, 1_800.0, 2_000.0, 1_000.0) == pytest.approx(0.18)


def test_profit_paid_out_brings_the_pool_to_its_target_exactly() -> None:
    debt, cash, target = 900.0, 1_000.0, 0.77
    paid = liquidation.profit_above(debt, cash, target)
    assert (debt - paid) / (cash - paid) == pytest.approx(target)
    assert liquidation.profit_above(700.0, 1_000.0, target) == 0.0


@given(closed=sizes, shortage=signed, freed=signed)
def test_partial_size_agrees_with_the_contract(engine: Contract, closed: float, shortage: float, freed: float) -> None:
    onchain = engine.call("partialSize", to_wad(closed), to_wad(shortage), to_wad(freed))
    assert same(onchain, liquidation.partial_size(closed, shortage, freed), closed)


@given(elapsed=seconds, fast=st.integers(1, 5_000), slow=st.integers(1, 10_000), start=fractions, share=fractions)
def test_discount_agrees_with_the_contract(
    maths: Contract, elapsed: int, fast: int, slow: int, start: float, share: float
) -> None:
    end = start * share
    onchain = maths.call("discount", elapsed, fast, slow, to_wad(start), to_wad(end))
    assert same(onchain, liquidation.discount(elapsed, fast, slow, start, end), 1.0)


@given(equity=st.floats(-1e8, 0), maintenance=amounts, elapsed=seconds, time=st.integers(1, 10_000))
def test_insolvent_price_agrees_with_the_contract(
    maths: Contract, equity: float, maintenance: float, elapsed: int, time: int
) -> None:
    onchain = maths.call("insolventPrice", to_wad(equity), to_wad(maintenance), elapsed, time)
    assert same(onchain, liquidation.insolvent_price(equity, maintenance, elapsed, time), maintenance)


@given(target=amounts, margin=signed, gained=signed)
def test_max_fraction_agrees_with_the_contract(maths: Contract, target: float, margin: float, gained: float) -> None:
    scale = max(target, abs(margin), abs(gained))
    assume(abs(gained) > 1e-6 * scale and abs(target - margin) > 1e-6 * scale)
    onchain = maths.call("maxFraction", to_wad(target), to_wad(margin), to_wad(gained))
    assert same(onchain, liquidation.max_fraction(target, margin, gained), 1.0)


@given(profit=amounts, price=prices, entry=prices, equity=st.floats(1, 1e8))
def test_score_agrees_with_the_contract(
    maths: Contract, profit: float, price: float, entry: float, equity: float
) -> None:
    onchain = maths.call("score", *(to_wad(argument) for argument in (profit, price, entry, equity)))
    assert same(onchain, liquidation.score(profit, price, entry, equity), price / entry)


@given(left=amounts, size=sizes, profit=st.floats(1e-3, 1e8), part=st.floats(0, 1))
def test_deleveraged_coins_and_their_share_agree_with_the_contract(
    maths: Contract, left: float, size: float, profit: float, part: float
) -> None:
    onchain = maths.call("coins", to_wad(left), to_wad(size), to_wad(profit))
    assert same(onchain, liquidation.coins(left, size, profit), size)
    closed = part * size
    onchain = maths.call("share", to_wad(left), to_wad(closed), to_wad(size), to_wad(profit))
    assert same(onchain, liquidation.share(left, closed, size, profit), profit)


@given(wanted=sizes, spare=amounts, short=st.floats(1e-3, 1e8))
def test_safe_coins_agree_with_the_contract(maths: Contract, wanted: float, spare: float, short: float) -> None:
    onchain = maths.call("safeCoins", to_wad(wanted), to_wad(spare), to_wad(short))
    assert same(onchain, liquidation.safe_coins(wanted, spare, short), wanted)


@given(debt=amounts, cash=signed, target=fractions)
def test_profit_above_agrees_with_the_contract(maths: Contract, debt: float, cash: float, target: float) -> None:
    onchain = maths.call("profitAbove", to_wad(debt), to_wad(cash), to_wad(target))
    assert same(onchain, liquidation.profit_above(debt, cash, target), (debt + abs(cash)) / (1 - target))
