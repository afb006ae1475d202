"""The hedger: looks at one vault, decides, writes it down, and sends what it decided."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from keeper.chain.deployment import Deployment
from keeper.execution.journal import Journal
from keeper.hedging.decide import HedgeConfig, decide
from keeper.risk.exposure import Exposure, exposure
from keeper.state.decision import Action, Call, Decision, Order
from keeper.state.ports import Executor, Head, Reader
from keeper.state.snapshot import Snapshot
from keeper.units import Rounding, to_wad

log = logging.getLogger(__name__)

LIFETIME: Final = 120
"""Seconds after its block in which a hedge may still be mined; later it is refused on chain."""


class Hedger:
    """Hedges one vault. ``dry_run`` decides and writes down but sends nothing."""

    def __init__(
        self,
        vault: str,
        reader: Reader,
        executor: Executor,
        journal: Journal,
        deployment: Deployment,
        config: HedgeConfig,
        dry_run: bool = False,
        on_decision: Callable[[Decision], None] | None = None,
    ) -> None:
        self.name = f"hedger:{vault}"
        self.last: Decision | None = None
        self.last_snapshot: Snapshot | None = None
        self.last_exposure: Exposure | None = None
        self._vault = vault
        self._reader = reader
        self._executor = executor
        self._journal = journal
        self._mandate = deployment.vault(vault).mandate
        self._config = config
        self._dry_run = dry_run
        self._on_decision = on_decision

    async def on_head(self, head: Head) -> None:
        """Decide on the newest block, unless a hedge of ours is still on its way to the chain."""
        if self._executor.in_flight(f"hedge:{self._vault}:"):
            return
        snapshot = await self._reader.snapshot(self._vault)
        seen, last_hedge = exposure(snapshot), last_hedge_time(snapshot)
        decision = decide(snapshot, seen, self._config, last_hedge)
        self._journal.record_decision(decision, snapshot, self._config, last_hedge)
        self.last, self.last_snapshot, self.last_exposure = decision, snapshot, seen
        if self._on_decision is not None:
            self._on_decision(decision)
        if decision.action is Action.HEDGE and not self._dry_run:
            result = await self._executor.submit(self._order(decision))
            log.info(
                "%s: %s %+.4f (%s)%s", self.name, result.status, decision.size, decision.reason, _why(result.error)
            )

    def _order(self, decision: Decision) -> Order:
        rounding: Rounding = "down" if decision.size > 0.0 else "up"  # never beyond the mandate's slippage
        arguments = (
            decision.venue,
            to_wad(decision.size),
            to_wad(decision.acceptable_price, rounding),
            decision.timestamp + LIFETIME,
        )
        key = f"hedge:{self._vault}:{decision.id}"
        return Order(key, "hedger", Call.HEDGE, self._mandate, "hedge", arguments, decision.id)


def last_hedge_time(snapshot: Snapshot) -> int:
    """When the vault last hedged, as the chain has it: its last fill, or the commit that is in flight; else 0."""
    commits = [venue.pending.committed_at for venue in snapshot.venues if venue.pending is not None]
    return max([venue.last_fill_time for venue in snapshot.venues] + commits, default=0)


def _why(error: str) -> str:
    return f": {error}" if error else ""
