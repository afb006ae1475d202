"""The folder of a run: what was asked, what happened, what came out.

runs/<id>/scenario.yaml         the scenario with every default written out; running it again gives the same tape
config.json           versions, hashes and the seed
tape.jsonl            everything that happened
journal.sqlite        the keeper's own journal
snapshots.parquet     every vault at every block, with the parts of its profit
fills.parquet         every hedge
bars.parquet          the prices
summary.json          the results, as `--json` prints them
report.html           the report
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from keeper.errors import InputError
from keeper.simulation import schema
from keeper.simulation.scenario import Scenario

RUNS = Path("runs")
OTHER = "against"
"""Name of the folder, and of the results, of the run that a scenario is compared with."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where one run leaves what it has to say."""

    path: Path

    @property
    def id(self) -> str:
        """The run's name."""
        return self.path.name

    @classmethod
    def create(cls, name: str, runs: Path = RUNS) -> RunFolder:
        """A new folder for a run of the scenario ``name``."""
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        path = runs / f"{name}-{stamp}-{secrets.token_hex(2)}"
        path.mkdir(parents=True)
        return cls(path)

    @classmethod
    def open(cls, run: str, runs: Path = RUNS) -> RunFolder:
        """The folder of a run by its path, its name, or the beginning of its name; ``latest`` is the newest."""
        if (Path(run) / "summary.json").is_file():
            return cls(Path(run))
        found = sorted(runs.glob("*/summary.json"), key=lambda path: path.stat().st_mtime)
        chosen = found[-1:] if run == "latest" else [path for path in found if path.parent.name.startswith(run)]
        if not chosen and (unfinished := _unfinished(run, runs)) is not None:
            raise InputError(
                f"{unfinished} has no results: the run did not finish; "
                f"`keeper explain --journal {unfinished / 'journal.sqlite'}` shows what its keeper decided"
            )
        if len(chosen) != 1:
            what = "no run" if not chosen else f"{len(chosen)} runs"
            raise InputError(f"{what} in {runs}/ called '{run}': give the folder of a finished run, or 'latest'")
        return cls(chosen[0].parent)

    def sub(self, name: str) -> RunFolder:
        """A folder for a run that belongs to this one."""
        path = self.path / name
        path.mkdir(exist_ok=True)
        return RunFolder(path)

    def write_json(self, name: str, value: Mapping[str, Any]) -> None:
        """One JSON object, indented."""
        (self.path / name).write_text(json.dumps(finite(value), indent=2) + "\n", encoding="utf-8")

    def read_json(self, name: str) -> dict[str, Any]:
        """One JSON object. Raises ``InputError`` when the run has no such file."""
        try:
            value: dict[str, Any] = json.loads((self.path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{self.path / name} cannot be read: {error}") from None
        return value

    def write_table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Rows as a Parquet file."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        names = list(dict.fromkeys(key for row in rows for key in row))
        table = pa.table({key: [row.get(key) for row in rows] for key in names})
        pq.write_table(table, self.path / name)

    def read_table(self, name: str) -> dict[str, list[Any]]:
        """The columns of a Parquet file. Raises ``InputError`` when the run has no such file."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            columns: dict[str, list[Any]] = pq.read_table(self.path / name).to_pydict()
        except (OSError, pa.ArrowInvalid) as error:
            raise InputError(f"{self.path / name} cannot be read: {error}") from None
        return columns


def _unfinished(run: str, runs: Path) -> Path | None:
    """The newest folder of a run called ``run`` that has begun and left no results."""
    begun = [path for path in runs.glob("*/config.json") if run == "latest" or path.parent.name.startswith(run)]
    return max(begun, key=lambda path: path.stat().st_mtime).parent if begun else None


def finite(value: Any) -> Any:
    """The value with null in place of infinities and NaN, which JSON does not know."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def scenario_text(scenario: Scenario) -> str:
    """The scenario as YAML with every default written out."""
    buffer = io.StringIO()
    yaml = YAML()
    yaml.width = 120
    yaml.dump(schema.dump(scenario), buffer)
    return buffer.getvalue()


def text_hash(text: str) -> str:
    """A short hash that names a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]
