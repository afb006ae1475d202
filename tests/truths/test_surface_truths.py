"""Published surfaces and model prices: Vogt's SVI slice and repairs (SV1), Heston prices (HS1, HS5), deltas (MV1).

Each number has a second source here: numerical derivatives, another integral, or a simulation.
"""

from __future__ import annotations

import math
from dataclasses import replace

import mpmath
import numpy as np
import pytest
from scipy.integrate import quad

from keeper.errors import InputError
from keeper.pricing.black76 import implied_vol, spot_greeks
from keeper.pricing.essvi import butterfly_ok
from keeper.pricing.heston import Heston, evaluate, minimum_variance_delta, residual_vol
from keeper.pricing.repair import slice_of_raw
from keeper.pricing.svi import RawSvi, from_jump_wings, judge, nearest_repair, repaired, to_jump_wings

VOGT = RawSvi(a=-0.0410, b=0.1331, rho=0.3060, m=0.3586, sigma=0.4153)

# SV1


def test_sv1_jump_wings_of_vogts_slice_are_the_published_ones() -> None:
    found = to_jump_wings(VOGT, 1.0)
    published = (0.01742625, -0.1752111, 0.6997381, 1.316798, 0.0116249)
    wings = (found.variance, found.skew, found.put_slope, found.call_slope, found.least)
    assert wings == pytest.approx(published, rel=3e-7)


def test_sv1_jump_wings_are_what_their_names_say() -> None:
    """The same numbers from the smile itself: its slope at the money, its wings' slopes, its lowest point."""
    grid = np.linspace(-2.0, 2.0, 400_001)
    vol = np.sqrt(VOGT.total_variance(grid))
    at = int(np.argmin(np.abs(grid)))
    found = to_jump_wings(VOGT, 1.0)
    assert found.variance == pytest.approx(float(vol[at] ** 2), rel=1e-12)
    assert found.skew == pytest.approx(float((vol[at + 1] - vol[at - 1]) / (grid[at + 1] - grid[at - 1])), rel=1e-8)
    assert found.least == pytest.approx(float(np.min(vol) ** 2), rel=1e-8)
    far = np.array([-1e6, -2e6, 1e6, 2e6])
    low, lower, high, higher = VOGT.total_variance(far) / math.sqrt(found.variance)
    assert found.put_slope == pytest.approx((lower - low) / 1e6, rel=1e-9)
    assert found.call_slope == pytest.approx((higher - high) / 1e6, rel=1e-9)


@pytest.mark.parametrize("time", [0.05, 1.0, 2.5])
def test_sv1_jump_wings_lead_back_to_the_raw_slice(time: float) -> None:
    back = from_jump_wings(to_jump_wings(VOGT, time))
    assert (back.a, back.b, back.rho, back.m, back.sigma) == pytest.approx(
        (VOGT.a, VOGT.b, VOGT.rho, VOGT.m, VOGT.sigma), rel=1e-10
    )


def test_sv1_the_density_is_negative_where_published() -> None:
    verdict = judge(VOGT)
    assert not verdict.is_free
    assert verdict.broken == pytest.approx((0.64241, 1.25691), abs=5e-6)
    assert verdict.worst == pytest.approx(-0.032864, abs=5e-7)
    assert verdict.worst_at == pytest.approx(0.87926, abs=1e-5)


def test_sv1_the_density_factor_is_the_density_of_the_prices() -> None:
    """Second source: the second derivative of call prices by strike, in 40 digits."""
    mpmath.mp.dps = 40

    def call(strike: mpmath.mpf) -> mpmath.mpf:
        k = mpmath.log(strike)
        x = k - mpmath.mpf(VOGT.m)
        w = VOGT.a + VOGT.b * (VOGT.rho * x + mpmath.sqrt(x * x + mpmath.mpf(VOGT.sigma) ** 2))
        d1 = -k / mpmath.sqrt(w) + mpmath.sqrt(w) / 2
        return mpmath.ncdf(d1) - strike * mpmath.ncdf(d1 - mpmath.sqrt(w))

    for k in (-0.8, 0.0, 0.5, 0.87926, 1.2, 1.4):
        strike = mpmath.exp(mpmath.mpf(k))
        w = float(VOGT.total_variance(np.array([k]))[0])
        d2 = -k / math.sqrt(w) - 0.5 * math.sqrt(w)
        density = float(mpmath.diff(call, strike, 2)) * float(strike)
        factor = density * math.sqrt(2.0 * math.pi * w) * math.exp(0.5 * d2 * d2)
        assert float(VOGT.density_factor(np.array([k]))[0]) == pytest.approx(factor, rel=1e-7)


