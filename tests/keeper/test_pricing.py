"""Black-76, Black-Scholes, implied vol, eSSVI and realised vol: against 40-digit arithmetic and published numbers."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from itertools import pairwise

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.errors import InputError
from keeper.pricing import black76, essvi, realised
from keeper.units import SECONDS_PER_YEAR

mpmath.mp.dps = 40

FORWARD = 2_000.0
strikes = st.floats(400.0, 10_000.0)
times = st.floats(1.0 / 8_760.0, 2.0)
vols = st.floats(0.05, 3.0)
rates = st.floats(-0.1, 0.5)
quick = settings(max_examples=200, deadline=None, derandomize=True)


def exact_price(forward: float, strike: float, time: float, vol: float, rate: float, is_call: bool) -> mpmath.mpf:
    """Black-76 in 40 digits, by the integral's closed form."""
    f, k, t, v, r = (mpmath.mpf(x) for x in (forward, strike, time, vol, rate))
    s = v * mpmath.sqrt(t)
    d1 = mpmath.log(f / k) / s + s / 2
    sign = 1 if is_call else -1
    return mpmath.exp(-r * t) * sign * (f * mpmath.ncdf(sign * d1) - k * mpmath.ncdf(sign * (d1 - s)))


def exact_spot_price(spot: float, strike: float, time: float, vol: float, rate: float, is_call: bool) -> mpmath.mpf:
    """Black-Scholes in 40 digits: Black-76 on the spot carried forward."""
    return exact_price(mpmath.mpf(spot) * mpmath.exp(mpmath.mpf(rate) * time), strike, time, vol, rate, is_call)


def derivative(f: Callable[..., mpmath.mpf], args: tuple[float, ...], orders: dict[int, int], is_call: bool) -> float:
    """Partial derivative of a price in 40 digits; ``orders`` maps an argument's place to the order."""
    places = list(orders)

    def moved(*values: mpmath.mpf) -> mpmath.mpf:
        changed = list(args)
        for place, value in zip(places, values, strict=True):
            changed[place] = value
        return f(*changed, is_call)

    return float(mpmath.diff(moved, tuple(args[place] for place in places), tuple(orders.values())))


# --- the normal distribution -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("x", [-37.0, -8.3, -3.0, -1.0, -1e-9, 0.0, 0.5, 1.0, 4.0, 9.0])
def test_norm_cdf_and_pdf_any_argument_match_40_digits(x: float) -> None:
    assert black76.norm_cdf(x) == pytest.approx(float(mpmath.ncdf(x)), rel=1e-13)
    assert black76.norm_pdf(x) == pytest.approx(float(mpmath.npdf(x)), rel=1e-13)


# --- published numbers -----------------------------------------------------------------------------------------------


def test_spot_greeks_of_hulls_call_match_the_book() -> None:
    found = black76.spot_greeks(49.0, 50.0, 20 / 52, 0.2, 0.05, True)[:5]
    assert found == pytest.approx((2.400527, 0.521605, 0.0655440, 12.10548, -4.305330), rel=1e-6)


def test_greeks_of_the_golden_call_match() -> None:
    price, delta, gamma, vega, theta = black76.greeks(2_000.0, 2_100.0, 30 / 365, 0.8, 0.0, True)
    assert price == pytest.approx(141.361235814757, abs=1e-9)
    assert delta == pytest.approx(0.460945005097, abs=1e-9)
    assert gamma == pytest.approx(0.000865541984713, abs=1e-9)
    assert vega == pytest.approx(227.649398719, abs=1e-9)
    assert theta / 365 == pytest.approx(-3.035325316, abs=1e-9)


def variance_strike(strikes: list[float], time: float, vol_at: Callable[[float], float], rate: float) -> float:
    """Fair variance of a strip of options around 100, by piecewise-linear replication of the log contract."""
    centre, forward = 100.0, 100.0 * math.exp(rate * time)

    def payoff(x: float) -> float:
        return 2.0 / time * ((x - centre) / centre - math.log(x / centre))

    total = 0.0
    for is_call, side in (
        (True, [k for k in strikes if k >= centre]),
        (False, [k for k in strikes if k <= centre][::-1]),
    ):
        step = abs(side[1] - side[0]) * (1.0 if is_call else -1.0)
        held = 0.0
        for k in side:
            slope = (payoff(k + step) - payoff(k)) / abs(step)
            total += (slope - held) * black76.price(forward, k, time, vol_at(k), rate, is_call)
            held = slope
    carry = 2.0 / time * (rate * time - (forward / centre - 1.0))
    return carry + math.exp(rate * time) * total


