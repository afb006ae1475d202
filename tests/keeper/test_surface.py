"""The model surface: at-the-money vol that follows the past only, slices without arbitrage by construction."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.errors import InputError
from keeper.market.crash import crash_bars
from keeper.market.surface import realised_atm, report_order, slice_for
from keeper.pricing import essvi
from keeper.state.bars import Bars
from keeper.units import SECONDS_PER_YEAR

START = 1_583_625_600
HALF_LIFE, LAG, FLOOR, CAP = 4 * 3_600.0, 3_600, 0.4, 3.0

shapes = st.floats(-0.99, 0.99).flatmap(
    lambda rho: st.tuples(st.just(rho), st.floats(0.05, 2.0 / (1.0 + 0.5 * abs(rho)) * (1.0 - 1e-12)))
)


def variables(vol: float, years: float, shape: tuple[float, float]) -> tuple[float, float, float]:
    theta, rho, psi = slice_for(vol, years, *shape)
    return theta, rho * psi, psi


@settings(max_examples=200, deadline=None)
@given(vol=st.floats(0.05, 3.0), years=st.lists(st.floats(1e-6, 2.0), min_size=2, max_size=2), shape=shapes)
def test_slices_of_one_vol_are_free_of_arbitrage(vol: float, years: list[float], shape: tuple[float, float]) -> None:
    near, far = (variables(vol, at, shape) for at in sorted(years))
    assert essvi.butterfly_ok(*near)
    assert essvi.butterfly_ok(*far)
    if max(years) > min(years) * (1.0 + 1e-9):  # closer than this, a float's rounding is wider than the conditions
        assert essvi.calendar_ok(*near, *far)


@settings(max_examples=40, deadline=None)
@given(vol=st.floats(0.2, 3.0), years=st.floats(1 / 365, 1.0), shape=shapes)
def test_density_of_a_slice_is_nowhere_negative_and_variance_rises_in_time(
    vol: float, years: float, shape: tuple[float, float]
) -> None:
    """The definition itself, by finite differences on a grid, beside the sufficient conditions."""
    spread = vol * math.sqrt(years)
    k = np.linspace(-4.0 * spread, 4.0 * spread, 401)
    near, far = (
        np.array([essvi.total_variance(x, *variables(vol, at, shape)) for x in k]) for at in (years, 1.5 * years)
    )
    assert np.all(far >= near)
    gap = k[1] - k[0]
    w, slope, bend = near[1:-1], (near[2:] - near[:-2]) / (2 * gap), np.diff(near, 2) / gap**2
    density = (1 - k[1:-1] * slope / (2 * w)) ** 2 - slope**2 / 4 * (1 / w + 0.25) + bend / 2
    assert density.min() > -1e-4


def test_slice_has_the_vol_at_the_money_and_the_skew_that_is_promised() -> None:
    vol, years, rho, curvature = 0.8, 7 / 365, -0.3, 0.9
    slice_ = variables(vol, years, (rho, curvature))
    assert essvi.implied_vol(2000.0, 2000.0, years, *slice_) == pytest.approx(vol, rel=1e-14)
    step = 1e-5
    sides = [essvi.implied_vol(1.0, math.exp(k), years, *slice_) for k in (-step, step)]
    skew = rho * curvature / (2 * math.sqrt(years)) / math.sqrt(1 + slice_[0])
    assert (sides[1] - sides[0]) / (2 * step) == pytest.approx(skew, rel=1e-5)


@pytest.mark.parametrize(
    ("vol", "years", "rho", "curvature"),
    [(0.0, 1, -0.3, 0.9), (0.5, 0, -0.3, 0.9), (math.nan, 1, 0, 1), (1, 1, -1.0, 0.9), (1, 1, 0.5, 1.61), (1, 1, 0, 0)],
)
def test_slice_with_arbitrage_or_no_time_is_refused(vol: float, years: float, rho: float, curvature: float) -> None:
    with pytest.raises(InputError):
        slice_for(vol, years, rho, curvature)


def test_far_end_is_reported_first_when_vol_rises_and_near_end_when_it_falls() -> None:
    assert report_order([5, 9, 7], vol_is_rising=True) == [9, 7, 5]
    assert report_order([5, 9, 7], vol_is_rising=False) == [5, 7, 9]


def crash() -> Bars:
    return crash_bars(np.random.default_rng(2), START)


def test_atm_vol_is_the_ewma_of_closes_seen_a_lag_ago() -> None:
    bars = crash()
    atm = realised_atm(bars, HALF_LIFE, LAG, FLOOR, CAP)
    weight, variance, previous = 0.5 ** (bars.step / HALF_LIFE), FLOOR**2, bars.open[0]
    for opened, close in zip(bars.times.tolist(), bars.close.tolist(), strict=True):
        squared = math.log(close / previous) ** 2 * SECONDS_PER_YEAR / bars.step
        variance, previous = weight * variance + (1 - weight) * squared, close
        known = opened + bars.step + LAG
        want = min(max(math.sqrt(variance), FLOOR), CAP)
        assert atm.at(known) == pytest.approx(want, rel=1e-12)
        assert atm.at(known + bars.step - 1) == atm.at(known)


def test_atm_vol_starts_at_the_floor_and_stays_in_its_range() -> None:
    bars = crash()
    atm = realised_atm(bars, HALF_LIFE, LAG, FLOOR, CAP)
    assert atm.at(START) == atm.at(START - 10**6) == FLOOR
    assert atm.vols.min() >= FLOOR
    assert atm.vols.max() == CAP


def test_atm_vol_starts_at_the_initial_vol_and_forgets_it_by_half_lives() -> None:
    flat = np.full(4, 100.0)
    bars = Bars(START + 3_600 * np.arange(4), flat, flat, flat, flat, step=3_600)
    atm = realised_atm(bars, 3_600.0, 0, 0.1, CAP, 0.8)
    assert atm.at(START) == 0.8
    assert atm.at(START + 7_200) == pytest.approx(0.8 * math.sqrt(0.25), rel=1e-12)


@pytest.mark.parametrize("initial", [0.3, 9.0, math.nan])
def test_an_initial_vol_outside_floor_and_cap_is_refused(initial: float) -> None:
    with pytest.raises(InputError, match="between the floor"):
        realised_atm(crash(), HALF_LIFE, LAG, FLOOR, CAP, initial)


def test_atm_vol_does_not_see_the_future() -> None:
    bars, now = crash(), START + 3 * 86_400
    factor = np.where(bars.times + bars.step > now - LAG, 1.01, 1.0)
    sides = (side * factor for side in (bars.open, bars.high, bars.low, bars.close))
    changed = Bars(bars.times, *sides, step=bars.step)
    one, other = (realised_atm(each, HALF_LIFE, LAG, FLOOR, CAP) for each in (bars, changed))
    assert one.at(now) == other.at(now)
    assert one.at(now + bars.step) != other.at(now + bars.step)


@pytest.mark.parametrize(
    ("half_life", "lag", "floor", "cap"), [(0, 0, 0.4, 3), (1, -1, 0.4, 3), (1, 0, 0, 3), (1, 0, 2, 1)]
)
def test_atm_vol_without_a_range_or_a_memory_is_refused(half_life: float, lag: int, floor: float, cap: float) -> None:
    with pytest.raises(InputError):
        realised_atm(crash(), half_life, lag, floor, cap)
