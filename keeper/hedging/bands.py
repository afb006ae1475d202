"""How wide a hedge's no-trade band should be, and how long its interval.

Both rules balance the same two costs of a book of net gamma G (coins per $): trading, c S per coin, and the risk
premium 1/2 a sigma^2 S^2 E[x^2] on the unhedged delta x, for a risk aversion a (1/$). The distance of delta from the
hedge moves with volatility v = G sigma S (coins per square root of a year).

    band of half-width w, traded at its edge:   c S v^2 / (2 w)           + 1/2 a sigma^2 S^2 w^2 / 3
    fixed interval h:                           c S v sqrt(2 / (pi h))    + 1/2 a sigma^2 S^2 v^2 h / 2

The minimisers are the two kernels below; the best interval costs (12 / pi)^(1/3) = 1.563 times the best band, whatever
the parameters. Derivation: docs/simulate.md. Source of the band: A. E. Whalley, P. Wilmott (1997).
"""

from __future__ import annotations

import math

from keeper.compiled import kernel


@kernel
def whalley_wilmott_half_width(
    spot: float, gamma: float, time_to_expiry: float, rate: float, cost: float, risk_aversion: float
) -> float:
    """Half-width in coins, w = (3/2 exp(-r T) c S G^2 / a)^(1/3).

    ``gamma`` is the book's net gamma in coins per $ (its sign does not matter), ``cost`` the one-way proportional cost
    as a fraction of notional, ``risk_aversion`` in 1/$, ``time_to_expiry`` in years.
    """
    discount = math.exp(-rate * time_to_expiry)
    return math.pow(1.5 * discount * cost * spot * gamma * gamma / risk_aversion, 1.0 / 3.0)


@kernel
def optimal_interval(spot: float, gamma: float, vol: float, cost: float, risk_aversion: float) -> float:
    """Best time in years between hedges by the clock, h = (2 c sqrt(2 / pi) / (a |G| S^2 sigma^3))^(2/3)."""
    risk = risk_aversion * abs(gamma) * spot * spot * vol * vol * vol
    return math.pow(2.0 * cost * math.sqrt(2.0 / math.pi) / risk, 2.0 / 3.0)
