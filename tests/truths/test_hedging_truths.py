"""Published results on discrete hedging, reproduced through the simulator and the live policies' own kernels.

Each test names its row (H1, DK1, ...), gives the published or independently recomputed number, and demands it within
the stated tolerance; path counts are such that the sampling error is well inside. Docs: docs/simulate.md.
"""

from __future__ import annotations

import dataclasses
import math
from functools import cache

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize_scalar

from keeper.hedging.bands import optimal_interval, whalley_wilmott_half_width
from keeper.hedging.policies import Policy, decide, whalley_wilmott
from keeper.pricing.black76 import spot_greeks
from keeper.simulation.book import Payoff
from keeper.simulation.simulate import SimulateConfig, SimulateResult, replay, simulate
from keeper.units import SECONDS_PER_DAY, SECONDS_PER_HOUR, SECONDS_PER_YEAR

HULL_EXPIRY = 20 / 52
HULL_PATH = (
    49.00, 48.12, 47.37, 50.25, 51.75, 53.12, 53.00, 51.87, 51.38, 53.00, 49.88,
    48.50, 49.88, 50.37, 52.13, 51.88, 52.87, 54.87, 54.62, 55.87, 57.25,
)  # fmt: skip
HULL_DELTAS = (
    0.522, 0.458, 0.400, 0.596, 0.693, 0.774, 0.771, 0.706, 0.674, 0.787,
    0.550, 0.413, 0.542, 0.591, 0.768, 0.759, 0.865, 0.978, 0.990, 1.000,
)  # fmt: skip
CONTINUITY = 0.5826
"""A barrier that is watched at intervals dt acts as if it stood this many standard deviations of a step further out
(Broadie, Glasserman and Kou 1997)."""


def hull(**changes: object) -> SimulateConfig:
    """Hull's sold call."""
    week = HULL_EXPIRY / 20 * SECONDS_PER_YEAR
    config = SimulateConfig(49.0, 50.0, 0.05, 0.05, 0.2, 0.2, 0.2, expiry=20 * week, every=week, attribute=False)
    return dataclasses.replace(config, **changes)


def bought(realised: float, hedge: float, steps: int, **changes: object) -> SimulateConfig:
    """The bought one-year call of Ahmad and Wilmott: implied vol 20 %, rate 5 %."""
    config = SimulateConfig(100.0, 100.0, 0.05, 0.05, realised, 0.2, hedge, expiry=SECONDS_PER_YEAR, position=1.0)
    return dataclasses.replace(config, every=SECONDS_PER_YEAR / steps, **changes)


def steady_book(days: float, every: float, **changes: object) -> SimulateConfig:
    """A bought book of constant cash gamma 100 on a coin at 100 with a vol of 80 %."""
    config = SimulateConfig(100.0, 100.0, 0.0, 0.0, 0.8, 0.8, 0.8, expiry=days * SECONDS_PER_DAY, every=every)
    return dataclasses.replace(config, payoff=Payoff.CONSTANT_CASH_GAMMA, position=1.0, attribute=False, **changes)


def moment(values: np.ndarray, order: int) -> float:
    """Standardised central moment."""
    centred = values - values.mean()
    return float((centred**order).mean() / centred.std() ** order)


# Discrete hedging


def test_h1_hull_call_has_the_published_price_and_greeks() -> None:
    price, delta, gamma, vega, theta = spot_greeks(49.0, 50.0, HULL_EXPIRY, 0.2, 0.05, True)[:5]
    assert hull().premium == pytest.approx(2.400527, abs=1e-6)
    assert price == hull().premium
    assert delta == pytest.approx(0.521605, abs=1e-6)
    assert gamma == pytest.approx(0.0655440, abs=1e-6)
    assert vega == pytest.approx(12.10548, abs=1e-5)
    assert theta == pytest.approx(-4.305330, abs=1e-6)


def test_h2_hull_table_weekly_deltas_and_cost_of_hedging() -> None:
    contracts = 100_000
    table, positions = replay(hull(position=-float(contracts)), np.array(HULL_PATH))
    assert positions[:, 0] / contracts == pytest.approx(HULL_DELTAS, abs=5e-4)

    week = 0.05 / 52  # Hull charges simple interest each week on the cumulative cost
    trades = np.diff(positions[:, 0], prepend=0.0, append=contracts)  # the call is exercised: deliver every share
    growth = (1 + week) ** np.arange(20, -1, -1)
    spent = (trades * np.array(HULL_PATH) * growth).sum()
    assert spent - 50.0 * contracts == pytest.approx(263_208.6, abs=1.0)

    premium = hull().premium * contracts  # the simulator's own ledger compounds continuously: some dollars more
    assert (premium - table["pnl"][0]) * math.exp(0.05 * HULL_EXPIRY) == pytest.approx(263_300, abs=200.0)


