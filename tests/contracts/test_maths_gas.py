"""What the maths libraries cost: no more than the committed table, and what it promises."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import mean

from keeper.chain.evm import Evm

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

from gas_maths import TARGETS, measure  # noqa: E402

SNAPSHOT: dict[str, float] = json.loads(Path(__file__).with_name("maths_gas.json").read_text())
ABOVE_TARGET = {"slice to prices and Greeks": 2_800.0, "implied vol": 5_640.0}
"""Rows that miss their target, with the mean that they must stay within."""


def test_maths_no_row_costs_over_one_percent_more_than_the_snapshot_nor_breaks_its_target() -> None:
    rows = {name: mean(gas) for name, gas in measure(Evm()).items()}
    assert rows.keys() == SNAPSHOT.keys()
    dearer = {name: gas for name, gas in rows.items() if gas > 1.01 * SNAPSHOT[name]}
    assert not dearer, "dearer than in maths_gas.json; see benchmarks/gas_maths.py --save"
    limits = TARGETS | ABOVE_TARGET
    assert not {name: rows[name] for name, limit in limits.items() if rows[name] > limit}
