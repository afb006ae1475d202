"""What one vault stands to gain and lose: its Greeks, its hedge and its margin, added up from one snapshot.

    option delta = sum over series of size x delta          coins
    net delta    = option delta + hedge + orders in flight   coins
    cash gamma   = net gamma x price^2                       USD of delta per 100% move

The Greeks of each series are the chain's own, at mid volatility; the hedge is linear: it adds delta and nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from keeper.state.snapshot import Holding, Snapshot


@dataclass(frozen=True, slots=True)
class Exposure:
    """Greeks and margin of a vault. Deltas in coins, gamma coins per USD, vega USD per 1.00 vol, theta USD per year.

    ``time_to_expiry`` is the gamma-weighted mean over the live series, in years (0 without any). The two ratios are
    equity over the requirement, infinite when nothing is required.
    """

    option_value: float
    option_delta: float
    gamma: float
    vega: float
    theta: float
    hedge: float
    pending: float
    net_delta: float
    cash_gamma: float
    time_to_expiry: float
    equity: float
    initial_margin: float
    maintenance_margin: float
    initial_ratio: float
    maintenance_ratio: float


def exposure(snapshot: Snapshot) -> Exposure:
    """The exposure of the vault that ``snapshot`` shows, at that block."""
    holdings = snapshot.holdings
    delta = math.fsum(held.size * held.delta for held in holdings)
    gamma = math.fsum(held.size * held.gamma for held in holdings)
    hedge = math.fsum(venue.size for venue in snapshot.venues)
    pending = math.fsum(venue.pending_size for venue in snapshot.venues)
    account = snapshot.account
    return Exposure(
        option_value=math.fsum(held.size * held.value for held in holdings),
        option_delta=delta,
        gamma=gamma,
        vega=math.fsum(held.size * held.vega for held in holdings),
        theta=math.fsum(held.size * held.theta for held in holdings),
        hedge=hedge,
        pending=pending,
        net_delta=delta + hedge + pending,
        cash_gamma=gamma * snapshot.price.price**2,
        time_to_expiry=_mean_time(holdings, snapshot.block.timestamp),
        equity=account.equity,
        initial_margin=account.initial_margin,
        maintenance_margin=account.maintenance_margin,
        initial_ratio=_ratio(account.equity, account.initial_margin),
        maintenance_ratio=_ratio(account.equity, account.maintenance_margin),
    )


def _mean_time(holdings: tuple[Holding, ...], now: int) -> float:
    """Years to expiry, each live series weighted by the size of its gamma."""
    weights = [abs(held.size * held.gamma) for held in holdings]
    total = math.fsum(weights)
    if total <= 0.0:
        return 0.0
    pairs = zip(weights, holdings, strict=True)
    return math.fsum(weight * held.time_to_expiry(now) for weight, held in pairs) / total


def _ratio(equity: float, requirement: float) -> float:
    return equity / requirement if requirement > 0.0 else math.inf
