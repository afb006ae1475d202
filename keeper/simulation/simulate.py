"""Monte Carlo of a hedged option: what selling or buying it and hedging it earns, and where that comes from.

Paths are drawn in chunks, each from a random stream of its own, so a result depends on the seed alone and not on how
many threads shared the work.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keeper.errors import InputError
from keeper.hedging.policies import Policy, PolicyConfig
from keeper.market.gbm import price_paths
from keeper.market.sampling import SAMPLINGS, Sampling
from keeper.simulation.book import Book, Payoff, contract_greeks
from keeper.simulation.hedging_loop import COLUMNS, Costs, Rule, hedge_paths
from keeper.simulation.schedule import Schedule, build_schedule
from keeper.units import SECONDS_PER_DAY, from_bps

CHUNK_PRICES: Final = 1 << 19
"""Prices in a chunk: small enough for a processor's cache, large enough to hide the cost of a call."""
LARGEST_CHUNK: Final = 1 << 16

Table = dict[str, NDArray[np.float64]]
Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class SimulateConfig:
    """A hedged option, its market and its costs; a bad value raises ``InputError``.

    Vols, rate and drift are annual decimals, ``expiry``, ``every`` and ``latency`` seconds, ``position`` contracts
    (negative: sold), ``half_width`` coins, ``risk_aversion`` 1/$, fees and slippage bps of notional one way.
    """

    spot: float
    strike: float
    rate: float
    drift: float
    realised_vol: float
    implied_vol: float
    hedge_vol: float
    expiry: float
    payoff: Payoff = Payoff.CALL
    position: float = -1.0
    policy: Policy = Policy.FIXED_TIME
    every: float = float(SECONDS_PER_DAY)
    half_width: float = 0.0
    to_centre: bool = False
    risk_aversion: float = 0.1
    fee_bps: float = 0.0
    slippage_bps: float = 0.0
    gas_usd: float = 0.0
    latency: float = 0.0
    paths: int = 100_000
    seed: int = 1
    sampling: Sampling = "random"
    attribute: bool = True

    def __post_init__(self) -> None:
        for name in ("spot", "strike", "implied_vol", "hedge_vol", "expiry", "every", "risk_aversion"):
            _require(name, getattr(self, name), getattr(self, name) > 0.0, "be a positive number")
        for name in ("realised_vol", "half_width", "fee_bps", "slippage_bps", "gas_usd", "latency"):
            _require(name, getattr(self, name), getattr(self, name) >= 0.0, "be zero or more")
        for name in ("rate", "drift", "position"):
            _require(name, getattr(self, name), True, "be a finite number")
        _require("fee_bps + slippage_bps", self.fee_bps + self.slippage_bps, self.cost < 1.0, "be below 10000")
        _require("paths", self.paths, self.paths >= 2, "be at least 2, or there is no spread to measure")
        _require("seed", self.seed, self.seed >= 0, "be zero or more")
        if self.sampling not in SAMPLINGS:
            raise InputError(f"unknown sampling '{self.sampling}': choose one of {', '.join(SAMPLINGS)}")
        if self.policy is Policy.FIXED_BAND and self.half_width == 0.0:
            raise InputError(
                "half_width is 0.0: the fixed-band policy needs a band, in coins on each side of the target"
            )

    @property
    def cost(self) -> float:
        """One-way proportional cost, a fraction of notional."""
        return from_bps(self.fee_bps + self.slippage_bps)

    @property
    def book(self) -> Book:
        """The contract as the kernels take it."""
        return Book(int(self.payoff), self.strike, self.position, self.implied_vol, self.hedge_vol, self.rate)

    @property
    def rule(self) -> Rule:
        """The policy as the kernels take it."""
        config = PolicyConfig(self.policy, self.every, self.half_width, self.cost, self.risk_aversion, self.to_centre)
        return Rule(
            int(config.policy),
            config.interval,
            config.half_width,
            config.cost,
            config.risk_aversion,
            config.to_centre,
        )

    @property
    def costs(self) -> Costs:
        """What a hedge costs, as the kernels take it."""
        return Costs(from_bps(self.fee_bps), from_bps(self.slippage_bps), self.gas_usd)

    @property
    def schedule(self) -> Schedule:
        """When the policy looks, and when its orders fill."""
        return build_schedule(self.expiry, self.every, self.latency)

    @property
    def premium(self) -> float:
        """Price of one contract at the implied vol."""
        years = float(self.schedule.times[-1])
        return contract_greeks(int(self.payoff), self.spot, self.strike, years, self.implied_vol, self.rate)[0]


def _require(name: str, value: float, holds: bool, duty: str) -> None:
    if not (math.isfinite(value) and holds):
        raise InputError(f"{name} is {value}: it must {duty}")


@dataclass(frozen=True, slots=True)
class Distribution:
    """What a set of outcomes looks like; ``cvar95`` is the mean loss in the worst 5 %, positive."""

    mean: float
    std: float
    stderr: float
    p05: float
    p50: float
    p95: float
    cvar95: float

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Distribution:
        """The distribution of a sample of at least two values."""
        std = float(np.std(values, ddof=1))
        mean = float(np.mean(values))
        loss = 0.0 - float(np.mean(np.sort(values)[: math.ceil(0.05 * values.size)]))
        p05, p50, p95 = (float(quantile) for quantile in np.quantile(values, (0.05, 0.5, 0.95)))
        return cls(mean, std, std / math.sqrt(values.size), p05, p50, p95, loss)


