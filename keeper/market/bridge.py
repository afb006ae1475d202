"""Prices inside a bar: a random path through its open, high, low and close.

Bars do not say what happened between their ends, but a delayed order settles at a price of one second. So each bar is
filled with a path that starts at the open, touches the high and the low, ends at the close, and never leaves the range:
a few Brownian bridges from open to close are drawn, the one whose extremes come nearest to the bar's is taken, and
what it does above (below) both ends is stretched to touch the high (low). Their variance is the bar's own estimate,

    (high - low)^2 / 2 - (2 ln 2 - 1) (close - open)^2        (Garman and Klass 1980).

For bars of a Brownian motion the result has the right variance within 6% at every scale from a second to the bar.

Every bar has a generator of its own, from the seed and the bar's open time: the price of a second does not depend on
which seconds were asked before, nor on how the bars were cut.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keeper.errors import InputError
from keeper.state.bars import Bars

MAX_POINTS: Final = 600
"""Most intervals a bar is cut into; up to this many seconds the grid is one second."""
MIN_STEP: Final = 4
"""Shortest bar, in seconds, that has room for open, high, low and close."""

_CANDIDATES: Final = 16
_DRIFT_SHARE: Final = 2.0 * math.log(2.0) - 1.0


def bar_grid(step: int) -> NDArray[np.int64]:
    """Seconds from a bar's open at which its path has a point: 0, g, 2 g, ..., step."""
    spacing = -(-step // MAX_POINTS)
    return np.append(np.arange(0, step, spacing), step)


def bar_path(
    grid: NDArray[np.int64],
    open_: float,
    high: float,
    low: float,
    close: float,
    generator: np.random.Generator,
) -> NDArray[np.float64]:
    """Prices at the points of `grid` (at least 4): open first, close last, high and low touched, none outside them."""
    if high <= low:
        return np.full(grid.size, open_)
    bridges = _brownian_bridges(grid, open_, high, low, close, generator)
    misses = (bridges.max(axis=1) - high) ** 2 + (bridges.min(axis=1) - low) ** 2
    return _stretched(bridges[int(np.argmin(misses))], open_, high, low, close)


def _brownian_bridges(
    grid: NDArray[np.int64], open_: float, high: float, low: float, close: float, generator: np.random.Generator
) -> NDArray[np.float64]:
    """Candidates from open to close with the bar's variance, one a row."""
    variance = 0.5 * (high - low) ** 2 - _DRIFT_SHARE * (close - open_) ** 2
    steps = generator.standard_normal((_CANDIDATES, grid.size - 1))
    steps *= np.sqrt(np.diff(grid) * (variance / grid[-1]))
    paths = np.full((_CANDIDATES, grid.size), open_)
    paths[:, 1:] += np.cumsum(steps, axis=1)
    paths -= np.outer(paths[:, -1] - close, grid / grid[-1])
    return paths


def _stretched(path: NDArray[np.float64], open_: float, high: float, low: float, close: float) -> NDArray[np.float64]:
    """The path with its parts above and below both ends stretched so that they just touch the high and the low."""
    top, bottom = max(open_, close), min(open_, close)
    inside = path[1:-1]
    highest, lowest = int(np.argmax(inside)), int(np.argmin(inside))
    over, under = inside[highest] - top, bottom - inside[lowest]
    above = np.maximum(path - top, 0.0) * ((high - top) / over if over > 0.0 else 0.0)
    below = np.maximum(bottom - path, 0.0) * ((bottom - low) / under if under > 0.0 else 0.0)
    result: NDArray[np.float64] = np.clip(np.clip(path, bottom, top) + above - below, low, high)
    result[0], result[-1] = open_, close
    if high > top:  # set, not computed: rounding must not lose the touch, nor a path that never went there
        result[1 + highest] = high
    if low < bottom:
        result[1 + lowest] = low
    return result


@dataclass(frozen=True, slots=True)
class BarBridge:
    """The price at every second of some bars. Raises `InputError` for bars that are too short to bridge.

    A bar covers the time after its open time up to its end, so at the moment where two bars meet the price is the
    close of the earlier one; the open of the later one, which may differ, is where the path goes on from there.
    """

    bars: Bars
    seed: int
    _grid: NDArray[np.int64] = field(init=False, repr=False)
    _paths: dict[int, NDArray[np.float64]] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        if not len(self.bars):
            raise InputError("there are no bars to bridge")
        if self.bars.step < MIN_STEP:
            raise InputError(f"bars of {self.bars.step} s are too short to bridge: use bars of at least {MIN_STEP} s")
        object.__setattr__(self, "_grid", bar_grid(self.bars.step))

    def path(self, bar: int) -> NDArray[np.float64]:
        """Prices of one bar at the points of `bar_grid`; the same whenever it is asked for."""
        known = self._paths.get(bar)
        if known is None:
            bars = self.bars
            generator = np.random.Generator(np.random.PCG64([self.seed, int(bars.times[bar])]))
            known = bar_path(
                self._grid,
                float(bars.open[bar]),
                float(bars.high[bar]),
                float(bars.low[bar]),
                float(bars.close[bar]),
                generator,
            )
            self._paths[bar] = known
        return known

    def price_at(self, time: int) -> float:
        """Price in USD at a unix time from the first bar's open to the last bar's end; `InputError` outside."""
        bars = self.bars
        if not bars.start <= time <= bars.end:
            raise InputError(f"there is no price at {time}: the bars run from {bars.start} to {bars.end}")
        bar = max(-(-(time - bars.start) // bars.step) - 1, 0)
        return float(np.interp(time - int(bars.times[bar]), self._grid, self.path(bar)))

    def events(self, step: int, heartbeat: int, deviation_bps: float) -> Iterator[tuple[int, float]]:
        """What a price publisher sends that looks at the price every `step` seconds: (time, price), times increasing.

        It sends the open of the first bar, the close of every bar at its end, and between them whenever it sees that
        `heartbeat` seconds have passed since it last sent, or that the price has moved by `deviation_bps` since then.
        """
        if step <= 0 or heartbeat <= 0 or deviation_bps <= 0.0:
            raise InputError(
                f"looks every {step} s, heartbeat {heartbeat} s and deviation {deviation_bps} bps must all be positive"
            )
        bars = self.bars
        looks = np.unique(np.append(np.arange(step, bars.step, step), bars.step))
        sent_at, sent = bars.start, float(bars.open[0])
        yield sent_at, sent
        for bar in range(len(bars)):
            opened = int(bars.times[bar])
            times, prices = opened + looks, np.interp(looks, self._grid, self.path(bar))
            place = 0
            while place < times.size:
                is_due = times[place:] - sent_at >= heartbeat
                is_due |= np.abs(prices[place:] / sent - 1.0) >= deviation_bps * 1e-4
                is_due[-1] = True
                place += int(np.argmax(is_due))
                sent_at, sent = int(times[place]), float(prices[place])
                yield sent_at, sent
                place += 1
