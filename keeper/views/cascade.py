"""The liquidation table: one column a venue, one row a measure, for a terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from rich import box
from rich.table import Table

from keeper.simulation.cascade_result import CascadeResult, Delay
from keeper.state.bars import Bars
from keeper.views.formats import MINUS

_SHORT: Final = {"fragmented": "fragment.", "rate-limited": "rate-lim."}  # nine of them on one screen
_Measure = tuple[str, Callable[[CascadeResult], str]]


def _usd(value: float) -> str:
    return f"{value:,.0f}".replace("-", MINUS) if round(value) else "0"


def _seconds(label: str, of: Callable[[CascadeResult], Delay]) -> tuple[_Measure, ...]:
    """How many accounts, how often, and how long until they were whole or flat."""
    return (
        (f"{label}: accounts", lambda r: f"{of(r).accounts:,}"),
        ("- times", lambda r: f"{of(r).times:,}"),
        ("- seconds to flat, mean", lambda r: f"{of(r).mean:,.0f}"),
        ("- p95", lambda r: f"{of(r).p95:,.0f}"),
        ("- max", lambda r: f"{of(r).most:,.0f}"),
    )


MEASURES: Final[tuple[_Measure, ...]] = (
    ("traders who could open", lambda r: f"{r.traders:,}"),
    ("leverage, perps", lambda r: f"{r.leverage:.1f}"),
    ("leverage, put writers", lambda r: f"{r.writer_leverage:.1f}"),
    ("accounts breached", lambda r: f"{r.breached:,}"),
    *_seconds("perps only", lambda r: r.perps),
    *_seconds("with options", lambda r: r.options),
    ("unresolved at the end", lambda r: f"{r.unresolved:,}"),
    ("bad debt", lambda r: _usd(r.bad_debt)),
    ("- insurance used", lambda r: _usd(r.insurance)),
    ("- winners' haircuts", lambda r: _usd(r.adl_haircut)),
    ("- pool", lambda r: _usd(r.pool)),
    ("- socialised", lambda r: _usd(r.socialised)),
    ("- still open", lambda r: _usd(r.open_debt)),
    ("ADL notional", lambda r: _usd(r.adl_notional)),
    ("pool's profit", lambda r: _usd(r.pool_change)),
    ("keeper profit after gas", lambda r: _usd(r.keeper_profit)),
    ("- rewards", lambda r: _usd(r.keeper_rewards)),
    ("- bids, less unwinding", lambda r: _usd(r.keeper_trading)),
    ("- gas", lambda r: _usd(-r.keeper_gas)),
    ("transactions", lambda r: f"{sum(r.transactions.values()):,}"),
    ("- refused", lambda r: f"{sum(r.refused.values()):,}"),
)
"""What the table shows. Amounts in USD, times in seconds."""


def heading(bars: Bars, accounts: int, seed: int) -> str:
    """What was played."""
    start, end = (datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M") for time in (bars.start, bars.end))
    prices = f"{bars.open[0]:,.2f} to {bars.close[-1]:,.2f}, low {bars.low.min():,.2f}"
    return f"{start} to {end}, index {prices}; {accounts:,} traders, seed {seed}"


def table(results: Sequence[CascadeResult]) -> Table:
    """For a terminal."""
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    shown.add_column("USD, seconds", no_wrap=True)
    for result in results:
        title = "\n".join(_SHORT.get(name, name) for name in (result.margin, result.liquidation))
        shown.add_column(title, justify="right", no_wrap=True)
    for label, show in MEASURES:
        shown.add_row(label, *(show(result) for result in results))
    return shown


def markdown(results: Sequence[CascadeResult]) -> str:
    """For a document."""
    head = [f"{result.margin}, {result.liquidation}" for result in results]
    lines = [_line(["USD, seconds", *head]), _line(["---", *("--:" for _ in results)])]
    lines += [_line([label, *(show(result) for result in results)]) for label, show in MEASURES]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
