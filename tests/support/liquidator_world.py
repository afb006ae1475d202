"""A venue in the in-process EVM with a liquidator that acts on it: what it submits is mined before it returns."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from option_world import OptionWorld
from venue_world import VenueWorld

from keeper.chain.abi import Revert
from keeper.chain.accounts_reader import AccountsReader
from keeper.chain.contract import Contract, Receipt
from keeper.chain.deployment import Deployment
from keeper.risk.liquidation import LiquidatorConfig
from keeper.roles.liquidator import Liquidator
from keeper.state.decision import Order, OrderResult, OrderStatus
from keeper.state.ports import Head


@dataclass
class AtOnce:
    """An executor that carries out what it is asked for."""

    world: VenueWorld
    names: dict[str, str]
    sender: str
    orders: list[Order] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    async def submit(self, order: Order) -> OrderResult:
        self.orders.append(order)
        target = Contract.at(self.world.evm, self.names[order.to], order.to)
        try:
            self.receipts.append(target.send(order.function, *order.arguments, sender=self.sender))
        except Revert as refusal:
            self.errors.append(refusal.name)
            return OrderResult(order.key, OrderStatus.REVERTED, "0x", 1, 1, 1, 1, refusal.name)
        return OrderResult(order.key, OrderStatus.CONFIRMED, "0x", 1, 1, 1, 1)

    def in_flight(self, prefix: str) -> tuple[Order, ...]:
        return ()

    def functions(self) -> list[str]:
        return [order.function for order in self.orders]


def deployment_of(world: VenueWorld) -> Deployment:
    """The world's contracts as a deployment, with a lens for accounts."""
    lens = world.evm.deploy("AccountLens")
    contracts = {
        "Token": world.token,
        "PriceFeed": world.feed,
        "Clearinghouse": world.house,
        "PerpMarket": world.perp,
        "LiquidityPool": world.pool,
        "InsuranceFund": world.fund,
        "Waterfall": world.waterfall,
        world.engine_kind: world.engine,
        "AccountLens": lens,
    }
    if world.auction is not None:
        contracts["DutchAuctionLiquidation"] = world.auction
    if isinstance(world, OptionWorld):
        contracts["OptionMarket"] = world.market
    addresses = {name: contract.address for name, contract in contracts.items()}
    return Deployment(world.evm.chain_id, 0, addresses, {}, {}, {})


class LiquidatorWorld:
    """A world, its liquidator, and what the liquidator did."""

    def __init__(self, world: VenueWorld, config: LiquidatorConfig | None = None, **known: Any) -> None:
        self.world = world
        self.deployment = deployment_of(world)
        self.reader = AccountsReader(world.evm, self.deployment)
        self.own = world.account("liquidator")
        self.executor = AtOnce(world, self.deployment.interfaces(), self.own)
        self.role = Liquidator(self.reader, self.executor, self.deployment, self.own, config)

    def know(self, *roles: str) -> None:
        self.reader.watch.add(self.world.account(role) for role in roles)

    def wake(self) -> list[str]:
        """Show the liquidator the newest block; the functions that it called."""
        before = len(self.executor.orders)
        evm = self.world.evm
        asyncio.run(self.role.on_head(Head(evm.block_number, evm.timestamp, evm.base_fee)))
        return self.executor.functions()[before:]

    def look(self, *roles: str):
        return asyncio.run(self.reader.look([self.world.account(role) for role in roles]))