def test_price_strip_of_options_replicates_the_published_variance_swap() -> None:
    """Demeterfi, Derman, Kamal and Zou (1999), table 1: 20% at the money, one point more per 5 of strike below."""
    ladder = [50.0 + 5.0 * i for i in range(18)]
    found = variance_strike(ladder, 90 / 365, lambda k: 0.2 - (k - 100.0) / 500.0, 0.05)
    assert math.sqrt(found) * 100.0 == pytest.approx(20.46670, abs=1e-3)


@pytest.mark.parametrize(
    ("lowest", "highest", "time", "published"),
    [(50, 200, 0.25, 25.01), (50, 200, 1.0, 24.99), (75, 125, 0.25, 24.85), (75, 125, 1.0, 22.93)],
)
def test_price_variance_swap_of_a_narrow_strip_captures_less(
    lowest: int, highest: int, time: float, published: float
) -> None:
    """The same paper, table 4: strikes one point apart, flat 25% vol."""
    found = variance_strike([float(k) for k in range(lowest, highest + 1)], time, lambda k: 0.25, 0.05)
    assert math.sqrt(found) * 100.0 == pytest.approx(published, abs=0.1)


# --- against 40 digits -----------------------------------------------------------------------------------------------


@quick
@given(strikes, times, vols, rates, st.booleans())
def test_price_random_option_matches_40_digits(
    strike: float, time: float, vol: float, rate: float, is_call: bool
) -> None:
    exact = float(exact_price(FORWARD, strike, time, vol, rate, is_call))
    assert black76.price(FORWARD, strike, time, vol, rate, is_call) == pytest.approx(
        exact, abs=1e-14 * (FORWARD + strike)
    )


@pytest.mark.parametrize("is_call", [True, False])
@pytest.mark.parametrize(
    "args",
    [(2_000.0, 2_100.0, 0.08, 0.8, 0.03), (2_000.0, 1_500.0, 0.9, 0.4, -0.05), (2_000.0, 2_000.0, 0.01, 1.5, 0.2)],
)
def test_greeks_are_derivatives_of_the_price(args: tuple[float, ...], is_call: bool) -> None:
    found = black76.greeks(*args, is_call)
    wanted = [float(exact_price(*args, is_call))]
    wanted += [derivative(exact_price, args, {0: 1}, is_call), derivative(exact_price, args, {0: 2}, is_call)]
    wanted += [derivative(exact_price, args, {3: 1}, is_call), -derivative(exact_price, args, {2: 1}, is_call)]
    assert found == pytest.approx(wanted, rel=1e-10)


@pytest.mark.parametrize("is_call", [True, False])
@pytest.mark.parametrize(
    "args", [(2_000.0, 2_100.0, 0.08, 0.8, 0.03), (49.0, 50.0, 20 / 52, 0.2, 0.05), (10.0, 7.0, 1.0, 0.6, -0.1)]
)
def test_spot_greeks_are_derivatives_of_the_price(args: tuple[float, ...], is_call: bool) -> None:
    found = black76.spot_greeks(*args, is_call)
    orders = [{0: 1}, {0: 2}, {3: 1}, {2: 1}, {0: 1, 3: 1}, {3: 2}, {0: 1, 2: 1}]
    wanted = [derivative(exact_spot_price, args, order, is_call) for order in orders]
    wanted[3], wanted[6] = -wanted[3], -wanted[6]
    assert found[0] == pytest.approx(float(exact_spot_price(*args, is_call)), rel=1e-12)
    assert found[1:] == pytest.approx(wanted, rel=1e-9)


@quick
@given(strikes, times, vols, st.booleans())
def test_spot_greeks_without_rate_equal_greeks_on_the_forward(
    strike: float, time: float, vol: float, is_call: bool
) -> None:
    on_spot = black76.spot_greeks(FORWARD, strike, time, vol, 0.0, is_call)[:5]
    assert on_spot == pytest.approx(black76.greeks(FORWARD, strike, time, vol, 0.0, is_call), rel=1e-12, abs=1e-12)


# --- laws ------------------------------------------------------------------------------------------------------------


