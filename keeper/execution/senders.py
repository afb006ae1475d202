"""How a signed transaction leaves: the one port between an order and the chain's pool.

`send` returns the receipt where it waits for one, and None where the receipt comes later (`Executor.on_receipt`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from keeper.chain.rpc import Rpc
from keeper.errors import ChainError, RpcError
from keeper.execution.transactions import Transaction

Receipt = Mapping[str, Any]
"""A receipt as JSON-RPC gives it."""

_UNKNOWN_METHOD: Final = -32601
_NOT_MINED_YET: Final = 4  # EIP-7966: the transaction is in the pool, its block has not come
_NOT_MINED_YET_IN_WORDS: Final = "confirmation timeout"  # Anvil says it so, with the code of any internal error


class Sender(Protocol):
    """Hands a transaction over."""

    async def send(self, transaction: Transaction) -> Receipt | None:
        """Send the signed bytes once. Raises `NodeUnreachable` and `RpcError` when nothing can come of them, and
        `AnswerLost` when nobody knows."""
        ...


class LiveSender:
    """Sends to a node that mines by itself, and waits for the receipt.

    One request does both where the node knows `eth_sendRawTransactionSync`; elsewhere the receipt is asked for until it
    comes or `patience` seconds have passed.
    """

    def __init__(self, connect: Callable[[], Rpc], patience: float = 30.0, pause: float = 0.2) -> None:
        self._connect = connect
        self._idle: list[Rpc] = []
        self._patience = patience
        self._pause = pause
        self._sync = True

    async def send(self, transaction: Transaction) -> Receipt | None:
        """Send and wait, without holding up the other roles; each wait has a connection of its own."""
        rpc = self._idle.pop() if self._idle else self._connect()
        try:
            return await asyncio.to_thread(self._send, rpc, transaction)
        finally:
            self._idle.append(rpc)

    def _send(self, rpc: Rpc, transaction: Transaction) -> Receipt | None:
        if self._sync:
            try:
                answer: Receipt = rpc.call("eth_sendRawTransactionSync", transaction.raw)
                return answer
            except RpcError as error:
                if error.code == _NOT_MINED_YET or _NOT_MINED_YET_IN_WORDS in error.message.lower():
                    return None
                if error.code != _UNKNOWN_METHOD:
                    raise
                self._sync = False
        rpc.call("eth_sendRawTransaction", transaction.raw)
        try:
            return self._await_receipt(rpc, transaction.hash)
        except ChainError:  # the pool has it: whatever goes wrong from here on says nothing about the transaction
            return None

    def _await_receipt(self, rpc: Rpc, tx_hash: str) -> Receipt | None:
        deadline = time.monotonic() + self._patience
        while time.monotonic() < deadline:
            receipt: Receipt | None = rpc.call("eth_getTransactionReceipt", tx_hash)
            if receipt is not None:
                return receipt
            time.sleep(self._pause)
        return None


class HoldingSender:
    """Sends nothing and keeps what it is given: for whoever decides when transactions leave."""

    def __init__(self) -> None:
        self._held: list[Transaction] = []

    async def send(self, transaction: Transaction) -> Receipt | None:
        """Keep the transaction for `take`."""
        self._held.append(transaction)
        return None

    def take(self) -> list[Transaction]:
        """What has been sent since the last time, in order."""
        held, self._held = self._held, []
        return held
