"""Margin of a perpetual position: the formulas of `PerpMath.sol` and `PerpBook.sol` in float, under the same names.

    ratio       = min(|q| / K scalar + minRatio, maxRatio)
    initial     = |q| P ratio + fixed
    maintenance = |q| P ratio maintenanceScalar + fixed
    fixed       = minMargin + |q| P (liquidationFee + takerFee) + gas of a liquidation

q in coins, P in USD, ratios as fractions, gas in units and base fee in wei per unit with the index as USD per ether. A
requirement is zero where there is no position. Derivation and sources: docs/perp.md.
"""

from __future__ import annotations

from keeper.compiled import kernel

WEI = 1e-18


@kernel
def initial_margin_ratio(size: float, skew_scale: float, scalar: float, min_ratio: float, max_ratio: float) -> float:
    """Initial margin as a fraction of the notional."""
    return min(abs(size) / skew_scale * scalar + min_ratio, max_ratio)


@kernel
def gas_reward(gas_units: float, base_fee: float, price: float) -> float:
    """USD paid back for ``gas_units`` at ``base_fee`` wei per unit."""
    return gas_units * base_fee * WEI * price


@kernel
def margins(
    size: float, price: float, ratio: float, maintenance_scalar: float, min_margin: float, liquidation_cost: float
) -> tuple[float, float]:
    """Initial and maintenance margin (USD) of a position.

    ``liquidation_cost`` (USD) is what a liquidation would charge the position: see `liquidation_cost`.
    """
    if size == 0.0:
        return 0.0, 0.0
    notional = abs(size) * price
    fixed = min_margin + liquidation_cost
    return notional * ratio + fixed, notional * ratio * maintenance_scalar + fixed


@kernel
def liquidation_cost(
    size: float, price: float, liquidation_fee: float, taker_fee: float, liquidation_gas: float, max_base_fee: float
) -> float:
    """USD that closing a position by liquidation charges at most: both fees on the notional, and gas."""
    return abs(size) * price * (liquidation_fee + taker_fee) + gas_reward(liquidation_gas, max_base_fee, price)
