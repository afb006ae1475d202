"""The hedging policies: when to trade, and how much. The live keeper and the simulator call these same kernels.

Every kernel answers ``(trade, lower_edge, upper_edge, reason)``. ``trade`` is the signed size in coins to add to the
hedge, 0.0 to hold; the edges are the hedge positions between which it holds; ``reason`` is a ``ReasonCode``. Its first
two inputs are ``target``, the hedge that would leave no delta (minus the net delta of the options), and ``position``,
the hedge that is held or on its way, both in coins.

    none             never
    fixed_time       to the target, once `interval` has passed since the last hedge
    fixed_band       when the hedge is more than `half_width` from its target: to the nearest edge, or to the centre
    whalley_wilmott  the same, with the half-width that balances cost against risk (keeper/hedging/bands.py)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

from keeper.compiled import kernel
from keeper.errors import InputError
from keeper.hedging.bands import whalley_wilmott_half_width


class Policy(IntEnum):
    """The policies, numbered for the kernels."""

    NONE = 0
    FIXED_TIME = 1
    FIXED_BAND = 2
    WHALLEY_WILMOTT = 3

    @property
    def label(self) -> str:
        """The name that users write: ``whalley-wilmott``."""
        return self.name.lower().replace("_", "-")

    @classmethod
    def parse(cls, label: str) -> Policy:
        """The policy of a user's name. Raises ``InputError`` with the known names."""
        for policy in cls:
            if policy.label == label:
                return policy
        raise InputError(f"unknown policy '{label}': choose one of {', '.join(policy.label for policy in cls)}")


class ReasonCode(IntEnum):
    """Why a kernel answered as it did; named as the reasons of a live decision."""

    POLICY_NONE = 0
    INTERVAL_NOT_DUE = 1
    INTERVAL_DUE = 2
    INSIDE_BAND = 3
    OUTSIDE_BAND = 4
    NOT_A_NUMBER = 5


@dataclass(frozen=True, slots=True)
class PolicyConfig:
    """A policy with the parameters that its user chose; a bad one raises ``InputError``.

    ``interval`` in seconds, ``half_width`` in coins, ``cost`` one way as a fraction of notional, ``risk_aversion`` in
    1/$. Each policy reads only its own parameters.
    """

    policy: Policy
    interval: float = 3600.0
    half_width: float = 0.0
    cost: float = 0.0
    risk_aversion: float = 0.1
    to_centre: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.interval) and self.interval > 0.0):
            raise InputError(f"hedging interval is {self.interval} s: it must be a positive number of seconds")
        if not (math.isfinite(self.half_width) and self.half_width >= 0.0):
            raise InputError(f"band half-width is {self.half_width}: it must be zero or more coins")
        if not 0.0 <= self.cost < 1.0:
            raise InputError(f"trading cost is {self.cost} of notional: it must lie in [0, 1)")
        if not (math.isfinite(self.risk_aversion) and self.risk_aversion > 0.0):
            raise InputError(f"risk aversion is {self.risk_aversion}: it must be a positive number of 1/$")


_POLICY_NONE = int(ReasonCode.POLICY_NONE)
_INTERVAL_NOT_DUE = int(ReasonCode.INTERVAL_NOT_DUE)
_INTERVAL_DUE = int(ReasonCode.INTERVAL_DUE)
_INSIDE_BAND = int(ReasonCode.INSIDE_BAND)
_OUTSIDE_BAND = int(ReasonCode.OUTSIDE_BAND)
_NOT_A_NUMBER = int(ReasonCode.NOT_A_NUMBER)
_FIXED_TIME = int(Policy.FIXED_TIME)
_FIXED_BAND = int(Policy.FIXED_BAND)
_WHALLEY_WILMOTT = int(Policy.WHALLEY_WILMOTT)


@kernel
def none(target: float, position: float) -> tuple[float, float, float, int]:
    """Never trade."""
    if not math.isfinite(target - position):
        return 0.0, -math.inf, math.inf, _NOT_A_NUMBER
    return 0.0, -math.inf, math.inf, _POLICY_NONE


@kernel
def fixed_time(target: float, position: float, elapsed: float, interval: float) -> tuple[float, float, float, int]:
    """Trade to the target once ``interval`` has passed since the last hedge (``elapsed`` is infinite before it)."""
    if not math.isfinite(target - position) or math.isnan(elapsed - interval):
        return 0.0, -math.inf, math.inf, _NOT_A_NUMBER
    if elapsed < interval:
        return 0.0, -math.inf, math.inf, _INTERVAL_NOT_DUE
    return target - position, target, target, _INTERVAL_DUE


@kernel
def fixed_band(target: float, position: float, half_width: float, to_centre: bool) -> tuple[float, float, float, int]:
    """Hold within ``half_width`` coins of the target; beyond it trade to the nearest edge, or to the centre."""
    lower = target - half_width
    upper = target + half_width
    if not math.isfinite(target - position) or not math.isfinite(half_width):
        return 0.0, -math.inf, math.inf, _NOT_A_NUMBER
    if lower <= position <= upper:
        return 0.0, lower, upper, _INSIDE_BAND
    if to_centre:
        return target - position, lower, upper, _OUTSIDE_BAND
    return (lower if position < lower else upper) - position, lower, upper, _OUTSIDE_BAND


@kernel
def whalley_wilmott(
    target: float,
    position: float,
    spot: float,
    gamma: float,
    time_to_expiry: float,
    rate: float,
    cost: float,
    risk_aversion: float,
) -> tuple[float, float, float, int]:
    """The band of Whalley and Wilmott around the target, traded to its nearest edge."""
    half_width = whalley_wilmott_half_width(spot, gamma, time_to_expiry, rate, cost, risk_aversion)
    return fixed_band(target, position, half_width, False)


@kernel
def decide(
    policy: int,
    target: float,
    position: float,
    elapsed: float,
    spot: float,
    gamma: float,
    time_to_expiry: float,
    rate: float,
    interval: float,
    half_width: float,
    cost: float,
    risk_aversion: float,
    to_centre: bool,
) -> tuple[float, float, float, int]:
    """The answer of the policy with this number; an unknown number never trades."""
    if policy == _FIXED_TIME:
        return fixed_time(target, position, elapsed, interval)
    if policy == _FIXED_BAND:
        return fixed_band(target, position, half_width, to_centre)
    if policy == _WHALLEY_WILMOTT:
        return whalley_wilmott(target, position, spot, gamma, time_to_expiry, rate, cost, risk_aversion)
    return none(target, position)