@quick
@given(strikes, times, vols, rates)
def test_price_call_and_put_obey_bounds_and_parity(strike: float, time: float, vol: float, rate: float) -> None:
    call = black76.price(FORWARD, strike, time, vol, rate, True)
    put = black76.price(FORWARD, strike, time, vol, rate, False)
    discount, slack = math.exp(-rate * time), 1e-14 * (FORWARD + strike)
    assert call - put == pytest.approx(discount * (FORWARD - strike), abs=2 * slack)
    assert max(discount * (FORWARD - strike), 0.0) - slack <= call <= discount * FORWARD + slack
    assert max(discount * (strike - FORWARD), 0.0) - slack <= put <= discount * strike + slack


@quick
@given(strikes, times, vols, st.floats(0.001, 0.5), st.floats(1.0, 300.0))
def test_price_call_rises_with_vol_falls_and_is_convex_in_strike(
    strike: float, time: float, vol: float, more: float, width: float
) -> None:
    at, error = [black76.price(FORWARD, strike + i * width, time, vol, 0.0, True) for i in range(3)], 1e-14 * FORWARD
    assert black76.price(FORWARD, strike, time, vol + more, 0.0, True) >= at[0] - 2 * error
    assert at[0] + 2 * error >= at[1]
    assert at[0] - 2.0 * at[1] + at[2] >= -4 * 4 * error


@pytest.mark.parametrize(("time", "vol"), [(0.0, 0.8), (-1.0, 0.8), (0.5, 0.0), (0.5, -0.1), (1e-300, 0.5)])
@pytest.mark.parametrize(("strike", "step"), [(1_900.0, 1.0), (2_000.0, 0.5), (2_100.0, 0.0)])
def test_greeks_without_randomness_are_intrinsic(time: float, vol: float, strike: float, step: float) -> None:
    for is_call, delta in ((True, step), (False, step - 1.0)):
        value = max((2_000.0 - strike) * (1.0 if is_call else -1.0), 0.0)
        assert black76.price(2_000.0, strike, time, vol, 0.0, is_call) == value
        assert black76.greeks(2_000.0, strike, time, vol, 0.0, is_call) == (value, delta, 0.0, 0.0, 0.0)
        assert black76.spot_greeks(2_000.0, strike, time, vol, 0.0, is_call) == (
            value,
            delta,
            0.0,
            0.0,
            0.0,
            0.0,
            0.0,
            0.0,
        )


def test_greeks_without_vol_still_discount() -> None:
    price, delta, _, _, theta = black76.greeks(2_100.0, 2_000.0, 0.5, 0.0, 0.1, True)
    assert (price, delta, theta) == pytest.approx((100 * math.exp(-0.05), math.exp(-0.05), 10 * math.exp(-0.05)))
    price, delta, _, _, theta, *_ = black76.spot_greeks(2_100.0, 2_000.0, 0.5, 0.0, 0.1, True)
    strike = 2_000 * math.exp(-0.05)
    assert (price, delta, theta) == pytest.approx((2_100 - strike, 1.0, -0.1 * strike))


def test_prices_broadcast_arrays_equal_the_kernel() -> None:
    found = black76.prices(2_000.0, np.array([[1_900.0], [2_100.0]]), 0.1, np.array([0.5, 0.6, 0.7]), 0.02, True)
    assert found.shape == (2, 3)
    assert found[1, 2] == black76.price(2_000.0, 2_100.0, 0.1, 0.7, 0.02, True)
    assert found[0, 0] == black76.price(2_000.0, 1_900.0, 0.1, 0.5, 0.02, True)


# --- implied vol -----------------------------------------------------------------------------------------------------


@settings(max_examples=1_000, deadline=None, derandomize=True)
@given(st.floats(20.0, 200_000.0), st.floats(1e-5, 5.0), st.floats(0.005, 6.0), rates, st.booleans())
def test_implied_vol_of_a_price_gives_the_price_back(
    strike: float, time: float, vol: float, rate: float, is_call: bool
) -> None:
    price, _, _, vega, _ = black76.greeks(FORWARD, strike, time, vol, rate, is_call)
    found = black76.implied_vol(price, FORWARD, strike, time, rate, is_call)
    rounding = 1e-14 * max(FORWARD, strike) * math.exp(-rate * time)
    if vega * vol < 1e3 * rounding:  # the price's own digits do not determine the vol
        assert math.isnan(found) or found >= 0.0
        return
    assert black76.price(FORWARD, strike, time, found, rate, is_call) == pytest.approx(price, abs=rounding)
    assert found == pytest.approx(vol, abs=1e-12 * vol + 4 * rounding / vega)


