"""The reporter: puts prices and the volatility surface on the chain, when they move or the old ones grow stale.

One reporter carries: it gathers what all nodes see and sign, leaves behind what the feed would refuse, and submits.
What it decides (whether something moved, in which order to report) rests on medians over the nodes, as the feed's
slices do, so that one node that lies or is silent changes neither.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, Protocol

from keeper.chain.deployment import Deployment
from keeper.chain.reports import SignedReport, submission
from keeper.errors import InputError
from keeper.execution.executor import lost_race
from keeper.execution.transactions import Signer
from keeper.market.surface import report_order
from keeper.pricing.essvi_fit import Slice
from keeper.roles.reporting import ReporterNode, Smile, median_smile, smile, worth_carrying
from keeper.roles.schedule import expiries
from keeper.roles.sources import MarketSource
from keeper.state.decision import Call, Order, OrderResult, OrderStatus
from keeper.state.ports import Executor, Head
from keeper.units import to_wad

log = logging.getLogger(__name__)

CARRIER: Final = "reporter-1"
ROUNDS_A_POKE: Final = 24
"""Published prices after which realised vol is poked whatever the time: one poke takes in at most 32."""


_NOTHING: Final[tuple[int, Smile]] = (0, (0.0, 0.0, 0.0))


class Wrapped(Protocol):
    """An aggregator behind the price feed; `keeper.chain.reader.WrappedAggregator` is one."""

    async def has_news(self) -> bool:
        """Whether it has a round that the feed has not copied."""
        ...


class Standing(Protocol):
    """What the feed thinks of reporters; `keeper.chain.standing.ReporterStanding` is one."""

    async def barred(self, now: int) -> frozenset[str]:
        """Reporters whose reports make the feed refuse a submission."""
        ...

    def quorum(self) -> int:
        """Fewest reports that make a slice."""
        ...


@dataclass(frozen=True, slots=True)
class ReporterConfig:
    """When to report. Heartbeats in seconds, deviations as fractions (of price, and of vol at or beside the money).

    ``grid_start`` and ``tenor`` place the expiries that are reported: the next two. ``realised_heartbeat`` and
    ``realised_deviation`` (of the price) say when realised vol takes in the published prices.
    """

    price_heartbeat: int = 10
    price_deviation: float = 0.001
    vol_heartbeat: int = 900
    vol_deviation: float = 0.02
    grid_start: int = 0
    tenor: int = 7 * 86_400
    realised_heartbeat: int = 300
    realised_deviation: float = 0.01

    def __post_init__(self) -> None:
        if min(self.price_heartbeat, self.vol_heartbeat, self.realised_heartbeat, self.tenor) <= 0:
            raise InputError("the reporter's heartbeats and tenor must be positive numbers of seconds")
        if min(self.price_deviation, self.vol_deviation, self.realised_deviation) < 0.0:
            raise InputError("the reporter's deviations must not be negative")


class Reporter:
    """Publishes prices with the first reporter's key and carries the reports that all nodes sign.

    Without ``nodes`` one node sees ``source`` and signs with all keys. Where the feed wraps an aggregator, prices are
    not published but copied from it. With ``follow_heads`` false it waits for somebody else to call `on_time`.
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
        nodes: Sequence[ReporterNode] | None = None,
        standing: Standing | None = None,
    ) -> None:
        self._nodes = list(nodes) if nodes else [ReporterNode(source, signers)]
        self._executor = executor
        self._chain_id = deployment.chain_id
        self._price_feed = deployment.address("PriceFeed")
        self._vol_feed = deployment.address("VolatilityFeed")
        self._realised = deployment.contracts.get("RealizedVolatility")
        self._config = config
        self._follow_heads = follow_heads
        self._wrapped = wrapped
        self._standing = standing
        self._price: tuple[int, float] = (0, 0.0)  # when, what
        self._smiles: dict[int, tuple[int, Smile]] = {}  # expiry -> when, what was last told
        self._poked: tuple[int, float] = (0, 0.0)  # when, at which price
        self._rounds = 0  # published since

    async def on_head(self, head: Head) -> None:
        """Report what is due."""
        if self._follow_heads:
            await self.on_time(head.timestamp)

    async def on_time(self, now: int, force: bool = False) -> None:
        """Report what is due at ``now`` (unix seconds), or everything with ``force``."""
        price = self.price(now)
        if self._wrapped is not None:
            if await self._wrapped.has_news():
                await self._submit(Order(f"pull:{now}", CARRIER, Call.PUBLISH_PRICE, self._price_feed, "pull", ()))
                self._rounds += 1
        elif price is not None and (force or self._price_due(now, price)):
            await self.publish_price(now, price)
        if self._realised is not None and (force or self._poke_due(now, price)):
            await self.poke_volatility(now, price)
        listed = expiries(self._config.grid_start, now, self._config.tenor)
        surveys = self._survey(now, listed)
        due = [expiry for expiry in listed if surveys and (force or self._vol_due(now, expiry, surveys))]
        if due:
            await self._report(now, due, surveys)

    def price(self, now: int) -> float | None:
        """The median of the nodes' prices in USD; None when no node sees one."""
        seen = []
        for node in self._nodes:
            try:
                seen.append(node.source.price(now))
            except InputError as silence:
                log.warning("%s sees no price: %s", node.name, silence)
        return median(seen) if seen else None

    async def publish_price(self, now: int, price: float) -> OrderResult:
        """Publish a price in USD."""
        arguments = (to_wad(price),)
        order = Order(f"price:{now}", CARRIER, Call.PUBLISH_PRICE, self._price_feed, "publish", arguments)
        result = await self._submit(order)
        if result.status is not OrderStatus.REFUSED:
            self._price = (now, price)
            self._rounds += 1
        return result

    async def submit_volatility(self, now: int, due: Sequence[int]) -> list[OrderResult]:
        """Report the slices of these expiries, in the order in which each step is free of calendar arbitrage."""
        return await self._report(now, due, self._survey(now, due))

    async def poke_volatility(self, now: int, price: float | None) -> OrderResult:
        """Let realised vol take in the prices published since the last time. Needs a deployment that has it."""
        if self._realised is None:
            raise InputError("this deployment has no RealizedVolatility to poke")
        order = Order(f"vol:realised:{now}", CARRIER, Call.POKE_VOLATILITY, self._realised, "update", ())
        result = await self._submit(order)
        if result.status is not OrderStatus.REFUSED:
            self._poked = (now, price or self._poked[1])
            self._rounds = 0
        return result

    def _survey(self, now: int, listed: Sequence[int]) -> dict[int, Mapping[int, Slice]]:
        """What each node sees, by its place; nodes that see nothing are missing."""
        surveys: dict[int, Mapping[int, Slice]] = {}
        for place, node in enumerate(self._nodes):
            try:
                surveys[place] = node.survey(now, listed)
            except InputError as silence:
                log.warning("%s is silent: %s", node.name, silence)
        return surveys

    async def _report(
        self, now: int, due: Sequence[int], surveys: Mapping[int, Mapping[int, Slice]]
    ) -> list[OrderResult]:
        if not surveys:
            return []
        smiles = {expiry: _smile_of(now, expiry, surveys) for expiry in due}
        rising = any(smiles[e][1] > self._smiles.get(e, _NOTHING)[1][1] for e in due)
        results = []
        for expiry in report_order(list(due), rising):
            barred = await self._standing.barred(now) if self._standing else frozenset()  # the last one may have barred
            signed = [each for each in self._signed(now, expiry, surveys) if each.signer not in barred]
            if not signed or (self._standing and len(signed) < self._standing.quorum()):
                log.warning("only %d reporters speak on %d: nothing is submitted", len(signed), expiry)
                continue
            order = Order(
                f"vol:{expiry}:{now}", CARRIER, Call.SUBMIT_VOLATILITY, self._vol_feed, "submit", submission(signed)
            )
            result = await self._submit(order)
            results.append(result)
            if result.status is not OrderStatus.REFUSED:
                self._smiles[expiry] = (now, smiles[expiry])
        return results

    def _signed(self, now: int, expiry: int, surveys: Mapping[int, Mapping[int, Slice]]) -> list[SignedReport]:
        """The reports of one expiry; what a node signs is looked at only where there are others to protect."""
        offered = [
            each
            for place, seen in surveys.items()
            for each in self._nodes[place].sign(now, expiry, seen[expiry], self._chain_id, self._vol_feed)
        ]
        if len(self._nodes) == 1:
            return offered
        return worth_carrying(offered, expiry, now, self._chain_id, self._vol_feed)

    def _price_due(self, now: int, price: float) -> bool:
        told_at, told = self._price
        return now - told_at >= self._config.price_heartbeat or _moved(price, told) >= self._config.price_deviation

    def _poke_due(self, now: int, price: float | None) -> bool:
        poked_at, before = self._poked
        if now - poked_at >= self._config.realised_heartbeat or self._rounds >= ROUNDS_A_POKE:
            return True
        return price is not None and _moved(price, before) >= self._config.realised_deviation

    def _vol_due(self, now: int, expiry: int, surveys: Mapping[int, Mapping[int, Slice]]) -> bool:
        if expiry not in self._smiles:
            return True
        told_at, told = self._smiles[expiry]
        seen = _smile_of(now, expiry, surveys)
        moved = max(_moved(*pair) for pair in zip(seen, told, strict=True))
        return now - told_at >= self._config.vol_heartbeat or moved >= self._config.vol_deviation

    async def _submit(self, order: Order) -> OrderResult:
        result = await self._executor.submit(order)
        if result.status in (OrderStatus.REVERTED, OrderStatus.REFUSED) and not lost_race(result):
            log.warning("%s was not accepted: %s", order.key, result.error)
        return result


def _smile_of(now: int, expiry: int, surveys: Mapping[int, Mapping[int, Slice]]) -> Smile:
    return median_smile(smile(now, expiry, seen[expiry]) for seen in surveys.values())


def _moved(value: float, told: float) -> float:
    """Relative change; infinite where nothing was told yet."""
    return abs(value / told - 1.0) if told > 0.0 else float("inf")
