"""The figures of a report: small SVGs whose ink and grid follow the page's light or dark theme."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Column = NDArray[np.float64]
Dates = NDArray[np.datetime64]

INK, FAINT, GRID = "#3b4252", "#8a93a3", "#dde1e8"
"""Placeholders that become the page's own colours in an SVG, and stay as they are in a PNG."""
VAULT_COLOURS = {"scalper": "#0b8f82", "underwriter": "#c9622b"}
BUY, SELL, OUTAGE = "#1f9d55", "#d13b3b", "#e3b341"
PART_COLOURS = {
    "delta": "#4373b3", "gamma": "#0b8f82", "theta": "#8a5fb0", "vega": "#d08a1d", "vanna": "#6ea4bf",
    "volga": "#b3a369", "spread": "#a0527f", "funding": "#5c7a3d", "fees": "#b04a4a", "slippage": "#d17b6a",
    "liquidation": "#7a2e2e", "gas": "#9a8478", "unexplained": "#9aa0aa",
}  # fmt: skip
_STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 9.0,
    "svg.fonttype": "none",
    "svg.hashsalt": "gamma-keeper",
    "axes.edgecolor": GRID,
    "axes.labelcolor": FAINT,
    "axes.titlecolor": INK,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "text.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.3,
    "path.simplify_threshold": 0.4,
}
_THEMED = {INK: "var(--ink)", FAINT: "var(--faint)", GRID: "var(--grid)"}
_POINTS = 1_500
WIDTH = 9.6
"""Inches of a figure that is as wide as the page."""


@dataclass(frozen=True, slots=True, eq=False)
class VaultData:
    """The rows of one vault as columns, and its hedges."""

    name: str
    kind: str
    columns: dict[str, Column]
    fills: dict[str, Column]
    attribution: dict[str, float]

    @property
    def colour(self) -> str:
        """The vault's own colour."""
        return VAULT_COLOURS[self.kind]

    @property
    def days(self) -> Dates:
        """Times as dates."""
        return dates(self.columns["time"])


@dataclass(frozen=True, slots=True, eq=False)
class RunData:
    """Everything that the figures show."""

    bars: dict[str, Column]
    vaults: tuple[VaultData, ...]
    outages: tuple[tuple[int, int], ...]
    expiries: tuple[int, ...]


def dates(times: Column) -> Dates:
    """Unix seconds as UTC dates."""
    return times.astype("datetime64[s]")


def place_of(time: float) -> float:
    """Where a unix second lies on an axis of dates."""
    from matplotlib.dates import date2num

    return float(date2num(datetime.fromtimestamp(time, UTC)))  # type: ignore[no-untyped-call]


def svg(draw: Callable[[Figure], None], height: float, label: str, width: float = WIDTH) -> str:
    """A figure as inline SVG, sizes in inches."""
    with _figure(height, width) as figure:
        draw(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _themed(buffer.getvalue(), label)


def save_png(draw: Callable[[Figure], None], height: float, path: Path) -> None:
    """A figure as a picture file."""
    with _figure(height) as figure:
        draw(figure)
        figure.savefig(path, dpi=160, facecolor="white")


@contextmanager
def _figure(height: float, width: float = WIDTH) -> Iterator[Figure]:
    import matplotlib as mpl
    from matplotlib.figure import Figure as NewFigure

    with mpl.rc_context(_STYLE):
        yield NewFigure(figsize=(width, height), layout="constrained")


def prices(data: RunData) -> Callable[[Figure], None]:
    """Price with every vault's hedges on it, one panel a vault."""

    def draw(figure: Figure) -> None:
        for axes, vault in zip(_stack(figure, len(data.vaults)), data.vaults, strict=True):
            _price_panel(axes, data, vault)
            _dress(axes, data)

    return draw


def deltas(data: RunData) -> Callable[[Figure], None]:
    """Delta of the options alone, and what is left of it after hedging."""

    def draw(figure: Figure) -> None:
        for axes, vault in zip(_stack(figure, len(data.vaults)), data.vaults, strict=True):
            _delta_panel(axes, vault)
            _dress(axes, data)

    return draw


def cumulative(data: RunData) -> Callable[[Figure], None]:
    """Running attribution of every vault."""

    def draw(figure: Figure) -> None:
        for axes, vault in zip(_stack(figure, len(data.vaults)), data.vaults, strict=True):
            _cumulative_panel(axes, vault)
            _dress(axes, data)

    return draw


def margins(data: RunData) -> Callable[[Figure], None]:
    """Equity over maintenance margin, and the vol that the chain believed in."""

    def draw(figure: Figure) -> None:
        axes, below = _stack(figure, 2, (2, 1))
        for vault in data.vaults:
            ratio = np.where(np.isfinite(vault.columns["margin_ratio"]), vault.columns["margin_ratio"], np.nan)
            axes.plot(*_thin(vault.days, ratio), color=vault.colour, label=vault.name)
        axes.axhline(1.0, color=SELL, linewidth=1.0, linestyle=(0, (4, 3)))
        axes.annotate("liquidation", (0.0, 1.0), xycoords=("axes fraction", "data"), xytext=(4, 3), color=SELL,
                      textcoords="offset points", fontsize=8)  # fmt: skip
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}x")
        axes.set_title("Equity / maintenance margin")
        _legend(axes, 2)
        first = data.vaults[0]
        below.plot(*_thin(first.days, 100.0 * first.columns["atm_vol"]), color=PART_COLOURS["vega"])
        below.yaxis.set_major_formatter(lambda value, _: f"{value:.0f}%")
        below.set_title("At-the-money implied vol")
        for each in (axes, below):
            _dress(each, data)

    return draw


