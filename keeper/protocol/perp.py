"""A perpetual priced by skew: the formulas of `contracts/math/PerpMath.sol` in float, under the same names.

P index price (USD), s market skew, d order size, q position size, K skew scale (all coins, longs positive):

    fill     = P (1 + (s + d/2) / K)               exact price of moving along U(s) = P s^2 / (2 K)
    fee      = (maker m + taker (|d| - m)) fill    m: the part of the order that brings the skew towards zero
    velocity = clamp(s/K, -1, 1) vMax              per day per day, 0 inside the dead band
    F(t)     = F - P * integral of the rate        USD per coin; longs pay while the rate is positive

The contract rounds each of these against the party who benefits; here nothing is rounded. Time steps are seconds, rates
per day. Derivation and sources: docs/perp.md.
"""

from __future__ import annotations

from keeper.compiled import kernel

DAY = 86_400.0


@kernel
def fill_price(size_delta: float, skew: float, skew_scale: float, price: float) -> float:
    """USD per coin at which an order fills; never below zero."""
    return max(price * (1.0 + (skew + 0.5 * size_delta) / skew_scale), 0.0)


@kernel
def order_fee(size_delta: float, skew: float, fill: float, maker_fee: float, taker_fee: float) -> float:
    """USD fee of an order that fills at ``fill``: maker for what reduces |skew|, taker for the rest."""
    size = abs(size_delta)
    maker = min(size, abs(skew)) if size_delta * skew < 0.0 else 0.0
    return fill * (maker * maker_fee + (size - maker) * taker_fee)


@kernel
def funding_velocity(skew: float, skew_scale: float, max_velocity: float, dead_band: float) -> float:
    """Change of the funding rate, per day per day."""
    proportion = min(max(skew / skew_scale, -1.0), 1.0)
    return 0.0 if abs(proportion) < dead_band else proportion * max_velocity


@kernel
def accrue_rate(rate: float, velocity: float, elapsed: float, rate_cap: float) -> tuple[float, float]:
    """Rate after ``elapsed`` seconds held at the cap (per day), and its integral over that time (dimensionless).

    integral = (rate + rate + velocity t) t / 2 - overshoot^2 / (2 velocity), exact when the rate meets its cap on the
    way. ``rate`` must lie within the cap.
    """
    days = elapsed / DAY
    free = rate + velocity * days
    end = min(max(free, -rate_cap), rate_cap)
    integral = 0.5 * (rate + free) * days
    if free != end:
        overshoot = free - end
        integral -= overshoot * overshoot / (2.0 * velocity)
    return end, integral


@kernel
def accrue_funding(per_coin: float, integral: float, price: float) -> float:
    """Funding per coin (USD) after the rate's ``integral`` at index ``price``."""
    return per_coin - integral * price


@kernel
def profit(size: float, start: float, end: float) -> float:
    """USD gained by a position of ``size`` on a move of price, or of funding per coin."""
    return size * (end - start)
