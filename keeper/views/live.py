"""What a run shows while it goes: a refreshing panel on a terminal, a line now and then without one."""

from __future__ import annotations

import asyncio
import math
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from keeper.simulation.engine import Stage
from keeper.simulation.recorder import Recorder, VaultBook
from keeper.state.ports import Head
from keeper.views.formats import coins, colour_of, money, ratio, usd

_REFRESH = 0.1  # seconds between two looks of the panel
_LINE_EVERY = 10.0  # seconds between two lines without a terminal


class View(Protocol):
    """Something that shows a run."""

    async def on_block(self, head: Head, recorder: Recorder, in_flight: int) -> None:
        """A block has been mined."""
        ...

    def hurry(self) -> None:
        """The run is to end: hold it back no longer."""
        ...

    def close(self) -> None:
        """The run has ended."""
        ...


class Pace:
    """Holds a run back to so many seconds of its own time for each second of ours; None: as fast as it goes."""

    def __init__(self, speed: float | None) -> None:
        self._speed = speed
        self._origin: tuple[float, int] | None = None
        self._released = asyncio.Event()

    async def keep(self, now: int) -> None:
        """Wait until it is time for ``now``."""
        if self._speed is None:
            return
        if self._origin is None:
            self._origin = (time.monotonic(), now)
        started, first = self._origin
        wait = started + (now - first) / self._speed - time.monotonic()
        if wait > 0.0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._released.wait(), wait)

    def release(self) -> None:
        """Hold nothing back any more."""
        self._released.set()


class Panels:
    """The live view on a terminal."""

    def __init__(self, stage: Stage, console: Console, speed: float | None) -> None:
        self._stage, self._pace = stage, Pace(speed)
        self._progress = Progress(
            BarColumn(bar_width=None), TextColumn("{task.percentage:>3.0f}%"), TimeRemainingColumn(compact=True)
        )
        self._task = self._progress.add_task("", total=stage.plan.script.end - stage.plan.script.start)
        self._live = Live(console=console, refresh_per_second=8, transient=True)
        self._live.start()
        self._shown = 0.0

    async def on_block(self, head: Head, recorder: Recorder, in_flight: int) -> None:
        """Refresh, now and then."""
        await self._pace.keep(head.timestamp)
        now = time.monotonic()
        if now - self._shown < _REFRESH:
            return
        self._shown = now
        self._progress.update(self._task, completed=head.timestamp - self._stage.plan.script.start)
        self._live.update(self._panel(head, recorder, in_flight))

    def hurry(self) -> None:
        """Hold the run back no longer."""
        self._pace.release()

    def close(self) -> None:
        """Take the panel off the screen."""
        self._live.stop()

    def _panel(self, head: Head, recorder: Recorder, in_flight: int) -> Panel:
        facts = Text.assemble(
            (_clock(head.timestamp), "bold"),
            "   spot ", (usd(self._stage.plan.script.price(head.timestamp)), "bold"),
            "   vol ", (ratio(self._stage.plan.script.vol(head.timestamp)), "bold"),
            "   block ", f"{head.number:,}",
            "   in flight ", (str(in_flight), "bold yellow" if in_flight else "dim"),
            ("   keeper out", "bold red") if self._stage.plan.script.outage_ends(head.timestamp) is not None else "",
        )  # fmt: skip
        table = Table(box=None, pad_edge=False, expand=True, header_style="dim")
        for title in ("vault", "net delta", "band", "hedge", "margin", "hedges", "P&L"):
            table.add_column(title, justify="left" if title == "vault" else "right")
        for book in recorder.vaults.values():
            table.add_row(*_cells(book))
        title = f"[bold]{self._stage.plan.scenario.name}[/]  seed {self._stage.plan.scenario.seed}"
        inside = Group(facts, Text(), table, Text(), self._progress)
        return Panel(inside, title=title, title_align="left", padding=(1, 2))


def _cells(book: VaultBook) -> list[Any]:
    row = book.rows[-1]
    outside = not row["band_low"] <= row["net_delta"] <= row["band_high"]
    return [
        book.name,
        Text(coins(row["net_delta"]), style="yellow" if outside else ""),
        band(row["band_low"], row["band_high"]),
        coins(row["hedge"]) + (f" {row['pending']:+,.1f}" if row["pending"] else ""),
        Text(f"{row['margin_ratio']:.1f}x" if math.isfinite(row["margin_ratio"]) else "none", style=_margin(row)),
        f"{len(book.costs):,}",
        Text(money(book.ledger.running_pnl), style=f"bold {colour_of(book.ledger.running_pnl)}"),
    ]


def band(low: float, high: float) -> str:
    """A no-trade band as text."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return "none"
    return f"[{coins(low)}, {coins(high)}]".replace("[", "\\[", 1)


def _margin(row: dict[str, Any]) -> str:
    return "red" if row["margin_ratio"] < 1.5 else ""


class Lines:
    """The live view without a terminal."""

    def __init__(
        self, stage: Stage, say: Callable[[str], None], speed: float | None, every: float = _LINE_EVERY
    ) -> None:
        self._stage, self._say, self._pace, self._every = stage, say, Pace(speed), every
        self._shown = -math.inf

    async def on_block(self, head: Head, recorder: Recorder, in_flight: int) -> None:
        """Say a line, now and then."""
        await self._pace.keep(head.timestamp)
        now = time.monotonic()
        if now - self._shown < self._every:
            return
        self._shown = now
        script = self._stage.plan.script
        done = (head.timestamp - script.start) / max(script.end - script.start, 1)
        vaults = "  ".join(
            f"{book.name}: delta {coins(book.rows[-1]['net_delta'])} P&L {money(book.ledger.running_pnl)}"
            for book in recorder.vaults.values()
        )
        self._say(
            f"{done:4.0%}  {_clock(head.timestamp)}  spot {usd(script.price(head.timestamp))}  "
            f"vol {ratio(script.vol(head.timestamp))}  in flight {in_flight}  {vaults}"
        )

    def hurry(self) -> None:
        """Hold the run back no longer."""
        self._pace.release()

    def close(self) -> None:
        """Nothing to tidy up."""


def watch(stage: Stage, speed: float | None) -> View:
    """The view that fits where we run. It writes to stderr; stdout belongs to results."""
    console = Console(stderr=True)
    if console.is_terminal:
        return Panels(stage, console, speed)
    return Lines(stage, lambda line: print(line, file=sys.stderr, flush=True), speed)


def _clock(timestamp: int) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d %H:%M:%S")
