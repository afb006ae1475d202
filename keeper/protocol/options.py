"""The option market's formulas, in floats: quotes, margin of shorts, settlement. Same names as `OptionMarket.sol`.

An option settles at the average index price of its last half hour, so it is priced on that average: Black-76 at rate 0
and the surface's vol, on the expected average and over the time that has its variance (docs/options.md). Time is
in seconds here, years inside the pricing.
"""

from __future__ import annotations

import math
from typing import Final

from keeper.compiled import kernel
from keeper.pricing import black76
from keeper.units import SECONDS_PER_YEAR

MIN_TIME: Final = 60.0
"""Seconds of life that an option is valued with at least, until it expires."""
MIN_VOL: Final = 0.01
MAX_VOL: Final = 5.0
AVERAGING: Final = 1_800.0
"""Seconds before expiry over which the settlement price is averaged."""
MIN_SPREAD_DELTA: Final = 0.1
"""|delta| that a maker's least spread is charged on at least."""
INITIAL: Final = 0.15
MIN_INITIAL: Final = 0.10
MAINTENANCE: Final = 0.09


@kernel
def payoff(price: float, strike: float, is_call: bool) -> float:
    """What one unit pays at a settlement price, USD."""
    return max(price - strike, 0.0) if is_call else max(strike - price, 0.0)


@kernel
def variance_seconds(seconds_left: float) -> float:
    """Seconds for which the index would have to diffuse to have the variance of what is open of the settlement average.

    r - 2 W / 3 before the averaging window W, r^3 / (3 W^2) within it in whole seconds, at least a minute until
    expiry, then 0.
    """
    if seconds_left <= 0.0:
        return 0.0
    if seconds_left >= AVERAGING:
        return seconds_left - 2.0 * AVERAGING / 3.0
    return max(float(math.floor(seconds_left**3 / (3.0 * AVERAGING**2))), MIN_TIME)


@kernel
def open_share(seconds_left: float) -> float:
    """Share of the settlement average that is still open: d forward / d index."""
    return min(max(seconds_left / AVERAGING, 0.0), 1.0)


@kernel
def settlement_forward(price: float, average: float, seconds_left: float) -> float:
    """Expected settlement price, USD, where the average since the window began is `average`."""
    share = open_share(seconds_left)
    return (1.0 - share) * average + share * price


@kernel
def unit_given(
    price: float, average: float, strike: float, seconds_left: float, vol: float, is_call: bool
) -> tuple[float, float, float, float, float]:
    """Value, delta, gamma, vega and theta of one unit before its settlement price is fixed, given the average so far.

    Delta and gamma to the index. From expiry on it is the intrinsic value at the average, with no delta.
    vega per 1.00 of vol, theta per year.
    """
    forward = settlement_forward(price, average, seconds_left)
    if seconds_left <= 0.0:
        return payoff(forward, strike, is_call), 0.0, 0.0, 0.0, 0.0
    time, share = variance_seconds(seconds_left) / SECONDS_PER_YEAR, open_share(seconds_left)
    value, delta, gamma, vega, theta = black76.greeks(forward, strike, time, vol, 0.0, is_call)
    return value, delta * share, gamma * share**2, vega, theta * share**2


@kernel
def unit(
    price: float, strike: float, seconds_left: float, vol: float, is_call: bool
) -> tuple[float, float, float, float, float]:
    """The same where the average so far is the index: before the averaging window, or while the index rests."""
    return unit_given(price, price, strike, seconds_left, vol, is_call)


@kernel
def added_spread(
    price: float, unit_delta: float, unit_vega: float, half_spread: float, min_spread: float, size: float
) -> float:
    """By how much a trade's vol spread falls short of the maker's least spread, USD, charged on top."""
    least = min_spread * price * max(abs(unit_delta), MIN_SPREAD_DELTA)
    return abs(size) * max(least - unit_vega * half_spread, 0.0)


@kernel
def quote_vol(
    mid_vol: float, half_spread: float, vega_skew: float, vega_sold: float, size: float, unit_vega: float
) -> float:
    """Vol at which a maker quotes `size` (positive when the taker buys).

    mid +- half spread + skew * (vega sold before + half of this trade's vega), so that splitting changes nothing;
    held within the range of the chain's Black-Scholes.
    `half_spread` is already widened where the surface is DEGRADED.
    """
    skew = vega_skew * (vega_sold + 0.5 * size * unit_vega)
    return min(max(mid_vol + skew + (half_spread if size > 0.0 else -half_spread), MIN_VOL), MAX_VOL)


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
    """What a short pays into its expiry's pot, and what the insurance fund adds; `equity` without this debt.

    `owed` is what is left after setting off the account's own longs of the expiry. The account goes on owing the fund
    what it added; `insurance` is what the fund may still give this expiry.
    """
    paid = min(owed, max(equity, 0.0))
    return paid, min(owed - paid, max(insurance, 0.0))


@kernel
def long_claim(size: float, unit_payoff: float, paid: float, owed: float) -> float:
    """What a long of `size` is paid where the shorts of its expiry owed `owed` in all and `paid` came in."""
    claim = size * unit_payoff
    return claim if paid >= owed else claim * paid / owed
