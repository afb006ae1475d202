"""The maths libraries in Solidity: against 50-digit arithmetic, the golden vectors, the Python kernels and the laws."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator

import mpmath
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from option_points import (
    DAY,
    HOUR,
    MINUTE,
    YEAR,
    Point,
    Quote,
    corner_points,
    exact_quote,
    natural_sizes,
    random_points,
)

from keeper.chain.abi import Revert
from keeper.chain.contract import Contract
from keeper.chain.evm import Evm
from keeper.pricing import black76, essvi
from keeper.units import WAD, from_wad, to_wad

quick = settings(max_examples=150, deadline=None, derandomize=True)


RELATIVE_ERROR = Quote(4.5e-16, 4.5e-16, 1e-15, 1e-15, 1e-14, 5e-15, 2e-14, 2e-14)
"""Largest errors over the whole domain, beside 3 wei of rounding, in the units of `natural_sizes`."""


@pytest.fixture(scope="module")
def maths() -> Contract:
    return Evm().deploy("MathHarness")


@pytest.fixture(scope="module")
def pricer() -> Contract:
    return Evm().deploy("PriceHarness")


def evaluate(maths: Contract, point: Point) -> Quote:
    return Quote(*maths.call("evaluate", *point))


def assert_accurate(maths: Contract, points: Iterator[Point]) -> None:
    for point in points:
        found, exact, sizes = evaluate(maths, point), exact_quote(point), natural_sizes(point)
        for name, got, want, size, bound in zip(Quote._fields, found, exact, sizes, RELATIVE_ERROR, strict=True):
            assert abs(got - want) <= bound * size + 3, f"{name} at {point}: {got} is not {int(want)}"
        for got, want in zip(found[:2], exact[:2], strict=True):
            assert abs(got - want) <= 1e-14 * point.forward + 3, f"{point}: {got} is not {int(want)}"


# --- accuracy --------------------------------------------------------------------------------------------------------


def test_evaluate_corners_of_the_domain_match_50_digits(maths: Contract) -> None:
    assert_accurate(maths, corner_points())


def test_price_alone_is_that_of_evaluate_to_the_last_digit_and_cheaper(maths: Contract, pricer: Contract) -> None:
    for point in itertools.chain(corner_points(), random_points(seed=2, count=500)):
        quote = evaluate(maths, point)
        assert tuple(pricer.call("price", *point)) == (quote.call, quote.put), point
    at_the_money = Point(2_000 * WAD, 2_000 * WAD, 30 * DAY, to_wad(0.8), 0)
    assert pricer.send("price", *at_the_money).gas_used < maths.send("evaluate", *at_the_money).gas_used - 300


def test_price_corners_of_the_domain_match_50_digits(pricer: Contract) -> None:
    for point in corner_points():
        found, exact, size = pricer.call("price", *point), exact_quote(point), natural_sizes(point).call
        assert abs(found[0] - exact.call) <= RELATIVE_ERROR.call * size + 3, point
        assert abs(found[1] - exact.put) <= RELATIVE_ERROR.put * size + 3, point


def test_evaluate_random_points_match_50_digits(maths: Contract) -> None:
    assert_accurate(maths, random_points(seed=1, count=2_000))


@pytest.mark.parametrize("seed", [1, 5])
def test_price_up_and_down_enclose_the_exact_value(seed: int) -> None:
    """Up is never below and down never above; the two are as far apart as the error bound says, and no farther."""
    rounded = Evm().deploy("RoundedPriceHarness")
    for point in itertools.chain(corner_points() if seed == 1 else (), random_points(seed, 500)):
        exact = exact_quote(point)
        up, down = rounded.call("priceUp", *point), rounded.call("priceDown", *point)
        slack = (point.forward + point.strike) // (22 * 10**14) + 4
        assert slack <= 1e-14 * point.forward + 4
        for high, low, want in zip(up, down, exact[:2], strict=True):
            assert low <= want <= high, point
            assert high - low <= 2 * slack


def test_greeks_on_the_stack_are_those_of_evaluate(maths: Contract) -> None:
    stack = Evm().deploy("GreeksHarness")
    for point in itertools.chain(corner_points(), random_points(seed=6, count=200)):
        assert tuple(stack.call("greeks", *point)) == tuple(evaluate(maths, point))


@pytest.mark.fuzz
def test_evaluate_very_many_random_points_match_50_digits(maths: Contract) -> None:
    assert_accurate(maths, random_points(seed=2, count=50_000))


def test_evaluate_golden_call_matches(maths: Contract) -> None:
    quote = evaluate(maths, Point(2_000 * WAD, 2_100 * WAD, 30 * DAY, to_wad(0.8), 0))
    assert from_wad(quote.call) == pytest.approx(141.361235814757, abs=1e-9)
    assert from_wad(quote.call_delta) == pytest.approx(0.460945005097, abs=1e-9)
    assert from_wad(quote.gamma) == pytest.approx(0.000865541984713, abs=1e-9)
    assert from_wad(quote.vega) == pytest.approx(227.649398719, abs=1e-9)
    assert from_wad(quote.call_theta) / 365 == pytest.approx(-3.035325316, abs=1e-9)
    assert quote.put_theta == quote.call_theta


def test_evaluate_hulls_call_matches_the_book(maths: Contract) -> None:
    """Hull's spot option is ours on the forward S exp(r T); its delta is ours times that growth."""
    time = 20 * YEAR // 52
    growth = math.exp(0.05 * time / YEAR)
    quote = evaluate(maths, Point(to_wad(49 * growth), 50 * WAD, time, to_wad(0.2), to_wad(0.05)))
    assert from_wad(quote.call) == pytest.approx(2.400527, rel=1e-6)
    assert from_wad(quote.call_delta) * growth == pytest.approx(0.521605, rel=1e-6)
    assert from_wad(quote.gamma) * growth**2 == pytest.approx(0.0655440, rel=1e-6)
    assert from_wad(quote.vega) == pytest.approx(12.10548, rel=1e-6)
    theta = from_wad(quote.call_theta) - 0.05 * 49 * growth * from_wad(quote.call_delta)
    assert theta == pytest.approx(-4.305330, rel=1e-6)


