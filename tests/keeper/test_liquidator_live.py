"""The liquidator as an operator runs it: journaled transactions on a node, logs for eyes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from live_world import World

from keeper.chain.accounts_reader import AccountsReader
from keeper.chain.dev_accounts import address_of_role
from keeper.chain.node import Anvil
from keeper.roles.liquidator import Liquidator
from keeper.state.decision import Call, OrderStatus
from keeper.units import to_usdc, to_wad

TRADER, LIQUIDATOR = address_of_role("trader"), address_of_role("liquidator")


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with Anvil() as chain:
        yield World(chain)


def test_a_trader_who_falls_below_maintenance_is_closed_and_the_reward_is_the_liquidators(world: World):
    backend = world.chain.backend()
    house, perp, token = (world.deployment.contract(backend, name) for name in ("Clearinghouse", "PerpMarket", "Token"))
    accounts = AccountsReader(backend, world.deployment)
    role = Liquidator(accounts, world.executor, world.deployment, LIQUIDATOR)
    token.send("mint", TRADER, to_usdc(20_000.0))
    token.send("approve", house, 2**200, sender=TRADER)
    house.send("deposit", TRADER, to_usdc(20_000.0), sender=TRADER)
    perp.send("commit", to_wad(100.0), 10**40, sender=TRADER)
    world.number = asyncio.run(world.reader.head()).number
    for _ in range(3):
        world.step(12, [world.settler, role])
    assert perp.call("netSize", TRADER) == to_wad(100.0)
    assert not [order for order in world.journal.orders() if order.transaction.order.call is Call.LIQUIDATE]

    world.market.spot = 1_830.0
    for _ in range(3):
        world.step(12, [world.settler, role])
    (sent,) = [order for order in world.journal.orders() if order.transaction.order.call is Call.LIQUIDATE]
    assert sent.result.status is OrderStatus.CONFIRMED
    assert sent.result.gas_used < 0.8 * sent.transaction.gas
    assert perp.call("netSize", TRADER) == 0
    assert house.call("cash", LIQUIDATOR) > 0
    assert role.watched >= 1

    requests = world.chain.rpc.count
    world.step(12, [])
    idle = world.chain.rpc.count - requests
    requests = world.chain.rpc.count
    world.step(12, [role])
    assert world.chain.rpc.count - requests - idle <= 2  # what happened, and the house
