"""The in-process EVM: the same bytecode as on a node, thousands of times faster.

pyrevm runs message calls, not transactions: nonces of senders do not move, no fee is paid, storage stays warm for
ever. So state, results, logs and refusals are those of a chain, and gas is not. Its traps stay in here:

- `commit()` without a snapshot ruins the journal, so it is never called;
- reverting an outer snapshot must unwind the inner ones first, which `revert` does;
- an unknown hardfork is silently taken for the newest, so a new `Evm` proves that it is on Cancun;
- it answers zero to BASEFEE whatever the block says, so `create` puts PREVRANDAO, which costs the same and which no
  contract of ours reads, in its place, and blocks carry their base fee there (a contract that another contract
  creates is out of reach and reads zero);
- transient storage outlives a transaction, so every `send` starts with it cleared;
- the journal keeps about 0.7 kB for every `send` until the `Evm` is dropped; calls leave nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from pyrevm import EVM, BlockEnv, CfgEnv, Env, JournalCheckpoint

from keeper.chain import accounts, contract
from keeper.chain.abi import Revert, checksum
from keeper.chain.artifacts import Artifact
from keeper.chain.contract import Contract, Log, Receipt
from keeper.errors import ChainError

GAS_LIMIT: Final = 30_000_000
"""Gas that one call or transaction may use: a full block."""

_PREVRANDAO: Final = 0x44
_ENDOWMENT: Final = 10**24
_REVERT: Final = re.compile(r"^Revert \{ gas_used: \d+, output: 0x([0-9a-f]*) \}")
_HALT: Final = re.compile(r"^Halt \{ reason: (\w+)")
# TSTORE(0, 1), MCOPY(0, 32, 32), then CLZ (younger than Cancun), each of which halts where it is not known
_CANCUN_PROBE: Final = bytes.fromhex("60015f5d" + "602060205f5e" + "00")
_OSAKA_PROBE: Final = bytes.fromhex("60011e00")


_Clock = tuple[int, int, int]  # block number, timestamp, base fee


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """What `revert` restores: the state, the clock, and what we know about the state."""

    checkpoint: JournalCheckpoint
    clock: _Clock
    libraries: dict[str, str]
    funded: frozenset[str]


@dataclass
class Evm:
    """A private chain in this process. It implements `keeper.chain.contract.Backend`."""

    timestamp: int = 1_700_000_000
    block_number: int = 1
    base_fee: int = 10**9
    chain_id: int = 31_337
    libraries: dict[str, str] = field(default_factory=dict)
    _evm: EVM = field(init=False, repr=False)
    _block: _Clock = field(init=False, repr=False, default=(0, 0, 0))
    _funded: frozenset[str] = field(init=False, repr=False, default=frozenset())
    _snapshots: list[_Snapshot] = field(init=False, repr=False, default_factory=list)

    def __post_init__(self) -> None:
        self._evm = EVM(env=Env(cfg=CfgEnv(chain_id=self.chain_id)), spec_id="CANCUN")
        self._prove_hardfork()

    def account(self, name: str) -> str:
        """The address of a role's name, with a million ether on it. Its key is `accounts.key_of(name)`."""
        address = accounts.address_of(name)
        if address not in self._funded:
            self._evm.set_balance(address, _ENDOWMENT)
            self._funded |= {address}
        return address

    def deploy(self, name: str, *args: Any, sender: str | None = None) -> Contract:
        """Deploy a contract by name, with the libraries that it needs."""
        return contract.deploy(self, name, *args, sender=sender, libraries=self.libraries)

    def call(self, to: str, data: bytes, sender: str | None = None) -> bytes:
        """Run a call and forget what it changed. Raises `Revert`."""
        self._sync_block()
        checkpoint = self._evm.snapshot()
        try:
            return self._run(to, data, sender or self.account("caller"), 0)
        finally:
            self._evm.revert(checkpoint)

    def send(self, to: str, data: bytes, sender: str | None = None, value: int = 0) -> Receipt:
        """Carry out a transaction in the current block. Raises `Revert` and then changes nothing."""
        self._begin_transaction()
        output = self._run(to, data, sender or self.account("deployer"), value)
        return self._receipt(output=output)

    def create(self, artifact: Artifact, code: bytes, sender: str | None = None) -> Receipt:
        """Create a contract. Raises `Revert`."""
        self._begin_transaction()
        patched = bytearray(code)
        for place in artifact.base_fee_reads:
            patched[place] = _PREVRANDAO
        try:
            address = self._evm.deploy(deployer=sender or self.account("deployer"), code=bytes(patched), gas=GAS_LIMIT)
        except RuntimeError as error:
            raise _reason(error) from None
        return self._receipt(contract_address=checksum(address))

    def advance(self, seconds: int, blocks: int = 1) -> None:
        """Let time pass: later calls see a later block."""
        self.timestamp += seconds
        self.block_number += blocks

    def snapshot(self) -> int:
        """Remember the state and the clock; the number goes to `revert`."""
        self._snapshots.append(_Snapshot(self._evm.snapshot(), self._now(), dict(self.libraries), self._funded))
        return len(self._snapshots) - 1

    def revert(self, snapshot: int) -> None:
        """Go back to a snapshot. It and every later one are used up."""
        if not 0 <= snapshot < len(self._snapshots):
            raise ChainError(f"snapshot {snapshot} is not there any more; each one can be used once")
        while len(self._snapshots) > snapshot:
            restored = self._snapshots.pop()
            self._evm.revert(restored.checkpoint)
        self.block_number, self.timestamp, self.base_fee = restored.clock
        self.libraries, self._funded = restored.libraries, restored.funded

    @contextmanager
    def rolled_back(self) -> Iterator[None]:
        """Whatever happens inside is undone at the end."""
        snapshot = self.snapshot()
        try:
            yield
        finally:
            self.revert(snapshot)

    def balance(self, address: str) -> int:
        """Ether of an account, in wei."""
        return self._evm.get_balance(address)

    def set_balance(self, address: str, wei: int) -> None:
        """Give an account so much ether."""
        self._evm.set_balance(address, wei)

    def storage(self, address: str, slot: int) -> int:
        """The raw value of a storage slot."""
        return self._evm.storage(address, slot)

    def has_code(self, address: str) -> bool:
        """Whether a contract stands at an address."""
        return any(self._evm.get_code(address) or b"")

    def _now(self) -> _Clock:
        return self.block_number, self.timestamp, self.base_fee

    def _sync_block(self) -> None:
        if self._now() != self._block:
            self._block = self._now()
            number, timestamp, base_fee = self._block
            randao = base_fee.to_bytes(32, "big")
            self._evm.set_block_env(BlockEnv(number=number, timestamp=timestamp, prevrandao=randao))

    def _begin_transaction(self) -> None:
        self._sync_block()
        self._evm.reset_transient_storage()

    def _receipt(self, output: bytes | None = None, contract_address: str | None = None) -> Receipt:
        outcome = self._evm.result
        if outcome is None:
            raise ChainError("the in-process EVM has run nothing yet")
        logs = tuple(_log(log) for log in outcome.logs)
        return Receipt(logs, outcome.gas_used, output, None, contract_address, self.block_number)

    def _run(self, to: str, data: bytes, sender: str, value: int) -> bytes:
        try:
            return self._evm.message_call(caller=sender, to=to, calldata=data, value=value, gas=GAS_LIMIT)
        except RuntimeError as error:
            raise _reason(error) from None

    def _prove_hardfork(self) -> None:
        who = self.account("prober")
        try:
            self._evm.deploy(deployer=who, code=_CANCUN_PROBE)
        except RuntimeError as error:
            raise ChainError(f"the in-process EVM does not know Cancun: {error}; reinstall pyrevm") from None
        try:
            self._evm.deploy(deployer=who, code=_OSAKA_PROBE)
        except RuntimeError:
            return
        raise ChainError("the in-process EVM is on a hardfork after Cancun; reinstall pyrevm")


def _log(log: Any) -> Log:
    topics, data = log.data
    return Log(checksum(log.address), tuple(map(bytes, topics)), bytes(data))


def _reason(error: RuntimeError) -> ChainError:
    text = str(error)
    reverted = _REVERT.match(text)
    if reverted:
        return Revert.from_data(bytes.fromhex(reverted.group(1)))
    halted = _HALT.match(text)
    if halted:
        return Revert("Halt", (halted.group(1),))
    return ChainError(f"the in-process EVM failed: {text}")
