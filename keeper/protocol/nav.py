"""The vault's formulas, in floats: NAV, share price, shares. Same names as `VaultNav.sol` and `OptionVault.sol`.

    mid = cash + options at mid + hedge P&L at index + funding + order in flight
    low  = mid - (closing cost of the options + exit cost of the hedge)
    high = mid + (the same + exit gain of the hedge)

All amounts in USD, shares in whole shares.
"""

from __future__ import annotations

from typing import Final

from keeper.compiled import kernel

VIRTUAL: Final = 1e-6
"""One virtual unit of asset and its shares: what makes inflating a share price a loss."""


@kernel
def in_flight(pending: float, price: float, expected_fill: float, fee: float, reward: float) -> float:
    """Expected value of an order that is not settled yet; what it will cost, negative."""
    if pending == 0.0:
        return 0.0
    return pending * (price - expected_fill) - fee - reward


@kernel
def exit_cost(exit_size: float, price: float, fill: float, fee: float) -> float:
    """Cost of sending the hedge back to flat by an order of `exit_size`: price impact where it costs, and the fee."""
    if exit_size == 0.0:
        return 0.0
    return max(exit_size * (fill - price), 0.0) + fee


@kernel
def exit_gain(exit_size: float, price: float, fill: float) -> float:
    """What the price impact of that order earns where it is a gain."""
    return max(exit_size * (price - fill), 0.0)


@kernel
def around(value: float, reserve: float, gain: float) -> tuple[float, float, float]:
    """NAV at mid, low and high from the marked value, the cost of leaving it, and what leaving may earn."""
    return value, value - reserve, value + reserve + gain


@kernel
def share_price(nav: float, supply: float) -> float:
    """USD per share at a NAV (mid for display)."""
    return (max(nav, 0.0) + VIRTUAL) / (supply + VIRTUAL)


@kernel
def deposit_shares(assets: float, nav_high: float, supply: float) -> float:
    """Shares for a deposit: priced at the high NAV."""
    return assets * (supply + VIRTUAL) / (max(nav_high, 0.0) + VIRTUAL)


@kernel
def redeem_assets(shares: float, nav_low: float, supply: float) -> float:
    """Proceeds of a redemption: priced at the low NAV."""
    return shares * (max(nav_low, 0.0) + VIRTUAL) / (supply + VIRTUAL)


@kernel
def performance_fee(gross: float, mark: float, rate: float, supply: float) -> tuple[float, float]:
    """Shares that the fee mints and the share price after it, from the price before it and the high-water mark."""
    if gross <= mark:
        return 0.0, gross
    net = gross - rate * (gross - mark)
    return (supply + VIRTUAL) * (gross - net) / net, net


@kernel
def free_cash(cash: float, equity: float, initial_margin: float, margin_buffer: float, bad_debt: float) -> float:
    """What may leave the vault's account now; an owner may take its share of that."""
    if bad_debt > 0.0:
        return 0.0
    return max(min(cash, equity - margin_buffer * initial_margin), 0.0)
