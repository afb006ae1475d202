"""European options: Black-76 on a forward, Black-Scholes on a spot, and the vol implied by a price.

Every kernel takes floats and returns floats, in the one order
``(forward or spot, strike, time_to_expiry, vol, rate, is_call)``. Time is in years of 365 days, vol and rate are
annual decimals, rates compound continuously. With D = exp(-rate T) and s = vol sqrt(T):

    d1 = ln(F / K) / s + s / 2,   d2 = d1 - s
    call = D (F N(d1) - K N(d2)),   put = call - D (F - K)

Where the option has no time or no vol left (``s`` below 1e-12) the price is the discounted intrinsic value, delta is a
step (half at the strike), and the other Greeks are zero but for what discounting leaves. Forward and strike must be
positive. Source: F. Black (1976); J. Hull, "Options, Futures, and Other Derivatives". Derivation: docs/option-maths.md.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keeper.compiled import kernel

SQRT_HALF = math.sqrt(0.5)
INV_SQRT_TWO_PI = 1.0 / math.sqrt(2.0 * math.pi)
SMALLEST_DEVIATION = 1e-12

Column = NDArray[np.float64]


@kernel
def norm_cdf(x: float) -> float:
    """Standard normal distribution function N(x), accurate to a few ulp in both tails."""
    return 0.5 * math.erfc(-x * SQRT_HALF)


@kernel
def norm_pdf(x: float) -> float:
    """Standard normal density exp(-x^2 / 2) / sqrt(2 pi)."""
    return INV_SQRT_TWO_PI * math.exp(-0.5 * x * x)


@kernel
def _deviation(time_to_expiry: float, vol: float) -> float:
    """Standard deviation of the log forward, vol sqrt(T); zero where no randomness is left."""
    if time_to_expiry <= 0.0 or vol <= 0.0:
        return 0.0
    deviation = vol * math.sqrt(time_to_expiry)
    return 0.0 if deviation < SMALLEST_DEVIATION else deviation


@kernel
def _step(forward: float, strike: float) -> float:
    """Probability that an option without randomness ends above its strike; half exactly at it."""
    if forward == strike:
        return 0.5
    return 1.0 if forward > strike else 0.0


@kernel
def price(forward: float, strike: float, time_to_expiry: float, vol: float, rate: float, is_call: bool) -> float:
    """Present value of a European option on a forward, in the units of ``forward``."""
    discount = math.exp(-rate * max(time_to_expiry, 0.0))
    sign = 1.0 if is_call else -1.0
    deviation = _deviation(time_to_expiry, vol)
    if deviation == 0.0:
        return discount * max(sign * (forward - strike), 0.0)
    d1 = math.log(forward / strike) / deviation + 0.5 * deviation
    d2 = d1 - deviation
    return max(discount * sign * (forward * norm_cdf(sign * d1) - strike * norm_cdf(sign * d2)), 0.0)


@kernel
def greeks(
    forward: float, strike: float, time_to_expiry: float, vol: float, rate: float, is_call: bool
) -> tuple[float, float, float, float, float]:
    """Price, delta, gamma, vega and theta with respect to the forward.

    delta = dV/dF = +-D N(+-d1), gamma = d2V/dF2, vega = dV/dvol per 1.00 of vol, theta = -dV/dT per year of calendar
    time with the forward held fixed.
    """
    discount = math.exp(-rate * max(time_to_expiry, 0.0))
    sign = 1.0 if is_call else -1.0
    deviation = _deviation(time_to_expiry, vol)
    if deviation == 0.0:
        value = discount * max(sign * (forward - strike), 0.0)
        theta = rate * value if time_to_expiry > 0.0 else 0.0
        return value, discount * (_step(forward, strike) - (0.0 if is_call else 1.0)), 0.0, 0.0, theta
    root = math.sqrt(time_to_expiry)
    d1 = math.log(forward / strike) / deviation + 0.5 * deviation
    d2 = d1 - deviation
    density = discount * norm_pdf(d1)
    probability = norm_cdf(sign * d1)
    value = max(discount * sign * (forward * probability - strike * norm_cdf(sign * d2)), 0.0)
    theta = rate * value - 0.5 * forward * density * vol / root
    return value, discount * sign * probability, density / (forward * deviation), forward * density * root, theta


@kernel
def spot_greeks(
    spot: float, strike: float, time_to_expiry: float, vol: float, rate: float, is_call: bool
) -> tuple[float, float, float, float, float, float, float, float]:
    """Price, delta, gamma, vega, theta, vanna, volga and charm of Black-Scholes on a spot that carries at ``rate``.

    vega per 1.00 of vol; theta = dV/dt and charm = d delta/dt per year of calendar time; vanna = d delta/d vol;
    volga = d vega/d vol. With ``rate`` zero the first five equal ``greeks`` on the forward.
    """
    horizon = max(time_to_expiry, 0.0)
    present_strike = strike * math.exp(-rate * horizon)
    sign = 1.0 if is_call else -1.0
    deviation = _deviation(time_to_expiry, vol)
    if deviation == 0.0:
        step = _step(spot, present_strike) - (0.0 if is_call else 1.0)
        theta = -rate * present_strike * step if time_to_expiry > 0.0 else 0.0
        return max(sign * (spot - present_strike), 0.0), step, 0.0, 0.0, theta, 0.0, 0.0, 0.0
    root = math.sqrt(time_to_expiry)
    d1 = math.log(spot / present_strike) / deviation + 0.5 * deviation
    d2 = d1 - deviation
    density = norm_pdf(d1)
    delta = sign * norm_cdf(sign * d1)
    strike_leg = sign * present_strike * norm_cdf(sign * d2)
    vega = spot * density * root
    theta = -0.5 * spot * density * vol / root - rate * strike_leg
    charm = density * (0.5 * d2 / time_to_expiry - rate / deviation)
    return (
        max(spot * delta - strike_leg, 0.0),
        delta,
        density / (spot * deviation),
        vega,
        theta,
        -density * d2 / vol,
        vega * d1 * d2 / vol,
        charm,
    )


@kernel
def _normalised_call(moneyness: float, deviation: float) -> float:
    """Undiscounted call over sqrt(F K) for ``moneyness`` = ln(F / K)."""
    ratio = moneyness / deviation
    return math.exp(0.5 * moneyness) * norm_cdf(ratio + 0.5 * deviation) - math.exp(-0.5 * moneyness) * norm_cdf(
        ratio - 0.5 * deviation
    )


@kernel
def implied_vol(
    price: float, forward: float, strike: float, time_to_expiry: float, rate: float, is_call: bool
) -> float:
    """Vol at which Black-76 gives ``price``; 0 at the intrinsic value, NaN where no vol does.

    The time value is that of the out-of-the-money twin, so both sides of the strike are solved alike: a Newton step
    inside a bracket, on 1 / ln(price) below the inflection sqrt(2 |ln F/K|) and on the price above it, where each is
    nearly straight. The vol is exact to rounding wherever the price determines it. Source of the objective:
    P. Jaeckel, "Let's be rational" (2015).
    """
    discount = math.exp(-rate * max(time_to_expiry, 0.0))
    sign = 1.0 if is_call else -1.0
    undiscounted = price / discount
    intrinsic = max(sign * (forward - strike), 0.0)
    target = (undiscounted - intrinsic) / math.sqrt(forward * strike)
    moneyness = -abs(math.log(forward / strike))
    if not time_to_expiry > 0.0 or not target < math.exp(0.5 * moneyness) or target < -1e-14 * (1.0 + undiscounted):
        return math.nan
    if target <= 0.0:
        return 0.0
    deviation = math.sqrt(-2.0 * moneyness)
    is_low = deviation > 0.0 and target < _normalised_call(moneyness, deviation)
    low = 0.0 if is_low else deviation
    high = deviation if is_low else math.inf
    if not is_low:
        deviation = max(deviation, min(target / INV_SQRT_TWO_PI, 8.0))
    for _ in range(100):
        value = _normalised_call(moneyness, deviation)
        if value > target:
            high = min(high, deviation)
        else:
            low = max(low, deviation)
        slope = norm_pdf(moneyness / deviation + 0.5 * deviation) * math.exp(0.5 * moneyness)
        step = 0.0
        if slope > 0.0:
            step = (target - value) / slope
            if is_low and value > 0.0:
                step = value * math.log(value) * (1.0 - math.log(value) / math.log(target)) / slope
        following = deviation + step
        if (step == 0.0 and value != target) or not low <= following <= high:
            following = 2.0 * low + 1.0 if high == math.inf else 0.5 * (low + high)
        if abs(following - deviation) <= 2e-16 * following:
            return following / math.sqrt(time_to_expiry)
        deviation = following
    return deviation / math.sqrt(time_to_expiry)


@kernel
def _fill_prices(
    forward: Column, strike: Column, time_to_expiry: Column, vol: Column, rate: Column, is_call: Column, out: Column
) -> None:
    for i in range(out.size):
        out[i] = price(forward[i], strike[i], time_to_expiry[i], vol[i], rate[i], is_call[i] != 0.0)


def prices(
    forward: ArrayLike,
    strike: ArrayLike,
    time_to_expiry: ArrayLike,
    vol: ArrayLike,
    rate: ArrayLike,
    is_call: ArrayLike,
) -> Column:
    """``price`` over arrays that broadcast together; the result has their common shape."""
    inputs = (forward, strike, time_to_expiry, vol, rate, is_call)
    columns = np.array(np.broadcast_arrays(*(np.asarray(value, dtype=np.float64) for value in inputs)))
    out = np.empty(columns.shape[1:])
    f, k, t, v, r, call = columns.reshape(6, -1)
    _fill_prices(f, k, t, v, r, call, out.reshape(-1))
    return out
