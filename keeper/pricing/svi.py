"""Raw SVI slices, their jump-wings form, and whether they imply a density.

With k = ln(K / F), total implied variance is

    w(k) = a + b (rho (k - m) + sqrt((k - m)^2 + sigma^2)),

and the slice is free of butterfly arbitrage where

    g(k) = (1 - k w' / 2w)^2 - w'^2 / 4 (1 / w + 1 / 4) + w'' / 2 >= 0   and its wings rise no faster than 2 |k|.

The protocol stores eSSVI, not raw SVI: a raw slice is accepted after this check only, and then becomes the nearest
eSSVI slice (`keeper.pricing.repair`). Source: J. Gatheral and A. Jacquier, "Arbitrage-free SVI volatility surfaces"
(2014).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from keeper.errors import InputError

WIDEST: Final = 3.0
"""Largest |k| at which g is looked at: the wings beyond are bound by their slopes."""
GRID: Final = 2_401

Column = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RawSvi:
    """A raw slice: total variance at one expiry as a function of k. Raises `InputError` on what is no such slice."""

    a: float
    b: float
    rho: float
    m: float
    sigma: float

    def __post_init__(self) -> None:
        values = (self.a, self.b, self.rho, self.m, self.sigma)
        if not all(map(math.isfinite, values)) or self.b < 0.0 or abs(self.rho) >= 1.0 or self.sigma <= 0.0:
            raise InputError(f"raw SVI needs finite numbers, b >= 0, |rho| < 1 and sigma > 0, got {values}")
        if self.least <= 0.0:
            raise InputError(f"the raw SVI slice {values} falls to a variance of {self.least:g}: raise a")

    @property
    def least(self) -> float:
        """The smallest total variance, at the bottom of the smile."""
        return self.a + self.b * self.sigma * math.sqrt(1.0 - self.rho * self.rho)

    def total_variance(self, k: Column) -> Column:
        """Total variance at log-moneyness ``k``, any shape."""
        x = k - self.m
        return np.asarray(self.a + self.b * (self.rho * x + np.sqrt(x * x + self.sigma * self.sigma)))

    def density_factor(self, k: Column) -> Column:
        """The function g: the implied density is it times a positive number."""
        x = k - self.m
        root = np.sqrt(x * x + self.sigma * self.sigma)
        w = self.total_variance(k)
        slope = self.b * (self.rho + x / root)
        bend = self.b * self.sigma**2 / root**3
        return np.asarray((1.0 - 0.5 * k * slope / w) ** 2 - 0.25 * slope**2 * (1.0 / w + 0.25) + 0.5 * bend)


@dataclass(frozen=True, slots=True)
class JumpWings:
    """A slice in quantities that traders know, for an expiry ``time`` years away.

    ``variance`` at the money and ``least``, the smallest, are annual; ``skew`` is dvol/dk at the money times sqrt(T);
    ``put_slope`` and ``call_slope`` are the wings' slopes over sqrt(w at the money).
    """

    time: float
    variance: float
    skew: float
    put_slope: float
    call_slope: float
    least: float


def to_jump_wings(raw: RawSvi, time: float) -> JumpWings:
    """The jump-wings form of a slice, ``time`` in years."""
    root = math.hypot(raw.m, raw.sigma)
    w = raw.a + raw.b * (root - raw.rho * raw.m)
    scale = raw.b / math.sqrt(w)
    return JumpWings(
        time,
        w / time,
        0.5 * scale * (raw.rho - raw.m / root),
        scale * (1.0 - raw.rho),
        scale * (1.0 + raw.rho),
        raw.least / time,
    )


def from_jump_wings(wings: JumpWings) -> RawSvi:
    """The raw slice with these wings. Raises `InputError` where there is none."""
    w = wings.variance * wings.time
    root = math.sqrt(w)
    b = 0.5 * root * (wings.call_slope + wings.put_slope)
    if not b > 0.0:
        raise InputError("jump wings need a put or call slope above zero")
    rho = 1.0 - wings.put_slope * root / b
    beta = rho - 2.0 * wings.skew * root / b
    if abs(beta) > 1.0:
        raise InputError(f"no smile has skew {wings.skew:g} between slopes {wings.put_slope:g}, {wings.call_slope:g}")
    bend = math.sqrt(1.0 - rho * rho)
    rise = (wings.variance - wings.least) * wings.time
    if abs(beta) < 1e-12:  # the bottom of the hyperbola is at the money
        sigma = rise / (b * (1.0 - bend)) if bend < 1.0 else math.sqrt(w) / b
        return RawSvi(wings.least * wings.time - b * sigma * bend, b, rho, 0.0, sigma)
    alpha = math.copysign(math.sqrt(max(1.0 / (beta * beta) - 1.0, 0.0)), beta)
    m = rise / (b * (-rho + math.copysign(math.hypot(1.0, alpha), alpha) - alpha * bend))
    sigma = alpha * m
    return RawSvi(wings.least * wings.time - b * sigma * bend, b, rho, m, sigma)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where a raw slice allows arbitrage: the worst g and where, the ends of g < 0, and the steeper wing's slope."""

    worst: float
    worst_at: float
    broken: tuple[float, float] | None
    wing: float

    @property
    def is_free(self) -> bool:
        """Whether no butterfly is free."""
        return self.worst >= 0.0 and self.wing <= 2.0

    def __str__(self) -> str:
        if self.is_free:
            return "free of butterfly arbitrage"
        parts = [] if self.wing <= 2.0 else [f"its wings rise at {self.wing:.4g}, above 2"]
        if self.broken is not None:
            low, high = self.broken
            parts.append(f"its density is negative for k from {low:.5f} to {high:.5f} (g = {self.worst:.6f})")
        return " and ".join(parts)


