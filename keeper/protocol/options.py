"""The option market's formulas, in floats: quotes, margin of shorts, settlement. Same names as `OptionMarket.sol`.

Rate 0 and the index as forward: Black-76 at the surface's vol. Time is in seconds here, years inside the pricing.
"""

from __future__ import annotations

from typing import Final

from keeper.compiled import kernel
from keeper.pricing import black76
from keeper.units import SECONDS_PER_YEAR

MIN_TIME: Final = 60.0
"""Seconds of life that an option is valued with at least, until it expires."""
INITIAL: Final = 0.15
MIN_INITIAL: Final = 0.10
MAINTENANCE: Final = 0.09


@kernel
def payoff(price: float, strike: float, is_call: bool) -> float:
    """What one unit pays at a settlement price, USD."""
    return max(price - strike, 0.0) if is_call else max(strike - price, 0.0)


@kernel
def unit(
    price: float, strike: float, seconds_left: float, vol: float, is_call: bool
) -> tuple[float, float, float, float, float]:
    """Value, delta, gamma, vega and theta of one unit before its settlement price is fixed.

    From expiry on it is the intrinsic value at the index with no delta: the average that settles it is complete.
    vega per 1.00 of vol, theta per year.
    """
    if seconds_left <= 0.0:
        return payoff(price, strike, is_call), 0.0, 0.0, 0.0, 0.0
    return black76.greeks(price, strike, max(seconds_left, MIN_TIME) / SECONDS_PER_YEAR, vol, 0.0, is_call)


@kernel
def quote_vol(
    mid_vol: float, half_spread: float, vega_skew: float, vega_sold: float, size: float, unit_vega: float
) -> float:
    """Vol at which a maker quotes `size` (positive when the taker buys).

    mid +- half spread + skew * (vega sold before + half of this trade's vega), so that splitting changes nothing.
    `half_spread` is already widened where the surface is DEGRADED.
    """
    skew = vega_skew * (vega_sold + 0.5 * size * unit_vega)
    return mid_vol + skew + (half_spread if size > 0.0 else -half_spread)


@kernel
def premium(price: float, strike: float, seconds_left: float, vol: float, is_call: bool, size: float) -> float:
    """What the taker pays for `size` at the maker's vol, USD; negative when it receives."""
    return size * unit(price, strike, seconds_left, vol, is_call)[0]


@kernel
def short_margin(price: float, strike: float, is_call: bool, unit_vega: float, spread: float) -> tuple[float, float]:
    """Initial and maintenance margin of one unit short, beside its liability, USD.

    initial = max(15% P - out-of-the-money amount, 10% P) + vega * spread, maintenance = 9% P.
    """
    out_of_the_money = max(strike - price, 0.0) if is_call else max(price - strike, 0.0)
    initial = max(INITIAL * price - out_of_the_money, MIN_INITIAL * price) + unit_vega * spread
    return initial, MAINTENANCE * price


@kernel
def closing_cost(size: float, unit_vega: float, spread: float) -> float:
    """Cost of closing a position at the spread around mid, to first order in vol, USD."""
    return abs(size) * unit_vega * spread


@kernel
def short_payment(owed: float, equity: float, insurance: float) -> tuple[float, float]:
    """What a short pays into its series' pot, and what the insurance fund adds; `equity` without this debt."""
    paid = min(owed, max(equity, 0.0))
    return paid, min(owed - paid, max(insurance, 0.0))


@kernel
def long_claim(size: float, unit_payoff: float, pot: float, longs: float) -> float:
    """What a long of `size` takes out of the pot when `longs` units, itself included, still wait for theirs."""
    return min(size * unit_payoff, pot * size / longs)
