"""A world that plays in seconds: three hours of a random walk, a straddle that expires after two."""

from __future__ import annotations

import asyncio
import tempfile
from functools import cache
from pathlib import Path

from keeper.simulation import engine, scenario
from keeper.simulation.engine import RunResult, Stage
from keeper.simulation.plan import prepare
from keeper.simulation.recorder import Recorder
from keeper.simulation.runs import RunFolder
from keeper.simulation.scenario import Source
from keeper.state.ports import Head

SMALL = """\
name: small
shows: Three hours of a random walk, with an expiry on the way.
seed: 7
clock: {start: 2020-03-08T00:00:00Z, duration: 3h, step: 5m}
market:
  price: {model: gbm, spot: 235, vol: 1.2}
oracle: {heartbeat: 5m, deviation_bps: 100, volatility_every: 30m}
venues:
  home: {skew_scale: 1000000, settlement_delay: 2s}
vaults:
  scalper: {kind: scalper, deposit: 1000000, buys: {straddle: atm, tenor: 2h, budget: 0.002}, from: underwriter}
  underwriter: {kind: underwriter, deposit: 5000000, quotes: {min_spread: 0.0002}}
keeper: {policy: whalley-wilmott, risk_aversion: 1e-3, min_size: 1, latency: 1s}
assert:
  - venues.home.bad_debt == 0
  - vaults.scalper.hedges > 0
"""


_FOLDER = tempfile.TemporaryDirectory(prefix="gamma-keeper-runs-")  # gone when the tests are


class Silent:
    """Listens and says nothing."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    async def on_block(self, head: Head, recorder: Recorder, in_flight: int) -> None:
        """Nothing to do."""


def play(source: Source, runs: Path) -> RunResult:
    """Runs a scenario without a view."""
    return asyncio.run(engine.run(prepare(source), Silent, RunFolder.create(source.scenario.name, runs)))


@cache
def small_run(copy: int = 0) -> RunResult:
    """The small world's run; each ``copy`` is a run of its own."""
    return play(scenario.loads(SMALL, "small.yaml"), Path(_FOLDER.name) / str(copy))