@pytest.mark.parametrize(("drift", "published"), [(0.05, (0.4101, 0.3698, 0.2674, 0.1921, 0.1375, 0.0979)),
                                              (0.13, (0.4156, 0.3737, 0.2687, 0.1923, 0.1374, 0.0978))])  # fmt: skip
def test_h4_hull_hedge_performance_by_rebalancing_interval(drift: float, published: tuple[float, ...]) -> None:
    for weeks, expected in zip((5.0, 4.0, 2.0, 1.0, 0.5, 0.25), published, strict=True):
        config = hull(every=hull().every * weeks, drift=drift, paths=int(100_000 * max(weeks, 1.0)))
        result = simulate(config)
        assert result.pnl.std / result.premium == pytest.approx(expected, abs=0.003), weeks


def test_dk1_derman_kamal_hedging_error() -> None:
    month = SECONDS_PER_YEAR / 12
    config = SimulateConfig(100.0, 100.0, 0.05, 0.05, 0.2, 0.2, 0.2, expiry=month, every=month / 21, attribute=False)
    call, _, _, vega = spot_greeks(100.0, 100.0, 1 / 12, 0.2, 0.05, True)[:4]
    assert call == pytest.approx(2.512067, abs=1e-6)
    assert math.sqrt(math.pi / 4) * vega * 0.2 / math.sqrt(21) == pytest.approx(0.4432, abs=1e-4)
    assert dataclasses.replace(config, payoff=Payoff.PUT).premium == pytest.approx(2.096, abs=5e-4)

    result = simulate(dataclasses.replace(config, paths=1_000_000), keep_paths=True)
    assert result.pnl.std * math.exp(0.05 / 12) == pytest.approx(0.42781, rel=0.01)  # published at expiry
    assert abs(result.pnl.mean) < 3 * result.pnl.stderr
    assert moment(result.table["pnl"], 3) == pytest.approx(-0.31, abs=0.03)
    assert moment(result.table["pnl"], 4) - 3.0 == pytest.approx(1.52, abs=0.1)


def test_be1_boyle_emanuel_single_interval_is_a_shifted_chi_square() -> None:
    config = steady_book(1 / 1440, 60.0, paths=1 << 20, sampling="stratified")
    outcomes = simulate(config, keep_paths=True).table["pnl"]
    unit = 0.5 * 100.0 * 0.8**2 * config.expiry / SECONDS_PER_YEAR  # half cash gamma times variance
    assert moment(outcomes, 3) == pytest.approx(math.sqrt(8.0), rel=0.01)
    assert moment(outcomes, 4) == pytest.approx(15.0, rel=0.01)
    assert (outcomes < 0.0).mean() == pytest.approx(0.6827, rel=0.01)
    assert np.abs(outcomes).mean() / unit == pytest.approx(0.9679, rel=0.01)


@pytest.mark.parametrize(("steps", "published", "paths"), [(120, 345.47, 100_000), (720, 848.06, 30_000)])
def test_tc1_expected_cost_of_interval_hedging(steps: int, published: float, paths: int) -> None:
    expiry = 30.0 * SECONDS_PER_DAY
    config = SimulateConfig(
        100.0, 100.0, 0.0, 0.0, 0.8, 0.8, 0.8, expiry=expiry, every=expiry / steps, fee_bps=5.0, paths=paths,
        attribute=False,
    )  # fmt: skip
    _, delta, _, vega = spot_greeks(100.0, 100.0, 30 / 365, 0.8, 0.0, True)[:4]
    theory = vega * math.sqrt(2 / (math.pi * config.every / SECONDS_PER_YEAR))
    result = simulate(config)
    rebalancing = result.turnover - 100.0 * delta  # without setting the hedge up
    assert rebalancing == pytest.approx(theory, rel=0.01)
    assert rebalancing == pytest.approx(published, rel=0.01)
    assert result.costs["fees"] == pytest.approx(5e-4 * (theory + 100.0 * delta), rel=0.01)


# Which vol to hedge at


def test_aw1_hedging_at_the_actual_vol_locks_in_the_difference_of_values() -> None:
    locked_in = dataclasses.replace(bought(0.4, 0.4, 1), implied_vol=0.4).premium - bought(0.4, 0.4, 1).premium
    assert locked_in == pytest.approx(7.572368, abs=1e-6)
    coarse = simulate(bought(0.4, 0.4, 100, paths=40_000, attribute=False))
    fine = simulate(bought(0.4, 0.4, 1600, paths=10_000, attribute=False))
    assert abs(coarse.pnl.mean - locked_in) < 3 * coarse.pnl.stderr
    assert abs(fine.pnl.mean - locked_in) < 3 * fine.pnl.stderr
    assert coarse.pnl.std / fine.pnl.std == pytest.approx(4.0, rel=0.05)  # N^-1/2


