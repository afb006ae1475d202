"""The table at the end of a run: where every vault's money came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from keeper.accounting.attribution import PARTS
from keeper.simulation.runs import OTHER
from keeper.views.formats import MINUS, colour_of, money, ratio

WIDTH = 120
"""Columns where there is no terminal to ask."""


def stdout() -> Console:
    """Where results go."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH)


def show(console: Console, summary: Mapping[str, Any], report: str) -> None:
    """Prints the results, the assertions, and where the report is."""
    console.print()
    console.print(Group(_heading(summary), Text(), results(summary), Text()))
    if OTHER in summary:
        console.print(Group(comparison(summary), Text()))
    for line in _venue_lines(summary):
        console.print(line)
    for claim in summary.get("assertions", ()):
        mark = Text("✓ ", "green") if claim["passed"] else Text("✗ ", "bold red")
        numbers = f"   {claim['left']:,.4g} against {claim['right']:,.4g}"
        console.print(Text.assemble(mark, claim["text"], (numbers, "dim")))
    if not summary["finished"]:
        console.print(Text(f"stopped at {_date(summary['end'])}: assertions were not checked", "yellow"))
    console.print(Text.assemble("\nreport  ", (report, "bold cyan")), soft_wrap=True)


def results(summary: Mapping[str, Any]) -> Table:
    """P&L by part, one column a vault."""
    vaults: Mapping[str, Any] = summary["vaults"]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column("USD")
    for name, vault in vaults.items():
        table.add_column(f"{name}\n[dim]{'long' if vault['kind'] == 'scalper' else 'short'} gamma[/]", justify="right")
    for part in PARTS:
        values = [vault["attribution"][part] for vault in vaults.values()]
        if any(round(value) for value in values) or part in ("delta", "gamma", "theta", "unexplained"):
            table.add_row(part, *(_money(value) for value in values), style="dim" if part == "unexplained" else "")
    table.add_section()
    table.add_row("P&L", *(_money(vault["pnl"], bold=True) for vault in vaults.values()), style="bold")
    table.add_row("share price", *(f"{vault['share_price']:.4f}" for vault in vaults.values()))
    table.add_row("max drawdown", *(ratio(vault["max_drawdown"]) for vault in vaults.values()))
    table.add_row("hedges", *(f"{vault['hedges']:,}" for vault in vaults.values()))
    unexplained = (f"{vault['unexplained_ratio']:.2%}" for vault in vaults.values())
    table.add_row("unexplained / gross", *unexplained, style="dim")
    return table


def comparison(summary: Mapping[str, Any]) -> Table:
    """The run beside the one that it is compared with."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for title in ("", "this run", "against", "difference"):
        table.add_column(title, justify="left" if not title else "right")
    for label, here, there in compared(summary):
        table.add_row(label, _plain(here), _plain(there), _signed(here - there))
    return table


def compared(summary: Mapping[str, Any]) -> Sequence[tuple[str, float, float]]:
    """What a comparison shows: label, this run, the other run."""
    other = summary[OTHER]
    rows: list[tuple[str, float, float]] = []
    for name, vault in summary["vaults"].items():
        twin = other["vaults"][name]
        rows += [
            (f"{name}: P&L, USD", vault["pnl"], twin["pnl"]),
            (f"{name}: waiting for fills, USD", vault["costs"]["delay"], twin["costs"]["delay"]),
            (f"{name}: move from order to fill, bps rms", vault["costs"]["drift_bps"], twin["costs"]["drift_bps"]),
            (f"{name}: hedges", float(vault["hedges"]), float(twin["hedges"])),
        ]
    return rows


def _heading(summary: Mapping[str, Any]) -> RenderableType:
    span = f"{_date(summary['start'])} to {_date(summary['end'])}"
    pace = f"{summary['bars']:,} bars, {summary['blocks']:,} blocks in {summary['seconds']:.0f} s"
    return Text.assemble((summary["scenario"], "bold"), f"   {span}   seed {summary['seed']}   ", (pace, "dim"))


def _venue_lines(summary: Mapping[str, Any]) -> list[Text]:
    lines = []
    for name, venue in summary["venues"].items():
        solvent = venue["bad_debt"] <= 0.0
        said = "solvent" if solvent else f"insolvent by {venue['bad_debt']:,.0f} USD"
        used = f", insurance used {venue['insurance_used']:,.0f} USD" if venue["insurance_used"] else ""
        lines.append(Text.assemble(f"venue {name}: ", (said, "green" if solvent else "bold red"), used))
    keeper = summary["keeper"]
    lines.append(
        Text(
            f"keeper: gas {keeper['gas']:,.0f}, rewards {keeper['rewards']:,.0f}, profit {money(keeper['profit'])} USD"
            + (f", {keeper['reverted']} reverted" if keeper["reverted"] else "")
        )
    )
    return lines


def _money(value: float, bold: bool = False) -> Text:
    return Text(money(value), style=f"{'bold ' if bold else ''}{colour_of(value) if round(value) else 'dim'}")


def _plain(value: float) -> str:
    return f"{value:,.2f}".replace("-", MINUS)


def _signed(value: float) -> str:
    return f"{'+' if value >= 0 else MINUS}{abs(value):,.2f}"


def _date(timestamp: int) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d %H:%M")