@pytest.mark.parametrize(
    ("price", "wanted"), [(100.0, 0.0), (99.0, math.nan), (-1.0, math.nan), (2_000.0, math.nan), (2_500.0, math.nan)]
)
def test_implied_vol_outside_or_at_the_bounds_is_zero_or_nan(price: float, wanted: float) -> None:
    assert black76.implied_vol(price, 2_000.0, 1_900.0, 0.5, 0.0, True) == pytest.approx(wanted, nan_ok=True)


def test_implied_vol_without_time_is_nan() -> None:
    assert math.isnan(black76.implied_vol(150.0, 2_000.0, 1_900.0, 0.0, 0.0, True))


# --- eSSVI -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strike", "vol"), [(1_600, 0.612403), (1_800, 0.527637), (2_000, 0.461429), (2_200, 0.440330), (2_400, 0.458115)]
)
def test_essvi_golden_slice_gives_the_golden_vols(strike: float, vol: float) -> None:
    found = essvi.implied_vol(2_000.0, float(strike), 30 / 365, 0.0175, -0.3 * 0.12, 0.12)
    assert found == pytest.approx(vol, abs=5e-7)
    assert essvi.butterfly_ok(0.0175, -0.3 * 0.12, 0.12)


def textbook_variance(k: float, theta: float, rho_psi: float, psi: float) -> mpmath.mpf:
    """eSSVI as published, with phi and rho."""
    phi, rho = mpmath.mpf(psi) / theta, mpmath.mpf(rho_psi) / psi
    return mpmath.mpf(theta) / 2 * (1 + rho * phi * k + mpmath.sqrt((phi * k + rho) ** 2 + 1 - rho**2))


@quick
@given(st.floats(-3.0, 3.0), st.floats(1e-4, 4.0), st.floats(-0.99, 0.99), st.floats(0.01, 3.9))
def test_total_variance_equals_the_published_form(k: float, theta: float, rho: float, psi: float) -> None:
    exact = float(textbook_variance(k, theta, rho * psi, psi))
    assert essvi.total_variance(k, theta, rho * psi, psi) == pytest.approx(exact, rel=1e-9)


def worst_density(theta: float, rho_psi: float, psi: float) -> float:
    """Smallest g(k) = (1 - k w'/2w)^2 - w'^2/4 (1/w + 1/4) + w''/2 on a grid; negative means butterfly arbitrage."""
    k = np.linspace(-3.0, 3.0, 1_201)
    root = np.sqrt((psi * k) ** 2 + 2 * theta * rho_psi * k + theta**2)
    w = (theta + rho_psi * k + root) / 2
    slope = (rho_psi + (psi**2 * k + theta * rho_psi) / root) / 2
    bend = theta**2 * (psi**2 - rho_psi**2) / root**3 / 2
    return float(np.min((1 - k * slope / (2 * w)) ** 2 - slope**2 / 4 * (1 / w + 0.25) + bend / 2))


def random_slice(draw: random.Random) -> tuple[float, float, float]:
    psi = draw.uniform(0.01, 2.5)
    return math.exp(draw.uniform(math.log(0.01), math.log(2.0))), draw.uniform(-0.95, 0.95) * psi, psi


def test_butterfly_ok_admits_no_arbitrage_that_unchecked_slices_often_have() -> None:
    draw = random.Random(5)
    slices = [random_slice(draw) for _ in range(3_000)]
    worst = [worst_density(*each) for each in slices]
    admitted = [value for each, value in zip(slices, worst, strict=True) if essvi.butterfly_ok(*each)]
    assert len(admitted) > 500
    assert min(admitted) >= 0.0
    assert sum(value < 0.0 for value in worst) > 0.3 * len(slices)


