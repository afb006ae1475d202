"""A vault's book of intervals: every snapshot closes one, and each knows where its profit came from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from keeper.accounting.attribution import Attribution, attribute, total
from keeper.state.events import Event, Fill
from keeper.state.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Interval:
    """What happened to one vault between two snapshots. ``nav`` and ``share_price`` are those at its end, USD."""

    start: int
    end: int
    nav: float
    share_price: float
    flows: float
    attribution: Attribution


class Ledger:
    """Collects the snapshots and events of one vault, in order."""

    def __init__(self, vault: str) -> None:
        self.vault = vault
        self.intervals: list[Interval] = []
        self.fills: list[Fill] = []
        self.running_pnl = 0.0
        """Profit so far, USD: the cheap running sum of what ``pnl`` adds up exactly."""
        self._last: Snapshot | None = None

    def record(self, snapshot: Snapshot, events: Sequence[Event]) -> Interval | None:
        """Closes the interval that ends at ``snapshot``; None for the first, which only opens the book.

        ``events`` are the vault's own since the snapshot before. A snapshot of a block already recorded is ignored.
        """
        before = self._last
        if before is not None and snapshot.block.number <= before.block.number:
            return None
        self._last = snapshot
        if before is None:
            return None
        attribution, flows = attribute(before, snapshot, events)
        interval = Interval(
            start=before.block.timestamp,
            end=snapshot.block.timestamp,
            nav=snapshot.state.nav_mid,
            share_price=snapshot.state.share_price,
            flows=flows,
            attribution=attribution,
        )
        self.intervals.append(interval)
        self.running_pnl += attribution.pnl
        self.fills += [event for event in events if isinstance(event, Fill)]
        return interval

    @property
    def total(self) -> Attribution:
        """Attribution of everything recorded so far."""
        return total([interval.attribution for interval in self.intervals])

    @property
    def pnl(self) -> float:
        """Change in NAV less flows since the book was opened, USD."""
        return self.total.pnl

    @property
    def unexplained_ratio(self) -> float:
        """Sum of |unexplained| over the sum of every part's size, interval by interval; 0 for an empty book."""
        gross = math.fsum(interval.attribution.gross for interval in self.intervals)
        unexplained = math.fsum(abs(interval.attribution.unexplained) for interval in self.intervals)
        return unexplained / gross if gross > 0.0 else 0.0

    @property
    def max_drawdown(self) -> float:
        """Greatest fall of the share price from an earlier peak, as a fraction of that peak."""
        peak, worst = 0.0, 0.0
        for interval in self.intervals:
            peak = max(peak, interval.share_price)
            if peak > 0.0:
                worst = max(worst, 1.0 - interval.share_price / peak)
        return worst
