"""eSSVI surfaces fitted to quoted vols, and the admissible surface nearest to one that is not.

All slices are fitted at once, by least squares over variables in which a surface without arbitrage is simple. With

    u = (psi + rho psi) / 2,      d = (psi - rho psi) / 2,      r = theta / psi,

the calendar conditions of `keeper.pricing.essvi` say exactly that none of u, d, r falls from one expiry to the next;
the butterfly condition is a floor under r, f(u, d) = (psi + |rho psi| / 2)^2 / (4 psi), and a ceiling of 2 on u and d.
So with increments x >= 0,

    u_i = u_(i-1) + x,   d_i = d_(i-1) + x',   r_i = max(r_(i-1), f(u_i, d_i)) + x'',

every point of the search is admissible and so is the answer, whatever the quotes say. The misfit of a quote is its
error in vol over its half-spread, times the root of its vega, so that tight quotes near the money count most. Nothing
is drawn at random: the same quotes give the same surface.

Sources: Hendriks and Martini (2019) for the conditions; S. Corbetta et al. (2019) for fitting slice by slice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from keeper.errors import InputError

Column = NDArray[np.float64]
Slice = tuple[float, float, float]
"""theta, rho, psi: as a reporter signs it."""

LEAST_QUOTES: Final = 3
SLACK: Final = 1e-9
"""Share by which each condition is met with room to spare, so that rounding to the chain's integers cannot break it."""
CEILING: Final = 2.0 * (1.0 - 1e-6)
SMALLEST: Final = 1e-6
FINEST_SPREAD: Final = 0.001
"""Half-spread in vol below which a quote does not count for more."""


@dataclass(frozen=True, slots=True, eq=False)
class SliceQuotes:
    """Mid vols of one expiry, ``time`` in years; ``k`` = ln(K / F), vols and half-spreads in vol are of one length."""

    time: float
    k: Column
    vols: Column
    half_spreads: Column

    def __post_init__(self) -> None:
        if not self.time > 0.0 or not self.k.shape == self.vols.shape == self.half_spreads.shape or self.k.ndim != 1:
            raise InputError(f"quotes need a positive time and columns of one length, got {self.time}, {self.k.shape}")
        if self.k.size < LEAST_QUOTES:
            raise InputError(f"an expiry needs {LEAST_QUOTES} quotes to be fitted; {self.time:.4f} y has {self.k.size}")
        if not (np.isfinite(self.k).all() and (self.vols > 0.0).all() and (self.half_spreads >= 0.0).all()):
            raise InputError("quotes must be finite, with vols above zero and spreads of at least zero")

    @property
    def weights(self) -> Column:
        """Root of vega (relative to the money) over half-spread."""
        deviation = self.k / (self.vols * math.sqrt(self.time)) - 0.5 * self.vols * math.sqrt(self.time)
        vega = np.exp(-0.5 * deviation * deviation)
        return np.asarray(np.sqrt(np.maximum(vega, 1e-4)) / np.maximum(self.half_spreads, FINEST_SPREAD))


@dataclass(frozen=True, slots=True)
class SliceFit:
    """One fitted slice. ``rms_error`` and ``worst_error`` are in vol points (0.01 of vol), over ``quotes`` quotes."""

    time: float
    theta: float
    rho: float
    psi: float
    rms_error: float
    worst_error: float
    quotes: int

    @property
    def slice(self) -> Slice:
        """(theta, rho, psi)."""
        return self.theta, self.rho, self.psi

    @property
    def atm_vol(self) -> float:
        """Annual vol at the money."""
        return math.sqrt(self.theta / self.time)


@dataclass(frozen=True, slots=True)
class SurfaceFit:
    """Slices in order of time, free of butterfly and calendar arbitrage."""

    slices: tuple[SliceFit, ...]

    @property
    def rms_error(self) -> float:
        """Over all quotes, in vol points."""
        count = sum(each.quotes for each in self.slices)
        return math.sqrt(sum(each.quotes * each.rms_error**2 for each in self.slices) / count)

    @property
    def quotes(self) -> int:
        """Quotes used."""
        return sum(each.quotes for each in self.slices)

    def at(self, time: float) -> Slice:
        """The slice ``time`` years away: (theta, rho psi, psi) linear in time between the fitted ones.

        Before the first all three shrink with time, so that vol stays; beyond the last theta alone grows with it, so
        that vol at the money stays. Both keep the surface admissible. Raises `InputError` on a time not above zero.
        """
        if not time > 0.0:
            raise InputError(f"a slice needs a positive time to expiry, not {time}")
        times = [each.time for each in self.slices]
        columns = np.array([(each.theta, each.rho * each.psi, each.psi) for each in self.slices]).T
        if time <= times[0]:
            theta, tilt, psi = (float(column[0]) * time / times[0] for column in columns)
        else:
            theta, tilt, psi = (float(np.interp(time, times, column)) for column in columns)
            theta *= max(time / times[-1], 1.0)
        return theta, tilt / psi, psi


