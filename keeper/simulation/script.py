"""What happens whatever anybody decides: prices, vols, gas and shocks, all drawn from named streams of one seed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keeper.data.prices import load_bars
from keeper.errors import InputError
from keeper.market.bridge import BarBridge
from keeper.market.crash import crash_bars
from keeper.market.gbm import price_paths
from keeper.market.surface import AtmVol, realised_atm, slice_for
from keeper.roles.schedule import expiries
from keeper.simulation.scenario import Scenario, Shock
from keeper.state.bars import Bars
from keeper.units import GWEI, SECONDS_PER_DAY, SECONDS_PER_YEAR

LOOK = 15
"""Seconds between two looks of the price reporter at the market."""
WEEK = 7 * SECONDS_PER_DAY
_FINE = 10  # points of a model's path within one bar


def stream(seed: int, name: str) -> np.random.Generator:
    """The generator of a named stream: the same seed and name give the same draws, whatever else is drawn."""
    return np.random.default_rng([seed, stream_key(name)])


def stream_key(name: str) -> int:
    """A number for a stream's name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")


@dataclass(frozen=True, slots=True, eq=False)
class Script:
    """The exogenous world of one run, from ``start`` to ``end`` (unix seconds)."""

    start: int
    end: int
    bars: Bars
    bridge: BarBridge
    atm: AtmVol
    price_times: tuple[int, ...]
    volatility_times: tuple[int, ...]
    tenor: int
    rho: float
    curvature: float
    base_fee: int
    shocks: tuple[Shock, ...]

    def price(self, now: int) -> float:
        """The market's price at a second, USD."""
        return self.bridge.price_at(now)

    def vol(self, now: int) -> float:
        """The at-the-money vol that reporters see, annual."""
        return self.atm.at(now)

    def live_expiries(self, now: int) -> tuple[int, ...]:
        """Expiries that are reported at ``now``: the next two."""
        return expiries(self.start, now, self.tenor)

    def slice(self, now: int, expiry: int) -> tuple[float, float, float]:
        """(theta, rho, psi) of an expiry as reporters see it at ``now``."""
        return slice_for(self.vol(now), (expiry - now) / SECONDS_PER_YEAR, self.rho, self.curvature)

    def outage_ends(self, now: int) -> int | None:
        """When the keeper's outage that covers ``now`` ends, or None when there is none."""
        ends = [
            self.start + shock.at + shock.for_
            for shock in self.shocks
            if self.start + shock.at <= now < self.start + shock.at + shock.for_
        ]
        return max(ends, default=None)


def compile_script(scenario: Scenario) -> Script:
    """Everything exogenous in a scenario. Raises ``InputError`` where prices and clock do not fit together."""
    bars = _bars(scenario)
    market, oracle = scenario.market.volatility, scenario.oracle
    start, end = bars.start, bars.end
    if isinstance(market.atm, str):
        atm = realised_atm(bars, market.half_life, market.lag, market.floor, market.cap, market.initial)
    else:
        atm = AtmVol(np.array([start]), np.array([market.atm]))
    bridge = BarBridge(bars, stream_key(f"bridge {scenario.seed}"))
    tenor = min((vault.buys.tenor for vault in scenario.vaults.values() if vault.buys is not None), default=WEEK)
    regular = range(start, end + 1, oracle.volatility_every)
    return Script(
        start=start,
        end=end,
        bars=bars,
        bridge=bridge,
        atm=atm,
        price_times=tuple(time for time, _ in bridge.events(LOOK, oracle.heartbeat, oracle.deviation_bps)),
        volatility_times=tuple(sorted({*regular, *range(start, end + 1, tenor)})),
        tenor=tenor,
        rho=market.rho,
        curvature=market.curvature,
        base_fee=round(scenario.market.gas.base_gwei * GWEI),
        shocks=tuple(scenario.shocks),
    )


def _bars(scenario: Scenario) -> Bars:
    price, clock = scenario.market.price, scenario.clock
    if price.replay is not None:
        return _replayed(scenario, load_bars(Path(price.replay)))
    if clock.start is None or clock.duration is None:
        raise InputError("clock.start and clock.duration are needed unless prices are replayed")
    generator = stream(scenario.seed, "price")
    if price.shape is not None:
        return crash_bars(generator, clock.start, clock.duration / SECONDS_PER_DAY, clock.step, price.spot)
    return _model_bars(scenario, generator, clock.start, clock.duration)


def _replayed(scenario: Scenario, bars: Bars) -> Bars:
    """The part of a file that the clock asks for."""
    clock = scenario.clock
    start = bars.start if clock.start is None else clock.start
    end = bars.end if clock.duration is None else start + clock.duration
    if start < bars.start or end > bars.end:
        raise InputError(
            f"the clock asks for prices from {start} to {end}, and {scenario.market.price.replay} has them "
            f"from {bars.start} to {bars.end}: change clock.start or clock.duration, or leave them out"
        )
    part = bars.between(start, end)
    if len(part) < 2:
        raise InputError(f"{scenario.market.price.replay} has {len(part)} bars from {start} to {end}: give at least 2")
    return part


def _model_bars(scenario: Scenario, generator: np.random.Generator, start: int, duration: int) -> Bars:
    """Bars of geometric Brownian motion."""
    price, step = scenario.market.price, scenario.clock.step
    count = max(duration // step, 1)
    times = np.arange(count * _FINE + 1) * (step / _FINE / SECONDS_PER_YEAR)
    path = price_paths(generator, 1, times, price.spot, price.drift, price.vol)[:, 0]
    inside, closes = path[:-1].reshape(-1, _FINE), path[_FINE::_FINE]
    return Bars(
        times=start + step * np.arange(count, dtype=np.int64),
        open=inside[:, 0].copy(),
        high=np.maximum(inside.max(axis=1), closes),
        low=np.minimum(inside.min(axis=1), closes),
        close=closes.copy(),
        step=step,
    )
