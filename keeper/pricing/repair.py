"""Surfaces that break a condition, and the nearest ones that do not.

"Nearest" is the least-squares distance of vols that `keeper.pricing.essvi_fit` minimises, over a grid around the money.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from keeper.errors import InputError
from keeper.pricing.essvi import butterfly_ok, calendar_ok
from keeper.pricing.essvi_fit import FINEST_SPREAD, Slice, SliceFit, SliceQuotes, fit_surface
from keeper.pricing.svi import RawSvi, checked

GRID: Final = np.linspace(-2.5, 2.5, 21)
"""Standard deviations from the money at which two slices are compared."""


def broken_condition(times: Sequence[float], slices: Sequence[Slice]) -> str:
    """What keeps a surface from being admissible, in words with the place; empty where nothing does."""
    parts = [(theta, rho * psi, psi) for theta, rho, psi in slices]
    for time, (theta, rho, psi), part in zip(times, slices, parts, strict=True):
        if not all(map(math.isfinite, part)) or not (theta > 0.0 and psi > 0.0 and abs(rho) < 1.0):
            return f"the slice at {time:.4f} years is none: theta {theta:g}, rho {rho:g}, psi {psi:g}"
        if not butterfly_ok(*part):
            return f"the slice at {time:.4f} years has a free butterfly: theta {theta:g}, rho {rho:g}, psi {psi:g}"
    for place in range(1, len(parts)):
        if not calendar_ok(*parts[place - 1], *parts[place]):
            return f"there is a free calendar spread between {times[place - 1]:.4f} and {times[place]:.4f} years"
    return ""


@dataclass(frozen=True, slots=True)
class Repair:
    """An admissible surface, what was wrong with the one it replaces, and the rms move of each slice in vol points."""

    slices: tuple[Slice, ...]
    reason: str
    moved: tuple[float, ...]


def nearest_admissible(times: Sequence[float], slices: Sequence[Slice]) -> Repair:
    """The admissible surface nearest to the given one: in vega-weighted vol within 2.5 deviations of the money.

    A surface that is admissible comes back as it is, with an empty reason. Raises `InputError` for numbers that are no
    slice at all: theta or psi not above zero, |rho| not below one.
    """
    reason = broken_condition(times, slices)
    if not reason:
        return Repair(tuple(slices), "", (0.0,) * len(slices))
    if " is none:" in reason:
        raise InputError(reason)
    fitted = fit_surface([_as_quotes(time, each) for time, each in zip(times, slices, strict=True)])
    return Repair(tuple(each.slice for each in fitted.slices), reason, tuple(each.rms_error for each in fitted.slices))


def slice_of_raw(raw: RawSvi, time: float) -> SliceFit:
    """The eSSVI slice nearest to a raw SVI slice. Raises `InputError` where the raw slice allows arbitrage."""
    checked(raw)
    deviation = math.sqrt(float(raw.total_variance(np.zeros(1))[0]))
    k = GRID * deviation
    vols = np.sqrt(raw.total_variance(k) / time)
    return fit_surface([SliceQuotes(time, k, vols, np.full(k.size, FINEST_SPREAD))]).slices[0]


def _as_quotes(time: float, slice_: Slice) -> SliceQuotes:
    """A slice as quotes on a grid around the money."""
    theta, rho, psi = slice_
    k = GRID * math.sqrt(theta)
    tilt = rho * psi * k
    w = 0.5 * (theta + tilt + np.sqrt(np.maximum((psi * k) ** 2 + theta * (2.0 * tilt + theta), 0.0)))
    return SliceQuotes(time, k, np.sqrt(np.maximum(w, 1e-12) / time), np.full(k.size, FINEST_SPREAD))
