"""The settler: fills delayed orders at their benchmark as soon as it exists, and clears those that never got one."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import Protocol

from keeper.chain.deployment import Deployment
from keeper.execution.executor import lost_race
from keeper.state.decision import Call, Order, OrderStatus
from keeper.state.ports import Executor, Head
from keeper.state.snapshot import PendingOrder

log = logging.getLogger(__name__)


class OrderBook(Protocol):
    """What the settler must see; `keeper.chain.reader.LensReader` shows it."""

    async def pending_orders(self, head: Head) -> Mapping[str, PendingOrder]:
        """Orders in flight by account."""
        ...

    async def first_round_from(self, time: int) -> int | None:
        """The first price round at or after a time, if there is one."""
        ...


class Settler:
    """Settles every pending order on the venue, or only those of ``accounts``.

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
    ) -> None:
        self._book = book
        self._executor = executor
        self._venue = deployment.address("PerpMarket")
        self._delay = delay
        self._window = window
        self._accounts = accounts
        self._done: dict[str, int] = {}  # account -> the newest order that we have settled

    async def on_head(self, head: Head) -> None:
        """Settle or cancel what can be."""
        pending = await self._book.pending_orders(head)
        for account, order in list(pending.items()):
            wanted = self._accounts is None or account in self._accounts
            done = self._done.get(account, 0) >= order.order_id  # and the head is older than that
            if wanted and not done and not self._executor.in_flight(f"settle:{account}:{order.order_id}@"):
                await self._settle(account, order, head)

    async def _settle(self, account: str, order: PendingOrder, head: Head) -> None:
        benchmark = order.committed_at + self._delay
        if head.timestamp < benchmark:
            return
        round_hint = await self._book.first_round_from(benchmark)
        if round_hint is not None:
            await self._submit(account, order, head, Call.SETTLE, (account, round_hint))
        elif head.timestamp > benchmark + self._window:
            await self._submit(account, order, head, Call.CANCEL, (account,))

    async def _submit(
        self, account: str, order: PendingOrder, head: Head, call: Call, arguments: tuple[object, ...]
    ) -> None:
        key = f"settle:{account}:{order.order_id}@{head.number}"
        result = await self._executor.submit(Order(key, self.name, call, self._venue, call.value, arguments))
        if result.status is OrderStatus.CONFIRMED:
            self._done[account] = order.order_id
        if result.status in (OrderStatus.REVERTED, OrderStatus.REFUSED) and not lost_race(result):
            log.warning("cannot %s order %d of %s: %s", call.value, order.order_id, account, result.error)
