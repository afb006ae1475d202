"""Plays a plan to its results on the `anvil` engine: world up, conductor, run folder, world down."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from keeper import __version__
from keeper.chain import tools
from keeper.errors import InputError
from keeper.execution.journal import Journal
from keeper.simulation.assertions import Verdict
from keeper.simulation.cast import assemble
from keeper.simulation.conductor import Conductor, Listener, Switch
from keeper.simulation.lockstep import AnvilChain
from keeper.simulation.plan import Plan
from keeper.simulation.recorder import Recorder
from keeper.simulation.results import VenueLosses, results, venue_losses
from keeper.simulation.runs import OTHER, RunFolder, scenario_text, text_hash
from keeper.simulation.script import Script
from keeper.simulation.tape import Tape
from keeper.simulation.world import anvil_world

ENGINES = ("anvil",)


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run left behind. ``summary`` is the object that `--json` prints."""

    folder: RunFolder
    summary: Mapping[str, Any]
    verdicts: tuple[Verdict, ...]
    finished: bool

    @property
    def passed(self) -> bool:
        """Whether every assertion holds."""
        return all(verdict.passed for verdict in self.verdicts)


@dataclass(frozen=True, slots=True)
class Stage:
    """One run about to begin, as its listener is told of it. ``switch`` stops it."""

    plan: Plan
    folder: RunFolder
    switch: Switch


Audience = Callable[[Stage], Listener]
"""Makes the listener of a run once the run is known."""


def check_engine(engine: str) -> None:
    """Raise ``InputError`` unless the engine can play scenarios."""
    if engine not in ENGINES:
        raise InputError(f"engine '{engine}' cannot play this scenario: available: {', '.join(ENGINES)}")


async def run(plan: Plan, audience: Audience, folder: RunFolder) -> RunResult:
    """Plays a plan, and the one that it is compared with, and checks its assertions.

    An interrupted run is reported as far as it came; its assertions are not checked.
    """
    summary = await _play(plan, audience, folder)
    if summary["finished"] and plan.other is not None:
        summary[OTHER] = await _play(plan.other, audience, folder.sub(OTHER))
    finished = summary["finished"] = bool(summary["finished"] and summary.get(OTHER, summary)["finished"])
    verdicts = tuple(claim.check(summary) for claim in plan.scenario.assert_) if finished else ()
    summary["assertions"] = [{"text": v.text, "passed": v.passed, "left": v.left, "right": v.right} for v in verdicts]
    folder.write_json("summary.json", summary)
    return RunResult(folder, summary, verdicts, finished)


async def _play(plan: Plan, audience: Audience, folder: RunFolder) -> dict[str, Any]:
    """One run from nothing to its summary and its files."""
    scenario, script = plan.scenario, plan.script
    tape, journal = _open(plan, folder)
    try:
        with anvil_world(scenario, script) as world:
            recorder = Recorder({name: (vault.kind, vault.address) for name, vault in world.deployment.vaults.items()})
            cast, switch = assemble(plan, world, journal), Switch()
            listener = audience(Stage(plan, folder, switch))
            chain, latency = AnvilChain(world.node), scenario.keeper.latency
            conductor = Conductor(script, chain, cast, recorder, tape, latency, listener, switch)
            started = time.perf_counter()
            await conductor.run()
            seconds = time.perf_counter() - started
            losses = venue_losses(world.node.rpc, world.deployment)
    finally:
        tape.close()
        journal.close()
    _write_tables(folder, script, recorder)
    summary = {**_summary(plan, folder, conductor, recorder, losses), "seconds": seconds}
    folder.write_json("summary.json", summary)
    return summary


def _open(plan: Plan, folder: RunFolder) -> tuple[Tape, Journal]:
    """The run's files, begun: what is played, and with what."""
    text = scenario_text(plan.scenario)
    (folder.path / "scenario.yaml").write_text(text, encoding="utf-8")
    config = {"engine": "anvil", "seed": plan.scenario.seed, "scenario_hash": text_hash(text), "versions": _versions()}
    folder.write_json("config.json", config)
    tape = Tape(folder.path / "tape.jsonl")
    tape.header(name=plan.scenario.name, start=plan.script.start, end=plan.script.end, **config)
    return tape, Journal(folder.path / "journal.sqlite", durable=False).claim()


def _versions() -> dict[str, str]:
    """The programs that made the numbers."""
    return {
        "gamma-keeper": __version__,
        "anvil": " ".join(tools.version_of(tools.find_anvil()).split()[:2]),
        "solc": tools.node_package_version("solc") or "unknown",
        "python": platform.python_version(),
    }


def _summary(
    plan: Plan, folder: RunFolder, conductor: Conductor, recorder: Recorder, losses: VenueLosses
) -> dict[str, Any]:
    return {
        "scenario": plan.scenario.name,
        "shows": plan.scenario.shows,
        **results(recorder, losses),
        "engine": "anvil",
        "seed": plan.scenario.seed,
        "run": folder.id,
        "start": plan.script.start,
        "end": conductor.now,
        "finished": conductor.finished,
        "blocks": conductor.blocks,
        "bars": len(plan.script.bars),
    }


def _write_tables(folder: RunFolder, script: Script, recorder: Recorder) -> None:
    bars = script.bars
    folder.write_table("snapshots.parquet", [row for book in recorder.vaults.values() for row in book.rows])
    folder.write_table("fills.parquet", recorder.fills)
    names, columns = ("time", "open", "high", "low", "close"), (bars.times, bars.open, bars.high, bars.low, bars.close)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    folder.write_table("bars.parquet", [dict(zip(names, row, strict=True)) for row in rows])
