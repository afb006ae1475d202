"""When things happen on a path: the policy looks, its orders fill, the option expires."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keeper.errors import InputError
from keeper.units import SECONDS_PER_YEAR

MOST_EVENTS = 5_000_000


@dataclass(frozen=True, slots=True)
class Schedule:
    """Event times in years from now to expiry, and what happens at each.

    ``looks[i]`` is the number of the look that takes place at ``times[i]``, or -1; ``fills[i]`` the number of the look
    whose order fills there, or -1. A fill comes before a look at the same time. ``slots`` is the most orders that can
    be on their way at once.
    """

    times: NDArray[np.float64]
    looks: NDArray[np.int64]
    fills: NDArray[np.int64]
    slots: int

    @property
    def steps(self) -> int:
        """Intervals between events."""
        return self.times.size - 1


def build_schedule(expiry: float, every: float, latency: float) -> Schedule:
    """Looks at 0, every, 2 every, ... before ``expiry``; an order decided at t fills at t + ``latency``. Seconds.

    The first hedge is made together with the option, so the look at 0 fills at once. An order that could not fill
    before expiry is never sent. With no latency every look fills at once and no fill is listed.
    """
    count = math.ceil(expiry / every * (1.0 - 1e-12))
    if count > MOST_EVENTS:
        raise InputError(f"{count:,} looks on a path are too many (at most {MOST_EVENTS:,}): look less often")
    look_times = _microseconds(every * np.arange(count))
    fill_times = _microseconds(every * np.arange(1, count) + latency) if latency > 0.0 else np.empty(0)
    fill_times = fill_times[fill_times < expiry]
    events = np.unique(np.concatenate([look_times, fill_times]))
    looks = np.full(events.size + 1, -1)
    fills = np.full(events.size + 1, -1)
    looks[np.searchsorted(events, look_times)] = np.arange(look_times.size)
    fills[np.searchsorted(events, fill_times)] = np.arange(1, 1 + fill_times.size)
    slots = math.floor(latency / every) + 1 if latency > 0.0 else 0
    return Schedule(np.append(events, expiry) / SECONDS_PER_YEAR, looks, fills, slots)


def _microseconds(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Times on a grid fine enough for any latency, so that equal times are equal numbers."""
    return np.round(times, 6)