def test_calendar_ok_admits_no_fall_of_total_variance() -> None:
    draw = random.Random(6)
    admitted = refused_falls = 0
    for _ in range(4_000):
        earlier, step = random_slice(draw), random_slice(draw)
        later = (earlier[0] + step[0], earlier[1] + 0.2 * step[1], earlier[2] + 0.2 * step[2])
        if not (essvi.butterfly_ok(*earlier) and essvi.butterfly_ok(*later)):
            continue
        rise = min(essvi.total_variance(k, *later) - essvi.total_variance(k, *earlier) for k in np.linspace(-3, 3, 61))
        if essvi.calendar_ok(*earlier, *later):
            admitted += 1
            assert rise >= -1e-12
        else:
            refused_falls += rise < -1e-12
    assert admitted > 100
    assert refused_falls > 20
    assert not essvi.calendar_ok(0.04, -0.03, 0.2, 0.039, -0.03, 0.2)
    assert not essvi.calendar_ok(0.04, -0.03, 0.2, 0.08, -0.2, 0.3)
    assert not essvi.calendar_ok(0.04, -0.03, 0.2, 0.05, -0.03, 0.3)


def test_butterfly_margin_is_zero_at_each_condition() -> None:
    assert essvi.butterfly_margin(100.0, 1.0, 3.0) == 0.0
    assert not essvi.butterfly_ok(100.0, 1.0, 3.0)  # the sum must stay below 4
    assert essvi.butterfly_margin(0.25, 0.4, 0.8) == pytest.approx(0.0, abs=1e-15)
    assert essvi.butterfly_margin(1.0, -0.3, 0.3) == 0.0
    assert essvi.butterfly_margin(1.0, -0.4, 0.3) < 0.0
    assert not essvi.butterfly_ok(0.0, 0.0, 0.0)


def test_age_keeps_vol_at_every_strike() -> None:
    aged = essvi.age(0.0175, -0.036, 0.12, 10 / 365, 30 / 365)
    for strike in (1_600.0, 2_000.0, 2_400.0):
        before = essvi.implied_vol(2_000.0, strike, 30 / 365, 0.0175, -0.036, 0.12)
        assert essvi.implied_vol(2_000.0, strike, 10 / 365, *aged) == pytest.approx(before, rel=1e-12)
    assert essvi.age(0.0175, -0.036, 0.12, -1.0, 30 / 365) == (0.0, 0.0, 0.0)


def test_interpolate_meets_both_ends_and_the_middle() -> None:
    near, far = (0.01, -0.02, 0.1), (0.03, -0.04, 0.2)
    assert essvi.interpolate(0.1, 0.1, *near, 0.3, *far) == pytest.approx(near)
    assert essvi.interpolate(0.3, 0.1, *near, 0.3, *far) == pytest.approx(far)
    assert essvi.interpolate(0.2, 0.1, *near, 0.3, *far) == pytest.approx((0.02, -0.03, 0.15))


# --- realised vol ----------------------------------------------------------------------------------------------------


def test_ewma_variance_golden_prices_give_the_golden_vols() -> None:
    prices, variance, found = [2_000.0, 2_010.0, 1_990.0, 2_005.0, 2_050.0], 0.64, []
    for before, after in pairwise(prices):
        variance = realised.ewma_variance(variance, math.log(after / before), 300.0, 3_600.0)
        found.append(math.sqrt(variance))
    assert found == pytest.approx([0.8665124, 1.1396075, 1.2484070, 2.0922839], abs=1e-7)


def test_close_to_close_of_a_simulated_path_finds_its_vol() -> None:
    steps, step = 40_000, 300.0
    shocks = np.random.default_rng(1).standard_normal(steps)
    path = 2_000.0 * np.exp(np.concatenate([[0.0], np.cumsum(0.7 * math.sqrt(step / SECONDS_PER_YEAR) * shocks)]))
    found = realised.close_to_close(path, np.arange(steps + 1) * step)
    assert found == pytest.approx(0.7, abs=4 * 0.7 / math.sqrt(2 * steps))


def test_close_to_close_of_a_steady_trend_is_zero() -> None:
    assert realised.close_to_close([100.0, 110.0, 121.0, 133.1], [0, 60, 120, 180]) == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize(
    ("prices", "times", "message"),
    [
        ([1.0, 2.0], [0.0, 1.0], "at least 3 prices"),
        ([1.0, 2.0, 3.0], [0.0, 1.0], "at least 3 prices"),
        ([1.0, 0.0, 3.0], [0.0, 1.0, 2.0], "price 1 is 0.0"),
        ([1.0, 2.0, math.nan], [0.0, 1.0, 2.0], "price 2 is nan"),
        ([1.0, 2.0, 3.0], [0.0, 2.0, 2.0], "time 2 is 2.0, not after 2.0"),
    ],
)
def test_close_to_close_bad_input_is_refused(prices: list[float], times: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        realised.close_to_close(prices, times)