def bars(vault: VaultData) -> Callable[[Figure], None]:
    """Attribution of a vault's whole run as a waterfall from nothing to the profit."""

    def draw(figure: Figure) -> None:
        _waterfall(figure.subplots(), vault)

    return draw


def summary_picture(data: RunData) -> Callable[[Figure], None]:
    """Price, delta and running attribution of the first vault: the run at a glance."""

    def draw(figure: Figure) -> None:
        vault = data.vaults[0]
        top, middle, bottom = _stack(figure, 3, (1.2, 1, 1.2))
        _price_panel(top, data, vault)
        _delta_panel(middle, vault)
        _cumulative_panel(bottom, vault)
        for axes in (top, middle, bottom):
            _dress(axes, data)

    return draw


def _price_panel(axes: Axes, data: RunData, vault: VaultData) -> None:
    axes.plot(dates(data.bars["time"]), data.bars["close"], color=INK, linewidth=1.0)
    fills = vault.fills
    biggest = float(np.max(np.abs(fills["size"]))) if fills["size"].size else 1.0
    for mark, colour, chosen, label in (
        ("^", BUY, fills["size"] > 0.0, "buys"),
        ("v", SELL, fills["size"] < 0.0, "sells"),
    ):
        area = 10.0 + 60.0 * np.abs(fills["size"][chosen]) / biggest
        axes.scatter(
            dates(fills["timestamp"][chosen]), fills["fill_price"][chosen], s=area, marker=mark, color=colour,
            alpha=0.75, linewidths=0, label=f"{label} {int(chosen.sum()):,}", zorder=3,
        )  # fmt: skip
    long_or_short = "long" if vault.kind == "scalper" else "short"
    axes.set_title(f"{vault.name} ({long_or_short} gamma): price and hedges, USD")
    _legend(axes, 2)


def _delta_panel(axes: Axes, vault: VaultData) -> None:
    columns, days = vault.columns, vault.days
    axes.plot(*_thin(days, columns["option_delta"]), color=FAINT, label="options alone", linewidth=1.0)
    axes.plot(*_thin(days, columns["net_delta"]), color=vault.colour, label="after hedging")
    thin = [_thin(days, columns[edge]) for edge in ("band_low", "band_high")]
    (when, low), (_, high) = thin
    axes.fill_between(when, low, high, color=vault.colour, alpha=0.18, linewidth=0, label="no-trade band")
    axes.set_title(f"{vault.name}: delta, coins")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    _legend(axes, 3)


