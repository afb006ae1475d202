"""The reporter: puts prices and the volatility surface on the chain, when they move or the old ones grow stale."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from keeper.chain.deployment import Deployment
from keeper.chain.reports import Report, sign, submission
from keeper.errors import InputError
from keeper.execution.executor import lost_race
from keeper.execution.transactions import Signer
from keeper.market.surface import report_order
from keeper.roles.schedule import expiries
from keeper.roles.sources import MarketSource
from keeper.state.decision import Call, Order, OrderResult, OrderStatus
from keeper.state.ports import Executor, Head
from keeper.units import to_wad

log = logging.getLogger(__name__)


class Wrapped(Protocol):
    """An aggregator behind the price feed; `keeper.chain.reader.WrappedAggregator` is one."""

    async def has_news(self) -> bool:
        """Whether it has a round that the feed has not copied."""
        ...


@dataclass(frozen=True, slots=True)
class ReporterConfig:
    """When to report. Heartbeats in seconds, deviations as fractions (of price, and of ATM vol).

    ``grid_start`` and ``tenor`` place the expiries that are reported: the next two.
    """

    price_heartbeat: int = 10
    price_deviation: float = 0.001
    vol_heartbeat: int = 900
    vol_deviation: float = 0.02
    grid_start: int = 0
    tenor: int = 7 * 86_400

    def __post_init__(self) -> None:
        if min(self.price_heartbeat, self.vol_heartbeat, self.tenor) <= 0:
            raise InputError("the reporter's heartbeats and tenor must be positive numbers of seconds")


class Reporter:
    """Publishes prices with the first reporter's key and carries the reports that all of them sign.

    Where the feed wraps an aggregator, prices are not published but copied from it. With ``follow_heads`` false it
    waits for somebody else to call `on_time`.
    """

    name = "reporter"

    def __init__(
        self,
        source: MarketSource,
        executor: Executor,
        deployment: Deployment,
        signers: Sequence[Signer],
        config: ReporterConfig,
        follow_heads: bool = True,
        wrapped: Wrapped | None = None,
    ) -> None:
        self._source = source
        self._executor = executor
        self._chain_id = deployment.chain_id
        self._price_feed = deployment.address("PriceFeed")
        self._vol_feed = deployment.address("VolatilityFeed")
        self._signers = signers
        self._config = config
        self._follow_heads = follow_heads
        self._wrapped = wrapped
        self._price: tuple[int, float] = (0, 0.0)  # when, what
        self._vols: dict[int, tuple[int, float]] = {}  # expiry -> when, ATM vol

    async def on_head(self, head: Head) -> None:
        """Report what is due."""
        if self._follow_heads:
            await self.on_time(head.timestamp)

    async def on_time(self, now: int, force: bool = False) -> None:
        """Report what is due at ``now`` (unix seconds), or everything with ``force``."""
        if self._wrapped is not None:
            if await self._wrapped.has_news():
                await self._submit(Order(f"pull:{now}", "reporter-1", Call.PUBLISH_PRICE, self._price_feed, "pull", ()))
        elif force or self._price_due(now, self._source.price(now)):
            await self.publish_price(now, self._source.price(now))
        due = [e for e in expiries(self._config.grid_start, now, self._config.tenor) if force or self._vol_due(now, e)]
        if due:
            await self.submit_volatility(now, due)

    async def publish_price(self, now: int, price: float) -> OrderResult:
        """Publish a price in USD."""
        arguments = (to_wad(price),)
        order = Order(f"price:{now}", "reporter-1", Call.PUBLISH_PRICE, self._price_feed, "publish", arguments)
        result = await self._submit(order)
        if result.status is not OrderStatus.REFUSED:
            self._price = (now, price)
        return result

    async def submit_volatility(self, now: int, due: Sequence[int]) -> list[OrderResult]:
        """Report the slices of these expiries, in the order in which each step is free of calendar arbitrage."""
        slices = {expiry: self._source.slice(now, expiry) for expiry in due}
        vols = {expiry: _atm_vol(theta, now, expiry) for expiry, (theta, _, _) in slices.items()}
        rising = any(vols[expiry] > self._vols.get(expiry, (0, 0.0))[1] for expiry in due)
        results = []
        for expiry in report_order(list(due), rising):
            report = Report.of(expiry, now, *slices[expiry])
            signed = [sign(report, signer.key, self._chain_id, self._vol_feed) for signer in self._signers]
            order = Order(
                f"vol:{expiry}:{now}",
                "reporter-1",
                Call.SUBMIT_VOLATILITY,
                self._vol_feed,
                "submit",
                submission(signed),
            )
            results.append(await self._submit(order))
            self._vols[expiry] = (now, vols[expiry])
        return results

    def _price_due(self, now: int, price: float) -> bool:
        told_at, told = self._price
        moved = told <= 0.0 or abs(price / told - 1.0) >= self._config.price_deviation
        return moved or now - told_at >= self._config.price_heartbeat

    def _vol_due(self, now: int, expiry: int) -> bool:
        if expiry not in self._vols:
            return True
        told_at, told = self._vols[expiry]
        vol = _atm_vol(self._source.slice(now, expiry)[0], now, expiry)
        return now - told_at >= self._config.vol_heartbeat or abs(vol / told - 1.0) >= self._config.vol_deviation

    async def _submit(self, order: Order) -> OrderResult:
        result = await self._executor.submit(order)
        if result.status in (OrderStatus.REVERTED, OrderStatus.REFUSED) and not lost_race(result):
            log.warning("%s was not accepted: %s", order.key, result.error)
        return result


def _atm_vol(theta: float, now: int, expiry: int) -> float:
    """Annualised volatility at the money from total variance."""
    return math.sqrt(theta / (max(expiry - now, 1) / (365 * 86_400)))
