"""What the simulator hedges: a call, a put, or a book whose cash gamma does not depend on the spot.

The last pays S - K - K ln(S / K) at expiry. Its gamma is exp(-r T) K / S^2, so its cash gamma, gamma S^2, is K (at a
zero rate) wherever the spot goes, and at S = K it has no delta: the textbook book for studying when to hedge.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import NamedTuple

from keeper.compiled import kernel
from keeper.errors import InputError
from keeper.pricing.black76 import spot_greeks


class Payoff(IntEnum):
    """The contracts, numbered for the kernels."""

    CALL = 0
    PUT = 1
    CONSTANT_CASH_GAMMA = 2

    @property
    def label(self) -> str:
        """The name that users write: ``constant-cash-gamma``."""
        return self.name.lower().replace("_", "-")

    @classmethod
    def parse(cls, label: str) -> Payoff:
        """The payoff of a user's name. Raises ``InputError`` with the known names."""
        for payoff in cls:
            if payoff.label == label:
                return payoff
        raise InputError(f"unknown type '{label}': choose one of {', '.join(payoff.label for payoff in cls)}")


class Book(NamedTuple):
    """A position of ``position`` contracts, marked at ``implied_vol`` and hedged with the delta at ``hedge_vol``."""

    payoff: int
    strike: float
    position: float
    implied_vol: float
    hedge_vol: float
    rate: float


_CALL = int(Payoff.CALL)
_CONSTANT_CASH_GAMMA = int(Payoff.CONSTANT_CASH_GAMMA)


@kernel
def contract_greeks(
    payoff: int, spot: float, strike: float, time_to_expiry: float, vol: float, rate: float
) -> tuple[float, float, float, float, float]:
    """Value, delta, gamma, theta and charm of one contract; theta and charm per year of calendar time."""
    if payoff != _CONSTANT_CASH_GAMMA:
        value, delta, gamma, _, theta, _, _, charm = spot_greeks(
            spot, strike, time_to_expiry, vol, rate, payoff == _CALL
        )
        return value, delta, gamma, theta, charm
    present_strike = strike * math.exp(-rate * time_to_expiry)
    drift = rate - 0.5 * vol * vol
    log_forward = 1.0 + math.log(spot / strike) + drift * time_to_expiry
    theta = present_strike * (drift - rate * log_forward)
    ratio = present_strike / spot
    return spot - present_strike * log_forward, 1.0 - ratio, ratio / spot, theta, -rate * ratio