def ahmad_wilmott_mean(drift: float) -> float:
    """Expected present value when hedging at the implied vol; S = K = 100, 40 % against 20 %, r = 5 %, T = 1."""

    def integrand(s: float) -> float:
        variance = 0.16 * s + 0.04 * (1.0 - s)
        shift = (drift - 0.08) * s + (0.05 - 0.02) * (1.0 - s)
        return math.exp(-(shift**2) / (2 * variance)) / math.sqrt(variance)

    return 100.0 * math.exp(-0.05) * (0.16 - 0.04) / (2 * math.sqrt(2 * math.pi)) * quad(integrand, 0.0, 1.0)[0]


@cache
def hedged_at_implied(drift: float) -> SimulateResult:
    return simulate(bought(0.4, 0.2, 2000, drift=drift, paths=20_000, attribute=False))


@pytest.mark.parametrize(("drift", "mean"), [(-0.1, 7.36574), (0.0, 7.54533), (0.05, 7.57237)])
def test_aw2_hedging_at_the_implied_vol_mean(drift: float, mean: float) -> None:
    assert ahmad_wilmott_mean(drift) == pytest.approx(mean, abs=1e-5)
    result = hedged_at_implied(drift)
    assert abs(result.pnl.mean - mean) < 3 * result.pnl.stderr


@pytest.mark.parametrize(("drift", "deviation"), [(-0.1, 3.79327), (0.0, 3.81930), (0.05, 3.83254)])
def test_aw3_hedging_at_the_implied_vol_standard_deviation(drift: float, deviation: float) -> None:
    assert hedged_at_implied(drift).pnl.std == pytest.approx(deviation, rel=0.01)


@pytest.mark.soak
@pytest.mark.parametrize(("drift", "deviation"), [(-0.1, 3.79327), (0.0, 3.81930), (0.05, 3.83254)])
def test_aw3_standard_deviation_of_frequent_hedging(drift: float, deviation: float) -> None:
    result = simulate(bought(0.4, 0.2, 4000, drift=drift, paths=60_000, attribute=False))
    assert result.pnl.std == pytest.approx(deviation, rel=0.01)


def continuous_limit(result: SimulateResult) -> np.ndarray:
    """1/2 integral of exp(-r t) (sigma^2 - implied^2) S^2 Gamma dt on each path.

    Theta, interest and financing of a hedged option are -1/2 implied^2 S^2 Gamma dt, so the integral is their sum over
    the path times (implied^2 - sigma^2) / implied^2.
    """
    return (result.table["theta"] - result.table["funding"]) * (0.04 - 0.16) / 0.04


def test_ek1_pathwise_identity_error_halves_for_four_times_the_hedges() -> None:
    errors = []
    for steps, paths in ((250, 30_000), (1000, 12_000), (4000, 5_000)):
        result = simulate(bought(0.4, 0.2, steps, paths=paths), keep_paths=True)
        errors.append(math.sqrt(np.mean((result.table["pnl"] - continuous_limit(result)) ** 2)))
    assert errors[0] / errors[1] == pytest.approx(2.0, rel=0.05)
    assert errors[1] / errors[2] == pytest.approx(2.0, rel=0.05)


# Latency


def check_latency(hours: float, delay: float, paths: int) -> None:
    config = steady_book(200 * hours / 24, hours * SECONDS_PER_HOUR, latency=delay * SECONDS_PER_HOUR, paths=paths)
    year = SECONDS_PER_YEAR / SECONDS_PER_HOUR
    h, d, t = hours / year, delay / year, 200 * hours / year
    theory = 100.0**2 * 0.8**4 * (t * h / 2 + d * t - d * d / 2)
    assert simulate(config).pnl.std ** 2 == pytest.approx(theory, rel=0.02)


@pytest.mark.parametrize(("hours", "delay"), [(1.0, 0.5), (1.0, 7.0), (4.0, 3.0), (12.0, 0.5)])
def test_lat1_latency_acts_as_a_longer_interval(hours: float, delay: float) -> None:
    check_latency(hours, delay, paths=60_000)


@pytest.mark.soak
@pytest.mark.parametrize("hours", [1.0, 4.0, 12.0])
@pytest.mark.parametrize("delay", [0.5, 3.0, 7.0])
def test_lat1_latency_acts_as_a_longer_interval_on_the_whole_grid(hours: float, delay: float) -> None:
    check_latency(hours, delay, paths=150_000)


# Bands


