"""Realised volatility from prices, annualised on 365 days. Time is in seconds, as on the chain."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keeper.compiled import kernel
from keeper.errors import InputError
from keeper.units import SECONDS_PER_YEAR

Column = NDArray[np.float64]


@kernel
def ewma_variance(variance: float, log_return: float, elapsed: float, half_life: float) -> float:
    """Annual variance after one return: v <- w v + (1 - w) r^2 YEAR / elapsed, with w = 2^(-elapsed / half_life).

    Weighting by time, not by count, makes irregular observations comparable. ``elapsed`` (seconds) must be positive.
    """
    weight = math.pow(2.0, -elapsed / half_life)
    return weight * variance + (1.0 - weight) * log_return * log_return * SECONDS_PER_YEAR / elapsed


def close_to_close(prices: ArrayLike, times: ArrayLike) -> float:
    """Annual vol of a window of prices seen at ``times`` (seconds, increasing), both one-dimensional.

    RV^2 = (sum r^2 - (sum r)^2 / n) / (total time) YEAR, over the n log returns. Raises `InputError` on fewer than
    three prices, prices that are not positive, or times that do not increase.
    """
    price = np.asarray(prices, dtype=np.float64)
    time = np.asarray(times, dtype=np.float64)
    if price.ndim != 1 or price.shape != time.shape or price.size < 3:
        raise InputError(f"realised vol needs at least 3 prices with a time each, got {price.size} and {time.size}")
    is_positive, is_later = price > 0.0, np.diff(time) > 0.0
    if not is_positive.all():
        first = int(np.argmin(is_positive))
        raise InputError(f"price {first} is {price[first]}; every price must be positive")
    if not is_later.all():
        first = int(np.argmin(is_later))
        raise InputError(f"time {first + 1} is {time[first + 1]}, not after {time[first]}; sort the prices by time")
    returns = np.diff(np.log(price))
    centred = float(np.sum(returns**2) - np.sum(returns) ** 2 / returns.size)
    return math.sqrt(max(centred, 0.0) / float(time[-1] - time[0]) * SECONDS_PER_YEAR)


def realised_variance(returns: ArrayLike) -> Column:
    """Sum of squared returns along the last axis."""
    return np.asarray(np.sum(np.square(np.asarray(returns, dtype=np.float64)), axis=-1))


def bipower_variance(returns: ArrayLike) -> Column:
    """The part of realised variance that comes without jumps: (pi / 2) sum |r_i| |r_(i-1)| M / (M - 1) of M returns.

    One jump enters only beside ordinary returns, so its share vanishes as M grows. Along the last axis. Raises
    `InputError` on fewer than two returns. Source: Barndorff-Nielsen and Shephard (2004).
    """
    size = np.abs(np.asarray(returns, dtype=np.float64))
    count = size.shape[-1] if size.ndim else 0
    if count < 2:
        raise InputError(f"bipower variation needs at least 2 returns, got {count}")
    products = np.sum(size[..., 1:] * size[..., :-1], axis=-1)
    return np.asarray(0.5 * math.pi * products * count / (count - 1))


def jump_share(returns: ArrayLike) -> Column:
    """Share of realised variance that jumps make up, max(0, 1 - BV / RV); 0 where nothing moved."""
    realised = realised_variance(returns)
    ratio = np.divide(bipower_variance(returns), realised, out=np.ones_like(realised), where=realised > 0.0)
    return np.asarray(np.maximum(1.0 - ratio, 0.0))
