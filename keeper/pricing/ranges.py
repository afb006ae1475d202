"""Volatility from the open, high, low and close of bars, and what seeing only samples of a bar does to it.

For a bar with o = ln(O / previous C), u = ln(H / O), d = ln(L / O) and c = ln(C / O), variance per bar is estimated by

    Parkinson          (u - d)^2 / (4 ln 2)
    Garman-Klass       (u - d)^2 / 2 - (2 ln 2 - 1) c^2
    Rogers-Satchell    u (u - c) + d (d - c)                                       whatever the drift
    Yang-Zhang         V(o) + k V(c) + (1 - k) mean RS,  k = 0.34 / (1.34 + (n + 1) / (n - 1))    gaps and drift

A range seen at M moments of a bar is too small, so an estimate from an oracle's ticks must be divided by its
`sampling_bias`. Sources: Parkinson (1980), Garman and Klass (1980), Rogers and Satchell (1991), Yang and Zhang (2000).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keeper.errors import InputError
from keeper.units import SECONDS_PER_YEAR

Column = NDArray[np.float64]

LN2: Final = math.log(2.0)
OVERSHOOT: Final = 0.5825971579390107
"""-zeta(1/2) / sqrt(2 pi): how far, in steps' deviations, a walk's top lies below that of the path it samples."""


class Estimator(StrEnum):
    """The range estimators whose sampling bias is known."""

    PARKINSON = "parkinson"
    GARMAN_KLASS = "garman-klass"
    ROGERS_SATCHELL = "rogers-satchell"


@dataclass(frozen=True, slots=True, eq=False)
class LogBars:
    """Bars as logarithms: gap from the close before, then high, low and close over the open. All of one shape; along
    the last axis bars follow each other."""

    gap: Column
    high: Column
    low: Column
    close: Column

    @classmethod
    def of(cls, open_: ArrayLike, high: ArrayLike, low: ArrayLike, close: ArrayLike) -> LogBars:
        """From prices. The first bar has no gap. Raises `InputError` on other lengths, or prices that make no bar."""
        o, h, low_, c = (np.asarray(each, dtype=np.float64) for each in (open_, high, low, close))
        if not o.shape == h.shape == low_.shape == c.shape or o.ndim != 1 or o.size == 0:
            raise InputError(f"bars need columns of one length, got {o.shape}, {h.shape}, {low_.shape}, {c.shape}")
        good = (low_ > 0.0) & (low_ <= np.minimum(o, c)) & (h >= np.maximum(o, c)) & np.isfinite(h)
        if not good.all():
            at = int(np.argmin(good))
            raise InputError(f"bar {at} is none: open {o[at]}, high {h[at]}, low {low_[at]}, close {c[at]}")
        gap = np.log(o / np.concatenate((o[:1], c[:-1])))
        return cls(gap, np.log(h / o), np.log(low_ / o), np.log(c / o))


def parkinson(bars: LogBars) -> Column:
    """Variance of each bar, assuming no drift."""
    return np.asarray((bars.high - bars.low) ** 2 / (4.0 * LN2))


def garman_klass(bars: LogBars) -> Column:
    """Variance of each bar, assuming no drift; 7.4 times as efficient as the squared close."""
    return np.asarray(0.5 * (bars.high - bars.low) ** 2 - (2.0 * LN2 - 1.0) * bars.close**2)


def rogers_satchell(bars: LogBars) -> Column:
    """Variance of each bar, whatever the drift."""
    return np.asarray(bars.high * (bars.high - bars.close) + bars.low * (bars.low - bars.close))


def yang_zhang(bars: LogBars) -> Column:
    """Variance per bar from each run of n bars (the last axis), gaps included, whatever the drift.

    Raises `InputError` for fewer than two bars.
    """
    n = bars.close.shape[-1]
    if n < 2:
        raise InputError(f"Yang-Zhang needs at least 2 bars, got {n}")
    k = 0.34 / (1.34 + (n + 1.0) / (n - 1.0))
    gaps, closes = np.var(bars.gap, axis=-1, ddof=1), np.var(bars.close, axis=-1, ddof=1)
    return np.asarray(gaps + k * closes + (1.0 - k) * np.mean(rogers_satchell(bars), axis=-1))


def annual_vol(variance_per_bar: float, seconds_per_bar: float) -> float:
    """Annual vol of a variance per bar, on 365 days."""
    return math.sqrt(variance_per_bar * SECONDS_PER_YEAR / seconds_per_bar)


def sampling_bias(estimator: Estimator, samples: int) -> float:
    """Expected estimate over true variance when a bar is seen at its open and ``samples`` equal steps; no drift.

    Rogers-Satchell is exact. At an independent geometric time the top of a walk and its distance from the end are
    independent (Wiener-Hopf), and the mean top of n steps is sum 1 / sqrt(2 pi j) (Spitzer), so

        E[RS] = sum over i + j <= M of 1 / sqrt(i j) / (pi M).

    The squared range is that plus one plus twice E[u |d|], whose expansion 2 ln 2 - 1 - 2 b sqrt(2 / (pi M)) + ... with
    b = 0.5826 is closed by two terms fitted to simulated walks (within 0.001 for every M). Raises `InputError` for
    fewer than one sample.
    """
    if samples < 1:
        raise InputError(f"a bar needs at least one sample, got {samples}")
    steps = 1.0 / np.sqrt(np.arange(1.0, samples))
    tops = np.cumsum(steps)
    exact = float(np.dot(steps, tops[::-1])) / (math.pi * samples)
    if estimator is Estimator.ROGERS_SATCHELL:
        return exact
    root = math.sqrt(samples)
    both = 2.0 * LN2 - 1.0 - 2.0 * OVERSHOOT * math.sqrt(2.0 / math.pi) / root + (0.7743 - 0.2309 / root) / samples
    squared_range = 1.0 + exact + 2.0 * both
    if estimator is Estimator.PARKINSON:
        return squared_range / (4.0 * LN2)
    return 0.5 * squared_range - (2.0 * LN2 - 1.0)
