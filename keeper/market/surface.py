"""A model of the implied-volatility surface, as a function of the prices seen so far.

The at-the-money vol follows realised vol (an EWMA, some time late, between a floor and a cap). Around it lies a surface
that is free of arbitrage by construction: with total variance theta = vol^2 T and

    psi(theta) = curvature sqrt(theta / (1 + theta)),      |rho| < 1,    curvature (1 + |rho| / 2) <= 2,

- (psi + |rho psi| / 2)^2 = curvature^2 (1 + |rho| / 2)^2 theta / (1 + theta) <= 4 theta, and
  psi + |rho psi| < curvature (1 + |rho|) < 8/3 < 4: no butterfly;
- psi rises and psi / theta falls strictly with theta, and rho is one constant, so expiries with rising theta have no
  calendar arbitrage.

The skew at the money is rho curvature / (2 sqrt(T)): the inverse square root that markets show. Source of the
conditions: Gatheral and Jacquier (2014), Hendriks and Martini (2019).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keeper.errors import InputError
from keeper.pricing.realised import ewma_variance
from keeper.state.bars import Bars


def slice_for(
    atm_vol: float, time_to_expiry: float, rho: float = -0.3, curvature: float = 0.9
) -> tuple[float, float, float]:
    """The slice (theta, rho, psi) of one expiry, `time_to_expiry` in years.

    Raises `InputError` where the vol or the time is not positive or the shape is not free of arbitrage.
    """
    if not atm_vol > 0.0 or not time_to_expiry > 0.0:
        raise InputError(f"a slice needs positive vol and time to expiry, got {atm_vol} and {time_to_expiry}")
    if not abs(rho) < 1.0 or not 0.0 < curvature * (1.0 + 0.5 * abs(rho)) <= 2.0:
        raise InputError(f"rho {rho} must be in (-1, 1) and curvature {curvature} in (0, 2 / (1 + |rho| / 2)]")
    theta = atm_vol * atm_vol * time_to_expiry
    return theta, rho, curvature * math.sqrt(theta / (1.0 + theta))


def report_order(expiries: Sequence[int], vol_is_rising: bool) -> list[int]:
    """The order in which to report live expiries so that the surface stays admissible after each of them.

    When vol rises the far end must rise first, when it falls the near end must fall first; otherwise a new slice meets
    an old neighbour with more variance at less time.
    """
    return sorted(expiries, reverse=vol_is_rising)


@dataclass(frozen=True, slots=True, eq=False)
class AtmVol:
    """At-the-money vol through time: `vols[i]` is known, and holds, from `times[i]` until the next."""

    times: NDArray[np.int64]
    vols: NDArray[np.float64]

    def at(self, time: int) -> float:
        """Annual vol at a unix time; before the first known one, the first."""
        return float(self.vols[max(int(np.searchsorted(self.times, time, side="right")) - 1, 0)])


def realised_atm(
    bars: Bars, half_life: float, lag: int, floor: float, cap: float, initial: float | None = None
) -> AtmVol:
    """At-the-money vol that follows the realised vol of closes, `lag` seconds late and kept within [floor, cap].

    `half_life` of the time-weighted EWMA and `lag` are in seconds, `floor`, `cap` and `initial` annual vols. The EWMA
    starts at `initial`, what the market asks before the first bar; without one at the floor. What
    `.at(t)` says depends on no price after t - lag. Raises `InputError` on a range that is empty or misses `initial`.
    """
    if not half_life > 0.0 or lag < 0 or not 0.0 < floor <= cap:
        raise InputError(
            f"need half-life > 0, lag >= 0 and 0 < floor <= cap, got {half_life} s, {lag} s, {floor} and {cap}"
        )
    initial = floor if initial is None else initial
    if not floor <= initial <= cap:
        raise InputError(f"the initial vol {initial} must lie between the floor {floor} and the cap {cap}")
    returns = np.diff(np.log(np.concatenate((bars.open[:1], bars.close))))
    variance = initial * initial
    vols = np.empty(returns.size + 1)
    vols[0] = initial
    for place, log_return in enumerate(returns.tolist()):
        variance = ewma_variance(variance, log_return, float(bars.step), half_life)
        vols[place + 1] = math.sqrt(variance)
    known_from = np.concatenate(([bars.start], bars.times + bars.step)) + lag
    return AtmVol(known_from, np.clip(vols, floor, cap))