def _cumulative_panel(axes: Axes, vault: VaultData) -> None:
    columns, days = vault.columns, vault.days
    sums = {part: np.cumsum(np.nan_to_num(columns[f"pnl_{part}"])) for part in PART_COLOURS}
    total = np.sum(list(sums.values()), axis=0)
    shown = sorted(sums, key=lambda part: -float(np.max(np.abs(sums[part]))))[:6]
    for part in shown:
        axes.plot(*_thin(days, sums[part] / 1e3), color=PART_COLOURS[part], label=part, linewidth=1.1)
    axes.plot(*_thin(days, total / 1e3), color=INK, linewidth=2.0, label="P&L")
    axes.axhline(0.0, color=FAINT, linewidth=0.7)
    axes.set_title(f"{vault.name}: attribution, thousand USD")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    _legend(axes, len(shown) + 1)


def _waterfall(axes: Axes, vault: VaultData) -> None:
    parts = {name: value / 1e3 for name, value in vault.attribution.items() if abs(value) >= 0.5}
    level, places = 0.0, list(range(len(parts) + 1))
    for place, (name, value) in zip(places, parts.items(), strict=False):
        axes.barh(place, value, left=level, color=PART_COLOURS[name], height=0.62)
        axes.annotate(f"{value:+,.1f}", (max(level, level + value), place), xytext=(4, 0), va="center",
                      textcoords="offset points", fontsize=8, color=FAINT)  # fmt: skip
        level += value
    axes.barh(places[-1], level, color=INK, height=0.62)
    axes.annotate(f"{level:+,.1f}", (max(level, 0.0), places[-1]), xytext=(4, 0), va="center",
                  textcoords="offset points", fontsize=8.5, fontweight="bold", color=INK)  # fmt: skip
    axes.axvline(0.0, color=FAINT, linewidth=0.7)
    axes.set_yticks(places, [*parts, "P&L"])
    axes.tick_params(axis="y", colors=INK)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.use_sticky_edges = False
    axes.margins(x=0.14)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set_title(f"{vault.name}, thousand USD")


def _legend(axes: Axes, columns: int) -> None:
    """On the line of the title, at its right end, where it hides nothing."""
    axes.legend(
        loc="lower right", bbox_to_anchor=(1.0, 0.985), ncols=columns, columnspacing=1.1, handlelength=1.3,
        handletextpad=0.4, borderaxespad=0.0, borderpad=0.2,
    )  # fmt: skip


def _stack(figure: Figure, rows: int, heights: Sequence[float] | None = None) -> list[Axes]:
    panels = figure.subplots(rows, 1, sharex=True, squeeze=False, height_ratios=heights)
    return [row[0] for row in panels]


def _dress(axes: Axes, data: RunData) -> None:
    """Dates on the x axis; outages and expiries marked."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    # With fewer than 12 ticks the locator has no step for some lengths, such as four days and a half, and warns.
    locator = AutoDateLocator(maxticks=12)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    formats = ["%Y", "%b", "%-d %b", "%H:%M", "%H:%M", "%H:%M:%S"]
    zeros = ["%Y", "%Y", "%b", "%-d %b", "%H:%M", "%H:%M"]
    formatter = ConciseDateFormatter(  # type: ignore[no-untyped-call]
        locator, formats=formats, zero_formats=zeros, show_offset=False
    )
    axes.xaxis.set_major_formatter(formatter)
    axes.margins(x=0.01)
    for start, end in data.outages:
        axes.axvspan(place_of(start), place_of(end), color=OUTAGE, alpha=0.35, linewidth=0)
    for expiry in data.expiries:
        axes.axvline(place_of(expiry), color=FAINT, linewidth=0.8, linestyle=(0, (2, 3)))


def _thin(days: Dates, values: Column) -> tuple[Dates, Column]:
    """At most so many points, first and last included: more than the eye sees only makes the page heavy."""
    step = max(math.ceil(days.size / _POINTS), 1)
    places = np.unique(np.append(np.arange(0, days.size, step), days.size - 1))
    return days[places], values[places]


def _themed(text: str, label: str) -> str:
    text = text[text.index("<svg") :]
    opening = rf'<svg viewBox="\1" role="img" aria-label="{label}">'
    text = re.sub(r'<svg [^>]*?viewBox="([^"]+)"[^>]*>', opening, text, count=1)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    for placeholder, variable in _THEMED.items():
        text = text.replace(placeholder, variable)
    text = re.sub(r'<g id="\w+_\d+">', "<g>", text)  # names that would repeat from figure to figure
    return re.sub(r"font-family: [^;\"]*", "font-family: var(--sans)", text)
