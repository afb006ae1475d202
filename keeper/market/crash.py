"""A crash of the shape of 12 March 2020, for demos and tests that have no data.

The log price is a skeleton plus noise. The skeleton says where the price stands at a few moments, as a fraction of the
first price: an uneasy decline, then within one day two legs down (the first loses a quarter in one hour) to less than
half, a violent rebound, and aftershocks. The noise is Brownian, bridged to zero at those moments, with a
volatility that follows the same clock and clusters (its logarithm is a slow AR(1) around the profile).
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keeper.errors import InputError
from keeper.state.bars import Bars
from keeper.units import SECONDS_PER_DAY, SECONDS_PER_HOUR, SECONDS_PER_YEAR

MIN_DAYS: Final = 2.0
"""The crash takes a day; it needs some time before and after."""

_DAYS_BEFORE: Final = 0.5  # share of the other days that lies before the crash
# (hours into the day of the crash, fraction of the first price, annual vol from then on)
_CRASH_DAY: Final = (
    (0.0, 0.80, 1.5),
    (7.0, 0.73, 2.0),
    (8.0, 0.71, 4.5),
    (9.0, 0.545, 3.5),
    (12.0, 0.58, 2.5),
    (18.0, 0.56, 4.0),
    (21.0, 0.46, 6.0),
    (23.0, 0.40, 6.0),
    (24.0, 0.47, 5.0),
)
# (share of the days before or after, fraction of the first price, annual vol from then on)
_BEFORE: Final = ((0.0, 1.00, 0.8), (0.25, 0.86, 1.3), (0.6, 0.87, 0.8), (0.9, 0.84, 1.2))
_AFTER: Final = ((0.06, 0.54, 3.5), (0.3, 0.56, 1.6), (0.7, 0.52, 2.2), (0.85, 0.46, 2.6), (1.0, 0.49, 1.5))

_SUBSTEPS: Final = 30  # points of the fine path within one bar
_VOL_OF_VOL: Final = 0.35  # standing deviation of the log of vol around the profile
_VOL_MEMORY: Final = 2.0 * SECONDS_PER_HOUR


def crash_bars(
    generator: np.random.Generator, start: int, days: float = 9.0, step: int = 300, spot: float = 230.0
) -> Bars:
    """Bars of `step` seconds from unix time `start`, first open at `spot` USD.

    Whatever is drawn, closes fall by half or more within one day, and by 23% or more within one hour of it. Raises
    `InputError` for fewer than two days, a step that does not divide an hour, or a spot that is not positive.
    """
    if days < MIN_DAYS or step <= 0 or SECONDS_PER_HOUR % step or not spot > 0.0:
        raise InputError(
            f"a crash needs at least {MIN_DAYS:g} days, a step that divides an hour and a positive spot, "
            f"got {days} days, {step} s and {spot}"
        )
    count = round(days * SECONDS_PER_DAY / step)
    moments, fractions, vols = _skeleton(count * step)
    fine = np.arange(count * _SUBSTEPS + 1) * (step / _SUBSTEPS)
    noise = _noise(fine, moments, vols, generator)
    places = np.searchsorted(fine, moments - 1e-6)
    log_price = noise + np.interp(fine, fine[places], np.log(fractions) - noise[places])
    return _bars(spot * np.exp(log_price), start, step)


def _skeleton(duration: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Moments (seconds from the start), price as a fraction of the first, and vol from then on."""
    rest = duration - SECONDS_PER_DAY
    before = _DAYS_BEFORE * rest // SECONDS_PER_HOUR * SECONDS_PER_HOUR  # bars of any step end on whole hours
    after = rest - before
    knots = [(share * before, fraction, vol) for share, fraction, vol in _BEFORE]
    knots += [(before + hours * SECONDS_PER_HOUR, fraction, vol) for hours, fraction, vol in _CRASH_DAY]
    knots += [(before + SECONDS_PER_DAY + share * after, fraction, vol) for share, fraction, vol in _AFTER]
    moments, fractions, vols = np.array(knots).T
    return moments, fractions, vols


def _noise(
    fine: NDArray[np.float64],
    moments: NDArray[np.float64],
    vols: NDArray[np.float64],
    generator: np.random.Generator,
) -> NDArray[np.float64]:
    """Cumulative log returns of a Brownian motion whose vol clusters around the profile."""
    spacing = float(fine[1])
    profile = vols[np.searchsorted(moments, fine[:-1], side="right") - 1]
    memory = math.exp(-spacing / _VOL_MEMORY)
    shocks = generator.standard_normal(profile.size) * _VOL_OF_VOL * math.sqrt(1.0 - memory * memory)
    level, cluster = _VOL_OF_VOL * generator.standard_normal(), np.empty(profile.size)
    for place, shock in enumerate(shocks.tolist()):
        level = memory * level + shock
        cluster[place] = level
    scale = profile * np.exp(cluster) * math.sqrt(spacing / SECONDS_PER_YEAR)
    returns = scale * generator.standard_normal(profile.size)
    return np.concatenate(([0.0], np.cumsum(returns)))


def _bars(path: NDArray[np.float64], start: int, step: int) -> Bars:
    """Bars of a fine path whose points fall on the bars' ends."""
    opens, closes = path[:-1:_SUBSTEPS], path[_SUBSTEPS::_SUBSTEPS]
    inside = path[:-1].reshape(-1, _SUBSTEPS)
    return Bars(
        times=start + step * np.arange(opens.size, dtype=np.int64),
        open=opens.copy(),
        high=np.maximum(inside.max(axis=1), closes),
        low=np.minimum(inside.min(axis=1), closes),
        close=closes.copy(),
        step=step,
    )
