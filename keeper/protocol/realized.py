"""`RealizedVolatility` in floats: what the contract makes of a feed's rounds.

Time is in seconds, a year has 365 days, vols are fractions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from keeper.compiled import kernel
from keeper.pricing.realised import ewma_variance
from keeper.units import SECONDS_PER_YEAR

MAX_VOL = 1_000.0


@dataclass(frozen=True, slots=True)
class RealizedSettings:
    """`IRealizedVolatility.Settings`: seconds, samples, vols as fractions, standard deviations."""

    half_life: int = 3_600
    min_gap: int = 60
    window: int = 128
    initial_vol: float = 0.8
    floor_vol: float = 0.1
    max_deviations: float = 5.0


@dataclass(frozen=True, slots=True)
class Realized:
    """What the contract has made of the rounds so far; ``samples`` are (log return, seconds), the newest last."""

    variance: float
    price: float = 0.0
    sampled_at: int = 0
    samples: tuple[tuple[float, int], ...] = ()
    jumped_at: int = 0
    jumps: int = 0

    @property
    def vol(self) -> float:
        """The time-weighted average."""
        return math.sqrt(self.variance)

    @property
    def window_vol(self) -> float:
        """sqrt((sum r^2 - (sum r)^2 / n) YEAR / sum dt), for at least two samples."""
        returns = [each for each, _ in self.samples]
        mean = math.fsum(returns) / len(returns)
        centred = math.fsum((each - mean) ** 2 for each in returns)
        return min(math.sqrt(centred * SECONDS_PER_YEAR / sum(time for _, time in self.samples)), MAX_VOL)


@kernel
def realized_step(
    variance: float, log_return: float, elapsed: float, half_life: float, floor_vol: float, max_deviations: float
) -> tuple[float, float, bool]:
    """Variance after one sample, the return as it was taken, and whether it was a jump.

    r <- clamp(r, +- z sqrt(max(v, floor^2) dt / YEAR)); v <- w v + (1 - w) r^2 YEAR / dt, w = 2^(-dt / half_life).
    ``elapsed`` in seconds, positive.
    """
    bound = max_deviations * math.sqrt(max(variance, floor_vol * floor_vol) * elapsed / SECONDS_PER_YEAR)
    taken = min(max(log_return, -bound), bound)
    following = ewma_variance(variance, taken, elapsed, half_life)
    return min(following, MAX_VOL * MAX_VOL), taken, taken != log_return


def start(settings: RealizedSettings) -> Realized:
    """Before the first round."""
    return Realized(settings.initial_vol**2)


def take(state: Realized, rounds: Iterable[tuple[float, int]], settings: RealizedSettings) -> Realized:
    """The state after these rounds, (price, time) in the order of time."""
    for price, time in rounds:
        if state.price == 0.0:
            state = replace(state, price=price, sampled_at=time)
            continue
        elapsed = time - state.sampled_at
        if elapsed < settings.min_gap:
            continue
        step = (math.log(price / state.price), elapsed, settings.half_life, settings.floor_vol, settings.max_deviations)
        variance, taken, is_jump = realized_step(state.variance, *step)
        samples = (*state.samples, (taken, elapsed))[-settings.window :]
        jumps = (time, state.jumps + 1) if is_jump else (state.jumped_at, state.jumps)
        state = Realized(variance, price, time, samples, *jumps)
    return state
