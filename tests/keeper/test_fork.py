"""Forking, without anybody's chain but ours: one node is the world with its USDC and its aggregator, a second forks it.

On the fork the protocol wraps what it finds: the price feed copies the aggregator, money is the forked USDC.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from command import first_object, keeper, running
from live_world import Market, dev_signers

from keeper.chain.contract import Contract
from keeper.chain.deploy_config import default_config
from keeper.chain.deployer import deploy
from keeper.chain.deployment import Deployment
from keeper.chain.dev_accounts import REPORTERS, address_of_role
from keeper.chain.node import Anvil
from keeper.chain.reader import LensReader, as_head, wrapped_aggregator
from keeper.chain.rpc import RpcBackend
from keeper.execution.executor import JournaledExecutor
from keeper.execution.journal import Journal
from keeper.execution.lookup import NodeLookup
from keeper.execution.senders import LiveSender, Rpc
from keeper.hedging.decide import HedgeConfig
from keeper.roles.hedger import Hedger
from keeper.roles.reporter import Reporter, ReporterConfig
from keeper.roles.roller import Roller, RollerConfig
from keeper.roles.settler import Settler
from keeper.state.decision import Action, OrderStatus
from keeper.state.ports import Role
from keeper.units import from_wad, to_usdc

UPSTREAM_CHAIN = 4_242
SPOT = 1_850.25


@dataclass
class Upstream:
    """The chain that is forked: it has money and a price, and knows nothing of us."""

    chain: Anvil
    token: Contract
    aggregator: Contract


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Anvil("live", chain_id=UPSTREAM_CHAIN, block_time=None) as chain:
        backend = chain.backend()
        token = backend.deploy("TestToken", "USD Coin", "USDC", 6)
        aggregator = backend.deploy("TestAggregator", "ETH / USD")
        aggregator.send("push", round(SPOT * 10**8))
        for role in ("liquidity-provider", "depositor"):
            token.send("mint", address_of_role(role), to_usdc(100_000_000.0))
        yield Upstream(chain, token, aggregator)


@dataclass
class Fork:
    """Our node, forked from the upstream, with the protocol on it and every role wired live."""

    chain: Anvil
    deployment: Deployment
    aggregator: Contract

    def __post_init__(self) -> None:
        backend, signers = RpcBackend(self.chain.rpc), dev_signers()
        self.journal = Journal(":memory:")
        self.reader = LensReader(backend, self.deployment)
        sender = LiveSender(lambda: Rpc(self.chain.ipc))
        lookup = NodeLookup(self.chain.rpc)
        self.executor = JournaledExecutor(self.journal, self.deployment, signers, sender, lookup)
        config = HedgeConfig(policy="fixed-band", band=0.1)
        self.hedger = Hedger("scalper", self.reader, self.executor, self.journal, self.deployment, config)
        self.settler = Settler(self.reader, self.executor, self.deployment, delay=2, window=60)
        self.roller = Roller("scalper", self.reader, self.executor, self.deployment, RollerConfig())
        self.reporter = Reporter(
            Market(SPOT), self.executor, self.deployment, [signers[role] for role in REPORTERS], ReporterConfig(),
            wrapped=wrapped_aggregator(backend, self.deployment),
        )  # fmt: skip

    def wake(self, *roles: Role) -> None:
        """Show the newest head to some roles."""
        head = as_head(asyncio.run(self.reader.head()))
        self.executor.observe(head)
        for role in roles:
            asyncio.run(role.on_head(head))


@pytest.fixture(scope="module")
def fork(upstream: Upstream) -> Iterator[Fork]:
    with Anvil("live", fork_url=upstream.chain.url, timestamp=None, base_fee=None, block_time=None) as chain:
        chain.rpc.call("anvil_setBlockTimestampInterval", 3)
        token, aggregator = upstream.token.address, upstream.aggregator.address
        config = replace(default_config(), token=token, aggregator=aggregator, price_heartbeat=3_600)
        deployment = deploy(chain.backend(), config)
        yield Fork(chain, deployment, Contract.at(RpcBackend(chain.rpc), "TestAggregator", aggregator))


def test_the_fork_is_the_upstream_s_chain_and_starts_at_its_price(fork: Fork):
    assert fork.deployment.chain_id == UPSTREAM_CHAIN
    feed = fork.deployment.contract(fork.chain.backend(), "PriceFeed")
    assert from_wad(feed.call("peek")[0]) == SPOT


def test_the_vaults_hold_the_upstream_s_money(fork: Fork, upstream: Upstream):
    house = fork.deployment.address("Clearinghouse")
    on_fork = Contract.at(fork.chain.backend(), "TestToken", upstream.token.address)
    total = default_config().pool_deposit + default_config().insurance_deposit + 6_000_000.0
    assert on_fork.call("balanceOf", house) == to_usdc(total)
    assert upstream.token.call("balanceOf", house) == 0


def test_a_vault_on_the_fork_is_hedged_at_the_aggregator_s_next_price(fork: Fork):
    fork.wake(fork.reporter)
    fork.wake(fork.roller)
    fork.wake(fork.roller)
    fork.wake(fork.hedger)
    assert fork.hedger.last is not None
    assert fork.hedger.last.action is Action.HEDGE
    before = asyncio.run(fork.reader.snapshot("scalper"))
    assert before.venues[0].pending is not None

    fork.chain.rpc.call("evm_mine")
    fork.aggregator.send("push", round(1_851.0 * 10**8), sender=address_of_role("deployer"))
    fork.wake(fork.reporter)
    fork.wake(fork.settler)
    after = asyncio.run(fork.reader.snapshot("scalper"))
    assert (after.price.price, after.venues[0].pending) == (1_851.0, None)
    assert after.venues[0].size == pytest.approx(fork.hedger.last.size, rel=1e-15)
    assert abs(after.state.net_delta) < abs(before.venues[0].pending.size)
    assert {order.result.status for order in fork.journal.orders()} == {OrderStatus.CONFIRMED}


def test_the_upstream_is_untouched(fork: Fork, upstream: Upstream):
    assert upstream.chain.rpc.call("eth_getCode", fork.deployment.address("PerpMarket"), "latest") == "0x"
    assert int(upstream.chain.rpc.call("eth_blockNumber"), 16) == 5


def test_up_forks_funds_and_deploys_by_itself(upstream: Upstream, tmp_path: Path):
    """`keeper up --fork-url` needs to be told only where USDC and the aggregator are."""
    options = ["--token", upstream.token.address, "--aggregator", upstream.aggregator.address]
    command = ["up", "--fork-url", upstream.chain.url, "--port", 0, *options, "--json"]
    with running(*command, folder=tmp_path) as process:
        told = first_object(process)
        assert told["chain_id"] == UPSTREAM_CHAIN
        status = keeper("status", "--rpc-url", told["url"], "--json", folder=tmp_path)
        assert status.returncode == 0, status.stderr
        seen = json.loads(status.stdout)
        assert (seen["price"], seen["vaults"]["scalper"]["nav"]) == (SPOT, 1_000_000.0)


def test_up_on_an_unknown_fork_asks_for_its_addresses(upstream: Upstream, tmp_path: Path):
    done = keeper("up", "--fork-url", upstream.chain.url, "--port", 0, folder=tmp_path)
    assert (done.returncode, "--aggregator" in done.stderr) == (2, True)


def test_up_on_a_fork_of_nobody_says_so(tmp_path: Path):
    done = keeper("up", "--fork-url", "http://127.0.0.1:9", "--port", 0, folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "cannot fork: no node answers at http://127.0.0.1:9" in done.stderr
