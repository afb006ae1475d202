"""`keeper report`: a finished run's report, made again from its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keeper.commands._play import RUNS, AsJson


def add(app: typer.Typer) -> None:
    """Mount the command."""
    app.command("report")(report)


def report(
    run: Annotated[str, typer.Argument(help="Folder of a run, the beginning of its name, or 'latest'.")] = "latest",
    as_json: AsJson = False,
    runs: Annotated[Path, typer.Option("--runs", help="Folder that holds the runs.")] = RUNS,
) -> None:
    """Make the report of a run again and show its results."""
    from keeper.commands._output import print_json
    from keeper.simulation.runs import RunFolder
    from keeper.views.report import write_report
    from keeper.views.table import show, stdout

    folder = RunFolder.open(run, runs)
    summary, path = folder.read_json("summary.json"), write_report(folder)
    if as_json:
        print_json(summary)
    else:
        show(stdout(), summary, str(path))
