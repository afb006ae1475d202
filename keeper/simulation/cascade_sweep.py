"""Every cell of the liquidation table, in processes side by side: a cell depends on nothing but its arguments."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, MutableSequence, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from ctypes import c_double
from typing import Final, cast

from keeper.errors import InputError
from keeper.simulation.cascade import run_cascade
from keeper.simulation.cascade_result import CascadeResult
from keeper.simulation.cascade_world import CascadeConfig
from keeper.state.bars import Bars

MOST_ACCOUNTS: Final = 10_000
_LOOK: Final = 0.5  # seconds between two looks at how far the cells are

_shares: MutableSequence[float] = []  # in a worker: how far each cell is, shared with who waits for it


def run_cells(
    configs: Sequence[CascadeConfig],
    bars: Bars,
    seed: int,
    count: int,
    workers: int,
    progress: Callable[[float], None] | None = None,
) -> list[CascadeResult]:
    """One result for each configuration, in their order, whatever the number of ``workers``.

    ``progress`` is told what share of the whole is done. Raises `InputError` for fewer than one trader or worker.
    """
    if not 1 <= count <= MOST_ACCOUNTS:
        raise InputError(f"accounts is {count}: it must be between 1 and {MOST_ACCOUNTS:,}")
    if workers < 1:
        raise InputError(f"workers is {workers}: it must be at least 1")
    context = multiprocessing.get_context("spawn")
    shares = cast("MutableSequence[float]", context.Array(c_double, len(configs), lock=False))
    with ProcessPoolExecutor(min(workers, len(configs)), context, initializer=_begin, initargs=(shares,)) as pool:
        cells = [pool.submit(_cell, place, config, bars, seed, count) for place, config in enumerate(configs)]
        _watch(cells, shares, progress)
        return [cell.result() for cell in cells]


def _begin(shares: MutableSequence[float]) -> None:
    global _shares
    _shares = shares


def _cell(place: int, config: CascadeConfig, bars: Bars, seed: int, count: int) -> CascadeResult:
    def note(share: float) -> None:
        parent = multiprocessing.parent_process()
        if parent is not None and not parent.is_alive():
            raise SystemExit("nobody waits for this run any more")
        _shares[place] = share

    return run_cascade(config, bars, seed, count, note)


def _watch(
    cells: Sequence[Future[CascadeResult]], shares: Sequence[float], progress: Callable[[float], None] | None
) -> None:
    """Wait for all, or for the first that fails."""
    running = set(cells)
    while running:
        done, running = wait(running, timeout=_LOOK)
        if any(cell.exception() is not None for cell in done):
            for cell in running:
                cell.cancel()
            return
        if progress is not None:
            progress(sum(shares) / len(cells))
