"""Watches a run: keeps every vault's ledger, the costs of its hedges, and the rows that become tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from keeper.accounting.costs import CostSummary, OrderCost, order_cost, summarise
from keeper.accounting.ledger import Ledger
from keeper.risk.exposure import exposure
from keeper.state.decision import Action, Decision, Order, OrderResult, OrderStatus
from keeper.state.events import EVERYBODY, Event, Fill
from keeper.state.ports import Head
from keeper.state.snapshot import Snapshot
from keeper.units import WAD

KEEPER_ROLES = ("hedger", "settler", "roller", "liquidator")


@dataclass
class VaultBook:
    """One vault as the run has seen it."""

    name: str
    kind: str
    address: str
    ledger: Ledger
    costs: list[OrderCost] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    decision: Decision | None = None
    snapshot: Snapshot | None = None
    arrival_price: float = math.nan
    unfilled_rewards: float = 0.0

    @property
    def cost_summary(self) -> CostSummary:
        """Costs of all hedges so far; what was paid for settling orders that did not fill is a reward too."""
        filled = summarise(self.costs)
        return replace(filled, reward=filled.reward + self.unfilled_rewards)


@dataclass
class KeeperBook:
    """What the keeper spent on gas and earned in rewards, USD."""

    gas: float = 0.0
    rewards: float = 0.0
    reverted: int = 0

    @property
    def profit(self) -> float:
        """Rewards less gas."""
        return self.rewards - self.gas


class Recorder:
    """Everything that a report needs, collected block by block."""

    def __init__(self, vaults: Mapping[str, tuple[str, str]]) -> None:
        """``vaults`` maps each name to its kind and address."""
        self.vaults = {name: VaultBook(name, kind, address, Ledger(name)) for name, (kind, address) in vaults.items()}
        self.keeper = KeeperBook()
        self.fills: list[dict[str, Any]] = []

    def decided(self, decision: Decision) -> None:
        """A hedger has decided."""
        book = self.vaults[decision.vault]
        book.decision = decision
        if decision.action is Action.HEDGE:
            book.arrival_price = decision.facts["index"]

    def result(self, order: Order, result: OrderResult, price: float) -> None:
        """A transaction of a role has ended. ``price`` is the index, USD per ETH, which is what gas costs."""
        if order.role not in KEEPER_ROLES:
            return
        self.keeper.gas += result.gas_used * result.gas_price / WAD * price
        self.keeper.reverted += result.status is OrderStatus.REVERTED

    def block(self, head: Head, snapshots: Mapping[str, Snapshot], events: Sequence[Event], vol: float) -> None:
        """A block has been mined: every vault's snapshot at it and what happened in it."""
        for name, snapshot in snapshots.items():
            book = self.vaults[name]
            mine = [event for event in events if event.account in (name, book.address, EVERYBODY)]
            interval = book.ledger.record(snapshot, mine)
            for event in mine:
                if isinstance(event, Fill):
                    self._filled(book, event)
            book.snapshot = snapshot
            parts = interval.attribution.parts() if interval is not None else {}
            book.rows.append(_row(head, book, snapshot, vol) | {f"pnl_{part}": value for part, value in parts.items()})

    def _filled(self, book: VaultBook, fill: Fill) -> None:
        self.keeper.rewards += fill.reward
        if fill.size == 0.0:
            book.unfilled_rewards += fill.reward
            return
        arrival = book.arrival_price if not fill.is_liquidation else fill.index_price
        cost = order_cost(fill, arrival if math.isfinite(arrival) else fill.index_price)
        book.costs.append(cost)
        self.fills.append(
            asdict(fill) | {"account": book.name, "arrival_price": cost.arrival_price, "delay_cost": cost.delay}
        )


def _row(head: Head, book: VaultBook, snapshot: Snapshot, vol: float) -> dict[str, Any]:
    """One line of the snapshot table."""
    seen = exposure(snapshot)
    facts = book.decision.facts if book.decision is not None else {}
    lower, upper = (facts.get(edge, math.nan) for edge in ("lower_edge", "upper_edge"))
    return {
        "vault": book.name,
        "time": head.timestamp,
        "block": head.number,
        "price": snapshot.price.price,
        "atm_vol": vol,
        "nav": snapshot.state.nav_mid,
        "share_price": snapshot.state.share_price,
        "option_value": seen.option_value,
        "option_delta": seen.option_delta,
        "hedge": seen.hedge,
        "pending": seen.pending,
        "net_delta": seen.net_delta,
        "band_low": seen.option_delta + lower,
        "band_high": seen.option_delta + upper,
        "gamma": seen.gamma,
        "vega": seen.vega,
        "theta": seen.theta,
        "margin_ratio": seen.maintenance_ratio,
        "funding_rate_per_day": snapshot.venues[0].funding_rate_per_day if snapshot.venues else 0.0,
    }
