"""Each clearinghouse's perpetual market has a settler of its own; both read the same prices."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from keeper.chain.deploy_config import Remote, default_config
from keeper.chain.deployer import deploy
from keeper.chain.deployment import REMOTE
from keeper.chain.dev_accounts import address_of_role
from keeper.chain.node import Anvil
from keeper.chain.reader import LensReader, VenueOrders, as_head
from keeper.roles.settler import Settler
from keeper.state.decision import Order, OrderResult, OrderStatus
from keeper.units import to_usdc, to_wad

TRADER = address_of_role("trader")


class Kept:
    """An executor that keeps what it is asked for."""

    def __init__(self) -> None:
        self.orders: list[Order] = []

    async def submit(self, order: Order) -> OrderResult:
        self.orders.append(order)
        return OrderResult(order.key, OrderStatus.SENT, "0x", 1, 1, 1, 1)

    def in_flight(self, prefix: str) -> tuple[Order, ...]:
        return ()


def test_an_order_on_the_remote_market_is_settled_there_and_nowhere_else():
    with Anvil() as chain:
        backend = chain.backend()
        deployment = deploy(backend, replace(default_config(), vaults=(), remote=Remote()))
        token, feed = (deployment.contract(backend, name) for name in ("Token", "PriceFeed"))
        house, market = (deployment.contract(backend, REMOTE + name) for name in ("Clearinghouse", "PerpMarket"))
        token.send("mint", TRADER, to_usdc(10_000.0))
        token.send("approve", house, 2**200, sender=TRADER)
        house.send("deposit", TRADER, to_usdc(10_000.0), sender=TRADER)
        market.send("commit", to_wad(1.0), 10**40, sender=TRADER)
        reader = LensReader(backend, deployment)
        chain.set_next_timestamp(asyncio.run(reader.head()).timestamp + 2)
        feed.send("publish", to_wad(2_000.0), sender=address_of_role("reporter-1"))
        head = as_head(asyncio.run(reader.head()))
        for book, where, expected in (
            (reader, "", []),
            (VenueOrders(reader, chain.rpc, REMOTE), REMOTE, [deployment.address("remote/PerpMarket")]),
        ):
            kept = Kept()
            settler = Settler(book, kept, deployment, delay=2, window=60, house=where)
            asyncio.run(settler.on_head(head))
            assert [order.to for order in kept.orders] == expected
        (order,) = kept.orders
        market.send("settle", *order.arguments, sender=address_of_role("settler"))
        assert market.call("netSize", TRADER) == to_wad(1.0)
