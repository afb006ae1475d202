"""`keeper status`: what the vaults hold, what the keeper last decided and why."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keeper.commands._common import AsJson, DeploymentFile, JournalFile, RpcUrl, SettingsFile

if TYPE_CHECKING:
    from rich.table import Table

    from keeper.chain.reader import LensReader
    from keeper.execution.journal import Journal


def add(app: typer.Typer) -> None:
    """Mount the command."""
    app.command("status")(status)


def status(
    rpc_url: RpcUrl = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again with every block, until Ctrl-C.")] = False,
    deployment: DeploymentFile = None,
    journal: JournalFile = None,
    config: SettingsFile = None,
    as_json: AsJson = False,
) -> None:
    """Show each vault: NAV, Greeks, hedge, margin, orders in flight, and the keeper's last decision."""
    from keeper.app import connect, open_journal
    from keeper.chain.reader import LensReader
    from keeper.chain.rpc import RpcBackend
    from keeper.commands._common import settings_from
    from keeper.commands._output import print_json

    settings = settings_from(config, rpc_url, deployment, journal)
    rpc, deployed = connect(settings)
    reader, book = LensReader(RpcBackend(rpc), deployed), open_journal(settings, rpc, deployed)
    if as_json:
        print_json(asyncio.run(_look(reader, book)))
    elif watch:
        _watch(reader, book)
    else:
        from rich.console import Console

        Console().print(_table(asyncio.run(_look(reader, book))))


async def _look(reader: LensReader, book: Journal) -> dict[str, Any]:
    from keeper.risk.exposure import exposure

    vaults: dict[str, Any] = {}
    snapshots = {name: await reader.snapshot(name) for name in reader.deployment.vaults}
    for name, snapshot in snapshots.items():
        seen = exposure(snapshot)
        newest = next(iter(book.decisions(name, 1)), None)
        vaults[name] = {
            "nav": snapshot.state.nav_mid,
            "share_price": snapshot.state.share_price,
            "net_delta": seen.net_delta,
            "option_delta": seen.option_delta,
            "hedge": seen.hedge,
            "pending": seen.pending,
            "gamma": seen.gamma,
            "vega": seen.vega,
            "theta": seen.theta,
            "equity": seen.equity,
            "initial_margin": seen.initial_margin,
            "maintenance_margin": seen.maintenance_margin,
            "options": {str(held.series_id): held.size for held in snapshot.holdings},
            "last_decision": newest and {
                "id": newest.id, "block": newest.block_number, "action": newest.action, "reason": newest.reason,
                "size": newest.size,
            },
        }  # fmt: skip
    block, price = await reader.head(), await reader.latest_price()
    return {
        "chain_id": block.chain_id,
        "block": block.number,
        "timestamp": block.timestamp,
        "price": price[0],
        "price_age": block.timestamp - price[1],
        "vaults": vaults,
        "orders": book.counts(),
        "journal": book.path,
    }


def _watch(reader: LensReader, book: Journal) -> None:
    from rich.live import Live

    with Live(_table(asyncio.run(_look(reader, book))), refresh_per_second=4) as live:
        while True:
            time.sleep(1.0)
            live.update(_table(asyncio.run(_look(reader, book))))


def _table(look: dict[str, Any]) -> Table:
    from rich.table import Table

    table = Table(
        title=f"chain {look['chain_id']}, block {look['block']}, index {look['price']:,.2f} USD",
        caption=f"{look['journal']}: " + ", ".join(f"{number} {name}" for name, number in look["orders"].items()),
    )
    table.add_column("")
    for name in look["vaults"]:
        table.add_column(name, justify="right")
    for row in (
        "nav", "share_price", "net_delta", "option_delta", "hedge", "pending", "gamma", "vega", "theta", "equity",
        "initial_margin", "maintenance_margin",
    ):  # fmt: skip
        table.add_row(row.replace("_", " "), *(f"{vault[row]:,.4f}" for vault in look["vaults"].values()))
    table.add_row("last decision", *(_decision(vault["last_decision"]) for vault in look["vaults"].values()))
    return table


def _decision(newest: dict[str, Any] | None) -> str:
    if newest is None:
        return "none yet"
    size = f" {newest['size']:+.4f}" if newest["size"] else ""
    return f"{newest['action']}{size}\n{newest['reason']}\n{newest['id']}"
