"""Raw JSON-RPC: one call is one request, and every request is counted.

web3.py's contract layer sends three requests for a read and nine for a transaction; this one sends what it is asked to
send, and nothing twice.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from keeper.chain import contract
from keeper.chain.abi import Revert, checksum
from keeper.chain.artifacts import Artifact
from keeper.chain.contract import Contract, Log, Receipt
from keeper.chain.transport import open_transport
from keeper.errors import ChainError, RpcError

_RECEIPT_PATIENCE: Final = 30.0
_FIRST_WAIT, _LONGEST_WAIT = 0.002, 0.25
_TIP: Final = 10**9


def quantity(value: int) -> str:
    """An integer as JSON-RPC wants it."""
    return hex(value)


class Rpc:
    """A node at a URL or behind an IPC socket. `count` is the number of requests sent so far."""

    def __init__(self, address: str | Path, timeout: float = 10.0) -> None:
        self.address = str(address)
        self.count = 0
        self._transport = open_transport(address, timeout)
        self._lock = threading.Lock()

    def call(self, method: str, *params: Any) -> Any:
        """One request. Raises `Revert`, `RpcError`, `NodeUnreachable` or `AnswerLost`."""
        answer = self._exchange({"jsonrpc": "2.0", "id": self.count + 1, "method": method, "params": params}, 1)
        return _result(method, answer)

    def batch(self, requests: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Many requests in one exchange, answered in order; the first error is raised. Each counts."""
        if not requests:
            return []
        bodies = [
            {"jsonrpc": "2.0", "id": i, "method": method, "params": list(params)}
            for i, (method, params) in enumerate(requests)
        ]
        answers = self._exchange(bodies, len(bodies))
        if not isinstance(answers, list):
            return [_result("batch", answers)]
        by_id = {answer["id"]: answer for answer in answers}
        return [_result(method, by_id[i]) for i, (method, _) in enumerate(requests)]

    def close(self) -> None:
        """Drop the connection; the next call makes a new one."""
        self._transport.close()

    def __enter__(self) -> Rpc:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _exchange(self, body: Any, requests: int) -> Any:
        with self._lock:
            self.count += requests
            return self._transport.exchange(json.dumps(body).encode())


def _result(method: str, answer: Any) -> Any:
    if not isinstance(answer, dict) or ("error" not in answer and "result" not in answer):
        raise ChainError(f"{method}: the node's answer is no JSON-RPC: {str(answer)[:200]}")
    error = answer.get("error")
    if error is None:
        return answer["result"]
    data, message = error.get("data"), str(error.get("message", ""))
    if isinstance(data, str) and data.startswith("0x") and "revert" in message.lower():
        raise Revert.from_data(bytes.fromhex(data[2:]))
    raise RpcError(method, int(error.get("code", 0)), message, data)


@dataclass
class RpcBackend:
    """Contracts on a node; it implements `keeper.chain.contract.Backend`.

    Senders without a key in `keys` (address -> private key) are unlocked accounts of the node. With `mine` each
    transaction is mined at once by request (for nodes that do not mine by themselves). `gas` is the limit of every
    transaction; None asks the node for an estimate each time.
    """

    rpc: Rpc
    keys: Mapping[str, bytes] = field(default_factory=dict)
    sender: str | None = None
    mine: bool = False
    gas: int | None = None

    def call(self, to: str, data: bytes, sender: str | None = None) -> bytes:
        """Read at the latest block."""
        request = {"to": to, "data": _hex(data)}
        if sender or self.sender:
            request["from"] = str(sender or self.sender)
        return bytes.fromhex(str(self.rpc.call("eth_call", request, "latest"))[2:])

    def send(self, to: str, data: bytes, sender: str | None = None, value: int = 0) -> Receipt:
        """Send and wait for the receipt. Raises `Revert`."""
        return self._transact({"to": to, "data": _hex(data), "value": quantity(value)}, sender)

    def create(self, artifact: Artifact, code: bytes, sender: str | None = None) -> Receipt:
        """Create a contract and wait for the receipt. Raises `Revert`."""
        return self._transact({"data": _hex(code)}, sender)

    def deploy(self, name: str, *args: Any, sender: str | None = None) -> Contract:
        """Deploy a contract by name."""
        return contract.deploy(self, name, *args, sender=sender)

    def _transact(self, request: dict[str, Any], sender: str | None) -> Receipt:
        request["from"] = sender or self.sender or self.rpc.call("eth_accounts")[0]
        gas = self.gas if self.gas is not None else int(self.rpc.call("eth_estimateGas", request), 16) * 5 // 4
        request["gas"] = quantity(gas)
        key = self.keys.get(request["from"])
        if key is None:
            transaction = self.rpc.call("eth_sendTransaction", request)
        else:
            transaction = self.rpc.call("eth_sendRawTransaction", self._signed(request, key))
        if self.mine:
            self.rpc.call("evm_mine")
        mined = self._wait(transaction)
        if int(mined["status"], 16) != 1:
            raise self._reason(request, mined)
        return receipt_from_json(mined)

    def _signed(self, request: dict[str, Any], key: bytes) -> str:
        from eth_account import Account  # slow to import and not needed with unlocked accounts

        block, nonce, chain_id = self.rpc.batch(
            [
                ("eth_getBlockByNumber", ("latest", False)),
                ("eth_getTransactionCount", (request["from"], "pending")),
                ("eth_chainId", ()),
            ]
        )
        transaction = {
            "type": 2,
            "chainId": int(chain_id, 16),
            "nonce": int(nonce, 16),
            "gas": int(request["gas"], 16),
            "maxFeePerGas": 2 * int(block["baseFeePerGas"], 16) + _TIP,
            "maxPriorityFeePerGas": _TIP,
            "value": int(request.get("value", "0x0"), 16),
            "data": request["data"],
        }
        if "to" in request:
            transaction["to"] = request["to"]
        return "0x" + bytes(Account.sign_transaction(transaction, key).raw_transaction).hex()

    def _wait(self, transaction: str) -> dict[str, Any]:
        deadline, pause = time.monotonic() + _RECEIPT_PATIENCE, _FIRST_WAIT
        while (receipt := self.rpc.call("eth_getTransactionReceipt", transaction)) is None:
            if time.monotonic() > deadline:
                raise ChainError(f"transaction {transaction} was not mined within {_RECEIPT_PATIENCE:.0f} s")
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_WAIT)
        return dict(receipt)

    def _reason(self, request: dict[str, Any], mined: dict[str, Any]) -> ChainError:
        """Why a mined transaction failed: asked again as a read, on the state that it left."""
        try:
            self.rpc.call("eth_call", request, "latest")
        except ChainError as error:
            return error
        return ChainError(f"transaction {mined['transactionHash']} failed, and no longer would: the state has moved on")


def receipt_from_json(mined: Mapping[str, Any]) -> Receipt:
    """A node's receipt as ours."""
    created = mined.get("contractAddress")
    return Receipt(
        logs=tuple(log_from_json(log) for log in mined["logs"]),
        gas_used=int(mined["gasUsed"], 16),
        contract_address=checksum(created) if created else None,
        block_number=int(mined["blockNumber"], 16),
        transaction_hash=str(mined["transactionHash"]),
    )


def log_from_json(log: Mapping[str, Any]) -> Log:
    """A node's log as ours."""
    topics = tuple(bytes.fromhex(topic[2:]) for topic in log["topics"])
    return Log(checksum(log["address"]), topics, bytes.fromhex(log["data"][2:]))


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