def fit_surface(quotes: Sequence[SliceQuotes]) -> SurfaceFit:
    """The admissible surface nearest to quoted vols. Raises `InputError` without quotes or on times out of order."""
    if not quotes:
        raise InputError("there are no quotes to fit a surface to")
    times = [each.time for each in quotes]
    if any(later <= earlier for earlier, later in pairwise(times)):
        raise InputError(f"the quotes' expiries must be in order of time, got {times}")
    problem = _Problem(quotes)
    start = _increments([_first_guess(each) for each in quotes])
    found = least_squares(
        problem.misfit, start, jac=problem.jacobian, bounds=(0.0, np.inf), method="trf", x_scale=problem.scale(start),
        ftol=1e-9, xtol=1e-9, gtol=1e-9, max_nfev=60,
    )  # fmt: skip
    u, d, r, _ = problem.unpack(found.x)
    vols = problem.vols(found.x)
    return SurfaceFit(
        tuple(
            _slice_fit(each, float(u[i]), float(d[i]), float(r[i]), vols[problem.owner == i])
            for i, each in enumerate(quotes)
        )
    )


class _Problem:
    """The least-squares problem: increments in, weighted vol errors out."""

    def __init__(self, quotes: Sequence[SliceQuotes]) -> None:
        self.count = len(quotes)
        self.owner = np.repeat(np.arange(self.count), [each.k.size for each in quotes])
        self._k = np.concatenate([each.k for each in quotes])
        self._time = np.concatenate([np.full(each.k.size, each.time) for each in quotes])
        self._quoted = np.concatenate([each.vols for each in quotes])
        weights = np.concatenate([each.weights for each in quotes])
        self._weights = weights / math.sqrt(float(np.mean(weights**2)))

    def scale(self, start: Column) -> Column:
        """Typical sizes of the increments of u, d and r."""
        parts = start.reshape(3, self.count)
        typical = np.maximum(parts, parts.mean(axis=1, keepdims=True))
        return np.asarray(typical.reshape(-1))

    def unpack(self, x: Column) -> tuple[Column, Column, Column, Column]:
        """u, d and r of every slice, and which slices stand on their butterfly floor."""
        u_steps, d_steps, r_steps = x.reshape(3, self.count)
        apart = 1.0 + SLACK * np.arange(self.count)
        u = np.minimum(SMALLEST + np.cumsum(u_steps), CEILING) * apart
        d = np.minimum(SMALLEST + np.cumsum(d_steps), CEILING) * apart
        floor = _floor(u, d)
        r, floored, before = np.empty(self.count), np.zeros(self.count), 0.0
        for i in range(self.count):
            floored[i] = floor[i] > before
            before = r[i] = max(before, floor[i]) * (1.0 + SLACK) + r_steps[i]
        return u, d, r, floored

    def vols(self, x: Column) -> Column:
        """Model vol of every quote."""
        u, d, r, _ = self.unpack(x)
        w, _ = self._variance(u[self.owner], d[self.owner], r[self.owner])
        return np.asarray(np.sqrt(w / self._time))

    def misfit(self, x: Column) -> Column:
        """Weighted error of every quote, in vol points."""
        return np.asarray(100.0 * self._weights * (self.vols(x) - self._quoted))

    def jacobian(self, x: Column) -> Column:
        """Derivative of `misfit` by every increment: rows are quotes."""
        u, d, r, floored = self.unpack(x)
        own = self.owner
        w, root = self._variance(u[own], d[own], r[own])
        psi, tilt = u[own] + d[own], u[own] - d[own]
        theta = psi * r[own]
        by_theta = 0.5 * (1.0 + (tilt * self._k + theta) / root)
        by_tilt = 0.5 * self._k * (1.0 + theta / root)
        by_psi = 0.5 * psi * self._k**2 / root
        slopes = np.stack((by_theta * r[own] + by_psi + by_tilt, by_theta * r[own] + by_psi - by_tilt, by_theta * psi))
        chain = self._chain(x, u, d, floored)
        per_vol = 100.0 * self._weights * 0.5 / np.sqrt(w * self._time)
        return np.asarray(np.einsum("vq,vqx->qx", slopes * per_vol, chain[:, own, :]))

    def _variance(self, u: Column, d: Column, r: Column) -> tuple[Column, Column]:
        """Total variance at every quote, and the root in it."""
        psi, tilt = u + d, u - d
        theta = psi * r
        root = np.sqrt((psi * self._k) ** 2 + theta * (2.0 * tilt * self._k + theta))
        return 0.5 * (theta + tilt * self._k + root), root

    def _chain(self, x: Column, u: Column, d: Column, floored: Column) -> Column:
        """Derivatives of (u, d, r) of every slice by every increment: shape (3, slices, increments)."""
        n = self.count
        chain = np.zeros((3, n, 3 * n))
        steps = np.tril(np.ones((n, n)))
        chain[0, :, :n] = steps * (SMALLEST + np.cumsum(x[:n]) < CEILING)[:, None]
        chain[1, :, n : 2 * n] = steps * (SMALLEST + np.cumsum(x[n : 2 * n]) < CEILING)[:, None]
        psi, tilt = u + d, u - d
        reach, side = psi + 0.5 * np.abs(tilt), np.sign(tilt)
        common = reach**2 / (4.0 * psi**2)
        by_u = reach * (1.0 + 0.5 * side) / (2.0 * psi) - common
        by_d = reach * (1.0 - 0.5 * side) / (2.0 * psi) - common
        for i in range(n):
            if floored[i]:
                chain[2, i] = by_u[i] * chain[0, i] + by_d[i] * chain[1, i]
            elif i:
                chain[2, i] = chain[2, i - 1]
            chain[2, i, 2 * n + i] += 1.0
        return chain


