"""`keeper lab`: the laboratory's sweeps. `lab cascade` plays a crash against every liquidation engine and margin."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from keeper.commands._common import AsJson
from keeper.commands._output import print_json
from keeper.errors import InputError

ENGINES: Final = "full,rate-limited,auction"
MARGINS: Final = "isolated,cross,fragmented"
_PATIENCE: Final = 5.0  # seconds between two words about progress
_SAYS_LITTLE: Final = 0.02  # a share too small to tell how long the rest will take


def add(app: typer.Typer) -> None:
    """Mount the commands."""
    group = typer.Typer(no_args_is_help=True, help="The laboratory: the same crash on every kind of venue.")
    group.callback()(lambda: None)
    group.command("cascade")(cascade)
    app.add_typer(group, name="lab")


def cascade(
    prices: Annotated[
        Path | None, typer.Option(help="Bars to play, CSV.", show_default="a crash of the shape of 12 March 2020")
    ] = None,
    hours: Annotated[float, typer.Option(help="How much of them: two thirds before the deepest close.")] = 36.0,
    accounts: Annotated[int, typer.Option(help="Leveraged traders.")] = 200,
    engines: Annotated[str, typer.Option(help="Liquidation engines, with commas between.")] = ENGINES,
    margins: Annotated[str, typer.Option(help="Margin models, with commas between.")] = MARGINS,
    seed: Annotated[int, typer.Option(help="Seed: the same seed gives the same numbers.")] = 1,
    workers: Annotated[
        int | None, typer.Option(help="Processes; the result does not depend on them.", show_default="all cores")
    ] = None,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="The table in Markdown.")] = False,
    as_json: AsJson = False,
) -> None:
    """A crash with leveraged traders in it: who is liquidated how fast, and who pays for what they cannot.

    The same traders open what each margin model allows them on real contracts in an in-process EVM, the same prices are
    played, and the keeper's own liquidator works on it. docs/liquidation.md explains every row.
    """
    from keeper.data.prices import load_bars
    from keeper.simulation.cascade import built_in_crash, worst_day
    from keeper.simulation.cascade_sweep import run_cells
    from keeper.simulation.cascade_world import CascadeConfig
    from keeper.views import cascade as view
    from keeper.views.table import stdout

    if as_markdown and as_json:
        raise InputError("--markdown and --json exclude each other")
    chosen_engines, chosen_margins = _chosen("--engines", engines, ENGINES), _chosen("--margins", margins, MARGINS)
    cells = [CascadeConfig(margin, engine) for margin in chosen_margins for engine in chosen_engines]
    bars = worst_day(load_bars(prices) if prices is not None else built_in_crash(seed), hours)
    results = run_cells(cells, bars, seed, accounts, _cores() if workers is None else workers, _Progress())
    if as_json:
        summary = {"seed": seed, "accounts": accounts, "start": bars.start, "end": bars.end}
        print_json(summary | {"results": [result.as_dict() for result in results]})
    elif as_markdown:
        print(view.markdown(results))
    else:
        stdout().print(view.heading(bars, accounts, seed))
        stdout().print(view.table(results))


def _chosen(option: str, text: str, known: str) -> list[Any]:
    """Names from a list with commas, each once."""
    names = list(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in known.split(","):
            raise InputError(f"{option} has '{name}': choose from {known.replace(',', ', ')}")
    return names


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Progress:
    """Says on stderr how far all runs together have come."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._next = self._started + _PATIENCE

    def __call__(self, share: float) -> None:
        now = time.perf_counter()
        if now < self._next or share < _SAYS_LITTLE:
            return
        left = (now - self._started) * (1.0 - share) / share
        terminal = sys.stderr.isatty()
        start, end = ("\r", "\n" if share >= 1.0 else "") if terminal else ("", "\n")
        print(f"{start}playing the crash: {share:4.0%}, {left:.0f} s left ", end=end, file=sys.stderr, flush=True)
        self._next = now + (1.0 if terminal else 4.0 * _PATIENCE)
