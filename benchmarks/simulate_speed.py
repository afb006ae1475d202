"""How fast the simulator hedges, against the same hedge written with NumPy arrays, on the same prices in one run.

    python benchmarks/simulate_speed.py [--paths 20000] [--steps 250] [--rounds 5]

Both sell a call, hedge it at every step, pay fees and settle; their P&L and its parts must agree path by path. One
thread, processor time, the best of several rounds; `simulate` draws the paths as well. The NumPy version knows one
policy only, without latency, and would need a loop over orders for the rest.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from keeper.market.gbm import price_paths
from keeper.simulation.simulate import SimulateConfig, replay, simulate
from keeper.units import SECONDS_PER_DAY

Array = NDArray[np.float64]


def call_greeks(config: SimulateConfig, spot: Array, tau: float) -> tuple[Array, Array, Array, Array, Array]:
    """Value, delta, gamma, theta and charm of a call."""
    present_strike = config.strike * np.exp(-config.rate * tau)
    deviation = config.implied_vol * np.sqrt(tau)
    d1 = np.log(spot / present_strike) / deviation + 0.5 * deviation
    d2 = d1 - deviation
    delta = ndtr(d1)
    density = np.exp(-0.5 * d1 * d1) / np.sqrt(2.0 * np.pi)
    strike_leg = present_strike * ndtr(d2)
    theta = -0.5 * spot * density * config.implied_vol / np.sqrt(tau) - config.rate * strike_leg
    charm = density * (0.5 * d2 / tau - config.rate / deviation)
    return spot * delta - strike_leg, delta, density / (spot * deviation), theta, charm


def hedge_with_arrays(config: SimulateConfig, times: Array, prices: Array) -> Array:
    """P&L of each path, one vectorised step at a time; with ``attribute`` its delta, gamma and theta parts as well."""
    expiry, fee = times[-1], config.fee_bps / 1e4
    hedge = np.zeros(prices.shape[1])
    cash = np.full(prices.shape[1], -config.position * config.premium)
    parts = np.zeros((3, prices.shape[1]))
    for i in range(times.size - 1):
        spot, tau, discount = prices[i], expiry - times[i], np.exp(-config.rate * times[i])
        if config.attribute:
            value, delta, gamma, _, charm = call_greeks(config, spot, tau)
        else:
            deviation = config.hedge_vol * np.sqrt(tau)
            delta = ndtr((np.log(spot / config.strike) + config.rate * tau) / deviation + 0.5 * deviation)
        trade = -config.position * delta - hedge
        cash -= discount * spot * (trade + fee * np.abs(trade))
        hedge += trade
        if config.attribute:
            step, change, later = times[i + 1] - times[i], prices[i + 1] - spot, np.exp(-config.rate * times[i + 1])
            _, _, mid_gamma, mid_theta, mid_charm = call_greeks(config, spot + 0.5 * change, tau - 0.5 * step)
            decay = mid_theta * step + (charm / 6.0 + mid_charm / 3.0) * step * change
            parts[0] += later * (config.position * delta + hedge) * change
            parts[1] += later * config.position * (gamma / 6.0 + mid_gamma / 3.0) * change**2
            parts[2] += config.position * (later * decay - (discount - later) * value)
    spot = prices[-1]
    payoff = config.position * np.maximum(spot - config.strike, 0.0)
    return np.vstack([cash + np.exp(-config.rate * expiry) * (payoff + hedge * spot), parts])


def best(rounds: int, work: Callable[[], object], clock: Callable[[], float] = time.process_time) -> float:
    """Least seconds of several goes: of the processor, so that other programs do not disturb, unless told."""
    seconds = []
    for _ in range(rounds):
        started = clock()
        work()
        seconds.append(clock() - started)
    return min(seconds)


def main() -> None:
    """Run, check that the two agree, and print the rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--paths", type=int, default=20_000)
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    expiry = 90.0 * SECONDS_PER_DAY
    config = SimulateConfig(
        2000.0, 2000.0, 0.05, 0.05, 0.8, 0.8, 0.8, expiry=expiry, every=expiry / options.steps, fee_bps=5.0,
        paths=options.paths, attribute=False,
    )  # fmt: skip
    times = config.schedule.times
    prices = price_paths(np.random.default_rng(1), options.paths, times, config.spot, config.drift, config.realised_vol)

    million = options.paths * (times.size - 1) / 1e6
    print(f"{options.paths:,} paths of {times.size - 1} steps, M path-steps/s    NumPy  compiled  ratio  simulate")
    for attribute, label in ((False, "hedge only"), (True, "hedge and attribution")):
        job = dataclasses.replace(config, attribute=attribute)
        compiled, by_arrays = replay(job, prices)[0], hedge_with_arrays(job, times, prices)
        for name, expected in zip(("pnl", "delta", "gamma", "theta"), by_arrays, strict=True):
            if not np.allclose(compiled[name], expected, rtol=0.0, atol=1e-7):
                raise SystemExit(f"the two disagree about {name}")
        arrays = million / best(options.rounds, partial(hedge_with_arrays, job, times, prices))
        kernel = million / best(options.rounds, partial(replay, job, prices))
        whole = million / best(options.rounds, partial(simulate, job, threads=1))
        print(f"  {label:37} {arrays:12.2f} {kernel:9.2f} {kernel / arrays:6.2f} {whole:9.2f}")
    threads = os.cpu_count() or 1
    waited = million / best(options.rounds, partial(simulate, job), time.perf_counter)
    print(f"  by the clock, {threads} threads, paths drawn as well {waited:37.2f}")


if __name__ == "__main__":
    main()