def judge(raw: RawSvi) -> Verdict:
    """Look at g on a grid, and refine its minimum and the ends of the broken interval."""
    grid = np.linspace(-WIDEST, WIDEST, GRID)
    g = raw.density_factor(grid)
    place = int(np.argmin(g))
    near = (float(grid[max(place - 1, 0)]), float(grid[min(place + 1, GRID - 1)]))
    found = minimize_scalar(lambda k: _g(raw, k), bounds=near, method="bounded", options={"xatol": 1e-10})
    worst, worst_at = min((float(g[place]), float(grid[place])), (float(found.fun), float(found.x)))
    broken = None
    if worst < 0.0:
        left, right = grid[(g >= 0.0) & (grid < worst_at)], grid[(g >= 0.0) & (grid > worst_at)]
        low = _crossing(raw, float(left[-1]), worst_at) if left.size else -WIDEST
        high = _crossing(raw, float(right[0]), worst_at) if right.size else WIDEST
        broken = (low, high)
    return Verdict(worst, worst_at, broken, raw.b * (1.0 + abs(raw.rho)))


def checked(raw: RawSvi) -> RawSvi:
    """The slice itself. Raises `InputError`, naming where, if it allows a free butterfly."""
    verdict = judge(raw)
    if not verdict.is_free:
        raise InputError(f"the raw SVI slice {raw} is not free of arbitrage: {verdict}; repair it first")
    return raw


def repaired(raw: RawSvi, time: float) -> RawSvi:
    """A slice without butterfly arbitrage with the same at-the-money variance, skew and put wing.

    Gatheral and Jacquier's recipe: the SSVI slice with call slope p + 2 psi and least variance
    4 v p c / (p + c)^2, free of arbitrage for slopes that are not extreme. Raises `InputError` where it is not.
    """
    wings = to_jump_wings(raw, time)
    return checked(from_jump_wings(_ssvi_twin(wings)))


def nearest_repair(raw: RawSvi, time: float) -> RawSvi:
    """Of the slices between a broken one and its repair, the first that is free of arbitrage.

    Call slope and least variance move together from the old values (share 0) to those of `repaired` (share 1); the
    share is bisected. A slice that is free already comes back unchanged.
    """
    if judge(raw).is_free:
        return raw
    wings = to_jump_wings(raw, time)
    target = _ssvi_twin(wings)
    low, high, best = 0.0, 1.0, repaired(raw, time)
    for _ in range(40):
        share = 0.5 * (low + high)
        moved = replace(
            wings,
            call_slope=wings.call_slope + share * (target.call_slope - wings.call_slope),
            least=wings.least + share * (target.least - wings.least),
        )
        try:
            best = checked(from_jump_wings(moved))
            high = share
        except InputError:
            low = share
    return best


def _ssvi_twin(wings: JumpWings) -> JumpWings:
    call = wings.put_slope + 2.0 * wings.skew
    if not call > 0.0:
        raise InputError(f"a put slope of {wings.put_slope:g} and skew {wings.skew:g} leave no call wing to repair to")
    least = wings.variance * 4.0 * wings.put_slope * call / (wings.put_slope + call) ** 2
    return replace(wings, call_slope=call, least=least)


def _g(raw: RawSvi, k: float) -> float:
    return float(raw.density_factor(np.asarray([k]))[0])


def _crossing(raw: RawSvi, good: float, bad: float) -> float:
    """Where g changes its sign between a point where it is positive and one where it is not, by bisection."""
    for _ in range(60):
        middle = 0.5 * (good + bad)
        good, bad = (middle, bad) if _g(raw, middle) >= 0.0 else (good, middle)
    return good
