"""What a hedge cost against the price at which it was decided.

    shortfall = delay + impact + fee + reward
    delay  = size x (index at the fill - index at the decision)      what waiting cost, positive when it hurt
    impact = size x (fill - index at the fill)                        what the venue's skew cost

Source of the split: A. Perold, "The implementation shortfall: paper versus reality" (1988).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from keeper.state.events import Fill
from keeper.units import to_bps


@dataclass(frozen=True, slots=True)
class OrderCost:
    """Cost of one filled order, USD; prices USD per coin, ``size`` signed coins."""

    order_id: int
    timestamp: int
    size: float
    arrival_price: float
    index_price: float
    fill_price: float
    delay: float
    impact: float
    fee: float
    reward: float

    @property
    def shortfall(self) -> float:
        """All costs together, USD."""
        return self.delay + self.impact + self.fee + self.reward


@dataclass(frozen=True, slots=True)
class CostSummary:
    """Costs of many orders, USD. ``drift_bps`` is the root mean square move of the index from decision to fill."""

    orders: int
    turnover: float
    delay: float
    impact: float
    fee: float
    reward: float
    drift_bps: float

    @property
    def shortfall(self) -> float:
        """All costs together, USD."""
        return self.delay + self.impact + self.fee + self.reward


def order_cost(fill: Fill, arrival_price: float) -> OrderCost:
    """Cost of one fill whose decision was taken at ``arrival_price``."""
    return OrderCost(
        order_id=fill.order_id,
        timestamp=fill.timestamp,
        size=fill.size,
        arrival_price=arrival_price,
        index_price=fill.index_price,
        fill_price=fill.fill_price,
        delay=fill.size * (fill.index_price - arrival_price),
        impact=fill.slippage,
        fee=fill.fee,
        reward=fill.reward,
    )


def summarise(costs: Sequence[OrderCost]) -> CostSummary:
    """Sums over orders; all zero for none."""
    moves = [math.log(cost.index_price / cost.arrival_price) for cost in costs]
    return CostSummary(
        orders=len(costs),
        turnover=math.fsum(abs(cost.size) * cost.fill_price for cost in costs),
        delay=math.fsum(cost.delay for cost in costs),
        impact=math.fsum(cost.impact for cost in costs),
        fee=math.fsum(cost.fee for cost in costs),
        reward=math.fsum(cost.reward for cost in costs),
        drift_bps=to_bps(math.sqrt(math.fsum(move * move for move in moves) / len(moves))) if moves else 0.0,
    )
