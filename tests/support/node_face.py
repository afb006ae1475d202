"""A node in place of the in-process EVM, for tests that measure what only a chain knows: gas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keeper.chain.contract import Contract
from keeper.chain.node import Anvil


@dataclass
class Node:
    """A node with the face that the test worlds ask of the in-process EVM."""

    anvil: Anvil

    def account(self, name: str) -> str:
        return self.anvil.account(name)

    def deploy(self, name: str, *args: Any) -> Contract:
        return self.anvil.deploy(name, *args)

    @property
    def chain_id(self) -> int:
        return int(self.anvil.rpc.call("eth_chainId"), 16)

    @property
    def timestamp(self) -> int:
        return int(self.anvil.rpc.call("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    def advance(self, seconds: int) -> None:
        self.anvil.set_next_timestamp(self.timestamp + seconds)

    def gas(self, contract: Contract, function: str, *args: Any) -> int:
        """What a call would cost as a transaction, the 21,000 included."""
        request = {"to": contract.address, "data": "0x" + contract.encode(function, *args).hex()}
        return int(self.anvil.rpc.call("eth_estimateGas", request), 16)
