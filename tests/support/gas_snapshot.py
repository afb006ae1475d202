"""What transactions cost, kept in a file beside the tests: whoever makes one dearer finds out, and may renew it.

`GAS_SNAPSHOT=renew pytest -m anvil <test>` writes what was measured into `tests/contracts/gas_snapshot.json`. A row is
`"name": {"budget": gas that it must stay below, "gas": gas when last renewed}`; budgets are edited by hand.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

FILE = Path(__file__).resolve().parents[1] / "contracts" / "gas_snapshot.json"
TOLERANCE = 0.01


def check(measured: dict[str, int]) -> None:
    """Hold what was measured against the budgets and the snapshot; renew that where it is asked for."""
    rows = json.loads(FILE.read_text())
    unknown = measured.keys() - rows.keys()
    assert not unknown, f"no budget for {sorted(unknown)}: give each a row with a budget in {FILE.name}"
    over = {name: gas for name, gas in measured.items() if gas >= rows[name]["budget"]}
    assert not over, f"over budget: {over}"
    if os.environ.get("GAS_SNAPSHOT") == "renew":
        for name, gas in measured.items():
            rows[name]["gas"] = gas
        FILE.write_text(json.dumps(rows, indent=2) + "\n")
        return
    dearer = {name: gas for name, gas in measured.items() if gas > rows[name]["gas"] * (1 + TOLERANCE)}
    assert not dearer, f"dearer than {FILE.name} by over 1%: {dearer}; GAS_SNAPSHOT=renew accepts it"