def test_sv1_the_repair_is_the_published_slice_and_free() -> None:
    mended = repaired(VOGT, 1.0)
    wings = to_jump_wings(mended, 1.0)
    assert wings.call_slope == pytest.approx(0.3493158, abs=5e-8)
    assert wings.least == pytest.approx(0.01548182, abs=5e-9)
    found = (mended.a, mended.b, mended.m, mended.rho, mended.sigma)
    assert found == pytest.approx((0.0077409, 0.0692420, 0.0420337, -0.3340365, 0.1186078), abs=5e-8)
    assert judge(mended).worst > 0.0


def test_sv1_gatherals_and_jacquiers_optimum_is_free() -> None:
    """Only the call wing moves: c* = 0.8564763 with the least variance as it was."""
    optimum = from_jump_wings(replace(to_jump_wings(VOGT, 1.0), call_slope=0.8564763))
    assert judge(optimum).worst == pytest.approx(0.008, abs=5e-4)


def test_sv1_the_nearest_repair_lies_between_the_broken_slice_and_the_full_repair() -> None:
    old, mended, full = to_jump_wings(VOGT, 1.0), nearest_repair(VOGT, 1.0), to_jump_wings(repaired(VOGT, 1.0), 1.0)
    assert judge(mended).is_free
    assert full.call_slope < to_jump_wings(mended, 1.0).call_slope < old.call_slope
    slightly_less = replace(to_jump_wings(mended, 1.0), call_slope=1.001 * to_jump_wings(mended, 1.0).call_slope)
    assert not judge(from_jump_wings(slightly_less)).is_free
    assert nearest_repair(mended, 1.0) == mended


def test_sv1_a_raw_slice_is_accepted_only_without_arbitrage() -> None:
    with pytest.raises(InputError, match=r"negative for k from 0\.64241 to 1\.25691"):
        slice_of_raw(VOGT, 1.0)
    fitted = slice_of_raw(nearest_repair(VOGT, 1.0), 1.0)
    assert butterfly_ok(fitted.theta, fitted.rho * fitted.psi, fitted.psi)
    with pytest.raises(InputError, match=r"wings rise at 2\.4"):
        slice_of_raw(RawSvi(a=0.1, b=1.6, rho=0.5, m=0.0, sigma=0.4), 1.0)


# HS1, HS5

CALLS = dict(
    zip(
        (80, 90, 100, 110, 120),
        (26.774758743998854, 20.933349000596710, 16.070154917028834, 12.132211516709845, 9.024913483457836),
        strict=True,
    )
)
HS1 = Heston(variance=0.04, reversion=4.0, level=0.25, vol_of_variance=1.0, correlation=-0.5)


@pytest.mark.parametrize(("strike", "published"), CALLS.items())
def test_hs1_calls_and_puts_are_the_published_ones(strike: int, published: float) -> None:
    found = evaluate(100.0, float(strike), 1.0, HS1, 0.01, True, 0.02)
    assert found.price == pytest.approx(published, abs=1e-8)
    put = evaluate(100.0, float(strike), 1.0, HS1, 0.01, False, 0.02).price
    parity = 100.0 * math.exp(-0.02) - strike * math.exp(-0.01)
    assert put == pytest.approx(published - parity, abs=1e-8)


def test_hs1_the_outermost_puts_are_the_published_ones() -> None:
    assert evaluate(100.0, 80.0, 1.0, HS1, 0.01, False, 0.02).price == pytest.approx(7.958878113256768, abs=1e-8)
    assert evaluate(100.0, 120.0, 1.0, HS1, 0.01, False, 0.02).price == pytest.approx(29.811026202682472, abs=1e-8)


def in_two_probabilities(model: Heston, spot: float, strike: float, time: float, rate: float, carry: float) -> float:
    """Heston's own form of the call, S P1 - K P2, each probability an adaptive integral."""
    forward = spot * math.exp((rate - carry) * time)

    def phi(z: complex) -> complex:
        constant, slope = model.exponents(np.array([z], dtype=complex), time)
        return complex(np.exp(constant + slope * model.variance)[0])

    def probability(shift: complex) -> float:
        def integrand(u: float) -> float:
            wave = np.exp(1j * u * math.log(forward / strike)) * phi(u + shift)
            return float((wave / (1j * u)).real)

        return 0.5 + quad(integrand, 1e-12, 400.0, limit=500, epsabs=1e-12)[0] / math.pi

    discount = math.exp(-rate * time)
    return discount * (forward * probability(-1j) - strike * probability(0.0))


@pytest.mark.parametrize("strike", [60.0, 100.0, 150.0])
def test_hs1_lewis_integral_equals_hestons_two_probabilities(strike: float) -> None:
    ours = evaluate(100.0, strike, 1.0, HS1, 0.01, True, 0.02).price
    assert ours == pytest.approx(in_two_probabilities(HS1, 100.0, strike, 1.0, 0.01, 0.02), abs=1e-8)


