"""What a hedger's key may do, in floats: the rules of `HedgeMandate.sol`, so a refusal is known before it is paid for.

Sizes in coins, prices in USD, times in seconds.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from keeper.compiled import kernel
from keeper.units import SECONDS_PER_DAY

VOL_DOUBT: Final = 0.25
"""How far vol may be from an old surface, as a fraction of it."""


class Refusal(IntEnum):
    """Why the mandate refuses, in the order in which it looks; the names are those of its errors."""

    NONE = 0
    ORDER_IN_FLIGHT = 1
    COOLING_DOWN = 2
    SLIPPAGE_EXCEEDED = 3
    DOES_NOT_REDUCE = 4
    SIZE_EXCEEDED = 5
    KEEPER_BUDGET_EXCEEDED = 6
    MARGIN_BUFFER_BROKEN = 7


@kernel
def spent_now(spent: float, seconds: float, budget_per_day: float) -> float:
    """What is still spent of a budget `seconds` after it stood at `spent`: it fades by one day's budget a day."""
    return max(spent - budget_per_day * seconds / SECONDS_PER_DAY, 0.0)


@kernel
def reduces(before: float, afterwards: float, tolerance: float) -> bool:
    """Whether a hedge that takes net delta from `before` to `afterwards` is one.

    Inside the tolerance: stays inside. Outside: |delta| falls, and does not come out on the other side of it.
    """
    inside = abs(afterwards) <= tolerance
    if abs(before) <= tolerance:
        return inside
    turns = (before > 0.0) != (afterwards > 0.0)
    return abs(afterwards) < abs(before) and (inside or not turns)


@kernel
def reduces_in_doubt(before_low_vol: float, before_high_vol: float, size: float) -> bool:
    """Whether a hedge lowers |net delta| at both stressed vols: what an old surface asks on top of `reduces`."""
    return abs(before_low_vol + size) < abs(before_low_vol) and abs(before_high_vol + size) < abs(before_high_vol)


@kernel
def keeps_slippage(size: float, acceptable_price: float, price: float, max_slippage: float) -> bool:
    """Whether an acceptable price lies within the bound around the index."""
    if size > 0.0:
        return acceptable_price <= price * (1.0 + max_slippage)
    return acceptable_price >= price * (1.0 - max_slippage)


@kernel
def shrinks(position: float, size: float) -> bool:
    """Whether an order only takes a position toward flat: exempt from the margin buffer."""
    return (position > 0.0) != (size > 0.0) and abs(size) <= abs(position)


@kernel
def refusal(
    size: float,
    acceptable_price: float,
    price: float,
    net_delta: float,
    position: float,
    pending: float,
    seconds_since_fill: float,
    budget_left: float,
    equity_after: float,
    initial_margin_after: float,
    delta_tolerance: float,
    max_order_size: float,
    max_slippage: float,
    margin_buffer: float,
    cooldown: float,
) -> int:
    """The first rule that a hedge breaks, as a `Refusal`; 0 where it may go.

    `net_delta` counts orders in flight; `equity_after` and `initial_margin_after` count this order as committed;
    `seconds_since_fill` is infinite where the venue never filled one.
    """
    if pending != 0.0:
        return 1
    if seconds_since_fill < cooldown:
        return 2
    if not keeps_slippage(size, acceptable_price, price, max_slippage):
        return 3
    if not reduces(net_delta, net_delta + size, delta_tolerance):
        return 4
    if size == 0.0 or abs(size) > max_order_size:
        return 5
    if abs(size) > budget_left:
        return 6
    if not shrinks(position, size) and equity_after < initial_margin_after * margin_buffer:
        return 7
    return 0
