"""Read, Greeks, decide, sign, send, receipt: at most three requests, counted on a node that mines by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest
from live_world import World

from keeper.chain.node import Anvil
from keeper.chain.reader import LensReader, as_head
from keeper.chain.rpc import Rpc, RpcBackend
from keeper.execution.executor import JournaledExecutor
from keeper.execution.lookup import NodeLookup
from keeper.execution.senders import LiveSender
from keeper.hedging.decide import HedgeConfig
from keeper.roles.hedger import Hedger
from keeper.state.decision import Action, OrderStatus
from keeper.state.ports import Head


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """A straddle has just been bought, nothing is hedged, and the node mines each transaction as it comes."""
    with Anvil(timestamp=1_700_000_000) as chain:
        made = World(chain)
        made.market.spot = 2_060.0
        for _ in range(3):
            made.step(roles=[made.roller])
        chain.rpc.call("anvil_setBlockTimestampInterval", 2)
        chain.rpc.call("evm_setAutomine", True)
        yield made


class Live:
    """A hedger of one vault with a live sender, on connections that count."""

    def __init__(self, world: World, vault: str) -> None:
        self.rpc = Rpc(world.chain.ipc)
        self.sending: list[Rpc] = []
        sender = LiveSender(lambda: self.sending.append(Rpc(world.chain.ipc)) or self.sending[-1])
        self.reader = LensReader(RpcBackend(self.rpc), world.deployment)
        lookup = NodeLookup(self.rpc)
        self.executor = JournaledExecutor(world.journal, world.deployment, world.signers, sender, lookup)
        config = HedgeConfig(policy="fixed-band", band=0.1)
        self.hedger = Hedger(vault, self.reader, self.executor, world.journal, world.deployment, config)

    @property
    def requests(self) -> int:
        return self.rpc.count + sum(rpc.count for rpc in self.sending)


def test_a_whole_hedge_takes_at_most_three_requests(world: World):
    live = Live(world, "scalper")
    head = as_head(asyncio.run(live.reader.head()))
    live.executor.observe(head)
    before = live.requests
    asyncio.run(live.hedger.on_head(head))
    decision = live.hedger.last
    assert decision is not None
    assert decision.action is Action.HEDGE
    order = world.journal.order(f"hedge:scalper:{decision.id}")
    assert order is not None
    assert order.result.status is OrderStatus.CONFIRMED
    assert live.requests - before <= 3  # the very first one also asks for the nonce


def test_a_later_hedge_takes_two_and_a_look_takes_one(world: World):
    live = Live(world, "underwriter")
    head = as_head(asyncio.run(live.reader.head()))
    live.executor.observe(head)
    asyncio.run(live.hedger.on_head(head))
    by_itself = RpcBackend(world.chain.rpc)
    feed, venue = world.deployment.contract(by_itself, "PriceFeed"), world.deployment.contract(by_itself, "PerpMarket")
    reporter, settler = world.deployment.accounts["reporter-1"], world.deployment.accounts["settler"]
    feed.send("publish", 2_200 * 10**18, sender=reporter)
    venue.send("settle", world.deployment.address("underwriter"), feed.call("roundAt", 2**40), sender=settler)
    feed.send("publish", 2_300 * 10**18, sender=reporter)

    block = as_head(asyncio.run(live.reader.head()))
    live.executor.observe(block)
    before = live.requests
    asyncio.run(live.hedger.on_head(block))
    assert live.hedger.last is not None
    assert live.hedger.last.action is Action.HEDGE
    assert live.requests - before == 2

    before = live.requests
    asyncio.run(live.hedger.on_head(replace(block, number=block.number + 1)))
    assert live.hedger.last.action is Action.HOLD
    assert live.requests - before == 1


def test_a_role_is_told_a_head_in_one_request(world: World):
    rpc = Rpc(world.chain.ipc)
    reader = LensReader(RpcBackend(rpc), world.deployment)
    before = rpc.count
    head = as_head(asyncio.run(reader.head()))
    assert (type(head), rpc.count - before) == (Head, 1)