def _floor(u: Column, d: Column) -> Column:
    """The least theta / psi at which a slice has no free butterfly."""
    psi = u + d
    return np.asarray((psi + 0.5 * np.abs(u - d)) ** 2 / (4.0 * psi))


def _first_guess(quotes: SliceQuotes) -> tuple[float, float, float]:
    """u, d and r from a parabola through the total variances near the money."""
    w = quotes.vols**2 * quotes.time
    deviation = math.sqrt(float(np.median(w)))
    near = np.exp(-0.5 * (quotes.k / deviation) ** 2) + 1e-3
    weights = np.sqrt(near)
    powers = np.stack((np.ones_like(quotes.k), quotes.k, quotes.k**2), axis=1)
    level, slope, bend = np.linalg.lstsq(powers * weights[:, None], w * weights, rcond=None)[0]
    theta = max(float(level), 0.25 * float(np.min(w)))
    tilt = float(slope)  # dw/dk at the money is rho psi, d2w/dk2 is psi^2 (1 - rho^2) / (2 theta)
    psi = math.sqrt(max(4.0 * theta * float(bend) + tilt * tilt, 0.25 * theta))
    tilt = min(max(tilt, -0.95 * psi), 0.95 * psi)
    shrink = min(1.0, 1.8 * math.sqrt(theta) / (psi + 0.5 * abs(tilt)), 1.8 / psi)
    psi, tilt = shrink * psi, shrink * tilt
    return 0.5 * (psi + tilt), 0.5 * (psi - tilt), theta / psi


def _increments(guesses: Sequence[tuple[float, float, float]]) -> Column:
    """Increments of u, d, r that follow the guesses where they rise and creep where they fall."""
    u, d, r = np.maximum.accumulate(np.array(guesses), axis=0).T
    before, steps = 0.0, np.empty(len(guesses))
    for i, floor in enumerate(_floor(u, d)):
        base = max(before, float(floor))
        steps[i] = max(float(r[i]) - base, 0.01 * base)
        before = base + steps[i]
    creep = [np.maximum(np.diff(column, prepend=0.0), 0.01 * column) for column in (u, d)]
    return np.concatenate((*creep, steps))


def _slice_fit(quotes: SliceQuotes, u: float, d: float, r: float, vols: Column) -> SliceFit:
    psi = u + d
    errors = 100.0 * (vols - quotes.vols)
    return SliceFit(
        quotes.time, psi * r, (u - d) / psi, psi,
        float(np.sqrt(np.mean(errors**2))), float(np.max(np.abs(errors))), quotes.k.size,
    )  # fmt: skip
