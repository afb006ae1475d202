"""`keeper run`: the live keeper."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keeper.commands._common import AsJson, DeploymentFile, JournalFile, RpcUrl, SettingsFile

if TYPE_CHECKING:
    from keeper.app import Keeper
    from keeper.roles.sources import MarketSource
    from keeper.state.decision import Decision


def add(app: typer.Typer) -> None:
    """Mount the command."""
    app.command("run")(run)


def run(
    rpc_url: RpcUrl = None,
    role: Annotated[
        list[str] | None,
        typer.Option(
            help="hedger, settler, roller, liquidator, relayer or reporter; repeatable.  "
            "[default: hedger, settler and roller]",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Decide and journal, but send nothing.")] = False,
    policy: Annotated[
        str | None, typer.Option(help="none, fixed-time, fixed-band or whalley-wilmott.", show_default=False)
    ] = None,
    interval: Annotated[
        str | None, typer.Option(help="fixed-time: how often to hedge, e.g. 1h.", show_default=False)
    ] = None,
    band: Annotated[float | None, typer.Option(help="fixed-band: half-width, coins.", show_default=False)] = None,
    risk_aversion: Annotated[float | None, typer.Option(help="whalley-wilmott: 1/USD.", show_default=False)] = None,
    slippage: Annotated[
        float | None, typer.Option(help="Worst fill against the index: 0.02 is 2%.", show_default=False)
    ] = None,
    prices: Annotated[Path | None, typer.Option(help="reporter: CSV of bars to report.", show_default=False)] = None,
    chain: Annotated[
        Path | None, typer.Option(help="reporter: CSV or Parquet of option quotes to report.", show_default=False)
    ] = None,
    speed: Annotated[float, typer.Option(help="reporter: seconds of the market for each second of the chain.")] = 1.0,
    blocks: Annotated[int | None, typer.Option(help="Stop after so many blocks.", show_default=False)] = None,
    deployment: DeploymentFile = None,
    journal: JournalFile = None,
    keystore: Annotated[
        Path | None,
        typer.Option(help="Encrypted key file for the roles that have no KEEPER_KEY_<ROLE>.", show_default=False),
    ] = None,
    config: SettingsFile = None,
    as_json: AsJson = False,
) -> None:
    """Hedge the vaults of a running chain until Ctrl-C.

    Decides at every block, writes every decision and order to the journal before it sends, and picks up after a crash
    where it stopped. Ctrl-C stops after what is under way and says what was done.
    """
    from keeper.app import open_keeper
    from keeper.commands._common import settings_from

    hedge = {
        "policy": policy, "interval": interval, "band": band, "risk_aversion": risk_aversion, "slippage": slippage,
    }  # fmt: skip
    settings = settings_from(config, rpc_url, deployment, journal, hedge=hedge)
    roles = tuple(role) if role else ("settler", "roller", "hedger")
    source = _market(settings.rpc_url, prices, chain, speed) if "reporter" in roles else None
    keeper = open_keeper(settings, roles, source, dry_run, keystore, None if as_json else _say)
    names = ", ".join(each.name for each in keeper.roles)
    print(f"running {names} on chain {keeper.deployment.chain_id}; journal {keeper.journal.path}", file=sys.stderr)
    try:
        asyncio.run(follow(keeper, blocks))
    finally:
        _report(keeper, as_json)
        keeper.close()


async def follow(keeper: Keeper, blocks: int | None) -> None:
    """Run until Ctrl-C, SIGTERM or so many blocks. A second Ctrl-C leaves at once; the journal stands either way."""
    from keeper.commands._stop import stop_on_signals
    from keeper.roles.loop import run_live

    stop = stop_on_signals()
    last = None if blocks is None else (await keeper.reader.head()).number + blocks
    await run_live(keeper.roles, keeper.reader, keeper.executor, stop, last_block=last)


def _market(rpc_url: str, prices: Path | None, chain: Path | None, speed: float) -> MarketSource:
    """Bars or option quotes of a file, replayed from the chain's own time on."""
    from keeper.chain.reader import newest_block
    from keeper.chain.rpc import Rpc
    from keeper.data.option_chain import load_chain
    from keeper.data.prices import load_bars
    from keeper.errors import InputError
    from keeper.roles.sources import BarMarket, ChainMarket

    def now() -> int:
        with Rpc(rpc_url) as rpc:
            return newest_block(rpc, 0).timestamp

    if prices is not None and chain is not None:
        raise InputError("the reporter reports one market: give --prices or --chain, not both")
    if chain is not None:
        return ChainMarket(load_chain(chain), now(), speed)
    if prices is not None:
        return BarMarket(load_bars(prices), now(), speed)
    raise InputError("the reporter needs a market to report: give --prices FILE or --chain FILE")


def _say(decision: Decision) -> None:
    """One line for a decision to trade, or for another reason than the one before."""
    key = (decision.reason, decision.size != 0.0)
    if decision.size or _said.get(decision.vault) != key:
        net, size = decision.facts["net_delta"], f" {decision.size:+.4f} coins" if decision.size else ""
        print(
            f"block {decision.block_number} {decision.vault}: {decision.action}{size} ({decision.reason}) "
            f"net delta {net:+.4f}, index {decision.facts['index']:,.2f}  [{decision.id}]",
            flush=True,
        )
    _said[decision.vault] = key


_said: dict[str, tuple[str, bool]] = {}


def _report(keeper: Keeper, as_json: bool) -> None:
    """What was done."""
    from keeper.commands._output import print_json

    counts = keeper.journal.counts()
    if as_json:
        print_json({"journal": keeper.journal.path, **counts})
    else:
        done = ", ".join(f"{number} {name}" for name, number in counts.items())
        print(f"the journal {keeper.journal.path} holds {done}")