def test_evaluate_random_points_equal_the_python_kernel(maths: Contract) -> None:
    for point in random_points(seed=3, count=1_000):
        quote, sizes = evaluate(maths, point), natural_sizes(point)
        args = (*map(from_wad, point[:2]), point.time / YEAR, *map(from_wad, point[3:]))
        for is_call, names in (
            (True, ("call", "call_delta", "gamma", "vega", "call_theta")),
            (False, ("put", "put_delta", "gamma", "vega", "put_theta")),
        ):
            for name, want in zip(names, black76.greeks(*args, is_call), strict=True):
                # the log of a double near 1 has few digits: its error grows by 1 / deviation
                slack = 1e-15 * (1 + 1 / (args[3] * math.sqrt(args[2]))) * 10
                assert abs(getattr(quote, name) - want * WAD) <= slack * getattr(sizes, name) + 3, f"{name} at {point}"


@pytest.mark.parametrize("x", [-12.0, -9.2, -6.0, -2.5, -1.0, -1e-17, 0.0, 0.3, 1.0, 3.0, 8.0, 10.0, 1e30])
def test_gaussian_any_argument_matches_50_digits(maths: Contract, x: float) -> None:
    exact = mpmath.mpf(to_wad(x)) / WAD
    assert abs(maths.call("cdf", to_wad(x)) - mpmath.ncdf(exact) * WAD) <= 110
    assert abs(maths.call("pdf", to_wad(x)) - mpmath.npdf(exact) * WAD) <= 75


def test_gaussian_random_arguments_match_50_digits(maths: Contract) -> None:
    draw = random.Random(4)
    for x in (round(WAD * draw.uniform(-10, 10)) for _ in range(500)):
        cdf = maths.call("cdf", x)
        assert abs(cdf - mpmath.ncdf(mpmath.mpf(x) / WAD) * WAD) <= 110
        assert cdf + maths.call("cdf", -x) == WAD
        assert abs(maths.call("pdf", x) - mpmath.npdf(mpmath.mpf(x) / WAD) * WAD) <= 75


# --- laws ------------------------------------------------------------------------------------------------------------