def test_ww1_band_matches_published_positions() -> None:
    deltas, positions = [], []
    for log_moneyness in (-0.05, -0.01, 0.0, 0.01, 0.05):
        spot = math.exp(log_moneyness)
        _, delta, gamma = spot_greeks(spot, 1.0, 0.1, 0.2, 0.0, True)[:3]
        trade = whalley_wilmott(delta, 0.5, spot, gamma, 0.1, 0.0, 1e-5, 1.0)[0]
        dispatched = decide(
            int(Policy.WHALLEY_WILMOTT), delta, 0.5, 0.0, spot, gamma, 0.1, 0.0, 1.0, 0.0, 1e-5, 1.0, False
        )
        assert dispatched[0] == trade
        deltas.append(delta)
        positions.append(0.5 + trade)
    assert deltas == pytest.approx([0.2239, 0.4497, 0.5126, 0.5752, 0.7945], abs=5e-5)
    assert positions == pytest.approx([0.2946, 0.5, 0.5, 0.5, 0.7284], abs=5e-5)


COST, AVERSION, LOOK = 5e-4, 0.1, 600.0
CASH_SPEED = 100.0 * 0.8
"""Volatility of the cash delta of the steady book, $ per square root of a year."""


def objective(result: SimulateResult, config: SimulateConfig) -> float:
    """Cost plus half the risk aversion times the variance of the P&L, per year."""
    years = config.expiry / SECONDS_PER_YEAR
    return (result.costs["fees"] + 0.5 * AVERSION * result.pnl.std**2) / years


def band_objective(half_width: float) -> float:
    """The same for a band of this half-width in $, watched all the time."""
    return COST * CASH_SPEED**2 / (2 * half_width) + 0.5 * AVERSION * 0.8**2 * half_width**2 / 3


def interval_objective(interval: float) -> float:
    """The same for a fixed interval in years."""
    volume = CASH_SPEED * math.sqrt(2 / (math.pi * interval))
    return COST * volume + 0.5 * AVERSION * 0.8**2 * CASH_SPEED**2 * interval / 2


@cache
def hedged_in_a_band(scale: float, days: float, paths: int) -> tuple[SimulateConfig, SimulateResult]:
    """The steady book in a band ``scale`` times that of Whalley and Wilmott, from the same random numbers."""
    config = steady_book(
        days, LOOK, policy=Policy.WHALLEY_WILMOTT, fee_bps=COST * 1e4, risk_aversion=AVERSION / scale**3, paths=paths
    )
    return config, simulate(config)


def test_ww2_band_trades_and_strays_as_the_theory_of_reflection_says() -> None:
    config, result = hedged_in_a_band(1.0, 60.0, 6_000)
    years = config.expiry / SECONDS_PER_YEAR
    half_width = 100.0 * whalley_wilmott_half_width(100.0, 0.01, years, 0.0, COST, AVERSION)
    seen = half_width + CONTINUITY * CASH_SPEED * math.sqrt(LOOK / SECONDS_PER_YEAR)
    assert result.turnover / years == pytest.approx(CASH_SPEED**2 / (2 * seen), rel=0.025)
    assert result.pnl.std**2 / (0.8**2 * years) == pytest.approx(seen**2 / 3, rel=0.04)


def test_ww2_objective_is_least_at_the_closed_form() -> None:
    narrow, exact, wide = (
        objective(result, config)
        for config, result in (hedged_in_a_band(scale, 30.0, 3_000) for scale in (0.7, 1.0, 1.4))
    )
    assert exact < narrow
    assert exact < wide


def test_iv1_best_interval_costs_1_5632_times_the_best_band() -> None:
    band = minimize_scalar(band_objective, bracket=(1.0, 4.0), tol=1e-12)
    interval = minimize_scalar(interval_objective, bracket=(1e-4, 3e-3), tol=1e-12)
    half_width = 100.0 * whalley_wilmott_half_width(100.0, 0.01, 1.0, 0.0, COST, AVERSION)
    best = optimal_interval(100.0, 0.01, 0.8, COST, AVERSION)
    assert band_objective(half_width) == pytest.approx(band.fun, rel=1e-9)
    assert interval_objective(best) == pytest.approx(interval.fun, rel=1e-9)
    assert interval.fun / band.fun == pytest.approx((12 / math.pi) ** (1 / 3), rel=1e-9)
    assert interval.fun / band.fun == pytest.approx(1.56319, abs=1e-5)


def test_iv1_best_interval_against_best_band_in_the_simulator() -> None:
    every = optimal_interval(100.0, 0.01, 0.8, COST, AVERSION) * SECONDS_PER_YEAR
    config = steady_book(200 * every / SECONDS_PER_DAY, every, fee_bps=COST * 1e4, paths=30_000)
    band_config, band = hedged_in_a_band(1.0, 60.0, 6_000)
    ratio = objective(simulate(config), config) / objective(band, band_config)
    assert ratio == pytest.approx(1.56319, rel=0.03)
