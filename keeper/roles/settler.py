"""The settler: fills delayed orders at their benchmark as soon as it exists, and clears those that never got one.

Oldest orders first, as many at a head as `batch` says, all at once. An order that another settler was faster with is
gone from the book at the next head; one whose settlement keeps failing is left alone, twice as long each time, so that
it cannot hold up the others or burn gas.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from keeper.chain.deployment import HOME, Deployment
from keeper.execution.executor import lost_race
from keeper.state.decision import Call, Order, OrderStatus
from keeper.state.ports import Executor, Head
from keeper.state.snapshot import PendingOrder

log = logging.getLogger(__name__)

BATCH: Final = 32
"""Orders that are settled at one head."""
FIRST_PAUSE: Final = 12
LONGEST_PAUSE: Final = 600
"""Seconds for which an order is left alone after its second failure, and at most."""


class OrderBook(Protocol):
    """What the settler must see; `keeper.chain.reader.LensReader` shows it."""

    async def pending_orders(self, head: Head) -> Mapping[str, PendingOrder]:
        """Orders in flight by account."""
        ...

    async def first_rounds_from(self, times: Iterable[int]) -> Mapping[int, int]:
        """The first price round at or after each time, for those that have one."""
        ...


@dataclass(slots=True)
class _Attempt:
    """What we have tried with an account's newest order."""

    order_id: int
    tries: int = 0
    not_before: int = 0
    done: bool = False


class Settler:
    """Settles every pending order on the venue of one clearinghouse, or only those of ``accounts``.

    ``delay`` and ``window`` (seconds) are the venue's: the benchmark of an order is the first price at or after commit
    + delay, and without one it is dead a window later.
    """

    name = "settler"

    def __init__(
        self,
        book: OrderBook,
        executor: Executor,
        deployment: Deployment,
        delay: int,
        window: int,
        accounts: Collection[str] | None = None,
        batch: int = BATCH,
        house: str = HOME,
    ) -> None:
        self._book = book
        self._executor = executor
        self._venue = deployment.contracts[house + "PerpMarket"]
        self._house = house
        self._delay = delay
        self._window = window
        self._accounts = accounts
        self._batch = batch
        self._attempts: dict[str, _Attempt] = {}
        self.lost = 0

    async def on_head(self, head: Head) -> None:
        """Settle or cancel what can be."""
        pending = await self._book.pending_orders(head)
        for account in [account for account in self._attempts if account not in pending]:
            del self._attempts[account]
        due = [(account, order) for account, order in pending.items() if self._is_due(account, order, head)]
        due.sort(key=lambda each: each[1].committed_at)
        due = due[: self._batch]
        if not due:
            return
        rounds = await self._book.first_rounds_from({self._benchmark(order) for _, order in due})
        await asyncio.gather(*(self._settle(account, order, rounds, head) for account, order in due))

    def _benchmark(self, order: PendingOrder) -> int:
        return order.committed_at + self._delay

    def _is_due(self, account: str, order: PendingOrder, head: Head) -> bool:
        """Its time has come, it is ours to settle, and nothing that we did about it is still under way."""
        if head.timestamp < self._benchmark(order) or (self._accounts is not None and account not in self._accounts):
            return False
        attempt = self._attempt(account, order)
        if attempt.done or head.timestamp < attempt.not_before:  # the book may be older than what we did
            return False
        return not self._executor.in_flight(f"{self._house}settle:{account}:{order.order_id}@")

    def _attempt(self, account: str, order: PendingOrder) -> _Attempt:
        known = self._attempts.get(account)
        if known is None or known.order_id < order.order_id:
            known = self._attempts[account] = _Attempt(order.order_id)
        return known

    async def _settle(self, account: str, order: PendingOrder, rounds: Mapping[int, int], head: Head) -> None:
        benchmark = self._benchmark(order)
        if benchmark in rounds:
            await self._submit(account, order, head, Call.SETTLE, (account, rounds[benchmark]))
        elif head.timestamp > benchmark + self._window:
            await self._submit(account, order, head, Call.CANCEL, (account,))

    async def _submit(
        self, account: str, order: PendingOrder, head: Head, call: Call, arguments: tuple[object, ...]
    ) -> None:
        attempt = self._attempt(account, order)
        attempt.tries += 1
        if attempt.tries > 1:
            attempt.not_before = head.timestamp + min(FIRST_PAUSE * 2 ** (attempt.tries - 2), LONGEST_PAUSE)
        key = f"{self._house}settle:{account}:{order.order_id}@{head.number}"
        result = await self._executor.submit(Order(key, self.name, call, self._venue, call.value, arguments))
        attempt.done = result.status is OrderStatus.CONFIRMED
        if result.status not in (OrderStatus.REVERTED, OrderStatus.REFUSED):
            return
        if lost_race(result):
            self.lost += 1
            attempt.done = True  # it is gone, or another one soon
            return
        log.warning("cannot %s order %d of %s: %s", call.value, order.order_id, account, result.error)
