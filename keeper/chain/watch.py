"""Orders in flight on the perpetual venue, of every account, kept up to date from its logs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from keeper.chain.abi import decode_event, interface_of
from keeper.chain.deployment import HOME, Deployment
from keeper.chain.logs import LogCursor, RawLog
from keeper.chain.rpc import Rpc, log_from_json
from keeper.state.ports import Head
from keeper.state.snapshot import PendingOrder
from keeper.units import from_wad

_EVENTS = ("OrderCommitted", "OrderSettled", "OrderCancelled")


class OrderWatch:
    """Reads each block's logs once, from the deployment's block on: usually one request for each look."""

    def __init__(self, rpc: Rpc, deployment: Deployment, house: str = HOME) -> None:
        self._rpc = rpc
        events = interface_of("PerpMarket").events
        topics = ["0x" + events[name][0].topic.hex() for name in _EVENTS]
        self._cursor = LogCursor(rpc, [deployment.contracts[house + "PerpMarket"]], topics, deployment.block)
        self._pending: dict[str, PendingOrder] = {}

    def pending(self, head: Head) -> Mapping[str, PendingOrder]:
        """Account -> order, for every order in flight after the block of ``head``.

        While a long history is still being read, only what is certain to be true of its last block that was read.
        """
        self._take(self._cursor.read(head))
        return self._pending

    def follow(self, head: Head, logs: Iterable[Mapping[str, Any]]) -> None:
        """All logs of the block of ``head``, from whoever has them already: `pending` need not ask for them."""
        self._take(self._cursor.follow(head, logs))

    def _take(self, logs: Iterable[RawLog]) -> None:
        for raw in logs:
            log = log_from_json(raw)
            decoded = decode_event(log.topics, log.data)
            if decoded is None:
                continue
            name, told = decoded
            if name != "OrderCommitted":
                self._pending.pop(told["account"], None)
                continue
            self._pending[told["account"]] = PendingOrder(
                told["orderId"], from_wad(told["sizeDelta"]), from_wad(told["acceptablePrice"]), self._time_of(raw)
            )

    def _time_of(self, raw: RawLog) -> int:
        """When the block was mined; nodes that do not tell with the log are asked."""
        told = raw.get("blockTimestamp")
        if told is None:
            told = self._rpc.call("eth_getBlockByNumber", raw["blockNumber"], False)["timestamp"]
        return int(told, 16)
