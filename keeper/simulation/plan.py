"""A scenario made ready to play: scripts compiled, assertions understood, nothing started."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keeper.chain.deploy_config import check
from keeper.simulation.durations import format_duration
from keeper.simulation.recorder import Recorder
from keeper.simulation.results import VenueLosses, results
from keeper.simulation.runs import OTHER
from keeper.simulation.scenario import Scenario, Source
from keeper.simulation.script import Script, compile_script
from keeper.simulation.world import deploy_config
from keeper.telemetry import step


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What is to be played, and the plan of the run that it is compared with."""

    scenario: Scenario
    script: Script
    other: Plan | None = None


def prepare(source: Source) -> Plan:
    """The plan of a scenario.

    Raises ``InputError`` unless it, and the one that it is compared with, can be played to a verdict: prices are read,
    the venue must be one that can be deployed, and every name in an assertion one of the results.
    """
    with step("preparing prices"):
        other = None if source.other is None else prepare(source.other)
        plan = Plan(source.scenario, compile_script(source.scenario), other)
    _check_shocks(source, plan.script)
    check(deploy_config(source.scenario, plan.script))
    expected = _expected(plan)
    for claim in source.scenario.assert_:
        claim.check(expected)
    return plan


def _check_shocks(source: Source, script: Script) -> None:
    """A shock must begin while the run lasts, which with replayed prices only the script knows."""
    length = script.end - script.start
    for place, shock in enumerate(source.scenario.shocks):
        if shock.at >= length:
            path = f"shocks[{place}].at"
            raise source.tree.at(path).error(
                path, f"{format_duration(shock.at)} is not before the run's end at {format_duration(length)}"
            )


def _expected(plan: Plan) -> dict[str, Any]:
    """The shape of the results, before there are any."""
    recorder = Recorder({name: (vault.kind, "") for name, vault in plan.scenario.vaults.items()})
    shape = results(recorder, VenueLosses())
    return shape if plan.other is None else {**shape, OTHER: _expected(plan.other)}
