"""Reads a contract's logs from some block on, each block once, never more than a bounded number of blocks at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from keeper.chain.rpc import Rpc, quantity
from keeper.errors import RpcError
from keeper.state.ports import Head

BLOCKS: Final = 5_000
"""Blocks in one request for logs: what public nodes allow."""
REQUESTS: Final = 8
"""Requests for logs at one head; what is older than that comes with the next heads."""

RawLog = Mapping[str, Any]


class LogCursor:
    """Logs of some events of some contracts, in order. ``caught_up`` tells whether the newest head was reached."""

    def __init__(self, rpc: Rpc, addresses: Sequence[str], topics: Sequence[str], first_block: int) -> None:
        self._rpc = rpc
        self._addresses = list(addresses)
        self._known = {address.lower() for address in addresses}
        self._topics = list(topics)
        self._next_block = first_block
        self._span = BLOCKS
        self.caught_up = False

    def read(self, head: Head) -> list[RawLog]:
        """What happened from the block after the last read up to ``head``, as far as the bound lets us."""
        found: list[RawLog] = []
        for _ in range(REQUESTS):
            if self._next_block > head.number:
                break
            found += self._read_span(head)
        self.caught_up = self._next_block > head.number
        return found

    def follow(self, head: Head, logs: Iterable[RawLog]) -> list[RawLog]:
        """The wanted ones of all logs of the block of ``head``; nothing when older blocks are still to be read."""
        if head.number != self._next_block:
            return []
        self._next_block, self.caught_up = head.number + 1, True
        return [log for log in logs if log["address"].lower() in self._known and log["topics"][0] in self._topics]

    def _read_span(self, head: Head) -> list[RawLog]:
        """One request; a node that finds it too much is asked for half as many blocks."""
        last = min(head.number, self._next_block + self._span - 1)
        wanted = {
            "address": self._addresses,
            "topics": [self._topics],
            "fromBlock": quantity(self._next_block),
            "toBlock": quantity(last),
        }
        try:
            logs: list[RawLog] = self._rpc.call("eth_getLogs", wanted)
        except RpcError:
            if last == self._next_block:
                raise
            self._span = max((last - self._next_block + 1) // 2, 1)
            return []
        self._next_block = last + 1
        self._span = min(self._span * 2, BLOCKS)
        return logs
