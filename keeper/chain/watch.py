"""Orders in flight on the perpetual venue, of every account, kept up to date from its logs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from keeper.chain.abi import decode_event, interface_of
from keeper.chain.deployment import Deployment
from keeper.chain.rpc import Rpc, log_from_json, quantity
from keeper.state.ports import Head
from keeper.state.snapshot import PendingOrder
from keeper.units import from_wad

_EVENTS = ("OrderCommitted", "OrderSettled", "OrderCancelled")


class OrderWatch:
    """Reads each block's logs once, from the deployment's block on: one request for each look."""

    def __init__(self, rpc: Rpc, deployment: Deployment) -> None:
        self._rpc = rpc
        self._venue = deployment.address("PerpMarket")
        self._next_block = deployment.block
        events = interface_of("PerpMarket").events
        self._topics = ["0x" + events[name][0].topic.hex() for name in _EVENTS]
        self._pending: dict[str, PendingOrder] = {}

    def pending(self, head: Head) -> Mapping[str, PendingOrder]:
        """Account -> order, for every order in flight after the block of ``head``."""
        if head.number >= self._next_block:
            wanted = {
                "address": self._venue,
                "topics": [self._topics],
                "fromBlock": quantity(self._next_block),
                "toBlock": quantity(head.number),
            }
            for log in self._rpc.call("eth_getLogs", wanted):
                self._take(log)
            self._next_block = head.number + 1
        return self._pending

    def follow(self, head: Head, logs: Iterable[Mapping[str, Any]]) -> None:
        """All logs of the block of ``head``, from whoever has them already: `pending` need not ask for them."""
        if head.number != self._next_block:
            return
        for log in logs:
            if log["address"].lower() == self._venue.lower() and log["topics"][0] in self._topics:
                self._take(log)
        self._next_block = head.number + 1

    def _take(self, raw: Mapping[str, Any]) -> None:
        log = log_from_json(raw)
        decoded = decode_event(log.topics, log.data)
        if decoded is None:
            return
        name, told = decoded
        if name != "OrderCommitted":
            self._pending.pop(told["account"], None)
            return
        self._pending[told["account"]] = PendingOrder(
            told["orderId"], from_wad(told["sizeDelta"]), from_wad(told["acceptablePrice"]), self._time_of(raw)
        )

    def _time_of(self, raw: Mapping[str, Any]) -> int:
        """When the block was mined; nodes that do not tell with the log are asked."""
        told = raw.get("blockTimestamp")
        if told is None:
            told = self._rpc.call("eth_getBlockByNumber", raw["blockNumber"], False)["timestamp"]
        return int(told, 16)
