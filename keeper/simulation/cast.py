"""Everybody who acts in a scenario, wired to one reader and one executor."""

from __future__ import annotations

from keeper.chain.accounts_reader import AccountsReader
from keeper.chain.dev_accounts import REPORTERS, key_of_role
from keeper.chain.events import EventDecoder
from keeper.chain.reader import LensReader
from keeper.execution.executor import JournaledExecutor
from keeper.execution.journal import Journal
from keeper.execution.lookup import NodeLookup
from keeper.execution.senders import HoldingSender
from keeper.execution.transactions import Signer
from keeper.hedging.decide import HedgeConfig
from keeper.roles.hedger import Hedger
from keeper.roles.liquidator import Liquidator
from keeper.roles.reporter import Reporter, ReporterConfig
from keeper.roles.roller import Roller, RollerConfig
from keeper.roles.settler import Settler
from keeper.simulation.conductor import Cast
from keeper.simulation.plan import Plan
from keeper.simulation.scenario import Keeper
from keeper.simulation.world import World, venue_parameters
from keeper.state.ports import Role

KEEPERS = ("hedger", "settler", "roller", "liquidator")


def assemble(plan: Plan, world: World, journal: Journal) -> Cast:
    """Hedgers for every vault, a roller for every vault that buys, a settler, a liquidator where the scenario has one,
    and the oracle's reporters."""
    scenario, script, deployment = plan.scenario, plan.script, world.deployment
    reader, sender = LensReader(world.node.backend(), deployment), HoldingSender()
    reporters = REPORTERS[: scenario.oracle.reporters]
    signers = {role: Signer(key_of_role(role)) for role in (*KEEPERS, *reporters)}
    executor = JournaledExecutor(journal, deployment, signers, sender, NodeLookup(world.node.rpc))
    hedge, venue = hedge_config(scenario.keeper), venue_parameters(scenario.venue)
    hedgers = {vault: Hedger(vault, reader, executor, journal, deployment, hedge) for vault in scenario.vaults}
    rollers: list[Role] = [
        Roller(name, reader, executor, deployment, RollerConfig(script.start, vault.buys.tenor))
        for name, vault in scenario.vaults.items()
        if vault.buys is not None
    ]
    settler = Settler(reader, executor, deployment, venue.settlement_delay, venue.settlement_window)
    others: list[Role] = [settler, *rollers]
    if scenario.keeper.liquidator:
        accounts, own = AccountsReader(world.node.backend(), deployment), signers["liquidator"].address
        reader.share_logs(accounts.watch.follow)
        others.append(Liquidator(accounts, executor, deployment, own))
    reporting = ReporterConfig(grid_start=script.start, tenor=script.tenor)
    oracle = Reporter(
        script, executor, deployment, [signers[role] for role in reporters], reporting, follow_heads=False
    )
    return Cast(hedgers, others, oracle, executor, sender, reader, EventDecoder(deployment))


def hedge_config(keeper: Keeper) -> HedgeConfig:
    """The keeper's settings as its hedgers take them."""
    return HedgeConfig(
        policy=keeper.policy,
        interval=float(keeper.interval),
        band=keeper.band,
        risk_aversion=keeper.risk_aversion,
        slippage=keeper.slippage,
        min_size=keeper.min_size,
    )
