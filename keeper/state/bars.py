"""Price history as bars of one length: open, high, low and close, without gaps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """Bars in order of time. All arrays have one entry a bar; prices are in USD and positive.

    A bar covers the time after `times[i]` up to and including `times[i] + step`; `times[i + 1] = times[i] + step`.
    Open and close of neighbours may differ: the market jumped between them.
    """

    times: NDArray[np.int64]
    """Open time, unix seconds."""
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    step: int
    """Length of a bar in seconds."""

    def __len__(self) -> int:
        return self.times.size

    @property
    def start(self) -> int:
        """Open time of the first bar, unix seconds."""
        return int(self.times[0])

    @property
    def end(self) -> int:
        """Close time of the last bar, unix seconds."""
        return int(self.times[-1]) + self.step

    def between(self, start: int, end: int) -> Bars:
        """The bars that open at or after `start` and before `end`."""
        first, last = (int(place) for place in np.searchsorted(self.times, (start, end)))
        part = slice(first, last)
        return Bars(self.times[part], self.open[part], self.high[part], self.low[part], self.close[part], self.step)
