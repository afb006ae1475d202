"""A deployed protocol with all roles around it, on a chain that moves only when a test says so."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from keeper.chain.deploy_config import default_config
from keeper.chain.deployer import deploy
from keeper.chain.deployment import Deployment
from keeper.chain.dev_accounts import DEV_ROLES, REPORTERS, key_of_role
from keeper.chain.node import Anvil
from keeper.chain.reader import LensReader
from keeper.execution.executor import JournaledExecutor
from keeper.execution.journal import Journal
from keeper.execution.lookup import NodeLookup
from keeper.execution.senders import HoldingSender
from keeper.execution.transactions import Signer
from keeper.hedging.decide import HedgeConfig
from keeper.market.surface import slice_for
from keeper.roles.hedger import Hedger
from keeper.roles.reporter import Reporter, ReporterConfig
from keeper.roles.roller import Roller, RollerConfig
from keeper.roles.settler import Settler
from keeper.state.decision import OrderResult
from keeper.state.ports import Head, Role
from keeper.state.snapshot import Snapshot

GWEI = 10**9
TENOR = 7 * 86_400


@dataclass
class Market:
    """A price and a vol that the test sets."""

    spot: float = 2_000.0
    vol: float = 0.8

    def price(self, now: int) -> float:
        return self.spot

    def slice(self, now: int, expiry: int) -> tuple[float, float, float]:
        return slice_for(self.vol, (expiry - now) / (365 * 86_400))


def dev_signers() -> dict[str, Signer]:
    return {role: Signer(key_of_role(role)) for role in DEV_ROLES}


@dataclass
class World:
    """One Anvil in lockstep with the protocol on it, and every role wired to one journal."""

    chain: Anvil
    policy: HedgeConfig = field(default_factory=lambda: HedgeConfig(policy="fixed-band", band=1.0))
    tenor: int = TENOR
    journal_path: Path | str = ":memory:"

    def __post_init__(self) -> None:
        self.deployment: Deployment = deploy(self.chain.backend(), default_config())
        self.journal = Journal(self.journal_path, durable=False)
        self.sender = HoldingSender()
        self.lookup = NodeLookup(self.chain.rpc)
        self.signers = dev_signers()
        self.executor = JournaledExecutor(self.journal, self.deployment, self.signers, self.sender, self.lookup)
        self.reader = LensReader(self.chain.backend(), self.deployment)
        block = asyncio.run(self.reader.head())
        self.start = self.now = block.timestamp
        self.number = block.number
        self.market = Market()
        reporters = [self.signers[role] for role in REPORTERS]
        config = ReporterConfig(grid_start=self.start, tenor=self.tenor, price_heartbeat=10, vol_heartbeat=600)
        self.reporter = Reporter(self.market, self.executor, self.deployment, reporters, config, follow_heads=False)
        self.hedgers = {
            vault: Hedger(vault, self.reader, self.executor, self.journal, self.deployment, self.policy)
            for vault in self.deployment.vaults
        }
        self.settler = Settler(self.reader, self.executor, self.deployment, delay=2, window=60)
        rolling = RollerConfig(grid_start=self.start, tenor=self.tenor)
        self.roller = Roller("scalper", self.reader, self.executor, self.deployment, rolling)
        self.results: list[OrderResult] = []

    @property
    def roles(self) -> list[Role]:
        return [*self.hedgers.values(), self.settler, self.roller]

    def step(self, seconds: int = 12, roles: list[Role] | None = None) -> list[OrderResult]:
        """Let time pass by one block; what roles hand over now is mined in the next."""
        return asyncio.run(self._step(seconds, self.roles if roles is None else roles))

    async def _step(self, seconds: int, roles: list[Role]) -> list[OrderResult]:
        self.now += seconds
        await self.reporter.on_time(self.now)
        transactions = self.sender.take()
        transactions.sort(key=lambda each: not each.order.key.startswith(("price", "vol")))  # the oracle goes first
        for transaction in transactions:
            self.chain.rpc.call("eth_sendRawTransaction", transaction.raw)
        self.chain.mine(self.now, GWEI)
        self.number += 1
        head = Head(self.number, self.now, GWEI)
        self.executor.observe(head)
        self.reader.new_head(head)
        results = [self.executor.on_receipt(each.hash, self.lookup.receipt(each.hash)) for each in transactions]
        for role in roles:
            await role.on_head(head)
        self.results += results
        return results

    def steps(self, count: int, seconds: int = 12) -> list[OrderResult]:
        return [result for _ in range(count) for result in self.step(seconds)]

    def calm_down(self) -> None:
        """Blocks in quick succession, six at least, until nobody has anything on its way to the chain."""
        for block in range(20):
            self.step(12)
            if block >= 5 and not self.executor.in_flight(""):
                return
        raise AssertionError("the roles never come to rest")

    def snapshot(self, vault: str) -> Snapshot:
        return asyncio.run(self.reader.snapshot(vault))
