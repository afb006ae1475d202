"""The two ports of a role: what it can see and what it can ask for. Nothing else reaches the chain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from keeper.state.decision import Order, OrderResult
from keeper.state.snapshot import Block, Snapshot


@dataclass(frozen=True, slots=True)
class Head:
    """A new block as the roles are told of it."""

    number: int
    timestamp: int
    base_fee: int


class Reader(Protocol):
    """Reads the chain. Every answer belongs to one block."""

    async def snapshot(self, vault: str) -> Snapshot:
        """The vault at the newest block, in one call."""
        ...

    async def head(self) -> Block:
        """The newest block."""
        ...


class Executor(Protocol):
    """Turns orders into effects, at most once for each ``Order.key``."""

    async def submit(self, order: Order) -> OrderResult:
        """Journals the order, sends it and returns once it was handed over; in lockstep its receipt comes later."""
        ...

    def in_flight(self, prefix: str) -> tuple[Order, ...]:
        """Orders whose key starts with ``prefix`` and which have no final status."""
        ...


class Role(Protocol):
    """A loop body: observe, decide, act. Called once for every new head."""

    name: str

    async def on_head(self, head: Head) -> None:
        """Looks at the new head and submits what it wants done."""
        ...
