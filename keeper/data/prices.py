"""Bars of real prices from CSV files, plain or gzipped.

The first line names the columns, in any order and case: a time (`ts`, `time`, `timestamp`, `date`, ...), `open`,
`high`, `low` and `close`; other columns are ignored. Times are the open times of the bars: unix seconds, milliseconds
or microseconds, or ISO 8601 (UTC unless it says otherwise). Bars must be in order, of one length, and without gaps: a
simulation that silently skips an hour of a crash would be worse than none.
"""

from __future__ import annotations

import csv
import gzip
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np

from keeper.errors import InputError
from keeper.state.bars import Bars

TIME_NAMES: Final = ("ts", "time", "timestamp", "unix", "date", "datetime", "open_time", "opentime", "open time")
PRICE_NAMES: Final = ("open", "high", "low", "close")
LOWEST, HIGHEST = 1e-6, 1e12
"""Prices in USD between which the protocol's mathematics is exact."""
WIDEST: Final = 20.0
"""A bar whose high is more than so many times its low is a mistake, not a market."""
_MICROSECONDS_FROM: Final = 10**14  # as seconds, the year 3,170,843
_MILLISECONDS_FROM: Final = 10**11  # as seconds, the year 5138


@dataclass(frozen=True, slots=True)
class _Row:
    """One bar and the line of the file it came from, counted from 1."""

    line: int
    time: int
    prices: tuple[float, float, float, float]


def load_bars(path: str | Path) -> Bars:
    """Read bars from a `.csv` or `.csv.gz` file.

    Raises `InputError`, naming the line and the remedy: missing or unreadable file, missing columns, a number that does
    not parse, NaN, zero or negative prices, prices or
    bars out of all proportion, a low above or a high below another price of its bar, times that are not
    in order, repeated, or not one step apart.
    """
    file = Path(path)
    with _reading(file) as lines:
        reader = csv.reader(lines)
        columns = _columns(file, next(reader, []))
        rows = [_row(file, reader.line_num, cells, columns) for cells in reader if any(cells)]
    step = _step(file, rows)
    times = np.array([row.time for row in rows], dtype=np.int64)
    open_, high, low, close = np.array([row.prices for row in rows], dtype=np.float64).T.copy()
    return Bars(times, open_, high, low, close, step)


@contextmanager
def _reading(file: Path) -> Iterator[Iterator[str]]:
    """The lines of a text file; whatever keeps them from being read becomes an `InputError`."""
    try:
        if file.suffix == ".gz":
            with gzip.open(file, "rt", encoding="utf-8-sig", newline="") as lines:
                yield iter(lines)
        else:
            with file.open(encoding="utf-8-sig", newline="") as lines:
                yield iter(lines)
    except FileNotFoundError:
        raise InputError(f"there is no file {file}: give the path of a CSV file of prices") from None
    except (OSError, EOFError) as error:
        raise InputError(f"cannot read {file}: {error}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file} is not a CSV text file: {error}") from None


def _columns(file: Path, header: Sequence[str]) -> list[int]:
    """Places of time, open, high, low and close in the header."""
    if not header:
        raise InputError(f"{file} is empty: its first line must name the columns ts, open, high, low, close")
    names = [name.strip().lower() for name in header]
    times = [place for place, name in enumerate(names) if name in TIME_NAMES]
    missing = ([] if times else ["ts"]) + [name for name in PRICE_NAMES if name not in names]
    if missing:
        raise InputError(
            f"{file} line 1: no column {', '.join(missing)} among {', '.join(names)}; "
            f"rename the columns to ts, {', '.join(PRICE_NAMES)}"
        )
    return times[:1] + [names.index(name) for name in PRICE_NAMES]


def _row(file: Path, line: int, cells: Sequence[str], columns: Sequence[int]) -> _Row:
    where = f"{file} line {line}"
    if len(cells) <= max(columns):
        raise InputError(f"{where}: only {len(cells)} columns, the header has more; complete the line or delete it")
    time = _time(where, cells[columns[0]].strip())
    pairs = zip(PRICE_NAMES, columns[1:], strict=True)
    first, high, low, close = (_price(where, name, cells[column].strip()) for name, column in pairs)
    if low > min(first, close) or high < max(first, close):
        raise InputError(
            f"{where}: open {first:g} and close {close:g} must lie between low {low:g} and high {high:g}; "
            "correct the bar"
        )
    if high > WIDEST * low:
        raise InputError(f"{where}: high {high:g} is more than {WIDEST:g} times low {low:g}; correct the bar")
    return _Row(line, time, (first, high, low, close))


def _price(where: str, name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise InputError(f"{where}: {name} {text!r} is not a number; correct it") from None
    if not math.isfinite(value):
        raise InputError(f"{where}: {name} is {text}, not a finite number; fill in the price")
    if value <= 0.0:
        raise InputError(f"{where}: {name} is {text}, but a price must be positive; fill in the price")
    if not LOWEST <= value <= HIGHEST:
        raise InputError(f"{where}: {name} is {text}, not a price from {LOWEST:g} to {HIGHEST:g} USD; correct it")
    return value


def _time(where: str, text: str) -> int:
    """Unix seconds from a cell that holds unix seconds, milliseconds or microseconds, or an ISO 8601 time."""
    try:
        number = float(text)
    except ValueError:
        return _iso_time(where, text)
    if not math.isfinite(number) or number < 0.0:
        raise InputError(f"{where}: time {text} is not a unix time; fill in the open time of the bar")
    scale = 10**6 if number >= _MICROSECONDS_FROM else 10**3 if number >= _MILLISECONDS_FROM else 1
    if number % scale:
        raise InputError(f"{where}: time {text} is not a whole second; round it")
    return int(number) // scale


def _iso_time(where: str, text: str) -> int:
    try:
        moment = datetime.fromisoformat(text.removesuffix("UTC").strip())
    except ValueError:
        raise InputError(
            f"{where}: time {text!r} is neither a unix time nor ISO 8601 such as 2020-03-12T00:00:00Z; correct it"
        ) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if moment.microsecond:
        raise InputError(f"{where}: time {text} is not a whole second; round it")
    return int(moment.timestamp())


def _step(file: Path, rows: Sequence[_Row]) -> int:
    """The length of a bar: the commonest distance between neighbours. Every distance must be that."""
    if len(rows) < 2:
        raise InputError(f"{file} has {len(rows)} bars; at least 2 are needed to know how long a bar is")
    forward = Counter(later.time - earlier.time for earlier, later in pairwise(rows) if later.time > earlier.time)
    step = forward.most_common(1)[0][0] if forward else 0
    for earlier, later in pairwise(rows):
        if later.time - earlier.time != step or step == 0:
            raise InputError(_irregular(file, earlier, later, step))
    return step


def _irregular(file: Path, earlier: _Row, later: _Row, step: int) -> str:
    distance = later.time - earlier.time
    where = f"{file} line {later.line}: time {_written(later.time)}"
    if distance == 0:
        return f"{where} is there twice, on line {earlier.line} too; delete one of the two"
    if distance < 0:
        return f"{where} is earlier than line {earlier.line}; sort the file by time"
    if distance % step:
        return f"{where} is {distance} s after the bar before, but bars are {step} s apart; correct the time"
    missing = distance // step - 1
    return f"{where} is {distance} s after the bar before: {missing} bars of {step} s are missing; fill or cut the gap"


def _written(time: int) -> str:
    return f"{time} ({datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M:%S} UTC)"
