"""Standard normal draws for path models, from a generator that is passed in.

`random` draws independently. `stratified` (Latin hypercube) puts, at every step, exactly one path into each of the
equally likely slices of the normal distribution, in an order of its own: single-step moments and sums over steps come
out far more accurate, and a standard error computed as for independent paths is then too large, never too small.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from keeper.errors import InputError

Sampling = Literal["random", "stratified"]
SAMPLINGS: Final[tuple[str, ...]] = get_args(Sampling)


def normals(rng: np.random.Generator, steps: int, paths: int, sampling: Sampling = "random") -> NDArray[np.float64]:
    """Standard normal draws of shape (steps, paths). Raises ``InputError`` for an unknown kind of sampling."""
    if sampling == "random":
        return rng.standard_normal((steps, paths))
    if sampling == "stratified":
        slices = rng.permuted(np.tile(np.arange(paths, dtype=np.float64), (steps, 1)), axis=1)
        places = (slices + rng.random((steps, paths))) / paths
        draws: NDArray[np.float64] = ndtri(np.clip(places, np.finfo(np.float64).tiny, 1.0 - 2.0**-53))
        return draws
    raise InputError(f"unknown sampling '{sampling}': choose one of {', '.join(SAMPLINGS)}")
