"""Every scenario that comes with the repository, played on real bytecode: two days around its crash.

The nine days of each file are for users; here the same world is cut to the two days that matter. In both the outage
begins a quarter of an hour after a new straddle was bought and before the price loses a quarter.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small_world import play

from keeper.simulation import library, scenario

pytestmark = [pytest.mark.anvil, pytest.mark.timeout(240)]

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "eth_spot_5m_2020-03_black_thursday.csv"
TWO_DAYS = {"clock.duration": "2d"}
"""The parametric crash of two days: half a day before, the day itself, half a day after."""
CUT: dict[str, dict[str, Any]] = {
    "keeper_outage": {
        **TWO_DAYS,
        "vaults.scalper.buys.tenor": "10h",
        "shocks": [{"at": "20.25h", "outage": "keeper", "for": "1h"}],
    },
}


@pytest.mark.parametrize("path", library.files(), ids=lambda path: path.stem)
def test_scenario_holds_what_it_asserts(path: Path, tmp_path: Path) -> None:
    result = play(scenario.load(path).changed(CUT.get(path.stem, TWO_DAYS), "test"), tmp_path)
    assert result.finished
    assert result.verdicts
    assert [str(verdict) for verdict in result.verdicts if not verdict.passed] == []


@pytest.mark.skipif(not REAL.is_file(), reason=f"{REAL.name} is not beside this repository")
def test_demo_on_the_real_crash_holds_what_it_asserts(tmp_path: Path) -> None:
    """12 March 2020 alone: long gamma earns it, short gamma pays, the venue stays solvent."""
    source = scenario.load(library.named("demo")).replay(str(REAL))
    cut = {"clock.start": "2020-03-12T00:00:00Z", "clock.duration": "36h"}
    result = play(source.changed(cut, "test"), tmp_path)
    assert [str(verdict) for verdict in result.verdicts if not verdict.passed] == []
    assert len(result.verdicts) == len(source.scenario.assert_)
