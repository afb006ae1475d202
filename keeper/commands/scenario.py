"""`keeper scenario`: run, list and check scenario files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from keeper.commands._play import RUNS, AsJson, Runs, Speed

File = Annotated[Path, typer.Argument(help="Scenario file, or the name of one of `keeper scenario list`.")]


def add(app: typer.Typer) -> None:
    """Mount the commands."""
    group = typer.Typer(no_args_is_help=True, help="Scripted scenarios: run, list, check.")
    group.command("run")(run)
    group.command("list")(list_)
    group.command("check")(check)
    group.command("schema")(schema)
    app.add_typer(group, name="scenario")


def run(
    file: File,
    engine: Annotated[str, typer.Option(help="What plays it: anvil.")] = "anvil",
    speed: Speed = None,
    as_json: AsJson = False,
    runs: Runs = RUNS,
) -> None:
    """Play a scenario and check its assertions. Exit code 1 when one fails."""
    from keeper.commands._play import play
    from keeper.simulation import scenario
    from keeper.simulation.engine import check_engine
    from keeper.simulation.library import find

    check_engine(engine)
    raise typer.Exit(play(scenario.load(find(file)), speed, as_json, runs))


def list_() -> None:
    """List the scenarios that come with the repository."""
    from rich.console import Console
    from rich.table import Table

    from keeper.errors import InputError
    from keeper.simulation import scenario
    from keeper.simulation.library import files

    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("file", no_wrap=True)
    table.add_column("shows")
    for path in files():
        try:
            shows = scenario.load(path).scenario.shows
        except InputError as error:
            shows = f"[red]{error}[/]"
        table.add_row(_shown(path), shows)
    Console().print(table)


def check(file: File) -> None:
    """Check a scenario file, its prices included, without running it."""
    from keeper.simulation import scenario
    from keeper.simulation.library import find
    from keeper.simulation.plan import prepare

    path = find(file)
    plan = prepare(scenario.load(path))
    print(f"{_shown(path)}: fine: {plan.scenario.name}, {len(plan.scenario.assert_)} assertions")


def schema() -> None:
    """Print the JSON Schema of scenario files, for editors."""
    from keeper.simulation.scenario import file_schema

    print(json.dumps(file_schema(), indent=2))


def _shown(path: Path) -> str:
    """A path as short as it can be typed from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
