"""Geometric Brownian motion: dS = mu S dt + sigma S dW, sampled exactly at any times."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from keeper.market.sampling import Sampling, normals


def price_paths(
    rng: np.random.Generator,
    paths: int,
    times: NDArray[np.float64],
    spot: float,
    drift: float,
    vol: float,
    sampling: Sampling = "random",
) -> NDArray[np.float64]:
    """Prices of shape (times, paths), the first row being ``spot``.

    S_{i+1} = S_i exp((mu - sigma^2 / 2) dt_i + sigma sqrt(dt_i) z), z standard normal. ``times`` in years, increasing;
    ``drift`` and ``vol`` annual.
    """
    intervals = np.diff(times)[:, None]
    prices = np.empty((times.size, paths))
    prices[0] = 0.0
    logs = prices[1:]
    np.multiply(normals(rng, intervals.size, paths, sampling), vol * np.sqrt(intervals), out=logs)
    logs += (drift - 0.5 * vol * vol) * intervals
    np.cumsum(logs, axis=0, out=logs)
    np.exp(prices, out=prices)
    prices *= spot
    return prices