points = st.builds(
    lambda ratio, time, vol, rate: Point(2_000 * WAD, 2 * ratio, time, vol, rate),
    st.integers(WAD * 200, WAD * 5_000),
    st.integers(HOUR, 2 * YEAR),
    st.integers(WAD // 20, 3 * WAD),
    st.integers(-WAD // 10, WAD // 2),
)
PRICE_ERROR = round(RELATIVE_ERROR.call * 12_000 * WAD) + 3


@quick
@given(points)
def test_evaluate_bounds_and_parity_hold_exactly(maths: Contract, point: Point) -> None:
    quote = evaluate(maths, point)
    discount = quote.call_delta - quote.put_delta
    assert discount == pytest.approx(WAD * math.exp(-from_wad(point.rate) * point.time / YEAR), rel=1e-14)
    forward_value, strike_value = (value * discount // WAD for value in (point.forward, point.strike))
    assert abs((quote.call - quote.put) - (forward_value - strike_value)) <= 10_000
    assert 0 <= quote.call <= forward_value + 10_000
    assert 0 <= quote.put <= strike_value + 10_000
    assert 0 <= quote.call_delta <= discount
    assert -discount <= quote.put_delta <= 0
    assert quote.gamma >= 0
    assert quote.vega >= 0


@quick
@given(points)
def test_evaluate_without_rate_parity_and_bounds_hold_to_the_digit(maths: Contract, point: Point) -> None:
    quote = evaluate(maths, point._replace(rate=0))
    assert quote.call - quote.put == point.forward - point.strike
    assert max(point.forward - point.strike, 0) <= quote.call <= point.forward


@quick
@given(points, st.integers(1, WAD), st.integers(1, 100 * WAD))
def test_evaluate_call_rises_with_vol_falls_and_is_convex_in_strike(
    maths: Contract, point: Point, more_vol: int, width: int
) -> None:
    calls = [evaluate(maths, point._replace(strike=point.strike + i * width)).call for i in range(3)]
    assert evaluate(maths, point._replace(vol=point.vol + more_vol)).call >= calls[0] - 2 * PRICE_ERROR
    assert calls[1] <= calls[0] + 2 * PRICE_ERROR
    assert calls[0] - 2 * calls[1] + calls[2] >= -4 * PRICE_ERROR


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"forward": 10**12 - 1, "strike": 10**12}, "PriceOutOfRange"),
        ({"forward": 10**30 + 1, "strike": 10**30}, "PriceOutOfRange"),
        ({"forward": WAD, "strike": 2**255}, "PriceOutOfRange"),
        ({"forward": WAD, "strike": 0}, "PriceOutOfRange"),
        ({"forward": 20 * WAD + 1, "strike": WAD}, "PriceOutOfRange"),
        ({"forward": WAD, "strike": 20 * WAD + 1}, "PriceOutOfRange"),
        ({"forward": 0, "strike": 0}, "PriceOutOfRange"),
        ({"forward": 2**256 - 1, "strike": 2**256 - 1}, "PriceOutOfRange"),
        ({"time": MINUTE - 1}, "TimeOutOfRange"),
        ({"time": 4 * YEAR + 1}, "TimeOutOfRange"),
        ({"time": 2**256 - 1}, "TimeOutOfRange"),
        ({"vol": WAD // 100 - 1}, "VolOutOfRange"),
        ({"vol": 5 * WAD + 1}, "VolOutOfRange"),
        ({"rate": -WAD // 10 - 1}, "RateOutOfRange"),
        ({"rate": WAD // 2 + 1}, "RateOutOfRange"),
        ({"rate": -(2**255)}, "RateOutOfRange"),
    ],
)
def test_evaluate_outside_the_domain_reverts_with_the_value(
    maths: Contract, change: dict[str, int], error: str
) -> None:
    point = Point(2_000 * WAD, 2_100 * WAD, DAY, WAD, 0)._replace(**change)
    with pytest.raises(Revert) as caught:
        maths.call("evaluate", *point)
    assert caught.value.name == error
    assert caught.value.args == tuple(change.values())


def test_evaluate_at_the_ends_of_the_price_range_answers(maths: Contract) -> None:
    for price in (10**12, 10**30):
        assert_accurate(maths, iter([Point(price, price, DAY, WAD, 0), Point(20 * 10**12, 10**12, DAY, WAD, WAD // 2)]))


# --- eSSVI -----------------------------------------------------------------------------------------------------------

GOLDEN = (to_wad(0.0175), -to_wad(0.036), to_wad(0.12))


def random_slice(draw: random.Random) -> tuple[int, int, int]:
    psi = draw.uniform(0.01, 2.5)
    return to_wad(10 ** draw.uniform(-4, 0.5)), to_wad(draw.uniform(-0.99, 0.99) * psi), to_wad(psi)


@pytest.mark.parametrize(
    ("strike", "vol"), [(1_600, 0.612403), (1_800, 0.527637), (2_000, 0.461429), (2_200, 0.440330), (2_400, 0.458115)]
)
def test_implied_vol_golden_slice_gives_the_golden_vols(maths: Contract, strike: int, vol: float) -> None:
    found = maths.call("impliedVol", 2_000 * WAD, strike * WAD, 30 * DAY, *GOLDEN)
    assert from_wad(found) == pytest.approx(vol, abs=5e-7)
    assert maths.call("isButterflyFree", *GOLDEN)


def test_total_variance_random_slices_match_50_digits(maths: Contract) -> None:
    draw = random.Random(7)
    for _ in range(500):
        surface, k = random_slice(draw), round(WAD * draw.uniform(-4, 4))
        theta, rho_psi, psi, x = (mpmath.mpf(value) / WAD for value in (*surface, k))
        root = mpmath.sqrt((psi * x) ** 2 + 2 * theta * rho_psi * x + theta**2)
        assert 0 <= (theta + rho_psi * x + root) / 2 * WAD - maths.call("totalVariance", k, *surface) < 1.001


def test_implied_vol_random_slices_equal_the_python_kernel(maths: Contract) -> None:
    draw = random.Random(8)
    for _ in range(500):
        surface, seconds = random_slice(draw), draw.randint(MINUTE, 2 * YEAR)
        strike = round(2_000 * WAD * math.exp(draw.uniform(-3, 3)))
        want = essvi.implied_vol(2_000.0, from_wad(strike), seconds / YEAR, *map(from_wad, surface))
        found = maths.call("impliedVol", 2_000 * WAD, strike, seconds, *surface)
        assert from_wad(found) == pytest.approx(want, rel=1e-12)


def test_admissibility_random_slices_equal_the_python_kernels(maths: Contract) -> None:
    draw, verdicts = random.Random(9), set()
    for _ in range(1_000):
        earlier, step = random_slice(draw), random_slice(draw)
        later = tuple(a + b // 4 for a, b in zip(earlier, step, strict=True))
        butterfly = maths.call("isButterflyFree", *earlier)
        calendar = maths.call("isCalendarFree", *earlier, *later)
        assert butterfly == essvi.butterfly_ok(*map(from_wad, earlier))
        assert calendar == essvi.calendar_ok(*map(from_wad, earlier), *map(from_wad, later))
        verdicts.add((butterfly, calendar))
    assert len(verdicts) == 4


@pytest.mark.parametrize(
    ("theta", "rho_psi", "psi", "verdict"),
    [
        (WAD // 4, to_wad(0.4), to_wad(0.8), True),  # on the edge (psi + |rho psi| / 2)^2 = 4 theta
        (WAD // 4 - 1, to_wad(0.4), to_wad(0.8), False),
        (WAD // 4, -to_wad(0.4), to_wad(0.8) + 1, False),
        (50 * WAD, WAD, 3 * WAD - 1, True),
        (50 * WAD, WAD, 3 * WAD, False),  # the sum must stay below 4
        (WAD, to_wad(0.3), to_wad(0.3), True),
        (WAD, -to_wad(0.3) - 1, to_wad(0.3), False),
        (WAD, 0, 0, True),
        (0, 0, 0, False),
        (2**256 - 1, 0, 0, False),
        (WAD, -(2**255), 2**256 - 1, False),
    ],
)
def test_is_butterfly_free_at_each_edge(maths: Contract, theta: int, rho_psi: int, psi: int, verdict: bool) -> None:
    assert maths.call("isButterflyFree", theta, rho_psi, psi) is verdict


def test_age_shrinks_the_slice_and_keeps_it_admissible(maths: Contract) -> None:
    draw = random.Random(10)
    for _ in range(300):
        surface, report_time = random_slice(draw), draw.randint(DAY, YEAR)
        left = draw.randint(1, report_time)
        aged = maths.call("age", *surface, left, report_time)
        theta, rho_psi, psi = (value * left for value in surface)
        toward_zero = (abs(rho_psi) // report_time) * (1 if rho_psi > 0 else -1)
        assert aged == (-(-theta // report_time), toward_zero, psi // report_time)
        if maths.call("isButterflyFree", *surface):
            assert maths.call("isButterflyFree", *aged)


@pytest.mark.parametrize(
    ("function", "args", "error"),
    [
        ("impliedVol", (2_000 * WAD, 2_000 * WAD, 0, *GOLDEN), ("Expired", ())),
        ("impliedVol", (0, WAD, DAY, *GOLDEN), ("PriceOutOfRange", (0, WAD))),
        ("impliedVol", (WAD, 0, DAY, *GOLDEN), ("PriceOutOfRange", (WAD, 0))),
        ("impliedVol", (WAD, 50 * WAD + 1, DAY, *GOLDEN), ("PriceOutOfRange", (WAD, 50 * WAD + 1))),
        ("impliedVol", (2**256 - 1, WAD, DAY, *GOLDEN), ("PriceOutOfRange", (2**256 - 1, WAD))),
        ("totalVariance", (4 * WAD + 1, *GOLDEN), ("LogMoneynessOutOfRange", (4 * WAD + 1,))),
        ("totalVariance", (-4 * WAD - 1, *GOLDEN), ("LogMoneynessOutOfRange", (-4 * WAD - 1,))),
        ("totalVariance", (0, 100 * WAD + 1, 0, 0), ("SliceOutOfRange", (100 * WAD + 1, 0, 0))),
        ("totalVariance", (0, WAD, 0, 4 * WAD + 1), ("SliceOutOfRange", (WAD, 0, 4 * WAD + 1))),
        ("totalVariance", (0, WAD, -2, 1), ("SliceOutOfRange", (WAD, -2, 1))),
    ],
)
def test_essvi_outside_the_domain_reverts_with_the_value(
    maths: Contract, function: str, args: tuple[int, ...], error: tuple[str, tuple[int, ...]]
) -> None:
    with pytest.raises(Revert) as caught:
        maths.call(function, *args)
    assert (caught.value.name, caught.value.args) == error


def test_on_slice_equals_vol_then_greeks(maths: Contract) -> None:
    """One pass is two steps: the vol to the last digits of the surface's, and Greeks at that vol to the last digit."""
    fused, draw, answered = Evm().deploy("SliceHarness"), random.Random(12), 0
    for point in random_points(seed=12, count=600):
        years = point.time / YEAR
        theta = draw.uniform(0.02, 2.0) ** 2 * years
        psi = min(draw.uniform(0.05, 0.9) * 2 * math.sqrt(theta), 2.0)
        surface = (to_wad(theta), to_wad(draw.uniform(-0.999, 0.999) * psi), to_wad(psi))
        vol = maths.call("impliedVol", point.forward, point.strike, point.time, *surface)
        if not WAD // 100 < vol < 5 * WAD or to_wad(theta) < 10**8:
            continue
        found = fused.call("onSlice", *point[:3], point.rate, *surface)
        assert from_wad(found[0]) == pytest.approx(from_wad(vol), rel=2e-8)
        theta_, rho_psi, psi_ = (mpmath.mpf(value) / WAD for value in surface)
        k = mpmath.log(mpmath.mpf(point.strike) / point.forward)
        variance = (theta_ + rho_psi * k + mpmath.sqrt((psi_ * k) ** 2 + 2 * theta_ * rho_psi * k + theta_**2)) / 2
        exact = mpmath.sqrt(variance * YEAR / point.time) * WAD
        assert abs(found[0] - exact) <= 2e-13 * exact + 10
        assert tuple(found[1:]) == tuple(evaluate(maths, point._replace(vol=found[0])))
        answered += 1
    assert answered > 300


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"forward": 0}, "PriceOutOfRange"),
        ({"time": 0}, "TimeOutOfRange"),
        ({"rate": WAD}, "RateOutOfRange"),
        ({"theta": 100 * WAD + 1}, "SliceOutOfRange"),
        ({"rho_psi": WAD}, "SliceOutOfRange"),
        ({"rho_psi": -(2**255)}, "SliceOutOfRange"),
        ({"psi": 2**256 - 1}, "SliceOutOfRange"),
        ({"theta": 50 * WAD}, "VolOutOfRange"),
        ({"theta": 0, "psi": 0, "rho_psi": 0}, "VolOutOfRange"),
    ],
)
def test_on_slice_outside_the_domain_reverts(change: dict[str, int], error: str) -> None:
    args = {
        "forward": 2_000 * WAD, "strike": 2_000 * WAD, "time": 30 * DAY, "rate": 0,
        "theta": GOLDEN[0], "rho_psi": GOLDEN[1], "psi": GOLDEN[2],
    }  # fmt: skip
    with pytest.raises(Revert) as caught:
        Evm().deploy("SliceHarness").call("onSlice", *(args | change).values())
    assert caught.value.name == error


def test_log_moneyness_matches_50_digits(maths: Contract) -> None:
    draw = random.Random(11)
    for _ in range(300):
        forward = round(WAD * 10 ** draw.uniform(-5, 10))
        strike = round(forward * math.exp(draw.choice([draw.uniform(-3.9, 3.9), draw.gauss(0, 1e-4)])))
        exact = mpmath.log(mpmath.mpf(strike) / forward) * WAD
        assert abs(maths.call("logMoneyness", forward, strike) - exact) <= 12
