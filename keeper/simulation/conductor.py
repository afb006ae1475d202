"""The conductor: moves the chain from instant to instant, and wakes the roles in between.

    at each instant:  the oracle says what is due -> released transactions and the oracle's go into one block
                      -> receipts to the executor, events and snapshots to the recorder
                      -> every role sees the head, and what it hands over is released at now + latency

Roles are woken one after the other and awaited, so the state never depends on the speed of the machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from keeper.execution.senders import HoldingSender
from keeper.execution.transactions import Transaction
from keeper.simulation.lockstep import Agenda, Outbox, Receipt, SteppedChain
from keeper.simulation.recorder import Recorder
from keeper.simulation.script import Script
from keeper.simulation.tape import Tape
from keeper.state.decision import Action, Decision, OrderResult
from keeper.state.events import Event
from keeper.state.ports import Head, Reader, Role


class Oracle(Protocol):
    """Puts prices and vols on the chain when the script says so."""

    async def publish_price(self, now: int, price: float) -> object:
        """Hands over the transaction that publishes a price."""
        ...

    async def submit_volatility(self, now: int, due: Sequence[int]) -> object:
        """Hands over the transactions that report the slices of these expiries."""
        ...


class HeadReader(Reader, Protocol):
    """A reader that keeps what it has read until the next head."""

    def new_head(self, head: Head, logs: Iterable[Mapping[str, Any]]) -> None:
        """What was read belongs to an older block; these are all the logs of the new one."""
        ...

    def preload(self, vaults: Iterable[str]) -> None:
        """Read all these vaults at the head, in one exchange."""
        ...


class Orders(Protocol):
    """The side of the executor that the conductor feeds."""

    def observe(self, head: Head) -> None:
        """A new head."""
        ...

    def on_receipt(self, tx_hash: str, receipt: Receipt) -> OrderResult:
        """A transaction was mined."""
        ...


class Hedging(Role, Protocol):
    """A hedger as the conductor sees it: a role that remembers what it decided last."""

    last: Decision | None


class Decoder(Protocol):
    """Turns logs into events."""

    def decode(self, logs: Iterable[Mapping[str, Any]], timestamps: Mapping[int, int]) -> list[Event]:
        """The events of raw logs; times by block number."""
        ...


class Listener(Protocol):
    """Is told of every block, and may slow the run down."""

    async def on_block(self, head: Head, recorder: Recorder, in_flight: int) -> None:
        """A block has been mined and everybody has seen it."""
        ...


@dataclass(slots=True)
class Cast:
    """Everybody who takes part: hedgers by vault, the other roles, and what stands around them."""

    hedgers: Mapping[str, Hedging]
    others: Sequence[Role]
    oracle: Oracle
    orders: Orders
    sender: HoldingSender
    reader: HeadReader
    decoder: Decoder


class Switch:
    """Stops a run from outside."""

    def __init__(self) -> None:
        self.off = False

    def stop(self) -> None:
        """End the run after the instant that is being played."""
        self.off = True


class Conductor:
    """Plays one script to its end, or until it is stopped."""

    def __init__(
        self,
        script: Script,
        chain: SteppedChain,
        cast: Cast,
        recorder: Recorder,
        tape: Tape,
        latency: int,
        listener: Listener,
        switch: Switch,
    ) -> None:
        self._script = script
        self._chain = chain
        self._cast = cast
        self._recorder = recorder
        self._tape = tape
        self._latency = latency
        self._listener = listener
        self._agenda = Agenda()
        self._outbox = Outbox()
        self._prices = set(script.price_times)
        self._volatilities = set(script.volatility_times)
        self._switch = switch
        self.blocks = 0
        self.now = script.start

    @property
    def finished(self) -> bool:
        """Whether the script was played to its end."""
        return not self._switch.off

    async def run(self) -> None:
        """Plays the script."""
        for time in (*self._prices, *self._volatilities, *self._shock_times()):
            self._agenda.add(time)
        while not self._switch.off and (now := self._agenda.next()) is not None and now <= self._script.end:
            await self._instant(now)
            await asyncio.sleep(0)  # roles never wait in lockstep, so signals get their turn here

    def _shock_times(self) -> list[int]:
        """When a shock begins or ends: nothing is published then, but the keeper wakes up."""
        start = self._script.start
        return [start + time for shock in self._script.shocks for time in (shock.at, shock.at + shock.for_)]

    async def _instant(self, now: int) -> None:
        self.now = now
        transactions = [*await self._oracle(now), *self._outbox.due(now)]
        head, receipts = self._chain.step(now, self._script.base_fee, transactions)
        self.blocks += 1
        self._cast.orders.observe(head)
        logs = [log for receipt in receipts for log in receipt["logs"]]
        self._cast.reader.new_head(head, logs)
        self._cast.reader.preload(self._cast.hedgers)
        price = self._script.price(now)
        for transaction, receipt in zip(transactions, receipts, strict=True):
            result = self._cast.orders.on_receipt(transaction.hash, receipt)
            self._recorder.result(transaction.order, result, price)
            self._tape.write("result", now, {"order": transaction.order.key, **_outcome(result)})
        await self._wake(head)
        await self._record(head, logs)
        await self._listener.on_block(head, self._recorder, self._in_flight())

    async def _oracle(self, now: int) -> list[Transaction]:
        """The oracle's transactions for the block of ``now``."""
        if now in self._prices:
            price = self._script.price(now)
            self._tape.write("price", now, {"price": price})
            await self._cast.oracle.publish_price(now, price)
        if now in self._volatilities:
            self._tape.write("volatility", now, {"atm": self._script.vol(now)})
            await self._cast.oracle.submit_volatility(now, self._script.live_expiries(now))
        return self._take(now)

    async def _wake(self, head: Head) -> None:
        """Lets every role see the head, unless the keeper is out."""
        if self._script.outage_ends(head.timestamp) is not None:
            return
        for vault, hedger in self._cast.hedgers.items():
            await hedger.on_head(head)
            decision = hedger.last
            if decision is not None and decision.block_number == head.number:
                self._recorder.decided(decision)
                self._tape.write("decision", head.timestamp, {**_decided(decision), "vault": vault})
        for role in self._cast.others:
            await role.on_head(head)
        release = head.timestamp + self._latency
        for transaction in self._take(head.timestamp):
            self._outbox.put(transaction, max(release, head.timestamp + 1))
            self._agenda.add(max(release, head.timestamp + 1))

    async def _record(self, head: Head, logs: Sequence[Mapping[str, Any]]) -> None:
        """Snapshots and events of the block; prices are scheduled for orders that now wait for one."""
        events = self._cast.decoder.decode(logs, {head.number: head.timestamp})
        for event in events:
            self._tape.write("event", head.timestamp, {"event": type(event).__name__, **_event(event)})
        snapshots = {vault: await self._cast.reader.snapshot(vault) for vault in self._cast.hedgers}
        for snapshot in snapshots.values():
            for venue in snapshot.venues:
                if venue.pending is not None:
                    self._price_at(venue.pending.committed_at + venue.parameters.settlement_delay, head.timestamp)
        self._recorder.block(head, snapshots, events, self._script.vol(head.timestamp))

    def _price_at(self, time: int, now: int) -> None:
        """An order fills at the first price from ``time``: publish one exactly then."""
        if now < time <= self._script.end and time not in self._prices:
            self._prices.add(time)
            self._agenda.add(time)

    def _take(self, now: int) -> list[Transaction]:
        """What has been handed over since the last time."""
        taken = self._cast.sender.take()
        for transaction in taken:
            order = transaction.order
            self._tape.write("order", now, {
                "key": order.key, "role": order.role, "call": order.call, "decision": order.decision_id,
                "data": "0x" + transaction.data.hex(),
            })  # fmt: skip
        return taken

    def _in_flight(self) -> int:
        """Hedges that have been committed and not settled, over all vaults."""
        books = self._recorder.vaults.values()
        return sum(
            venue.pending is not None for book in books if book.snapshot is not None for venue in book.snapshot.venues
        )


def _decided(decision: Decision) -> dict[str, object]:
    """A decision for the tape: a hedge with its numbers, a hold in brief (the journal has its numbers)."""
    brief: dict[str, object] = {"id": decision.id, "action": decision.action, "reason": decision.reason}
    if decision.action is Action.HOLD:
        return brief
    price, facts = decision.acceptable_price, dict(decision.facts)
    return {**brief, "size": decision.size, "acceptable_price": price, "facts": facts}


def _outcome(result: OrderResult) -> dict[str, object]:
    return {
        "status": result.status,
        "block": result.block_number,
        "gas_used": result.gas_used,
        "gas_price": result.gas_price,
        "error": result.error,
    }


def _event(event: Event) -> dict[str, object]:
    return {name: getattr(event, name) for name in event.__slots__ if name not in ("timestamp",)}