@dataclass(frozen=True, slots=True)
class SimulateResult:
    """Averages over paths, in money of today for the whole position.

    ``attribution`` (empty unless asked for) sums to ``pnl.mean``. The book is marked at a constant implied vol, so its
    vega, vanna and volga parts are exactly zero. ``table`` holds one array per column of the loop when paths are kept.
    """

    premium: float
    pnl: Distribution
    hedges_per_path: float
    turnover: float
    costs: dict[str, float]
    attribution: dict[str, float]
    paths: int
    steps: int
    seconds: float
    seed: int
    table: Table = field(default_factory=dict)


def simulate(
    config: SimulateConfig, *, threads: int | None = None, keep_paths: bool = False, progress: Progress | None = None
) -> SimulateResult:
    """Hedge ``config.paths`` random paths; ``progress`` is called with the share that is done, from this thread."""
    started = time.perf_counter()
    schedule = config.schedule
    sizes = _chunk_sizes(config.paths, schedule.steps)

    def run(chunk: int) -> NDArray[np.float64]:
        rng = np.random.default_rng(np.random.SeedSequence(config.seed, spawn_key=(chunk,)))
        prices = price_paths(
            rng, sizes[chunk], schedule.times, config.spot, config.drift, config.realised_vol, config.sampling
        )
        return _hedge(config, schedule, prices, np.empty((0, sizes[chunk])))

    pnl, rows, sums, done = [], [], [], 0
    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        for chunk_rows in _in_order(pool, run, len(sizes)):
            pnl.append(chunk_rows[0].copy())
            sums.append(chunk_rows.sum(axis=1))
            done += chunk_rows.shape[1]
            if keep_paths:
                rows.append(chunk_rows)
            if progress is not None:
                progress(done / config.paths)
    outcomes = np.concatenate(pnl)
    if not np.isfinite(sums).all():
        raise InputError(f"prices left the range of numbers: a realised_vol of {config.realised_vol} is too much")
    table = _table(np.concatenate(rows, axis=1)) if keep_paths else {}
    totals = dict(zip(COLUMNS, (np.sum(sums, axis=0) / config.paths).tolist(), strict=True))
    return _result(config, schedule, outcomes, totals, table, time.perf_counter() - started)


def replay(config: SimulateConfig, prices: NDArray[np.float64]) -> tuple[Table, NDArray[np.float64]]:
    """Hedge given prices of shape (events of ``config.schedule``, paths), expiry included; one path may be flat.

    Returns the loop's columns, and the hedge after each event in coins, of shape (steps, paths). Raises ``InputError``
    for a wrong number of prices or one that is not positive.
    """
    schedule = config.schedule
    given = np.ascontiguousarray(prices if prices.ndim == 2 else prices[:, None], dtype=np.float64)
    if given.shape[0] != schedule.times.size:
        raise InputError(f"a path has {given.shape[0]} prices: this schedule needs {schedule.times.size}")
    if not (np.isfinite(given) & (given > 0.0)).all():
        raise InputError("a price is not a positive number: correct the paths")
    positions = np.empty((schedule.steps, given.shape[1]))
    rows = _hedge(config, schedule, given, positions)
    return _table(rows), positions


def _hedge(
    config: SimulateConfig, schedule: Schedule, prices: NDArray[np.float64], positions: NDArray[np.float64]
) -> NDArray[np.float64]:
    rows = np.empty((len(COLUMNS), prices.shape[1]))
    hedge_paths(
        prices,
        schedule.times,
        schedule.looks,
        schedule.fills,
        schedule.slots,
        config.book,
        config.rule,
        config.costs,
        config.attribute,
        rows,
        positions,
    )
    return rows


def _chunk_sizes(paths: int, steps: int) -> list[int]:
    """Paths in each chunk: a function of the problem alone, never of the machine."""
    size = min(max(CHUNK_PRICES // (steps + 1), 1), LARGEST_CHUNK)
    return [min(size, paths - start) for start in range(0, paths, size)]


def _in_order(
    pool: ThreadPoolExecutor, run: Callable[[int], NDArray[np.float64]], count: int
) -> Iterator[NDArray[np.float64]]:
    """The chunks' results in order; only a few chunks are under way at once, so that memory stays small."""
    ahead = 4 * (os.cpu_count() or 1)
    waiting = [pool.submit(run, chunk) for chunk in range(min(ahead, count))]
    for chunk in range(count):
        yield waiting.pop(0).result()
        if chunk + ahead < count:
            waiting.append(pool.submit(run, chunk + ahead))


def _table(rows: NDArray[np.float64]) -> Table:
    return dict(zip(COLUMNS, rows, strict=True))


def _result(
    config: SimulateConfig,
    schedule: Schedule,
    pnl: NDArray[np.float64],
    means: dict[str, float],
    table: Table,
    seconds: float,
) -> SimulateResult:
    costs = {name: means[name] for name in ("fees", "slippage", "funding", "gas")}
    distribution = Distribution.of(pnl)
    return SimulateResult(
        premium=config.premium,
        pnl=distribution,
        hedges_per_path=means["hedges"],
        turnover=means["turnover"],
        costs=costs,
        attribution=_attribution(means, distribution.mean) if config.attribute else {},
        paths=config.paths,
        steps=schedule.steps,
        seconds=seconds,
        seed=config.seed,
        table=table,
    )


def _attribution(means: dict[str, float], pnl: float) -> dict[str, float]:
    """The parts of the mean P&L; what the Greeks leave over is ``unexplained``."""
    greeks = {name: means[name] for name in ("delta", "gamma", "theta")}
    constant_vol = {"vega": 0.0, "vanna": 0.0, "volga": 0.0}
    costs = {name: 0.0 - means[name] for name in ("funding", "fees", "slippage", "gas")}
    parts = greeks | constant_vol | costs
    return parts | {"unexplained": pnl - math.fsum(parts.values())}
