"""The report of a run: one HTML file that needs nothing else, made from what the run's folder holds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from keeper.accounting.attribution import PARTS
from keeper.simulation import scenario as scenarios
from keeper.simulation.runs import OTHER, RunFolder
from keeper.units import SECONDS_PER_DAY
from keeper.views import figures
from keeper.views.figures import RunData, VaultData
from keeper.views.formats import money
from keeper.views.table import compared

PICTURE = "report.png"


def write_report(folder: RunFolder) -> Path:
    """Writes ``report.html`` and a picture of the run; returns the report's path."""
    from jinja2 import Environment

    summary, config = folder.read_json("summary.json"), folder.read_json("config.json")
    data = load(folder, summary)
    template = resources.files("keeper.views").joinpath("report.html.j2").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"money": money, "date": _date}
    page = environment.from_string(template).render(
        summary=summary,
        config=config,
        parts=_parts_shown(summary),
        compared=compared(summary) if OTHER in summary else (),
        scenario_text=(folder.path / "scenario.yaml").read_text(encoding="utf-8"),
        summary_json=json.dumps(summary),
        figures=_figures(data),
        waterfalls=[_waterfall(vault) for vault in data.vaults],
        long_gamma={name: vault["kind"] == "scalper" for name, vault in summary["vaults"].items()},
    )
    path = folder.path / "report.html"
    path.write_text(page, encoding="utf-8")
    figures.save_png(figures.summary_picture(data), 8.4, folder.path / PICTURE)
    return path


def load(folder: RunFolder, summary: Mapping[str, Any]) -> RunData:
    """The run's tables as the figures want them."""
    table = _arrays(folder.read_table("snapshots.parquet"))
    fills = _arrays(folder.read_table("fills.parquet"))
    world = scenarios.load(folder.path / "scenario.yaml").scenario
    start = int(summary["start"])
    tenor = min((v.buys.tenor for v in world.vaults.values() if v.buys is not None), default=7 * SECONDS_PER_DAY)
    return RunData(
        bars=_arrays(folder.read_table("bars.parquet")),
        vaults=tuple(_vault(name, vault, table, fills) for name, vault in summary["vaults"].items()),
        outages=tuple((start + shock.at, start + shock.at + shock.for_) for shock in world.shocks),
        expiries=tuple(range(start + tenor, int(summary["end"]) + 1, tenor)),
    )


def _vault(name: str, vault: Mapping[str, Any], table: Mapping[str, Any], fills: Mapping[str, Any]) -> VaultData:
    mine = table["vault"] == name
    own = fills["account"] == name if fills else np.zeros(0, dtype=bool)
    return VaultData(
        name=name,
        kind=vault["kind"],
        columns={key: column[mine].astype(float) for key, column in table.items() if key != "vault"},
        fills={
            key: fills[key][own].astype(float) if fills else np.zeros(0) for key in ("timestamp", "size", "fill_price")
        },
        attribution=dict(vault["attribution"]),
    )


def _arrays(columns: Mapping[str, list[Any]]) -> dict[str, Any]:
    """Columns as arrays; an empty cell is NaN."""
    return {
        key: np.array([np.nan if item is None else item for item in column], dtype=None if _texts(column) else float)
        for key, column in columns.items()
    }


def _texts(column: list[Any]) -> bool:
    return any(isinstance(item, str) for item in column[:1])


def _figures(data: RunData) -> dict[str, str]:
    height = 2.3 * len(data.vaults)
    return {
        "prices": figures.svg(figures.prices(data), height, "Price with hedges"),
        "deltas": figures.svg(figures.deltas(data), height, "Delta before and after hedging"),
        "cumulative": figures.svg(figures.cumulative(data), height * 1.1, "Cumulative attribution"),
        "margins": figures.svg(figures.margins(data), 3.8, "Margin ratio and implied vol"),
    }


def _waterfall(vault: VaultData) -> str:
    """Half as wide as the page: two stand side by side, or below each other on a narrow one."""
    return figures.svg(figures.bars(vault), 3.9, f"Attribution of the whole run: {vault.name}", figures.WIDTH / 2.0)


def _parts_shown(summary: Mapping[str, Any]) -> list[str]:
    """Parts that are not zero everywhere."""
    return [part for part in PARTS if any(vault["attribution"][part] for vault in summary["vaults"].values())]


def _date(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d %H:%M UTC")
