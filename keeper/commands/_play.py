"""Playing a scenario for a command: view, run, report, results, exit code."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from keeper.simulation.engine import RunResult, Stage
    from keeper.simulation.scenario import Source
    from keeper.views.live import View

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]
Speed = Annotated[
    float | None,
    typer.Option(min=0.001, help="Seconds of the scenario per second of yours.  [default: as fast as it goes]",
                 show_default=False),
]  # fmt: skip
Runs = Annotated[Path, typer.Option("--runs", help="Folder in which the run leaves its files.")]
RUNS = Path("runs")
INTERRUPTED = 130


def play(source: Source, speed: float | None, as_json: bool, runs: Path) -> int:
    """Runs a scenario to its report and prints the results. Exit code 1 when an assertion fails, 130 after Ctrl-C."""
    from keeper.simulation import engine
    from keeper.simulation.plan import prepare
    from keeper.simulation.runs import RunFolder
    from keeper.views.live import watch

    views: list[View] = []

    def audience(stage: Stage) -> View:
        for view in views:
            view.close()
        views.append(watch(stage, speed))
        _stop_on_signal(stage, views[-1])
        return views[-1]

    plan = prepare(source)
    folder = RunFolder.create(source.scenario.name, runs)
    try:
        result = asyncio.run(engine.run(plan, audience, folder))
    finally:
        for view in views:
            view.close()
    return _tell(result, as_json)


def _stop_on_signal(stage: Stage, view: View) -> None:
    """The first Ctrl-C ends the run after its block, with a report; a second one ends it at once."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        print("stopping after this block; the report comes, once more Ctrl-C ends at once", file=sys.stderr)
        stage.switch.stop()
        view.hurry()
        for each in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(each)

    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, stop)


def _tell(result: RunResult, as_json: bool) -> int:
    from keeper.telemetry import step
    from keeper.views.report import write_report

    with step("writing the report"):
        report = write_report(result.folder)
    if as_json:
        from keeper.commands._output import print_json

        print_json(result.summary)
        print(f"report: {report}", file=sys.stderr)
    else:
        from keeper.views.table import show, stdout

        show(stdout(), result.summary, str(report))
    if not result.finished:
        return INTERRUPTED
    return 0 if result.passed else 1