@pytest.mark.parametrize(
    ("time", "strike", "vol"),
    [
        (0.1, 80.0, 0.22360758200372477), (0.1, 90.0, 0.21023988547031242), (0.1, 100.0, 0.1990674789471587),
        (0.1, 110.0, 0.19118230678920461), (1.0, 100.0, 0.19479398358151515),
    ],
)  # fmt: skip
def test_hs5_implied_vols_are_the_published_ones(time: float, strike: float, vol: float) -> None:
    model = Heston(0.04, 1.15, 0.04, 0.2, -0.4)
    price = evaluate(100.0, strike, time, model, 0.0, strike >= 100.0).price
    assert implied_vol(price, 100.0, strike, time, 0.0, strike >= 100.0) == pytest.approx(vol, abs=1e-9)


# MV1

MV1 = Heston(variance=0.36, reversion=4.0, level=0.36, vol_of_variance=2.0, correlation=-0.5)
MONTH = 30 / 365


def smile(strike: float) -> float:
    price = evaluate(100.0, strike, MONTH, MV1, 0.0, True).price
    return implied_vol(price, 100.0, strike, MONTH, 0.0, True)


def test_mv1_deltas_are_those_of_the_table() -> None:
    quote = evaluate(100.0, 100.0, MONTH, MV1, 0.0, True)
    _, delta, _, vega, *_ = spot_greeks(100.0, 100.0, MONTH, smile(100.0), 0.0, True)
    assert delta == pytest.approx(0.532964, abs=1e-4)
    assert quote.delta == pytest.approx(0.577840, abs=1e-4)
    assert minimum_variance_delta(quote, 100.0, MV1) == pytest.approx(0.495730, abs=1e-4)
    slope = (smile(100.01) - smile(99.99)) / 0.02
    assert delta + vega * slope == pytest.approx(0.488088, abs=1e-4)


def test_mv1_the_sensitivities_are_derivatives_of_the_price() -> None:
    """Second source: differences of prices; and homogeneity, S V_S + K V_K = V."""
    quote = evaluate(100.0, 100.0, MONTH, MV1, 0.0, True)

    def at(spot: float = 100.0, strike: float = 100.0, variance: float = 0.36) -> float:
        return evaluate(spot, strike, MONTH, replace(MV1, variance=variance), 0.0, True).price

    assert quote.delta == pytest.approx((at(spot=100.01) - at(spot=99.99)) / 0.02, abs=1e-7)
    assert quote.variance_vega == pytest.approx((at(variance=0.3601) - at(variance=0.3599)) / 0.0002, abs=1e-5)
    by_strike = (at(strike=100.01) - at(strike=99.99)) / 0.02
    assert quote.delta == pytest.approx((quote.price - 100.0 * by_strike) / 100.0, abs=1e-7)


def test_mv1_residual_vols_are_those_of_the_table_and_least_at_the_minimum() -> None:
    quote = evaluate(100.0, 100.0, MONTH, MV1, 0.0, True)
    _, black_scholes, *_ = spot_greeks(100.0, 100.0, MONTH, smile(100.0), 0.0, True)
    best = minimum_variance_delta(quote, 100.0, MV1)
    found = [residual_vol(quote, hedge, 100.0, MV1) for hedge in (black_scholes, quote.delta, best)]
    assert found == pytest.approx([8.8207, 9.8532, 8.5331], abs=1e-4)
    closed = math.sqrt(1.0 - 0.25) * 2.0 * 0.6 * quote.variance_vega
    assert found[2] == pytest.approx(closed, rel=1e-12)
    assert min(residual_vol(quote, best + step, 100.0, MV1) for step in (-0.01, 0.01)) > found[2]


def simulated_residuals(paths: int, seed: int) -> list[float]:
    """Deviation of one small step's hedged P&L, from draws of the two Brownian motions."""
    step, spot = 1e-6, 100.0
    generator = np.random.default_rng(seed)
    w = generator.standard_normal(paths)
    z = MV1.correlation * w + math.sqrt(1.0 - MV1.correlation**2) * generator.standard_normal(paths)
    root = math.sqrt(MV1.variance * step)
    quote = evaluate(spot, 100.0, MONTH, MV1, 0.0, True)
    _, black_scholes, *_ = spot_greeks(spot, 100.0, MONTH, smile(100.0), 0.0, True)
    moved = spot * root * w
    option = quote.delta * moved + quote.variance_vega * MV1.vol_of_variance * root * z
    hedges = (black_scholes, quote.delta, minimum_variance_delta(quote, spot, MV1))
    return [float(np.std(option - hedge * moved)) / math.sqrt(step) for hedge in hedges]


def test_mv1_residual_vols_agree_with_simulated_steps() -> None:
    assert simulated_residuals(400_000, 7) == pytest.approx([8.8207, 9.8532, 8.5331], rel=5e-3)


@pytest.mark.soak
def test_mv1_residual_vols_agree_with_many_simulated_steps() -> None:
    assert simulated_residuals(20_000_000, 7) == pytest.approx([8.8207, 9.8532, 8.5331], rel=5e-4)
