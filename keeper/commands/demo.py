"""`keeper demo`: the crash, live, from nothing to a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keeper.commands._play import RUNS, AsJson, Runs, Speed


def add(app: typer.Typer) -> None:
    """Mount the command."""
    app.command("demo")(demo)


def demo(
    prices: Annotated[
        Path | None,
        typer.Option(
            help="CSV of price bars to replay (columns ts, open, high, low, close).  [default: a built-in crash]",
            show_default=False,
        ),
    ] = None,
    liquidator: Annotated[bool, typer.Option("--liquidator", help="Let the keeper liquidate too.")] = False,
    speed: Speed = None,
    as_json: AsJson = False,
    runs: Runs = RUNS,
) -> None:
    """Play a crash through the whole system: chain, protocol, two vaults, keeper, report.

    A scalper vault buys a one-week straddle from an underwriter vault, and the keeper hedges both on a perp venue while
    the price crashes. It is the scenario scenarios/demo.yaml and nothing special.
    """
    from keeper.commands._play import play
    from keeper.simulation import scenario
    from keeper.simulation.library import named

    source = scenario.load(named("demo"))
    if prices is not None:
        source = source.replay(str(prices))
    if liquidator:
        source = source.changed({"keeper.liquidator": True}, "--liquidator")
    raise typer.Exit(play(source, speed, as_json, runs))
