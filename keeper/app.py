"""The only wiring: settings in, running objects out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from keeper.chain.accounts_reader import AccountsReader
from keeper.chain.deployment import FOLDER, HOME, Deployment, verify
from keeper.chain.dev_accounts import REPORTERS
from keeper.chain.messages import MessageReader
from keeper.chain.reader import LensReader, VenueOrders, newest_block, wrapped_aggregator
from keeper.chain.rpc import Rpc, RpcBackend
from keeper.chain.standing import ReporterStanding
from keeper.errors import InputError
from keeper.execution.executor import JournaledExecutor
from keeper.execution.journal import Journal
from keeper.execution.keys import signers_for
from keeper.execution.lookup import NodeLookup
from keeper.execution.senders import LiveSender
from keeper.execution.transactions import Signer
from keeper.roles.hedger import Hedger
from keeper.roles.liquidator import Liquidator
from keeper.roles.relayer import Relayer
from keeper.roles.reporter import Reporter
from keeper.roles.roller import Roller
from keeper.roles.settler import Settler
from keeper.roles.sources import MarketSource
from keeper.settings import Settings
from keeper.state.decision import Decision
from keeper.state.ports import Role

OnDecision = Callable[[Decision], None]
"""Somebody who is told of every decision."""

ROLES: Final = ("reporter", "relayer", "settler", "liquidator", "roller", "hedger")
"""Roles that a keeper can play, in the order in which they see a new head."""
JOURNALS: Final = Path("journals")
LEAST_BALANCE: Final = 10**16
"""Wei that a key must own before it is worth starting."""
SEND_PATIENCE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Keeper:
    """Everything that runs, wired together. Give ``roles``, ``reader`` and ``executor`` to `run_live`."""

    settings: Settings
    rpc: Rpc
    deployment: Deployment
    journal: Journal
    executor: JournaledExecutor
    reader: LensReader
    roles: tuple[Role, ...]

    def close(self) -> None:
        """Let go of the journal and of the node."""
        self.journal.close()
        self.rpc.close()


def connect(settings: Settings) -> tuple[Rpc, Deployment]:
    """The node and the deployment on it, checked against each other. Raises a one-line error when they do not fit."""
    rpc = Rpc(settings.rpc_url)
    chain_id = int(rpc.call("eth_chainId"), 16)
    deployment = Deployment.load(settings.deployment or FOLDER / f"{chain_id}.json")
    verify(deployment, rpc)
    return rpc, deployment


def open_journal(settings: Settings, rpc: Rpc, deployment: Deployment) -> Journal:
    """The journal of this deployment: the named file, or one named after the chain and the block it was deployed at."""
    block = rpc.call("eth_getBlockByNumber", hex(deployment.block), False)
    if block is None:
        raise InputError(f"the chain has no block {deployment.block}, at which the deployment file places the protocol")
    path = settings.journal or JOURNALS / f"{deployment.chain_id}-{block['hash'][2:10]}.sqlite"
    journal = Journal(path)
    journal.belongs_to(f"{deployment.identity}:{block['hash']}")
    return journal


def newest_journal(settings: Settings) -> Journal:
    """The journal named in the settings, else the one written to last. Raises `InputError` when there is none."""
    path = settings.journal
    if path is None:
        found = sorted(JOURNALS.glob("*.sqlite"), key=lambda each: each.stat().st_mtime)
        if not found:
            raise InputError(f"there is no journal in {JOURNALS}/: run the keeper first, or name one with --journal")
        path = found[-1]
    if not path.exists():
        raise InputError(f"there is no journal {path}: run the keeper first, or name another with --journal")
    return Journal(path)


def open_keeper(
    settings: Settings,
    roles: Sequence[str],
    source: MarketSource | None = None,
    dry_run: bool = False,
    keystore: Path | None = None,
    on_decision: OnDecision | None = None,
) -> Keeper:
    """Connect, check everything that can be checked before sending, and build the roles. Raises one-line errors."""
    unknown = [role for role in roles if role not in ROLES]
    if unknown:
        raise InputError(f"there is no role '{unknown[0]}': choose among {', '.join(ROLES)}")
    rpc, deployment = connect(settings)
    backend = RpcBackend(rpc)
    reader = LensReader(backend, deployment)
    needed = [REPORTERS if role == "reporter" else (role,) for role in roles]
    signers = {} if dry_run else signers_for([key for keys in needed for key in keys], deployment, keystore)
    check_price(reader, rpc, publishes="reporter" in roles)
    if not dry_run:
        check_balances(rpc, {role: signer.address for role, signer in signers.items()})
    journal = open_journal(settings, rpc, deployment).claim()
    sender = LiveSender(lambda: Rpc(settings.rpc_url, timeout=SEND_PATIENCE))
    executor = JournaledExecutor(journal, deployment, signers, sender, NodeLookup(rpc))
    crew = _Crew(settings, deployment, backend, reader, executor, journal, dry_run, on_decision)
    built = [each for name in ROLES if name in roles for each in crew.play(name, signers, source)]
    return Keeper(settings, rpc, deployment, journal, executor, reader, tuple(built))


@dataclass(frozen=True, slots=True)
class _Crew:
    """What roles are made of."""

    settings: Settings
    deployment: Deployment
    backend: RpcBackend
    reader: LensReader
    executor: JournaledExecutor
    journal: Journal
    dry_run: bool
    on_decision: OnDecision | None

    def play(self, name: str, signers: Mapping[str, Signer], source: MarketSource | None) -> list[Role]:
        """The roles of one name. In a rehearsal only hedgers play: they decide, and nothing leaves."""
        if name == "hedger":
            return [self._hedger(vault) for vault in self.deployment.vaults]
        if self.dry_run:
            return []
        if name == "settler":
            return self._settlers()
        if name == "liquidator":
            return self._liquidators(signers["liquidator"].address)
        if name == "relayer":
            return self._relayers()
        if name == "roller":
            scalpers = [vault for vault, entry in self.deployment.vaults.items() if entry.maker is not None]
            rolling = self.settings.roller
            return [Roller(vault, self.reader, self.executor, self.deployment, rolling) for vault in scalpers]
        if source is None:
            raise InputError("the reporter needs a market to report: give --prices FILE or --chain FILE")
        wrapped = wrapped_aggregator(self.backend, self.deployment)
        keys = [signers[role] for role in REPORTERS]
        standing = ReporterStanding(self.backend, self.deployment)
        reporting = self.settings.reporter
        return [
            Reporter(source, self.executor, self.deployment, keys, reporting, wrapped=wrapped, standing=standing)
        ]

    def _settlers(self) -> list[Role]:
        """One for each clearinghouse with a perpetual market."""
        settlers: list[Role] = []
        for house in (each for each in self.deployment.houses if each + "PerpMarket" in self.deployment.contracts):
            market = self.deployment.contract(self.backend, house + "PerpMarket")
            delay, window = market.call("parameters")[16:18]
            book = self.reader if house == HOME else VenueOrders(self.reader, self.backend.rpc, house)
            settlers.append(Settler(book, self.executor, self.deployment, delay, window, house=house))
        return settlers

    def _liquidators(self, own: str) -> list[Role]:
        """One for each clearinghouse."""
        return [
            Liquidator(
                AccountsReader(self.backend, self.deployment, house), self.executor, self.deployment, own,
                self.settings.liquidator, house,
            )
            for house in self.deployment.houses
        ]  # fmt: skip

    def _relayers(self) -> list[Role]:
        if "DelayedBridge" not in self.deployment.contracts:
            raise InputError("the relayer has nothing to do: this deployment has no bridge to a venue on another chain")
        return [Relayer(MessageReader(self.backend, self.deployment), self.executor, self.deployment)]

    def _hedger(self, vault: str) -> Hedger:
        return Hedger(
            vault, self.reader, self.executor, self.journal, self.deployment, self.settings.hedge, self.dry_run,
            self.on_decision,
        )  # fmt: skip


def open_reporter(rpc_url: str, deployment: Deployment, source: MarketSource) -> Keeper:
    """Only the reporter of a development chain, with a journal that is gone with the process."""
    rpc, settings = Rpc(rpc_url), Settings(rpc_url=rpc_url)
    journal = Journal(":memory:")
    signers = signers_for(REPORTERS, deployment)
    sender = LiveSender(lambda: Rpc(rpc_url, timeout=SEND_PATIENCE))
    executor = JournaledExecutor(journal, deployment, signers, sender, NodeLookup(rpc))
    backend = RpcBackend(rpc)
    wrapped = wrapped_aggregator(backend, deployment)
    reporter = Reporter(source, executor, deployment, list(signers.values()), settings.reporter, wrapped=wrapped)
    return Keeper(settings, rpc, deployment, journal, executor, LensReader(backend, deployment), (reporter,))


def check_price(reader: LensReader, rpc: Rpc, publishes: bool) -> None:
    """Raise `InputError` when the oracle has gone silent and nobody here will make it speak."""
    feed = reader.deployment.contract(RpcBackend(rpc), "PriceFeed")
    _, updated_at, _ = feed.call("peek")
    age = newest_block(rpc, reader.deployment.chain_id).timestamp - updated_at
    heartbeat = feed.call("heartbeat")
    if age > heartbeat and not publishes:
        raise InputError(
            f"the price oracle is silent: its last price is {age} s old and its heartbeat {heartbeat} s; nothing may "
            "be hedged on it. Start a reporter (`keeper run --role reporter --prices FILE`), or wait for one"
        )


def check_balances(rpc: Rpc, holders: dict[str, str]) -> None:
    """Raise `InputError` when a key cannot pay for gas."""
    answers = rpc.batch([("eth_getBalance", (address, "latest")) for address in holders.values()])
    for (role, address), answer in zip(holders.items(), answers, strict=True):
        if int(answer, 16) < LEAST_BALANCE:
            raise InputError(
                f"the key for {role} ({address}) holds {int(answer, 16) / 1e18:.4f} ETH and cannot pay for gas: "
                f"send it at least {LEAST_BALANCE / 1e18:.2f} ETH"
            )
