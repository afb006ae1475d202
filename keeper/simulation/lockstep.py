"""The lockstep clock: what happens when, in whole seconds, and the chain that takes one step for each.

A block is mined only at an instant at which something happens. Transactions that roles hand over wait here until their
release time; at an instant, those that are due go into the block in the order in which they were handed over, after the
oracle's.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from keeper.chain.node import Anvil
from keeper.chain.rpc import quantity
from keeper.errors import ChainError
from keeper.execution.transactions import Transaction
from keeper.state.ports import Head

Receipt = Mapping[str, Any]


class Agenda:
    """Instants (unix seconds) still to come, each once, in order."""

    def __init__(self) -> None:
        self._heap: list[int] = []
        self._known: set[int] = set()

    def add(self, time: int) -> None:
        """Something happens at ``time``."""
        if time not in self._known:
            self._known.add(time)
            heapq.heappush(self._heap, time)

    def next(self) -> int | None:
        """The earliest instant, taken off; None when nothing is left."""
        if not self._heap:
            return None
        time = heapq.heappop(self._heap)
        self._known.discard(time)
        return time


class Outbox:
    """Signed transactions that have been handed over and not yet released."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, int, Transaction]] = []
        self._count = 0

    def put(self, transaction: Transaction, release: int) -> None:
        """Keep a transaction until ``release``."""
        heapq.heappush(self._waiting, (release, self._count, transaction))
        self._count += 1

    def due(self, now: int) -> list[Transaction]:
        """Transactions whose time has come, by release time and then in the order in which they came."""
        due = []
        while self._waiting and self._waiting[0][0] <= now:
            due.append(heapq.heappop(self._waiting)[2])
        return due


class SteppedChain(Protocol):
    """A chain that moves only when told to."""

    def step(self, now: int, base_fee: int, transactions: Sequence[Transaction]) -> tuple[Head, list[Receipt]]:
        """Mine one block at ``now`` with these transactions, in this order; their receipts, in the same order."""
        ...


class AnvilChain:
    """Anvil without mining of its own: each step is one block."""

    def __init__(self, node: Anvil) -> None:
        self._rpc = node.rpc
        self._number = int(self._rpc.call("eth_blockNumber"), 16)

    def step(self, now: int, base_fee: int, transactions: Sequence[Transaction]) -> tuple[Head, list[Receipt]]:
        """Mine one block at ``now`` with these transactions, in this order; their receipts, in the same order."""
        # a batch is answered in no particular order, so only the first transaction may share one with the base fee
        first, rest = transactions[:1], transactions[1:]
        self._rpc.batch(
            [
                ("anvil_setNextBlockBaseFeePerGas", (quantity(base_fee),)),
                *(("eth_sendRawTransaction", (transaction.raw,)) for transaction in first),
            ]
        )
        for transaction in rest:
            self._rpc.call("eth_sendRawTransaction", transaction.raw)
        self._rpc.call("evm_mine", {"timestamp": now})
        self._number += 1
        return Head(self._number, now, base_fee), self._receipts(transactions) if transactions else []

    def _receipts(self, transactions: Sequence[Transaction]) -> list[Receipt]:
        mined = self._rpc.call("eth_getBlockReceipts", quantity(self._number)) or []
        by_hash = {receipt["transactionHash"]: receipt for receipt in mined}
        missing = [one.order.key for one in transactions if one.hash not in by_hash]
        if missing:
            raise ChainError(f"block {self._number} was mined without {', '.join(missing)}: the node held them back")
        return [by_hash[one.hash] for one in transactions]
