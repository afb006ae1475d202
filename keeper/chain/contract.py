"""A contract with the same face on every engine: `call` reads, `send` changes, and a refusal raises `Revert`.

A `Backend` is what stands behind it: the in-process EVM (`keeper.chain.evm`) or a node (`keeper.chain.rpc`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

from keeper.chain import artifacts
from keeper.chain.abi import Interface, checksum, decode_event, interface_of
from keeper.chain.artifacts import Artifact
from keeper.errors import ChainError, InputError


@dataclass(frozen=True, slots=True)
class Log:
    """One event as the chain stores it."""

    address: str
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a transaction did.

    `result` is the function's decoded return value; None where the engine does not know it (a node tells only logs).
    `gas_used` of the in-process EVM is no measure of what a chain would charge.
    """

    logs: tuple[Log, ...]
    gas_used: int
    output: bytes | None = None
    result: Any = None
    contract_address: str | None = None
    block_number: int = 0
    transaction_hash: str = ""

    def events(self, name: str, address: str | None = None) -> list[dict[str, Any]]:
        """Parameters of every event called `name`, in order; of one contract only when `address` is given."""
        decoded = (decode_event(log.topics, log.data) for log in self.logs if address in (None, log.address))
        return [event[1] for event in decoded if event is not None and event[0] == name]


class Backend(Protocol):
    """An engine that holds contracts."""

    def call(self, to: str, data: bytes, sender: str | None = None) -> bytes:
        """Run a call on the current state and forget what it changed. Raises `Revert`."""

    def send(self, to: str, data: bytes, sender: str | None = None, value: int = 0) -> Receipt:
        """Carry out a transaction. Raises `Revert`."""

    def create(self, artifact: Artifact, code: bytes, sender: str | None = None) -> Receipt:
        """Create a contract; `code` is the artifact's linked bytecode with the encoded arguments. Raises `Revert`."""


@dataclass(frozen=True, slots=True)
class Contract:
    """A deployed contract: where it is, and what it understands."""

    backend: Backend
    address: str
    interface: Interface

    @classmethod
    def at(cls, backend: Backend, name: str, address: str) -> Contract:
        """The contract called `name`, known to stand at `address`."""
        return cls(backend, checksum(address), interface_of(name))

    def encode(self, function: str, *args: Any) -> bytes:
        """Call data of a function."""
        return self.interface.function(function, len(args)).encode(args)

    def call(self, function: str, *args: Any, sender: str | None = None) -> Any:
        """Read: the decoded result; one value, or a tuple of several."""
        entry = self.interface.function(function, len(args))
        return entry.decode(self.backend.call(self.address, entry.encode(args), sender))

    def send(self, function: str, *args: Any, sender: str | None = None, value: int = 0) -> Receipt:
        """Change: the receipt, with the decoded result where the engine knows it."""
        entry = self.interface.function(function, len(args))
        receipt = self.backend.send(self.address, entry.encode(args), sender, value)
        return receipt if receipt.output is None else replace(receipt, result=entry.decode(receipt.output))


def deploy(
    backend: Backend, name: str, *args: Any, sender: str | None = None, libraries: dict[str, str] | None = None
) -> Contract:
    """Deploy a contract by name. Libraries that it links to and that `libraries` lacks are deployed and added to it."""
    artifact = artifacts.load(name)
    if not artifact.deployable:
        raise InputError(f"{name} has no code to deploy: it is an interface or abstract")
    known = {} if libraries is None else libraries
    for library in artifact.libraries:
        if library not in known:
            known[library] = deploy(backend, library, sender=sender, libraries=known).address
    face = interface_of(name)
    receipt = backend.create(artifact, artifact.linked(known) + face.constructor.encode(args), sender)
    if receipt.contract_address is None:
        raise ChainError(f"the chain gave no address for the new {name}")
    return Contract(backend, receipt.contract_address, face)
