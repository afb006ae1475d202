"""What a node knows about our transactions."""

from __future__ import annotations

from keeper.chain.rpc import Rpc, quantity
from keeper.errors import ChainError
from keeper.execution.senders import Receipt
from keeper.execution.transactions import Transaction


class NodeLookup:
    """Answers the executor's questions by JSON-RPC."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc

    def nonce(self, address: str) -> int:
        """Transactions of the account that are mined."""
        return int(self._rpc.call("eth_getTransactionCount", address, "latest"), 16)

    def receipt(self, tx_hash: str) -> Receipt | None:
        """The receipt, if the transaction is mined."""
        found: Receipt | None = self._rpc.call("eth_getTransactionReceipt", tx_hash)
        return found

    def knows(self, tx_hash: str) -> bool:
        """Whether the transaction is mined or in the pool."""
        return self._rpc.call("eth_getTransactionByHash", tx_hash) is not None

    def reason(self, transaction: Transaction) -> str:
        """The same call asked again as a read. The state has moved on since, so the answer may be another one."""
        request = {
            "from": transaction.sender,
            "to": transaction.to,
            "data": "0x" + transaction.data.hex(),
            "gas": quantity(transaction.gas),
        }
        try:
            self._rpc.call("eth_call", request, "latest")
        except ChainError as error:
            return str(error)
        return "reverted, and no longer would: the state has moved on"
